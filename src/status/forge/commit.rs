//! What is wanted of one commit and what the forge is known to have of it → what to do next for it. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::CheckRun;
use super::budget::Clock;
use super::desk::{Job, Next};
use super::plan::{Cap, Known, Rank, Statuses, closing, orphans, plan};
use crate::status::CommitStatus;

/// How often a check run that has not come to its end is written.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(15);
/// Tells our names from those of others.
pub(super) type Owns = Box<dyn Fn(&str) -> bool + Send>;

/// One commit.
#[derive(Default)]
pub(super) struct Commit {
    pub(super) wanted: Statuses,
    /// None until the forge was read.
    pub(super) known: Option<Known>,
    /// What the forge refuses as it is.
    pub(super) refused: Statuses,
    pub(super) check: Option<CheckRun>,
    pub(super) check_known: Option<CheckRun>,
    pub(super) check_refused: Option<CheckRun>,
    pub(super) check_after: Clock,
    pub(super) closers: VecDeque<(Owns, String)>,
    /// When something was last wanted of it.
    pub(super) turn: u64,
    pub(super) failures: u32,
    pub(super) quiet_until: Clock,
    /// Nothing differs, or it was given up: not looked at until something is wanted.
    pub(super) settled: bool,
}

impl Commit {
    pub(super) fn next(&mut self, sha: &str, now: Clock, cap: Option<Cap>) -> Next {
        let sha = sha.to_owned();
        let Some(known) = &self.known else {
            return if self.wanted.is_empty() && self.closers.is_empty() {
                self.next_check(sha, now)
            } else {
                Next::Do(Job::List { sha })
            };
        };
        let post = self.posts(known, cap).next();
        match (post, self.next_check(sha.clone(), now)) {
            // The check run tells of the whole, so it comes before the ends and the steps.
            (Some((rank, _)), Next::Do(check)) if rank > Rank::Whole => Next::Do(check),
            (Some((_, status)), _) => Next::Do(Job::Post {
                sha,
                status: status.clone(),
            }),
            (None, check) => check,
        }
    }

    /// What differs and was not refused, the most important first.
    fn posts<'a>(
        &'a self,
        known: &Known,
        cap: Option<Cap>,
    ) -> impl Iterator<Item = (Rank, &'a CommitStatus)> {
        let is_new = |(_, status): &(Rank, &CommitStatus)| {
            self.refused.get(&status.context) != Some(*status)
        };
        plan(&self.wanted, known, cap).into_iter().filter(is_new)
    }

    fn next_check(&self, sha: String, now: Clock) -> Next {
        match &self.check {
            Some(run)
                if self.check_known.as_ref() != Some(run)
                    && self.check_refused.as_ref() != Some(run) =>
            {
                if run.conclusion.is_none() && self.check_after > now {
                    return Next::At(self.check_after);
                }
                Next::Do(Job::Check {
                    sha,
                    run: run.clone(),
                })
            }
            _ => Next::Idle,
        }
    }

    pub(super) fn waiting(&self, cap: Option<Cap>) -> usize {
        let statuses = match &self.known {
            None => self.wanted.len(),
            Some(known) => self.posts(known, cap).count(),
        };
        statuses + usize::from(self.check.is_some() && self.check != self.check_known)
    }

    /// What is wanted goes before what closes.
    pub(super) fn run_closers(&mut self) {
        let Some(known) = &self.known else { return };
        for (owns, text) in self.closers.drain(..) {
            for status in closing(known, &*owns, &text) {
                self.wanted.entry(status.context.clone()).or_insert(status);
            }
        }
    }

    pub(super) fn shut_orphans(&mut self) {
        if let Some(known) = &self.known {
            for status in orphans(&self.wanted, known) {
                self.wanted.insert(status.context.clone(), status);
            }
        }
    }
}
