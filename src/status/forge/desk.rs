//! What is wanted, what the forge is known to have, and how the last tries went → what to do next. Pure; time comes in as a value.
//!
//! ```text
//! want, close ─▶ Desk ─ next(now, budget) ─▶ Job ─ the forge ─▶ done(job, result, now) ─▶ Desk
//! ```
//!
//! For each commit the forge is read first. Only the newest wanted state counts; one that nobody saw is never told. A failure loses
//! nothing: what is wanted stays wanted. After a failure that leaves open whether the forge did it, the forge is read again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::CheckRun;
use super::budget::{Budget, Clock, Weight};
use super::commit::{CHECK_EVERY, Commit, Owns};
use super::error::{ForgeError, Scope};
use super::plan::{Cap, Known, Posted, Rank};
use crate::status::CommitStatus;

/// The most commits that are remembered; the one that nobody has wanted anything of for longest goes first.
const COMMITS: usize = 256;
/// The most comments that are remembered.
const COMMENTS: usize = 256;
/// How often a commit that the forge does not have is asked for.
const TRIES: u32 = 8;
/// The first wait after a failure, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// What a host that limits us without saying for how long wants at least.
pub(super) const LIMITED_WAIT: Duration = Duration::from_secs(60);

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Read a commit's statuses.
    List {
        /// The commit.
        sha: String,
    },
    /// Post a status.
    Post {
        /// The commit.
        sha: String,
        /// The status.
        status: CommitStatus,
    },
    /// Write the check run.
    Check {
        /// The commit.
        sha: String,
        /// What it is to say.
        run: CheckRun,
    },
    /// Write the comment.
    Comment {
        /// The pull request.
        pull: u64,
        /// By what it is found again.
        marker: String,
        /// What it is to say.
        markdown: String,
    },
}

/// What the forge answered.
pub type Outcome = Result<Vec<Posted>, ForgeError>;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This.
    Do(Job),
    /// Wait until then.
    At(Clock),
    /// Nothing is left to do.
    Idle,
}

/// Everything that one repository of a forge is told.
#[derive(Default)]
pub struct Desk {
    cap: Option<Cap>,
    commits: BTreeMap<String, Commit>,
    comments: BTreeMap<(u64, String), Comment>,
    /// Counts what is wanted, so that what waits longest goes first.
    turns: u64,
    /// Failures in a row, and until when that keeps us quiet.
    failures: u32,
    quiet_until: Clock,
    /// The last failure of each kind of thing that has not succeeded since.
    problems: BTreeMap<Kind, ForgeError>,
    outcomes: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct Comment {
    wanted: String,
    settled: bool,
    turn: u64,
}

/// How much is there and how it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests by their end: `posted`, `read`, or the reason of a failure.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Statuses, check runs and comments that wait.
    pub waiting: usize,
    /// What is left of the budget; none without a limit.
    pub budget_left: Option<u32>,
}

impl Desk {
    /// Begins with nothing known.
    pub fn new(cap: Option<Cap>) -> Self {
        Self {
            cap,
            ..Self::default()
        }
    }

    /// Replaces what is wanted of a commit.
    pub fn want(&mut self, sha: &str, statuses: Vec<CommitStatus>) {
        let commit = self.touch(sha);
        commit.wanted = statuses
            .into_iter()
            .map(|status| (status.context.clone(), status))
            .collect();
        commit
            .refused
            .retain(|context, refused| commit.wanted.get(context) == Some(refused));
        commit.shut_orphans();
    }

    /// Replaces the check run that is wanted of a commit.
    pub fn want_check(&mut self, sha: &str, run: CheckRun) {
        self.touch(sha).check = Some(run);
    }

    /// Replaces the comment that is wanted on a pull request.
    pub fn want_comment(&mut self, pull: u64, marker: &str, markdown: String) {
        self.turns += 1;
        let turn = self.turns;
        let comment = self.comments.entry((pull, marker.to_owned())).or_default();
        comment.settled &= comment.wanted == markdown;
        comment.wanted = markdown;
        comment.turn = turn;
        evict(&mut self.comments, COMMENTS, |comment| {
            (!comment.settled, comment.turn)
        });
    }

    /// Closes the steps that a commit was left with.
    pub fn close(&mut self, sha: &str, owns: Owns, text: &str) {
        let commit = self.touch(sha);
        commit.closers.push_back((owns, text.to_owned()));
        commit.run_closers();
    }

    /// Tries again at once what failed or was refused: a credential was changed.
    pub fn retry(&mut self) {
        self.failures = 0;
        self.quiet_until = Clock::ZERO;
        for commit in self.commits.values_mut() {
            if commit.failures > 0 || !commit.refused.is_empty() {
                commit.failures = 0;
                commit.quiet_until = Clock::ZERO;
                commit.refused.clear();
                commit.settled = false;
            }
        }
    }

