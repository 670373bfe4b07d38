//! The board: where every pipeline, commit and WEC stands. What the API and the page show, and what statuses are made of. Pure data.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Phase;
use super::state::{ClusterState, Observation};
use super::waves::{Rollout, Waiting};
use crate::model::{ClusterName, Diagnostic};

/// The most commits that a pipeline remembers.
pub const COMMITS: usize = 50;

/// The most foreign commits that are remembered with a commit.
const FOREIGN: usize = 10;

/// Everything that a service knows.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Board {
    /// The pipelines by name.
    pub pipelines: BTreeMap<String, PipelineBoard>,
}

/// One pipeline.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineBoard {
    /// Where the source is, without credentials.
    pub source: String,
    /// The branch or tag that is followed; none for the source's HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Where results go, in words: `branch generated on https://…`.
    pub outputs: Vec<String>,
    /// Whether a source and an inventory were read at least once since the start.
    pub ready: bool,
    /// What it is doing.
    pub activity: Activity,
    /// What keeps it from working; none when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What stands between us and the ITS; meanwhile the last good inventory counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory_problem: Option<Problem>,
    /// Why a forge is not told; publishing goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_problem: Option<Problem>,
    /// Where the waves stand; none when all WECs get a change at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Arc<Rollout>>,
    /// The WECs of the inventory that was used last.
    pub clusters: Vec<ClusterName>,
    /// The newest commits, the newest first; shared, so that a copy of the board is cheap.
    pub commits: VecDeque<Arc<CommitBoard>>,
}

/// What a pipeline is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Activity {
    /// Nothing: it waits to be told, or for its interval.
    #[default]
    Idle,
    /// A stage of its work.
    Working {
        /// The stage: `read`, `place`, `transform`, `build`, `push` …
        stage: String,
        /// Since when.
        #[schemars(with = "String", extend("format" = "date-time"))]
        since: Timestamp,
    },
    /// It tries again later.
    BackingOff {
        /// When.
        #[schemars(with = "String", extend("format" = "date-time"))]
        until: Timestamp,
        /// How often it failed in a row.
        failures: u32,
    },
    /// Nothing: the lease is another replica's, or nobody's yet.
    Standby {
        /// The replica that serves the pipeline, as far as known.
        #[serde(skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    },
}

/// Something that is wrong with a pipeline as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A fixed word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Since when it is so.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

/// One source commit of one pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitBoard {
    /// Its id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
    /// Who wrote it.
    pub author: String,
    /// When it was written.
    pub written: Timestamp,
    /// When it was first seen here.
    pub seen: Timestamp,
    /// The generated commit that stands for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
    /// What it changed: files over all WECs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeCounts>,
    /// The commit as a whole: rendered, held, published, failed, superseded.
    pub whole: ClusterState,
    /// Where each WEC stands.
    pub clusters: BTreeMap<ClusterName, ClusterState>,
    /// WECs of the inventory that are no destination, with the reason as the end of a sentence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub excluded: BTreeMap<ClusterName, String>,
    /// What somebody else had committed to the generated branches when it was published, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<ForeignCommit>,
    /// By which WECs share a status, when that is configured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<ClusterName, String>,
    /// Why it is held, in as far as a release lifts that; empty when a release lifts nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releasable: Vec<String>,
    /// Mistakes in the source that no WEC stands for: what they concern stays as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mistakes: Option<Mistakes>,
    /// What was found while rendering.
    #[serde(default, skip_deserializing)]
    pub diagnostics: Vec<Diagnostic>,
    /// Milliseconds of each stage, in order.
    #[serde(default, skip_deserializing)]
    pub timings: Vec<(String, f64)>,
}

/// What somebody else committed to a generated branch: the newest of those commits, and what all of them did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignCommit {
    /// Its id.
    pub commit: String,
    /// The branch: `refs/heads/generated`.
    pub reference: String,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// When it was written.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub written: Timestamp,
    /// How many commits there are since Stellate's last one; at most 1,000 are counted.
    pub commits: usize,
    /// How many files they changed; at most 1,000 are counted.
    pub files: usize,
    /// The first of these: `changed clusters/berlin/shop/deployment.apps-web.yaml`.
    pub changes: Vec<String>,
    /// The generated commit that put it right; left out while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_right: Option<String>,
}

/// Errors of a source, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mistakes {
    /// How many.
    pub count: usize,
    /// The first, with its place.
    pub first: String,
}

/// Numbers of files over all WECs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeCounts {
    /// New.
    pub added: u64,
    /// Gone.
    pub removed: u64,
    /// Different.
    pub changed: u64,
    /// WECs for which something changed.
    pub clusters: usize,
}

impl ForeignCommit {
    /// Says what they did, in short.
    pub fn what(&self) -> String {
        match (self.changes.first(), self.files) {
            (None, _) => "changed no file".to_owned(),
            (Some(only), 1) => only.clone(),
            (Some(first), files) => format!("{first} (and {} more)", files - 1),
        }
    }
}

impl PipelineBoard {
    /// What somebody else committed to the generated branches, the newest first; as many as that.
    pub fn foreign(&self, most: usize) -> impl Iterator<Item = &ForeignCommit> {
        self.commits
            .iter()
            .flat_map(|commit| &commit.foreign)
            .take(most)
    }

