//! What the WECs say of their mailboxes: ManifestWorks and `WorkStatus` objects as they are seen → one report for each WEC.
//!
//! ```text
//! ManifestWork: conditions, feedback ──┐
//! WorkStatus: an object's own status ──┴─▶ Mailbox (per WEC) ─▶ Report, of the revision that its works are
//! ```
//!
//! This file is pure; [`watch`] is the adapter. A report speaks of the digest over all works of a WEC, so that what is said
//! while some of them are still the old ones counts for neither state.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Evidence, Health, ObjectReport, Progress, Report, health};
use crate::model::api::manifest_work::{ManifestStatus, WorkCondition};
use crate::model::api::{ManifestWork, WorkStatus};
use crate::model::{ClusterName, ObjectKey};
use crate::output::mailbox::{DIGEST, feedback, layout};

pub mod watch;

/// All that is seen of one pipeline's mailboxes.
#[derive(Clone, Debug, Default)]
pub struct Mailboxes(BTreeMap<ClusterName, Mailbox>);

/// What is seen of one WEC's mailbox.
#[derive(Clone, Debug, Default)]
struct Mailbox {
    works: BTreeMap<String, Seen>,
    /// Objects' own statuses, by the name of their `WorkStatus`.
    statuses: BTreeMap<String, (ObjectKey, Value)>,
}

/// One work, in as far as it is reported.
#[derive(Clone, Debug)]
struct Seen {
    digest: String,
    /// How far the WEC got with the work as it is now.
    progress: Progress,
    message: String,
    /// Objects with what is said of them; those of which there is nothing to say are left out.
    objects: BTreeMap<ObjectKey, (Health, String)>,
    /// The worst of all its objects, the silent ones included.
    health: Health,
    /// The objects that are judged by their own status once it is seen.
    live: BTreeMap<ObjectKey, Value>,
}

impl Mailboxes {
    /// Takes in a work as it is now; gives the WEC.
    pub fn see(&mut self, work: &ManifestWork) -> Option<ClusterName> {
        let cluster: ClusterName = work.metadata.namespace.as_deref()?.into();
        let name = work.metadata.name.clone()?;
        let works = &mut self.0.entry(cluster.clone()).or_default().works;
        works.insert(name, seen(work));
        Some(cluster)
    }

    /// Takes in that a work is gone; gives the WEC.
    pub fn forget(&mut self, work: &ManifestWork) -> Option<ClusterName> {
        let cluster: ClusterName = work.metadata.namespace.as_deref()?.into();
        self.0
            .get_mut(&cluster)?
            .works
            .remove(work.metadata.name.as_deref()?);
        Some(cluster)
    }

    /// Takes in an object's own status; gives the WEC.
    pub fn see_status(&mut self, status: &WorkStatus) -> Option<ClusterName> {
        let cluster: ClusterName = status.metadata.namespace.as_deref()?.into();
        let source = &status.spec.source_ref;
        let key = ObjectKey::new(&source.group, &source.kind, &source.namespace, &source.name);
        let statuses = &mut self.0.entry(cluster.clone()).or_default().statuses;
        statuses.insert(status.metadata.name.clone()?, (key, status.status.clone()));
        Some(cluster)
    }

    /// Takes in that an object's status is gone; gives the WEC.
    pub fn forget_status(&mut self, status: &WorkStatus) -> Option<ClusterName> {
        let cluster: ClusterName = status.metadata.namespace.as_deref()?.into();
        self.0
            .get_mut(&cluster)?
            .statuses
            .remove(status.metadata.name.as_deref()?);
        Some(cluster)
    }

    /// Takes in all works that there are; gives those that are gone, by WEC and name.
    pub fn replace(&mut self, works: &[ManifestWork]) -> Vec<(ClusterName, String)> {
        let mut gone = BTreeSet::new();
        for (cluster, mailbox) in &mut self.0 {
            let names = std::mem::take(&mut mailbox.works).into_keys();
            gone.extend(names.map(|name| (cluster.clone(), name)));
        }
        for work in works {
            if let (Some(cluster), Some(name)) = (self.see(work), &work.metadata.name) {
                gone.remove(&(cluster, name.clone()));
            }
        }
        gone.into_iter().collect()
    }

    /// Takes in all statuses that there are.
    pub fn replace_statuses(&mut self, statuses: &[WorkStatus]) {
        for mailbox in self.0.values_mut() {
            mailbox.statuses.clear();
        }
        for status in statuses {
            self.see_status(status);
        }
    }

    /// The WECs of which something was seen.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterName> {
        self.0.keys()
    }

    /// What a WEC says.
    pub fn report(&self, cluster: &ClusterName) -> Option<Report> {
        let mailbox = self.0.get(cluster)?;
        let digests = mailbox
            .works
            .iter()
            .map(|(name, work)| (name.clone(), work.digest.clone()));
        let statuses: BTreeMap<&ObjectKey, &Value> = mailbox
            .statuses
            .values()
            .map(|(key, status)| (key, status))
            .collect();
        let mut report = Report {
            cluster: cluster.clone(),
            reporter: format!("mailbox {cluster}"),
            revision: Some(layout::revision(digests)),
            progress: Progress::Applied,
            health: Health::Healthy,
            message: String::new(),
            objects: Vec::new(),
            evidence: Evidence::Action,
            at: None,
        };
        for (name, work) in &mailbox.works {
            work.add_to(&mut report, name, &statuses);
        }
        report.objects.sort();
        if let Some(worst) = report.objects.iter().max_by_key(|object| object.health)
            && report.message.is_empty()
            && worst.health > Health::Healthy
        {
            report.message = format!("{}: {}", worst.object, worst.message);
        }
        Some(report)
    }
}

