//! A rendering on standard output: a stream for `kubectl apply`, lists for programs, or a table of what there is.

use serde_json::{Value, json};

use crate::cli::data::Format;
use crate::cli::error::CliError;
use crate::cli::lookup;
use crate::cli::table::Table;
use crate::cli::terminal::Terminal;
use crate::model::ObjectKey;
use crate::output::path::path_on;
use crate::reconcile::Rendering;
use crate::yaml::{self, Limits};

/// How much is gathered before it is written.
const CHUNK: usize = 256 << 10;

/// Writes the manifests, or the summary, to standard output.
pub(super) fn print(
    rendering: &Rendering,
    clusters: &[String],
    format: Option<Format>,
    terminal: &Terminal,
) -> Result<(), CliError> {
    let chosen = lookup::clusters(rendering, clusters)?;
    match format {
        None | Some(Format::Yaml) => stream(rendering, &chosen, terminal),
        Some(Format::Json) => lists(rendering, &chosen, terminal),
        Some(Format::Table) => {
            let mut table =
                Table::new(&["WEC", "OBJECTS", "CUSTOMISED", "QUARANTINED"]).numbers(&[1, 2, 3]);
            let summary = rendering.summary();
            for cluster in chosen
                .iter()
                .filter_map(|&position| summary.clusters.get(position))
            {
                let numbers = [cluster.objects, cluster.customised, cluster.quarantined];
                let numbers = numbers.map(|number| number.to_string());
                table.row(std::iter::once(cluster.name.to_string()).chain(numbers));
            }
            terminal.show(&table.text(terminal.out()))
        }
    }
}

/// Writes all manifests as one YAML stream, each behind a comment with its path.
fn stream(rendering: &Rendering, chosen: &[usize], terminal: &Terminal) -> Result<(), CliError> {
    let mut text = Vec::with_capacity(CHUNK + (64 << 10));
    for &cluster in chosen {
        let name = &rendering.rendered.clusters[cluster];
        let mut objects: Vec<_> = rendering.objects_on(cluster).collect();
        objects.sort_by_key(|object| rank(&object.key));
        for object in objects {
            text.extend_from_slice(format!("---\n# {}\n", path_on(name, &object.key)).as_bytes());
            for variant in object.variants.iter() {
                variant.bytes_into(cluster, &mut text);
            }
            if text.len() > CHUNK {
                terminal.print(&text)?;
                text.clear();
            }
        }
    }
    terminal.print(&text)
}

/// Puts first what others need to be there: `kubectl apply` takes the stream in its order.
fn rank(key: &ObjectKey) -> u8 {
    match (&*key.group, &*key.kind) {
        ("", "Namespace") => 0,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => 1,
        _ => 2,
    }
}

/// Writes a `List` for each WEC: `{"clusters": {"fra1": {"kind": "List", "items": […]}, …}}`.
fn lists(rendering: &Rendering, chosen: &[usize], terminal: &Terminal) -> Result<(), CliError> {
    terminal.print("{\"clusters\": {")?;
    for (index, &cluster) in chosen.iter().enumerate() {
        let items: Vec<Value> = rendering
            .objects_on(cluster)
            .filter_map(|object| rendering.text(&object.key, cluster))
            .filter_map(|text| {
                yaml::load(&text, &Limits::default())
                    .ok()?
                    .into_iter()
                    .next()
            })
            .map(|document| document.value)
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let name = json!(rendering.rendered.clusters[cluster].as_str());
        let comma = if index == 0 { "" } else { "," };
        terminal.print(format!("{comma}\n{name}: {list}"))?;
    }
    terminal.print("\n}}\n")
}
