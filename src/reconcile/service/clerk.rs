//! The clerk: what changed on the board is told to the sinks and written down, in its own time and coalesced.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::credentials::Lookout;
use super::{Service, lock};

/// How long changes are collected before they are told.
const PAUSE: Duration = Duration::from_millis(50);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);

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
    stopped: bool,
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

    /// Takes what is to be told.
    pub(super) fn take(&self) -> BTreeSet<(String, String)> {
        std::mem::take(&mut lock(&self.notes).commits)
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
            service.look_at_credentials(&mut lookout);
        }
    });
}