impl Seen {
    fn add_to(&self, report: &mut Report, name: &str, statuses: &BTreeMap<&ObjectKey, &Value>) {
        report.progress = match (report.progress, self.progress) {
            (Progress::Refused, _) | (_, Progress::Refused) => Progress::Refused,
            (Progress::Delivered, _) | (_, Progress::Delivered) => Progress::Delivered,
            _ => Progress::Applied,
        };
        if report.message.is_empty() && !self.message.is_empty() {
            report.message = format!("ManifestWork {name}: {}", self.message);
        }
        report.health = report.health.max(self.health);
        let mut objects = self.objects.clone();
        for (key, known) in &self.live {
            let mut object = known.clone();
            if let Some(&status) = statuses.get(key) {
                object["status"] = status.clone();
            }
            let judged = health::assess(&key.group, &key.kind, &object);
            report.health = report.health.max(judged.0);
            if judged.0 != Health::Healthy {
                objects.insert(key.clone(), judged);
            }
        }
        let said = objects
            .into_iter()
            .map(|(object, (health, message))| ObjectReport {
                object,
                health,
                message,
            });
        report.objects.extend(said);
    }
}

fn seen(work: &ManifestWork) -> Seen {
    let generation = work.metadata.generation.unwrap_or(0);
    let annotations = work.metadata.annotations.as_ref();
    let digest = annotations.and_then(|annotations| annotations.get(DIGEST));
    let applied = find(&work.status.conditions, "Applied");
    // What is said of an older state of the work counts for nothing.
    let applied = applied.filter(|found| found.observed_generation == generation);
    let mut seen = Seen {
        digest: digest.cloned().unwrap_or_default(),
        progress: match applied.map(|found| found.status.as_str()) {
            Some("True") => Progress::Applied,
            Some("False") => Progress::Refused,
            _ => Progress::Delivered,
        },
        message: String::new(),
        objects: BTreeMap::new(),
        health: Health::Healthy,
        live: BTreeMap::new(),
    };
    if seen.progress == Progress::Delivered {
        seen.health = Health::Unknown;
        "the WEC has not applied it yet".clone_into(&mut seen.message);
        return seen;
    }
    for manifest in &work.status.resource_status.manifests {
        seen.take(manifest, generation);
    }
    if seen.progress == Progress::Refused && seen.objects.is_empty() {
        seen.message = applied
            .map(|found| found.message.clone())
            .unwrap_or_default();
    }
    seen
}

impl Seen {
    fn take(&mut self, manifest: &ManifestStatus, generation: i64) {
        let meta = &manifest.resource_meta;
        let kind = if meta.kind.is_empty() {
            "Object"
        } else {
            &meta.kind
        };
        let key = ObjectKey::new(&meta.group, kind, &meta.namespace, &meta.name);
        let mut say = |health: Health, message: String| {
            self.health = self.health.max(health);
            self.objects.insert(key.clone(), (health, message));
        };
        match find(&manifest.conditions, "Applied") {
            Some(found) if found.status == "False" => {
                return say(
                    Health::Degraded,
                    format!("the WEC refuses it: {}", cause(&found.message)),
                );
            }
            Some(found)
                if found.observed_generation == generation || found.observed_generation == 0 => {}
            _ => return say(Health::Progressing, "the WEC has not applied it yet".into()),
        }
        match find(&manifest.conditions, "Available") {
            Some(found) if found.status == "False" => {
                return say(
                    Health::Degraded,
                    format!("it is not on the WEC: {}", found.message),
                );
            }
            Some(found) if found.status == "True" => {}
            _ => {
                return say(
                    Health::Progressing,
                    "the agent has not looked after it yet".into(),
                );
            }
        }
        if feedback::fields(&meta.group, &meta.kind).is_empty() {
            return;
        }
        // The fields come later than the word that the object is there.
        if find(&manifest.conditions, "StatusFeedbackSynced").is_none() {
            return say(
                Health::Progressing,
                "the agent has not read its status yet".into(),
            );
        }
        let values = manifest.status_feedback.values.iter();
        let values =
            values.filter_map(|value| Some((value.name.clone(), value.field_value.value()?)));
        self.live.insert(key, feedback::object(values));
    }
}

/// The cause that an agent names at the end of its sentence.
fn cause(message: &str) -> &str {
    message
        .split_once("Failed to apply manifest: ")
        .map_or(message, |(_, cause)| cause)
}

