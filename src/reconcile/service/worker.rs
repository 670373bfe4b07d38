//! One pipeline's thread: waits for orders or its interval, then fetches, renders, publishes and writes down what became of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use git2::Repository;
use jiff::Timestamp;
use tokio::sync::watch::Receiver;
use tracing::Span;
use tracing::field::Empty;

use super::access::AccessError;
use super::destination::{self, destination};
use super::ending::join;
use super::fault::{RunError, caught};
use super::post::{Parties, Post};
use super::previews::{Previewer, PullRequest};
use super::queue::{Orders, Wake};
use super::staging::{Facts, Staging};
use super::{Plan, Service, first_word, lock, record, relay, schedule};
use crate::config::{Login, Place};
use crate::git::{Access, RemoteUrl};
use crate::inventory::its;
use crate::model::{ClusterName, Diagnostic, Severity};
use crate::reconcile::deliver::mailbox::MailboxDelivery;
use crate::reconcile::lease::Guard;
use crate::reconcile::request::InventorySource;
use crate::reconcile::{
    DeliverError, Delivery, DeliveryOptions, Destination, Outcome, Pipeline, Progress, Rendering,
    Request,
};
use crate::source::folder;
use crate::status::Phase;
use crate::status::board::{Activity, COMMITS, CommitBoard, PipelineBoard, Problem};
use crate::status::state::{Observation, short};
use crate::status::summarise::in_all;
use crate::status::waves::Waves;

/// How often in a row work may be given up for a newer commit before one is finished.
const GIVEN_UP: u32 = 3;
/// How many commits before the head are asked about when nothing is known of them: as many as would have been remembered.
const FORGOTTEN: usize = COMMITS;
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

/// What a run delivered.
#[derive(Default)]
struct Sent {
    /// To branches and folders.
    branches: Vec<Delivery>,
    /// Into mailboxes.
    mailboxes: Vec<MailboxDelivery>,
    /// To which WECs; everything to all of them where there are no waves.
    staging: Staging,
}

impl Sent {
    /// Why outputs hold it back, and whether a release lifts that; empty when none does.
    fn held(&self) -> Vec<(String, bool)> {
        let branches = self.branches.iter();
        let mailboxes = self.mailboxes.iter();
        let outcomes = branches
            .map(|delivery| (&delivery.outcome, delivery.releasable))
            .chain(mailboxes.map(|delivery| (&delivery.outcome, delivery.releasable)));
        let mut held = Vec::new();
        for (outcome, releasable) in outcomes {
            if let Outcome::Held(reasons) = outcome {
                held.extend(reasons.iter().map(|reason| (reason.clone(), releasable)));
            }
        }
        held
    }

    /// Tells whether anything happened that is worth writing down.
    fn is_news(&self) -> bool {
        let outcomes = self.branches.iter().map(|delivery| &delivery.outcome);
        let posted = self.mailboxes.iter().map(|delivery| &delivery.outcome);
        outcomes
            .chain(posted)
            .any(|outcome| *outcome != Outcome::Unchanged)
    }

    /// The WECs that an ITS did not let have all that is theirs, with the reasons.
    fn failed(&self) -> BTreeSet<(ClusterName, &'static str)> {
        let posted = self.mailboxes.iter();
        posted
            .flat_map(|delivery| delivery.failed.clone())
            .collect()
    }

    /// The WECs that have not got all that they were to get.
    fn unfinished(&self) -> BTreeSet<ClusterName> {
        let waiting = self.mailboxes.iter().flat_map(|delivery| &delivery.waiting);
        let waiting = waiting.map(|(cluster, _)| cluster.clone());
        let failed = self.failed().into_iter().map(|(cluster, _)| cluster);
        waiting.chain(failed).collect()
    }

    /// Tells whether works are still to be written: when a WEC has applied others, or the ITS takes them.
    fn is_waiting(&self) -> bool {
        let mut posted = self.mailboxes.iter();
        posted.any(|delivery| !delivery.waiting.is_empty() || !delivery.failed.is_empty())
    }
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
                    self.failed(None, &error);
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
            self.failed(self.begun.as_deref(), &error)
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

