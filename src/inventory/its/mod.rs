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

use jiff::Timestamp;
use tokio::sync::watch::{self, Receiver, Sender};
use tokio_util::task::AbortOnDropHandle;

use crate::api_server::{Connection, Event, Listener, Pace, Place, Problem, Right, follow};
use crate::inventory::Inventory;
use crate::model::Diagnostic;

mod index;
mod registration;

use index::Index;
pub use registration::{Registration, registrations};

/// The namespace of the property ConfigMaps, each named after its WEC.
pub const PROPERTIES_NAMESPACE: &str = "customization-properties";

/// What a feed asks of the ITS. The right to list is for servers that serve no streaming lists.
pub const RIGHTS: [Right; 2] = [
    Right {
        place: Place::Everywhere,
        group: "cluster.open-cluster-management.io",
        resource: "managedclusters",
        verbs: &["list", "watch"],
    },
    Right {
        place: Place::Namespace(PROPERTIES_NAMESPACE),
        group: "",
        resource: "configmaps",
        verbs: &["list", "watch"],
    },
];

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
    let listener = Teller {
        index: Index::default(),
        sender,
    };
    let task = tokio::spawn(follow(connection, index::kinds().to_vec(), pace, listener));
    Feed {
        receiver,
        _task: AbortOnDropHandle::new(task),
    }
}

/// Tells the newest inventory when it is another one.
struct Teller {
    index: Index,
    sender: Sender<Known>,
}

impl Listener for Teller {
    fn event(&mut self, kind: usize, event: Event) {
        self.index.apply(kind, event);
    }

    fn has_news(&self) -> bool {
        self.index.has_changed()
    }

    fn in_sync(&mut self) {
        let fresh = self.index.has_changed().then(|| self.index.inventory());
        self.sender.send_if_modified(|known| {
            let mut told = !known.synced || known.problem.is_some();
            known.synced = true;
            known.problem = None;
            if let Some((inventory, diagnostics)) = fresh {
                if known.inventory.as_deref() != Some(&inventory) {
                    known.inventory = Some(Arc::new(inventory));
                    known.generation += 1;
                    told = true;
                }
                if *known.diagnostics != diagnostics[..] {
                    known.diagnostics = diagnostics.into();
                    told = true;
                }
            }
            told
        });
    }

    fn out_of_sync(&mut self, problem: Problem) {
        self.sender.send_if_modified(|known| {
            let told = known.synced || known.problem.as_ref() != Some(&problem);
            known.synced = false;
            known.problem = Some(problem);
            told
        });
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
