//! A service on a hub: which pipelines it runs follows from its file, the hub's Pipeline objects and its leases; what became of
//! the objects goes back to them.
//!
//! ```text
//! file ────────────┐
//! Pipeline objects ┴▶ Roster ─▶ those whose lease is ours ─▶ Service ─▶ board ─▶ Reporter ─▶ status, Events
//!                       └──▶ one lease a name ──▲
//! ```
//!
//! Until the hub was listed, and while it is not heard of, its last set stays. Without a lease nothing is delivered or reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::roster::Roster;
use super::standby::Standby;
use super::{Plan, Service};
use crate::api_server::{self, ConnectError, Connection, Trouble, connect_patiently};
use crate::model::Diagnostic;
use crate::reconcile::hub::{self, Feed, Hosted, Reporter};
use crate::reconcile::lease::{self, Guard, Keeper, Terms};
use crate::status::board::Board;

/// How long the hub may be silent about a lease or a status.
const SILENCE: Duration = Duration::from_secs(15);
/// The least time between two rounds of statuses.
const APART: Duration = Duration::from_secs(1);
/// When a status is tried again that was not taken.
const AGAIN: Duration = Duration::from_secs(10);
/// How long giving a lease back may take; after that others wait for its term.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Which hub, and how.
pub struct HubOptions {
    /// The API server.
    pub connection: Connection,
    /// The namespace of the leases.
    pub namespace: String,
    /// The name of this replica, for people; each process makes another one of it.
    pub replica: String,
    /// Where people see this service, when a pipeline does not say.
    pub address: Option<String>,
}

/// A service's part in a hub, until it is stopped.
pub struct Hub {
    file: watch::Sender<Vec<Plan>>,
    stop: CancellationToken,
    steward: JoinHandle<Leases>,
    _reports: AbortOnDropHandle<()>,
}

/// The leases that are kept; to be released when nothing runs any more.
#[derive(Default)]
pub struct Leases(BTreeMap<String, Kept>);

/// A lease that is kept.
struct Kept {
    keeper: Keeper,
    /// Tells the steward what happens to it.
    _news: AbortOnDropHandle<()>,
}

impl Hub {
    /// Begins with what stands in the file; from now on nobody else tells the service what to run. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// When no connection can be made of what was said; a hub that does not answer is none.
    pub async fn start(
        service: &Arc<Service>,
        options: HubOptions,
        file: Vec<Plan>,
    ) -> Result<Self, ConnectError> {
        let client = connect_patiently(&options.connection, SILENCE).await?;
        let replica = lease::unique_identity(&options.replica);
        let (file, configured) = watch::channel(file);
        let (accounts, told) = watch::channel(Vec::new());
        let reporter = Reporter::new(client.clone(), &replica);
        let reports = tokio::spawn(report(reporter, Arc::downgrade(service), told));
        let steward = Steward {
            service: Arc::clone(service),
            feed: hub::watch(options.connection.clone()),
            client,
            replica,
            options,
            file: configured,
            roster: Roster::default(),
            leases: Leases::default(),
            news: Arc::default(),
            running: Vec::new(),
            shadowed: BTreeSet::new(),
            problem: None,
            accounts,
        };
        let stop = CancellationToken::new();
        Ok(Self {
            file,
            steward: tokio::spawn(steward.run(stop.clone())),
            stop,
            _reports: AbortOnDropHandle::new(reports),
        })
    }

    /// Replaces what stands in the file.
    pub fn configure(&self, plans: Vec<Plan>) {
        self.file.send_replace(plans);
    }

    /// Starts and stops nothing from now on. The leases are kept until they are released, which is for after [`Service::stop`].
    pub async fn stop(self) -> Leases {
        self.stop.cancel();
        self.steward.await.unwrap_or_default()
    }
}

impl Leases {
    /// Gives all back, so that others need not wait for their term.
    pub async fn release(self) {
        join_all(self.0.into_values().map(Kept::release)).await;
    }
}

impl Kept {
    fn is_held(&self) -> bool {
        *self.keeper.held.borrow()
    }

