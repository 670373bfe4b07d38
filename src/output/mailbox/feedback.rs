//! What OCM's agent is asked to report of each object: its kind → the fields that tell its health, and back.
//!
//! A field is named by its path: `status.readyReplicas`, `status.loadBalancer.ingress.*.ip` for the first of a list,
//! `conditions.Ready.status` for a condition. An agent reports numbers, truth values and text only, so a whole status cannot be
//! asked for. What is not there is not reported.

use serde_json::{Map, Value, json};

/// The fields that tell the health of objects of a kind; none where being there is all there is to it.
///
/// These are the fields that `status::health` looks at. OCM's well-known fields are too few: they lack `observedGeneration`.
pub fn fields(group: &str, kind: &str) -> &'static [&'static str] {
    match (group, kind) {
        ("apps", "Deployment") => &[
            "metadata.generation",
            "spec.replicas",
            "spec.paused",
            "status.observedGeneration",
            "status.replicas",
            "status.updatedReplicas",
            "status.readyReplicas",
            "status.availableReplicas",
            "conditions.Progressing.reason",
            "conditions.Progressing.message",
            "conditions.ReplicaFailure.status",
            "conditions.ReplicaFailure.message",
        ],
        ("apps", "StatefulSet") => &[
            "metadata.generation",
            "spec.replicas",
            "spec.updateStrategy.type",
            "spec.updateStrategy.rollingUpdate.partition",
            "status.observedGeneration",
            "status.replicas",
            "status.readyReplicas",
            "status.updatedReplicas",
            "status.currentRevision",
            "status.updateRevision",
        ],
        ("apps", "DaemonSet") => &[
            "metadata.generation",
            "spec.updateStrategy.type",
            "status.observedGeneration",
            "status.desiredNumberScheduled",
            "status.updatedNumberScheduled",
            "status.numberAvailable",
        ],
        ("apps", "ReplicaSet") => &[
            "metadata.generation",
            "spec.replicas",
            "status.observedGeneration",
            "status.availableReplicas",
            "conditions.ReplicaFailure.status",
            "conditions.ReplicaFailure.message",
        ],
        ("batch", "Job") => &[
            "conditions.Complete.status",
            "conditions.Failed.status",
            "conditions.Failed.message",
            "conditions.Suspended.status",
        ],
        ("batch", "CronJob") => &["spec.suspend"],
        ("", "Pod") => &[
            "spec.restartPolicy",
            "status.phase",
            "status.reason",
            "status.message",
            "status.containerStatuses.*.state.waiting.reason",
            "status.containerStatuses.*.state.waiting.message",
            "conditions.Ready.status",
            "conditions.Ready.message",
        ],
        ("", "Service") => &[
            "spec.type",
            "status.loadBalancer.ingress.*.ip",
            "status.loadBalancer.ingress.*.hostname",
        ],
        ("networking.k8s.io", "Ingress") => &[
            "status.loadBalancer.ingress.*.ip",
            "status.loadBalancer.ingress.*.hostname",
        ],
        ("", "PersistentVolumeClaim" | "Namespace") => &["status.phase"],
        ("autoscaling", "HorizontalPodAutoscaler") => &[
            "conditions.AbleToScale.status",
            "conditions.AbleToScale.reason",
            "conditions.AbleToScale.message",
            "conditions.ScalingActive.status",
            "conditions.ScalingActive.reason",
            "conditions.ScalingActive.message",
        ],
        ("policy", "PodDisruptionBudget") => &["metadata.generation", "status.observedGeneration"],
        ("apiregistration.k8s.io", "APIService") => &[
            "conditions.Available.status",
            "conditions.Available.message",
        ],
        ("apiextensions.k8s.io", "CustomResourceDefinition") => &[
            "conditions.Established.status",
            "conditions.NamesAccepted.status",
            "conditions.NamesAccepted.message",
            "conditions.Terminating.status",
        ],
        (group, _) if is_custom(group) => &[
            "metadata.generation",
            "status.observedGeneration",
            "conditions.Ready.status",
            "conditions.Ready.reason",
            "conditions.Ready.message",
            "conditions.Available.status",
            "conditions.Available.message",
            "conditions.Stalled.status",
            "conditions.Stalled.message",
            "conditions.Reconciling.status",
        ],
        _ => &[],
    }
}

/// Tells whether a group is none of Kubernetes' own.
pub fn is_custom(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// Gives the rules of a work's settings for objects of a kind; none where nothing is asked for.
pub(super) fn rules(group: &str, kind: &str) -> Option<Value> {
    let fields = fields(group, kind);
    let paths: Vec<Value> = fields
        .iter()
        .map(|field| json!({"name": field, "path": path(field)}))
        .collect();
    (!paths.is_empty()).then(|| json!([{"type": "JSONPaths", "jsonPaths": paths}]))
}

fn path(field: &str) -> String {
    let mut path = String::new();
    let mut rest = field;
    if let Some((kind, member)) = field
        .strip_prefix("conditions.")
        .and_then(|rest| rest.split_once('.'))
    {
        path = format!(".status.conditions[?(@.type==\"{kind}\")]");
        rest = member;
    }
    for part in rest.split('.') {
        path += &match part {
            "*" => "[*]".to_owned(),
            part => format!(".{part}"),
        };
    }
    path
}

/// Puts what was reported together again: an object with the fields that are known.
pub fn object(values: impl IntoIterator<Item = (String, Value)>) -> Value {
    let mut object = Value::Object(Map::new());
    for (name, value) in values {
        if let Some((kind, member)) = name
            .strip_prefix("conditions.")
            .and_then(|rest| rest.split_once('.'))
        {
            put_condition(&mut object, kind, member, value);
            continue;
        }
        let mut place = &mut object;
        for part in name.split('.') {
            place = step(place, part);
        }
        *place = value;
    }
    object
}

fn step<'v>(place: &'v mut Value, part: &str) -> &'v mut Value {
    if part == "*" {
        if !place.is_array() {
            *place = json!([null]);
        }
        return &mut place[0];
    }
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    &mut place[part]
}

fn put_condition(object: &mut Value, kind: &str, member: &str, value: Value) {
    let conditions = step(step(object, "status"), "conditions");
    if !conditions.is_array() {
        *conditions = Value::Array(Vec::new());
    }
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    let known = conditions.iter().position(|found| found["type"] == kind);
    let at = known.unwrap_or_else(|| {
        conditions.push(json!({"type": kind}));
        conditions.len() - 1
    });
    conditions[at][member] = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_asked_for_by_paths_that_the_agent_understands() {
        assert_eq!(path("status.readyReplicas"), ".status.readyReplicas");
        assert_eq!(
            path("status.loadBalancer.ingress.*.ip"),
            ".status.loadBalancer.ingress[*].ip"
        );
        assert_eq!(
            path("conditions.Ready.status"),
            ".status.conditions[?(@.type==\"Ready\")].status"
        );
        assert_eq!(rules("", "ConfigMap"), None);
        assert!(rules("stable.example.com", "CronTab").is_some());
    }

    #[test]
    fn what_is_reported_becomes_an_object_again() {
        let values = [
            ("metadata.generation", json!(2)),
            ("status.loadBalancer.ingress.*.ip", json!("10.0.0.1")),
            ("conditions.Ready.status", json!("False")),
            ("conditions.Ready.message", json!("no quorum")),
        ];
        let object = object(values.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(
            object,
            json!({
                "metadata": {"generation": 2},
                "status": {
                    "loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]},
                    "conditions": [{"type": "Ready", "status": "False", "message": "no quorum"}],
                },
            })
        );
    }
}
