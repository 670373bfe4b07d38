//! The watches themselves: events from the API server, told to an [`Index`], and everything that can go wrong between.
//!
//! ```text
//! connect ─▶ watch both ─▶ trouble ─▶ wait ─▶ connect …      what was known stays known
//! ```
//!
//! A watch that merely ends is asked for again where it stopped, and a resource version that has expired leads to a new
//! listing; kube does both. Anything else ends the session: the next one reads the credentials anew and lists anew.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Config, watcher};
use kube::{Client, core::Status};
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep, sleep_until};

use super::index::{Event, Index, WATCHED, Watched};
use super::{Known, PROPERTIES_NAMESPACE, Pace, Problem};
use crate::api_server::{Connection, Trouble, connect_patiently};
use crate::model::api::{ApiObject, ManagedCluster};

/// Above the length of a watch: silence for longer means that the connection is dead.
const MARGIN: Duration = Duration::from_secs(10);

/// A server that does not know streaming lists may hold such a watch open and never finish the list.
const FIRST_LIST: Duration = Duration::from_secs(30);

/// The first wait after a failure.
const LEAST_WAIT: Duration = Duration::from_millis(200);

/// Watches for ever.
pub(super) async fn run(connection: Connection, pace: Pace, sender: Sender<Known>) {
    let mut session = Session {
        index: Index::default(),
        streaming: true,
        pace,
        sender,
        failed: None,
        failures: 0,
    };
    loop {
        let end = session.one(&connection).await;
        let wait = session.fail(end);
        sleep(wait).await;
    }
}

/// Why a session ended.
enum End {
    /// The server serves no streaming lists.
    NoStreaming,
    /// Something else.
    Trouble(Trouble),
}

struct Session {
    index: Index,
    /// Whether lists are asked for as streams; never again once the server refused.
    streaming: bool,
    pace: Pace,
    sender: Sender<Known>,
    /// Since when nothing works.
    failed: Option<Timestamp>,
    /// How often in a row.
    failures: u32,
}

impl Session {
    /// Watches until something goes wrong.
    async fn one(&mut self, connection: &Connection) -> End {
        let client = match connect_patiently(connection, self.pace.watch + MARGIN).await {
            Ok(client) => client,
            Err(error) => return End::Trouble(Trouble::from(&error)),
        };
        let mut config = Config::default().timeout(seconds(self.pace.watch));
        if self.streaming {
            config = config.streaming_lists();
        }
        let events = WATCHED.map(|watched| events(&client, watched, config.clone()));
        let mut events = stream::select_all(events);
        let mut synced = [false; WATCHED.len()];
        let patience = Instant::now() + FIRST_LIST;
        let mut due = None;
        loop {
            let in_sync = synced.iter().all(|synced| *synced);
            tokio::select! {
                biased;
                () = until(due) => {
                    due = None;
                    self.publish();
                }
                () = sleep_until(patience), if self.streaming && !in_sync => return End::NoStreaming,
                event = events.next() => match event {
                    Some((watched, Ok(event))) => {
                        synced[watched as usize] |= matches!(event, Event::Synced);
                        self.index.apply(watched, event);
                    }
                    // The watcher lists anew by itself.
                    Some((_, Err(error))) if is_expired(&error) => {}
                    Some((watched, Err(error))) => {
                        let listed = synced[watched as usize];
                        return self.end(&error, listed);
                    }
                    None => return End::Trouble(Trouble::said(&Status::default())),
                },
            }
            let in_sync = synced.iter().all(|synced| *synced) && self.index.is_synced();
            if in_sync && due.is_none() && (self.index.has_changed() || self.failed_or_new()) {
                due = Some(Instant::now() + self.pace.gather);
            }
        }
    }

    /// Whether those who listen do not know yet that all is well.
    fn failed_or_new(&self) -> bool {
        self.failures > 0 || !self.sender.borrow().synced
    }

