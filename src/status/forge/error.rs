//! What goes wrong with a forge: a [`ForgeError`] in plain words, with the way out, whom it concerns and when to try again. Pure.

use std::time::Duration;

use thiserror::Error;

/// Why a forge was not told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ForgeError {
    /// The token or key cannot be read.
    #[error("who posts on {host} is not known: {problem}")]
    Credential {
        /// The host.
        host: String,
        /// Why.
        problem: String,
    },
    /// 401.
    #[error("{host} does not accept the token: it has expired, was revoked or is wrong{}", quoted(.message))]
    Unauthorized {
        /// The host.
        host: String,
        /// What the host says.
        message: String,
    },
    /// 403.
    #[error("{host} forbids it for {repository}: needed is {needs}{}", quoted(.message))]
    Forbidden {
        /// The host.
        host: String,
        /// The repository.
        repository: String,
        /// The permission.
        needs: String,
        /// What the host says.
        message: String,
    },
    /// 404 for the repository.
    #[error(
        "{host} has no repository {repository} that this token may see: it was renamed, removed, or is not visible to it"
    )]
    NotFound {
        /// The host.
        host: String,
        /// The repository.
        repository: String,
    },
    /// The App is not installed on the repository.
    #[error("the GitHub App is not installed on {repository}")]
    NotInstalled {
        /// The repository.
        repository: String,
    },
    /// The host sends us somewhere where we do not follow.
    #[error("{host} says that {repository} has moved to {target}")]
    Moved {
        /// The host.
        host: String,
        /// The repository.
        repository: String,
        /// Where to.
        target: String,
    },
    /// The commit is not there.
    #[error("{host} does not have commit {sha} in {repository}")]
    UnknownCommit {
        /// The host.
        host: String,
        /// The repository.
        repository: String,
        /// The commit.
        sha: String,
    },
    /// A host takes only so many statuses under one name.
    #[error(
        "{host} takes no more statuses named {context} for commit {sha}: it keeps 1000 of each name"
    )]
    TooMany {
        /// The host.
        host: String,
        /// The commit.
        sha: String,
        /// The status's name.
        context: String,
    },
    /// 400, 422: what was sent is not what the host wants.
    #[error("{host} refuses what was sent ({status}){}", quoted(.message))]
    Rejected {
        /// The host.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What the host says.
        message: String,
    },
    /// Somebody else wrote at the same time.
    #[error("{host} is busy with another change{}", quoted(.message))]
    Conflict {
        /// The host.
        host: String,
        /// What the host says.
        message: String,
    },
    /// 429, and 403 for a limit.
    #[error("{host} takes no more requests for now: its rate limit is used up{}", again(*.retry_after))]
    Limited {
        /// The host.
        host: String,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// 5xx.
    #[error("{host} has a failure of its own ({status})")]
    Unavailable {
        /// The host.
        host: String,
        /// The HTTP status.
        status: u16,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("{host} did not answer in time")]
    Timeout {
        /// The host.
        host: String,
    },
    /// No connection.
    #[error("{host} cannot be reached: {problem}")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        problem: String,
    },
    /// The connection broke.
    #[error("the connection to {host} broke: {problem}")]
    Broken {
        /// The host.
        host: String,
        /// How.
        problem: String,
    },
    /// An answer that makes no sense.
    #[error("{host} answers in a way that is not understood: {problem}")]
    Odd {
        /// The host.
        host: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Whom a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything that is sent to the repository.
    Repository,
    /// One commit.
    Commit,
    /// The one thing that was sent; sending it again changes nothing.
    Item,
}

impl ForgeError {
    /// One word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Credential { .. } => "CredentialUnreadable",
            Self::Unauthorized { .. } => "Unauthorized",
            Self::Forbidden { .. } => "Forbidden",
            Self::NotFound { .. } => "RepositoryNotFound",
            Self::NotInstalled { .. } => "AppNotInstalled",
            Self::Moved { .. } => "RepositoryMoved",
            Self::UnknownCommit { .. } => "UnknownCommit",
            Self::TooMany { .. } => "TooManyStatuses",
            Self::Rejected { .. } => "Rejected",
            Self::Conflict { .. } => "Conflict",
            Self::Limited { .. } => "RateLimited",
            Self::Unavailable { .. } => "Unavailable",
            Self::Timeout { .. } => "Timeout",
            Self::Unreachable { .. } => "Unreachable",
            Self::Broken { .. } => "ConnectionBroken",
            Self::Odd { .. } => "UnexpectedAnswer",
        }
    }

    /// The way out, where there is one for people.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Credential { .. } => {
                "check the file or variable that `spec.status` names, and who may read it"
            }
            Self::Unauthorized { .. } => {
                "put a new token where `spec.status` says; it is read again before each try"
            }
            Self::Forbidden { .. } => {
                "give the token or the App that permission on this repository"
            }
            Self::NotFound { .. } | Self::Moved { .. } => {
                "correct `spec.source.git.url` or `spec.status.*.repository`, or let the token see the repository"
            }
            Self::NotInstalled { .. } => {
                "install the App on the repository, or on all of its owner's"
            }
            Self::UnknownCommit { .. } => "push the commit, or correct which repository is told",
            Self::TooMany { .. } => {
                "the page of the commit goes on telling; a new commit starts anew"
            }
            Self::Rejected { .. } => return None,
            Self::Conflict { .. }
            | Self::Limited { .. }
            | Self::Unavailable { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. } => "nothing to do: it is tried again",
            Self::Unreachable { .. } => {
                "check the network, the proxy and the host's certificate; it is tried again"
            }
            Self::Odd { .. } => "check that `url` is that of the forge's API",
        })
    }

    /// When the host wants to be asked again; none where it does not say.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// Whom it concerns.
    pub fn scope(&self) -> Scope {
        match self {
            Self::UnknownCommit { .. } => Scope::Commit,
            Self::TooMany { .. } | Self::Rejected { .. } => Scope::Item,
            _ => Scope::Repository,
        }
    }

    /// Whether the host may have done what was asked although it did not say so.
    pub fn leaves_open(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. }
                | Self::Broken { .. }
                | Self::Unavailable { .. }
                | Self::Odd { .. }
        )
    }

    /// Whether it passes by itself.
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. }
                | Self::Limited { .. }
                | Self::Unavailable { .. }
                | Self::Timeout { .. }
                | Self::Unreachable { .. }
                | Self::Broken { .. }
        )
    }
}

fn quoted(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!("; it says: {message}")
    }
}

fn again(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(time) if time.as_secs() >= 120 => {
            format!("; tried again in {} min", time.as_secs().div_ceil(60))
        }
        Some(time) => format!("; tried again in {} s", time.as_secs().max(1)),
        None => String::new(),
    }
}
