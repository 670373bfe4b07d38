//! Deliveries in waves: what each output would change, and what the board knows of the WECs → who gets it now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::ClusterName;
use crate::reconcile::{Rendering, Staged, Survey};
use crate::status::board::PipelineBoard;
use crate::status::state::ClusterState;
use crate::status::waves::{Condition, Rollout, Site, Waves};

/// What all outputs of a pipeline would change, and which WECs get it now.
#[derive(Clone, Debug, Default)]
pub(super) struct Staging {
    /// By output: branches and folders first, then mailboxes.
    surveys: Vec<Survey>,
    /// Which waves are open.
    pub(super) rollout: Rollout,
}

/// What is known beside the outputs.
pub(super) struct Facts<'a> {
    pub(super) waves: &'a Waves,
    pub(super) rendering: &'a Rendering,
    pub(super) board: &'a PipelineBoard,
    /// The source commit.
    pub(super) commit: &'a str,
    /// The waves that somebody let go first.
    pub(super) opened: &'a BTreeSet<String>,
    /// Since when the WECs are listened to.
    pub(super) start: Timestamp,
    pub(super) now: Timestamp,
}

impl Staging {
    /// Decides who gets what the outputs would change.
    pub(super) fn new(surveys: Vec<Survey>, facts: &Facts<'_>) -> Self {
        let mut staging = Self {
            surveys,
            rollout: Rollout::default(),
        };
        let pending = staging.surveys.iter().flat_map(|survey| &survey.pending);
        staging.rollout = facts.rollout(&pending.collect(), &staging.contents());
        staging
    }

    /// Where the waves stand once everything went out that may, but to WECs that are `unfinished`.
    pub(super) fn afterwards(
        &self,
        unfinished: &BTreeSet<ClusterName>,
        facts: &Facts<'_>,
    ) -> Rollout {
        let pending = self.rollout.held.keys().chain(unfinished);
        facts.rollout(&pending.collect(), &self.contents())
    }

    /// What one output is to do.
    pub(super) fn of(&self, output: usize) -> Staged {
        let held = self.rollout.held.iter();
        let survey = self.surveys.get(output);
        Staged {
            held: held
                .map(|(name, waiting)| (name.clone(), waiting.wave.clone()))
                .collect(),
            whole: survey
                .map(|survey| survey.change.clone())
                .unwrap_or_default(),
        }
    }

    /// What tells the bytes that a WEC is to have, over all outputs, from others.
    pub(super) fn contents(&self) -> BTreeMap<ClusterName, String> {
        let mut contents: BTreeMap<ClusterName, String> = BTreeMap::new();
        for (name, content) in self.surveys.iter().flat_map(|survey| &survey.contents) {
            let all = contents.entry(name.clone()).or_default();
            if !all.is_empty() {
                all.push('+');
            }
            all.push_str(content);
        }
        contents
    }
}

impl Facts<'_> {
    fn rollout(
        &self,
        pending: &BTreeSet<&ClusterName>,
        contents: &BTreeMap<ClusterName, String>,
    ) -> Rollout {
        let rendered = self.board.commit(self.commit);
        let mut sites = BTreeMap::new();
        for name in self.rendering.rendered.clusters.iter() {
            let Some(position) = self.rendering.inventory.position(name.as_str()) else {
                continue;
            };
            let cluster = &self.rendering.inventory.clusters[position];
            let mut condition = Condition::of(
                rendered.and_then(|commit| commit.clusters.get(name)),
                stands(self.board, name),
                contents.get(name).map(String::as_str),
                self.start,
            );
            if cluster.available == Some(false) && condition != Condition::Empty {
                condition = Condition::Ailing {
                    why: "it is unavailable".to_owned(),
                    given: stands(self.board, name).and_then(ClusterState::given),
                };
            }
            let site = Site {
                wave: self.waves.of(&cluster.labels),
                pending: pending.contains(name),
                condition,
            };
            sites.insert(name.clone(), site);
        }
        self.waves.decide(&sites, self.opened, self.now)
    }
}

/// Tells whether a WEC is healthy with what it was given last.
pub(super) fn is_healthy(board: &PipelineBoard, name: &ClusterName) -> bool {
    stands(board, name).is_some_and(|state| state.healthy().is_some())
}

/// The state of what a WEC was given last, whichever commit gave it.
fn stands<'b>(board: &'b PipelineBoard, name: &ClusterName) -> Option<&'b ClusterState> {
    let states = board
        .commits
        .iter()
        .filter_map(|commit| commit.clusters.get(name));
    states.into_iter().find(|state| state.revision().is_some())
}
