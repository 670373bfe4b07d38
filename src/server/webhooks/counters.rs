//! What became of requests, by sender: an [`Outcome`] is also the answer, and a [`Counter`] a line of the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use super::verify::{Forge, Sender};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Work was put into the inbox.
    Queued,
    /// Genuine, and nobody here is interested: another repository, another branch, or what Stellate pushed itself.
    NotConcerned,
    /// Taken before, under the same delivery id.
    Repeated,
    /// A forge asked whether anybody is there.
    Ping,
    /// An event that means nothing here.
    Ignored,
    /// The body is no payload of that kind.
    Malformed,
    /// No signature, a wrong one, or one that is too old.
    Unauthenticated,
    /// No such door, pipeline or WEC.
    NotFound,
    /// The body did not arrive in time.
    TooSlow,
    /// The body is larger than a forge would send.
    TooLarge,
    /// Not JSON.
    NotJson,
    /// The connection ended before the body did.
    CutOff,
    /// All memory for bodies is in use.
    Overloaded,
    /// The inbox is full.
    Full,
}

impl Outcome {
    const ALL: [Self; 14] = [
        Self::Queued,
        Self::NotConcerned,
        Self::Repeated,
        Self::Ping,
        Self::Ignored,
        Self::Malformed,
        Self::Unauthenticated,
        Self::NotFound,
        Self::TooSlow,
        Self::TooLarge,
        Self::NotJson,
        Self::CutOff,
        Self::Overloaded,
        Self::Full,
    ];

    /// The word in answers, logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::NotConcerned => "notConcerned",
            Self::Repeated => "repeated",
            Self::Ping => "ping",
            Self::Ignored => "ignored",
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::NotFound => "notFound",
            Self::TooSlow => "tooSlow",
            Self::TooLarge => "tooLarge",
            Self::NotJson => "notJson",
            Self::CutOff => "cutOff",
            Self::Overloaded => "overloaded",
            Self::Full => "full",
        }
    }

    /// The answer's status code.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Ping => StatusCode::OK,
            Self::Queued | Self::NotConcerned | Self::Repeated | Self::Ignored => {
                StatusCode::ACCEPTED
            }
            Self::Malformed | Self::CutOff => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Overloaded | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Seconds after which the sender may try again; none where trying again does not help.
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::Overloaded => Some(5),
            Self::Full => Some(10),
            _ => None,
        }
    }
}

/// How many requests of one sender ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    /// `github`, `gitlab`, `gitea`, `bitbucket`, `flux`, `argocd`, or `unknown`.
    pub sender: &'static str,
    /// How they ended.
    pub outcome: Outcome,
    /// How many.
    pub requests: u64,
}

const SENDERS: [Option<Sender>; 7] = [
    Some(Sender::Forge(Forge::GitHub)),
    Some(Sender::Forge(Forge::GitLab)),
    Some(Sender::Forge(Forge::Gitea)),
    Some(Sender::Forge(Forge::Bitbucket)),
    Some(Sender::Flux),
    Some(Sender::ArgoCd),
    None,
];

#[derive(Debug, Default)]
pub(super) struct Counters([[AtomicU64; Outcome::ALL.len()]; SENDERS.len()]);

impl Counters {
    pub(super) fn count(&self, sender: Option<Sender>, outcome: Outcome) {
        let row = SENDERS.iter().position(|known| *known == sender);
        let column = Outcome::ALL.iter().position(|known| *known == outcome);
        if let (Some(row), Some(column)) = (row, column) {
            self.0[row][column].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that happened: nobody has all senders, and most outcomes are never seen.
    pub(super) fn read(&self) -> Vec<Counter> {
        let rows = SENDERS.iter().zip(&self.0);
        let all = rows.flat_map(|(sender, row)| {
            Outcome::ALL
                .iter()
                .zip(row)
                .map(move |(outcome, count)| Counter {
                    sender: sender.map_or("unknown", Sender::word),
                    outcome: *outcome,
                    requests: count.load(Ordering::Relaxed),
                })
        });
        all.filter(|counter| counter.requests > 0).collect()
    }
}
