//! Whether an object works: its status → health and a sentence, by the rules that Argo CD and kstatus share. Pure.
//!
//! The object may be whole, or hold only the fields that OCM's agents report: what is not there counts as absent, and a
//! counter that is not there as 0. A kind that has no status works when it is there. No rule here takes an absent status for a
//! healthy one where its controller has to write one first.

use serde_json::Value;

use super::Health;
use crate::output::mailbox::feedback::is_custom;

/// Judges an object of a kind; the sentence is empty when there is nothing to say.
pub fn assess(group: &str, kind: &str, object: &Value) -> (Health, String) {
    match (group, kind) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("batch", "Job") => job(object),
        ("batch", "CronJob") => match object["spec"]["suspend"].as_bool() {
            Some(true) => (Health::Suspended, "it is suspended".into()),
            _ => healthy(),
        },
        ("", "Pod") => pod(object),
        ("", "Service") => service(object),
        ("networking.k8s.io", "Ingress") => load_balanced(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Namespace") => match text(object, "phase") {
            "Terminating" => degraded("it is being deleted on the WEC"),
            _ => healthy(),
        },
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(object),
        ("policy", "PodDisruptionBudget") => seen(object).unwrap_or_else(healthy),
        ("apiregistration.k8s.io", "APIService") => match condition(object, "Available") {
            Some(("True", _)) => healthy(),
            Some((_, message)) => progressing(message),
            None => progressing("it is not available yet"),
        },
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        (group, _) if is_custom(group) => custom(object),
        _ => healthy(),
    }
}

fn deployment(object: &Value) -> (Health, String) {
    if object["spec"]["paused"] == true {
        return (Health::Suspended, "it is paused".into());
    }
    if let Some(outdated) = seen(object) {
        return outdated;
    }
    if let Some((_, message)) =
        condition(object, "ReplicaFailure").filter(|found| found.0 == "True")
    {
        return degraded(message);
    }
    let progress = conditions(object).find(|found| found["type"] == "Progressing");
    if let Some(found) = progress.filter(|found| found["reason"] == "ProgressDeadlineExceeded") {
        return degraded(
            found["message"]
                .as_str()
                .unwrap_or("its progress deadline is exceeded"),
        );
    }
    let (wanted, updated) = (replicas(object), count(object, "updatedReplicas"));
    let (all, available) = (
        count(object, "replicas"),
        count(object, "availableReplicas"),
    );
    if updated < wanted {
        return progressing(&format!("{updated} of {wanted} replicas are updated"));
    }
    if all > updated {
        return progressing(&format!("{} old replicas are still there", all - updated));
    }
    if available < updated {
        return progressing(&format!("{available} of {updated} replicas are available"));
    }
    healthy()
}

fn stateful_set(object: &Value) -> (Health, String) {
    if let Some(outdated) = seen(object) {
        return outdated;
    }
    let (wanted, ready) = (replicas(object), count(object, "readyReplicas"));
    if ready < wanted {
        return progressing(&format!("{ready} of {wanted} replicas are ready"));
    }
    let strategy = &object["spec"]["updateStrategy"];
    if strategy["type"] == "OnDelete" {
        return healthy();
    }
    let updated = count(object, "updatedReplicas");
    if let Some(partition) = strategy["rollingUpdate"]["partition"]
        .as_i64()
        .filter(|&partition| partition > 0)
    {
        let due = (wanted - partition).max(0);
        return if updated < due {
            progressing(&format!("{updated} of {due} replicas are updated"))
        } else {
            healthy()
        };
    }
    if text(object, "currentRevision") != text(object, "updateRevision") {
        return progressing(&format!("{updated} of {wanted} replicas are updated"));
    }
    healthy()
}

fn daemon_set(object: &Value) -> (Health, String) {
    if let Some(outdated) = seen(object) {
        return outdated;
    }
    // The controller writes this number always, also when it is 0.
    if object["status"]["desiredNumberScheduled"]
        .as_i64()
        .is_none()
    {
        return progressing("it has not been scheduled yet");
    }
    let wanted = count(object, "desiredNumberScheduled");
    let updated = count(object, "updatedNumberScheduled");
    if updated < wanted && object["spec"]["updateStrategy"]["type"] != "OnDelete" {
        return progressing(&format!("{updated} of {wanted} pods are updated"));
    }
    let available = count(object, "numberAvailable");
    if available < wanted {
        return progressing(&format!("{available} of {wanted} pods are available"));
    }
    healthy()
}

