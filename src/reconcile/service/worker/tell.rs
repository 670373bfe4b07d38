//! What a worker says of its runs: on the board, to the forges by way of the clerk, in the log and in the metrics.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use git2::Repository;
use jiff::Timestamp;

use super::super::fault::RunError;
use super::super::queue::Orders;
use super::super::record;
use super::deliver::Sent;
use super::{End, Worker};
use crate::model::{Diagnostic, Severity};
use crate::reconcile::{DeliverError, Delivery, Outcome, Rendering};
use crate::status::Phase;
use crate::status::board::{COMMITS, CommitBoard, Problem};
use crate::status::state::{Observation, short};
use crate::status::summarise::in_all;

/// How many commits before the head are asked about when nothing is known of them: as many as would have been remembered.
const FORGOTTEN: usize = COMMITS;

impl Worker {
    /// Puts the commit on the board before anything is published: its statuses say that it is being worked on. One that failed and is
    /// tried again stays failed until the outcome is another one: its new entry is given back, for then.
    pub(super) fn begin(&self, rendering: &Rendering) -> Option<CommitBoard> {
        let now = Timestamp::now();
        let group_by = self.plan.group_by.as_deref();
        let begun = self
            .service
            .update(&self.name, |board| record::begin(board, rendering, now));
        let mut commit = begun.flatten()?;
        let expects = |cluster: &_| self.service.expects(&self.name, cluster);
        record::rendered(&mut commit, rendering, group_by, expects, now);
        let errors = rendering.diagnostics.iter();
        log(
            &commit.id,
            errors.filter(|found| found.severity == Severity::Error),
        );
        let id = commit.id.clone();
        let retried = self.service.update(&self.name, |board| {
            board.ready = true;
            board.clusters = rendering.rendered.clusters.to_vec();
            let failed = board.commit(&id).map(|known| known.whole.phase()) == Some(Phase::Failed);
            if failed {
                return Some(commit);
            }
            board.push(commit);
            None
        });
        let retried = retried.flatten();
        if retried.is_none() {
            self.service.clerk.note(&self.name, &id);
        }
        retried
    }
    /// Writes down what became of the deliveries, and closes what they overtook.
    pub(super) fn written(&self, rendering: &Rendering, sent: &Sent, started: Instant) {
        let deliveries = &sent.branches;
        let Some(revision) = &rendering.source.revision else {
            self.service.update(&self.name, |board| board.ready = true);
            return;
        };
        let id = revision.revision.to_string();
        let now = Timestamp::now();
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let mut timings: Vec<(String, f64)> = rendering
            .timings
            .iter()
            .chain(deliveries.iter().flat_map(|delivery| &delivery.timings))
            .map(|(stage, time)| ((*stage).to_owned(), millis(*time)))
            .collect();
        timings.push(("all".to_owned(), millis(started.elapsed())));
        self.count(rendering, deliveries);
        let touched = self.service.update(&self.name, |board| {
            let position = board.commits.iter().position(|commit| commit.id == id)?;
            let older = board.commits.iter().skip(position + 1);
            let published = older
                .filter(|commit| commit.generated.is_some() || commit.whole.revision().is_some());
            let before: Vec<_> = published.cloned().collect();
            let held_back = &sent.staging.rollout.held;
            if let Some([(_, generated, _)]) =
                deliveries.first().map(|delivery| &delivery.commits[..])
            {
                record::stays(board, held_back, &generated.to_string(), now);
            }
            let commit = board.commit_mut(&id)?;
            commit.diagnostics.clone_from(&rendering.diagnostics);
            let mut given = BTreeSet::new();
            for delivery in deliveries {
                record::delivered(commit, &before, delivery, held_back, &mut given, now);
                commit
                    .diagnostics
                    .extend(delivery.diagnostics.iter().cloned());
            }
            for (number, delivery) in sent.mailboxes.iter().enumerate() {
                let first = number == 0 && deliveries.is_empty();
                record::posted(commit, &before, delivery, first, now);
                commit
                    .diagnostics
                    .extend(delivery.diagnostics.iter().cloned());
            }
            let mut held = sent.held();
            if deliveries.is_empty() && sent.mailboxes.is_empty() {
                held.push(("the pipeline has no output".to_owned(), false));
            }
            // What one output holds is held, whatever became of the others.
            if held.is_empty() {
                record::staged(commit, &sent.staging.contents(), held_back, now);
            } else {
                let lifted = held.iter().filter(|(_, releasable)| *releasable);
                commit.releasable = lifted.map(|(reason, _)| reason.clone()).collect();
                let reasons = held.into_iter().map(|(reason, _)| reason).collect();
                commit.observe_all(&Observation::Held(reasons), now);
            }
            commit.timings = timings;
            let phase = commit.phase();
            let why = phase.is_trouble().then(|| in_all(commit).1);
            let generated = commit.generated.clone();
            let published = commit.whole.revision().is_some();
            let touched = if published {
                record::supersede(board, &id, held_back, now)
            } else {
                Vec::new()
            };
            Some((touched, phase, why, generated))
        });
        let Some((touched, phase, why, generated)) = touched.flatten() else {
            return;
        };
        let pushed = deliveries
            .iter()
            .find_map(|delivery| delivery.pushed.clone());
        tracing::info!(
            commit = short(&id),
            generated = generated.as_deref().map(short),
            phase = phase.word(),
            why,
            to = pushed,
            milliseconds = millis(started.elapsed()).round(),
            "{}",
            if phase == Phase::Held {
                "held"
            } else {
                "delivered"
            }
        );
        let branches = deliveries.iter().map(|delivery| &delivery.diagnostics);
        let mailboxes = sent.mailboxes.iter().map(|delivery| &delivery.diagnostics);
        let found = branches.chain(mailboxes).flatten();
        log(&id, found.filter(|found| found.severity > Severity::Note));
        for commit in touched.iter().chain([&id]) {
            self.service.clerk.note(&self.name, commit);
        }
        self.service.replay(&self.name);
    }

