//! One pipeline's thread: waits for orders or its interval, then fetches, renders, publishes and writes down what became of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch::Receiver;
use tracing::Span;
use tracing::field::Empty;

use super::access::AccessError;
use super::ending::join;
use super::fault::{RunError, caught};
use super::post::Post;
use super::previews::{Previewer, PullRequest};
use super::queue::{Orders, Wake};
use super::{Plan, Service, destination, first_word, lock, schedule};
use crate::config::{Login, Place};
use crate::git::{Access, RemoteUrl};
use crate::inventory::its;
use crate::model::ClusterName;
use crate::reconcile::lease::Guard;
use crate::reconcile::request::InventorySource;
use crate::reconcile::{Pipeline, Progress, Rendering, Request};
use crate::source::folder;
use crate::status::board::Activity;
use crate::status::state::short;
use crate::status::waves::Waves;

mod deliver;
mod tell;

/// How often in a row work may be given up for a newer commit before one is finished.
const GIVEN_UP: u32 = 3;
/// How often a folder is looked at where changes are not told.
const POLL: Duration = Duration::from_secs(2);

/// Starts a pipeline's thread. It waits for the worker that had its name `before`, so that there is one at a time.
pub(super) fn start(
    service: &Arc<Service>,
    plan: &Arc<Plan>,
    wake: &Arc<Wake>,
    memory: &Arc<Mutex<Pipeline>>,
    inventory: Option<Receiver<its::Known>>,
    lease: Option<Guard>,
    before: Option<JoinHandle<()>>,
) -> JoinHandle<()> {
    let mut worker = Worker {
        service: Arc::clone(service),
        name: plan.resolved.name.clone(),
        plan: Arc::clone(plan),
        wake: Arc::clone(wake),
        memory: Arc::clone(memory),
        inventory,
        previewer: Previewer::default(),
        posts: destination::posts(plan),
        released: None,
        waves: Some(&plan.resolved.waves)
            .filter(|waves| !waves.is_empty())
            .map(|waves| Waves::new(waves)),
        opened: BTreeSet::new(),
        start: Timestamp::now(),
        next: None,
        lease,
        begun: None,
        failures: 0,
        looks: 0,
        given_up: 0,
        last: None,
        failed: BTreeSet::new(),
        remade: false,
    };
    std::thread::spawn(move || {
        let span = tracing::info_span!("worker", pipeline = worker.name);
        let _entered = span.enter();
        if let Some(before) = before {
            join(&worker.name, before);
        }
        worker.watch_folder();
        worker.work();
    })
}

struct Worker {
    service: Arc<Service>,
    name: String,
    plan: Arc<Plan>,
    wake: Arc<Wake>,
    memory: Arc<Mutex<Pipeline>>,
    /// What is known of the ITS; none when the inventory is in the source.
    inventory: Option<Receiver<its::Known>>,
    previewer: Previewer,
    /// The mailboxes of the outputs that are mailboxes, in their order.
    posts: Vec<Post>,
    /// Asked before everything is delivered; none where nobody else may run the pipeline.
    lease: Option<Guard>,
    /// The commit whose removals were released by hand; a run that fails does not use it up.
    released: Option<String>,
    /// The commit that this run works on.
    begun: Option<String>,
    /// The order of the WECs; none when all get a change at once.
    waves: Option<Waves>,
    /// Commits, each with a wave that may have it before its turn.
    opened: BTreeSet<(String, String)>,
    /// Since when the WECs are listened to.
    start: Timestamp,
    /// When a wave may open, or be late, by time alone.
    next: Option<Timestamp>,
    /// Runs that failed in a row.
    failures: u32,
    /// Runs in a row that left works waiting for a WEC.
    looks: u32,
    /// Commits in a row that were given up for a newer one.
    given_up: u32,
    /// The commit that was published last, and the rendering that was.
    last: Option<(String, Rendering)>,
    /// The WECs whose mailboxes failed in the last run, and why.
    failed: BTreeSet<(ClusterName, &'static str)>,
    /// Whether a relay was made anew since something was delivered.
    remade: bool,
}

/// How a run ended.
enum End {
    /// Well, or held: the next look is after the interval.
    Done,
    /// Well, but works wait for a WEC: the next look is soon.
    Waiting,
    /// Well, and a wave is open for which something waits: the next run is at once.
    Opened,
    /// A newer commit is waiting.
    Overtaken,
    /// To be tried again.
    Failed,
}

/// Tells the board which stage a run is in.
struct Stages<'a> {
    service: &'a Service,
    pipeline: &'a str,
    run: Span,
    /// The span of the stage that it is in.
    stage: Mutex<Span>,
}