    /// Says what to do next.
    pub fn next(&mut self, now: Clock, budget: &Budget) -> Next {
        let mut first: Option<(Order, Job)> = None;
        let mut later: Option<Clock> = None;
        let mut wait =
            |until: Clock| later = Some(later.map_or(until, |earlier: Clock| earlier.min(until)));
        for (sha, commit) in self
            .commits
            .iter_mut()
            .filter(|(_, commit)| !commit.settled)
        {
            if commit.quiet_until > now {
                wait(commit.quiet_until);
                continue;
            }
            match commit.next(sha, now, self.cap) {
                Next::Do(job) => keep_first(&mut first, (order(&job, commit.turn), job)),
                Next::At(until) => wait(until),
                Next::Idle => commit.settled = true,
            }
        }
        for ((pull, marker), comment) in
            self.comments.iter().filter(|(_, comment)| !comment.settled)
        {
            let job = Job::Comment {
                pull: *pull,
                marker: marker.clone(),
                markdown: comment.wanted.clone(),
            };
            keep_first(&mut first, (order(&job, comment.turn), job));
        }
        let Some((order, job)) = first else {
            if later.is_none() {
                self.forget_moot();
            }
            return later.map_or(Next::Idle, Next::At);
        };
        let ready = match order.weight() {
            None => budget.question_at(now),
            Some(weight) => budget.ready_at(weight, now),
        };
        let ready = ready.max(self.quiet_until);
        if ready <= now {
            Next::Do(job)
        } else {
            Next::At(ready)
        }
    }

    /// What failed and is not wanted any more is no problem; what was refused or given up still is one.
    fn forget_moot(&mut self) {
        let mut commits = self.commits.values();
        if !commits.any(|commit| commit.failures > 0 || !commit.refused.is_empty()) {
            self.problems.remove(&Kind::Statuses);
        }
    }

    /// Takes in how it went.
    pub fn done(&mut self, job: &Job, outcome: Outcome, now: Clock) {
        let word = match (&outcome, job) {
            (Err(error), _) => error.reason(),
            (Ok(_), Job::List { .. }) => "read",
            (Ok(_), _) => "posted",
        };
        *self.outcomes.entry(word).or_default() += 1;
        match outcome {
            Ok(posted) => {
                // What can be read may still refuse to be written: only a write ends the waiting.
                if !matches!(job, Job::List { .. }) {
                    self.failures = 0;
                }
                self.problems.remove(&job.kind());
                self.succeeded(job, posted, now);
            }
            Err(error) => {
                self.failed(job, &error, now);
                self.problems.insert(job.kind(), error);
            }
        }
    }

    /// The last failure, unless the same has succeeded since; of statuses before that of anything else.
    pub fn problem(&self) -> Option<&ForgeError> {
        self.problems.values().next()
    }

    /// How much is there and how it went.
    pub fn counters(&self, now: Clock, budget: &Budget) -> Counters {
        let open = self.commits.values().filter(|commit| !commit.settled);
        let statuses: usize = open.map(|commit| commit.waiting(self.cap)).sum();
        let comments = self
            .comments
            .values()
            .filter(|comment| !comment.settled)
            .count();
        Counters {
            outcomes: self.outcomes.clone(),
            waiting: statuses + comments,
            budget_left: budget.left(now),
        }
    }

    fn touch(&mut self, sha: &str) -> &mut Commit {
        self.turns += 1;
        let turn = self.turns;
        if !self.commits.contains_key(sha) {
            self.commits.insert(sha.to_owned(), Commit::default());
            // The new one has no turn yet, and must not be the one that goes.
            self.commits.entry(sha.to_owned()).or_default().turn = turn;
            evict(&mut self.commits, COMMITS, |commit| {
                (!commit.settled, commit.turn)
            });
        }
        let commit = self.commits.entry(sha.to_owned()).or_default();
        if commit.settled {
            // What waits keeps its place; what was done starts a new one.
            commit.settled = false;
            commit.failures = 0;
            commit.quiet_until = Clock::ZERO;
            commit.turn = turn;
        }
        commit
    }

    fn succeeded(&mut self, job: &Job, posted: Vec<Posted>, now: Clock) {
        match job {
            Job::List { sha } => {
                if let Some(commit) = self.commits.get_mut(sha) {
                    commit.failures = 0;
                    let known = posted
                        .into_iter()
                        .map(|posted| (posted.status.context.clone(), posted));
                    commit.known = Some(known.collect());
                    commit.run_closers();
                    commit.shut_orphans();
                }
            }
            Job::Post { sha, status } => {
                let Some(commit) = self.commits.get_mut(sha) else {
                    return;
                };
                if let Some(known) = commit.known.as_mut() {
                    let times = known.get(&status.context).map_or(0, |posted| posted.times);
                    let posted = Posted {
                        status: status.clone(),
                        times: times.saturating_add(1),
                    };
                    known.insert(status.context.clone(), posted);
                }
                // It may have been dropped while it was on its way.
                commit.shut_orphans();
            }
            Job::Check { sha, run } => {
                if let Some(commit) = self.commits.get_mut(sha) {
                    commit.check_known = Some(run.clone());
                    commit.check_after = now + CHECK_EVERY;
                }
            }
            Job::Comment {
                pull,
                marker,
                markdown,
            } => self.settle_comment(*pull, marker, markdown),
        }
    }

