//! How pipelines end: all are told at once and waited for together, and one that is gone for good leaves no status pending.
//!
//! What was delivered stays where it is; only what is said of it comes to an end.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::plan::is_same_source;
use super::{Plan, Service, lock, record};
use crate::status::board::CommitBoard;
use crate::status::forge::{CheckRun, Conclusion};
use crate::status::summarise::statuses;
use crate::status::table::check_run;
use crate::status::{CommitStatus, StatusState};

/// How long workers are waited for, all together, before the pipelines that need not wait go on.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(5);

impl Service {
    /// Has these workers stop, each after the push that it is in; gives those that have not ended in time.
    pub(super) fn end(&self, names: &[String]) -> BTreeMap<String, JoinHandle<()>> {
        let mut threads = BTreeMap::new();
        {
            let mut all = lock(&self.running);
            for name in names {
                let Some(running) = all.get_mut(name) else {
                    continue;
                };
                running.wake.ask(|orders| orders.stop = true);
                threads.extend(running.thread.take().map(|thread| (name.clone(), thread)));
            }
        }
        let until = Instant::now() + PATIENCE;
        while !threads.values().all(JoinHandle::is_finished) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let (ended, slow): (BTreeMap<_, _>, _) = threads
            .into_iter()
            .partition(|(_, thread)| thread.is_finished());
        for (name, thread) in ended {
            join(&name, thread);
        }
        for name in slow.keys() {
            tracing::warn!(pipeline = name, "it takes its time to stop");
        }
        slow
    }

    /// Closes what a pipeline that is gone for good still waits for.
    pub(super) fn withdraw(&self, name: &str) {
        let now = Timestamp::now();
        let touched = self.update(name, |board| record::withdraw(board, now));
        for commit in touched.into_iter().flatten() {
            self.clerk.note(name, &commit);
        }
    }

    /// Ends what is pending where a pipeline that is changed tells nothing any more: on commits of another source, under another name,
    /// or on another forge.
    pub(super) fn take_leave(&self, name: &str, next: &Plan) {
        let running = lock(&self.running);
        let Some(running) = running.get(name) else {
            return;
        };
        let style = &running.plan.style;
        let is_moved = !is_same_source(&running.plan.source(), &next.source());
        let is_renamed = style.context(None) != next.style.context(None);
        let text = if is_moved {
            "no longer told of: the pipeline follows another source now"
        } else {
            "no longer told of here: the pipeline tells it elsewhere now"
        };
        let board = lock(&self.board).pipelines.get(name).cloned();
        let commits = board.iter().flat_map(|board| &board.commits);
        let open: Vec<&CommitBoard> = commits
            .map(AsRef::as_ref)
            .filter(|commit| !commit.is_over())
            .collect();
        let sinks = running.sinks.iter();
        for sink in sinks.filter(|sink| is_moved || is_renamed || !sink.serves(next)) {
            for commit in &open {
                let ended = statuses(commit, style).into_iter();
                let ended = ended.map(|status| end_status(status, text));
                sink.want(&commit.id, ended.collect());
                sink.check(&commit.id, end_check(check_run(commit, style), text));
            }
        }
    }

    /// Stops all pipelines, each after the push it is in, and writes down what is known.
    pub fn stop(&self) {
        let strays = std::mem::take(&mut *lock(&self.strays));
        let mut threads: Vec<(String, JoinHandle<()>)> = strays.into_iter().collect();
        for (name, running) in lock(&self.running).iter_mut() {
            running.wake.ask(|orders| orders.stop = true);
            threads.extend(running.thread.take().map(|thread| (name.clone(), thread)));
        }
        for (name, thread) in threads {
            join(&name, thread);
        }
        // What is still to be told needs the pipelines' sinks: they go last.
        self.tell();
        self.clerk.stop();
        lock(&self.running).clear();
    }
}

/// What is pending has come to an end.
fn end_status(status: CommitStatus, text: &str) -> CommitStatus {
    match status.state {
        StatusState::Pending => CommitStatus {
            state: StatusState::Success,
            description: text.to_owned(),
            ..status
        },
        _ => status,
    }
}

fn end_check(run: CheckRun, text: &str) -> CheckRun {
    match run.conclusion {
        None => CheckRun {
            conclusion: Some(Conclusion::Neutral),
            title: text.to_owned(),
            summary: text.to_owned(),
            ..run
        },
        Some(_) => run,
    }
}

/// Waits for a worker's end.
pub(super) fn join(pipeline: &str, thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!(pipeline, "its worker had panicked");
    }
}
