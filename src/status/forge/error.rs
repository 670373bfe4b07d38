//! What goes wrong with a forge: an answer, or none → a [`ForgeError`] in plain words. Pure.
//!
//! Hosts say the same things differently; here it is decided once what a failure means, whom it concerns and when to try again.
//! No message holds a secret: what a host wrote is cut, cleaned, and only then passed on.

use std::time::Duration;

use thiserror::Error;

use crate::git::plain_text;
use crate::model::api::pipeline::ForgeKind;

/// The longest text of a host that is passed on.
const QUOTE: usize = 200;

/// Where a failure happened: named in every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The forge.
    pub kind: ForgeKind,
    /// The host of its API.
    pub host: String,
    /// The repository.
    pub repository: String,
}

/// What was asked of a forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The statuses of a commit.
    Read {
        /// The commit.
        sha: &'a str,
    },
    /// One more status.
    Post {
        /// The commit.
        sha: &'a str,
        /// The status's name.
        context: &'a str,
    },
    /// A check run.
    Check {
        /// The commit.
        sha: &'a str,
    },
    /// A comment on a pull request.
    Comment,
    /// A GitHub App's installation, or a token of it.
    Installation,
}

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
    #[error("{host} has no repository {repository} that this token may see: it was renamed, removed, or is not visible to it")]
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
    #[error("{host} takes no more statuses named {context} for commit {sha}: it keeps 1000 of each name")]
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

/// The part of an answer that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, in time from now.
    pub retry_after: Option<Duration>,
    /// How many requests are left, and how long until there are more.
    pub rate: Option<(u64, Duration)>,
    /// The permission that the host names as missing.
    pub accepted_permissions: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// Whether there is a page after this one, and where.
    pub next: Option<String>,
    /// The body.
    pub body: String,
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
            Self::Credential { .. } => "check the file or variable that `spec.status` names, and who may read it",
            Self::Unauthorized { .. } => {
                "put a new token where `spec.status` says; it is read again before each try"
            }
            Self::Forbidden { .. } => "give the token or the App that permission on this repository",
            Self::NotFound { .. } | Self::Moved { .. } => {
                "correct `spec.source.git.url` or `spec.status.*.repository`, or let the token see the repository"
            }
            Self::NotInstalled { .. } => "install the App on the repository, or on all of its owner's",
            Self::UnknownCommit { .. } => "push the commit, or correct which repository is told",
            Self::TooMany { .. } => "the page of the commit goes on telling; a new commit starts anew",
            Self::Rejected { .. } => return None,
            Self::Conflict { .. }
            | Self::Limited { .. }
            | Self::Unavailable { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. } => "nothing to do: it is tried again",
            Self::Unreachable { .. } => "check the network, the proxy and the host's certificate; it is tried again",
            Self::Odd { .. } => "check that `url` is that of the forge's API",
        })
    }

    /// When the host wants to be asked again; none where it does not say.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
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
            Self::Timeout { .. } | Self::Broken { .. } | Self::Unavailable { .. } | Self::Odd { .. }
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

impl Place {
    /// Says what an answer means that is no success.
    pub(super) fn failure(&self, answer: &Answer, asked: Request<'_>) -> ForgeError {
        let host = self.host.clone();
        let repository = self.repository.clone();
        let message = answer.message();
        let said = message.to_ascii_lowercase();
        match answer.status {
            301 | 302 | 303 | 307 | 308 => ForgeError::Moved {
                host,
                repository,
                target: plain_text(answer.location.as_deref().unwrap_or("nowhere"), QUOTE),
            },
            401 => ForgeError::Unauthorized { host, message },
            429 => self.limited(answer),
            403 if is_limit(answer, &said) => self.limited(answer),
            403 => ForgeError::Forbidden {
                host,
                repository,
                needs: self.needs(answer, asked),
                message,
            },
            404 if asked == Request::Installation => ForgeError::NotInstalled { repository },
            404 | 422 | 400 if names_the_commit(&said) && asked.sha().is_some() => {
                ForgeError::UnknownCommit {
                    host,
                    repository,
                    sha: asked.sha().unwrap_or_default().to_owned(),
                }
            }
            404 => ForgeError::NotFound { host, repository },
            408 => ForgeError::Timeout { host },
            409 | 423 => ForgeError::Conflict { host, message },
            422 if said.contains("maximum number of statuses") => match asked {
                Request::Post { sha, context } => ForgeError::TooMany {
                    host,
                    sha: sha.to_owned(),
                    context: context.to_owned(),
                },
                _ => self.rejected(answer, message),
            },
            400..=499 => self.rejected(answer, message),
            500..=599 => ForgeError::Unavailable {
                host,
                status: answer.status,
                retry_after: answer.retry_after,
            },
            status => ForgeError::Odd {
                host,
                problem: format!("status {status}"),
            },
        }
    }

    /// An answer whose body is not what the host documents.
    pub(super) fn odd(&self, problem: &str) -> ForgeError {
        ForgeError::Odd {
            host: self.host.clone(),
            problem: plain_text(problem, QUOTE),
        }
    }

    fn rejected(&self, answer: &Answer, message: String) -> ForgeError {
        ForgeError::Rejected {
            host: self.host.clone(),
            status: answer.status,
            message,
        }
    }

