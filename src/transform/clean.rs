//! Cleaning: what an API server or a deployment tool wrote into an object, and what no other cluster should get, goes.
//!
//! In: an object as written; out: the same object with its desired state only. The rules are KubeStellar's
//! (`pkg/filtering`), and what it forgets: time stamps, tracking marks of Argo CD, Helm and Flux, emptied maps, a
//! Namespace's finalizers, bindings of claims and pods. What people set on purpose stays: a Service's traffic policies and
//! session affinity, which KubeStellar drops. Never looks at a WEC.

use serde_json::{Map, Value};

/// Metadata that belongs to one API server.
const METADATA: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Annotations by which tools remember what they own or last applied.
const ANNOTATIONS: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "argocd.argoproj.io/tracking-id",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
];

/// Labels by which Argo CD and Flux find what they own.
const LABELS: [&str; 5] = [
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
    "helm.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/namespace",
];

/// An object with this annotation, set to `nodeport`, keeps the node ports it asks for.
const PRESERVE: &str = "control.kubestellar.io/preserve";

/// Cleans an object in place.
pub fn clean(object: &mut Value, group: &str, kind: &str) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    object.remove("status");
    let mut keep_node_ports = false;
    if let Some(metadata) = member(object, "metadata") {
        keep_node_ports = annotation(metadata, PRESERVE) == Some("nodeport");
        clean_metadata(metadata);
    }
    match (group, kind) {
        ("", "Service") => clean_service(object, keep_node_ports),
        ("batch", "Job") => clean_job(object),
        ("", "Namespace") => remove_in(object, "spec", &["finalizers"]),
        ("", "Pod") => remove_in(object, "spec", &["nodeName"]),
        ("", "PersistentVolumeClaim") => clean_claim(object),
        ("", "Secret") => clean_token(object),
        ("apps", "Deployment" | "ReplicaSet") => remove_annotations(
            object,
            &[
                "deployment.kubernetes.io/revision",
                "deployment.kubernetes.io/revision-history",
                "deployment.kubernetes.io/desired-replicas",
                "deployment.kubernetes.io/max-replicas",
            ],
        ),
        _ => {}
    }
    if object
        .get("spec")
        .and_then(Value::as_object)
        .is_some_and(Map::is_empty)
        && (group, kind) == ("", "Namespace")
    {
        object.remove("spec");
    }
    if let Some(metadata) = member(object, "metadata") {
        drop_emptied(metadata);
    }
}

fn clean_metadata(metadata: &mut Map<String, Value>) {
    for name in METADATA {
        metadata.remove(name);
    }
    let owned_by_helm = annotation(metadata, "meta.helm.sh/release-name").is_some();
    if let Some(annotations) = member(metadata, "annotations") {
        for name in ANNOTATIONS {
            annotations.remove(name);
        }
    }
    if let Some(labels) = member(metadata, "labels") {
        for name in LABELS {
            labels.remove(name);
        }
        // Helm owns an object by this label and the annotations together; the label alone is the author's.
        let managed_by = "app.kubernetes.io/managed-by";
        if owned_by_helm && labels.get(managed_by).and_then(Value::as_str) == Some("Helm") {
            labels.remove(managed_by);
        }
    }
}

/// Drops maps of annotations and labels that hold nothing: an API server would, and a tool would see a difference for ever.
pub(super) fn drop_emptied(metadata: &mut Map<String, Value>) {
    for name in ["annotations", "labels"] {
        let empty = match metadata.get(name) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if empty {
            metadata.remove(name);
        }
    }
}

/// Drops what the API server of one cluster allocates for a Service.
fn clean_service(object: &mut Map<String, Value>, keep_node_ports: bool) {
    let Some(spec) = member(object, "spec") else {
        return;
    };
    spec.remove("ipFamilies");
    spec.remove("ipFamilyPolicy");
    let headless = |address: &Value| address.as_str() == Some("None");
    if !spec.get("clusterIP").is_some_and(headless) {
        spec.remove("clusterIP");
    }
    if let Some(Value::Array(addresses)) = spec.get_mut("clusterIPs") {
        addresses.retain(headless);
        if addresses.is_empty() {
            spec.remove("clusterIPs");
        }
    }
    if keep_node_ports {
        return;
    }
    spec.remove("healthCheckNodePort");
    for port in spec
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}

/// Drops what the Job controller of one cluster adds.
fn clean_job(object: &mut Map<String, Value>) {
    const UIDS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
    remove_annotations(object, &["batch.kubernetes.io/job-tracking"]);
    if let Some(metadata) = member(object, "metadata") {
        remove_in(metadata, "labels", &UIDS);
    }
    let Some(spec) = member(object, "spec") else {
        return;
    };
    // A selector that the author insists on is part of the desired state; any other is the controller's.
    if spec.get("manualSelector").and_then(Value::as_bool) != Some(true) {
        spec.remove("selector");
    }
    spec.remove("suspend");
    if let Some(metadata) =
        member(spec, "template").and_then(|template| member(template, "metadata"))
    {
        metadata.remove("creationTimestamp");
        remove_in(metadata, "labels", &UIDS);
        drop_emptied(metadata);
    }
}

