//! The service: pipelines that run until they are told to stop.
//!
//! ```text
//! webhooks, polls, watches ─▶ Wake ─▶ worker (one thread a pipeline): fetch → render → publish ─▶ board ─▶ clerk ─▶ sinks, journal
//! reports of the WECs ──────────────────────────────────────────────────────────────────────────▶ board ─┘
//! ```
//!
//! No pipeline waits for another. What a worker does not know it finds in git; what the clerk writes down is a cache.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use self::fault::caught;
use super::Pipeline;
use super::lease::Guard;
use super::metrics::Metrics;
use crate::git::RemoteUrl;
use crate::inventory::its;
use crate::model::api::pipeline::Reports;
use crate::model::{ClusterName, ObjectKey};
use crate::placement::Explanation;
use crate::reconcile::relay;
use crate::status::board::{Board, CommitBoard, PipelineBoard, Problem};
use crate::status::forge::CheckRun;
use crate::status::state::Observation;
use crate::status::summarise::{Style, statuses};
use crate::status::table::check_run;
use crate::status::{CommitStatus, Report};

mod access;
mod clerk;
mod credentials;
mod destination;
mod ending;
mod fault;
mod first_word;
mod hub;
mod journal;
mod plan;
mod post;
mod previews;
mod queue;
mod record;
mod roster;
mod schedule;
mod sinks;
mod staging;
mod standby;
#[cfg(test)]
mod tests;
mod worker;

pub use hub::{Hub, HubOptions, Leases};
pub use plan::{Plan, findings};
pub use previews::{Preview, PullRequest};
pub use queue::{Orders, Wake};
pub use sinks::Sinks;

/// How many of the newest commits are told again after a start.
const NEWEST: usize = 5;
/// Commits that changed so long before the last one that did are told again, too.
const LATELY: SignedDuration = SignedDuration::from_mins(10);
/// The most reports that wait for the commit that they speak of.
const EARLY: usize = 4096;

/// Where commit statuses go. The adapter posts what differs from what is there, in its own time.
pub trait Sink: Send + Sync {
    /// Replaces what is wanted for a commit.
    fn want(&self, commit: &str, statuses: Vec<CommitStatus>);
    /// Replaces the check run that is wanted of a commit, where the forge has such a thing.
    fn check(&self, _commit: &str, _run: CheckRun) {}
    /// Replaces the comment with this marker on a pull request.
    fn comment(&self, pull: u64, marker: &str, markdown: String);
    /// Closes what was left pending on a commit that nothing is known of any more.
    fn close(&self, commit: &str, style: &Style, text: &str);
    /// Tells whether who is told by a pipeline with this plan, is told the same by this.
    fn serves(&self, _plan: &Plan) -> bool {
        true
    }
    /// Tries again at once what failed: a credential was changed.
    fn retry(&self) {}
    /// Why nobody is told, as long as that is so.
    fn problem(&self, _now: Timestamp) -> Option<Problem> {
        None
    }
}

/// Starts the sinks of a pipeline.
pub type SinkMaker = Box<dyn Fn(&Plan) -> Vec<Arc<dyn Sink>> + Send + Sync>;

/// Everything that is shared by workers, clerk and server.
pub struct Service {
    board: Mutex<Board>,
    version: watch::Sender<u64>,
    running: Mutex<BTreeMap<String, Running>>,
    /// Workers of pipelines that are gone, which had not ended when the others went on.
    strays: Mutex<BTreeMap<String, JoinHandle<()>>>,
    clerk: clerk::Clerk,
    metrics: Metrics,
    keys: access::Keys,
    options: Options,
}

/// What concerns all pipelines.
pub struct Options {
    /// Where watches run.
    pub runtime: tokio::runtime::Handle,
    /// The folder for what may be deleted at any time.
    pub cache: PathBuf,
    /// Gives where the commit statuses of a pipeline go.
    pub sinks: SinkMaker,
}

