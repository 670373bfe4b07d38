//! The ITS: works are listed, read, applied and deleted. The only file here that talks to a server.
//!
//! There is no rate limit but the number of requests under way; a server that asks for patience gets it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{
    DeleteParams, GetParams, ListParams, PartialObjectMeta, Patch, PatchParams, Preconditions,
};
use kube::core::Status;
use kube::{Api, Client, Resource as _};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::Owner;
use super::shape::{Part, Place};
use super::standing::{FIELD_MANAGER, Standing, StandingWork};
use crate::api_server::Trouble;
use crate::model::api::ManifestWork;
use crate::model::{ClusterName, Diagnostic};

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

/// The mailboxes of an ITS, as one pipeline has access to them.
#[derive(Clone)]
pub struct Mailboxes {
    client: Client,
    owner: Owner,
    requests: Arc<Semaphore>,
}

/// Why the ITS did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The WEC's namespace is not there.
    #[error("the mailbox namespace {0} does not exist")]
    Missing(String),
    /// The WEC's namespace is being deleted.
    #[error("the mailbox namespace {0} is being deleted")]
    Terminating(String),
    /// The work is being deleted.
    #[error("the work {0} is still being deleted")]
    Deleting(String),
    /// The API server has no ManifestWorks.
    #[error("the API server knows no ManifestWorks")]
    NoManifestWorks,
    /// The name is taken by a work that is not ours.
    #[error("{0} exists, and is not of this pipeline")]
    Foreign(String),
    /// We may not.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The API server, or a webhook, does not take the work.
    #[error("refused: {0}")]
    Refused(String),
    /// No answer, or no good one, also after several attempts.
    #[error("the ITS does not answer as it should: {0}")]
    Unavailable(String),
}

