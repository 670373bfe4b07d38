//! What the API gives out. The names of fields are a promise; the board behind them may change.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::find;
use crate::model::{ClusterName, Diagnostic, ObjectKey};
use crate::reconcile::browse::{Change, Text};
use crate::status::board::{
    Activity, ChangeCounts, CommitBoard, ForeignCommit, PipelineBoard, Problem,
};
use crate::status::state::ClusterState;
use crate::status::summarise::in_all;
use crate::status::waves::WaveBoard;
use crate::status::{Health, Phase, Report};

/// All phases, in the order in which [`Grid::cells`](GridRow::cells) counts them.
pub(super) const PHASES: [Phase; 12] = [
    Phase::Pending,
    Phase::Rendered,
    Phase::Published,
    Phase::Delivered,
    Phase::Applied,
    Phase::Healthy,
    Phase::Degraded,
    Phase::Held,
    Phase::Quarantined,
    Phase::Failed,
    Phase::Superseded,
    Phase::Waiting,
];

/// The most diagnostics of an answer.
const DIAGNOSTICS: usize = 200;

/// The most foreign commits that are told with a pipeline.
const FOREIGN: usize = 10;

/// The most objects that are told with a WEC: all of them are in its list of objects.
const OBJECTS: usize = 100;

/// A pipeline.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineView {
    /// Its name.
    pub name: String,
    /// Where the source is, without credentials.
    pub source: String,
    /// The branch or tag that is followed; left out for the source's HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Where results go, in words.
    pub outputs: Vec<String>,
    /// Whether a source and an inventory were read at least once since the start.
    pub ready: bool,
    /// What it is doing.
    pub activity: Activity,
    /// What keeps it from working, from its ITS or from telling a forge; left out when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Where the waves stand that have WECs, in their order; left out when all WECs get a change at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveBoard>,
    /// What somebody else committed to the generated branches, the newest first, at most 10; left out when nobody did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<ForeignCommit>,
    /// How many WECs there are.
    pub clusters: usize,
    /// How many commits are remembered.
    pub commits: usize,
    /// The newest commit; left out before there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<CommitItem>,
}

/// A commit in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitItem {
    /// Its id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
    /// Who wrote it.
    pub author: String,
    /// When it was written.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub written: Timestamp,
    /// When it was first seen here.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub seen: Timestamp,
    /// The generated commit that stands for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
    /// What it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeCounts>,
    /// One phase for all.
    pub phase: Phase,
    /// Why the commit as a whole stands there; empty when the phase says it all.
    pub why: String,
    /// Whether nothing more is waited for.
    pub over: bool,
    /// How many WECs stand where.
    pub phases: BTreeMap<Phase, usize>,
}

/// A commit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitView {
    /// What its list says of it.
    #[serde(flatten)]
    pub item: CommitItem,
    /// Whether a release would let something go: the guard's limits on removals hold it, and no newer commit took its place.
    pub releasable: bool,
    /// What a release would lift, of all that holds it.
    pub lifted_by_release: Vec<String>,
    /// What was found while rendering, the gravest first; at most 200.
    pub diagnostics: Vec<Diagnostic>,
    /// How much was found in all.
    pub diagnostics_total: usize,
    /// How long each stage took, in order.
    pub timings: Vec<Timing>,
}

/// How long a stage took.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// The stage.
    pub stage: String,
    /// Milliseconds.
    pub milliseconds: f64,
}

/// A commit on a WEC, in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterItem {
    /// The WEC.
    pub name: ClusterName,
    /// Where the commit stands there; left out for a WEC of the inventory that is no destination, such as one that the hub has not
    /// accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
    /// Why; empty when the phase says it all.
    pub why: String,
    /// Whether nothing more is waited for.
    pub over: bool,
    /// The WEC's objects that were rendered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<usize>,
    /// How many objects stay there as they were, because of an error, beside those that were rendered.
    pub kept: usize,
    /// How many objects could not be rendered.
    pub quarantined: usize,
    /// With which WECs it shares a commit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The wave that it belongs to now; left out when all WECs get a change at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
}

