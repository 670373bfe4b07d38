//! What a forge answers → what it means. Pure.
//!
//! Hosts say the same things differently; here it is decided once. No message holds a secret: what a host wrote is cut, cleaned, and only
//! then passed on.

use std::time::Duration;

use super::error::ForgeError;
use crate::git::{Secret, plain_text};
use crate::model::api::pipeline::ForgeKind;

/// The longest text of a host that is passed on.
const QUOTE: usize = 200;

/// Where a failure happened: named in every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The forge.
    pub kind: ForgeKind,
    /// The host of its API.
    pub host: String,
    /// The repository.
    pub repository: String,
}

/// What was asked of a forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
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

/// The part of an answer that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
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

impl Place {
    /// Says what an answer means that is no success.
    pub(super) fn failure(&self, answer: &Answer, asked: Request<'_>) -> ForgeError {
        let host = self.host.clone();
        let repository = self.repository.clone();
        let message = answer.message();
        let said = message.to_ascii_lowercase();
        match answer.status {
            301 | 302 | 303 | 307 | 308 => self.moved(answer),
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

    /// Names the repository that took its place, where the address says it; GitHub's holds a number.
    fn moved(&self, answer: &Answer) -> ForgeError {
        let location = answer.location.as_deref();
        // Bitbucket's own server names a project before the repository.
        let names = self.kind != ForgeKind::BitbucketServer;
        let named = location.filter(|_| names).and_then(named_repository);
        let target = match named {
            Some(named) if named != self.repository => format!("{named}: change git.url"),
            _ => location.unwrap_or("nowhere").to_owned(),
        };
        ForgeError::Moved {
            host: self.host.clone(),
            repository: self.repository.clone(),
            target: plain_text(&target, QUOTE),
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
        let reset = answer
            .rate
            .and_then(|(left, reset)| (left == 0).then_some(reset));
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
            (ForgeKind::GitHub, Request::Check { .. }) => {
                "the permission Checks: write, as a GitHub App"
            }
            (ForgeKind::GitHub, Request::Comment) => "the permission Pull requests: write",
            (ForgeKind::GitHub, Request::Installation) => "an App that is not suspended",
            (ForgeKind::GitLab, _) => {
                "the scope api, and the role Developer (Maintainer for a protected branch)"
            }
            (ForgeKind::Gitea, Request::Comment) => "the scope write:issue",
            (ForgeKind::Gitea, _) => {
                "the scope write:repository, and write access to the repository"
            }
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
        let retry_after = header("retry-after").and_then(|value| {
            if let Ok(seconds) = value.trim().parse() {
                return Some(Duration::from_secs(seconds));
            }
            let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
            Some(from_now(date.timestamp().as_second()))
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

    /// Takes a token out of an answer that repeats it.
    pub(super) fn forget(&mut self, token: &Secret) {
        let texts = [
            Some(&mut self.body),
            self.location.as_mut(),
            self.accepted_permissions.as_mut(),
        ];
        for text in texts.into_iter().flatten() {
            if text.contains(token.expose()) {
                *text = text.replace(token.expose(), "***");
            }
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
        link.any(|part| part == "rel=\"next\"")
            .then(|| url.to_owned())
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

/// Owner and name in an address of an API: `…/repos/acme/shop/…`, `…/repositories/acme/shop/…`.
fn named_repository(location: &str) -> Option<String> {
    let path = location.split(['?', '#']).next().unwrap_or(location);
    let mut parts = path
        .split('/')
        .skip_while(|part| !matches!(*part, "repos" | "repositories"));
    let (_, owner, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = owner.bytes().all(|byte| byte.is_ascii_digit());
    (!is_number && !name.is_empty()).then(|| format!("{owner}/{name}"))
}

/// GitHub forbids what is too much with the same status as what is never allowed.
fn is_limit(answer: &Answer, said: &str) -> bool {
    answer.retry_after.is_some()
        || answer.rate.is_some_and(|(left, _)| left == 0)
        || said.contains("rate limit")
        || said.contains("abuse detection")
}

fn names_the_commit(said: &str) -> bool {
    [
        "no commit found",
        "commit not found",
        "sha not found",
        "object does not exist",
        "not a valid commit",
    ]
    .iter()
    .any(|words| said.contains(words))
        || (said.contains("commit") && said.contains("does not exist"))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