impl<'a> Stages<'a> {
    fn new(service: &'a Service, pipeline: &'a str) -> Self {
        Self {
            service,
            pipeline,
            run: Span::current(),
            stage: Mutex::new(Span::none()),
        }
    }
}

impl Progress for Stages<'_> {
    fn stage(&self, name: &'static str) {
        tracing::debug!(stage = name);
        let mut open = lock(&self.stage);
        // The one before ends before this one begins.
        *open = Span::none();
        *open = tracing::info_span!(parent: &self.run, "stage", otel.name = name);
        drop(open);
        self.service.update(self.pipeline, |board| {
            board.activity = Activity::Working {
                stage: name.to_owned(),
                since: Timestamp::now(),
            };
        });
    }
}

impl Worker {
    fn work(&mut self) {
        let mut orders = Orders {
            run: true,
            ..Orders::default()
        };
        while !orders.stop {
            let end = self.attempt(&mut orders);
            self.failures = match end {
                End::Failed => self.failures.saturating_add(1),
                End::Done | End::Waiting | End::Opened | End::Overtaken => 0,
            };
            if matches!(end, End::Overtaken) {
                orders = orders.then(self.wake.wait(Instant::now()));
                orders.run = true;
                continue;
            }
            for pull in std::mem::take(&mut orders.previews).into_values() {
                if let Err(error) = caught(|| self.preview(&pull)) {
                    self.forget();
                    self.failed(None, &error.into());
                    self.failures = self.failures.max(1);
                }
            }
            let mut wait = schedule::wait(self.plan.interval, self.failures, schedule::random());
            if matches!(end, End::Waiting) {
                wait = wait.min(schedule::soon(self.looks));
                self.looks = self.looks.saturating_add(1);
            } else {
                self.looks = 0;
            }
            if matches!(end, End::Opened) {
                wait = Duration::ZERO;
            } else if let Some(next) = self.next {
                wait = wait.min(schedule::until(next, Timestamp::now()));
            }
            self.rest(wait);
            orders = self.wake.wait(Instant::now() + wait);
        }
    }

    /// One run. After a panic nothing that it remembers is relied on.
    fn attempt(&mut self, orders: &mut Orders) -> End {
        self.begun = None;
        // The thread's own span never ends, so each run is one of its own.
        let span = tracing::info_span!(parent: None, "run", pipeline = self.name, commit = Empty);
        let _entered = span.enter();
        caught(|| self.run(orders)).unwrap_or_else(|error| {
            self.forget();
            self.failed(self.begun.as_deref(), &error.into())
        })
    }

    /// Throws away what can be found again.
    fn forget(&mut self) {
        *lock(&self.memory) = Pipeline::new(Some(self.service.options.cache.clone()));
        self.previewer = Previewer::default();
        self.posts = destination::posts(&self.plan);
        self.last = None;
    }

    /// Tells a pull request what it would change, against what was published last.
    fn preview(&mut self, pull: &PullRequest) {
        if !self.plan.previews {
            return;
        }
        let (Some((_, base)), Ok(request)) = (&self.last, self.request()) else {
            tracing::warn!(
                pull = pull.number,
                "no preview: nothing was published to compare with"
            );
            return;
        };
        let preview = self.previewer.preview(pull, &request, base, &self.plan);
        self.service.previewed(&self.name, preview);
    }

    /// Says on the board what the pipeline waits for.
    fn rest(&self, wait: Duration) {
        let failures = self.failures;
        self.service.update(&self.name, |board| {
            board.activity = match failures {
                0 => Activity::Idle,
                _ => Activity::BackingOff {
                    until: Timestamp::now() + wait,
                    failures,
                },
            };
        });
    }

