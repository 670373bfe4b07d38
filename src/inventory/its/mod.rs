//! The inventory as an ITS holds it: ManagedClusters and property ConfigMaps, watched.
//!
//! ```text
//! API server ── watch ──▶ Index (pure) ── 50 ms ──▶ files::read ──▶ Known: the last good Inventory, and what is wrong
//! ```
//!
//! A snapshot counts only when every watch is in sync. What goes wrong afterwards takes nothing away: the last good
//! inventory stays, and [`Known::problem`] says since when and why. An inventory equal to the last one is not told again.
//! A WEC is what `files` makes of the same manifest, but for one thing: a hub that does not say `hubAcceptsClient` says no.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch::{self, Receiver};
use tokio_util::task::AbortOnDropHandle;

use crate::api_server::{ConnectError, Connection, Trouble};
use crate::inventory::Inventory;
use crate::model::Diagnostic;

mod index;
mod registration;
mod session;

pub use registration::{Registration, registrations};

/// The namespace of the property ConfigMaps, each named after its WEC.
pub const PROPERTIES_NAMESPACE: &str = "customization-properties";

/// What is known of an ITS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The last good inventory; none before the first one.
    pub inventory: Option<Arc<Inventory>>,
    /// Counts the inventories from 1; 0 before the first one.
    pub generation: u64,
    /// Whether the inventory is what the ITS holds now; else it is what it held when it was last heard of.
    pub synced: bool,
    /// What stands between us and the ITS.
    pub problem: Option<Problem>,
    /// What is wrong inside the inventory; an error means that a WEC may be missing from it.
    pub diagnostics: Arc<[Diagnostic]>,
}

/// What stands between us and the ITS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A fixed word for programs and metrics.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Since when.
    pub since: Timestamp,
}

impl Problem {
    fn new(trouble: Trouble, since: Timestamp) -> Self {
        let Trouble {
            reason,
            message,
            help,
        } = trouble;
        Self {
            reason,
            message,
            help,
            since,
        }
    }
}

/// A failed connection is a problem like any other.
impl From<&ConnectError> for Trouble {
    fn from(error: &ConnectError) -> Self {
        Self {
            reason: error.reason(),
            message: error.to_string(),
            help: error.help(),
        }
    }
}

/// How patient a feed is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long changes are gathered before they are told.
    pub gather: Duration,
    /// How long one watch lasts before it is asked for again: within this time, and a little, a silent connection is
    /// noticed, and so are rights that were taken away.
    pub watch: Duration,
    /// The longest wait before the ITS is tried again.
    pub most_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(50),
            watch: Duration::from_mins(1),
            most_wait: Duration::from_secs(15),
        }
    }
}

/// The inventory of an ITS as it changes. Dropping it ends the watches.
#[derive(Debug)]
pub struct Feed {
    /// The newest state; earlier ones may be skipped.
    pub receiver: Receiver<Known>,
    _task: AbortOnDropHandle<()>,
}

/// Watches an ITS, for as long as the feed is held. Must be called inside a tokio runtime.
pub fn watch(connection: Connection) -> Feed {
    watch_at(connection, Pace::default())
}

/// Watches an ITS at another pace.
pub fn watch_at(connection: Connection, pace: Pace) -> Feed {
    let (sender, receiver) = watch::channel(Known::default());
    let task = tokio::spawn(session::run(connection, pace, sender));
    Feed {
        receiver,
        _task: AbortOnDropHandle::new(task),
    }
}

/// Reads an ITS once.
///
/// # Errors
/// The first thing that stands between us and the ITS.
pub async fn read(connection: Connection) -> Result<Known, Problem> {
    let mut feed = watch(connection);
    let heard = feed
        .receiver
        .wait_for(|known| known.synced || known.problem.is_some())
        .await;
    match heard {
        Ok(known) if known.synced => Ok(known.clone()),
        Ok(known) => Err(known.problem.clone().unwrap_or_else(ended)),
        Err(_) => Err(ended()),
    }
}

/// The task that watches never ends by itself.
fn ended() -> Problem {
    Problem {
        reason: "Ended",
        message: "the watch of the ITS has ended".to_owned(),
        help: "try again".to_owned(),
        since: Timestamp::now(),
    }
}

#[cfg(test)]
mod tests;
