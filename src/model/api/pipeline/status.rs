//! Who is told what became of each commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::{GitHubApp, SecretReference};

/// Who is told, and how much.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Status {
    /// Commit statuses on GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<GitHubStatus>,
    /// Commit statuses on GitLab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitlab: Option<ForgeStatus>,
    /// Commit statuses on Gitea or Forgejo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitea: Option<ForgeStatus>,
    /// Up to how many WECs each gets a status of its own; left out: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0))]
    pub max_clusters: Option<u32>,
    /// The label by whose values WECs share a status when there are more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub group_by: Option<String>,
    /// Where people find the page of a commit: the URL that this service is seen at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https?://"))]
    pub target_url: Option<String>,
}

/// Commit statuses on GitHub; as an App also a check run with the table of WECs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitHubStatus {
    /// The API's URL; left out: that of the source's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https?://"))]
    pub url: Option<String>,
    /// Owner and name; left out: those of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[^/]+/[^/]+$"))]
    pub repository: Option<String>,
    /// Who posts.
    pub credentials: GitHubCredentials,
}

/// Who posts on GitHub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GitHubCredentials {
    /// Whose token it is.
    Token(SecretReference),
    /// A GitHub App.
    App(GitHubApp),
}

/// Commit statuses on GitLab, Gitea or Forgejo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgeStatus {
    /// The host's URL; left out: that of the source's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https?://"))]
    pub url: Option<String>,
    /// Path of the project; left out: that of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub repository: Option<String>,
    /// The token of who posts.
    pub token: SecretReference,
}