/// A commit on a WEC.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterView {
    /// What its list says of it.
    #[serde(flatten)]
    pub item: ClusterItem,
    /// The generated commit that holds it for the WEC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Whether a report is waited for.
    pub expects_report: bool,
    /// The last word of each reporter; each about 100 objects at most.
    pub reports: Vec<Report>,
    /// Objects that could not be rendered, and keep their last good output; at most 100.
    pub quarantined_objects: Vec<Quarantined>,
}

/// An object that could not be rendered.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// The object.
    pub object: ObjectKey,
    /// Why.
    pub why: String,
}

/// An object that a WEC got.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectItem {
    /// The object; left out for a file that holds none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// Its file below the WEC's folder; left out when it is known from a report only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is said of it; left out when nobody says anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// One sentence; may be empty.
    pub message: String,
}

/// The text of an object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileView {
    /// Its file below the WEC's folder.
    pub path: String,
    /// What is in it.
    #[serde(flatten)]
    pub content: Text,
}

/// What happened to an object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileDiff {
    /// Its file below the WEC's folder.
    pub path: String,
    /// What happened to it.
    pub change: Change,
    /// The difference, unified.
    #[serde(flatten)]
    pub content: Text,
}

/// What changed in the same way for several WECs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffGroup {
    /// The WECs.
    pub clusters: Vec<ClusterName>,
    /// How many files changed for each of them.
    pub total: usize,
    /// The first of these files.
    pub files: Vec<FileDiff>,
}

/// Commits and WECs, as small as they get: for 1,000 WECs a row is 1,000 letters.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grid {
    /// The phases that cells count, from 0.
    pub phases: Vec<Phase>,
    /// All WECs of these commits, by name: the columns.
    pub clusters: Vec<ClusterName>,
    /// The commits, the newest first: the rows.
    pub rows: Vec<GridRow>,
}

/// One row.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GridRow {
    /// What the list of commits says of it.
    #[serde(flatten)]
    pub commit: CommitItem,
    /// One character for each WEC, in the order of the columns: the number of its phase in base 36, or `-` where the commit does
    /// not know the WEC.
    pub cells: String,
}

/// A run was asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The pipeline.
    pub pipeline: String,
    /// Whether it begins from scratch.
    pub full: bool,
}

/// A commit was released.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// The pipeline.
    pub pipeline: String,
    /// The commit's whole id.
    pub commit: String,
    /// The wave that may have it before its turn; left out for the commit as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// What held it.
    pub why: String,
}

/// The board changed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// A number that grows with each change.
    pub change: u64,
}

impl PipelineView {
    /// Reads a pipeline off the board.
    pub fn new(name: &str, board: &PipelineBoard) -> Self {
        Self {
            name: name.to_owned(),
            source: board.source.clone(),
            reference: board.reference.clone(),
            outputs: board.outputs.clone(),
            ready: board.ready,
            activity: board.activity.clone(),
            problem: board.trouble().cloned(),
            waves: board
                .rollout
                .as_ref()
                .map(|rollout| rollout.waves.clone())
                .unwrap_or_default(),
            foreign: board.foreign(FOREIGN).cloned().collect(),
            clusters: board.clusters.len(),
            commits: board.commits.len(),
            latest: board.commits.front().map(|commit| CommitItem::new(commit)),
        }
    }
}

impl CommitItem {
    /// Reads a commit off the board.
    pub fn new(board: &CommitBoard) -> Self {
        let phase = board.phase();
        let own = phase == board.whole.phase() && phase != Phase::Published;
        Self {
            id: board.id.clone(),
            subject: board.subject.clone(),
            author: board.author.clone(),
            written: board.written,
            seen: board.seen,
            generated: board.generated.clone(),
            change: board.change,
            phase,
            why: if own {
                board.whole.why()
            } else if phase.is_trouble() {
                in_all(board).1
            } else {
                String::new()
            },
            over: board.is_over(),
            phases: board.phases(),
        }
    }
}