    pub(super) fn count(&self, rendering: &Rendering, deliveries: &[Delivery]) {
        let metrics = self.service.metrics();
        let stages = rendering
            .timings
            .iter()
            .chain(deliveries.iter().flat_map(|delivery| &delivery.timings));
        for (stage, took) in stages {
            metrics.stage(&self.name, stage, *took);
        }
        for delivery in deliveries {
            let outcome = match delivery.outcome {
                Outcome::Written => "published",
                Outcome::Unchanged => "unchanged",
                Outcome::Held(_) => "held",
            };
            metrics.run(&self.name, outcome);
            if delivery.outcome == Outcome::Written && delivery.pushed.is_some() {
                metrics.push(&self.name, "pushed");
            }
        }
    }

    /// Commits that were pushed and never looked at are told by which one they were overtaken.
    pub(super) fn overtaken(&self, orders: &mut Orders, head: &str) {
        let now = Timestamp::now();
        for older in orders.heads.drain(..).filter(|older| older != head) {
            let added = self.service.update(&self.name, |board| {
                let unknown = board.commit(&older).is_none();
                if unknown {
                    let entry = record::overtaken(&older, head, now);
                    let at = board
                        .commits
                        .iter()
                        .position(|commit| commit.id == head)
                        .map_or(0, |at| at + 1);
                    board.commits.insert(at, Arc::new(entry));
                    board.commits.truncate(COMMITS);
                }
                unknown
            });
            if added == Some(true) {
                self.service.clerk.note(&self.name, &older);
            }
        }
    }

    /// Commits of which nothing is known any more, because the journal was lost, may have been left pending: the forge is asked
    /// about the nearest ones.
    pub(super) fn close_forgotten(&self, rendering: &Rendering, head: &str) {
        let Some(path) = &rendering.source.repository else {
            return;
        };
        let Ok(ancestors) = ancestors(path, head) else {
            return;
        };
        let board = self.service.board();
        let known = |id: &String| {
            let pipeline = board.pipelines.get(&self.name);
            pipeline.is_some_and(|pipeline| pipeline.commit(id).is_some())
        };
        // A commit that is known has been told about, and so has what is older.
        let forgotten: Vec<String> = ancestors.into_iter().take_while(|id| !known(id)).collect();
        let text = format!("superseded by {}", short(head));
        self.service.close(&self.name, &forgotten, &text);
    }

    /// Nothing keeps the pipeline from working.
    pub(super) fn well(&self) {
        let was = self.service.update(&self.name, |board| {
            board.ready = true;
            board.problem.take()
        });
        if let Some(problem) = was.flatten() {
            tracing::info!(reason = problem.reason, "recovered");
        }
    }

    /// Says what keeps the pipeline from working, on the board and on the commit when there is one.
    pub(super) fn failed(&self, commit: Option<&str>, error: &RunError) -> End {
        let now = Timestamp::now();
        let help = error.help();
        let message = error.to_string();
        self.service.metrics().run(&self.name, error.outcome());
        if let RunError::Deliver(DeliverError::Push(_) | DeliverError::Contended(_)) = error {
            self.service.metrics().push(&self.name, error.reason());
        }
        tracing::error!(reason = error.reason(), help, "{message}");
        self.service.update(&self.name, |board| {
            let since = match &board.problem {
                Some(known) if known.reason == error.reason() => known.since,
                _ => now,
            };
            board.problem = Some(Problem {
                reason: error.reason().to_owned(),
                message: message.clone(),
                help: help.clone(),
                since,
            });
        });
        if let Some(commit) = commit {
            let failure = Observation::Failed {
                reason: error.reason().to_owned(),
                message: match help {
                    Some(help) => format!("{message}: {help}"),
                    None => message,
                },
            };
            self.service.observe(&self.name, commit, |commit| {
                commit.observe_all(&failure, now);
            });
        }
        End::Failed
    }
}

/// Writes what was found for a commit into the log, with its place, its object and its WEC.
fn log<'a>(commit: &str, found: impl Iterator<Item = &'a Diagnostic>) {
    for found in found {
        tracing::warn!(
            commit = short(commit),
            reason = found.reason,
            "{}",
            found.line()
        );
    }
}

/// The nearest ancestors of a commit, by first parents.
fn ancestors(repository: &Path, head: &str) -> Result<Vec<String>, git2::Error> {
    let repository = Repository::open(repository)?;
    let mut commit = repository.find_commit(git2::Oid::from_str(head)?)?;
    let mut found = Vec::new();
    while found.len() < FORGOTTEN {
        let Ok(parent) = commit.parent(0) else {
            break;
        };
        found.push(parent.id().to_string());
        commit = parent;
    }
    Ok(found)
}
