//! Leases: which of several replicas serves a pipeline. What an API server holds and a clock → acquire, renew or yield. Pure.
//!
//! ```text
//! Lease ── observe ──▶ Tenant ── decide ──▶ Acquire | Renew | Yield ── keeper ──▶ API server
//!                        └── held until ──▶ Guard: asked before every write
//! ```
//!
//! Two clocks are never compared. A replica takes a lease over when it saw nothing new in it for its whole term, by its own
//! clock; a holder stops writing earlier than that, counted from the moment *before* it sent the renewal. So a replica that
//! is cut off, or that slept through its term, has stopped before another begins.
//!
//! Times are durations since an arbitrary moment of the replica's own.

use std::time::Duration;

use crate::api_server::{Place, Right};

mod keeper;

pub use keeper::{Guard, Keeper, keep, unique_identity};

/// What a keeper asks of the API server.
pub const RIGHTS: [Right; 1] = [Right {
    place: Place::Own,
    group: "coordination.k8s.io",
    resource: "leases",
    verbs: &["create", "get", "update"],
}];

/// How long a lease is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Nothing new in it for so long: others may take it.
    pub term: Duration,
    /// A holder writes no longer than this after it last began to renew; less than the term.
    pub hold: Duration,
    /// How often it is renewed, or looked at.
    pub every: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            term: Duration::from_secs(15),
            hold: Duration::from_secs(10),
            every: Duration::from_secs(3),
        }
    }
}

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; none when it was given back.
    pub holder: Option<String>,
    /// For how long after each renewal.
    pub term: Duration,
    /// Its version: another one is news of its holder.
    pub version: String,
}

/// What to do about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is nobody's, or its holder was not heard of for its term: take it.
    Acquire,
    /// It is ours: say that we are still here.
    Renew,
    /// It is somebody else's; not before this long may it be ours.
    Yield(Duration),
}

/// A record, and since when it is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What the Lease said.
    pub record: Record,
    /// When it was first seen to say so.
    pub since: Duration,
}

/// Says what to do about a lease; none for one that does not exist.
pub fn evaluate(seen: Option<&Observation>, now: Duration, me: &str) -> Verdict {
    let Some(Observation { record, since }) = seen else {
        return Verdict::Acquire;
    };
    match &record.holder {
        None => Verdict::Acquire,
        Some(holder) if holder == me => Verdict::Renew,
        Some(_) => match (*since + record.term).checked_sub(now) {
            None | Some(Duration::ZERO) => Verdict::Acquire,
            Some(left) => Verdict::Yield(left),
        },
    }
}

/// One replica's view of one lease.
#[derive(Clone, Debug)]
pub struct Tenant {
    me: String,
    terms: Terms,
    seen: Option<Observation>,
    held_until: Option<Duration>,
}

impl Tenant {
    /// Knows nothing yet. No two replicas may have the same name, a replica and its successor neither.
    pub fn new(me: impl Into<String>, terms: Terms) -> Self {
        Self {
            me: me.into(),
            terms,
            seen: None,
            held_until: None,
        }
    }

    /// Takes note of what the Lease says; none when it does not exist.
    pub fn observe(&mut self, record: Option<Record>, now: Duration) {
        if record.as_ref().and_then(|record| record.holder.as_deref()) != Some(&self.me) {
            self.held_until = None;
        }
        match (&self.seen, record) {
            (Some(seen), Some(record)) if seen.record == record => {}
            (_, record) => self.seen = record.map(|record| Observation { record, since: now }),
        }
    }

    /// Says what to do.
    pub fn decide(&self, now: Duration) -> Verdict {
        evaluate(self.seen.as_ref(), now, &self.me)
    }

    /// Takes note that the server took what we wrote; `began` is the moment before it was sent.
    pub fn written(&mut self, record: Record, began: Duration) {
        self.held_until =
            (record.holder.as_deref() == Some(&self.me)).then(|| began + self.terms.hold);
        self.seen = Some(Observation {
            record,
            since: began,
        });
    }

    /// Whose the lease is, by what was last seen; none when it is nobody's.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.record.holder.as_deref()
    }

    /// Until when we may write; none when we may not.
    pub fn held_until(&self) -> Option<Duration> {
        self.held_until
    }
}

#[cfg(test)]
mod tests;