    /// Tells whether it does not run here.
    pub fn is_standby(&self) -> bool {
        matches!(self.activity, Activity::Standby { .. })
    }

    /// What is wrong, that which keeps it from working first.
    pub fn trouble(&self) -> Option<&Problem> {
        let all = [&self.problem, &self.inventory_problem, &self.status_problem];
        all.into_iter().find_map(Option::as_ref)
    }
}

impl CommitBoard {
    /// Takes in what somebody else committed; it may have been found before, and not put right.
    pub fn find_foreign(&mut self, found: &[ForeignCommit]) {
        for foreign in found {
            self.foreign.retain(|known| {
                (&known.commit, &known.reference) != (&foreign.commit, &foreign.reference)
            });
            self.foreign.insert(0, foreign.clone());
        }
        self.foreign.truncate(FOREIGN);
    }

    /// Begins with nothing but an id.
    pub fn new(id: impl Into<String>, now: Timestamp) -> Self {
        Self {
            id: id.into(),
            subject: String::new(),
            author: String::new(),
            written: now,
            seen: now,
            generated: None,
            change: None,
            whole: ClusterState::new(false, now),
            clusters: BTreeMap::new(),
            excluded: BTreeMap::new(),
            foreign: Vec::new(),
            groups: BTreeMap::new(),
            releasable: Vec::new(),
            mistakes: None,
            diagnostics: Vec::new(),
            timings: Vec::new(),
        }
    }

    /// Gives one phase for all: the commit's own end, else the worst of its WECs, else that of its mistakes, else the slowest.
    pub fn phase(&self) -> Phase {
        let own = self.whole.phase();
        if matches!(
            own,
            Phase::Pending | Phase::Rendered | Phase::Held | Phase::Failed | Phase::Superseded
        ) {
            return own;
        }
        let phases = || self.clusters.values().map(ClusterState::phase);
        for bad in [
            Phase::Failed,
            Phase::Degraded,
            Phase::Held,
            Phase::Quarantined,
        ] {
            if phases().any(|phase| phase == bad) {
                return bad;
            }
        }
        if self.mistakes.is_some() {
            return Phase::Quarantined;
        }
        phases()
            .filter(|phase| *phase != Phase::Superseded)
            .min()
            .unwrap_or(self.whole.phase())
    }

    /// Tells whether a release would let something go that is held.
    pub fn is_releasable(&self) -> bool {
        self.phase() == Phase::Held && !self.releasable.is_empty()
    }

    /// Counts the WECs by where they stand.
    pub fn phases(&self) -> BTreeMap<Phase, usize> {
        let mut phases = BTreeMap::new();
        for state in self.clusters.values() {
            *phases.entry(state.phase()).or_insert(0) += 1;
        }
        phases
    }

    /// When the commit, or one of its WECs, last came to stand where it stands.
    pub fn changed(&self) -> Timestamp {
        let states = self.clusters.values().map(ClusterState::since);
        states.fold(self.whole.since(), Timestamp::max)
    }

    /// Tells whether nothing more is waited for.
    pub fn is_over(&self) -> bool {
        self.whole.is_over() && self.clusters.values().all(ClusterState::is_over)
    }

    /// Another commit took its place, but for the WECs that still wait for that one: WECs that have not come to an end do so now,
    /// and the commit with them. Tells whether any did.
    pub fn supersede(
        &mut self,
        by: &str,
        but: &BTreeMap<ClusterName, Waiting>,
        now: Timestamp,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        let observation = Observation::Superseded { by: by.to_owned() };
        let mut changed = self.whole.phase() != Phase::Superseded;
        for (name, state) in &mut self.clusters {
            // What such a WEC has is this commit's, or an older one's, and it still reports what becomes of that.
            if !but.contains_key(name) || state.revision().is_none() {
                changed |= state.observe(observation.clone(), now);
            }
        }
        if changed {
            self.whole.overtake(by, now);
        }
        changed
    }

    /// Takes in what concerns the commit and all its WECs.
    pub fn observe_all(&mut self, observation: &Observation, now: Timestamp) -> bool {
        let mut changed = self.whole.observe(observation.clone(), now);
        for state in self.clusters.values_mut() {
            changed |= state.observe(observation.clone(), now);
        }
        changed
    }
}

impl PipelineBoard {
    /// Finds a commit by its id or the beginning of it, at least 7 characters.
    pub fn commit(&self, id: &str) -> Option<&CommitBoard> {
        let fits = |commit: &&Arc<CommitBoard>| id.len() >= 7 && commit.id.starts_with(id);
        self.commits.iter().find(fits).map(AsRef::as_ref)
    }

    /// Finds a commit to change it.
    pub fn commit_mut(&mut self, id: &str) -> Option<&mut CommitBoard> {
        let found = self.commits.iter_mut().find(|commit| commit.id == id);
        found.map(Arc::make_mut)
    }

    /// Puts a commit in front; what is too old goes.
    pub fn push(&mut self, commit: CommitBoard) {
        self.commits.retain(|older| older.id != commit.id);
        self.commits.push_front(Arc::new(commit));
        self.commits.truncate(COMMITS);
    }
}
