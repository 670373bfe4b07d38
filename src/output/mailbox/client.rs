//! The ITS: works are listed, read, applied and deleted. The only file here that talks to a server.
//!
//! There is no rate limit but the number of requests under way; a server that asks for patience gets it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{
    DeleteParams, GetParams, ListParams, PartialObjectMeta, Patch, PatchParams, Preconditions,
};
use kube::{Api, Client, Resource as _};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::error::{MailboxError, classify, passing};
use super::plan::Write;
use super::shape::{Part, Place};
use super::standing::{FIELD_MANAGER, Standing, StandingWork};
use super::work::in_place_of;
use super::{Body, Owner};
use crate::api_server::{Place as Where, Right};
use crate::model::ClusterName;
use crate::model::api::ManifestWork;

/// The most requests under way.
pub const REQUESTS: usize = 32;
/// How often a request is made in all.
const ATTEMPTS: u32 = 6;
/// The pause after the first failure; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, also when the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Works on one page of a list.
const PAGE: u32 = 500;

/// What is asked of the API server here.
pub const RIGHTS: [Right; 1] = [Right {
    place: Where::Everywhere,
    group: "work.open-cluster-management.io",
    resource: "manifestworks",
    // What an apply makes anew needs `create` besides.
    verbs: &["create", "delete", "get", "list", "patch"],
}];

/// The mailboxes of an ITS, as one pipeline has access to them.
#[derive(Clone)]
pub struct Mailboxes {
    client: Client,
    owner: Owner,
    requests: Arc<Semaphore>,
}

impl Mailboxes {
    /// Takes a client; sends nothing yet.
    pub fn new(client: Client, owner: Owner) -> Self {
        Self {
            client,
            owner,
            requests: Arc::new(Semaphore::new(REQUESTS)),
        }
    }

    /// Whose works these are.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Lists the pipeline's works in all mailboxes: their metadata only.
    pub async fn list(&self) -> Result<Standing, MailboxError> {
        let api: Api<ManifestWork> = Api::all(self.client.clone());
        let mut standing = Standing::new();
        let mut page = ListParams::default()
            .labels(&self.owner.selector())
            .limit(PAGE);
        loop {
            let list = self
                .retried("", "", async || api.list_metadata(&page).await)
                .await?;
            for work in list.items {
                if let Some((cluster, work)) = StandingWork::read(&self.owner, &work.metadata) {
                    let works: &mut BTreeMap<Place, StandingWork> =
                        standing.entry(cluster).or_default();
                    works.insert(work.part.place(), work);
                }
            }
            match list.metadata.continue_ {
                Some(token) if !token.is_empty() => page.continue_token = Some(token),
                _ => return Ok(standing),
            }
        }
    }

