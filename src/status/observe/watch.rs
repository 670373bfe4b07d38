//! Watches an ITS for one pipeline's ManifestWorks and their `WorkStatus` objects, and says what is seen.
//!
//! A watch that breaks is begun again, with back-off, for ever; until it has caught up, what was seen before stands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as start};
use kube::{Api, Client};
use tokio::time::sleep;

use super::Mailboxes;
use crate::api_server::Place::Everywhere;
use crate::api_server::Right;
use crate::model::ClusterName;
use crate::model::api::{ManifestWork, WorkStatus};
use crate::output::mailbox::Owner;
use crate::output::mailbox::shape::Place;
use crate::output::mailbox::standing::StandingWork;
use crate::status::Report;

/// What is asked of the API server here.
pub const RIGHTS: [Right; 2] = [
    Right {
        place: Everywhere,
        group: "work.open-cluster-management.io",
        resource: "manifestworks",
        verbs: &["list", "watch"],
    },
    Right {
        place: Everywhere,
        group: "control.kubestellar.io",
        resource: "workstatuses",
        verbs: &["list", "watch"],
    },
];

/// Works on one page of the first list: each may have half a megabyte.
const PAGE: u32 = 50;

/// Something that was seen.
#[derive(Clone, Debug)]
pub enum Sight {
    /// A work came, changed or went.
    Work(ClusterName, Place, Option<StandingWork>),
    /// A WEC says something that it has not said before.
    Report(Report),
    /// A watch is broken and will be begun again; the reason.
    Broken(String),
}

/// How often is looked whether the status add-on is there by now.
const LOOK: Duration = Duration::from_secs(15);

/// Waits until KubeStellar's status add-on is installed on an ITS, and we may see what it writes.
async fn until_there_are_statuses(client: &Client) {
    let statuses: Api<WorkStatus> = Api::all(client.clone());
    let first = ListParams::default().limit(1);
    while statuses.list_metadata(&first).await.is_err() {
        sleep(LOOK).await;
    }
}

enum Seen {
    Work(Result<Event<ManifestWork>, watcher::Error>),
    Status(Result<Event<WorkStatus>, watcher::Error>),
}

/// Watches; never ends by itself. `WorkStatus` objects are watched from when KubeStellar's status add-on is installed.
pub fn watch(client: Client, owner: Owner) -> impl Stream<Item = Sight> + Send {
    let config = watcher::Config::default()
        .labels(&owner.selector())
        .page_size(PAGE);
    let works = start(Api::<ManifestWork>::all(client.clone()), config.clone());
    let works = works.default_backoff().map(Seen::Work).boxed();
    let statuses = async move {
        until_there_are_statuses(&client).await;
        start(Api::<WorkStatus>::all(client), config).default_backoff()
    };
    let statuses = statuses.flatten_stream().map(Seen::Status).boxed();
    let view = View {
        owner,
        mailboxes: Mailboxes::default(),
        fresh: None,
        fresh_statuses: None,
        said: BTreeMap::new(),
    };
    let seen = stream::select(works, statuses);
    seen.scan(view, |view, seen| {
        let sights = view.take(seen);
        async move { Some(stream::iter(sights)) }
    })
    .flatten()
}

/// What is seen, between the beginning and the end of a list.
struct View {
    owner: Owner,
    mailboxes: Mailboxes,
    /// What a list under way has shown so far.
    fresh: Option<Vec<ManifestWork>>,
    fresh_statuses: Option<Vec<WorkStatus>>,
    /// What each WEC said last.
    said: BTreeMap<ClusterName, Report>,
}

impl View {
    fn take(&mut self, seen: Seen) -> Vec<Sight> {
        match seen {
            Seen::Work(Err(error)) | Seen::Status(Err(error)) => {
                vec![Sight::Broken(error.to_string())]
            }
            Seen::Work(Ok(event)) => self.take_work(event),
            Seen::Status(Ok(event)) => self.take_status(event),
        }
    }

    fn take_work(&mut self, event: Event<ManifestWork>) -> Vec<Sight> {
        match event {
            Event::Init => {
                self.fresh = Some(Vec::new());
                Vec::new()
            }
            Event::InitApply(work) => {
                self.fresh.get_or_insert_default().push(work);
                Vec::new()
            }
            Event::InitDone => {
                let fresh = self.fresh.take().unwrap_or_default();
                let before = self.mailboxes.replace(&fresh);
                let gone = before.into_iter().filter_map(|(cluster, name)| {
                    let place = self.owner.start_of(&name)?.place();
                    Some(Sight::Work(cluster, place, None))
                });
                let mut sights: Vec<Sight> = gone.collect();
                sights.extend(fresh.iter().filter_map(|work| self.sight(work)));
                let clusters = self.mailboxes.clusters().cloned().collect();
                sights.extend(self.reports(&clusters));
                sights
            }
            Event::Apply(work) => {
                let cluster = self.mailboxes.see(&work);
                let sight = self.sight(&work);
                sight
                    .into_iter()
                    .chain(self.reports(&cluster.into_iter().collect()))
                    .collect()
            }
            Event::Delete(work) => {
                let cluster = self.mailboxes.forget(&work);
                let sight = self.sight(&work).map(|sight| match sight {
                    Sight::Work(cluster, place, _) => Sight::Work(cluster, place, None),
                    other => other,
                });
                sight
                    .into_iter()
                    .chain(self.reports(&cluster.into_iter().collect()))
                    .collect()
            }
        }
    }

    fn take_status(&mut self, event: Event<WorkStatus>) -> Vec<Sight> {
        let clusters: BTreeSet<ClusterName> = match event {
            Event::Init => {
                self.fresh_statuses = Some(Vec::new());
                BTreeSet::new()
            }
            Event::InitApply(status) => {
                self.fresh_statuses.get_or_insert_default().push(status);
                BTreeSet::new()
            }
            Event::InitDone => {
                let fresh = self.fresh_statuses.take().unwrap_or_default();
                self.mailboxes.replace_statuses(&fresh);
                self.mailboxes.clusters().cloned().collect()
            }
            Event::Apply(status) => self.mailboxes.see_status(&status).into_iter().collect(),
            Event::Delete(status) => self.mailboxes.forget_status(&status).into_iter().collect(),
        };
        self.reports(&clusters)
    }

    fn sight(&self, work: &ManifestWork) -> Option<Sight> {
        let (cluster, work) = StandingWork::read(&self.owner, &work.metadata)?;
        Some(Sight::Work(cluster, work.part.place(), Some(work)))
    }

    fn reports(&mut self, clusters: &BTreeSet<ClusterName>) -> Vec<Sight> {
        let mut sights = Vec::new();
        for report in clusters
            .iter()
            .filter_map(|cluster| self.mailboxes.report(cluster))
        {
            if self.said.get(&report.cluster) != Some(&report) {
                self.said.insert(report.cluster.clone(), report.clone());
                sights.push(Sight::Report(report));
            }
        }
        sights
    }
}