fn replica_set(object: &Value) -> (Health, String) {
    if let Some(outdated) = seen(object) {
        return outdated;
    }
    if let Some((_, message)) =
        condition(object, "ReplicaFailure").filter(|found| found.0 == "True")
    {
        return degraded(message);
    }
    let (wanted, available) = (replicas(object), count(object, "availableReplicas"));
    if available < wanted {
        return progressing(&format!("{available} of {wanted} replicas are available"));
    }
    healthy()
}

fn job(object: &Value) -> (Health, String) {
    let is = |name: &str| condition(object, name).filter(|found| found.0 == "True");
    if let Some((_, message)) = is("Failed") {
        return degraded(if message.is_empty() {
            "it failed"
        } else {
            message
        });
    }
    if is("Complete").is_some() {
        return healthy();
    }
    if is("Suspended").is_some() {
        return (Health::Suspended, "it is suspended".into());
    }
    progressing("it has not completed yet")
}

fn pod(object: &Value) -> (Health, String) {
    let message = text(object, "message");
    let waiting = object["status"]["containerStatuses"].as_array();
    let waiting = waiting
        .into_iter()
        .flatten()
        .map(|status| &status["state"]["waiting"]);
    let stuck = waiting.into_iter().find(|waiting| {
        let reason = waiting["reason"].as_str().unwrap_or("");
        reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff")
    });
    if let Some(waiting) =
        stuck.filter(|_| object["spec"]["restartPolicy"].as_str().unwrap_or("Always") == "Always")
    {
        let said = waiting["message"].as_str().or(waiting["reason"].as_str());
        return degraded(said.unwrap_or("a container does not start"));
    }
    match text(object, "phase") {
        "Succeeded" => healthy(),
        "Failed" if message.is_empty() => degraded("it failed"),
        "Failed" => degraded(message),
        "Running" => match condition(object, "Ready") {
            Some(("True", _)) => healthy(),
            // A pod that runs to its end is never ready for long.
            _ if matches!(
                object["spec"]["restartPolicy"].as_str(),
                Some("OnFailure" | "Never")
            ) =>
            {
                progressing("it runs")
            }
            Some((_, message)) if !message.is_empty() => progressing(message),
            _ => progressing("it is not ready yet"),
        },
        "" => progressing("it has not been scheduled yet"),
        "Pending" => progressing("it has not started yet"),
        _ => (Health::Unknown, message.to_owned()),
    }
}

fn service(object: &Value) -> (Health, String) {
    if object["spec"]["type"] == "LoadBalancer" {
        return load_balanced(object);
    }
    healthy()
}

fn load_balanced(object: &Value) -> (Health, String) {
    let given = object["status"]["loadBalancer"]["ingress"].as_array();
    if given.is_some_and(|given| !given.is_empty()) {
        return healthy();
    }
    progressing("it has no address yet")
}

fn claim(object: &Value) -> (Health, String) {
    match text(object, "phase") {
        "Bound" => healthy(),
        "Lost" => degraded("its volume is lost"),
        _ => progressing("it has no volume yet"),
    }
}

fn autoscaler(object: &Value) -> (Health, String) {
    for found in conditions(object) {
        let is_bad = matches!(
            found["reason"].as_str().unwrap_or(""),
            "FailedGetScale"
                | "FailedUpdateScale"
                | "FailedGetResourceMetric"
                | "InvalidSelector"
                | "InvalidMetricSourceType"
        );
        if is_bad && found["status"] == "False" {
            return degraded(found["message"].as_str().unwrap_or("it cannot scale"));
        }
    }
    match condition(object, "AbleToScale") {
        Some(("True", _)) => healthy(),
        _ => progressing("it does not scale yet"),
    }
}

fn definition(object: &Value) -> (Health, String) {
    if condition(object, "Terminating").is_some_and(|found| found.0 == "True") {
        return degraded("it is being deleted on the WEC");
    }
    if let Some((_, message)) =
        condition(object, "NamesAccepted").filter(|found| found.0 == "False")
    {
        return degraded(message);
    }
    match condition(object, "Established") {
        Some(("True", _)) => healthy(),
        _ => progressing("it is not established yet"),
    }
}