/// A pipeline at work.
struct Running {
    plan: Arc<Plan>,
    wake: Arc<Wake>,
    memory: Arc<Mutex<Pipeline>>,
    sinks: Vec<Arc<dyn Sink>>,
    /// Reports that came before the commit that they speak of.
    early: VecDeque<Report>,
    /// WECs that reported once.
    talkative: BTreeSet<ClusterName>,
    /// What pull requests would change, by number.
    previews: BTreeMap<u64, Preview>,
    /// The watch of the ITS; ends with this.
    _feed: Option<its::Feed>,
    thread: Option<JoinHandle<()>>,
}

/// Why a question cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// There is no such pipeline.
    #[error("there is no pipeline of that name")]
    NoPipeline,
    /// Nothing was rendered yet.
    #[error("the pipeline has rendered nothing yet")]
    NothingRendered,
}

/// Locks; a thread that panicked while it held the lock left plain data behind, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// Starts without pipelines.
    pub fn new(options: Options) -> Arc<Self> {
        relay::tidy(&options.cache);
        let service = Arc::new(Self {
            board: Mutex::new(Board::default()),
            version: watch::Sender::new(0),
            running: Mutex::new(BTreeMap::new()),
            strays: Mutex::default(),
            clerk: clerk::Clerk::new(options.cache.join("journal")),
            metrics: Metrics::default(),
            keys: access::Keys::new(options.runtime.clone()),
            options,
        });
        clerk::start(&service);
        service
    }

    /// Runs exactly these pipelines from now on: new ones start, changed ones start again, others stop.
    pub fn run(self: &Arc<Self>, plans: Vec<Plan>) {
        self.run_under(plans, &BTreeMap::new(), &BTreeSet::new());
    }

    /// As [`Self::run`], each pipeline under its lease, where it has one: what a worker delivers it delivers only while that is held.
    /// Those named as `elsewhere` are there still, whether they run here or not; what others were waiting for is closed.
    pub fn run_under(
        self: &Arc<Self>,
        plans: Vec<Plan>,
        leases: &BTreeMap<String, Guard>,
        elsewhere: &BTreeSet<String>,
    ) {
        let wanted: BTreeMap<String, Plan> = plans
            .into_iter()
            .map(|plan| (plan.resolved.name.clone(), plan))
            .collect();
        let ending: Vec<String> = lock(&self.running)
            .iter()
            .filter(|(name, running)| wanted.get(*name) != Some(&*running.plan))
            .map(|(name, _)| name.clone())
            .collect();
        let mut slow = self.end(&ending);
        let (gone, left): (Vec<String>, Vec<String>) = ending
            .into_iter()
            .partition(|name| !wanted.contains_key(name) && !elsewhere.contains(name));
        {
            let _telling = self.clerk.turn();
            for name in &left {
                if let Some(next) = wanted.get(name) {
                    self.take_leave(name, next);
                }
            }
            // Whoever has them now speaks of them: what is left to be written down is read again by a pipeline that starts anew.
            lock(&self.running).retain(|name, _| !left.contains(name));
        }
        for name in &gone {
            self.withdraw(name);
        }
        self.tell();
        lock(&self.running).retain(|name, _| !gone.contains(name));
        for name in left
            .iter()
            .chain(&gone)
            .filter(|name| !wanted.contains_key(*name))
        {
            lock(&self.board).pipelines.remove(name);
            tracing::info!(pipeline = name, "stopped: it is not to run here any more");
        }
        for (name, plan) in wanted {
            if !lock(&self.running).contains_key(&name) {
                let lease = leases.get(&name).cloned();
                let stray = || lock(&self.strays).remove(&name);
                let before = slow.remove(&name).or_else(stray);
                self.start_pipeline(&name, plan, lease, before);
            }
        }
        lock(&self.strays).extend(slow);
        self.changed();
    }

    /// Starts a pipeline; `before` is the worker that had its name, when that has not ended yet.
    fn start_pipeline(
        self: &Arc<Self>,
        name: &str,
        plan: Plan,
        lease: Option<Guard>,
        before: Option<JoinHandle<()>>,
    ) {
        tracing::info!(pipeline = name, source = plan.source(), "starting");
        let mut board = PipelineBoard {
            source: plan.source(),
            reference: plan.resolved.revision.clone(),
            outputs: plan.outputs(),
            ..PipelineBoard::default()
        };
        let known = journal::open(&self.clerk.folder(name), &plan.source());
        let mut talkative = BTreeSet::new();
        for commit in known {
            let spoke = commit
                .clusters
                .iter()
                .filter(|(_, state)| state.reports().next().is_some());
            talkative.extend(spoke.map(|(name, _)| name.clone()));
            board.commits.push_back(Arc::new(commit));
        }
        lock(&self.board).pipelines.insert(name.to_owned(), board);
        let wake = Arc::new(Wake::default());
        let memory = Arc::new(Mutex::new(Pipeline::new(Some(self.options.cache.clone()))));
        let plan = Arc::new(plan);
        let sinks = (self.options.sinks)(&plan);
        let feed = self.watch_inventory(name, &plan, &wake);
        let inventory = feed.as_ref().map(|feed| feed.receiver.clone());
        let thread = worker::start(self, &plan, &wake, &memory, inventory, lease, before);
        let running = Running {
            plan,
            wake,
            memory,
            sinks,
            early: VecDeque::new(),
            talkative,
            previews: BTreeMap::new(),
            _feed: feed,
            thread: Some(thread),
        };
        lock(&self.running).insert(name.to_owned(), running);
        self.tell_again(name);
    }

    /// Watches the ITS that holds a pipeline's inventory: each change asks for a run, and what is wrong with the watch is on the board.
    fn watch_inventory(
        self: &Arc<Self>,
        name: &str,
        plan: &Plan,
        wake: &Arc<Wake>,
    ) -> Option<its::Feed> {
        let connection = plan.resolved.its.clone()?;
        let _inside = self.options.runtime.enter();
        let feed = its::watch(connection);
        let mut receiver = feed.receiver.clone();
        let (service, wake) = (Arc::downgrade(self), Arc::downgrade(wake));
        let name = name.to_owned();
        self.options.runtime.spawn(async move {
            let mut generation = 0;
            while receiver.changed().await.is_ok() {
                let known = receiver.borrow_and_update().clone();
                let (Some(service), Some(wake)) = (service.upgrade(), wake.upgrade()) else {
                    return;
                };
                let problem = known.problem.map(|problem| Problem {
                    reason: problem.reason.to_owned(),
                    message: problem.message,
                    help: Some(problem.help),
                    since: problem.since,
                });
                service.update(&name, |board| board.inventory_problem = problem);
                if known.generation != generation {
                    generation = known.generation;
                    wake.ask(|orders| orders.push(None));
                }
            }
        });
        Some(feed)
    }

    /// What was known before the start is told again: the sinks find out what of it was never posted. Besides the newest commits that may
    /// be any that changed shortly before the end: one that is published overtakes many at once.
    fn tell_again(&self, pipeline: &str) {
        let board = self.board();
        let known = board.pipelines.get(pipeline).map(|board| &board.commits);
        let known = known.into_iter().flatten();
        let last = known.clone().map(|commit| commit.changed()).max();
        let is_late = |commit: &CommitBoard| {
            last.is_some_and(|last| last.duration_since(commit.changed()) <= LATELY)
        };
        let commits: Vec<String> = known
            .enumerate()
            .filter(|(place, commit)| *place < NEWEST || is_late(commit))
            .map(|(_, commit)| commit.id.clone())
            .collect();
        for commit in commits {
            self.clerk.note(pipeline, &commit);
        }
    }

    /// Gives what is known at this moment. Cheap: commits are shared.
    pub fn board(&self) -> Board {
        lock(&self.board).clone()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Changes whenever the board does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Names the pipelines that follow a reference of a repository under one of these addresses.
    pub fn following(&self, urls: &[RemoteUrl], reference: &str) -> Vec<String> {
        let running = lock(&self.running);
        let follows = running.iter().filter(|(_, running)| {
            let plan = &running.plan;
            let same = plan
                .url()
                .is_some_and(|own| urls.iter().any(|url| url.same_repository(&own)));
            same && plan.follows(reference)
        });
        follows.map(|(name, _)| name.clone()).collect()
    }

    /// Asks a pipeline to look at its source now. `head` is where a push says that it moved to.
    pub fn wake(&self, pipeline: &str, head: Option<&str>) -> bool {
        // Where HEAD is followed, only the remote knows whether that branch is it.
        let named = lock(&self.running)
            .get(pipeline)
            .is_some_and(|running| running.plan.resolved.revision.is_some());
        self.order(pipeline, |orders| orders.push(head.filter(|_| named)))
    }

    /// Asks a pipeline for a pass that relies on nothing that it remembers.
    pub fn wake_fully(&self, pipeline: &str) -> bool {
        self.order(pipeline, |orders| {
            orders.run = true;
            orders.full = true;
        })
    }

    /// Lets a commit remove as much as it does: the guard's limits on removals are off for it.
    pub fn release(&self, pipeline: &str, commit: &str) -> bool {
        tracing::warn!(pipeline, commit, "removals were released by hand");
        self.order(pipeline, |orders| {
            orders.run = true;
            orders.release = Some(commit.to_owned());
        })
    }

    /// Lets a wave have a commit before the waves in front of it are healthy. A wave that is paused stays so.
    pub fn open_wave(&self, pipeline: &str, commit: &str, wave: &str) -> bool {
        tracing::warn!(pipeline, commit, wave, "the wave was opened by hand");
        self.order(pipeline, |orders| {
            orders.run = true;
            orders.open.insert((commit.to_owned(), wave.to_owned()));
        })
    }

    fn order(&self, pipeline: &str, change: impl FnOnce(&mut Orders)) -> bool {
        let running = lock(&self.running);
        let found = running.get(pipeline);
        if let Some(running) = found {
            running.wake.ask(change);
        }
        found.is_some()
    }

    /// Takes in what WECs say. Reports of a commit that is not published yet wait for it. Tells whether there are such a pipeline and
    /// such WECs; before its inventory was read, any may be.
    pub fn report(&self, pipeline: &str, reports: Vec<Report>) -> bool {
        let now = Timestamp::now();
        let mut touched = Vec::new();
        {
            let mut running = lock(&self.running);
            let Some(running) = running.get_mut(pipeline) else {
                return false;
            };
            let mut board = lock(&self.board);
            let Some(board) = board.pipelines.get_mut(pipeline) else {
                return false;
            };
            let is_known = |report: &Report| may_have(board, &report.cluster);
            if !reports.is_empty() && !reports.iter().any(is_known) {
                return false;
            }
            let (reports, _strangers): (Vec<Report>, Vec<Report>) =
                reports.into_iter().partition(is_known);
            for report in reports {
                running.talkative.insert(report.cluster.clone());
                let rollout = board.rollout.clone();
                let is_healthy = |board: &PipelineBoard| {
                    rollout.is_some() && staging::is_healthy(board, &report.cluster)
                };
                let before = is_healthy(board);
                if let Some(commit) = deliver_report(board, &report, now) {
                    let turned = before != is_healthy(board);
                    let rollout = rollout.filter(|_| !commit.is_empty());
                    if rollout.is_some_and(|rollout| rollout.awaits(&report.cluster, turned)) {
                        running.wake.ask(|orders| orders.push(None));
                    }
                    touched.extend(commit);
                } else {
                    running.early.push_back(report);
                    let excess = running.early.len().saturating_sub(EARLY);
                    running.early.drain(..excess);
                }
            }
        }
        for commit in touched {
            self.clerk.note(pipeline, &commit);
        }
        true
    }

    /// Says why an object is, or is not, on a WEC, by the last rendering.
    ///
    /// # Errors
    /// When there is no such pipeline, or nothing was rendered yet.
    pub fn explain(
        &self,
        pipeline: &str,
        object: &ObjectKey,
        cluster: Option<&ClusterName>,
    ) -> Result<Explanation, Unanswered> {
        let memory = lock(&self.running)
            .get(pipeline)
            .map(|running| Arc::clone(&running.memory));
        let memory = memory.ok_or(Unanswered::NoPipeline)?;
        let ready = lock(&self.board)
            .pipelines
            .get(pipeline)
            .is_some_and(|board| board.ready);
        if !ready {
            return Err(Unanswered::NothingRendered);
        }
        Ok(lock(&memory).explain(object, cluster))
    }

    /// Gives the repository that holds a pipeline's generated commits.
    pub fn repository(&self, pipeline: &str) -> Option<PathBuf> {
        let plan = lock(&self.running)
            .get(pipeline)
            .map(|running| Arc::clone(&running.plan))?;
        destination::repository(&plan, &self.options.cache)
    }

    /// Changes a pipeline's board, and tells whoever watches.
    fn update<T>(&self, pipeline: &str, change: impl FnOnce(&mut PipelineBoard) -> T) -> Option<T> {
        let answer = lock(&self.board).pipelines.get_mut(pipeline).map(change);
        self.changed();
        answer
    }

    /// Changes one commit, and has it told and written down.
    fn observe(&self, pipeline: &str, commit: &str, change: impl FnOnce(&mut CommitBoard)) {
        self.update(pipeline, |board| board.commit_mut(commit).map(change));
        self.clerk.note(pipeline, commit);
    }

    /// Has closed what was left pending on commits of which nothing is known.
    fn close(&self, pipeline: &str, commits: &[String], text: &str) {
        let running = lock(&self.running);
        let Some(running) = running.get(pipeline) else {
            return;
        };
        for (sink, commit) in running
            .sinks
            .iter()
            .flat_map(|sink| commits.iter().map(move |commit| (sink, commit)))
        {
            sink.close(commit, &running.plan.style, text);
        }
    }

    /// Delivers reports that came early, now that their commit may be there.
    fn replay(&self, pipeline: &str) {
        let early = lock(&self.running)
            .get_mut(pipeline)
            .map(|running| std::mem::take(&mut running.early));
        if let Some(early) = early.filter(|early| !early.is_empty()) {
            self.report(pipeline, early.into());
        }
    }

    /// Tells whether a WEC is expected to report.
    fn expects(&self, pipeline: &str, cluster: &ClusterName) -> bool {
        let running = lock(&self.running);
        running
            .get(pipeline)
            .is_some_and(|running| match running.plan.reports {
                Reports::Required => true,
                Reports::None => false,
                Reports::Auto => running.talkative.contains(cluster),
            })
    }

    /// Takes what is to be told from the clerk, and tells it. Called by the clerk's thread, and at the end.
    fn tell(&self) {
        // One at a time: an older word must not come after a newer one.
        let _telling = self.clerk.turn();
        let now = Timestamp::now();
        clerk::step("looking at deadlines", || self.run_out(now));
        clerk::step("listening to the sinks", || self.listen(now));
        for (pipeline, commit) in self.clerk.take() {
            let outcome = caught(|| self.tell_of(&pipeline, &commit));
            self.clerk.told((pipeline, commit), outcome);
        }
    }

    /// Hands one commit to sinks and journal.
    fn tell_of(&self, pipeline: &str, commit: &str) {
        let found = lock(&self.board).pipelines.get(pipeline).and_then(|board| {
            let mut commits = board.commits.iter();
            commits.find(|known| known.id == commit).cloned()
        });
        let Some(found) = found else {
            return;
        };
        // First what stays: a status that nobody remembers would be pending for ever, and one that is remembered as it was
        // before would begin again.
        if let Err(error) = journal::write(&self.clerk.folder(pipeline), &found) {
            tracing::warn!(pipeline, commit, %error, "the journal cannot be written; it is a cache");
        }
        let told = lock(&self.running)
            .get(pipeline)
            .map(|running| (Arc::clone(&running.plan), running.sinks.clone()));
        if let Some((plan, sinks)) = told {
            let wanted = statuses(&found, &plan.style);
            for sink in sinks {
                sink.want(&found.id, wanted.clone());
                sink.check(&found.id, check_run(&found, &plan.style));
            }
        }
        self.changed();
    }

    /// What the sinks complain of goes on the board.
    fn listen(&self, now: Timestamp) {
        let said: Vec<(String, Option<Problem>)> = lock(&self.running)
            .iter()
            .map(|(name, running)| {
                let problem = running.sinks.iter().find_map(|sink| sink.problem(now));
                (name.clone(), problem.or_else(|| self.clerk.problem(name)))
            })
            .collect();
        for (name, said) in said {
            let known = lock(&self.board)
                .pipelines
                .get(&name)
                .and_then(|board| board.status_problem.clone());
            let words = |problem: &Option<Problem>| {
                let problem = problem.as_ref()?;
                Some((problem.reason.clone(), problem.message.clone()))
            };
            if words(&said) != words(&known) {
                self.update(&name, |board| board.status_problem = said);
            }
        }
    }

    /// The time of WECs that were given something and say nothing runs out.
    fn run_out(&self, now: Timestamp) {
        let deadlines: Vec<(String, Duration)> = lock(&self.running)
            .iter()
            .map(|(name, running)| (name.clone(), running.plan.deadline))
            .collect();
        for (name, deadline) in deadlines {
            let mut touched = Vec::new();
            if let Some(board) = lock(&self.board).pipelines.get_mut(&name) {
                for commit in &mut board.commits {
                    if overdue(commit, deadline, now) {
                        let changed = Arc::make_mut(commit);
                        for state in changed.clusters.values_mut() {
                            if is_overdue(state, deadline, now) {
                                let after = schedule::words(deadline);
                                state.observe(Observation::Overdue { after }, now);
                            }
                        }
                        touched.push(changed.id.clone());
                    }
                }
            }
            for commit in touched {
                self.clerk.note(&name, &commit);
            }
        }
    }
}