impl CommitView {
    /// Reads a commit off the board of its pipeline.
    pub fn new(board: &CommitBoard, pipeline: &PipelineBoard) -> Self {
        let timing = |(stage, milliseconds): &(String, f64)| Timing {
            stage: stage.clone(),
            milliseconds: *milliseconds,
        };
        let mut diagnostics: Vec<&Diagnostic> = board.diagnostics.iter().collect();
        diagnostics.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
        diagnostics.truncate(DIAGNOSTICS);
        Self {
            item: CommitItem::new(board),
            releasable: board.is_releasable() && find::is_newest(pipeline, board),
            lifted_by_release: board.releasable.clone(),
            diagnostics: diagnostics.into_iter().cloned().collect(),
            diagnostics_total: board.diagnostics.len(),
            timings: board.timings.iter().map(timing).collect(),
        }
    }
}

impl ClusterItem {
    /// Reads a WEC's state off the board.
    pub fn new(
        name: &ClusterName,
        state: &ClusterState,
        commit: &CommitBoard,
        pipeline: &PipelineBoard,
    ) -> Self {
        let rollout = pipeline.rollout.as_ref();
        Self {
            name: name.clone(),
            phase: Some(state.phase()),
            since: Some(state.since()),
            why: state.why(),
            over: state.is_over(),
            objects: state.objects(),
            kept: state.kept(),
            quarantined: state.quarantined().len(),
            group: commit.groups.get(name).cloned(),
            wave: rollout.and_then(|rollout| rollout.members.get(name).cloned()),
        }
    }

    /// Shows a WEC that is no destination; `why` ends a sentence.
    pub fn excluded(name: &ClusterName, why: &str) -> Self {
        Self {
            name: name.clone(),
            phase: None,
            since: None,
            why: format!("gets nothing: it {why}"),
            over: true,
            objects: None,
            kept: 0,
            quarantined: 0,
            group: None,
            wave: None,
        }
    }
}

impl ClusterView {
    /// Adds to what a list says of a WEC what else its state tells.
    pub fn new(item: ClusterItem, state: &ClusterState) -> Self {
        let quarantined = |(object, why): (&ObjectKey, &String)| Quarantined {
            object: object.clone(),
            why: why.clone(),
        };
        let mut reports: Vec<Report> = state.reports().cloned().collect();
        for report in &mut reports {
            report.objects.truncate(OBJECTS);
        }
        let first = state.quarantined().iter().take(OBJECTS);
        Self {
            item,
            revision: state.revision().map(ToOwned::to_owned),
            expects_report: state.expects_report(),
            reports,
            quarantined_objects: first.map(quarantined).collect(),
        }
    }
}

impl Grid {
    /// Reads the newest commits off the board.
    pub fn new(board: &PipelineBoard, limit: usize) -> Self {
        let newest = board.commits.iter().take(limit);
        let commits: Vec<&CommitBoard> = newest.map(AsRef::as_ref).collect();
        let known = commits.iter().flat_map(|commit| commit.clusters.keys());
        let mut clusters: Vec<ClusterName> = known.chain(&board.clusters).cloned().collect();
        clusters.sort_unstable();
        clusters.dedup();
        let row = |commit: &&CommitBoard| {
            let cell = |name| {
                commit
                    .clusters
                    .get(name)
                    .map_or('-', |state| digit(state.phase()))
            };
            GridRow {
                commit: CommitItem::new(commit),
                cells: clusters.iter().map(cell).collect(),
            }
        };
        let rows = commits.iter().map(row).collect();
        Self {
            phases: PHASES.to_vec(),
            clusters,
            rows,
        }
    }
}

/// The place of a phase among [`PHASES`], in base 36.
fn digit(phase: Phase) -> char {
    PHASES
        .iter()
        .position(|known| *known == phase)
        .and_then(|position| char::from_digit(u32::try_from(position).ok()?, 36))
        .unwrap_or('-')
}
