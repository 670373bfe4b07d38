//! A lease on an API server, kept: looked at and renewed by a task of its own, for as long as the [`Keeper`] is there.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Record, Tenant, Terms, Verdict};
use crate::api_server::Trouble;

/// Whether we may write. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Mutex<Option<Deadline>>>);

/// A moment by two clocks: the monotonic one stands still while a machine sleeps, the other may be set.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    monotonic: Instant,
    wall: SystemTime,
}

impl Deadline {
    fn after(time: Duration) -> Self {
        Self {
            monotonic: Instant::now() + time,
            wall: SystemTime::now() + time,
        }
    }
}

impl Guard {
    /// Whether we may write now. To be asked before each write.
    pub fn is_held(&self) -> bool {
        let deadline = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.is_some_and(|deadline| {
            Instant::now() < deadline.monotonic && SystemTime::now() < deadline.wall
        })
    }

    fn set(&self, deadline: Option<Deadline>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}

/// Keeps one lease; dropping it ends that, and without [`Keeper::release`] others wait for the term.
#[derive(Debug)]
pub struct Keeper {
    /// Asked before each write.
    pub guard: Guard,
    /// Whether the lease is ours, for those who begin or end work by it; [`Guard::is_held`] knows sooner when it is not.
    pub held: watch::Receiver<bool>,
    /// Whose it is, by what was last seen.
    pub holder: watch::Receiver<Option<String>>,
    /// What keeps us from looking at the lease, if anything.
    pub trouble: watch::Receiver<Option<Trouble>>,
    place: Place,
    me: String,
    task: AbortOnDropHandle<()>,
}

#[derive(Clone, Debug)]
struct Place {
    leases: Api<Lease>,
    name: String,
}

/// Gives a name that no other process has, nor this one when it is started again.
pub fn unique_identity(base: &str) -> String {
    let random = RandomState::new().hash_one(SystemTime::now());
    format!("{base}_{random:016x}")
}

/// Keeps the lease of this name, beginning now. Must be called inside a tokio runtime.
pub fn keep(client: Client, namespace: &str, name: &str, me: &str, terms: Terms) -> Keeper {
    let place = Place {
        leases: Api::namespaced(client, namespace),
        name: name.to_owned(),
    };
    let guard = Guard(Arc::default());
    let (held, held_receiver) = watch::channel(false);
    let (holder, holder_receiver) = watch::channel(None);
    let (trouble, trouble_receiver) = watch::channel(None);
    let task = Task {
        place: place.clone(),
        me: me.to_owned(),
        terms,
        tenant: Tenant::new(me, terms),
        start: Instant::now(),
        deadline: None,
        guard: guard.clone(),
        held,
        holder,
        trouble,
    };
    Keeper {
        guard,
        held: held_receiver,
        holder: holder_receiver,
        trouble: trouble_receiver,
        place,
        me: me.to_owned(),
        task: AbortOnDropHandle::new(tokio::spawn(task.run())),
    }
}

impl Keeper {
    /// Gives the lease back, so that others need not wait for its term.
    ///
    /// # Errors
    /// The server could not be told; it finds out by itself.
    pub async fn release(self) -> Result<(), Trouble> {
        let Self {
            guard,
            place,
            me,
            task,
            ..
        } = self;
        task.abort();
        drop(task.await);
        guard.set(None);
        let ours = |lease: &Lease| record(lease).holder.as_deref() == Some(&me);
        match place.leases.get_opt(&place.name).await {
            Ok(Some(mut lease)) if ours(&lease) => {
                let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
                spec.holder_identity = None;
                let written = place.replace(&lease).await;
                written.map(drop).map_err(|error| Trouble::of(&error))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(Trouble::of(&error)),
        }
    }
}

struct Task {
    place: Place,
    me: String,
    terms: Terms,
    tenant: Tenant,
    start: Instant,
    /// That of the last renewal.
    deadline: Option<Deadline>,
    guard: Guard,
    held: watch::Sender<bool>,
    holder: watch::Sender<Option<String>>,
    trouble: watch::Sender<Option<Trouble>>,
}

impl Task {
    async fn run(mut self) {
        loop {
            // What takes longer than that comes too late.
            let patience = self.terms.hold.saturating_sub(self.terms.every);
            let outcome = timeout(patience, self.look()).await;
            let trouble = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(Trouble::of(&error)),
                Err(_) => Some(Trouble {
                    reason: "Unreachable",
                    message: "the API server does not answer about the lease".to_owned(),
                    help: "look whether it runs".to_owned(),
                }),
            };
            self.trouble.send_if_modified(|known| {
                let changed = *known != trouble;
                *known = trouble;
                changed
            });
            self.tell();
            sleep(self.pause()).await;
            self.tell();
        }
    }

    /// Looks at the lease and does what is to be done.
    async fn look(&mut self) -> Result<(), Error> {
        let lease = self.place.leases.get_opt(&self.place.name).await?;
        self.tenant.observe(lease.as_ref().map(record), self.now());
        self.tell();
        let verdict = self.tenant.decide(self.now());
        if matches!(verdict, Verdict::Yield(_)) {
            return Ok(());
        }
        let (began, deadline) = (self.now(), Deadline::after(self.terms.hold));
        let written = match lease {
            None => {
                let lease = self.signed(Lease::default(), verdict);
                let params = PostParams::default();
                self.place.leases.create(&params, &lease).await
            }
            Some(lease) => {
                let lease = self.signed(lease, verdict);
                self.place.replace(&lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.tenant.written(record(&lease), began);
                self.deadline = Some(deadline);
            }
            // Somebody was faster; who, the next look says.
            Err(Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A lease with our name under it. That it names its version makes the server refuse it when it is outdated.
    fn signed(&self, mut lease: Lease, verdict: Verdict) -> Lease {
        lease.metadata = ObjectMeta {
            name: Some(self.place.name.clone()),
            managed_fields: None,
            ..lease.metadata
        };
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if verdict == Verdict::Acquire {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count + 1));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.me.clone());
        // Whole seconds, and never fewer than are meant.
        let seconds = self.terms.term.as_millis().div_ceil(1_000);
        spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
        spec.renew_time = Some(now);
        lease
    }

    /// Tells how long we may write, and whether that is news.
    fn tell(&self) {
        self.guard.set(self.tenant.held_until().and(self.deadline));
        let held = self.guard.is_held();
        self.held.send_if_modified(|known| {
            let changed = *known != held;
            *known = held;
            changed
        });
        let holder = self.tenant.holder();
        self.holder.send_if_modified(|known| {
            let changed = known.as_deref() != holder;
            *known = holder.map(str::to_owned);
            changed
        });
    }

    /// Until the next look; by chance somewhat less, so that those who wait do not all come at once.
    fn pause(&self) -> Duration {
        let chance = RandomState::new().hash_one(&self.me) % 20;
        let chance = u32::try_from(chance).unwrap_or_default();
        let every = self.terms.every.mul_f64(f64::from(100 - chance) / 100.0);
        match self.tenant.decide(self.now()) {
            Verdict::Yield(left) => every.min(left),
            _ => every,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Place {
    async fn replace(&self, lease: &Lease) -> Result<Lease, Error> {
        self.leases
            .replace(&self.name, &PostParams::default(), lease)
            .await
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        term: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}
