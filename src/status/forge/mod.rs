//! Commit statuses on a forge: what is wanted of a commit → requests to GitHub, GitLab, Gitea, Forgejo or Bitbucket.
//!
//! ```text
//! Sink::want ─▶ Desk (plan, Budget) ─▶ Forge ─▶ github (octocrab) │ gitlab, gitea, bitbucket (ureq)
//! ```
//!
//! [`plan`], [`budget`], [`desk`] and [`error`] are pure. [`Forge`] sends one request after another and decides nothing;
//! [`Sink`] is the worker between them. No token is ever part of a message.

use std::time::Duration;

use serde_json::Value;

use crate::git::{AppLogin, Secret, SecretPlace};
use crate::model::api::pipeline::ForgeKind;
use crate::status::summarise::{DESCRIPTION, shorten};
use crate::status::{CommitStatus, StatusState};

mod answer;
mod bitbucket;
pub mod budget;
mod commit;
pub mod desk;
pub mod error;
mod gitea;
pub mod github;
mod gitlab;
pub mod plan;
mod rest;
mod sink;

pub use budget::{Budget, Limits};
pub use desk::Counters;
pub use error::ForgeError;
pub use plan::{Cap, Posted};
pub use sink::{Lane, Lanes, Sink};

use answer::Place;

/// One repository on one forge, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgeConfig {
    /// The forge.
    pub kind: ForgeKind,
    /// Where its API is, without a slash at the end: `https://api.github.com`, `https://gitlab.example.com/api/v4`.
    pub api: String,
    /// The repository's page; what a status without a target opens where a forge wants one.
    pub page: String,
    /// The repository: owner and name, or the path of the project.
    pub repository: String,
    /// The branch that the commits are on; GitLab tells statuses apart by it.
    pub reference: Option<String>,
    /// Who posts.
    pub login: ForgeLogin,
    /// How long a request may take.
    pub timeout: Duration,
}

/// Who posts. Secrets are read anew before each request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ForgeLogin {
    /// Whoever has this token.
    Token(SecretPlace),
    /// A user with a token, by basic authentication.
    User(String, SecretPlace),
    /// A GitHub App.
    App(AppLogin),
}

/// A check run: what GitHub shows of a commit to those who want to read more than a line. Only a GitHub App may write one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRun {
    /// By what it is found again.
    pub name: String,
    /// How it ended; none while it goes on.
    pub conclusion: Option<Conclusion>,
    /// One line.
    pub title: String,
    /// A paragraph, in Markdown.
    pub summary: String,
    /// The table of WECs, in Markdown; what is too long for GitHub is cut at the end of a line.
    pub text: String,
    /// The page with the details.
    pub details_url: Option<String>,
}

/// How a check run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// All is as it should be.
    Success,
    /// Something is wrong.
    Failure,
    /// Another commit took its place.
    Neutral,
}

/// A forge that can be asked and told.
pub enum Forge {
    /// GitHub.
    GitHub(Box<github::GitHub>),
    /// GitLab.
    GitLab(gitlab::GitLab),
    /// Gitea or Forgejo.
    Gitea(gitea::Gitea),
    /// Bitbucket, both kinds.
    Bitbucket(bitbucket::Bitbucket),
}

impl Forge {
    /// Prepares; nothing is sent yet, and what is wrong shows with the first request.
    pub fn new(config: ForgeConfig) -> Self {
        match config.kind {
            ForgeKind::GitHub => Self::GitHub(Box::new(github::GitHub::new(config))),
            ForgeKind::GitLab => Self::GitLab(gitlab::GitLab::new(config)),
            ForgeKind::Gitea => Self::Gitea(gitea::Gitea::new(&config)),
            ForgeKind::BitbucketCloud | ForgeKind::BitbucketServer => {
                Self::Bitbucket(bitbucket::Bitbucket::new(config))
            }
        }
    }

    /// Reads the newest status of each name of a commit.
    ///
    /// # Errors
    /// Any [`ForgeError`].
    pub async fn list(&self, sha: &str) -> Result<Vec<Posted>, ForgeError> {
        match self {
            Self::GitHub(forge) => forge.list(sha).await,
            Self::GitLab(forge) => forge.list(sha).await,
            Self::Gitea(forge) => forge.list(sha).await,
            Self::Bitbucket(forge) => forge.list(sha).await,
        }
    }

