//! What a forge has been told when all is quiet, whatever happened on the way.

mod failures;
mod limits;
mod properties;
mod telling;

use super::*;
use crate::status::StatusState;
use crate::status::forge::Conclusion;
use crate::status::forge::budget::Limits;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A forge that keeps everything, and a clock that moves when there is nothing to do.
struct World {
    desk: Desk,
    budget: Budget,
    now: Clock,
    has: BTreeMap<String, Vec<CommitStatus>>,
    checks: Vec<CheckRun>,
    comments: BTreeMap<u64, String>,
    /// What was sent, and when.
    log: Vec<(Clock, Job)>,
}

/// How the forge answers.
#[derive(Clone, Debug)]
enum Answer {
    Good,
    /// It did it, and the answer was lost.
    Lost,
    Fails(ForgeError),
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            desk: Desk::new(Some(Cap::GITHUB)),
            budget: Budget::new(limits),
            now: Clock::ZERO,
            has: BTreeMap::new(),
            checks: Vec::new(),
            comments: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// The process ends and starts again: the forge keeps what it has.
    fn restart(&mut self) {
        self.desk = Desk::new(Some(Cap::GITHUB));
    }

    fn want(&mut self, statuses: &[(&str, StatusState)]) {
        let each = statuses.iter().map(|(name, state)| status(name, *state));
        self.desk.want(SHA, each.collect());
    }

    /// Does the next thing, or lets time pass; tells whether anything is left.
    fn step(&mut self, answer: &Answer) -> bool {
        match self.desk.next(self.now, &self.budget) {
            Next::Idle => return false,
            Next::At(until) => {
                assert!(until > self.now, "waiting for the past never ends");
                self.now = until;
            }
            Next::Do(job) => {
                if !matches!(job, Job::List { .. }) {
                    self.budget.spend(self.now);
                }
                self.log.push((self.now, job.clone()));
                let outcome = match answer {
                    Answer::Good => Ok(self.perform(&job)),
                    Answer::Lost => {
                        self.perform(&job);
                        Err(broken())
                    }
                    Answer::Fails(error) => Err(error.clone()),
                };
                self.desk.done(&job, outcome, self.now);
            }
        }
        true
    }

    fn settle(&mut self) {
        let mut steps = 0;
        while self.step(&Answer::Good) {
            steps += 1;
            assert!(steps < 100_000, "it never comes to rest");
        }
    }

    fn perform(&mut self, job: &Job) -> Vec<Posted> {
        match job {
            Job::List { sha } => {
                let mut known = Known::new();
                for status in self.has.get(sha).into_iter().flatten() {
                    let times = known.get(&status.context).map_or(0, |posted| posted.times) + 1;
                    let status = status.clone();
                    known.insert(status.context.clone(), Posted { status, times });
                }
                known.into_values().collect()
            }
            Job::Post { sha, status } => {
                self.has
                    .entry(sha.clone())
                    .or_default()
                    .push(status.clone());
                Vec::new()
            }
            Job::Check { run, .. } => {
                self.checks.push(run.clone());
                Vec::new()
            }
            Job::Comment { pull, markdown, .. } => {
                self.comments.insert(*pull, markdown.clone());
                Vec::new()
            }
        }
    }

    /// The newest of each name.
    fn shows(&self, sha: &str) -> BTreeMap<String, CommitStatus> {
        let each = self.has.get(sha).into_iter().flatten();
        each.map(|status| (status.context.clone(), status.clone()))
            .collect()
    }

    fn posts(&self) -> Vec<(&str, StatusState)> {
        let posts = self.log.iter().filter_map(|(_, job)| match job {
            Job::Post { status, .. } => Some((status.context.as_str(), status.state)),
            _ => None,
        });
        posts.collect()
    }
}

fn status(context: &str, state: StatusState) -> CommitStatus {
    CommitStatus {
        context: context.into(),
        state,
        description: format!("{state:?}"),
        target_url: None,
    }
}

fn broken() -> ForgeError {
    ForgeError::Broken {
        host: "h".into(),
        problem: "reset".into(),
    }
}

fn limited(seconds: u64) -> ForgeError {
    ForgeError::Limited {
        host: "h".into(),
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

fn forbidden() -> ForgeError {
    ForgeError::Forbidden {
        host: "h".into(),
        repository: "a/b".into(),
        needs: "checks".into(),
        message: String::new(),
    }
}

fn run(conclusion: Option<Conclusion>, title: &str) -> CheckRun {
    CheckRun {
        name: "s/shop".into(),
        conclusion,
        title: title.into(),
        summary: String::new(),
        text: String::new(),
        details_url: None,
    }
}