    /// Reads a whole work; none when it is not there.
    pub async fn read(
        &self,
        cluster: &ClusterName,
        part: Part,
    ) -> Result<Option<Value>, MailboxError> {
        let name = self.owner.work_name(part);
        let mailbox = requests(cluster);
        let get = async || {
            let request = mailbox.get(&name, &GetParams::default());
            self.client
                .request::<Value>(request.map_err(kube::Error::BuildRequest)?)
                .await
        };
        match self.retried(cluster.as_str(), &name, get).await {
            Ok(work) => Ok(Some(work)),
            Err(MailboxError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a work in place of the one that was seen. What stands under its name and is not ours is left alone, and so is what was
    /// changed since: whoever is late, because it was cut off or stopped for a while, undoes nothing.
    pub async fn apply(
        &self,
        cluster: &ClusterName,
        write: &Write,
        body: &Body,
    ) -> Result<StandingWork, MailboxError> {
        let name = self.owner.work_name(write.part);
        let mailbox = requests(cluster);
        let mut over = write.over.clone();
        let mut force = over.is_some();
        for _ in 1..ATTEMPTS {
            // Without force, a work that somebody else wrote is a conflict, and not overwritten. Nothing is asked to be said about
            // unknown fields: for that an API server reads the whole body a second time, as YAML, and these bodies are made here.
            let parameters = PatchParams {
                force,
                ..PatchParams::apply(FIELD_MANAGER).validation_ignore()
            };
            let patch = async || {
                // The bytes are there already: the request is made around them.
                let request = mailbox.patch_metadata(&name, &parameters, &Patch::Apply(()));
                let request = request
                    .map_err(kube::Error::BuildRequest)?
                    .map(|_| in_place_of(over.as_ref(), body));
                self.client
                    .request::<PartialObjectMeta<ManifestWork>>(request)
                    .await
            };
            match self.retried(cluster.as_str(), &name, patch).await {
                Ok(work) => {
                    let read = StandingWork::read(&self.owner, &work.metadata);
                    let (_, work) =
                        read.ok_or_else(|| MailboxError::Foreign(format!("{cluster}/{name}")))?;
                    if work.deleting {
                        return Err(MailboxError::Deleting(name));
                    }
                    return Ok(work);
                }
                Err(MailboxError::Outdated(_)) => {}
                Err(MailboxError::Foreign(_)) if !force && self.is_ours(cluster, &name).await? => {
                    force = true;
                    continue;
                }
                Err(error) => return Err(error),
            }
            match (self.look(cluster, &name).await?, &over) {
                // It is ours, of a request whose answer was lost.
                (Some(now), _) if now.digest == write.digest && !now.deleting => return Ok(now),
                // Only what its WEC says of it is new.
                (Some(now), Some(seen)) if now.is_as(seen) => over = Some(now),
                (_, None) => tokio::time::sleep(PAUSE).await,
                _ => break,
            }
        }
        Err(MailboxError::Outdated(name))
    }

    /// Looks at a work again; none when it is not there, or not ours.
    async fn look(
        &self,
        cluster: &ClusterName,
        name: &str,
    ) -> Result<Option<StandingWork>, MailboxError> {
        let found = self.metadata(cluster, name).await?;
        let read = found.and_then(|work| StandingWork::read(&self.owner, &work.metadata));
        Ok(read.map(|(_, work)| work))
    }

    async fn is_ours(&self, cluster: &ClusterName, name: &str) -> Result<bool, MailboxError> {
        let found = self.metadata(cluster, name).await?;
        Ok(found.is_none_or(|work| StandingWork::read(&self.owner, &work.metadata).is_some()))
    }

    async fn metadata(
        &self,
        cluster: &ClusterName,
        name: &str,
    ) -> Result<Option<PartialObjectMeta<ManifestWork>>, MailboxError> {
        let api: Api<ManifestWork> = Api::namespaced(self.client.clone(), cluster.as_str());
        self.retried(cluster.as_str(), name, async || {
            api.get_metadata_opt(name).await
        })
        .await
    }

    /// Deletes a work when it is still as it was seen; one that is gone, or another one of the same name, is left alone.
    pub async fn delete(
        &self,
        cluster: &ClusterName,
        work: &StandingWork,
    ) -> Result<(), MailboxError> {
        let name = self.owner.work_name(work.part);
        let api: Api<ManifestWork> = Api::namespaced(self.client.clone(), cluster.as_str());
        let mut seen = work.clone();
        for _ in 1..ATTEMPTS {
            let parameters = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: Some(seen.uid.clone()),
                    resource_version: Some(seen.version.clone()),
                }),
                ..DeleteParams::default()
            };
            let delete = async || api.delete(&name, &parameters).await;
            match self.retried(cluster.as_str(), &name, delete).await {
                Ok(_) | Err(MailboxError::Missing(_)) => return Ok(()),
                Err(MailboxError::Outdated(_)) => {}
                Err(error) => return Err(error),
            }
            match self.look(cluster, &name).await? {
                Some(now) if now.is_as(&seen) && !now.deleting => seen = now,
                Some(now) if now.uid == seen.uid && !now.deleting => break,
                _ => return Ok(()),
            }
        }
        Err(MailboxError::Outdated(name))
    }

    /// Asks until there is an answer that stays the same when asked again.
    async fn retried<T>(
        &self,
        cluster: &str,
        work: &str,
        ask: impl AsyncFn() -> Result<T, kube::Error>,
    ) -> Result<T, MailboxError> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let answer = {
                let _permit = self.requests.acquire().await;
                ask().await
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let (passing, wait) = passing(&error);
            if !passing || attempt == ATTEMPTS {
                return Err(classify(error, cluster, work));
            }
            tokio::time::sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause *= 2;
        }
        Err(MailboxError::Unavailable("no attempt was made".into()))
    }
}

fn requests(cluster: &ClusterName) -> kube::core::Request {
    kube::core::Request::new(ManifestWork::url_path(&(), Some(cluster.as_str())))
}