    fn failed(&mut self, job: &Job, error: &ForgeError, now: Clock) {
        let commit = job.sha().and_then(|sha| self.commits.get_mut(sha));
        // Statuses do not wait for a permission that only the check run or the comment needs.
        let extra = matches!(job.kind(), Kind::Check | Kind::Comment);
        let scope = match error {
            ForgeError::Forbidden { .. } | ForgeError::NotFound { .. } if extra => Scope::Item,
            error => error.scope(),
        };
        match (scope, commit) {
            (Scope::Repository, commit) => {
                if let (true, Some(commit)) = (error.leaves_open(), commit) {
                    commit.known = None;
                }
                self.failures = self.failures.saturating_add(1);
                let asked = match error {
                    ForgeError::Limited { retry_after, .. } => retry_after.unwrap_or(LIMITED_WAIT),
                    error => error.retry_after().unwrap_or_default(),
                };
                self.quiet_until = now + backoff(self.failures).max(asked);
            }
            (Scope::Commit, Some(commit)) => {
                commit.failures += 1;
                commit.quiet_until = now + backoff(commit.failures);
                commit.settled = commit.failures >= TRIES;
            }
            _ => self.refuse(job, error),
        }
    }

    /// The same again would fail again.
    fn refuse(&mut self, job: &Job, error: &ForgeError) {
        if let Job::Comment {
            pull,
            marker,
            markdown,
        } = job
        {
            self.settle_comment(*pull, marker, markdown);
            return;
        }
        let Some(commit) = job.sha().and_then(|sha| self.commits.get_mut(sha)) else {
            return;
        };
        match job {
            Job::Post { status, .. } => {
                if let (ForgeError::TooMany { .. }, Some(known)) = (error, commit.known.as_mut()) {
                    let full = Posted {
                        status: status.clone(),
                        times: u32::MAX,
                    };
                    known.entry(status.context.clone()).or_insert(full).times = u32::MAX;
                }
                commit
                    .refused
                    .insert(status.context.clone(), status.clone());
            }
            Job::Check { run, .. } => commit.check_refused = Some(run.clone()),
            // What cannot be read is taken as empty: at worst something is told twice.
            _ => commit.known = Some(Known::new()),
        }
    }

    fn settle_comment(&mut self, pull: u64, marker: &str, markdown: &str) {
        if let Some(comment) = self.comments.get_mut(&(pull, marker.to_owned())) {
            comment.settled = comment.wanted == markdown;
        }
    }
}

/// What a job is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Statuses,
    Check,
    Comment,
}

impl Job {
    fn kind(&self) -> Kind {
        match self {
            Self::List { .. } | Self::Post { .. } => Kind::Statuses,
            Self::Check { .. } => Kind::Check,
            Self::Comment { .. } => Kind::Comment,
        }
    }

    fn sha(&self) -> Option<&str> {
        match self {
            Self::List { sha } | Self::Post { sha, .. } | Self::Check { sha, .. } => Some(sha),
            Self::Comment { .. } => None,
        }
    }
}

/// Questions first, then by rank, then what waits longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    rank: Option<Rank>,
    turn: u64,
}

impl Order {
    fn weight(self) -> Option<Weight> {
        self.rank.map(Rank::weight)
    }
}

fn order(job: &Job, turn: u64) -> Order {
    let rank = match job {
        Job::List { .. } => None,
        Job::Post { status, .. } => Some(super::plan::rank(status)),
        Job::Check { run, .. } if run.conclusion.is_none() => Some(Rank::Step),
        Job::Check { .. } => Some(Rank::Whole),
        Job::Comment { .. } => Some(Rank::End),
    };
    Order { rank, turn }
}

fn keep_first(first: &mut Option<(Order, Job)>, other: (Order, Job)) {
    if first.as_ref().is_none_or(|(order, _)| other.0 < *order) {
        *first = Some(other);
    }
}

/// 1 s, 2 s, 4 s … five minutes.
fn backoff(failures: u32) -> Duration {
    let doubled = 1_u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT)
}

/// Forgets the least of a collection that has grown too large.
fn evict<K: Ord + Clone, V, O: Ord>(
    held: &mut BTreeMap<K, V>,
    most: usize,
    order: impl Fn(&V) -> O,
) {
    while held.len() > most {
        let least = held.iter().min_by_key(|(_, value)| order(value));
        let Some(least) = least.map(|(key, _)| key.clone()) else {
            return;
        };
        held.remove(&least);
    }
}

#[cfg(test)]
#[path = "desk_tests/mod.rs"]
mod tests;
