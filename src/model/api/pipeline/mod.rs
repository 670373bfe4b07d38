//! Pipeline: one source, one inventory, its outputs and its status sinks (`gitops.kubestellar.io/v1alpha1`).
//!
//! The same object is a document of `stellate.yaml` and a custom resource. It holds no secret: where one is needed
//! stands the name of a file or of an environment variable. Everything here is as written; what follows from it is
//! resolved by the configuration.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::read::{ApiObject, ReadError};
use super::transform::some_items;
use crate::model::Scope;

mod credentials;
mod guard;
mod hydrate;
mod observed;
mod output;
mod quantity;
mod source;
mod status;
mod waves;

pub use credentials::{
    BasicCredentials, GitCredentials, GitHubApp, SecretReference, SshCredentials,
};
pub use guard::{Guard, SecretsRule};
pub use hydrate::{Helm, Hydrate, Kustomize};
pub use observed::{Condition, PipelineStatus};
pub use output::{BranchOutput, FolderOutput, Layout, MailboxOutput, Output};
pub use quantity::{Bytes, Interval, Limit};
pub use source::{ApiServer, FileInventory, FolderSource, GitSource, Inventory, Source, WdsSource};
pub use status::{
    BitbucketStatus, ForgeKind, ForgeStatus, GitHubCredentials, GitHubStatus, Reports, Status,
};
pub use waves::{REMAINING, Wave};

/// One source, one inventory, its outputs and its status sinks.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gitops.kubestellar.io",
    version = "v1alpha1",
    kind = "Pipeline",
    plural = "pipelines",
    derive = "PartialEq",
    status = "PipelineStatus",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Commit", "type": "string", "jsonPath": ".status.sourceCommit"}"#,
    printcolumn = r#"{"name": "WECs", "type": "string", "jsonPath": ".status.summary"}"#,
    printcolumn = r#"{"name": "Generated", "type": "string", "jsonPath": ".status.generatedCommit", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    doc = "One source, one inventory, its outputs and its status sinks."
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.waves) || !has(self.status) || !has(self.status.reports) || self.status.reports != 'none'",
    "message": "waves go by what WECs report, and status.reports: none says that none does",
}, {
    "rule": "!has(self.waves) || !has(self.source.folder)",
    "message": "waves go by commits, and a folder has none",
}]))]
pub struct PipelineSpec {
    /// Where policies and workloads are read.
    pub source: Source,
    /// Where the WECs are read; left out: ManagedClusters in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// Where the results go; left out: nowhere, only checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// Who is told what became of each commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The order in which WECs get a change; left out: all at once.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(
        length(min = 1, max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub waves: Vec<Wave>,
    /// What is held back until somebody releases it.
    #[serde(default)]
    pub guard: Guard,
    /// Whether one object that cannot be rendered holds the whole commit; else it keeps its last good output.
    #[serde(default)]
    pub strict: bool,
    /// Folders that are built before they are read.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub hydrate: Vec<Hydrate>,
    /// Kinds that are neither built into Kubernetes nor defined in the source.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub kinds: Vec<Kind>,
}

/// A kind and its resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// API group; "" is the core group.
    pub group: String,
    /// Kind in CamelCase.
    #[schemars(regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// The resource: lower-case plural.
    #[schemars(regex(pattern = "^[a-z][-a-z0-9]*$"))]
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub scope: KindScope,
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KindScope {
    /// They do.
    Namespaced,
    /// They live beside them.
    Cluster,
}

impl From<KindScope> for Scope {
    fn from(scope: KindScope) -> Self {
        match scope {
            KindScope::Namespaced => Self::Namespaced,
            KindScope::Cluster => Self::Cluster,
        }
    }
}

impl ApiObject for Pipeline {
    const GROUP: &'static str = "gitops.kubestellar.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Pipeline";

    fn check(&self) -> Result<(), ReadError> {
        self.spec.check().map_err(|error| error.under_key("spec"))
    }
}

impl PipelineSpec {
    /// Says what the CRD says with patterns and rules in CEL.
    fn check(&self) -> Result<(), ReadError> {
        self.guard
            .check()
            .map_err(|error| error.under_key("guard"))?;
        if let Some(status) = &self.status {
            status.check().map_err(|error| error.under_key("status"))?;
        }
        waves::check(&self.waves).map_err(|error| error.under_key("waves"))?;
        let status = self.status.as_ref();
        let nobody = status.is_some_and(|status| status.reports == Reports::None);
        if !self.waves.is_empty() && nobody {
            let message =
                "waves go by what WECs report, and `status.reports: none` says that none does";
            return Err(ReadError::new("InvalidValue", message)
                .help("leave out one of the two")
                .under_key("waves"));
        }
        if !self.waves.is_empty() && matches!(self.source, Source::Folder(_)) {
            let message = "waves go by commits, and a folder has none";
            return Err(ReadError::new("InvalidValue", message)
                .help("read the source with `git`")
                .under_key("waves"));
        }
        for (index, kind) in self.kinds.iter().enumerate() {
            kind.check()
                .map_err(|error| error.under_index(index).under_key("kinds"))?;
        }
        Ok(())
    }
}

impl Kind {
    fn check(&self) -> Result<(), ReadError> {
        let camel = self
            .kind
            .starts_with(|first: char| first.is_ascii_uppercase())
            && self.kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !camel {
            return Err(
                ReadError::new("InvalidValue", "a kind is one word in CamelCase").under_key("kind"),
            );
        }
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let plural = self
            .plural
            .starts_with(|first: char| first.is_ascii_lowercase())
            && self.plural.bytes().all(lower);
        if !plural {
            return Err(
                ReadError::new("InvalidValue", "a resource is a plural in lower case")
                    .under_key("plural"),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
