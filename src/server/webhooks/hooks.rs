//! What stays between requests: who may send, what was delivered, how much memory is left, and where work goes.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    PullRequest, Push,
    body::Budget,
    counters::{Counter, Counters, Outcome},
    deliveries::Deliveries,
    verify::{Guard, SecretError, Sender},
};
use crate::{git::Secret, status::Report};

/// How many deliveries are remembered, and for how long.
const DELIVERIES: (usize, Duration) = (16_384, Duration::from_secs(3600));

/// Where work goes. Answers at once: it may store, and must not wait.
pub trait Inbox {
    /// References moved. A push that only moved generated branches concerns nobody.
    fn push(&self, push: &Push) -> Taken;

    /// A pull request was opened, changed or closed.
    fn pull_request(&self, request: &PullRequest) -> Taken;

    /// An agent said something about a pipeline's WECs. [`Taken::NotConcerned`] means that there is no such pipeline or WEC.
    fn reports(&self, pipeline: &str, reports: Vec<Report>) -> Taken;
}

/// What the inbox did with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in.
    Queued,
    /// Nobody is interested.
    NotConcerned,
    /// There is no room: it must be sent again.
    Full,
}

/// Who may send to one kind of address.
#[derive(Debug, Default)]
pub enum Door {
    /// Nobody: it answers 404.
    #[default]
    Closed,
    /// Whoever knows one of these secrets; several for rotation.
    Guarded(Vec<Secret>),
    /// Everybody, because the configuration says `insecure`.
    Insecure,
}

/// Who may send.
#[derive(Debug, Default)]
pub struct Doors {
    /// `/hooks/git`.
    pub git: Door,
    /// `/hooks/flux/…`.
    pub flux: Door,
    /// `/hooks/argocd/…`.
    pub argocd: Door,
}

/// How much a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one body. GitHub sends at most 25 MB.
    pub bytes: usize,
    /// The time in which a body must arrive.
    pub time: Duration,
    /// The most bytes of all bodies under way, together.
    pub budget: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 25 * 1024 * 1024,
            time: Duration::from_secs(10),
            budget: 128 * 1024 * 1024,
        }
    }
}

/// Why the hooks cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HooksError {
    /// A door is to be guarded, and there is nothing to guard it with.
    #[error("{door} has no secret")]
    NoSecret {
        /// Its address.
        door: &'static str,
    },
    /// A secret cannot be used.
    #[error("{door}: {problem}")]
    Secret {
        /// Its address.
        door: &'static str,
        /// What is wrong with the secret.
        problem: SecretError,
    },
}

impl HooksError {
    /// A fixed word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoSecret { .. } => "NoWebhookSecret",
            Self::Secret { problem, .. } => problem.reason(),
        }
    }

    /// The way out.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoSecret { .. } => {
                "give it the secret that the sender was given, or say `insecure` to let everybody in"
            }
            Self::Secret { problem, .. } => problem.help(),
        }
    }
}

/// One for each kind of address.
struct Guards {
    git: Option<Arc<Guard>>,
    flux: Option<Arc<Guard>>,
    argocd: Option<Arc<Guard>>,
}

impl Guards {
    fn new(doors: &Doors) -> Result<Self, HooksError> {
        Ok(Self {
            git: guard("/hooks/git", &doors.git)?.map(Arc::new),
            flux: guard("/hooks/flux", &doors.flux)?.map(Arc::new),
            argocd: guard("/hooks/argocd", &doors.argocd)?.map(Arc::new),
        })
    }
}

/// Everything that requests share.
pub struct Hooks {
    guards: RwLock<Guards>,
    pub(super) inbox: Box<dyn Inbox + Send + Sync>,
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    deliveries: Mutex<Deliveries>,
    counters: Counters,
}