/// Drops a claim's binding to the volume of one cluster.
fn clean_claim(object: &mut Map<String, Value>) {
    remove_in(object, "spec", &["volumeName"]);
    remove_annotations(
        object,
        &[
            "pv.kubernetes.io/bind-completed",
            "pv.kubernetes.io/bound-by-controller",
            "volume.beta.kubernetes.io/storage-provisioner",
            "volume.kubernetes.io/storage-provisioner",
            "volume.kubernetes.io/selected-node",
        ],
    );
}

/// Drops the contents of a `ServiceAccount`'s token: they are good for one cluster, whose controller fills them in.
fn clean_token(object: &mut Map<String, Value>) {
    if object.get("type").and_then(Value::as_str) == Some("kubernetes.io/service-account-token") {
        object.remove("data");
        remove_annotations(object, &["kubernetes.io/service-account.uid"]);
    }
}

fn member<'a>(map: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(name)?.as_object_mut()
}

fn annotation<'a>(metadata: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    metadata.get("annotations")?.get(name)?.as_str()
}

fn remove_in(map: &mut Map<String, Value>, inner: &str, names: &[&str]) {
    if let Some(inner) = member(map, inner) {
        for name in names {
            inner.remove(*name);
        }
    }
}

fn remove_annotations(object: &mut Map<String, Value>, names: &[&str]) {
    if let Some(metadata) = member(object, "metadata") {
        remove_in(metadata, "annotations", names);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn cleaned(group: &str, kind: &str, mut object: Value, wanted: &Value) {
        clean(&mut object, group, kind);
        assert_eq!(&object, wanted);
    }

    #[test]
    fn marks_of_servers_and_tools_go_and_the_authors_stay() {
        cleaned(
            "",
            "ConfigMap",
            json!({
                "metadata": {
                    "name": "a", "uid": "1", "creationTimestamp": null, "generateName": "a-",
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "argocd.argoproj.io/tracking-id": "x"},
                    "labels": {"argocd.argoproj.io/instance": "x", "app": "a", "app.kubernetes.io/managed-by": "Helm"},
                },
                "data": {"k": "v"}, "status": {"x": 1},
            }),
            &json!({
                "metadata": {"name": "a", "labels": {"app": "a", "app.kubernetes.io/managed-by": "Helm"}},
                "data": {"k": "v"},
            }),
        );
        cleaned(
            "",
            "ConfigMap",
            json!({"metadata": {"name": "a", "annotations": {"meta.helm.sh/release-name": "r"}, "labels": {"app.kubernetes.io/managed-by": "Helm"}}}),
            &json!({"metadata": {"name": "a"}}),
        );
    }

    #[test]
    fn a_service_loses_what_its_cluster_allocated_and_keeps_what_its_author_chose() {
        let service = |extra: Value| {
            let mut service = json!({"metadata": {"name": "s"}, "spec": {
                "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP", "healthCheckNodePort": 31000,
                "ports": [{"port": 80, "nodePort": 30080}, {"port": 81}],
            }});
            if !extra.is_null() {
                service["metadata"]["annotations"] = extra;
            }
            service
        };
        cleaned(
            "",
            "Service",
            service(Value::Null),
            &json!({"metadata": {"name": "s"}, "spec": {
                "externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP", "ports": [{"port": 80}, {"port": 81}],
            }}),
        );
        let mut kept = service(json!({"control.kubestellar.io/preserve": "nodeport"}));
        clean(&mut kept, "", "Service");
        assert_eq!(kept["spec"]["ports"][0]["nodePort"], 30080);
        cleaned(
            "",
            "Service",
            json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
            &json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
        );
    }

    #[test]
    fn a_job_can_run_again_elsewhere() {
        cleaned(
            "batch",
            "Job",
            json!({"metadata": {"name": "j", "labels": {"controller-uid": "1", "job-name": "j"}}, "spec": {
                "selector": {"matchLabels": {"controller-uid": "1"}}, "suspend": false,
                "template": {"metadata": {"creationTimestamp": null, "labels": {"batch.kubernetes.io/controller-uid": "1"}}, "spec": {}},
            }}),
            &json!({"metadata": {"name": "j", "labels": {"job-name": "j"}}, "spec": {"template": {"metadata": {}, "spec": {}}}}),
        );
        let manual =
            json!({"spec": {"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}}});
        cleaned("batch", "Job", manual.clone(), &manual);
    }

    #[test]
    fn bindings_to_one_cluster_go() {
        cleaned(
            "",
            "PersistentVolumeClaim",
            json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "v"}}),
            &json!({"metadata": {}, "spec": {}}),
        );
        cleaned(
            "",
            "Pod",
            json!({"spec": {"nodeName": "n", "x": 1}}),
            &json!({"spec": {"x": 1}}),
        );
        cleaned(
            "",
            "Namespace",
            json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}),
            &json!({"metadata": {"name": "n"}}),
        );
        cleaned(
            "",
            "Secret",
            json!({"type": "kubernetes.io/service-account-token", "data": {"token": "eA=="}, "metadata": {"annotations": {"kubernetes.io/service-account.name": "a", "kubernetes.io/service-account.uid": "1"}}}),
            &json!({"type": "kubernetes.io/service-account-token", "metadata": {"annotations": {"kubernetes.io/service-account.name": "a"}}}),
        );
    }

    #[test]
    fn only_the_kind_that_is_meant_is_touched() {
        let other = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "10.0.0.1", "nodeName": "n", "selector": {}}});
        cleaned("serving.knative.dev", "Service", other.clone(), &other);
    }
}
