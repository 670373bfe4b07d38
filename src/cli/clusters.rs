//! `stellate clusters`: the inventory as it was read, and what each WEC is missing to receive work.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Ending;
use super::data::{self, Format};
use super::error::CliError;
use super::progress::Line;
use super::scene::{SourceArguments, wait_for};
use super::table::{Table, count};
use super::terminal::{Styles, Terminal};
use crate::inventory::its::{self, Registration};
use crate::inventory::{Cluster, Properties};
use crate::model::{ClusterName, Labels, PolicyName};
use crate::reconcile::Rendering;

/// What `stellate clusters` is told.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The branch, tag or commit to look at [default: the work tree; for a URL, its default branch]
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// The form of the result
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        hide_default_value = true
    )]
    output: Form,
}

/// The form of the result.
#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// A table
    Table,
    /// A table with labels and properties
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// One WEC.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: ClusterName,
    accepted: bool,
    deleting: bool,
    /// None: not known; a manifest need not have a status.
    joined: Option<bool>,
    available: Option<bool>,
    labels: Arc<Labels>,
    properties: Arc<Properties>,
    /// Policies that place something there.
    policies: BTreeSet<PolicyName>,
    objects: usize,
    /// What the ITS holds of its registration.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    registration: Option<Registration>,
    /// What it is missing to receive work.
    missing: Vec<Missing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

/// Something that keeps work from a WEC.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    what: String,
    /// The command, or the edit, that mends it.
    fix: String,
}

/// Lists.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let mut scene = arguments.source.scene()?;
    scene.check(terminal)?;
    scene.at(arguments.rev.as_deref());
    let registrations = match &scene.its {
        Some(its) => wait_for(its::registrations(its))?.map_err(|trouble| {
            CliError::message(trouble.message)
                .context(format!("cannot read the ITS ({its})"))
                .hint(trouble.help)
        })?,
        None => BTreeMap::new(),
    };
    let line = Line::new(terminal);
    let rendering = scene.start().render(&scene.request, &line)?;
    drop(line);
    let rows = rows(&rendering, registrations);
    let format = match arguments.output {
        Form::Json => Format::Json,
        Form::Yaml => Format::Yaml,
        Form::Table | Form::Wide => Format::Table,
    };
    let wide = matches!(arguments.output, Form::Wide);
    match data::text(&serde_json::json!({"clusters": rows}), format)? {
        Some(data) => terminal.print(data)?,
        None => terminal.show(&text(&rows, wide, terminal.out()))?,
    }
    let idle = rows.iter().filter(|row| row.objects == 0).count();
    let idle = if idle == 0 {
        String::new()
    } else {
        format!(", {idle} of them without work")
    };
    terminal.say(&format!("{}{idle}", count(rows.len(), "WEC")));
    scene.report_timings(&rendering.timings, terminal);
    Ok(if rows.is_empty() {
        Ending::Problems
    } else {
        Ending::Done
    })
}

fn rows(rendering: &Rendering, mut registrations: BTreeMap<ClusterName, Registration>) -> Vec<Row> {
    let clusters = &rendering.inventory.clusters;
    let summary = rendering.summary();
    let mut policies = vec![BTreeSet::new(); clusters.len()];
    let mut seen = HashSet::new();
    for placement in &rendering.plan.placements {
        // Objects that go the same way share one placement.
        if seen.insert(Arc::as_ptr(placement)) {
            for cluster in placement.clusters.iter() {
                policies[cluster].extend(placement.policies.iter().cloned());
            }
        }
    }
    let rows = clusters.iter().zip(policies).zip(summary.clusters);
    rows.map(|((cluster, policies), counted)| {
        let registration = registrations.remove(&cluster.name);
        let missing = missing(cluster, registration.as_ref(), policies.is_empty());
        Row {
            name: cluster.name.clone(),
            accepted: cluster.accepted,
            deleting: cluster.deleting,
            joined: cluster.joined,
            available: cluster.available,
            labels: Arc::clone(&cluster.labels),
            properties: Arc::clone(&cluster.properties),
            registration,
            missing,
            policies,
            objects: counted.objects,
            location: cluster.location.as_ref().map(ToString::to_string),
        }
    })
    .collect()
}

/// Says what keeps work from a WEC, and how to mend it. A WEC on an ITS has a registration; one in a file has none.
fn missing(
    cluster: &Cluster,
    registration: Option<&Registration>,
    without_policies: bool,
) -> Vec<Missing> {
    let name = &cluster.name;
    let mut missing = Vec::new();
    let mut add = |what: &str, fix: String| {
        missing.push(Missing {
            what: what.to_owned(),
            fix,
        });
    };
    if cluster.deleting {
        add(
            "is being deleted",
            format!("wait, or register it again: clusteradm join … --cluster-name {name}"),
        );
        return missing;
    }
    if !cluster.accepted {
        let fix = match &cluster.location {
            Some(place) => format!(
                "clusteradm accept --clusters {name}; then hubAcceptsClient: true in {place}"
            ),
            None => format!("clusteradm accept --clusters {name}"),
        };
        add("is not accepted by the hub", fix);
    }
    // A manifest in a source has no status; on an ITS, none means that no agent was heard of.
    let silent =
        |heard: Option<bool>| heard == Some(false) || registration.is_some() && heard.is_none();
    if silent(cluster.joined) {
        add(
            "has not joined: OCM's registration agent was not heard of",
            format!(
                "on the cluster: clusteradm join --hub-token … --hub-apiserver … --cluster-name {name}"
            ),
        );
    } else if silent(cluster.available) {
        add(
            "is not available: its agent is not heard of any more",
            "on the cluster: kubectl -n open-cluster-management-agent get pods".to_owned(),
        );
    }
    if registration.is_some_and(|registration| registration.mailbox == Some(false)) {
        add(
            "has no mailbox namespace on the ITS",
            format!("kubectl create namespace {name}"),
        );
    }
    if cluster.accepted && without_policies {
        let what = if cluster.labels.is_empty() {
            "no policy selects it: it has no labels"
        } else {
            "no policy places anything there"
        };
        add(
            what,
            format!(
                "kubectl label managedcluster {name} KEY=VALUE, as a clusterSelectors wants it"
            ),
        );
    }
    missing
}

