//! `stellate diff`: two renderings → which objects change on which WECs; equal differences are shown once.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::data::OutputArgument;
use super::difference::{coloured, difference};
use super::error::CliError;
use super::progress::Line;
use super::scene::SourceArguments;
use super::table::{Table, count, list};
use super::terminal::{Styles, Terminal};
use super::{Ending, data, scene};
use crate::model::{ClusterName, ObjectKey};
use crate::output::path;
use crate::reconcile::{InventorySource, Rendering};

/// The most WECs that a head line names.
const NAMED: usize = 6;

/// What `stellate diff` is told.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// What stands: a branch, tag or commit [default: HEAD; for a URL it must be given]
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    /// What is to come [default: the work tree; for a URL, its default branch]
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// Another inventory for what is to come
    #[arg(long, value_name = "PATH")]
    to_inventory: Option<PathBuf>,
    /// Show only these clusters; may be repeated
    #[arg(long, value_name = "NAME")]
    wec: Vec<String>,
    /// Show numbers in place of lines
    #[arg(long)]
    stat: bool,
    /// End with 1 when there are differences, as `git diff` does
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    output: OutputArgument,
}

/// What a change does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    /// WECs that are new in the inventory.
    added_clusters: Vec<ClusterName>,
    /// WECs that are no longer in it.
    removed_clusters: Vec<ClusterName>,
    /// What changes, each difference once; sorted by object.
    objects: Vec<ObjectChange>,
}

/// One difference, and the WECs that have it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectChange {
    object: ObjectKey,
    /// The file, below the folder of each WEC.
    path: String,
    change: Kind,
    clusters: Vec<ClusterName>,
    lines_added: usize,
    lines_removed: usize,
    /// A unified diff; of one WEC where their contexts differ.
    diff: String,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Added,
    Changed,
    Removed,
    /// It cannot be rendered, and stays as it is.
    Kept,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Kept => "kept as it is (it cannot be rendered)",
        }
    }
}

/// Compares.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let scene = arguments.source.scene()?;
    scene.check(terminal)?;
    if scene.remote && arguments.from.is_none() {
        return Err(CliError::message(
            "what stands is not known: a URL has no work tree to compare with its HEAD",
        )
        .hint("name both: --from REV --to REV"));
    }
    let mut before = scene.request.clone();
    before.revision.clone_from(&arguments.from);
    before.committed = true;
    let mut after = scene.request.clone();
    after.revision.clone_from(&arguments.to);
    after.committed |= arguments.to.is_some() || scene.remote;
    if let Some(path) = &arguments.to_inventory {
        after.inventory = InventorySource::Files(path.clone());
    }

    let line = Line::new(terminal);
    let mut pipeline = scene.start();
    let old = pipeline
        .render(&before, &line)
        .map_err(|error| CliError::from(error).context("cannot render what stands"))?;
    let new = pipeline
        .render(&after, &line)
        .map_err(|error| CliError::from(error).context("cannot render what is to come"))?;
    drop(line);
    scene::report(&new, terminal);

    let mut changes = changes(&old, &new);
    if !arguments.wec.is_empty() {
        for name in &arguments.wec {
            if old.inventory.position(name).is_none() {
                super::render::position(&new, name)?;
            }
        }
        changes.only(&arguments.wec);
    }
    match data::text(&changes, arguments.output.output)? {
        Some(data) => terminal.print(data)?,
        None if arguments.stat => terminal.show(&changes.numbers(terminal.out()))?,
        None => terminal.show(&changes.text(terminal.out()))?,
    }
    terminal.say(&changes.summary());
    let timings: Vec<_> = old.timings.iter().chain(&new.timings).copied().collect();
    scene.report_timings(&timings, terminal);
    let differs = arguments.exit_code && !changes.is_empty();
    Ok(if differs || new.errors() > 0 {
        Ending::Problems
    } else {
        Ending::Done
    })
}

/// Which WECs have which texts of one object, before and after.
type Pairs = BTreeMap<(Option<Vec<u8>>, Option<Vec<u8>>, bool), Vec<ClusterName>>;

/// Compares two renderings. Objects whose texts are shared between them are not looked at.
fn changes(old: &Rendering, new: &Rendering) -> Changes {
    let names =
        |rendering: &Rendering| -> Vec<ClusterName> { rendering.rendered.clusters.to_vec() };
    let (before, after) = (names(old), names(new));
    let same_clusters = before == after;
    let missing = |from: &[ClusterName], to: &[ClusterName]| {
        from.iter()
            .filter(|name| to.binary_search(name).is_err())
            .cloned()
            .collect()
    };
    let mut kept: HashMap<&ObjectKey, Vec<usize>> = HashMap::new();
    for (key, clusters) in new.kept() {
        kept.entry(key).or_default().extend(clusters.iter());
    }
    // While parts of the source cannot be read, what is not in it may be in there, and stays.
    let unknown = !new.snapshot.is_complete();
    let mut keys: Vec<&ObjectKey> = old
        .rendered
        .objects
        .iter()
        .chain(&new.rendered.objects)
        .map(|object| &object.key)
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let mut objects = Vec::new();
    for key in keys {
        let (one, two) = (old.object(key), new.object(key));
        let shared = one
            .zip(two)
            .is_some_and(|(one, two)| Arc::ptr_eq(&one.variants, &two.variants));
        if shared && same_clusters {
            continue;
        }
        let held: Vec<&ClusterName> = kept
            .get(key)
            .into_iter()
            .flatten()
            .map(|&position| &after[position])
            .collect();
        let mut pairs = Pairs::new();
        let mut all: Vec<&ClusterName> = before.iter().chain(&after).collect();
        all.sort_unstable();
        all.dedup();
        for name in all {
            let text = |rendering: &Rendering| {
                rendering.text(key, rendering.inventory.position(name.as_str())?)
            };
            let (one, two) = (text(old), text(new));
            if one != two {
                let is_kept = two.is_none() && (unknown || held.contains(&name));
                pairs
                    .entry((one, two, is_kept))
                    .or_default()
                    .push(name.clone());
            }
        }
        objects.extend(united(key, pairs));
    }
    Changes {
        added_clusters: missing(&after, &before),
        removed_clusters: missing(&before, &after),
        objects,
    }
}