    /// `retry-after` counts; else the time at which the budget is filled up again.
    fn limited(&self, answer: &Answer) -> ForgeError {
        let reset = answer.rate.and_then(|(left, reset)| (left == 0).then_some(reset));
        ForgeError::Limited {
            host: self.host.clone(),
            retry_after: answer.retry_after.or(reset),
        }
    }

    /// The permission that is missing, in the host's own words.
    fn needs(&self, answer: &Answer, asked: Request<'_>) -> String {
        if let Some(named) = &answer.accepted_permissions {
            return format!("the permission {}", plain_text(named, QUOTE));
        }
        let needed = match (self.kind, asked) {
            (ForgeKind::GitHub, Request::Read { .. }) => "the permission Commit statuses: read",
            (ForgeKind::GitHub, Request::Post { .. }) => {
                "the permission Commit statuses: write (of a classic token: repo:status)"
            }
            (ForgeKind::GitHub, Request::Check { .. }) => "the permission Checks: write, as a GitHub App",
            (ForgeKind::GitHub, Request::Comment) => "the permission Pull requests: write",
            (ForgeKind::GitHub, Request::Installation) => "an App that is not suspended",
            (ForgeKind::GitLab, _) => "the scope api, and the role Developer (Maintainer for a protected branch)",
            (ForgeKind::Gitea, Request::Comment) => "the scope write:issue",
            (ForgeKind::Gitea, _) => "the scope write:repository, and write access to the repository",
            (ForgeKind::BitbucketCloud, Request::Comment) => "the scope pullrequest:write",
            (ForgeKind::BitbucketCloud, _) => "the scope repository:write",
            (ForgeKind::BitbucketServer, _) => "read access to the repository, and a licensed user",
        };
        needed.to_owned()
    }
}

impl Answer {
    /// Takes from the headers what matters. `now` is in seconds since 1970.
    pub(super) fn from_headers<'a>(
        status: u16,
        now: i64,
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> Self {
        let number = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(&header);
            values.find_map(|value| value.trim().parse::<i64>().ok())
        };
        let from_now = |at: i64| Duration::from_secs(u64::try_from(at - now).unwrap_or_default());
        let retry_after = header("retry-after").and_then(|value| match value.trim().parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => {
                let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
                Some(from_now(date.timestamp().as_second()))
            }
        });
        let left = number(["x-ratelimit-remaining", "ratelimit-remaining"]);
        let reset = number(["x-ratelimit-reset", "ratelimit-reset"]);
        Self {
            status,
            retry_after,
            rate: match (left.map(u64::try_from), reset) {
                (Some(Ok(left)), Some(reset)) => Some((left, from_now(reset))),
                _ => None,
            },
            accepted_permissions: header("x-accepted-github-permissions").map(str::to_owned),
            location: header("location").map(str::to_owned),
            next: header("link").and_then(next_link),
            body: String::new(),
        }
    }

    /// Whether it is a success.
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What the host says, on one line; hosts put it under different names.
    fn message(&self) -> String {
        let Ok(body) = serde_json::from_str::<serde_json::Value>(&self.body) else {
            return String::new();
        };
        let mut parts = Vec::new();
        collect_texts(&body, &mut parts);
        plain_text(&parts.join("; "), QUOTE)
    }
}

impl<'a> Request<'a> {
    fn sha(self) -> Option<&'a str> {
        match self {
            Self::Read { sha } | Self::Post { sha, .. } | Self::Check { sha } => Some(sha),
            Self::Comment | Self::Installation => None,
        }
    }
}

/// `<https://…?page=2>; rel="next", <…>; rel="last"`
fn next_link(links: &str) -> Option<String> {
    let mut each = links.split(',').map(|link| link.split(';').map(str::trim));
    each.find_map(|mut link| {
        let url = link.next()?.strip_prefix('<')?.strip_suffix('>')?;
        link.any(|part| part == "rel=\"next\"").then(|| url.to_owned())
    })
}

/// Finds the texts of an error, whatever the host wraps them in.
fn collect_texts(value: &serde_json::Value, parts: &mut Vec<String>) {
    const NAMES: [&str; 4] = ["message", "error", "error_description", "errors"];
    match value {
        serde_json::Value::String(text) if !text.is_empty() && !parts.contains(text) => {
            parts.push(text.clone());
        }
        serde_json::Value::Array(values) => {
            for value in values {
                collect_texts(value, parts);
            }
        }
        serde_json::Value::Object(fields) => {
            for value in NAMES.iter().filter_map(|name| fields.get(*name)) {
                collect_texts(value, parts);
            }
        }
        _ => {}
    }
}

/// GitHub forbids what is too much with the same status as what is never allowed.
fn is_limit(answer: &Answer, said: &str) -> bool {
    answer.retry_after.is_some()
        || answer.rate.is_some_and(|(left, _)| left == 0)
        || said.contains("rate limit")
        || said.contains("abuse detection")
}

fn names_the_commit(said: &str) -> bool {
    ["no commit found", "commit not found", "sha not found", "object does not exist", "not a valid commit"]
        .iter()
        .any(|words| said.contains(words))
        || (said.contains("commit") && said.contains("does not exist"))
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
        Some(time) if time.as_secs() >= 120 => format!("; tried again in {} min", time.as_secs().div_ceil(60)),
        Some(time) => format!("; tried again in {} s", time.as_secs().max(1)),
        None => String::new(),
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