/// Writes the table, and below it what each WEC is missing.
fn text(rows: &[Row], wide: bool, styles: &Styles) -> String {
    let on_its = rows.iter().any(|row| row.registration.is_some());
    let mut text = table(rows, wide, on_its).text(styles);
    let (warning, faint) = (styles.warning, styles.faint);
    for row in rows.iter().filter(|row| !row.missing.is_empty()) {
        text.push('\n');
        for missing in &row.missing {
            put!(
                text,
                "{warning}{}{warning:#} {}\n  {faint}{}{faint:#}\n",
                row.name,
                missing.what,
                missing.fix
            );
        }
    }
    text
}

fn table(rows: &[Row], wide: bool, on_its: bool) -> Table {
    let mut head = vec![
        "NAME",
        "ACCEPTED",
        "JOINED",
        "AVAILABLE",
        "POLICIES",
        "OBJECTS",
    ];
    if wide {
        head.extend(["LABELS", "PROPERTIES"]);
        head.extend(on_its.then_some("TAINTS"));
    }
    let mut table = Table::new(&head).numbers(&[4, 5]);
    for row in rows {
        let mut cells = row.cells();
        if wide {
            cells.extend(row.wide_cells());
            cells.extend(on_its.then(|| row.taints()));
        }
        table.row(cells);
    }
    table
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let known = |value: Option<bool>| match value {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let accepted = match (self.deleting, self.accepted) {
            (true, _) => "deleting",
            (false, true) => "yes",
            (false, false) => "no",
        };
        vec![
            self.name.to_string(),
            accepted.to_owned(),
            known(self.joined).to_owned(),
            known(self.available).to_owned(),
            self.policies.len().to_string(),
            self.objects.to_string(),
        ]
    }

    /// Labels, and properties that do not say again what labels say.
    fn wide_cells(&self) -> [String; 2] {
        let labels = self.labels.iter();
        let own = self
            .properties
            .iter()
            .filter(|(key, value)| self.labels.get(*key) != Some(value));
        [pairs(labels), pairs(own)]
    }

    fn taints(&self) -> String {
        let taints = self.registration.iter().flat_map(|found| &found.taints);
        dash(&taints.cloned().collect::<Vec<_>>())
    }
}

/// Writes `key=value,…`.
fn pairs<'a>(map: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let pairs = map.map(|(key, value)| format!("{key}={}", shortened(value)));
    dash(&pairs.collect::<Vec<_>>())
}

/// Writes texts with commas between; where there is none, a dash holds the column's place.
fn dash(texts: &[String]) -> String {
    if texts.is_empty() {
        "-".to_owned()
    } else {
        texts.join(",")
    }
}

/// Shortens a value to what fits a table.
fn shortened(value: &str) -> String {
    let line: String = value
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(40)
        .collect();
    if line.len() < value.trim_end().len() {
        format!("{line}…")
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        Cluster {
            name: "fra1".into(),
            labels: Arc::default(),
            annotations: Arc::default(),
            properties: Arc::default(),
            accepted: true,
            deleting: false,
            joined: None,
            available: None,
            location: None,
        }
    }

    #[test]
    fn a_wec_is_told_what_it_is_missing_and_the_command_that_mends_it() {
        assert_eq!(missing(&cluster(), None, false), []);
        let stranger = Cluster {
            accepted: false,
            joined: Some(false),
            ..cluster()
        };
        let fixes: Vec<String> = missing(&stranger, None, true)
            .into_iter()
            .map(|missing| missing.fix)
            .collect();
        assert_eq!(fixes.len(), 2, "{fixes:?}");
        assert!(
            fixes[0].contains("clusteradm accept --clusters fra1"),
            "{fixes:?}"
        );
        assert!(
            fixes[1].contains("clusteradm join") && fixes[1].contains("--cluster-name fra1"),
            "{fixes:?}"
        );
        let leaving = Cluster {
            deleting: true,
            accepted: false,
            ..cluster()
        };
        assert_eq!(missing(&leaving, None, true).len(), 1);
        assert_eq!(
            missing(&cluster(), None, true)[0].what,
            "no policy selects it: it has no labels"
        );
    }

    #[test]
    fn a_wec_on_an_its_is_told_how_far_its_registration_got() {
        let none = Registration {
            mailbox: Some(false),
            taints: vec!["gpu:NoSelect".to_owned()],
        };
        let whats = |cluster: &Cluster, registration: &Registration| -> Vec<String> {
            let missing = missing(cluster, Some(registration), false);
            missing.into_iter().map(|missing| missing.fix).collect()
        };
        let fixes = whats(&cluster(), &none);
        assert_eq!(fixes.len(), 2, "{fixes:?}");
        assert!(fixes[0].contains("clusteradm join"), "{fixes:?}");
        assert_eq!(fixes[1], "kubectl create namespace fra1");
        let joined = Cluster {
            joined: Some(true),
            available: Some(true),
            ..cluster()
        };
        // Whether there is a mailbox is not known to those who may not look.
        assert_eq!(whats(&joined, &Registration::default()), [""; 0]);
    }
}
