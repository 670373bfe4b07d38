//! Flux: an Event, as notification-controller's `generic` and `generic-hmac` providers forward it, or as kustomize-controller sends it
//! itself (`--events-addr`). The same fields; only the metadata's keys differ, since notification-controller takes their groups off.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
};

use jiff::Timestamp;
use serde::Deserialize;

use super::{MOST_OBJECTS, Said, cluster, commit, sorted};
use crate::{
    model::{ClusterName, ObjectKey, kinds::Kinds},
    server::webhooks::parse::{Malformed, brief, read},
    status::{Evidence, Health, ObjectReport, Progress, Report},
};

/// Annotations of the object itself travel under this group.
const EVENT_GROUP: &str = "event.toolkit.fluxcd.io";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    involved_object: Involved,
    severity: String,
    timestamp: Option<Timestamp>,
    message: String,
    reason: String,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Involved {
    kind: String,
    namespace: String,
    name: String,
    #[serde(default)]
    api_version: String,
}

/// Reads an event. `wec` is what the address says; the metadata may say it instead, and must not say otherwise.
pub fn flux(wec: Option<&str>, body: &[u8]) -> Result<Said, Malformed> {
    let event: Event = read(body)?;
    if event.involved_object.kind != "Kustomization" {
        return Ok(Said::Ignored(
            "an event of something else than a Kustomization",
        ));
    }
    let named = event.metadata("cluster").or_else(|| event.metadata("wec"));
    let cluster = match (wec, named) {
        (Some(address), Some(named)) if address != named => {
            return Err(Malformed::new(format!(
                "the address says WEC {:?}, the event says {:?}",
                brief(address),
                brief(named)
            )));
        }
        (Some(name), _) | (None, Some(name)) => cluster(name)?,
        (None, None) => {
            return Err(Malformed::new(
                "nobody says which WEC it is: add it to the address, or `cluster` to the Alert's eventMetadata",
            ));
        }
    };
    let revision = event.revision();
    if revision.is_none() && named.is_none() {
        // A controller sends the events of all its Kustomizations, whosever they are.
        return Ok(Said::Ignored(
            "an event without a revision, of any Kustomization",
        ));
    }
    Ok(match event.report(cluster, revision) {
        Some(report) => Said::Reports(vec![report]),
        None => Said::Ignored("an event that says nothing about how far it got"),
    })
}

impl Event {
    /// A value of the metadata: under its own key, under the object's group, or from an annotation of the object.
    fn metadata(&self, key: &str) -> Option<&str> {
        let metadata = self.metadata.as_ref()?;
        let group = self.involved_object.api_version.split('/').next();
        let of = |group: &str| metadata.get(&format!("{group}/{key}"));
        metadata
            .get(key)
            .or_else(|| of(group?))
            .or_else(|| of(EVENT_GROUP))
            .map(String::as_str)
    }

    /// The generated commit. Where an OCI artifact carries it, `revision` is the artifact's digest and `originRevision` the commit.
    fn revision(&self) -> Option<String> {
        let keys = ["originRevision", "revision", "commit"];
        keys.into_iter().find_map(|key| commit(self.metadata(key)?))
    }

    fn report(&self, cluster: ClusterName, revision: Option<String>) -> Option<Report> {
        let (progress, health) = self.standing()?;
        let message = match health {
            Health::Healthy => String::new(),
            _ => brief(self.message.lines().next().unwrap_or_default()),
        };
        let Involved {
            namespace, name, ..
        } = &self.involved_object;
        Some(Report {
            cluster,
            reporter: brief(&format!("Kustomization {namespace}/{name}")),
            revision,
            progress,
            health,
            message,
            objects: match self.severity.as_str() {
                "error" => objects(&self.message),
                _ => Vec::new(),
            },
            evidence: Evidence::Action,
            at: self.timestamp,
        })
    }

