//! `stellate explain`: why an object is, or is not, on a WEC; and what a policy resolves to.

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::data::OutputArgument;
use super::error::CliError;
use super::progress::Line;
use super::scene::SourceArguments;
use super::steps::{self, Way};
use super::terminal::Terminal;
use super::{Ending, data, lookup};
use crate::model::{ClusterName, ClusterSet, Diagnostic, ObjectKey, Severity};
use crate::output::path::path_on;
use crate::placement::{Explanation, Verdict};
use crate::reconcile::{Pipeline, Rendering};

mod policy;
mod text;

/// What `stellate explain` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// Kind, resource or short name, with its group where several have it: Deployment, deployments.apps, deploy; with
    /// the name behind a slash, NAME is left out
    #[arg(value_name = "KIND[.GROUP]")]
    kind: String,
    /// Name, behind its namespace
    #[arg(value_name = "[NAMESPACE/]NAME")]
    name: Option<String>,
    #[command(flatten)]
    source: SourceArguments,
    /// The branch, tag or commit to render [default: the work tree]
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Explain for this cluster; may be repeated [default: for all together]
    #[arg(long, value_name = "NAME")]
    wec: Vec<String>,
    /// Show every policy and every criterion, not only those that come near
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgument,
}

/// One answer.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    explanation: Explanation,
    /// The file on the generated branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// What holds it back where it should be, in full.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Diagnostic>,
    /// What happens to it on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<Way>,
}

/// Explains.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let (kind, name, source) = arguments.object()?;
    let mut scene = source.scene()?;
    scene.check(terminal)?;
    scene.at(arguments.rev.as_deref());
    let line = Line::new(terminal);
    let mut pipeline = scene.start();
    let rendering = pipeline.render(&scene.request, &line)?;
    drop(line);
    let key = lookup::find(&rendering, kind, name)?;
    let clusters = arguments
        .wec
        .iter()
        .map(|name| lookup::cluster(&rendering, name))
        .collect::<Result<Vec<_>, _>>()?;
    let format = arguments.output.output;
    if policy::is_policy(&key) {
        let answer = policy::resolve(&rendering, &key);
        match data::text(&answer, format)? {
            Some(data) => terminal.print(data)?,
            None => terminal.show(&policy::text(&answer, &key, terminal.out()))?,
        }
        return Ok(Ending::Done);
    }
    if let Some(control) = rendering
        .snapshot
        .controls
        .iter()
        .find(|control| control.key == key)
    {
        let text = format!(
            "{key} ({}) is read, and never delivered: it steers the delivery",
            control.location
        );
        let value = json!({"object": key, "verdict": "excluded", "because": [text]});
        match data::text(&value, format)? {
            Some(data) => terminal.print(data)?,
            None => terminal.show(&format!("{text}\n"))?,
        }
        return Ok(Ending::Done);
    }
    let asked: Vec<Option<usize>> = if clusters.is_empty() {
        vec![None]
    } else {
        clusters.into_iter().map(Some).collect()
    };
    let answers: Vec<Answer> = asked
        .into_iter()
        .map(|cluster| answer(&mut pipeline, &rendering, &key, cluster))
        .collect();
    let printed = match answers.as_slice() {
        [only] => data::text(only, format)?,
        several => data::text(&several, format)?,
    };
    if let Some(data) = printed {
        terminal.print(data)?;
        return Ok(Ending::Done);
    }
    let texts: Vec<String> = answers
        .iter()
        .map(|answer| text::answer(answer, &rendering, arguments.all, terminal.out()))
        .collect();
    terminal.show(&texts.join("\n"))?;
    Ok(Ending::Done)
}

impl Arguments {
    /// Gives kind, name and source; with `KIND/NAME`, what would be the name is the source.
    fn object(&self) -> Result<(&str, &str, SourceArguments), CliError> {
        let mut source = self.source.clone();
        match (self.kind.split_once('/'), &self.name) {
            (None, Some(name)) => Ok((&self.kind, name, source)),
            (Some((kind, name)), None) => Ok((kind, name, source)),
            (Some((kind, name)), Some(location)) if source.location.is_none() => {
                source.location = Some(location.clone());
                Ok((kind, name, source))
            }
            (Some(_), Some(name)) => Err(CliError::message(format!(
                "{} names an object already, and {name} would be a second one",
                self.kind
            ))
            .hint("write KIND NAME, or KIND/NAME")),
            (None, None) => Err(
                CliError::message(format!("which {}? Its name is missing", self.kind))
                    .hint("write KIND NAME, or KIND/NAME; a namespace goes before the name: KIND NAMESPACE/NAME"),
            ),
        }
    }
}

