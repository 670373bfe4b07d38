//! Watches that are kept up: events from an API server, told to a [`Listener`], and everything that can go wrong between.
//!
//! ```text
//! connect ─▶ watch all ─▶ in sync ─▶ trouble ─▶ wait ─▶ connect …      what the listener knows, it keeps
//! ```
//!
//! A watch that merely ends is asked for again where it stopped, and a resource version that has expired leads to a new
//! listing; kube does both. Anything else ends the session: the next one reads the credentials anew and lists anew.
//! Lists come as streams where the server serves them. The listener hears of nothing before every watch is in sync.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Config, watcher};
use kube::{Client, core::Status};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Connection, Trouble, connect_patiently};

/// Above the length of a watch: silence for longer means that the connection is dead.
const MARGIN: Duration = Duration::from_secs(10);

/// A server that does not know streaming lists may hold such a watch open and never finish the list.
const FIRST_LIST: Duration = Duration::from_secs(30);

/// The first wait after a failure.
const LEAST_WAIT: Duration = Duration::from_millis(200);

/// What is watched.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its group, version and resource.
    pub resource: ApiResource,
    /// The namespace that is looked at; none for all, and for what lives in none.
    pub namespace: Option<&'static str>,
}

/// What a watch says.
#[derive(Clone, Debug)]
pub enum Event {
    /// Everything is told anew.
    Restarted,
    /// An object that was there at the restart.
    Listed(Box<DynamicObject>),
    /// All that were there at the restart are told.
    Synced,
    /// An object is new, or has changed.
    Applied(Box<DynamicObject>),
    /// An object is gone.
    Deleted(Box<DynamicObject>),
}

/// Who hears what the watches say.
pub trait Listener: Send + 'static {
    /// An event of the kind at this position.
    fn event(&mut self, kind: usize, event: Event);
    /// Whether the events since the last [`Listener::in_sync`] changed anything.
    fn has_news(&self) -> bool;
    /// Every watch is in sync, and changes were gathered for a moment.
    fn in_sync(&mut self);
    /// The server is not heard of; what was known may be outdated.
    fn out_of_sync(&mut self, problem: Problem);
}

/// What stands between us and an API server, and since when.
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

/// How patient watches are.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long changes are gathered before they are told.
    pub gather: Duration,
    /// How long one watch lasts before it is asked for again: within this time, and a little, a silent connection is
    /// noticed, and so are rights that were taken away.
    pub watch: Duration,
    /// The longest wait before the server is tried again.
    pub most_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(50),
            watch: Duration::from_secs(60),
            most_wait: Duration::from_secs(15),
        }
    }
}

/// Follows these kinds for ever.
pub async fn follow(connection: Connection, kinds: Vec<Kind>, pace: Pace, listener: impl Listener) {
    let mut session = Session {
        kinds,
        listener,
        streaming: true,
        pace,
        told: Told::Nothing,
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

/// What the listener was told last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Good,
    Bad,
}

struct Session<L> {
    kinds: Vec<Kind>,
    listener: L,
    /// Whether lists are asked for as streams; never again once the server refused.
    streaming: bool,
    pace: Pace,
    told: Told,
    /// Since when nothing works.
    failed: Option<Timestamp>,
    /// How often in a row.
    failures: u32,
}

impl<L: Listener> Session<L> {
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
        let kinds = self.kinds.iter().enumerate();
        let mut events = stream::select_all(
            kinds.map(|(number, kind)| events(&client, number, kind, config.clone())),
        );
        let mut synced = vec![false; self.kinds.len()];
        let patience = Instant::now() + FIRST_LIST;
        let mut first = true;
        let mut due = None;
        loop {
            tokio::select! {
                biased;
                () = until(due) => {
                    due = None;
                    // A watch may have lost its place since; its list comes first.
                    if synced.iter().all(|synced| *synced) {
                        self.tell();
                    }
                }
                () = sleep_until(patience), if self.streaming && first => return End::NoStreaming,
                event = events.next() => match event {
                    Some((kind, Ok(event))) => {
                        match event {
                            Event::Restarted => synced[kind] = false,
                            Event::Synced => synced[kind] = true,
                            _ => {}
                        }
                        self.listener.event(kind, event);
                    }
                    // The watcher lists anew by itself.
                    Some((_, Err(error))) if is_expired(&error) => {}
                    Some((_, Err(error))) if self.streaming && first && refuses_streaming(&error) => {
                        return End::NoStreaming;
                    }
                    Some((_, Err(error))) => return End::Trouble(trouble(&error)),
                    None => return End::Trouble(Trouble::said(&Status::default())),
                },
            }
            if due.is_none() && synced.iter().all(|synced| *synced) {
                first = false;
                if self.listener.has_news() || self.failures > 0 || self.told != Told::Good {
                    due = Some(Instant::now() + self.pace.gather);
                }
            }
        }
    }

    /// Tells that all is well.
    fn tell(&mut self) {
        self.failed = None;
        self.failures = 0;
        self.told = Told::Good;
        self.listener.in_sync();
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
        if self.told != Told::Good || self.failures > 1 {
            self.told = Told::Bad;
            self.listener.out_of_sync(Problem::new(trouble, since));
        }
        wait(self.failures, self.pace.most_wait)
    }
}

/// Doubles with every failure, up to a limit; by chance somewhat shorter, so that not all come back at once.
fn wait(failures: u32, most: Duration) -> Duration {
    let doubled = LEAST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let chance = u32::try_from(RandomState::new().hash_one(failures) % 50).unwrap_or_default();
    doubled.min(most).mul_f64(f64::from(100 - chance) / 100.0)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

type Events = BoxStream<'static, (usize, Result<Event, watcher::Error>)>;

/// Watches one kind.
fn events(client: &Client, number: usize, kind: &Kind, config: Config) -> Events {
    let client = client.clone();
    let api: Api<DynamicObject> = match kind.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &kind.resource),
        None => Api::all_with(client, &kind.resource),
    };
    watcher(api, config)
        .map(move |event| (number, event.map(translated)))
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
        watcher::Error::WatchError(status)
        | watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// The resource version is too old to go on from.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

/// Whether a server that was asked for a streaming list says that it cannot give one.
///
/// It answers 422 when it has the feature turned off, times out when its etcd cannot say how far it is, and other
/// implementations have answers of their own. A list is never wrong to try, unless the answer is about us.
fn refuses_streaming(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| {
        status.code >= 400 && !matches!(status.code, 401 | 403 | 404 | 410 | 429)
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