fn find<'c>(conditions: &'c [WorkCondition], name: &str) -> Option<&'c WorkCondition> {
    conditions.iter().find(|condition| condition.name == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn work(name: &str, digest: &str, observed: i64, manifests: &Value) -> ManifestWork {
        let refused = manifests
            .to_string()
            .contains("\"Applied\",\"status\":\"False\"")
            || manifests
                .to_string()
                .contains("\"status\":\"False\",\"type\":\"Applied\"");
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "berlin", "generation": 2, "annotations": {DIGEST: digest}},
            "status": {
                "conditions": [{"type": "Applied", "status": if refused { "False" } else { "True" }, "observedGeneration": observed}],
                "resourceStatus": {"manifests": manifests},
            },
        }))
        .unwrap()
    }

    fn manifest(kind: &str, name: &str, applied: &str, values: &Value) -> Value {
        let group = if kind == "Deployment" { "apps" } else { "" };
        json!({
            "resourceMeta": {"group": group, "kind": kind, "namespace": "shop", "name": name},
            "conditions": [
                {"type": "Applied", "status": applied, "observedGeneration": 2, "message": "Failed to apply manifest: no such field"},
                {"type": "Available", "status": "True"},
                {"type": "StatusFeedbackSynced", "status": "True"},
            ],
            "statusFeedback": {"values": values},
        })
    }

    fn number(name: &str, value: i64) -> Value {
        json!({"name": name, "fieldValue": {"type": "Integer", "integer": value}})
    }

    fn report(works: &[ManifestWork]) -> Report {
        let mut mailboxes = Mailboxes::default();
        for work in works {
            mailboxes.see(work);
        }
        mailboxes.report(&"berlin".into()).unwrap()
    }

    fn rolled(available: i64) -> Value {
        json!([
            number("metadata.generation", 1),
            number("status.observedGeneration", 1),
            number("spec.replicas", 2),
            number("status.replicas", 2),
            number("status.updatedReplicas", 2),
            number("status.availableReplicas", available),
        ])
    }

    #[test]
    fn a_wec_is_healthy_when_all_its_works_are_applied_and_all_objects_work() {
        let first = work(
            "shop.first",
            "a",
            2,
            &json!([manifest("Namespace", "shop", "True", &json!([]))]),
        );
        let rest = work(
            "shop.rest",
            "b",
            2,
            &json!([manifest("Deployment", "web", "True", &rolled(2))]),
        );
        let report = report(&[first, rest]);
        assert_eq!(
            (report.progress, report.health),
            (Progress::Applied, Health::Healthy),
            "{report:?}"
        );
        let works = [("shop.first", "a"), ("shop.rest", "b")]
            .map(|(name, digest)| (name.to_owned(), digest.to_owned()));
        assert_eq!(report.revision, Some(layout::revision(works.into_iter())));
        assert_eq!(report.objects, []);
    }

    #[test]
    fn what_was_said_of_an_older_state_of_a_work_does_not_count() {
        let report = report(&[work(
            "shop.rest",
            "b",
            1,
            &json!([manifest("Deployment", "web", "True", &rolled(2))]),
        )]);
        assert_eq!(
            (report.progress, report.health),
            (Progress::Delivered, Health::Unknown)
        );
        assert_eq!(
            report.message,
            "ManifestWork shop.rest: the WEC has not applied it yet"
        );
    }

    #[test]
    fn an_object_that_the_wec_refuses_is_named_with_the_reason() {
        let manifests = json!([
            manifest("ConfigMap", "fine", "True", &json!([])),
            manifest("ConfigMap", "odd", "False", &json!([])),
        ]);
        let report = report(&[work("shop.rest", "b", 2, &manifests)]);
        assert_eq!(
            (report.progress, report.health),
            (Progress::Refused, Health::Degraded)
        );
        assert_eq!(
            report.message,
            "ConfigMap shop/odd: the WEC refuses it: no such field"
        );
        assert_eq!(report.objects.len(), 1);
    }

    #[test]
    fn an_objects_own_status_goes_before_the_fields_that_were_asked_for() {
        let mut mailboxes = Mailboxes::default();
        mailboxes.see(&work(
            "shop.rest",
            "b",
            2,
            &json!([manifest("Deployment", "web", "True", &rolled(1))]),
        ));
        let berlin = ClusterName::from("berlin");
        let before = mailboxes.report(&berlin).unwrap();
        assert_eq!(before.health, Health::Progressing);
        assert_eq!(
            before.message,
            "Deployment.apps shop/web: 1 of 2 replicas are available"
        );
        let status: WorkStatus = serde_json::from_value(json!({
            "metadata": {"name": "x-apps-v1-deployment-shop-web", "namespace": "berlin"},
            "spec": {"sourceRef": {"group": "apps", "version": "v1", "resource": "deployments", "kind": "Deployment",
                "namespace": "shop", "name": "web"}},
            "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
        }))
        .unwrap();
        mailboxes.see_status(&status);
        assert_eq!(mailboxes.report(&berlin).unwrap().health, Health::Healthy);
        mailboxes.forget_status(&status);
        assert_eq!(
            mailboxes.report(&berlin).unwrap().health,
            Health::Progressing
        );
    }
}