    fn standby(&self, plan: Plan) -> Standby {
        Standby {
            plan,
            holder: self.keeper.holder.borrow().clone(),
            trouble: self.keeper.trouble.borrow().clone(),
        }
    }

    async fn release(self) {
        match timeout(LAST_WORDS, self.keeper.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(trouble)) => tracing::warn!(
                reason = trouble.reason,
                "a lease was not given back: {}",
                trouble.message
            ),
            Err(_) => tracing::warn!("a lease was not given back: the hub does not answer"),
        }
    }
}

/// Decides what runs here.
struct Steward {
    service: Arc<Service>,
    client: Client,
    feed: Feed,
    replica: String,
    options: HubOptions,
    file: watch::Receiver<Vec<Plan>>,
    roster: Roster,
    leases: Leases,
    /// Of the leases.
    news: Arc<Notify>,
    /// What the service was told last.
    running: Vec<Plan>,
    /// What was told of last, so that it is told once.
    shadowed: BTreeSet<String>,
    problem: Option<api_server::Problem>,
    accounts: watch::Sender<Vec<Account>>,
}

impl Steward {
    async fn run(mut self, stop: CancellationToken) -> Leases {
        loop {
            self.read();
            self.keep();
            self.apply().await;
            self.drop_leases();
            self.tell();
            tokio::select! {
                () = stop.cancelled() => return self.leases,
                () = self.news.notified() => {}
                Ok(()) = self.feed.receiver.changed() => {}
                Ok(()) = self.file.changed() => {}
            }
        }
    }

    /// Takes in what the file and the hub say.
    fn read(&mut self) {
        let plans = self.file.borrow_and_update().clone();
        self.roster.configure(plans);
        let known = self.feed.receiver.borrow_and_update().clone();
        if let Some(objects) = &known.pipelines {
            self.roster.host(objects, self.options.address.as_deref());
        }
        if self.problem != known.problem {
            if let Some(problem) = &known.problem {
                tracing::warn!(
                    reason = problem.reason,
                    help = problem.help,
                    "the Pipelines of the hub stay as they were: {}",
                    problem.message
                );
            } else {
                tracing::info!("the hub is heard of");
            }
            self.problem = known.problem;
        }
        let shadowed = self.roster.shadowed();
        for name in shadowed.difference(&self.shadowed) {
            tracing::warn!(
                pipeline = name,
                "the configuration file and the hub have a pipeline of that name: the file's runs"
            );
        }
        self.shadowed = shadowed;
    }

    /// Keeps a lease for every name.
    fn keep(&mut self) {
        for name in self.roster.names() {
            let client = &self.client;
            let (options, replica, news) = (&self.options, &self.replica, &self.news);
            self.leases.0.entry(name).or_insert_with_key(|name| {
                let lease = format!("pipeline-{name}");
                let terms = Terms::default();
                let keeper =
                    lease::keep(client.clone(), &options.namespace, &lease, replica, terms);
                let listening = listen(name.clone(), &keeper, Arc::clone(news));
                Kept {
                    keeper,
                    _news: AbortOnDropHandle::new(tokio::spawn(listening)),
                }
            });
        }
    }

    /// Has the service run what is ours, and show what is not.
    async fn apply(&mut self) {
        let leases = self.leases.0.iter().filter(|(_, kept)| kept.is_held());
        let leases: BTreeMap<String, Guard> = leases
            .map(|(name, kept)| (name.clone(), kept.keeper.guard.clone()))
            .collect();
        let ours = |plan: &Plan| leases.contains_key(&plan.resolved.name);
        let (plans, others): (Vec<Plan>, Vec<Plan>) =
            self.roster.plans().into_iter().partition(ours);
        if plans != self.running {
            self.running.clone_from(&plans);
            let service = Arc::clone(&self.service);
            let known = self.roster.names();
            // It waits for workers to end.
            let applied =
                tokio::task::spawn_blocking(move || service.run_under(plans, &leases, &known));
            if applied.await.is_err() {
                tracing::error!("the pipelines could not be taken up");
            }
        }
        let waiting: Vec<Standby> = others
            .into_iter()
            .filter_map(|plan| Some(self.leases.0.get(&plan.resolved.name)?.standby(plan)))
            .collect();
        self.service.stand_by(&waiting);
    }