impl MailboxError {
    /// A fixed word for programs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "MailboxMissing",
            Self::Terminating(_) => "MailboxTerminating",
            Self::Deleting(_) => "WorkTerminating",
            Self::NoManifestWorks => "NoManifestWorks",
            Self::Foreign(_) => "ForeignWork",
            Self::Forbidden(_) => "Forbidden",
            Self::Refused(_) => "WorkRefused",
            Self::Unavailable(_) => "HubUnavailable",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Missing(name) => format!(
                "the hub makes it when the WEC is accepted: `clusteradm accept --clusters {name}`, or delete the ManagedCluster"
            ),
            Self::Terminating(_) => {
                "wait until it is gone; the hub makes a new one when the WEC is accepted again".into()
            }
            Self::Deleting(_) => "nothing: it is written again when the WEC has let it go".into(),
            Self::NoManifestWorks => {
                "point the pipeline at an ITS: an Open Cluster Management hub (`clusteradm init`)".into()
            }
            Self::Foreign(_) => "delete or rename that work, or rename the pipeline: a work that is not its own is never touched".into(),
            Self::Forbidden(_) => {
                "give Stellate the right to get, list, watch, create, patch and delete manifestworks in all namespaces".into()
            }
            Self::Refused(_) => "the message names what is wrong with the work or its objects".into(),
            Self::Unavailable(_) => "nothing, if it passes: the next delivery tries again".into(),
        }
    }

    /// Says it of a WEC.
    pub fn diagnostic(&self, cluster: &ClusterName) -> Diagnostic {
        Diagnostic::error(self.reason(), self.to_string())
            .help(self.help())
            .cluster(cluster.clone())
    }

    /// Tells whether all other works of the WEC would meet with the same.
    pub fn concerns_the_mailbox(&self) -> bool {
        matches!(
            self,
            Self::Missing(_) | Self::Terminating(_) | Self::NoManifestWorks | Self::Forbidden(_)
        )
    }
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

    /// Writes a work. What stands under its name and is not ours is left alone.
    pub async fn apply(
        &self,
        cluster: &ClusterName,
        part: Part,
        body: &[u8],
        is_new: bool,
    ) -> Result<StandingWork, MailboxError> {
        let name = self.owner.work_name(part);
        let mailbox = requests(cluster);
        let mut force = !is_new;
        loop {
            // Without force, a work that somebody else wrote is a conflict, and not overwritten.
            let parameters = PatchParams {
                force,
                ..PatchParams::apply(FIELD_MANAGER)
            };
            let patch = async || {
                // The bytes are there already: the request is made around them.
                let request = mailbox.patch_metadata(&name, &parameters, &Patch::Apply(()));
                let request = request
                    .map_err(kube::Error::BuildRequest)?
                    .map(|_| body.to_vec());
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
                Err(MailboxError::Foreign(_)) if !force && self.is_ours(cluster, &name).await? => {
                    force = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn is_ours(&self, cluster: &ClusterName, name: &str) -> Result<bool, MailboxError> {
        let api: Api<ManifestWork> = Api::namespaced(self.client.clone(), cluster.as_str());
        let found = self
            .retried(cluster.as_str(), name, async || {
                api.get_metadata_opt(name).await
            })
            .await?;
        Ok(found.is_none_or(|work| StandingWork::read(&self.owner, &work.metadata).is_some()))
    }

    /// Deletes a work when it is still the one with this id.
    pub async fn delete(
        &self,
        cluster: &ClusterName,
        part: Part,
        uid: &str,
    ) -> Result<(), MailboxError> {
        let name = self.owner.work_name(part);
        let api: Api<ManifestWork> = Api::namespaced(self.client.clone(), cluster.as_str());
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let delete = async || api.delete(&name, &parameters).await;
        match self.retried(cluster.as_str(), &name, delete).await {
            Ok(_) | Err(MailboxError::Missing(_) | MailboxError::Foreign(_)) => Ok(()),
            Err(error) => Err(error),
        }
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

/// Tells whether an error may be gone the next time, and when the server thinks so.
fn passing(error: &kube::Error) -> (bool, Option<Duration>) {
    match error {
        kube::Error::Api(status) => {
            let wait = status
                .details
                .as_ref()
                .map(|details| details.retry_after_seconds);
            let wait = wait
                .filter(|&seconds| seconds > 0)
                .map(|seconds| Duration::from_secs(seconds.into()));
            let passing = matches!(status.code, 429 | 500 | 502 | 503 | 504)
                || (status.code == 409 && !is_field_conflict(status) && !is_precondition(status));
            (passing, wait)
        }
        kube::Error::Service(_) | kube::Error::HyperError(_) => (true, None),
        _ => (false, None),
    }
}

/// Somebody else has a field that we would set.
fn is_field_conflict(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "FieldManagerConflict")
}

/// The object is another one than was meant.
fn is_precondition(status: &Status) -> bool {
    status.message.contains("Precondition failed")
}

fn classify(error: kube::Error, cluster: &str, work: &str) -> MailboxError {
    let status = match error {
        kube::Error::Api(status) => status,
        kube::Error::Auth(_) => {
            return MailboxError::Forbidden("the credentials cannot be used".into());
        }
        other => return MailboxError::Unavailable(Trouble::of(&other).message),
    };
    let of = |kind: &str| {
        status
            .details
            .as_ref()
            .is_some_and(|details| details.kind == kind)
    };
    let message = status.message.clone();
    match status.code {
        404 if of("namespaces") || of("manifestworks") => MailboxError::Missing(cluster.to_owned()),
        404 => MailboxError::NoManifestWorks,
        403 if message.contains("is being terminated") => {
            MailboxError::Terminating(cluster.to_owned())
        }
        // A webhook speaks of this work, not of our rights.
        403 if message.contains("admission webhook") => MailboxError::Refused(message),
        401 | 403 => MailboxError::Forbidden(message),
        409 => MailboxError::Foreign(format!("{cluster}/{work}")),
        code if code == 429 || code >= 500 => MailboxError::Unavailable(message),
        _ => MailboxError::Refused(message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(status: &Value) -> kube::Error {
        kube::Error::Api(Box::new(serde_json::from_value(status.clone()).unwrap()))
    }

    #[test]
    fn what_a_server_says_is_told_apart() {
        let cases = [
            (
                json!({"code": 404, "details": {"kind": "namespaces"}}),
                "MailboxMissing",
            ),
            (
                json!({"code": 404, "message": "404 page not found"}),
                "NoManifestWorks",
            ),
            (
                json!({"code": 403, "reason": "Forbidden", "message": "unable to create new content in namespace c1 because it is being terminated"}),
                "MailboxTerminating",
            ),
            (
                json!({"code": 403, "reason": "Forbidden", "message": "admission webhook \"w\" denied the request: no"}),
                "WorkRefused",
            ),
            (
                json!({"code": 403, "reason": "Forbidden", "message": "manifestworks is forbidden"}),
                "Forbidden",
            ),
            (
                json!({"code": 409, "details": {"causes": [{"reason": "FieldManagerConflict"}]}}),
                "ForeignWork",
            ),
            (
                json!({"code": 422, "message": "spec: invalid"}),
                "WorkRefused",
            ),
            (
                json!({"code": 503, "message": "etcd is away"}),
                "HubUnavailable",
            ),
        ];
        for (status, reason) in cases {
            assert_eq!(
                classify(error(&status), "c1", "shop.rest").reason(),
                reason,
                "{status}"
            );
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_no_sooner_than_the_server_says() {
        let patient = json!({"code": 429, "details": {"retryAfterSeconds": 3}});
        assert_eq!(
            passing(&error(&patient)),
            (true, Some(Duration::from_secs(3)))
        );
        let raced = json!({"code": 409, "message": "the object has been modified"});
        assert_eq!(passing(&error(&raced)), (true, None));
        let taken =
            json!({"code": 409, "details": {"causes": [{"reason": "FieldManagerConflict"}]}});
        assert_eq!(passing(&error(&taken)), (false, None));
        assert_eq!(passing(&error(&json!({"code": 403}))), (false, None));
    }
}
