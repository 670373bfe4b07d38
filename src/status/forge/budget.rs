//! How often a host may be told: its limits and what was sent → when the next may go. Pure; time comes in as a value.
//!
//! A window slides over what was sent, so that the limit holds in every minute and every hour, not only on average. Part of the
//! budget is kept back for what matters more, so that it never waits for what matters less.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::api::pipeline::ForgeKind;

/// Time since some beginning that does not move.
pub type Clock = Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What a host takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most in any minute.
    pub per_minute: Option<u32>,
    /// The most in any hour.
    pub per_hour: Option<u32>,
    /// The least time between two.
    pub spacing: Duration,
}

/// How much something matters, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// May use all of the budget: what fails, and what speaks for a whole commit.
    Truth,
    /// An end: may use nine tenths.
    End,
    /// A step on the way: may use three tenths.
    Step,
}

/// What was sent lately, and what that leaves.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: Limits,
    /// When something was sent, the oldest first; never more than the larger limit.
    sent: VecDeque<Clock>,
    /// The host asked us to wait until then.
    held: Clock,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self {
        per_minute: None,
        per_hour: None,
        spacing: Duration::ZERO,
    };

    /// GitHub's published limits for requests that create content.
    /// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
    pub const GITHUB: Self = Self {
        per_minute: Some(80),
        per_hour: Some(500),
        spacing: Duration::from_secs(1),
    };

    /// The limits of a host: GitHub's own where it is GitHub's, and what the configuration says.
    pub fn of(kind: ForgeKind, api: &str, max_per_minute: Option<u32>) -> Self {
        let host = api.split_once("://").map_or(api, |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or(host);
        let public = host == "api.github.com" || host.ends_with(".ghe.com");
        let limits = if kind == ForgeKind::GitHub && public {
            Self::GITHUB
        } else {
            Self::NONE
        };
        Self {
            per_minute: match (limits.per_minute, max_per_minute) {
                (Some(theirs), Some(ours)) => Some(theirs.min(ours)),
                (theirs, ours) => theirs.or(ours),
            },
            ..limits
        }
    }
}

impl Weight {
    /// How many of `limit` it may use; at least one, so that nothing waits for ever.
    fn part_of(self, limit: u32) -> usize {
        let part = match self {
            Self::Truth => limit,
            Self::End => limit / 10 * 9 + limit % 10 * 9 / 10,
            Self::Step => limit / 10 * 3 + limit % 10 * 3 / 10,
        };
        part.max(1) as usize
    }
}

