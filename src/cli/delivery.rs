//! What a delivery did, for people and for programs. Pure.

use std::time::Duration;

use serde::Serialize;

use super::table::{Table, count, duration, grouped};
use super::terminal::Styles;
use crate::model::{ClusterName, Diagnostic};
use crate::output::branch::change::FileChange;
use crate::reconcile::{ClusterSummary, Delivery, Destination, Outcome, Rendering};

/// The most WECs that a table shows.
const ROWS: usize = 60;

/// A delivery in numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// `written`, `unchanged` or `held`.
    outcome: &'static str,
    /// Why it is held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held_because: Vec<String>,
    /// Whether a release lifts that.
    #[serde(skip)]
    releasable: bool,
    /// Where it goes.
    destination: String,
    /// The source and its commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_commit: Option<String>,
    /// The branches.
    commits: Vec<CommitReport>,
    /// The remote that was pushed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<String>,
    /// The WECs.
    clusters: Vec<ClusterReport>,
    /// Files over all WECs.
    files: usize,
    /// Different texts among them.
    distinct: usize,
    /// What was found, while rendering and while delivering.
    diagnostics: Vec<Diagnostic>,
}

/// A branch in a delivery.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CommitReport {
    reference: String,
    commit: String,
    new: bool,
}

/// A WEC in a delivery.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterReport {
    name: ClusterName,
    objects: usize,
    /// Objects whose text is not the same on all WECs that get them.
    customised: usize,
    added: usize,
    removed: usize,
    changed: usize,
    /// `new`, `changed`, `unchanged`, `emptied`, `gone` or `held`.
    state: &'static str,
    /// Objects that could not be rendered.
    quarantined: usize,
    /// Objects that stay as they were beside those that were rendered, because of an error; they are among the objects.
    kept: usize,
}

impl Report {
    /// Counts.
    pub(super) fn new(
        rendering: &Rendering,
        delivery: &Delivery,
        destination: &Destination,
    ) -> Self {
        let summary = rendering.summary();
        let (outcome, held_because) = match &delivery.outcome {
            Outcome::Written => ("written", Vec::new()),
            Outcome::Unchanged => ("unchanged", Vec::new()),
            Outcome::Held(reasons) => ("held", reasons.clone()),
        };
        let revision = rendering.source.revision.as_ref();
        let commits = delivery.commits.iter();
        let commits = commits.map(|(reference, commit, new)| CommitReport {
            reference: reference.clone(),
            commit: commit.to_string(),
            new: *new,
        });
        let diagnostics = rendering.diagnostics.iter().chain(&delivery.diagnostics);
        Self {
            outcome,
            held_because,
            releasable: delivery.releasable,
            destination: destination_text(destination),
            source_commit: revision.map(|found| found.revision.to_string()),
            commits: commits.collect(),
            pushed: delivery.pushed.clone(),
            clusters: clusters(summary.clusters, delivery),
            files: summary.files + delivery.kept.values().sum::<usize>(),
            distinct: summary.distinct,
            diagnostics: diagnostics.cloned().collect(),
        }
    }

    /// Tells whether the guard holds it.
    pub(super) fn is_held(&self) -> bool {
        self.outcome == "held"
    }

    /// Writes a row for each WEC: those that change first to be shown when there are many.
    pub(super) fn table(&self, styles: &Styles) -> String {
        let head = [
            "WEC",
            "OBJECTS",
            "CUSTOMISED",
            "ADDED",
            "CHANGED",
            "REMOVED",
            "STATE",
        ];
        let mut table = Table::new(&head).numbers(&[1, 2, 3, 4, 5]);
        for cluster in self.clusters.iter().take(ROWS) {
            let numbers = [
                cluster.objects,
                cluster.customised,
                cluster.added,
                cluster.changed,
                cluster.removed,
            ];
            let state = match cluster.quarantined.max(cluster.kept) {
                0 => cluster.state.to_owned(),
                number => format!(
                    "{}, {number} not rendered: what was there stays",
                    cluster.state
                ),
            };
            let cells = std::iter::once(cluster.name.to_string());
            table.row(
                cells
                    .chain(numbers.map(|number| number.to_string()))
                    .chain([state]),
            );
        }
        let mut text = table.text(styles);
        if self.clusters.len() > ROWS {
            put!(
                text,
                "… and {} more; -o json lists all\n",
                self.clusters.len() - ROWS
            );
        }
        text
    }

