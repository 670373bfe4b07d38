//! What a forge says: a verified body → an [`Event`], or why it cannot be read. Pure; never panics, whatever the bytes.
//!
//! Only the fields that are needed are looked at, and nothing else of the payload is kept: lists of files and commits are incomplete
//! by each forge's own limits, and are never believed. A needed field that is missing, null or of another type is [`Malformed`].

mod bitbucket;
mod github;
mod gitlab;

use std::{fmt, marker::PhantomData};

use axum::http::HeaderMap;
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use super::verify::Forge;

/// The most changes of one push. Forges send a handful; what is above it is found by polling.
const MOST_CHANGES: usize = 10_000;

/// The longest name of a reference, and the longest address.
const LONGEST: usize = 4096;

/// What a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The forge asks whether anybody is there.
    Ping,
    /// References of a repository moved.
    Push(Push),
    /// A pull request, or merge request, was opened, changed or closed.
    PullRequest(PullRequest),
    /// Nothing that matters here, and why.
    Ignored(&'static str),
}

/// References of a repository moved. A wake-up: what is there is what a fetch finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The repository's addresses as the forge writes them: clone, ssh and page. At least one.
    pub urls: Vec<String>,
    /// What moved, in the forge's order; some forges send several.
    pub changes: Vec<RefChange>,
    /// What the forge calls this delivery; a repeated one keeps it.
    pub delivery: Option<String>,
}

/// One reference that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefChange {
    /// Its full name: `refs/heads/main`, `refs/tags/v1`.
    pub reference: String,
    /// Where it was; none when it is new, or when the forge does not say.
    pub before: Option<String>,
    /// Where it is; none when it was deleted.
    pub after: Option<String>,
}

/// A pull request, or merge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// The addresses of the repository that it is to be merged into. At least one.
    pub urls: Vec<String>,
    /// Its number there.
    pub number: u64,
    /// The newest commit of what is proposed. Bitbucket Cloud writes only its first twelve digits.
    pub head: String,
    /// The branch that is proposed, `refs/heads/…`; it may be in another repository.
    pub head_reference: String,
    /// The branch that it is to be merged into, `refs/heads/…`.
    pub base_reference: String,
    /// Whether it is still open.
    pub open: bool,
}

/// Why a body cannot be read: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl RefChange {
    /// Tells whether the reference is gone.
    pub fn deleted(&self) -> bool {
        self.after.is_none()
    }
}

impl Malformed {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Reads a body whose signature was right. Which event it is, is said by the headers.
pub fn parse(forge: Forge, headers: &HeaderMap, body: &[u8]) -> Result<Event, Malformed> {
    let event = headers.get(match forge {
        Forge::GitHub => "x-github-event",
        Forge::GitLab => "x-gitlab-event",
        Forge::Bitbucket => "x-event-key",
        Forge::Gitea if headers.contains_key("x-gitea-event") => "x-gitea-event",
        Forge::Gitea => "x-forgejo-event",
    });
    let event = event.and_then(|event| event.to_str().ok());
    let event =
        event.ok_or_else(|| Malformed::new("the header that names the event is missing"))?;
    let delivery = delivery(forge, headers).map(str::to_owned);
    match forge {
        Forge::GitHub | Forge::Gitea => github::parse(forge, event, body, delivery),
        Forge::GitLab => gitlab::parse(event, body, delivery),
        Forge::Bitbucket => bitbucket::parse(event, body, delivery),
    }
}

/// What the forge calls this delivery: the same when it is sent again.
pub fn delivery(forge: Forge, headers: &HeaderMap) -> Option<&str> {
    // Not GitLab's X-Gitlab-Event-UUID: pushes that a webhook's receiver makes carry the one of the push that woke it.
    let names: &[&str] = match forge {
        Forge::GitHub => &["x-github-delivery"],
        Forge::GitLab => &["idempotency-key", "webhook-id"],
        Forge::Gitea => &["x-gitea-delivery", "x-forgejo-delivery"],
        Forge::Bitbucket => &["x-request-uuid", "x-request-id"],
    };
    names
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())
        .filter(|delivery| !delivery.is_empty())
}

/// Reads the fields that are needed. The reason names the place, and no more of the payload than one value.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|error| Malformed::new(brief(&error.to_string())))
}

/// A list that may not grow beyond what is sensible: a few bytes of JSON can stand for a large value.
fn changes<'de, D: Deserializer<'de>, T: Deserialize<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    struct Changes<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Changes<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list of at most {MOST_CHANGES} changes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut changes = Vec::new();
            while let Some(change) = list.next_element()? {
                if changes.len() == MOST_CHANGES {
                    return Err(A::Error::invalid_length(MOST_CHANGES + 1, &self));
                }
                changes.push(change);
            }
            Ok(changes)
        }
    }

    list.deserialize_seq(Changes(PhantomData))
}

/// One line of a text from outside, cut to what a log can bear.
pub(super) fn brief(text: &str) -> String {
    const MOST: usize = 300;
    let mut line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(MOST)
        .collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

/// The addresses that are there; none at all is a mistake, since nobody could be woken.
fn addresses<'a>(
    given: impl IntoIterator<Item = Option<&'a str>>,
) -> Result<Vec<String>, Malformed> {
    let mut urls: Vec<String> = Vec::new();
    for url in given.into_iter().flatten() {
        if !url.is_empty() && url.len() <= LONGEST && !urls.iter().any(|known| known == url) {
            urls.push(url.to_owned());
        }
    }
    if urls.is_empty() {
        return Err(Malformed::new("the repository has no address"));
    }
    Ok(urls)
}

fn push(urls: Vec<String>, changes: Vec<RefChange>, delivery: Option<String>) -> Event {
    if changes.is_empty() {
        return Event::Ignored("a push that moves nothing");
    }
    Event::Push(Push {
        urls,
        changes,
        delivery,
    })
}

/// One reference that moved; forges write an id of zeros for what is not there.
fn change(
    reference: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<RefChange, Malformed> {
    let id = |id: Option<&str>| id.map(commit).transpose().map(Option::flatten);
    Ok(RefChange {
        reference: full_name(reference)?,
        before: id(before)?,
        after: id(after)?,
    })
}

fn full_name(reference: &str) -> Result<String, Malformed> {
    let usable = reference.starts_with("refs/")
        && reference.len() <= LONGEST
        && !reference.chars().any(char::is_control);
    if !usable {
        return Err(Malformed::new(format!(
            "{:?} is no full name of a reference",
            brief(reference)
        )));
    }
    Ok(reference.to_owned())
}

fn branch(name: &str) -> Result<String, Malformed> {
    full_name(&format!("refs/heads/{name}"))
}

/// A commit's id; none for zeros.
fn commit(id: &str) -> Result<Option<String>, Malformed> {
    let usable = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !usable {
        return Err(Malformed::new(format!("{:?} is no commit id", brief(id))));
    }
    let absent = id.bytes().all(|byte| byte == b'0');
    Ok((!absent).then(|| id.to_ascii_lowercase()))
}

/// The newest commit of a pull request, which may be abbreviated.
fn head(id: &str) -> Result<String, Malformed> {
    let usable = (7..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !usable {
        return Err(Malformed::new(format!("{:?} is no commit id", brief(id))));
    }
    Ok(id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
