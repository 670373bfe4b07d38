//! Which deliveries were taken already: a bounded memory of ids, forgotten after a while. Reads no clock.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

/// The longest id that is remembered. Forges send UUIDs.
const LONGEST: usize = 128;

/// Ids and when they were taken, the oldest first.
#[derive(Debug)]
pub(super) struct Deliveries {
    known: HashSet<Arc<str>>,
    order: VecDeque<(Timestamp, Arc<str>)>,
    most: usize,
    lifetime: Duration,
}

impl Deliveries {
    /// Remembers at most so many, each for so long.
    pub(super) fn new(most: usize, lifetime: Duration) -> Self {
        Self {
            known: HashSet::new(),
            order: VecDeque::new(),
            most,
            lifetime,
        }
    }

    /// Tells whether the id was taken before.
    pub(super) fn knows(&mut self, id: &str, now: Timestamp) -> bool {
        self.forget(now);
        self.known.contains(id)
    }

    /// Remembers an id.
    pub(super) fn remember(&mut self, id: &str, now: Timestamp) {
        let id: Arc<str> = id.into();
        if id.len() > LONGEST || self.most == 0 || !self.known.insert(Arc::clone(&id)) {
            return;
        }
        if self.order.len() == self.most
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back((now, id));
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((taken, id)) = self.order.front() {
            if now.duration_since(*taken).unsigned_abs() < self.lifetime {
                return;
            }
            self.known.remove(id);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_delivery_is_known_until_its_time_is_over() {
        let mut deliveries = Deliveries::new(10, Duration::from_secs(60));
        deliveries.remember("a", at(0));
        assert!(deliveries.knows("a", at(59)));
        assert!(!deliveries.knows("b", at(59)));
        assert!(!deliveries.knows("a", at(60)));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut deliveries = Deliveries::new(2, Duration::from_secs(60));
        for id in ["a", "b", "b", "c"] {
            deliveries.remember(id, at(0));
        }
        assert!(!deliveries.knows("a", at(1)));
        assert!(deliveries.knows("b", at(1)) && deliveries.knows("c", at(1)));
    }

    #[test]
    fn an_endless_id_is_not_kept() {
        let mut deliveries = Deliveries::new(2, Duration::from_secs(60));
        let id = "x".repeat(LONGEST + 1);
        deliveries.remember(&id, at(0));
        assert!(!deliveries.knows(&id, at(0)));
    }
}
