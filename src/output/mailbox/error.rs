//! What an ITS has against a request about works: kube's error → ours, with its word, its sentence and a way out. Pure.

use std::time::Duration;

use kube::core::Status;

use crate::api_server::Trouble;
use crate::model::{ClusterName, Diagnostic};

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
    /// It is another one, or holds something else, than when it was last seen.
    #[error("the work {0} was changed since it was last seen")]
    Outdated(String),
    /// We may not.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The API server does not know us.
    #[error("the ITS does not accept the credentials: {0}")]
    Unauthorized(String),
    /// The API server, a policy or a webhook does not take the work.
    #[error("the work {0} is refused: {1}")]
    Refused(String, String),
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
            Self::Outdated(_) => "WorkChanged",
            Self::Forbidden(_) => "Forbidden",
            Self::Unauthorized(_) => "Unauthorized",
            Self::Refused(..) => "WorkRefused",
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
            Self::Outdated(_) => {
                "nothing: it is looked at and written again; who did it stands in its managedFields".into()
            }
            Self::Forbidden(_) => {
                "give this account what it needs; `stellate rbac --output mailbox` prints it".into()
            }
            Self::Unauthorized(_) => {
                "renew the token or certificate; it is read again at the next attempt".into()
            }
            Self::Refused(..) => {
                "the message names what is wrong with the work or its objects, or who refuses it; it is tried again".into()
            }
            Self::Unavailable(_) => "nothing, if it passes: the next delivery tries again".into(),
        }
    }

    /// Says it of a WEC.
    pub fn diagnostic(&self, cluster: &ClusterName) -> Diagnostic {
        Diagnostic::error(self.reason(), self.to_string())
            .help(self.help())
            .cluster(cluster.clone())
    }

    /// Tells whether what is known of the works is not true any more.
    pub fn is_outdated(&self) -> bool {
        matches!(self, Self::Outdated(_))
    }

    /// Tells whether all other works of the WEC would meet with the same.
    pub fn concerns_the_mailbox(&self) -> bool {
        matches!(
            self,
            Self::Missing(_)
                | Self::Terminating(_)
                | Self::NoManifestWorks
                | Self::Forbidden(_)
                | Self::Unauthorized(_)
        )
    }
}

/// Tells whether an error may be gone the next time, and when the server thinks so.
pub(super) fn passing(error: &kube::Error) -> (bool, Option<Duration>) {
    match error {
        kube::Error::Api(status) => {
            let wait = status
                .details
                .as_ref()
                .map(|details| details.retry_after_seconds);
            let wait = wait
                .filter(|&seconds| seconds > 0)
                .map(|seconds| Duration::from_secs(seconds.into()));
            // Who gets a 429 here has been patient for long.
            let passing = matches!(status.code, 500 | 502 | 503 | 504);
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

pub(super) fn classify(error: kube::Error, cluster: &str, work: &str) -> MailboxError {
    let status = match error {
        kube::Error::Api(status) => status,
        kube::Error::Auth(_) => {
            return MailboxError::Unauthorized("the kubeconfig's login gives none".into());
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
        401 => MailboxError::Unauthorized(message),
        403 if is_about_us(&message) => MailboxError::Forbidden(message),
        409 if is_field_conflict(&status) => MailboxError::Foreign(format!("{cluster}/{work}")),
        409 => MailboxError::Outdated(work.to_owned()),
        code if code == 429 || code >= 500 => MailboxError::Unavailable(message),
        _ => MailboxError::Refused(work.to_owned(), message),
    }
}

/// Tells a lack of rights, which Kubernetes words in one way, from a policy, a webhook or a quota that refuses this work.
fn is_about_us(message: &str) -> bool {
    message.contains("User \"") && message.contains(" cannot ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
                json!({"code": 403, "reason": "Forbidden", "message": "works \"w\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"}),
                "WorkRefused",
            ),
            (
                json!({"code": 403, "reason": "Forbidden", "message": "works is forbidden: User \"bot\" cannot patch resource \"works\" in API group"}),
                "Forbidden",
            ),
            (
                json!({"code": 401, "reason": "Unauthorized", "message": "Unauthorized"}),
                "Unauthorized",
            ),
            (
                json!({"code": 409, "details": {"causes": [{"reason": "FieldManagerConflict"}]}}),
                "ForeignWork",
            ),
            (
                json!({"code": 409, "message": "the object has been modified"}),
                "WorkChanged",
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
        assert_eq!(passing(&error(&json!({"code": 429}))), (false, None));
        let patient = json!({"code": 504, "details": {"retryAfterSeconds": 3}});
        assert_eq!(
            passing(&error(&patient)),
            (true, Some(Duration::from_secs(3)))
        );
        let raced = json!({"code": 409, "message": "the object has been modified"});
        assert_eq!(passing(&error(&raced)), (false, None));
        let taken =
            json!({"code": 409, "details": {"causes": [{"reason": "FieldManagerConflict"}]}});
        assert_eq!(passing(&error(&taken)), (false, None));
        assert_eq!(passing(&error(&json!({"code": 403}))), (false, None));
    }
}