/// Explains an object on one WEC, or on all.
fn answer(
    pipeline: &mut Pipeline,
    rendering: &Rendering,
    key: &ObjectKey,
    cluster: Option<usize>,
) -> Answer {
    let name = cluster.map(|cluster| rendering.inventory.clusters[cluster].name.clone());
    let mut explanation = pipeline.explain(key, name.as_ref());
    imply(rendering, key, cluster, &mut explanation);
    let errors = hold_back(rendering, key, &mut explanation);
    let goes = explanation.verdict.is_delivered();
    let first = explanation
        .destinations
        .iter()
        .chain(&explanation.held_back)
        .next();
    let on = cluster.or_else(|| rendering.inventory.position(first?.as_str()));
    let placed = goes || explanation.verdict == Verdict::HeldBack;
    let way = on
        .filter(|_| placed)
        .and_then(|on| steps::follow(rendering, key, on));
    Answer {
        path: name.filter(|_| goes).map(|name| path_on(&name, key)),
        way: way.filter(|way| goes || way.failed.is_some()),
        errors,
        explanation,
    }
}

/// Adds that the object is a Namespace which others need, where it is nothing else.
fn imply(
    rendering: &Rendering,
    key: &ObjectKey,
    cluster: Option<usize>,
    explanation: &mut Explanation,
) {
    let implied = lookup::implied_namespaces(rendering)
        .find(|(implied, _)| implied == key)
        .map(|(_, clusters)| clusters);
    let Some(implied) = implied else { return };
    if cluster.is_some_and(|cluster| !implied.contains(cluster)) {
        explanation.destinations.extend(names(rendering, implied));
        explanation.destinations.sort();
        return;
    }
    let there = cluster.map_or_else(
        || (**implied).clone(),
        |cluster| [cluster].into_iter().collect(),
    );
    let objects = rendering.rendered.objects.iter().filter(|object| {
        let mut variants = object.variants.iter();
        object.key.namespace == key.name
            && variants.any(|variant| !variant.clusters.intersection(&there).is_empty())
    });
    let objects: Vec<ObjectKey> = objects.map(|object| object.key.clone()).collect();
    let written = rendering.snapshot.object(key).is_some();
    explanation.imply(names(rendering, implied), &objects, written);
}

/// Adds where the object is held back by an error, and gives the errors.
fn hold_back(
    rendering: &Rendering,
    key: &ObjectKey,
    explanation: &mut Explanation,
) -> Vec<Diagnostic> {
    let mut held = ClusterSet::new();
    for quarantined in &rendering.rendered.quarantined {
        if quarantined.key == *key {
            held.union_with(&quarantined.clusters);
        }
    }
    if held.is_empty() {
        return Vec::new();
    }
    let held = names(rendering, &held);
    let on = |name: &ClusterName| match &explanation.cluster {
        Some(asked) => name == asked && held.contains(asked),
        None => held.contains(name),
    };
    let concerns = |found: &&Diagnostic| {
        found.severity == Severity::Error
            && found.object.as_ref() == Some(key)
            && held
                .iter()
                .any(|name| on(name) && found.cluster.as_ref().is_none_or(|one| one == name))
    };
    let errors: Vec<Diagnostic> = rendering
        .diagnostics
        .iter()
        .filter(concerns)
        .cloned()
        .collect();
    let why = errors.iter().map(|found| match &found.location {
        Some(place) => format!("{} ({place})", found.message),
        None => found.message.clone(),
    });
    let why = why.collect();
    explanation.hold_back(held, why);
    errors
}

fn names(rendering: &Rendering, clusters: &ClusterSet) -> Vec<ClusterName> {
    let all = &rendering.inventory.clusters;
    clusters
        .iter()
        .map(|position| all[position].name.clone())
        .collect()
}