/// Kinds that we know nothing of: what kstatus and Argo CD's conventions say, and one that says nothing is there, and that is all.
fn custom(object: &Value) -> (Health, String) {
    if let Some((_, message)) = condition(object, "Stalled").filter(|found| found.0 == "True") {
        return degraded(message);
    }
    if let Some(outdated) = object["status"]["observedGeneration"]
        .as_i64()
        .and_then(|_| seen(object))
    {
        return outdated;
    }
    if let Some((_, message)) = condition(object, "Reconciling").filter(|found| found.0 == "True") {
        return progressing(message);
    }
    let judging = condition(object, "Ready").or_else(|| condition(object, "Available"));
    match judging {
        Some(("True", _)) | None => healthy(),
        Some(("False", message)) => degraded(message),
        Some((_, message)) => progressing(message),
    }
}

/// An answer when the controller has not seen the object as it is.
fn seen(object: &Value) -> Option<(Health, String)> {
    let wanted = object["metadata"]["generation"].as_i64().unwrap_or(0);
    let observed = object["status"]["observedGeneration"].as_i64().unwrap_or(0);
    // Without a generation only whether it was ever seen can be told.
    (observed < wanted.max(1)).then(|| progressing("its controller has not seen it yet"))
}

/// How many replicas are asked for: Kubernetes takes 1 where nothing is written.
fn replicas(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn count(object: &Value, name: &str) -> i64 {
    object["status"][name].as_i64().unwrap_or(0)
}

fn text<'v>(object: &'v Value, name: &str) -> &'v str {
    object["status"][name].as_str().unwrap_or("")
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
}

/// Status and message of a condition.
fn condition<'v>(object: &'v Value, name: &str) -> Option<(&'v str, &'v str)> {
    let found = conditions(object).find(|found| found["type"] == name)?;
    Some((
        found["status"].as_str()?,
        found["message"].as_str().unwrap_or(""),
    ))
}

fn healthy() -> (Health, String) {
    (Health::Healthy, String::new())
}

fn progressing(message: &str) -> (Health, String) {
    (Health::Progressing, message.to_owned())
}