    /// Tells the newest inventory, when it is another one.
    fn publish(&mut self) {
        // A watch may have lost its place since; its list comes first.
        if !self.index.is_synced() {
            return;
        }
        self.failed = None;
        self.failures = 0;
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

    fn end(&self, error: &watcher::Error, listed: bool) -> End {
        if self.streaming && !listed && refuses_streaming(error) {
            return End::NoStreaming;
        }
        End::Trouble(trouble(error))
    }

    /// Takes note of a failure; gives how long to wait.
    ///
    /// The first failure after all was well is not told at once: a server that is replaced closes its connections, and
    /// the next attempt finds its successor.
    fn fail(&mut self, end: End) -> Duration {
        let trouble = match end {
            End::NoStreaming => {
                self.streaming = false;
                return Duration::ZERO;
            }
            End::Trouble(trouble) => trouble,
        };
        let since = *self.failed.get_or_insert_with(Timestamp::now);
        self.failures += 1;
        let known_good = self.sender.borrow().synced;
        if !known_good || self.failures > 1 {
            let problem = Problem::new(trouble, since);
            tracing::warn!(reason = problem.reason, "the ITS: {}", problem.message);
            self.sender.send_if_modified(|known| {
                let told = known.synced || known.problem.as_ref() != Some(&problem);
                known.synced = false;
                known.problem = Some(problem);
                told
            });
        }
        wait(self.failures, self.pace.most_wait)
    }
}

/// Doubles with every failure, up to a limit; by chance somewhat shorter, so that not all come back at once.
fn wait(failures: u32, most: Duration) -> Duration {
    let doubled = LEAST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let chance = RandomState::new().hash_one(failures) % 50;
    doubled.min(most).mul_f64((100 - chance) as f64 / 100.0)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

type Events = BoxStream<'static, (Watched, Result<Event, watcher::Error>)>;

/// Watches one kind.
fn events(client: &Client, watched: Watched, config: Config) -> Events {
    let client = client.clone();
    let api: Api<DynamicObject> = match watched {
        Watched::Clusters => {
            let kind = GroupVersionKind::gvk(
                ManagedCluster::GROUP,
                ManagedCluster::VERSION,
                ManagedCluster::KIND,
            );
            Api::all_with(client, &ApiResource::from_gvk(&kind))
        }
        Watched::Properties => {
            let kind = GroupVersionKind::gvk("", "v1", "ConfigMap");
            Api::namespaced_with(client, PROPERTIES_NAMESPACE, &ApiResource::from_gvk(&kind))
        }
    };
    watcher(api, config)
        .map(move |event| (watched, event.map(translated)))
        .boxed()
}

fn translated(event: watcher::Event<DynamicObject>) -> Event {
    match event {
        watcher::Event::Init => Event::Restarted,
        watcher::Event::InitApply(object) => Event::Listed(Box::new(object)),
        watcher::Event::InitDone => Event::Synced,
        watcher::Event::Apply(object) => Event::Applied(Box::new(object)),
        watcher::Event::Delete(object) => Event::Deleted(Box::new(object)),
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// What the server said, when it said something.
fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::WatchError(status) => Some(status),
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// The resource version is too old to go on from.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

/// Whether a server that was asked for a streaming list says that it knows no such thing.
///
/// It answers 422 or 400 when it has the feature turned off or its etcd cannot do it, and other implementations have
/// answers of their own; a list is never wrong to try, unless the answer is about us or for this moment only.
fn refuses_streaming(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| {
        (400..500).contains(&status.code) && !matches!(status.code, 401 | 403 | 404 | 410 | 429)
    })
}

fn trouble(error: &watcher::Error) -> Trouble {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Trouble::of(error),
        watcher::Error::WatchError(status) => Trouble::said(status),
        watcher::Error::NoResourceVersion => Trouble::said(&Status::failure(
            "the API server gives no resource versions",
            "NoResourceVersion",
        )),
    }
}