impl Hooks {
    /// Puts them together. A guarded door without a secret is an error, so that nothing stands open by mistake.
    pub fn new(
        doors: &Doors,
        inbox: Box<dyn Inbox + Send + Sync>,
        limits: Limits,
    ) -> Result<Self, HooksError> {
        let (most, lifetime) = DELIVERIES;
        Ok(Self {
            guards: RwLock::new(Guards::new(doors)?),
            inbox,
            limits,
            budget: Budget::new(limits.budget),
            deliveries: Mutex::new(Deliveries::new(most, lifetime)),
            counters: Counters::default(),
        })
    }

    /// Lets others in from now on: secrets were rotated.
    pub fn replace(&self, doors: &Doors) -> Result<(), HooksError> {
        let guards = Guards::new(doors)?;
        *self.guards.write().unwrap_or_else(PoisonError::into_inner) = guards;
        Ok(())
    }

    /// Who looks at what a sender sends; none where nobody may send.
    pub(super) fn guard(&self, sender: Sender) -> Option<Arc<Guard>> {
        let guards = self.guards.read().unwrap_or_else(PoisonError::into_inner);
        match sender {
            Sender::Forge(_) => guards.git.clone(),
            Sender::Flux => guards.flux.clone(),
            Sender::ArgoCd => guards.argocd.clone(),
        }
    }

    /// What became of all requests so far.
    pub fn counters(&self) -> Vec<Counter> {
        self.counters.read()
    }

    pub(super) fn count(&self, sender: Option<Sender>, outcome: Outcome) {
        self.counters.count(sender, outcome);
    }

    pub(super) fn knows(&self, delivery: &str, now: Timestamp) -> bool {
        let deliveries = self.deliveries.lock();
        let mut deliveries = deliveries.unwrap_or_else(PoisonError::into_inner);
        deliveries.knows(delivery, now)
    }

    pub(super) fn remember(&self, delivery: &str, now: Timestamp) {
        let deliveries = self.deliveries.lock();
        let mut deliveries = deliveries.unwrap_or_else(PoisonError::into_inner);
        deliveries.remember(delivery, now);
    }
}

fn guard(address: &'static str, door: &Door) -> Result<Option<Guard>, HooksError> {
    match door {
        Door::Closed => Ok(None),
        Door::Insecure => Ok(Some(Guard::open())),
        Door::Guarded(secrets) if secrets.is_empty() => Err(HooksError::NoSecret { door: address }),
        Door::Guarded(secrets) => {
            Guard::new(secrets)
                .map(Some)
                .map_err(|problem| HooksError::Secret {
                    door: address,
                    problem,
                })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Inbox for Nobody {
        fn push(&self, _: &Push) -> Taken {
            Taken::NotConcerned
        }

        fn pull_request(&self, _: &PullRequest) -> Taken {
            Taken::NotConcerned
        }

        fn reports(&self, _: &str, _: Vec<Report>) -> Taken {
            Taken::NotConcerned
        }
    }

    fn problem(door: Door) -> Option<String> {
        let doors = Doors {
            flux: door,
            ..Doors::default()
        };
        let hooks = Hooks::new(&doors, Box::new(Nobody), Limits::default());
        hooks.err().map(|error| error.to_string())
    }

    #[test]
    fn a_guarded_door_without_a_usable_secret_is_an_error() {
        let guarded = |secrets: &[&str]| {
            Door::Guarded(secrets.iter().map(|secret| Secret::new(*secret)).collect())
        };
        let wrong = |door| problem(door).unwrap();
        assert_eq!(wrong(guarded(&[])), "/hooks/flux has no secret");
        assert_eq!(
            wrong(guarded(&["good", ""])),
            "/hooks/flux: a webhook secret is empty"
        );
        assert_eq!(
            wrong(guarded(&["whsec_?"])),
            "/hooks/flux: a webhook secret that begins with `whsec_` must go on with a key in base64"
        );
        assert_eq!(problem(guarded(&["good", "whsec_c2VjcmV0"])), None);
        assert_eq!(problem(Door::Insecure), None);
        assert_eq!(problem(Door::Closed), None);
    }
}