fn degraded(message: &str) -> (Health, String) {
    (Health::Degraded, message.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Health::{Degraded, Healthy, Progressing, Suspended};
    use super::*;

    fn check(kind: (&str, &str), cases: &[(Value, Health)]) {
        for (object, wanted) in cases {
            let (health, message) = assess(kind.0, kind.1, object);
            assert_eq!(health, *wanted, "{kind:?} {object}: {message}");
        }
    }

    fn conditions(conditions: &[(&str, &str)]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(name, status)| json!({"type": name, "status": status, "message": "because"}))
            .collect();
        json!({"status": {"conditions": conditions}})
    }

    #[test]
    fn a_deployment_is_healthy_when_all_replicas_are_new_and_available() {
        let rolled = json!({"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": {
            "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}});
        let with = |path: &str, value: Value| {
            let mut object = rolled.clone();
            *object.pointer_mut(path).unwrap() = value;
            object
        };
        let mut stuck = rolled.clone();
        stuck["status"]["conditions"] = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        let mut failing = rolled.clone();
        failing["status"]["conditions"] =
            json!([{"type": "ReplicaFailure", "status": "True", "message": "quota"}]);
        let mut paused = rolled.clone();
        paused["spec"]["paused"] = json!(true);
        check(
            ("apps", "Deployment"),
            &[
                (rolled.clone(), Healthy),
                (with("/status/observedGeneration", json!(1)), Progressing),
                (with("/status/updatedReplicas", json!(2)), Progressing),
                (with("/status/replicas", json!(4)), Progressing),
                (with("/status/availableReplicas", json!(null)), Progressing),
                (
                    json!({"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}}),
                    Healthy,
                ),
                (json!({}), Progressing),
                (stuck, Degraded),
                (failing, Degraded),
                (paused, Suspended),
            ],
        );
    }

    #[test]
    fn stateful_and_daemon_and_replica_sets_count_their_pods() {
        let set = |ready: i64, current: &str| {
            json!({"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": {"observedGeneration": 1,
                "readyReplicas": ready, "updatedReplicas": 1, "currentRevision": current, "updateRevision": "b"}})
        };
        let mut partitioned = set(2, "a");
        partitioned["spec"]["updateStrategy"] = json!({"rollingUpdate": {"partition": 1}});
        check(
            ("apps", "StatefulSet"),
            &[
                (set(2, "b"), Healthy),
                (set(1, "b"), Progressing),
                (set(2, "a"), Progressing),
                (partitioned, Healthy),
            ],
        );
        let set = |updated: i64, available: i64| {
            json!({"status": {"observedGeneration": 1, "desiredNumberScheduled": 3,
                "updatedNumberScheduled": updated, "numberAvailable": available}})
        };
        check(
            ("apps", "DaemonSet"),
            &[
                (set(3, 3), Healthy),
                (set(2, 3), Progressing),
                (set(3, 2), Progressing),
                (
                    json!({"status": {"observedGeneration": 1, "desiredNumberScheduled": 0}}),
                    Healthy,
                ),
                (json!({"status": {}}), Progressing),
            ],
        );
        check(
            ("apps", "ReplicaSet"),
            &[
                (
                    json!({"status": {"observedGeneration": 1, "availableReplicas": 1}}),
                    Healthy,
                ),
                (
                    json!({"spec": {"replicas": 2}, "status": {"observedGeneration": 1, "availableReplicas": 1}}),
                    Progressing,
                ),
            ],
        );
    }

    #[test]
    fn jobs_run_to_their_end() {
        check(
            ("batch", "Job"),
            &[
                (conditions(&[("Complete", "True")]), Healthy),
                (conditions(&[("Failed", "True")]), Degraded),
                (conditions(&[("Suspended", "True")]), Suspended),
                (json!({"status": {"active": 1}}), Progressing),
            ],
        );
        check(
            ("batch", "CronJob"),
            &[
                (json!({"spec": {}}), Healthy),
                (json!({"spec": {"suspend": true}}), Suspended),
            ],
        );
    }

    #[test]
    fn a_pod_that_cannot_start_is_degraded() {
        let waiting = |reason: &str| json!({"status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": reason}}}]}});
        let running = |ready: &str| json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
        check(
            ("", "Pod"),
            &[
                (waiting("ImagePullBackOff"), Degraded),
                (waiting("ContainerCreating"), Progressing),
                (running("True"), Healthy),
                (running("False"), Progressing),
                (json!({"status": {"phase": "Succeeded"}}), Healthy),
                (json!({"status": {"phase": "Failed"}}), Degraded),
                (json!({}), Progressing),
            ],
        );
    }

    #[test]
    fn what_waits_for_others_progresses() {
        let given = json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}});
        check(
            ("", "Service"),
            &[
                (given.clone(), Healthy),
                (
                    json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}}),
                    Progressing,
                ),
                (json!({"spec": {"type": "ClusterIP"}}), Healthy),
            ],
        );
        check(
            ("networking.k8s.io", "Ingress"),
            &[(given, Healthy), (json!({}), Progressing)],
        );
        let claim = |phase: &str| json!({"status": {"phase": phase}});
        check(
            ("", "PersistentVolumeClaim"),
            &[
                (claim("Bound"), Healthy),
                (claim("Pending"), Progressing),
                (claim("Lost"), Degraded),
            ],
        );
        let failing = json!({"status": {"conditions": [
            {"type": "AbleToScale", "status": "True"},
            {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}]}});
        check(
            ("autoscaling", "HorizontalPodAutoscaler"),
            &[
                (conditions(&[("AbleToScale", "True")]), Healthy),
                (failing, Degraded),
                (json!({}), Progressing),
            ],
        );
    }

    #[test]
    fn definitions_and_services_of_the_api_are_judged_by_their_conditions() {
        check(
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            &[
                (
                    conditions(&[("Established", "True"), ("NamesAccepted", "True")]),
                    Healthy,
                ),
                (conditions(&[("NamesAccepted", "False")]), Degraded),
                (json!({}), Progressing),
            ],
        );
        check(
            ("apiregistration.k8s.io", "APIService"),
            &[
                (conditions(&[("Available", "True")]), Healthy),
                (conditions(&[("Available", "False")]), Progressing),
            ],
        );
        check(
            ("policy", "PodDisruptionBudget"),
            &[
                (
                    json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}),
                    Healthy,
                ),
                (
                    json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}),
                    Progressing,
                ),
            ],
        );
    }

    #[test]
    fn a_custom_resource_says_itself_whether_it_is_ready() {
        let outdated = json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True"}]}});
        check(
            ("db.example.com", "Cluster"),
            &[
                (conditions(&[("Ready", "True")]), Healthy),
                (conditions(&[("Ready", "False")]), Degraded),
                (conditions(&[("Ready", "Unknown")]), Progressing),
                (conditions(&[("Available", "False")]), Degraded),
                (
                    conditions(&[("Stalled", "True"), ("Ready", "True")]),
                    Degraded,
                ),
                (
                    conditions(&[("Reconciling", "True"), ("Ready", "False")]),
                    Progressing,
                ),
                (json!({}), Healthy),
                (outdated, Progressing),
            ],
        );
        check(("", "ConfigMap"), &[(json!({}), Healthy)]);
    }
}