    /// Lets go of the leases of pipelines that are gone; they do not run any more.
    fn drop_leases(&mut self) {
        let names = self.roster.names();
        let all = std::mem::take(&mut self.leases.0);
        for (name, kept) in all {
            if names.contains(&name) {
                self.leases.0.insert(name, kept);
            } else {
                tokio::spawn(kept.release());
            }
        }
    }

    /// Says what each object is to be told, and under which lease.
    fn tell(&self) {
        let accounts = self.roster.objects().filter_map(|(object, refused)| {
            let lease = self.leases.0.get(&object.name)?.keeper.guard.clone();
            Some(Account {
                object,
                refused,
                lease,
            })
        });
        self.accounts.send_replace(accounts.collect());
    }
}

/// Tells the steward, and the log, what happens to a lease.
fn listen(
    pipeline: String,
    keeper: &Keeper,
    news: Arc<Notify>,
) -> impl Future<Output = ()> + Send + 'static {
    let (mut held, mut holder) = (keeper.held.clone(), keeper.holder.clone());
    let mut trouble = keeper.trouble.clone();
    async move {
        loop {
            tokio::select! {
                changed = held.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let ours = *held.borrow_and_update();
                    tracing::info!(pipeline, held = ours, "the lease changed hands");
                }
                Ok(()) = holder.changed() => {}
                Ok(()) = trouble.changed() => {
                    if let Some(trouble) = &*trouble.borrow_and_update() {
                        tracing::warn!(
                            pipeline,
                            reason = trouble.reason,
                            help = trouble.help,
                            "the lease cannot be looked at: {}",
                            trouble.message
                        );
                    }
                }
            }
            news.notify_one();
        }
    }
}

/// What an object's status follows from, besides the board.
#[derive(Clone)]
struct Account {
    object: Hosted,
    /// All that keeps it, as it stands, from running.
    refused: Vec<Diagnostic>,
    lease: Guard,
}

/// Writes statuses when the board or the objects change, for as long as there is a service.
async fn report(
    mut reporter: Reporter,
    service: Weak<Service>,
    mut accounts: watch::Receiver<Vec<Account>>,
) {
    let Some(mut changes) = service.upgrade().map(|service| service.changes()) else {
        return;
    };
    loop {
        let round = accounts.borrow_and_update().clone();
        changes.borrow_and_update();
        let Some(board) = service.upgrade().map(|service| service.board()) else {
            return;
        };
        let told = write(&mut reporter, &round, &board).await;
        sleep(APART).await;
        tokio::select! {
            changed = accounts.changed() => if changed.is_err() { return },
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(AGAIN), if !told => {}
        }
    }
}

/// One round; tells whether everything was taken.
async fn write(reporter: &mut Reporter, round: &[Account], board: &Board) -> bool {
    // What others may have written meanwhile is not remembered.
    reporter.retain(|uid| {
        let mut ours = round.iter().filter(|account| account.lease.is_held());
        ours.any(|account| account.object.uid == uid)
    });
    let mut complete = true;
    for account in round {
        if !account.lease.is_held() {
            continue;
        }
        if let Err(trouble) = write_one(reporter, account, board).await {
            complete = false;
            tracing::warn!(
                pipeline = account.object.name,
                reason = trouble.reason,
                help = trouble.help,
                "the status is not written: {}",
                trouble.message
            );
        }
    }
    complete
}

async fn write_one(
    reporter: &mut Reporter,
    account: &Account,
    board: &Board,
) -> Result<(), Trouble> {
    let object = &account.object;
    let before = reporter.before(object).await?;
    let now = Timestamp::now();
    let status = match (&account.refused[..], board.pipelines.get(&object.name)) {
        ([], Some(board)) => hub::status(board, object.generation, &before, now),
        ([], None) => return Ok(()),
        (found, _) => hub::refused(found, object.generation, &before, now),
    };
    if account.lease.is_held() {
        reporter.report(object, status).await?;
    }
    Ok(())
}
