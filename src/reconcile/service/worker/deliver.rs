//! What a worker sends where: a rendering → its outputs, wave by wave where there are waves.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::destination::destination;
use super::super::fault::RunError;
use super::super::post::Parties;
use super::super::staging::{Facts, Staging};
use super::super::{lock, record};
use super::{Stages, Worker};
use crate::model::ClusterName;
use crate::reconcile::deliver::mailbox::MailboxDelivery;
use crate::reconcile::relay;
use crate::reconcile::{
    BranchDestination, DeliverError, Delivery, DeliveryOptions, Destination, Outcome, Pipeline,
    Progress as _, Rendering,
};
use crate::status::board::PipelineBoard;

/// What a run delivered.
#[derive(Default)]
pub(super) struct Sent {
    /// To branches and folders.
    pub(super) branches: Vec<Delivery>,
    /// Into mailboxes.
    pub(super) mailboxes: Vec<MailboxDelivery>,
    /// To which WECs; everything to all of them where there are no waves.
    pub(super) staging: Staging,
}

impl Sent {
    /// Why outputs hold it back, and whether a release lifts that; empty when none does.
    pub(super) fn held(&self) -> Vec<(String, bool)> {
        let branches = self.branches.iter();
        let mailboxes = self.mailboxes.iter();
        let outcomes = branches
            .map(|delivery| (&delivery.outcome, delivery.releasable))
            .chain(mailboxes.map(|delivery| (&delivery.outcome, delivery.releasable)));
        let mut held = Vec::new();
        for (outcome, releasable) in outcomes {
            if let Outcome::Held(reasons) = outcome {
                held.extend(reasons.iter().map(|reason| (reason.clone(), releasable)));
            }
        }
        held
    }

    /// Tells whether anything happened that is worth writing down.
    pub(super) fn is_news(&self) -> bool {
        let outcomes = self.branches.iter().map(|delivery| &delivery.outcome);
        let posted = self.mailboxes.iter().map(|delivery| &delivery.outcome);
        outcomes
            .chain(posted)
            .any(|outcome| *outcome != Outcome::Unchanged)
    }

    /// The WECs that an ITS did not let have all that is theirs, with the reasons.
    pub(super) fn failed(&self) -> BTreeSet<(ClusterName, &'static str)> {
        let posted = self.mailboxes.iter();
        posted
            .flat_map(|delivery| delivery.failed.clone())
            .collect()
    }

    /// The WECs that have not got all that they were to get.
    pub(super) fn unfinished(&self) -> BTreeSet<ClusterName> {
        let waiting = self.mailboxes.iter().flat_map(|delivery| &delivery.waiting);
        let waiting = waiting.map(|(cluster, _)| cluster.clone());
        let failed = self.failed().into_iter().map(|(cluster, _)| cluster);
        waiting.chain(failed).collect()
    }

    /// Tells whether works are still to be written: when a WEC has applied others, or the ITS takes them.
    pub(super) fn is_waiting(&self) -> bool {
        let mut posted = self.mailboxes.iter();
        posted.any(|delivery| !delivery.waiting.is_empty() || !delivery.failed.is_empty())
    }
}

impl Worker {
    pub(super) fn deliver(&mut self, rendering: &Rendering) -> Result<Sent, RunError> {
        let commit = rendering
            .source
            .revision
            .as_ref()
            .map(|found| found.revision.to_string());
        let mut options = DeliveryOptions {
            allow_removals: self.released.is_some() && self.released == commit,
            strict: rendering.settings.strict,
            guard: rendering.settings.guard.clone(),
            ..DeliveryOptions::default()
        };
        let mut sent = Sent::default();
        if let Some(commit) = &commit {
            sent.staging = self.stage(rendering, commit)?;
        }
        let plan = Arc::clone(&self.plan);
        for output in &plan.resolved.outputs {
            let Some((destination, login)) =
                destination(&plan, output, &self.service.options.cache)?
            else {
                continue;
            };
            options.access = self.access(login, destination.remote())?;
            if !self.is_ours() {
                return Err(RunError::LeaseLost);
            }
            options.staged = self
                .waves
                .as_ref()
                .map(|_| sent.staging.of(sent.branches.len()));
            let delivery = self.through(&destination, |memory, stages| {
                memory.deliver(rendering, &destination, &options, stages)
            })?;
            self.remade = false;
            sent.branches.push(delivery);
        }
        for post in &mut self.posts {
            let stages = Stages::new(&self.service, &self.name);
            stages.stage("mailboxes");
            let parties = Parties {
                service: &self.service,
                wake: &self.wake,
                lease: self.lease.as_ref(),
            };
            let output = sent.branches.len() + sent.mailboxes.len();
            options.staged = self.waves.as_ref().map(|_| sent.staging.of(output));
            let delivered = post.deliver(&self.name, rendering, &options, &parties)?;
            sent.mailboxes.push(delivered.ok_or(RunError::LeaseLost)?);
        }
        Ok(sent)
    }