/// Tells whether a WEC is, or was, one of a pipeline's, as far as anybody knows.
fn may_have(board: &PipelineBoard, cluster: &ClusterName) -> bool {
    let is_open = !board.ready || board.clusters.is_empty();
    let mut commits = board.commits.iter();
    is_open
        || board.clusters.contains(cluster)
        || commits.any(|commit| commit.clusters.contains_key(cluster))
}

fn overdue(commit: &CommitBoard, deadline: Duration, now: Timestamp) -> bool {
    let mut states = commit.clusters.values();
    states.any(|state| is_overdue(state, deadline, now))
}

fn is_overdue(
    state: &crate::status::state::ClusterState,
    deadline: Duration,
    now: Timestamp,
) -> bool {
    let waited = state.given().map(|given| now.duration_since(given));
    !state.is_over() && waited.is_some_and(|waited| waited.unsigned_abs() > deadline)
}

/// Finds the commits that a report is about: those that stand for its revision, or the newest that was published when it names none.
///
/// None when its revision is not known (yet).
fn deliver_report(
    board: &mut PipelineBoard,
    report: &Report,
    now: Timestamp,
) -> Option<Vec<String>> {
    let mut known = false;
    let mut touched = Vec::new();
    for commit in &mut board.commits {
        let Some(state) = commit.clusters.get(&report.cluster) else {
            continue;
        };
        let fits = match &report.revision {
            Some(revision) => state.answers_to(revision),
            None => state.revision().is_some() && !known,
        };
        if !fits {
            continue;
        }
        known = true;
        if state.phase() == crate::status::Phase::Superseded {
            continue;
        }
        let commit = Arc::make_mut(commit);
        if let Some(state) = commit.clusters.get_mut(&report.cluster)
            && state.observe(Observation::Reported(report.clone()), now)
        {
            touched.push(commit.id.clone());
        }
        break;
    }
    known.then_some(touched)
}
