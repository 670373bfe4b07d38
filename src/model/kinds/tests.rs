//! What a user sees of the table of kinds.

use serde_json::json;

use super::*;

fn crontab() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com",
            "names": {"kind": "CronTab", "plural": "crontabs"},
            "scope": "Namespaced",
        },
    })
}

#[test]
fn a_kind_is_found_by_group_and_kind_alone() {
    let kinds = Kinds::builtin();
    let ingress = kinds.get("networking.k8s.io", "Ingress").unwrap();
    assert_eq!(
        (&*ingress.resource, ingress.scope),
        ("ingresses", Scope::Namespaced)
    );
    let namespace = kinds.get("", "Namespace").unwrap();
    assert_eq!(
        (&*namespace.resource, namespace.scope),
        ("namespaces", Scope::Cluster)
    );
    assert_eq!(kinds.get("apps", "Pod"), None);
    assert_eq!(kinds.get("", "pod"), None);
}

#[test]
fn the_table_lists_each_resource_of_a_group_once_and_in_lower_case() {
    let kinds = Kinds::builtin();
    let mut resources: Vec<_> = kinds
        .iter()
        .map(|info| (&info.group, &info.resource))
        .collect();
    let rows: usize = table::GROUPS.iter().map(|(_, rows)| rows.len()).sum();
    resources.sort();
    resources.dedup();
    assert_eq!(resources.len(), rows);
    assert!(
        resources
            .iter()
            .all(|(_, resource)| resource.bytes().all(|byte| byte.is_ascii_lowercase()))
    );
    assert!(table::GROUPS.is_sorted_by_key(|(group, _)| group));
}

/// What discovery of a Kubernetes 1.36 API server lists with every group, version and kind switched on: group,
/// kind, resource and scope of each, subresources left out.
const SERVED: &str = include_str!("kubernetes-1.36.txt");

#[test]
fn the_table_is_what_an_api_server_serves() {
    let kinds = Kinds::builtin();
    let ours = |group: &str| {
        ["kubestellar.io", "open-cluster-management.io"]
            .iter()
            .any(|end| group.ends_with(end))
    };
    let mut listed: Vec<String> = kinds
        .iter()
        .filter(|info| !ours(&info.group))
        .map(|info| {
            let group = if info.group.is_empty() {
                "core"
            } else {
                &info.group
            };
            format!("{group} {} {} {:?}", info.kind, info.resource, info.scope)
        })
        .collect();
    listed.sort();
    let mut served: Vec<&str> = SERVED.lines().collect();
    served.sort_unstable();
    assert_eq!(listed, served);
}

#[test]
fn a_definition_in_the_source_makes_its_kind_known() {
    let mut kinds = Kinds::builtin();
    kinds.add_crd(&crontab()).unwrap();
    kinds.add_crd(&crontab()).unwrap();
    let info = kinds.get("stable.example.com", "CronTab").unwrap();
    assert_eq!(
        (&*info.resource, info.scope),
        ("crontabs", Scope::Namespaced)
    );
}

#[test]
fn a_definition_that_contradicts_another_is_refused_and_the_first_stays() {
    let mut kinds = Kinds::builtin();
    kinds.add_crd(&crontab()).unwrap();
    let refused = kinds.add("stable.example.com", "CronTab", "crontabs", Scope::Cluster);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "CronTab in group `stable.example.com` is known as namespaced `crontabs`, and cannot also be cluster-scoped `crontabs`"
    );
    assert_eq!(
        kinds.get("stable.example.com", "CronTab").unwrap().scope,
        Scope::Namespaced
    );
    assert!(
        kinds
            .add("apps", "Deployment", "deploys", Scope::Namespaced)
            .is_err()
    );
}

#[test]
fn a_broken_definition_names_its_broken_field() {
    let mut kinds = Kinds::builtin();
    let mut broken = crontab();
    broken["spec"]["names"]["plural"] = json!(7);
    assert_eq!(
        kinds.add_crd(&broken),
        Err(KindError::Field {
            field: "spec.names.plural"
        })
    );
    let mut misnamed = crontab();
    misnamed["metadata"]["name"] = json!("crontab");
    assert_eq!(
        kinds.add_crd(&misnamed).unwrap_err().to_string(),
        "the CustomResourceDefinition must be named `crontabs.stable.example.com`, not `crontab`"
    );
    let mut elsewhere = crontab();
    elsewhere["spec"]["scope"] = json!("namespaced");
    assert!(matches!(
        kinds.add_crd(&elsewhere),
        Err(KindError::Scope { .. })
    ));
}

#[test]
fn a_mistyped_kind_brings_the_right_one_to_mind() {
    let kinds = Kinds::builtin();
    let meant = |group, kind| {
        kinds
            .nearest(group, kind)
            .map(|info| (info.group.to_string(), info.kind.to_string()))
    };
    let found = |group: &str, kind: &str| Some((group.to_owned(), kind.to_owned()));
    assert_eq!(meant("apps", "Deploymnet"), found("apps", "Deployment"));
    assert_eq!(
        meant("extensions", "Ingress"),
        found("networking.k8s.io", "Ingress")
    );
    assert_eq!(meant("", "configmaps"), found("", "ConfigMap"));
    assert_eq!(
        meant("control.kubestellar.io", "BindingPolice"),
        found("control.kubestellar.io", "BindingPolicy")
    );
    assert_eq!(meant("example.com", "Sprocket"), None);
}

#[test]
fn names_follow_the_rule_of_their_kind() {
    let kinds = Kinds::builtin();
    let valid = |group, kind, name| kinds.get(group, kind).unwrap().validate_name(name).is_ok();
    assert!(valid(
        "rbac.authorization.k8s.io",
        "ClusterRole",
        "system:node"
    ));
    assert!(!valid("", "ConfigMap", "system:node"));
    assert!(valid("", "ConfigMap", "a.b") && !valid("", "Namespace", "a.b"));
    assert!(!valid("", "Service", "3scale"));
    assert!(!valid("apps", "Deployment", "{{.clusterName}}"));
}

#[test]
fn what_servers_and_controllers_own_is_never_delivered() {
    assert!(never_downsynced("", "nodes").is_some());
    assert!(never_downsynced("coordination.k8s.io", "leases").is_some());
    assert!(never_downsynced("control.kubestellar.io", "bindingpolicies").is_some());
    assert!(never_downsynced("authorization.k8s.io", "subjectaccessreviews").is_some());
    assert_eq!(
        never_downsynced("apiregistration.k8s.io", "apiservices"),
        None
    );
    assert_eq!(
        never_downsynced("apiextensions.k8s.io", "customresourcedefinitions"),
        None
    );
    assert_eq!(never_downsynced("storage.k8s.io", "storageclasses"), None);
    assert_eq!(never_downsynced("", "secrets"), None);
}

#[test]
fn what_every_cluster_makes_for_itself_is_left_alone() {
    let own = |kind, namespace, name| {
        made_by_the_server(&ObjectKey::new("", kind, namespace, name)).is_some()
    };
    assert!(own("ConfigMap", "shop", "kube-root-ca.crt"));
    assert!(own("ServiceAccount", "shop", "default"));
    assert!(own("Service", "default", "kubernetes"));
    assert!(!own("Service", "shop", "kubernetes"));
    assert!(!own("ServiceAccount", "shop", "builder"));
}
