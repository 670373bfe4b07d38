//! What the agents of WECs say: a verified body → [`Report`]s, or why it cannot be read. Pure; never panics, whatever the bytes.
//!
//! | sender | body | the WEC is told by |
//! |---|---|---|
//! | Flux | its Event | the address, or `cluster` or `wec` in the event's metadata |
//! | Argo CD | the template of `argocd/notifications.yaml` | the Application's path, `clusters/WEC` |

mod argocd;
mod flux;

pub use argocd::argocd;
pub use flux::flux;

use super::parse::{Malformed, brief};
use crate::{
    model::{
        ClusterName,
        names::{NameRule, validate_name},
    },
    status::{ObjectReport, Report},
};

/// The most objects that one report names.
const MOST_OBJECTS: usize = 1000;

/// What an agent's request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Something about a WEC.
    Reports(Vec<Report>),
    /// Nothing that matters here, and why.
    Ignored(&'static str),
}

/// The WEC's name, which becomes part of paths and contexts.
fn cluster(name: &str) -> Result<ClusterName, Malformed> {
    match validate_name(NameRule::Label, name) {
        Ok(()) => Ok(ClusterName::new(name)),
        Err(_) => Err(Malformed::new(format!(
            "{:?} is no name of a WEC",
            brief(name)
        ))),
    }
}

/// Sorted by key; of several words on one object the first stays.
fn sorted(mut objects: Vec<ObjectReport>) -> Vec<ObjectReport> {
    objects.sort_by(|left, right| left.object.cmp(&right.object));
    objects.dedup_by(|later, earlier| later.object == earlier.object);
    objects
}

/// The commit in a revision as Flux writes it: `main@sha1:ID`, `sha1:ID`, `main/ID` or `ID`.
fn commit(revision: &str) -> Option<String> {
    let id = revision.rsplit(['/', ':', '@']).next()?;
    let usable = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    usable.then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
