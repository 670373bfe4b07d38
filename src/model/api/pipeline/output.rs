//! Where the results go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::GitCredentials;
use super::quantity::Bytes;
use super::source::ApiServer;

/// Where the results go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Output {
    /// A generated branch, for Argo CD and Flux.
    Branch(BranchOutput),
    /// ManifestWorks in the mailbox namespaces of an ITS.
    Mailbox(MailboxOutput),
    /// A folder, as the generated branch has it.
    Folder(FolderOutput),
}

/// A generated branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BranchOutput {
    /// Its name; with one branch per WEC, what their names begin with.
    #[schemars(length(min = 1))]
    pub name: String,
    /// One branch for all WECs, or one for each.
    #[serde(default)]
    pub layout: Layout,
    /// Whether it is pushed; else it stays in the local repository.
    #[serde(default = "yes")]
    pub push: bool,
    /// The repository it is pushed to; left out: the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub url: Option<String>,
    /// Who pushes; left out: who reads the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<GitCredentials>,
}

/// How WECs share branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One branch, with a folder for each WEC.
    #[default]
    Directories,
    /// One small branch for each WEC.
    Branches,
}

/// ManifestWorks in mailbox namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailboxOutput {
    /// The ITS; left out: the inventory's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub its: Option<ApiServer>,
    /// The most bytes of manifests in one ManifestWork of several objects; left out: 64Ki. A larger object has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bytes>,
    /// Whether what was delivered stays on the WECs when it is taken back here.
    #[serde(default)]
    pub orphan: bool,
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderOutput {
    /// Its path.
    #[schemars(length(min = 1))]
    pub path: String,
}

fn yes() -> bool {
    true
}