/// Puts WECs together whose texts differ in the same lines.
fn united(key: &ObjectKey, pairs: Pairs) -> Vec<ObjectChange> {
    let mut found: BTreeMap<(Kind, String), ObjectChange> = BTreeMap::new();
    for ((before, after, is_kept), clusters) in pairs {
        let kind = match (&before, &after) {
            _ if is_kept => Kind::Kept,
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            _ => Kind::Changed,
        };
        let text = |bytes: &Option<Vec<u8>>| {
            String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
        };
        let after = if is_kept { text(&before) } else { text(&after) };
        let difference = difference(&text(&before), &after);
        let change = found
            .entry((kind, difference.lines))
            .or_insert_with(|| ObjectChange {
                object: key.clone(),
                path: format!("{}/{}", path::folder(key), path::file_name(key)),
                change: kind,
                clusters: Vec::new(),
                lines_added: difference.added,
                lines_removed: difference.removed,
                diff: difference.hunks,
            });
        change.clusters.extend(clusters);
    }
    let mut changes: Vec<ObjectChange> = found.into_values().collect();
    for change in &mut changes {
        change.clusters.sort();
    }
    changes
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.added_clusters.is_empty()
            && self.removed_clusters.is_empty()
    }

    /// Forgets what concerns other WECs.
    fn only(&mut self, names: &[String]) {
        let wanted = |name: &ClusterName| names.iter().any(|wanted| wanted == name.as_str());
        self.added_clusters.retain(wanted);
        self.removed_clusters.retain(wanted);
        for change in &mut self.objects {
            change.clusters.retain(wanted);
        }
        self.objects.retain(|change| !change.clusters.is_empty());
    }

    /// Writes each difference once, below a line that says which WECs have it.
    fn text(&self, styles: &Styles) -> String {
        let mut text = self.clusters_text(styles);
        let strong = styles.strong;
        for change in &self.objects {
            if !text.is_empty() {
                text.push('\n');
            }
            put!(
                text,
                "{strong}{}{strong:#} {} on {}: {}\n",
                change.object,
                change.change.word(),
                count(change.clusters.len(), "WEC"),
                list(&change.clusters, NAMED)
            );
            if !change.diff.is_empty() {
                let (old, new) = match change.change {
                    Kind::Added => ("/dev/null", change.path.as_str()),
                    Kind::Removed => (change.path.as_str(), "/dev/null"),
                    _ => (change.path.as_str(), change.path.as_str()),
                };
                text.push_str(&coloured(
                    &format!("--- {old}\n+++ {new}\n{}", change.diff),
                    "",
                    styles,
                ));
            }
        }
        text
    }

    /// Writes a row for each difference.
    fn numbers(&self, styles: &Styles) -> String {
        let mut table = Table::new(&["OBJECT", "CHANGE", "WECS", "+", "-"]).numbers(&[2, 3, 4]);
        for change in &self.objects {
            let numbers = [
                change.clusters.len(),
                change.lines_added,
                change.lines_removed,
            ];
            let cells = [change.object.to_string(), change.change.word().to_owned()];
            table.row(
                cells
                    .into_iter()
                    .chain(numbers.map(|number| number.to_string())),
            );
        }
        let clusters = self.clusters_text(styles);
        if self.objects.is_empty() {
            clusters
        } else {
            clusters + &table.text(styles)
        }
    }

    fn clusters_text(&self, styles: &Styles) -> String {
        let (added, removed) = (styles.added, styles.removed);
        let mut text = String::new();
        if !self.added_clusters.is_empty() {
            put!(
                text,
                "{added}WECs added{added:#}: {}\n",
                list(&self.added_clusters, 20)
            );
        }
        if !self.removed_clusters.is_empty() {
            put!(
                text,
                "{removed}WECs removed{removed:#}: {}\n",
                list(&self.removed_clusters, 20)
            );
        }
        text
    }

    /// Says how much there is, in a line.
    fn summary(&self) -> String {
        if self.is_empty() {
            return "no difference".to_owned();
        }
        let of = |kind: Kind| {
            let mut keys: Vec<&ObjectKey> = self
                .objects
                .iter()
                .filter(|change| change.change == kind)
                .map(|change| &change.object)
                .collect();
            keys.dedup();
            keys.len()
        };
        let mut clusters: Vec<&ClusterName> = self
            .objects
            .iter()
            .flat_map(|change| &change.clusters)
            .collect();
        clusters.sort_unstable();
        clusters.dedup();
        format!(
            "{} added, {} changed, {} removed, on {}",
            count(of(Kind::Added), "object"),
            of(Kind::Changed),
            of(Kind::Removed),
            count(clusters.len(), "WEC"),
        )
    }
}
