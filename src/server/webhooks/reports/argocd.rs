//! Argo CD: what the template in `argocd/notifications.yaml` makes of an Application's status.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::{MOST_OBJECTS, Said, cluster, commit, sorted};
use crate::{
    model::ObjectKey,
    server::webhooks::parse::{Malformed, brief, read},
    status::{Evidence, Health, ObjectReport, Progress, Report},
};

#[derive(Deserialize)]
struct Application {
    namespace: String,
    name: String,
    /// The folder it follows, `clusters/WEC`.
    path: String,
    /// The commit that it was last compared with.
    revision: Option<String>,
    /// `Synced`, `OutOfSync` or `Unknown`.
    sync: Option<String>,
    /// Healthy, Progressing, Degraded, Suspended, Missing or Unknown.
    health: Option<String>,
    operation: Option<Operation>,
    conditions: Option<Vec<Condition>>,
    #[serde(default)]
    resources: Resources,
    at: Option<Timestamp>,
}

/// The last attempt to sync.
#[derive(Deserialize)]
struct Operation {
    /// Running, Succeeded, Failed, Error or Terminating.
    phase: Option<String>,
    message: Option<String>,
    revision: Option<String>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    message: Option<String>,
}

/// The resources that there is something to say about: the others are not even kept while reading.
#[derive(Default)]
struct Resources(Vec<ObjectReport>);

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    kind: String,
    #[serde(default)]
    namespace: String,
    name: String,
    health: Option<ResourceHealth>,
}

#[derive(Deserialize)]
struct ResourceHealth {
    status: Option<String>,
    message: Option<String>,
}

/// Reads what an Application says of itself.
pub fn argocd(body: &[u8]) -> Result<Said, Malformed> {
    let application: Application = read(body)?;
    let folder = application.path.trim_end_matches('/');
    let name = match folder.rsplit_once('/') {
        Some((parent, name)) if parent.rsplit('/').next() == Some("clusters") => name,
        _ => {
            return Err(Malformed::new(format!(
                "the path {:?} is no folder of a WEC (clusters/WEC)",
                brief(&application.path)
            )));
        }
    };
    let cluster = cluster(name)?;
    let (progress, health) = application.standing();
    let message = match health {
        Health::Healthy if progress == Progress::Applied => String::new(),
        _ => application.message(progress),
    };
    let evidence = Evidence::Comparison {
        applied: application.applied(),
    };
    Ok(Said::Reports(vec![Report {
        cluster,
        reporter: brief(&format!(
            "Application {}/{}",
            application.namespace, application.name
        )),
        revision: application.revision.as_deref().and_then(commit),
        progress,
        health,
        message,
        objects: sorted(application.resources.0),
        evidence,
        at: application.at,
    }]))
}

impl Application {
    fn standing(&self) -> (Progress, Health) {
        let synced = self.sync.as_deref() == Some("Synced");
        let phase = self.operation.as_ref().and_then(|operation| {
            // What an earlier commit's operation came to says nothing of this one.
            let of_this = operation.revision.is_none() || operation.revision == self.revision;
            operation.phase.as_deref().filter(|_| of_this)
        });
        let refused = matches!(phase, Some("Failed" | "Error")) || self.error().is_some();
        let progress = match synced {
            _ if refused => Progress::Refused,
            true => Progress::Applied,
            false => Progress::Delivered,
        };
        let health = match self.health.as_deref() {
            Some("Missing") if !synced => Health::Progressing,
            Some(word) => health(word),
            None => Health::Unknown,
        };
        match (phase, health) {
            // Hooks, or objects that are waited for.
            (Some("Running"), Health::Healthy) => (progress, Health::Progressing),
            _ => (progress, health),
        }
    }

    /// The commit that it applied last, when that came to a good end.
    fn applied(&self) -> Option<String> {
        let operation = self.operation.as_ref()?;
        let succeeded = operation.phase.as_deref() == Some("Succeeded");
        operation
            .revision
            .as_deref()
            .filter(|_| succeeded)
            .and_then(commit)
    }

    /// The condition that keeps it from syncing.
    fn error(&self) -> Option<&Condition> {
        let mut conditions = self.conditions.iter().flatten();
        conditions.find(|condition| condition.kind.ends_with("Error"))
    }

    fn message(&self, progress: Progress) -> String {
        let refusal = || self.error()?.message.as_deref();
        let operation = || self.operation.as_ref()?.message.as_deref();
        let message = match progress {
            Progress::Refused => refusal().or_else(operation),
            Progress::Delivered => operation(),
            Progress::Applied => None,
        };
        if let Some(message) = message.filter(|message| !message.is_empty()) {
            return brief(message);
        }
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "Unknown".to_owned());
        brief(&format!("{}, {}", word(&self.sync), word(&self.health)))
    }
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Resources;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of resources")
            }

            fn visit_unit<E>(self) -> Result<Resources, E> {
                Ok(Resources::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Resources, A::Error> {
                let mut kept = Vec::new();
                while let Some(resource) = list.next_element::<Resource>()? {
                    if kept.len() < MOST_OBJECTS {
                        kept.extend(resource.report());
                    }
                }
                Ok(Resources(kept))
            }
        }

        deserializer.deserialize_any(List)
    }
}

impl Resource {
    fn report(self) -> Option<ObjectReport> {
        let ResourceHealth { status, message } = self.health?;
        let health = health(status.as_deref()?);
        (health != Health::Healthy).then(|| ObjectReport {
            object: ObjectKey::new(&self.group, &self.kind, &self.namespace, &self.name),
            health,
            message: brief(&message.unwrap_or_default()),
        })
    }
}

fn health(word: &str) -> Health {
    match word {
        "Healthy" => Health::Healthy,
        "Progressing" => Health::Progressing,
        "Suspended" => Health::Suspended,
        "Degraded" | "Missing" => Health::Degraded,
        _ => Health::Unknown,
    }
}