impl Budget {
    /// A budget of which nothing is used.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            sent: VecDeque::new(),
            held: Clock::ZERO,
        }
    }

    /// When something of this weight may be sent: `now` or later.
    pub fn ready_at(&self, weight: Weight, now: Clock) -> Clock {
        let mut ready = now.max(self.held);
        if let Some(last) = self.sent.back() {
            ready = ready.max(*last + self.limits.spacing);
        }
        let windows = [
            (self.limits.per_minute, MINUTE),
            (self.limits.per_hour, HOUR),
        ];
        for (limit, window) in windows {
            let Some(limit) = limit else { continue };
            // The one that must have left the window before another may enter it.
            let allowed = weight.part_of(limit);
            if let Some(index) = self.sent.len().checked_sub(allowed) {
                ready = ready.max(self.sent[index] + window);
            }
        }
        ready
    }

    /// When a question may be asked: questions are not counted, but a host that wants quiet gets it.
    pub fn question_at(&self, now: Clock) -> Clock {
        now.max(self.held)
    }

    /// Notes that something was sent.
    pub fn spend(&mut self, now: Clock) {
        self.sent.push_back(now);
        while self
            .sent
            .front()
            .is_some_and(|oldest| *oldest + HOUR <= now)
            || self.sent.len() > self.most()
        {
            self.sent.pop_front();
        }
    }

    /// Waits for the host.
    pub fn hold(&mut self, until: Clock) {
        self.held = self.held.max(until);
    }

    /// How many may still be sent in this hour, or in this minute where only that is limited; none without a limit.
    pub fn left(&self, now: Clock) -> Option<u32> {
        let within = |window: Duration| {
            self.sent
                .iter()
                .filter(|sent| **sent + window > now)
                .count()
        };
        let left = |limit: u32, window| {
            limit.saturating_sub(u32::try_from(within(window)).unwrap_or(u32::MAX))
        };
        match (self.limits.per_hour, self.limits.per_minute) {
            (Some(limit), _) => Some(left(limit, HOUR)),
            (None, Some(limit)) => Some(left(limit, MINUTE)),
            (None, None) => None,
        }
    }

    /// How many are worth remembering.
    fn most(&self) -> usize {
        let limits = [self.limits.per_minute, self.limits.per_hour];
        limits.into_iter().flatten().max().unwrap_or(1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(number: u64) -> Clock {
        Duration::from_secs(number)
    }

    #[test]
    fn no_minute_and_no_hour_gets_more_than_github_takes() {
        let mut budget = Budget::new(Limits {
            spacing: Duration::ZERO,
            ..Limits::GITHUB
        });
        let mut now = Clock::ZERO;
        let mut sent = Vec::new();
        while sent.len() < 1200 {
            now = budget.ready_at(Weight::Truth, now);
            budget.spend(now);
            sent.push(now);
        }
        for (index, start) in sent.iter().enumerate() {
            let within = |window| {
                sent[index..]
                    .iter()
                    .filter(|at| **at < *start + window)
                    .count()
            };
            assert!(
                within(MINUTE) <= 80 && within(HOUR) <= 500,
                "from {start:?}"
            );
        }
    }

    #[test]
    fn steps_leave_room_for_ends_and_ends_for_the_truth() {
        let limits = Limits {
            per_minute: Some(10),
            ..Limits::NONE
        };
        let mut budget = Budget::new(limits);
        for (weight, number) in [(Weight::Step, 3), (Weight::End, 6), (Weight::Truth, 1)] {
            for _ in 0..number {
                assert_eq!(
                    budget.ready_at(weight, seconds(1)),
                    seconds(1),
                    "{weight:?}"
                );
                budget.spend(seconds(1));
            }
            assert_eq!(
                budget.ready_at(weight, seconds(1)),
                seconds(61),
                "{weight:?}"
            );
        }
        assert_eq!(budget.left(seconds(1)), Some(0));
        assert_eq!(budget.left(seconds(61)), Some(10));
    }

    #[test]
    fn a_host_that_wants_quiet_gets_it() {
        let mut budget = Budget::new(Limits::NONE);
        assert_eq!(budget.ready_at(Weight::Step, seconds(5)), seconds(5));
        budget.hold(seconds(30));
        assert_eq!(budget.ready_at(Weight::Truth, seconds(5)), seconds(30));
        assert_eq!(budget.question_at(seconds(5)), seconds(30));
        assert_eq!(budget.left(seconds(5)), None);
    }

    #[test]
    fn only_githubs_own_hosts_have_githubs_limits() {
        let limits = |kind, api, most| Limits::of(kind, api, most);
        assert_eq!(
            limits(ForgeKind::GitHub, "https://api.github.com", None),
            Limits::GITHUB
        );
        assert_eq!(
            limits(ForgeKind::GitHub, "https://api.octo.ghe.com", None),
            Limits::GITHUB
        );
        assert_eq!(
            limits(ForgeKind::GitHub, "https://ghe.example.com/api/v3", None),
            Limits::NONE
        );
        assert_eq!(
            limits(ForgeKind::Gitea, "https://x/api/v1", Some(9)).per_minute,
            Some(9)
        );
        assert_eq!(
            limits(ForgeKind::GitHub, "https://api.github.com", Some(900)).per_minute,
            Some(80)
        );
    }
}
