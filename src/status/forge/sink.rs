//! The worker of one repository on one forge: what is wanted comes in at any time, and goes out one request after another.
//!
//! `want` never waits and never fails. What goes out when is decided by [`Desk`]; here are only the clock, the lock and the wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

use super::budget::{Budget, Clock, Limits};
use super::desk::{Counters, Desk, Job, LIMITED_WAIT, Next, Outcome};
use super::error::ForgeError;
use super::{CheckRun, Forge, ForgeConfig, ForgeLogin};
use crate::model::api::pipeline::ForgeKind;
use crate::status::CommitStatus;

/// What all sinks with one credential share: one request at a time, and one budget.
pub struct Lane {
    budget: Mutex<Budget>,
    turn: Semaphore,
    start: Instant,
}

/// The lanes of a process, one for each credential on each host.
#[derive(Default)]
pub struct Lanes(Mutex<BTreeMap<(String, ForgeLogin), Arc<Lane>>>);

/// Tells one repository of a forge. Dropping it ends the worker; [`Sink::idle`] first lets it finish.
pub struct Sink {
    shared: Arc<Shared>,
    worker: JoinHandle<()>,
}

struct Shared {
    config: ForgeConfig,
    lane: Arc<Lane>,
    desk: Mutex<Desk>,
    wake: Notify,
    /// Whether nothing is left to do. Changes only while the desk is locked.
    idle: watch::Sender<bool>,
}

impl Lane {
    /// A lane on which nothing was sent yet.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            budget: Mutex::new(Budget::new(limits)),
            turn: Semaphore::new(1),
            start: Instant::now(),
        })
    }

    fn now(&self) -> Clock {
        self.start.elapsed()
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    /// The lane of whoever posts here. The first to ask for it says how much may be posted in a minute.
    pub fn of(&self, config: &ForgeConfig, max_per_minute: Option<u32>) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let credential = (config.api.clone(), config.login.clone());
        let limits = Limits::of(config.kind, &config.api, max_per_minute);
        Arc::clone(lanes.entry(credential).or_insert_with(|| Lane::new(limits)))
    }
}

impl Sink {
    /// Starts the worker.
    pub fn start(config: ForgeConfig, lane: Arc<Lane>, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk::new(config.cap())),
            lane,
            wake: Notify::new(),
            idle: watch::Sender::new(true),
            config,
        });
        let forge = Forge::new(shared.config.clone());
        let worker = runtime.spawn(work(Arc::clone(&shared), forge));
        Self { shared, worker }
    }

    /// Replaces what is wanted of a commit. Only what the forge does not have yet is posted.
    pub fn want(&self, sha: &str, statuses: Vec<CommitStatus>) {
        let fitting = statuses
            .into_iter()
            .map(|status| self.shared.config.fit(status))
            .collect();
        self.shared.change(|desk| desk.want(sha, fitting));
    }

    /// Replaces the check run that is wanted of a commit; nothing happens where none can be written.
    pub fn want_check(&self, sha: &str, run: CheckRun) {
        if self.shared.config.has_checks() {
            self.shared.change(|desk| desk.want_check(sha, run));
        }
    }

    /// Replaces the comment that is wanted on a pull request, which is found again by its marker.
    pub fn want_comment(&self, pull: u64, marker: &str, markdown: String) {
        self.shared
            .change(|desk| desk.want_comment(pull, marker, markdown));
    }

    /// Closes what a commit was left with: reads its statuses, and ends those pending ones whose names `owns` knows with this text.
    pub fn close(&self, sha: &str, owns: impl Fn(&str) -> bool + Send + 'static, text: &str) {
        self.shared
            .change(|desk| desk.close(sha, Box::new(owns), text));
    }

    /// Tries again at once what failed: a credential was changed.
    pub fn retry(&self) {
        self.shared.change(Desk::retry);
    }

    /// Waits until nothing is left to do; tells whether that came to pass in time.
    pub async fn idle(&self, timeout: Duration) -> bool {
        let mut idle = self.shared.idle.subscribe();
        let wait = idle.wait_for(|idle| *idle);
        tokio::time::timeout(timeout, wait)
            .await
            .is_ok_and(|end| end.is_ok())
    }

    /// Whom it tells, and as whom.
    pub fn config(&self) -> &ForgeConfig {
        &self.shared.config
    }

    /// Tells whether nothing is left to do.
    pub fn is_idle(&self) -> bool {
        *self.shared.idle.borrow()
    }

    /// The forge that is told.
    pub fn kind(&self) -> ForgeKind {
        self.shared.config.kind
    }

    /// How much waits and how it went.
    pub fn counters(&self) -> Counters {
        let now = self.shared.lane.now();
        let desk = self.shared.desk();
        desk.counters(now, &self.shared.lane.budget())
    }

    /// Why the forge is not told, as long as that is so.
    pub fn problem(&self) -> Option<ForgeError> {
        self.shared.desk().problem().cloned()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Desk)) {
        let mut desk = self.desk();
        change(&mut desk);
        self.idle.send_replace(false);
        drop(desk);
        self.wake.notify_one();
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what to do, and takes it from the budget.
    fn next(&self) -> Next {
        let now = self.lane.now();
        let mut desk = self.desk();
        let mut budget = self.lane.budget();
        let next = desk.next(now, &budget);
        match &next {
            // A question creates nothing, so it is not counted.
            Next::Do(Job::List { .. }) | Next::At(_) => {}
            Next::Do(_) => budget.spend(now),
            Next::Idle => {
                self.idle.send_replace(true);
            }
        }
        next
    }

    fn done(&self, job: &Job, outcome: Outcome) {
        let now = self.lane.now();
        if let Err(error) = &outcome {
            if let ForgeError::Limited { retry_after, .. } = error {
                // The limit is the credential's, not the repository's.
                let until = now + retry_after.unwrap_or(LIMITED_WAIT);
                self.lane.budget().hold(until);
            }
            tracing::warn!(
                reason = error.reason(),
                repository = self.config.repository,
                "a commit status was not posted: {error}"
            );
        }
        self.desk().done(job, outcome, now);
    }
}

async fn work(shared: Arc<Shared>, forge: Forge) {
    loop {
        // Who waits longest has the next turn, among all that share the credential.
        let Ok(turn) = shared.lane.turn.acquire().await else {
            return;
        };
        match shared.next() {
            Next::Do(job) => {
                let outcome = perform(&forge, &job).await;
                shared.done(&job, outcome);
            }
            Next::At(until) => {
                drop(turn);
                let wait = until.saturating_sub(shared.lane.now());
                // A change may be more urgent than what waits.
                drop(tokio::time::timeout(wait, shared.wake.notified()).await);
            }
            Next::Idle => {
                drop(turn);
                shared.wake.notified().await;
            }
        }
    }
}

async fn perform(forge: &Forge, job: &Job) -> Outcome {
    match job {
        Job::List { sha } => forge.list(sha).await,
        Job::Post { sha, status } => forge.post(sha, status).await.map(|()| Vec::new()),
        Job::Check { sha, run } => forge.set_check(sha, run).await.map(|()| Vec::new()),
        Job::Comment {
            pull,
            marker,
            markdown,
        } => forge
            .set_comment(*pull, marker, markdown)
            .await
            .map(|()| Vec::new()),
    }
}