    /// Takes a step at a destination. A relay that is damaged is made anew, and not again before something could be delivered.
    pub(super) fn through<T>(
        &mut self,
        to: &Destination,
        step: impl Fn(&mut Pipeline, &Stages<'_>) -> Result<T, DeliverError>,
    ) -> Result<T, RunError> {
        let attempt = |worker: &Self| step(&mut lock(&worker.memory), &worker.stages());
        let error = match attempt(self) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Destination::Branch(BranchDestination {
            repository,
            push: Some(_),
            ..
        }) = to
        else {
            return Err(error.into());
        };
        if self.remade || !error.is_damage() {
            return Err(error.into());
        }
        self.remade = true;
        tracing::warn!(repository = %repository.display(), "made anew: {error}");
        relay::remake(repository)?;
        Ok(attempt(self)?)
    }

    /// Decides which WECs get a commit now: all of them where there are no waves.
    pub(super) fn stage(
        &mut self,
        rendering: &Rendering,
        commit: &str,
    ) -> Result<Staging, RunError> {
        if self.waves.is_none() {
            return Ok(Staging::default());
        }
        self.opened.retain(|(opened, _)| opened == commit);
        let mut surveys = Vec::new();
        let plan = Arc::clone(&self.plan);
        for output in &plan.resolved.outputs {
            let found = destination(&plan, output, &self.service.options.cache)?;
            let Some((destination, login)) = found else {
                continue;
            };
            let options = DeliveryOptions {
                access: self.access(login, destination.remote())?,
                ..DeliveryOptions::default()
            };
            surveys.push(self.through(&destination, |memory, _| {
                memory.survey(rendering, &destination, &options)
            })?);
        }
        for post in &mut self.posts {
            let parties = Parties {
                service: &self.service,
                wake: &self.wake,
                lease: self.lease.as_ref(),
            };
            let survey = post.survey(&self.name, rendering, &parties)?;
            surveys.push(survey.ok_or(RunError::LeaseLost)?);
        }
        let board = self.service.board();
        let board = board.pipelines.get(&self.name);
        let staging = board.and_then(|board| {
            self.weigh(rendering, commit, board, |facts| {
                Staging::new(surveys, facts)
            })
        });
        Ok(staging.unwrap_or_default())
    }

    /// Lets somebody look at all that waves go by; none where there are no waves.
    pub(super) fn weigh<T>(
        &self,
        rendering: &Rendering,
        commit: &str,
        board: &PipelineBoard,
        look: impl FnOnce(&Facts<'_>) -> T,
    ) -> Option<T> {
        let waves = self.waves.as_ref()?;
        let opened = self.opened.iter().filter(|(opened, _)| opened == commit);
        let opened = opened.map(|(_, wave)| wave.clone()).collect();
        Some(look(&Facts {
            waves,
            rendering,
            board,
            commit,
            opened: &opened,
            start: self.start,
            now: Timestamp::now(),
        }))
    }

    /// Tells whether other WECs are held than were before.
    pub(super) fn is_held_anew(&self, sent: &Sent) -> bool {
        let board = self.service.board();
        let pipeline = board.pipelines.get(&self.name);
        let before = pipeline.and_then(|pipeline| pipeline.rollout.as_ref());
        before.is_some_and(|before| !before.held.keys().eq(sent.staging.rollout.held.keys()))
    }

    /// Puts on the board where the waves stand now. Tells whether one is open for which something waits.
    pub(super) fn show(&mut self, rendering: &Rendering, sent: &Sent) -> bool {
        let revision = rendering.source.revision.as_ref();
        let Some(revision) = revision.filter(|_| self.waves.is_some()) else {
            return false;
        };
        let id = revision.revision.to_string();
        let (is_free, unfinished) = (sent.held().is_empty(), sent.unfinished());
        let contents = sent.staging.contents();
        // In one step: whoever reports in between would not know what its word changes.
        let shown = self.service.update(&self.name, |board| {
            let look = |facts: &Facts<'_>| sent.staging.afterwards(&unfinished, facts);
            let after = if is_free {
                self.weigh(rendering, &id, board, look)?
            } else {
                sent.staging.rollout.clone()
            };
            board.rollout = Some(Arc::new(after.clone()));
            let commit = board.commit_mut(&id).filter(|_| is_free);
            let news = commit.is_some_and(|commit| {
                record::staged(commit, &contents, &after.held, Timestamp::now())
            });
            Some((after, news))
        });
        let Some((after, news)) = shown.flatten() else {
            return false;
        };
        if news {
            self.service.clerk.note(&self.name, &id);
        }
        self.next = after.next;
        is_free && after.held.len() < sent.staging.rollout.held.len()
    }
}
