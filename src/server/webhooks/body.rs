//! Reads bodies within limits: so many bytes each, so long each, and so many bytes in all, however many requests are under way.
//!
//! Nobody waits for memory: what does not fit is refused, so that requests cannot block each other for ever. The first bytes of every body
//! come from an account of their own, so that a few huge ones cannot keep ordinary ones out.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Body;
use futures::StreamExt as _;
use tokio::time::Instant;

use super::{Limits, Outcome};

/// What a body takes from the account for small ones, at most: nearly all are smaller.
const SMALL: usize = 64 * 1024;

/// A body's first piece of memory.
const FIRST: usize = 4 * 1024;

/// The bytes that all requests under way may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    small: Account,
    large: Account,
}

/// A body in memory. Dropping it gives its bytes back to the budget.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// What was taken from the budget, which is the bytes' room and not only their number.
    taken: usize,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Account {
    left: AtomicUsize,
}

impl Budget {
    /// Half for the beginnings, half for what is large.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        let account = || Account {
            left: AtomicUsize::new(bytes / 2),
        };
        Arc::new(Self {
            small: account(),
            large: account(),
        })
    }

    /// Lets a body grow from one size to another.
    fn grow(&self, from: usize, to: usize) -> bool {
        let small = to.min(SMALL) - from.min(SMALL);
        let large = to.max(SMALL) - from.max(SMALL);
        if !self.small.take(small) {
            return false;
        }
        if !self.large.take(large) {
            self.small.give(small);
            return false;
        }
        true
    }

    fn give(&self, bytes: usize) {
        self.small.give(bytes.min(SMALL));
        self.large.give(bytes.saturating_sub(SMALL));
    }
}

impl Account {
    fn take(&self, bytes: usize) -> bool {
        let left = |left: usize| left.checked_sub(bytes);
        self.left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, left)
            .is_ok()
    }

    fn give(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::AcqRel);
    }
}

impl Held {
    /// Reads a body. `declared` is its Content-Length, which is believed only where that costs nothing.
    pub(super) async fn read(
        body: Body,
        declared: Option<usize>,
        limits: &Limits,
        budget: &Arc<Budget>,
    ) -> Result<Self, Outcome> {
        if declared.is_some_and(|declared| declared > limits.bytes) {
            return Err(Outcome::TooLarge);
        }
        let mut held = Self {
            bytes: Vec::new(),
            taken: 0,
            budget: Arc::clone(budget),
        };
        let mut body = body.into_data_stream();
        let end = Instant::now() + limits.time;
        loop {
            let piece = tokio::time::timeout_at(end, body.next()).await;
            match piece.map_err(|_| Outcome::TooSlow)? {
                None => return Ok(held),
                Some(Err(_)) => return Err(Outcome::CutOff),
                Some(Ok(piece)) => held.append(&piece, declared, limits)?,
            }
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn append(
        &mut self,
        piece: &[u8],
        declared: Option<usize>,
        limits: &Limits,
    ) -> Result<(), Outcome> {
        let needed = self.bytes.len() + piece.len();
        if needed > limits.bytes {
            return Err(Outcome::TooLarge);
        }
        if needed > self.taken {
            // Twice as much each time, but no more than what is still to come.
            let room = needed.max(self.taken * 2).max(FIRST);
            let room = declared.map_or(room, |declared| room.min(declared));
            let room = room.min(limits.bytes).max(needed);
            if !self.budget.grow(self.taken, room) {
                return Err(Outcome::Overloaded);
            }
            self.taken = room;
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{channel::mpsc, stream};

    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1024 * 1024,
        time: Duration::from_millis(100),
        budget: 0,
    };

    fn pieces(pieces: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(
            pieces.into_iter().map(Ok::<_, std::io::Error>),
        ))
    }

    fn left(budget: &Budget) -> usize {
        let left = |account: &Account| account.left.load(Ordering::Acquire);
        left(&budget.small) + left(&budget.large)
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_read_whole_and_its_bytes_come_back() {
        let budget = Budget::new(1024 * 1024);
        let wanted: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let body = pieces(wanted.chunks(777).map(<[u8]>::to_vec).collect());
        let held = Held::read(body, None, &LIMITS, &budget).await.unwrap();
        assert_eq!(held.bytes(), wanted);
        assert!(left(&budget) <= 1024 * 1024 - wanted.len());
        drop(held);
        assert_eq!(left(&budget), 1024 * 1024);
    }

    #[tokio::test]
    async fn what_is_longer_than_it_says_is_read_and_what_is_too_long_is_not() {
        let budget = Budget::new(8 * 1024 * 1024);
        let read = |length: usize, declared: Option<usize>| {
            let body = pieces(vec![vec![7; 1000]; length / 1000]);
            let budget = Arc::clone(&budget);
            async move {
                let held = Held::read(body, declared, &LIMITS, &budget).await;
                held.map(|held| held.bytes().len())
            }
        };
        assert_eq!(read(10_000, Some(3)).await, Ok(10_000));
        assert_eq!(read(1000, Some(1024 * 1024)).await, Ok(1000));
        assert_eq!(read(2_000_000, None).await, Err(Outcome::TooLarge));
        let declared = Some(1024 * 1024 + 1);
        assert_eq!(read(1000, declared).await, Err(Outcome::TooLarge));
        assert_eq!(left(&budget), 8 * 1024 * 1024);
    }

    #[tokio::test]
    async fn a_body_that_trickles_in_is_given_up_however_lively_it_is() {
        let budget = Budget::new(1024 * 1024);
        let (mut sender, receiver) = mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
        let trickle = tokio::spawn(async move {
            while sender.try_send(Ok(vec![b' '])).is_ok() || !sender.is_closed() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let read = Held::read(Body::from_stream(receiver), None, &LIMITS, &budget).await;
        assert_eq!(read.map(|held| held.bytes().len()), Err(Outcome::TooSlow));
        assert_eq!(left(&budget), 1024 * 1024);
        trickle.await.unwrap();
    }

    #[tokio::test]
    async fn huge_bodies_do_not_keep_ordinary_ones_out() {
        let budget = Budget::new(512 * 1024);
        let read = async |length| {
            let body = pieces(vec![vec![7; length]]);
            Held::read(body, Some(length), &LIMITS, &budget).await
        };
        let huge = read(300_000).await.unwrap();
        assert_eq!(read(200_000).await.unwrap_err(), Outcome::Overloaded);
        let ordinary = read(20_000).await.unwrap();
        drop((huge, ordinary));
        assert_eq!(left(&budget), 512 * 1024);
    }
}