    /// Puts the commit on the board before anything is published: its statuses say that it is being worked on. One that failed and is
    /// tried again stays failed until the outcome is another one: its new entry is given back, for then.
    fn begin(&self, rendering: &Rendering) -> Option<CommitBoard> {
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

    fn deliver(&mut self, rendering: &Rendering) -> Result<Sent, RunError> {
        let commit = rendering
            .source
            .revision
            .as_ref()
            .map(|found| found.revision.to_string());
        let mut options = DeliveryOptions {
            allow_removals: self.released.is_some() && self.released == commit,
            strict: rendering.settings.strict,
            guard: rendering.settings.guard.clone(),
            ..DeliveryOptions::default()
        };
        let mut sent = Sent::default();
        if let Some(commit) = &commit {
            sent.staging = self.stage(rendering, commit)?;
        }
        let plan = Arc::clone(&self.plan);
        for output in &plan.resolved.outputs {
            let Some((destination, login)) =
                destination(&plan, output, &self.service.options.cache)?
            else {
                continue;
            };
            options.access = self.access(login, destination.remote())?;
            if !self.is_ours() {
                return Err(RunError::LeaseLost);
            }
            options.staged = self
                .waves
                .as_ref()
                .map(|_| sent.staging.of(sent.branches.len()));
            let delivery = self.through(&destination, |memory, stages| {
                memory.deliver(rendering, &destination, &options, stages)
            })?;
            self.remade = false;
            sent.branches.push(delivery);
        }
        for post in &mut self.posts {
            let stages = Stages::new(&self.service, &self.name);
            stages.stage("mailboxes");
            let parties = Parties {
                service: &self.service,
                wake: &self.wake,
                lease: self.lease.as_ref(),
            };
            let output = sent.branches.len() + sent.mailboxes.len();
            options.staged = self.waves.as_ref().map(|_| sent.staging.of(output));
            let delivered = post.deliver(&self.name, rendering, &options, &parties)?;
            sent.mailboxes.push(delivered.ok_or(RunError::LeaseLost)?);
        }
        Ok(sent)
    }

    /// Takes a step at a destination. A relay that is damaged is made anew, and not again before something could be delivered.
    fn through<T>(
        &mut self,
        to: &Destination,
        step: impl Fn(&mut Pipeline, &Stages<'_>) -> Result<T, DeliverError>,
    ) -> Result<T, RunError> {
        let attempt = |worker: &Self| step(&mut lock(&worker.memory), &worker.stages());
        let error = match attempt(self) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Destination::Branch {
            repository,
            push: Some(_),
            ..
        } = to
        else {
            return Err(error.into());
        };
        if self.remade || !error.is_damage() {
            return Err(error.into());
        }
        self.remade = true;
        tracing::warn!(repository = %repository.display(), "made anew: {error}");
        relay::remake(repository)?;
        Ok(attempt(self)?)
    }

    /// Decides which WECs get a commit now: all of them where there are no waves.
    fn stage(&mut self, rendering: &Rendering, commit: &str) -> Result<Staging, RunError> {
        if self.waves.is_none() {
            return Ok(Staging::default());
        }
        self.opened.retain(|(opened, _)| opened == commit);
        let mut surveys = Vec::new();
        let plan = Arc::clone(&self.plan);
        for output in &plan.resolved.outputs {
            let found = destination(&plan, output, &self.service.options.cache)?;
            let Some((destination, login)) = found else {
                continue;
            };
            let options = DeliveryOptions {
                access: self.access(login, destination.remote())?,
                ..DeliveryOptions::default()
            };
            surveys.push(self.through(&destination, |memory, _| {
                memory.survey(rendering, &destination, &options)
            })?);
        }
        for post in &mut self.posts {
            let parties = Parties {
                service: &self.service,
                wake: &self.wake,
                lease: self.lease.as_ref(),
            };
            let survey = post.survey(&self.name, rendering, &parties)?;
            surveys.push(survey.ok_or(RunError::LeaseLost)?);
        }
        let board = self.service.board();
        let board = board.pipelines.get(&self.name);
        let staging = board.and_then(|board| {
            self.weigh(rendering, commit, board, |facts| {
                Staging::new(surveys, facts)
            })
        });
        Ok(staging.unwrap_or_default())
    }

    /// Lets somebody look at all that waves go by; none where there are no waves.
    fn weigh<T>(
        &self,
        rendering: &Rendering,
        commit: &str,
        board: &PipelineBoard,
        look: impl FnOnce(&Facts<'_>) -> T,
    ) -> Option<T> {
        let waves = self.waves.as_ref()?;
        let opened = self.opened.iter().filter(|(opened, _)| opened == commit);
        let opened = opened.map(|(_, wave)| wave.clone()).collect();
        Some(look(&Facts {
            waves,
            rendering,
            board,
            commit,
            opened: &opened,
            start: self.start,
            now: Timestamp::now(),
        }))
    }

    /// Tells whether other WECs are held than were before.
    fn is_held_anew(&self, sent: &Sent) -> bool {
        let board = self.service.board();
        let pipeline = board.pipelines.get(&self.name);
        let before = pipeline.and_then(|pipeline| pipeline.rollout.as_ref());
        before.is_some_and(|before| !before.held.keys().eq(sent.staging.rollout.held.keys()))
    }

    /// Puts on the board where the waves stand now. Tells whether one is open for which something waits.
    fn show(&mut self, rendering: &Rendering, sent: &Sent) -> bool {
        let revision = rendering.source.revision.as_ref();
        let Some(revision) = revision.filter(|_| self.waves.is_some()) else {
            return false;
        };
        let id = revision.revision.to_string();
        let (is_free, unfinished) = (sent.held().is_empty(), sent.unfinished());
        let contents = sent.staging.contents();
        // In one step: whoever reports in between would not know what its word changes.
        let shown = self.service.update(&self.name, |board| {
            let look = |facts: &Facts<'_>| sent.staging.afterwards(&unfinished, facts);
            let after = if is_free {
                self.weigh(rendering, &id, board, look)?
            } else {
                sent.staging.rollout.clone()
            };
            board.rollout = Some(Arc::new(after.clone()));
            let commit = board.commit_mut(&id).filter(|_| is_free);
            let news = commit.is_some_and(|commit| {
                record::staged(commit, &contents, &after.held, Timestamp::now())
            });
            Some((after, news))
        });
        let Some((after, news)) = shown.flatten() else {
            return false;
        };
        if news {
            self.service.clerk.note(&self.name, &id);
        }
        self.next = after.next;
        is_free && after.held.len() < sent.staging.rollout.held.len()
    }

    /// Writes down what became of the deliveries, and closes what they overtook.
    fn written(&self, rendering: &Rendering, sent: &Sent, started: Instant) {
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

    fn count(&self, rendering: &Rendering, deliveries: &[Delivery]) {
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
    fn overtaken(&self, orders: &mut Orders, head: &str) {
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
    fn close_forgotten(&self, rendering: &Rendering, head: &str) {
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
    fn well(&self) {
        let was = self.service.update(&self.name, |board| {
            board.ready = true;
            board.problem.take()
        });
        if let Some(problem) = was.flatten() {
            tracing::info!(reason = problem.reason, "recovered");
        }
    }

    /// Says what keeps the pipeline from working, on the board and on the commit when there is one.
    fn failed(&self, commit: Option<&str>, error: &RunError) -> End {
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