    /// Says what came of it: the commit, where it was pushed, how long it took; or why it is held.
    pub(super) fn last_line(&self, time: Duration, styles: &Styles) -> String {
        if self.is_held() {
            return self.held_line(styles);
        }
        let good = styles.good;
        let clusters = self.clusters.iter().filter(|wec| wec.state != "gone");
        let from = self
            .source_commit
            .as_deref()
            .and_then(|commit| commit.get(..12));
        let from = from
            .map(|commit| format!(" from {commit}"))
            .unwrap_or_default();
        let noted = self.outcome == "written" && self.commits.iter().all(|commit| !commit.new);
        let outcome = if noted && !self.commits.is_empty() {
            "unchanged, noted for the new source commit:"
        } else {
            self.outcome
        };
        format!(
            "{good}{outcome}{good:#} {}{from}: {} for {}, {} distinct, in {}",
            self.place(),
            count(self.files, "file"),
            count(clusters.count(), "WEC"),
            grouped(self.distinct),
            duration(time)
        )
    }

    fn held_line(&self, styles: &Styles) -> String {
        let (error, note) = (styles.error, styles.note);
        let reasons = self.held_because.iter();
        let reasons: String = reasons
            .map(|reason| format!("{error}held{error:#}: {reason}\n"))
            .collect();
        let hint = if self.releasable {
            "nothing was written; if it is meant, add --allow-removals, or the trailer \
             `Stellate-Allow-Removals: yes` to the source commit"
        } else {
            "nothing was written; mend what is said above, nothing else releases it"
        };
        format!("{reasons}{note}hint{note:#}: {hint}\n")
    }

    /// Where it is now: the branch with its commit, or how many branches moved, and the remote that has them.
    fn place(&self) -> String {
        let here = match self.commits.as_slice() {
            [] => return self.destination.clone(),
            [only] => format!("{} {}", short_name(&only.reference), &only.commit[..12]),
            several => {
                let new = several.iter().filter(|commit| commit.new).count();
                format!(
                    "{} of {} branches moved",
                    grouped(new),
                    grouped(several.len())
                )
            }
        };
        match &self.pushed {
            Some(remote) => format!("{here} on {remote}"),
            None => here,
        }
    }

    /// The commit of a delivery to one branch.
    pub(super) fn commit(&self) -> Option<&str> {
        self.commits.first().map(|commit| commit.commit.as_str())
    }
}

/// The WECs by name, with what changes for each; those that are no more are among them.
fn clusters(rendered: Vec<ClusterSummary>, delivery: &Delivery) -> Vec<ClusterReport> {
    let rendered = rendered.into_iter().map(|cluster| {
        let kept = delivery.kept.get(&cluster.name).copied().unwrap_or(0);
        ClusterReport {
            objects: cluster.objects + kept,
            customised: cluster.customised,
            quarantined: cluster.quarantined,
            kept,
            ..ClusterReport::new(cluster.name, "unchanged")
        }
    });
    let mut clusters: Vec<ClusterReport> = rendered.collect();
    for (name, files) in &delivery.change.clusters {
        let found = clusters.binary_search_by(|cluster| cluster.name.cmp(name));
        let position = found.unwrap_or_else(|position| {
            clusters.insert(position, ClusterReport::new(name.clone(), "gone"));
            position
        });
        clusters[position].count(files.values());
    }
    for (name, files) in &delivery.change.fresh {
        let found = clusters.binary_search_by(|cluster| cluster.name.cmp(name));
        if let Some(cluster) = found.ok().and_then(|position| clusters.get_mut(position)) {
            cluster.added = usize::try_from(*files).unwrap_or(usize::MAX);
            cluster.state = "new";
        }
    }
    if matches!(delivery.outcome, Outcome::Held(_)) {
        let changing = clusters.iter_mut().filter(|wec| wec.state != "unchanged");
        changing.for_each(|cluster| cluster.state = "held");
    }
    clusters
}

impl ClusterReport {
    /// A WEC with nothing on it.
    fn new(name: ClusterName, state: &'static str) -> Self {
        Self {
            name,
            objects: 0,
            customised: 0,
            added: 0,
            removed: 0,
            changed: 0,
            state,
            quarantined: 0,
            kept: 0,
        }
    }

    fn count<'a>(&mut self, files: impl Iterator<Item = &'a FileChange>) {
        for file in files {
            match file {
                FileChange::Added(_) => self.added += 1,
                FileChange::Removed(_) => self.removed += 1,
                FileChange::Changed(..) => self.changed += 1,
            }
        }
        if self.state == "gone" {
            return;
        }
        self.state = if self.objects == 0 && self.removed > 0 {
            "emptied"
        } else if self.added == self.objects && self.changed + self.removed == 0 {
            "new"
        } else {
            "changed"
        };
    }
}

/// Says where a delivery goes.
pub(super) fn destination_text(destination: &Destination) -> String {
    match destination {
        Destination::Folder(folder) => format!("folder {}", folder.display()),
        Destination::Branch(branch) => match &branch.push {
            Some(url) => format!("branch {} on {}", branch.name, url.redacted()),
            None => format!("branch {}", branch.name),
        },
    }
}

fn short_name(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}
