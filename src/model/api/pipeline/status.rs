//! Who is told what became of each commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::{GitHubApp, SecretReference};
use super::quantity::Interval;
use crate::model::api::ReadError;

/// Who is told, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Commit statuses on Bitbucket, in the cloud or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitbucket: Option<BitbucketStatus>,
    /// What the names of statuses begin with, to tell two services on one repository apart; left out: `stellate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9._]{0,38}[A-Za-z0-9])?$"))]
    pub context: Option<String>,
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
    /// Whether the WECs are expected to report.
    #[serde(default)]
    pub reports: Reports,
    /// How long a WEC has to become healthy; left out: ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Interval>,
    /// Whether pull requests are told what they would change.
    #[serde(default = "yes")]
    pub previews: bool,
}

/// Whether the WECs are expected to report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reports {
    /// Those that have reported before are.
    #[default]
    Auto,
    /// All are: one that stays silent past the deadline has failed.
    Required,
    /// None is: published is the end.
    None,
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
    /// The most posts in a minute; left out: 80 on github.com, as many as needed elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1))]
    pub max_per_minute: Option<u32>,
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
    #[schemars(regex(pattern = "^[^/]+(/[^/]+)+$"))]
    pub repository: Option<String>,
    /// The token of who posts.
    pub token: SecretReference,
    /// The most posts in a minute; left out: as many as needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1))]
    pub max_per_minute: Option<u32>,
}

/// Commit statuses on Bitbucket Cloud, Bitbucket Server or Data Center.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BitbucketStatus {
    /// The host's URL; left out: that of the source's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https?://"))]
    pub url: Option<String>,
    /// Workspace or project, and name; left out: those of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[^/]+/[^/]+$"))]
    pub repository: Option<String>,
    /// Whose token it is, where a token needs a name beside it; left out: an access token that stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub username: Option<String>,
    /// The token of who posts.
    pub token: SecretReference,
    /// The most posts in a minute; left out: as many as needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1))]
    pub max_per_minute: Option<u32>,
}

/// The forges that take commit statuses, each with an API of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForgeKind {
    /// GitHub, github.com or Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea or Forgejo.
    Gitea,
    /// bitbucket.org.
    BitbucketCloud,
    /// Bitbucket Server or Data Center.
    BitbucketServer,
}

fn yes() -> bool {
    true
}

impl Default for Status {
    fn default() -> Self {
        Self {
            github: None,
            gitlab: None,
            gitea: None,
            bitbucket: None,
            context: None,
            max_clusters: None,
            group_by: None,
            target_url: None,
            reports: Reports::default(),
            deadline: None,
            previews: yes(),
        }
    }
}

impl ForgeKind {
    /// The word for metrics; webhooks, which cannot be told apart further, are counted under the same.
    pub fn word(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::BitbucketCloud | Self::BitbucketServer => "bitbucket",
        }
    }
}

impl Status {
    /// Says what the CRD says with patterns.
    pub(super) fn check(&self) -> Result<(), ReadError> {
        if let Some(context) = &self.context
            && !is_context(context)
        {
            let message =
                format!("`{context}` is no word of at most 40 letters, digits, `.`, `_` and `-`");
            return Err(ReadError::new("InvalidValue", message)
                .help("take a short word such as `stellate-east`")
                .under_key("context"));
        }
        web(self.target_url.as_deref()).map_err(|error| error.under_key("targetUrl"))?;
        if self
            .deadline
            .is_some_and(|Interval(deadline)| deadline.is_zero())
        {
            let error = ReadError::new("InvalidValue", "a deadline of nothing cannot be met");
            return Err(error
                .help("write a time such as `10m`, or `reports: none`")
                .under_key("deadline"));
        }
        if let Some(github) = &self.github {
            check_forge(
                github.url.as_deref(),
                github.repository.as_deref(),
                github.max_per_minute,
                false,
            )
            .map_err(|error| error.under_key("github"))?;
        }
        for (key, forge) in [("gitlab", &self.gitlab), ("gitea", &self.gitea)] {
            if let Some(forge) = forge {
                check_forge(
                    forge.url.as_deref(),
                    forge.repository.as_deref(),
                    forge.max_per_minute,
                    key == "gitlab",
                )
                .map_err(|error| error.under_key(key))?;
            }
        }
        if let Some(bitbucket) = &self.bitbucket {
            check_forge(
                bitbucket.url.as_deref(),
                bitbucket.repository.as_deref(),
                bitbucket.max_per_minute,
                false,
            )
            .map_err(|error| error.under_key("bitbucket"))?;
        }
        Ok(())
    }
}

/// Checks what all forges have; only some have groups within groups.
fn check_forge(
    url: Option<&str>,
    repository: Option<&str>,
    max_per_minute: Option<u32>,
    groups: bool,
) -> Result<(), ReadError> {
    web(url).map_err(|error| error.under_key("url"))?;
    if let Some(path) = repository {
        let parts: Vec<&str> = path.split('/').collect();
        let right = parts.len() == 2 || (groups && parts.len() > 2);
        if !right || parts.iter().any(|part| part.is_empty()) {
            let message = format!("`{path}` is no owner/name");
            return Err(ReadError::new("InvalidValue", message)
                .help("write it as it stands in the repository's URL: `acme/shop`")
                .under_key("repository"));
        }
    }
    if max_per_minute == Some(0) {
        let error = ReadError::new("InvalidValue", "nothing could ever be posted");
        return Err(error.help("write 1 or more").under_key("maxPerMinute"));
    }
    Ok(())
}

fn web(url: Option<&str>) -> Result<(), ReadError> {
    match url {
        Some(url) if !url.starts_with("https://") && !url.starts_with("http://") => {
            let error = ReadError::new("InvalidValue", "a URL begins with `https://` or `http://`");
            Err(error)
        }
        _ => Ok(()),
    }
}

fn is_context(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    text.len() <= 40
        && text.bytes().all(inside)
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
}