    /// How far it got, and whether it works. The reason is that of the Kustomization's Ready condition at that moment.
    fn standing(&self) -> Option<(Progress, Health)> {
        if self.severity == "error" {
            return Some(match self.reason.as_str() {
                "HealthCheckFailed" => (Progress::Applied, Health::Degraded),
                // It will be tried again by itself; nothing was refused.
                "DependencyNotReady" | "HealthCheckCanceled" => {
                    (Progress::Delivered, Health::Progressing)
                }
                _ => (Progress::Refused, Health::Degraded),
            });
        }
        if self.severity != "info" {
            return None;
        }
        // A Kustomization that is being deleted keeps its good reason while its objects go.
        if is_list_of_changes(&self.message) {
            return Some((Progress::Delivered, Health::Progressing));
        }
        match self.reason.as_str() {
            "ReconciliationSucceeded" => Some((Progress::Applied, Health::Healthy)),
            "Progressing" | "ProgressingWithRetry"
                if self.message.starts_with("Health check passed") =>
            {
                Some((Progress::Applied, Health::Healthy))
            }
            "Progressing"
            | "ProgressingWithRetry"
            | "DependencyNotReady"
            | "HealthCheckCanceled" => Some((Progress::Delivered, Health::Progressing)),
            _ => None,
        }
    }
}

/// Lines like `Deployment/shop/web configured`, and nothing else.
fn is_list_of_changes(message: &str) -> bool {
    let mut lines = message.lines().peekable();
    lines.peek().is_some()
        && lines.all(|line| {
            line.split_once(' ').is_some_and(|(object, done)| {
                named(object).is_some()
                    && matches!(
                        done,
                        "created" | "configured" | "deleted" | "unchanged" | "skipped"
                    )
            })
        })
}

/// The objects that a message of failure names, as Flux writes them: `Deployment/shop/web status: 'Failed': why, …` after a health
/// check, `Deployment/shop/web dry-run failed: why` before applying.
fn objects(message: &str) -> Vec<ObjectReport> {
    let mut found = Vec::new();
    for (at, mark) in message.match_indices(" status: '") {
        let Some(object) = last_word(&message[..at]).and_then(named) else {
            continue;
        };
        let rest = &message[at + mark.len()..];
        let Some((status, after)) = rest.split_once('\'') else {
            continue;
        };
        let why = after.strip_prefix(": ").map(until_the_next);
        found.push(ObjectReport {
            object,
            health: health(status),
            message: brief(why.unwrap_or(status)),
        });
        if found.len() == MOST_OBJECTS {
            break;
        }
    }
    if found.is_empty()
        && let Some((before, why)) = message.split_once(" dry-run failed")
        && let Some(object) = last_word(before).and_then(named)
    {
        found.push(ObjectReport {
            object,
            health: Health::Degraded,
            message: brief(why.trim_start_matches([':', ' '])),
        });
    }
    sorted(found)
}

/// The words of kstatus. What is named in a failure and is still on its way did not arrive in time.
fn health(status: &str) -> Health {
    match status {
        "Current" => Health::Healthy,
        "Unknown" => Health::Unknown,
        _ => Health::Degraded,
    }
}

fn last_word(text: &str) -> Option<&str> {
    text.rsplit([' ', '[', ',', '\n']).next()
}

/// An error's text ends where the next object's begins, or at the list's end.
fn until_the_next(text: &str) -> &str {
    let next = text.match_indices(", ").find(|(at, separator)| {
        let rest = &text[at + separator.len()..];
        rest.split_once(" status: '")
            .is_some_and(|(word, _)| !word.contains(' ') && named(word).is_some())
    });
    let text = next.map_or(text, |(at, _)| &text[..at]);
    text.strip_suffix(']').unwrap_or(text)
}

/// `Kind/namespace/name` or `Kind/name`. Flux leaves out the group: kinds of Kubernetes itself get theirs, others stay without.
fn named(text: &str) -> Option<ObjectKey> {
    static GROUPS: LazyLock<HashMap<Arc<str>, Arc<str>>> = LazyLock::new(|| {
        let mut groups = HashMap::new();
        for kind in Kinds::builtin().iter() {
            let group = || Arc::clone(&kind.group);
            groups.entry(Arc::clone(&kind.kind)).or_insert_with(group);
        }
        groups
    });
    let mut parts = text.split('/');
    let (kind, second, third) = (parts.next()?, parts.next()?, parts.next());
    let is_kind = kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_kind || second.is_empty() || third == Some("") || parts.next().is_some() {
        return None;
    }
    let (namespace, name) = third.map_or(("", second), |name| (second, name));
    let group = GROUPS.get(kind).map(|group| &**group).unwrap_or_default();
    Some(ObjectKey::new(group, kind, namespace, name))
}