    /// Posts a status, which must be one that [`ForgeConfig::fit`] gave.
    ///
    /// # Errors
    /// Any [`ForgeError`].
    pub async fn post(&self, sha: &str, status: &CommitStatus) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(forge) => forge.post(sha, status).await,
            Self::GitLab(forge) => forge.post(sha, status).await,
            Self::Gitea(forge) => forge.post(sha, status).await,
            Self::Bitbucket(forge) => forge.post(sha, status).await,
        }
    }

    /// Writes the check run of that name: a new one, or the one that is there. Does nothing where there is none to write.
    ///
    /// # Errors
    /// Any [`ForgeError`].
    pub async fn set_check(&self, sha: &str, run: &CheckRun) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(forge) => forge.set_check(sha, run).await,
            _ => Ok(()),
        }
    }

    /// Writes the comment with that marker on a pull request: a new one, or the one that is there.
    ///
    /// # Errors
    /// Any [`ForgeError`].
    pub async fn set_comment(
        &self,
        pull: u64,
        marker: &str,
        markdown: &str,
    ) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(forge) => forge.set_comment(pull, marker, markdown).await,
            Self::GitLab(forge) => forge.set_comment(pull, marker, markdown).await,
            Self::Gitea(forge) => forge.set_comment(pull, marker, markdown).await,
            Self::Bitbucket(forge) => forge.set_comment(pull, marker, markdown).await,
        }
    }
}

impl ForgeConfig {
    /// Makes a status one that the forge gives back as it was posted: its states, its lengths, its need for a target.
    pub fn fit(&self, status: CommitStatus) -> CommitStatus {
        let folds = matches!(
            self.kind,
            ForgeKind::GitLab | ForgeKind::BitbucketCloud | ForgeKind::BitbucketServer
        );
        let wants_target = matches!(
            self.kind,
            ForgeKind::BitbucketCloud | ForgeKind::BitbucketServer
        );
        CommitStatus {
            state: match status.state {
                StatusState::Error if folds => StatusState::Failure,
                state => state,
            },
            description: shorten(&status.description, DESCRIPTION),
            target_url: status
                .target_url
                .or_else(|| wants_target.then(|| self.page.clone())),
            context: status.context,
        }
    }

    /// How many statuses of one name the forge keeps.
    pub fn cap(&self) -> Option<Cap> {
        (self.kind == ForgeKind::GitHub).then_some(Cap::GITHUB)
    }

    /// Whether check runs can be written.
    pub fn has_checks(&self) -> bool {
        self.kind == ForgeKind::GitHub && matches!(self.login, ForgeLogin::App(_))
    }

    /// Where a failure happened.
    fn place(&self) -> Place {
        let rest = self
            .api
            .split_once("://")
            .map_or(&*self.api, |(_, rest)| rest);
        Place {
            kind: self.kind,
            host: rest.split('/').next().unwrap_or(rest).to_owned(),
            repository: self.repository.clone(),
        }
    }
}

/// Reads a secret where files may be read.
async fn read_secret(
    place: Place,
    secret: SecretPlace,
    is_key: bool,
) -> Result<Secret, ForgeError> {
    let host = place.host.clone();
    let read = move || {
        if is_key {
            secret.read_key()
        } else {
            secret.read()
        }
    };
    let failed = |problem: String| ForgeError::Credential {
        host: host.clone(),
        problem,
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))
}

/// The newest of each name, from pages in any order: the one with the highest id. `read` gives id and status of an entry.
fn newest_by_name(
    entries: impl IntoIterator<Item = Value>,
    read: impl Fn(&Value) -> Option<(u64, CommitStatus)>,
) -> Vec<Posted> {
    let mut newest = std::collections::BTreeMap::<String, (u64, Posted)>::new();
    for (id, status) in entries.into_iter().filter_map(|entry| read(&entry)) {
        match newest.get_mut(&status.context) {
            None => {
                newest.insert(status.context.clone(), (id, Posted { status, times: 1 }));
            }
            Some((newest_id, posted)) => {
                posted.times = posted.times.saturating_add(1);
                if id > *newest_id {
                    *newest_id = id;
                    posted.status = status;
                }
            }
        }
    }
    newest.into_values().map(|(_, posted)| posted).collect()
}

/// Text of a field; empty, null and absent are the same.
fn text(entry: &Value, field: &str) -> Option<String> {
    let text = entry.get(field)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A comment with its marker, which people do not see.
fn marked(marker: &str, markdown: &str) -> String {
    format!("<!-- {marker} -->\n{markdown}")
}

/// Finds our comment: the first that begins with the marker. Gives its id and its whole text.
fn comment(comments: &[Value], field: &str, start: &str) -> Option<(u64, String)> {
    comments.iter().find_map(|comment| {
        // A web form may have made its line ends those of Windows.
        let body = comment[field].as_str()?.replace("\r\n", "\n");
        let is_ours = body.starts_with(start.trim_end());
        is_ours.then_some(())?;
        Some((comment["id"].as_u64()?, body))
    })
}

/// One part of a path, so that no name can mean another path.
fn encode(part: &str) -> String {
    let mut encoded = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `owner/name` as two parts of a path.
fn encode_parts(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
