//! Pipelines that another replica runs, or nobody: who, and why not this one → their place on the board.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Plan, Service, lock};
use crate::api_server::Trouble;
use crate::status::board::{Activity, PipelineBoard, Problem};

/// A pipeline whose lease is not ours.
pub(super) struct Standby {
    pub(super) plan: Plan,
    /// Whose it is, as far as known.
    pub(super) holder: Option<String>,
    /// What keeps us from looking at the lease.
    pub(super) trouble: Option<Trouble>,
}

impl Service {
    /// Shows exactly these pipelines as standing by, besides those that run.
    pub(super) fn stand_by(&self, waiting: &[Standby]) {
        let running: BTreeSet<String> = lock(&self.running).keys().cloned().collect();
        let waiting = waiting
            .iter()
            .filter(|standby| !running.contains(&standby.plan.resolved.name));
        let names: BTreeSet<&str> = waiting
            .clone()
            .map(|standby| standby.plan.resolved.name.as_str())
            .collect();
        {
            let mut board = lock(&self.board);
            let pipelines = &mut board.pipelines;
            pipelines.retain(|name, known| !known.is_standby() || names.contains(name.as_str()));
            let now = Timestamp::now();
            for standby in waiting {
                let name = &standby.plan.resolved.name;
                let shown = standby.board(pipelines.get(name), now);
                pipelines.insert(name.clone(), shown);
            }
        }
        self.changed();
    }
}

impl Standby {
    fn board(&self, before: Option<&PipelineBoard>, now: Timestamp) -> PipelineBoard {
        let known = before.and_then(|board| board.problem.as_ref());
        let problem = self.trouble.as_ref().map(|trouble| Problem {
            reason: trouble.reason.to_owned(),
            message: format!("the lease cannot be looked at: {}", trouble.message),
            help: Some(trouble.help.clone()),
            since: known
                .filter(|known| known.reason == trouble.reason)
                .map_or(now, |known| known.since),
        });
        PipelineBoard {
            source: self.plan.source(),
            reference: self.plan.resolved.revision.clone(),
            outputs: self.plan.outputs(),
            activity: Activity::Standby {
                // Who holds it is not known while nobody can ask.
                holder: self.holder.clone().filter(|_| problem.is_none()),
            },
            problem,
            ..PipelineBoard::default()
        }
    }
}
