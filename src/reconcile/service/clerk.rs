//! The clerk: what changed on the board is told to the sinks and written down, in its own time and coalesced.
//!
//! A panic keeps one commit from being told, for a while, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::credentials::Lookout;
use super::fault::{Panicked, caught};
use super::{Service, lock};
use crate::status::board::Problem;

/// How long changes are collected before they are told.
const PAUSE: Duration = Duration::from_millis(50);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// When a commit is told again in which telling panicked.
const AGAIN: Duration = Duration::from_secs(5);

/// What is to be told.
pub(super) struct Clerk {
    journal: PathBuf,
    notes: Mutex<Notes>,
    changed: Condvar,
    telling: Mutex<()>,
}

#[derive(Default)]
struct Notes {
    commits: BTreeSet<(String, String)>,
    /// What could not be told.
    stumbles: BTreeMap<(String, String), Stumble>,
    stopped: bool,
}

/// A commit in which telling panicked.
struct Stumble {
    problem: Problem,
    again: Instant,
}

impl Clerk {
    pub(super) fn new(journal: PathBuf) -> Self {
        Self {
            journal,
            notes: Mutex::default(),
            changed: Condvar::new(),
            telling: Mutex::default(),
        }
    }

    /// Notes that a commit of a pipeline changed.
    pub(super) fn note(&self, pipeline: &str, commit: &str) {
        lock(&self.notes)
            .commits
            .insert((pipeline.to_owned(), commit.to_owned()));
        self.changed.notify_all();
    }

    /// Waits until nobody else tells; it is ours until dropped.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.telling)
    }

    /// Takes what is to be told, and what is to be tried again.
    pub(super) fn take(&self) -> BTreeSet<(String, String)> {
        let mut notes = lock(&self.notes);
        let now = Instant::now();
        let mut taken = std::mem::take(&mut notes.commits);
        let again = notes.stumbles.iter().filter(|(_, one)| one.again <= now);
        taken.extend(again.map(|(commit, _)| commit.clone()));
        taken
    }

    /// Takes in how telling of a commit went.
    pub(super) fn told(&self, commit: (String, String), outcome: Result<(), Panicked>) {
        let mut notes = lock(&self.notes);
        let before = notes.stumbles.remove(&commit);
        let Err(panicked) = outcome else { return };
        let message = format!("telling the forges of a commit {panicked}");
        tracing::error!(pipeline = commit.0, commit = commit.1, "{message}");
        let problem = Problem {
            reason: Panicked::REASON.to_owned(),
            message,
            help: Some(format!("{}; it is tried again", Panicked::HELP)),
            since: before.map_or_else(Timestamp::now, |before| before.problem.since),
        };
        let again = Instant::now() + AGAIN;
        notes.stumbles.insert(commit, Stumble { problem, again });
    }

    /// Why a commit of a pipeline is not told, as long as one is not.
    pub(super) fn problem(&self, pipeline: &str) -> Option<Problem> {
        let notes = lock(&self.notes);
        let mut stumbles = notes.stumbles.iter();
        let found = stumbles.find(|((name, _), _)| name == pipeline);
        found.map(|(_, stumble)| stumble.problem.clone())
    }

    /// Ends the clerk's thread.
    pub(super) fn stop(&self) {
        lock(&self.notes).stopped = true;
        self.changed.notify_all();
    }

    /// The folder of a pipeline's journal.
    pub(super) fn folder(&self, pipeline: &str) -> PathBuf {
        self.journal.join(Path::new(pipeline))
    }

    /// Waits for something to tell, or for the next tick; tells whether to go on.
    fn wait(&self) -> bool {
        let notes = lock(&self.notes);
        let waited = self.changed.wait_timeout_while(notes, TICK, |notes| {
            notes.commits.is_empty() && !notes.stopped
        });
        let stopped = waited.map_or_else(
            |poisoned| poisoned.into_inner().0.stopped,
            |(notes, _)| notes.stopped,
        );
        !stopped
    }
}

/// Starts the clerk's thread, which ends with the service.
pub(super) fn start(service: &Arc<Service>) {
    let weak = Arc::downgrade(service);
    std::thread::spawn(move || {
        let mut lookout = Lookout::default();
        while let Some(service) = weak.upgrade() {
            if !service.clerk.wait() {
                return;
            }
            std::thread::sleep(PAUSE);
            service.tell();
            step("looking at credentials", || {
                service.look_at_credentials(&mut lookout);
            });
        }
    });
}

/// Takes a step that concerns all pipelines; a panic in it ends the step, which comes again.
pub(super) fn step(name: &str, step: impl FnOnce()) {
    if let Err(panicked) = caught(step) {
        tracing::error!(help = Panicked::HELP, "{name} {panicked}");
    }
}
