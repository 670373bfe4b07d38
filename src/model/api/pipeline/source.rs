//! Where a pipeline reads: its source and its inventory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::GitCredentials;
use super::quantity::Interval;

/// Where policies and workloads are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A git repository.
    Git(GitSource),
    /// A Workload Description Space.
    Wds(WdsSource),
    /// A folder, watched: for development.
    Folder(FolderSource),
}

/// A git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSource {
    /// Its URL, or a path on this machine.
    #[schemars(length(min = 1))]
    pub url: String,
    /// Branch, tag or full ref that is followed; left out: the repository's HEAD.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub reference: Option<String>,
    /// Folders that are read, relative to the root; left out: all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// How often it is looked at without being told; left out: one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Who reads; left out: nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<GitCredentials>,
}

/// A Workload Description Space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WdsSource {
    /// Path of the kubeconfig; left out: as kubectl finds it, or the pod's own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// Context of the kubeconfig; left out: the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// API groups that are read, besides those that steer; left out: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderSource {
    /// Its path.
    #[schemars(length(min = 1))]
    pub path: String,
}

/// Where the WECs are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Inventory {
    /// An Inventory and Transport Space.
    Its(ApiServer),
    /// ManagedClusters and property ConfigMaps as manifests in the source.
    Files(FileInventory),
}

/// How an API server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiServer {
    /// Path of the kubeconfig; left out: as kubectl finds it, or the pod's own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// Context of the kubeconfig; left out: the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// Manifests in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileInventory {
    /// The folder that holds them, relative to the root of the source.
    #[schemars(length(min = 1))]
    pub path: String,
}
