//! What a worker is asked to do, coalesced: however many pushes come while it works, one run to the newest commit follows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use super::{PullRequest, lock};

/// The most pull requests that wait.
const PREVIEWS: usize = 64;
/// The most heads of pushes that are remembered between two runs.
const HEADS: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// To look at the source.
    pub run: bool,
    /// To forget what is remembered first.
    pub full: bool,
    /// To stop.
    pub stop: bool,
    /// Where pushes say that the reference moved to, the newest last.
    pub heads: VecDeque<String>,
    /// Pull requests that want a preview, by number.
    pub previews: BTreeMap<u64, PullRequest>,
    /// The commit whose removals are released.
    pub release: Option<String>,
    /// Commits, each with a wave that may have it before its turn.
    pub open: BTreeSet<(String, String)>,
}

impl Orders {
    /// Asks for a run, because of a push when a head is given.
    pub fn push(&mut self, head: Option<&str>) {
        self.run = true;
        if let Some(head) = head {
            self.heads.retain(|known| known != head);
            self.heads.push_back(head.to_owned());
            let excess = self.heads.len().saturating_sub(HEADS);
            self.heads.drain(..excess);
        }
    }

    /// Puts orders that came later behind these.
    pub(super) fn then(mut self, later: Self) -> Self {
        for head in &later.heads {
            self.push(Some(head));
        }
        for pull in later.previews.into_values() {
            self.preview(pull);
        }
        self.run |= later.run;
        self.full |= later.full;
        self.stop |= later.stop;
        self.release = later.release.or(self.release);
        self.open.extend(later.open);
        self
    }

    /// Asks for a preview; of many that wait the oldest pull requests go.
    pub(super) fn preview(&mut self, pull: PullRequest) {
        self.previews.insert(pull.number, pull);
        while self.previews.len() > PREVIEWS {
            self.previews.pop_first();
        }
    }
}

/// Where a worker waits for orders. Its size does not depend on how many there are.
#[derive(Debug, Default)]
pub struct Wake {
    orders: Mutex<Orders>,
    changed: Condvar,
}

impl Wake {
    /// Changes what is asked for.
    pub fn ask(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut lock(&self.orders));
        self.changed.notify_all();
    }

    /// Waits until there is something to do, or until then; takes it.
    pub fn wait(&self, until: Instant) -> Orders {
        let mut orders = lock(&self.orders);
        loop {
            let now = Instant::now();
            if orders.run || orders.stop || !orders.previews.is_empty() || now >= until {
                return std::mem::take(&mut orders);
            }
            let waited = self.changed.wait_timeout(orders, until - now);
            orders = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(orders, _)| orders);
        }
    }

    /// Tells whether the end was asked for.
    pub(super) fn is_stopping(&self) -> bool {
        lock(&self.orders).stop
    }

    /// Tells whether a push to another commit came meanwhile, or the end: what is being made is not wanted any more.
    pub fn is_overtaken(&self, commit: &str) -> bool {
        let orders = lock(&self.orders);
        orders.stop || orders.heads.back().is_some_and(|head| head != commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_pushes_are_one_run_to_the_newest() {
        let wake = Wake::default();
        for number in 0..1000 {
            wake.ask(|orders| orders.push(Some(&format!("{number:040}"))));
        }
        let orders = wake.wait(Instant::now());
        assert!(orders.run);
        assert_eq!(orders.heads.len(), HEADS);
        assert_eq!(orders.heads.back(), Some(&format!("{:040}", 999)));
        assert_eq!(
            wake.wait(Instant::now()),
            Orders::default(),
            "nothing is left"
        );
    }

    #[test]
    fn nothing_that_was_asked_for_is_lost_when_work_is_given_up() {
        let mut orders = Orders::default();
        orders.push(Some("a"));
        orders.full = true;
        orders.release = Some("a".to_owned());
        let mut later = Orders::default();
        later.push(Some("b"));
        let both = orders.then(later);
        assert_eq!(both.heads, ["a", "b"]);
        assert!(both.run && both.full && !both.stop);
        assert_eq!(both.release.as_deref(), Some("a"));
    }

    #[test]
    fn work_is_overtaken_by_a_push_to_another_commit_only() {
        let wake = Wake::default();
        wake.ask(|orders| orders.push(Some("a")));
        assert!(!wake.is_overtaken("a"));
        wake.ask(|orders| orders.push(Some("b")));
        assert!(wake.is_overtaken("a"));
    }
}