    /// One run, from the source to the board.
    fn run(&mut self, orders: &mut Orders) -> End {
        let started = Instant::now();
        // A moment that has come must not shorten the wait after a failure.
        self.next = None;
        if let Some(commit) = orders.release.take() {
            self.released = Some(commit);
        }
        self.opened.append(&mut orders.open);
        if !self.is_ours() {
            return End::Done;
        }
        if std::mem::take(&mut orders.full) {
            tracing::info!("a full pass was asked for");
            *lock(&self.memory) = Pipeline::new(Some(self.service.options.cache.clone()));
            self.last = None;
        }
        let rendering = match self.render() {
            Ok(rendering) => rendering,
            Err(error) => return self.failed(None, &error),
        };
        let commit = rendering
            .source
            .revision
            .as_ref()
            .map(|found| found.revision.to_string());
        if let Some(commit) = &commit
            && self.given_up < GIVEN_UP
            && self.wake.is_overtaken(commit)
        {
            self.given_up += 1;
            tracing::info!(
                commit = short(commit),
                "given up: a newer commit was pushed"
            );
            return End::Overtaken;
        }
        self.given_up = 0;
        let known = self.is_known(&rendering, commit.as_deref());
        self.begun.clone_from(&commit);
        Span::current().record("commit", commit.as_deref());
        let retried = if known { None } else { self.begin(&rendering) };
        match self.deliver(&rendering) {
            Ok(deliveries) => {
                if let Some(commit) = retried {
                    self.service.update(&self.name, |board| board.push(commit));
                }
                let failed = deliveries.failed();
                let news =
                    deliveries.is_news() || failed != self.failed || self.is_held_anew(&deliveries);
                self.failed = failed;
                if news || !known {
                    self.written(&rendering, &deliveries, started);
                } else {
                    tracing::debug!("nothing changed");
                }
                self.well();
                let opened = self.show(&rendering, &deliveries);
                if let Some(commit) = commit {
                    self.overtaken(orders, &commit);
                    if self.last.is_none() {
                        self.close_forgotten(&rendering, &commit);
                    }
                    self.last = Some((commit, rendering));
                }
                if opened {
                    End::Opened
                } else if deliveries.is_waiting() {
                    End::Waiting
                } else {
                    End::Done
                }
            }
            // Whoever has it now says what becomes of the commit.
            Err(_) if !self.is_ours() => {
                tracing::warn!("given up: the lease was lost");
                End::Done
            }
            Err(error) => self.failed(commit.as_deref(), &error),
        }
    }

    /// Tells whether nobody else may run the pipeline.
    fn is_ours(&self) -> bool {
        self.lease.as_ref().is_none_or(Guard::is_held)
    }

    fn render(&self) -> Result<Rendering, RunError> {
        let request = self.request()?;
        Ok(lock(&self.memory).render(&request, &self.stages())?)
    }

    /// What is to be rendered.
    fn request(&self) -> Result<Request, RunError> {
        let resolved = &self.plan.resolved;
        let (location, committed) = match &resolved.place {
            Some(Place::Git(url)) => (url.clone(), true),
            Some(Place::Folder(path)) => (path.display().to_string(), false),
            None => (String::new(), false),
        };
        Ok(Request {
            location,
            revision: resolved.revision.clone(),
            committed,
            inventory: self.inventory()?,
            settings: resolved.settings.clone(),
            access: self.access(resolved.credentials.as_ref(), self.plan.url().as_ref())?,
        })
    }

    fn access(
        &self,
        login: Option<&Login>,
        remote: Option<&RemoteUrl>,
    ) -> Result<Access, AccessError> {
        self.service.keys.access(login, remote)
    }

    /// The last good inventory of the ITS, however old; the source's own when there is no ITS.
    fn inventory(&self) -> Result<InventorySource, RunError> {
        let Some(receiver) = &self.inventory else {
            return Ok(InventorySource::Source);
        };
        let known = first_word::heard(receiver, &self.wake, first_word::PATIENCE);
        match (known.inventory, known.problem) {
            (Some(inventory), _) => Ok(InventorySource::Given(inventory, known.diagnostics)),
            (None, Some(problem)) => Err(RunError::NoInventory {
                reason: problem.reason,
                message: problem.message,
                help: problem.help,
            }),
            (None, None) => Err(RunError::NoInventory {
                reason: "InventoryNotSynced",
                message: "the ITS has not been listed to the end".to_owned(),
                help: "it goes on by itself as soon as it is".to_owned(),
            }),
        }
    }

    fn stages(&self) -> Stages<'_> {
        Stages::new(&self.service, &self.name)
    }

    /// Tells whether this very rendering of this commit went out before.
    fn is_known(&self, rendering: &Rendering, commit: Option<&str>) -> bool {
        self.last.as_ref().is_some_and(|(last, known)| {
            Some(last.as_str()) == commit && Arc::ptr_eq(&known.rendered, &rendering.rendered)
        })
    }

    /// Watches the source when it is a folder: each change asks for a run.
    fn watch_folder(&self) {
        let Some(Place::Folder(path)) = &self.plan.resolved.place else {
            return;
        };
        let path = path.clone();
        let wake = Arc::downgrade(&self.wake);
        std::thread::spawn(move || {
            let Ok(changes) = folder::watch(&path, POLL) else {
                // Where nothing tells of changes, the interval does.
                return;
            };
            for change in changes {
                match (wake.upgrade(), change) {
                    (None, _) => return,
                    (Some(wake), folder::Change::Seen) => wake.ask(|orders| orders.push(None)),
                    (Some(_), folder::Change::Silence) => {}
                }
            }
        });
    }
}
