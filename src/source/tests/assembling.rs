//! What a snapshot holds.

use proptest::prelude::*;

use crate::model::kinds::Kinds;
use crate::model::{ObjectKey, Severity};
use crate::source::{SourceFile, assemble};

use super::{assembled, config_map, keys, reasons, source_file};

#[test]
fn objects_get_the_namespace_that_kubectl_gives_them() {
    let (snapshot, findings) = assembled(&[
        (
            "a.yaml",
            "{apiVersion: v1, kind: Secret, metadata: {name: a}}",
        ),
        (
            "b.yaml",
            "{apiVersion: v1, kind: Namespace, metadata: {name: b, namespace: wrong, labels: {team: x}}}",
        ),
    ]);
    assert_eq!(keys(&snapshot), ["Namespace b", "Secret default/a"]);
    assert_eq!(
        snapshot.objects[1].value()["metadata"]["namespace"],
        "default"
    );
    assert_eq!(
        snapshot.objects[0].value()["metadata"].get("namespace"),
        None
    );
    assert_eq!(reasons(&findings), ["NamespaceIgnored"]);
    let labels = &snapshot.namespaces["b"];
    assert_eq!(labels["team"], "x");
    assert_eq!(labels["kubernetes.io/metadata.name"], "b");
    assert!(snapshot.is_complete());
}

#[test]
fn an_object_knows_its_resource_and_its_place() {
    let text = format!(
        "{}---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}}}\n",
        config_map("a")
    );
    let (snapshot, _) = assembled(&[("shop/web.yaml", &text)]);
    let web = snapshot
        .object(&ObjectKey::new("apps", "Deployment", "default", "web"))
        .expect("web");
    assert_eq!((&*web.resource, &*web.version), ("deployments", "v1"));
    assert_eq!(web.location.to_string(), "shop/web.yaml:3");
    assert_eq!(web.origin.document, 1);
}

#[test]
fn what_steers_stellate_is_no_workload() {
    let control = |api_version: &str, kind: &str, namespace: &str| {
        format!(
            "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a, namespace: '{namespace}'}}}}"
        )
    };
    let texts: Vec<(String, String)> = [
        ("control.kubestellar.io/v1alpha1", "BindingPolicy", ""),
        ("control.kubestellar.io/v1alpha1", "CustomTransform", ""),
        ("control.kubestellar.io/v1alpha1", "StatusCollector", ""),
        ("gitops.kubestellar.io/v1alpha1", "Transform", ""),
        ("gitops.kubestellar.io/v1alpha1", "Pipeline", ""),
        (
            "cluster.open-cluster-management.io/v1",
            "ManagedCluster",
            "",
        ),
        ("v1", "ConfigMap", "customization-properties"),
        ("edge.kubestellar.io/v2alpha1", "EdgePlacement", ""),
        ("edge.kubestellar.io/v2alpha1", "Customizer", "shop"),
    ]
    .iter()
    .enumerate()
    .map(|(number, (api, kind, namespace))| {
        (format!("{number}.yaml"), control(api, kind, namespace))
    })
    .collect();
    let files: Vec<(&str, &str)> = texts
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let (snapshot, findings) = assembled(&files);
    assert_eq!(snapshot.controls.len(), 9);
    assert_eq!(keys(&snapshot), Vec::<String>::new());
    assert_eq!(reasons(&findings), Vec::<&str>::new());
}

#[test]
fn what_is_computed_or_another_tools_is_passed_over_with_a_note() {
    let (snapshot, findings) = assembled(&[
        (
            "a.yaml",
            "{apiVersion: control.kubestellar.io/v1alpha1, kind: Binding, metadata: {name: a}}",
        ),
        (
            "b.yaml",
            "{apiVersion: work.open-cluster-management.io/v1, kind: ManifestWork, metadata: {name: a, namespace: b}}",
        ),
        (
            "c.yaml",
            "{apiVersion: kind.x-k8s.io/v1alpha4, kind: Cluster, metadata: {name: a}}",
        ),
    ]);
    assert_eq!(reasons(&findings), ["NotRead"; 3]);
    assert!(
        findings
            .iter()
            .all(|finding| finding.severity == Severity::Note)
    );
    assert_eq!(snapshot.skipped.len(), 3);
    assert!(snapshot.is_complete());
}

#[test]
fn an_unknown_kind_is_told_once_with_the_nearest_and_stays_known() {
    let deployment = |name: &str| {
        format!("{{apiVersion: v1, kind: Deployment, metadata: {{name: {name}, namespace: shop}}}}")
    };
    let (snapshot, findings) =
        assembled(&[("b.yaml", &deployment("b")), ("a.yaml", &deployment("a"))]);
    assert_eq!(reasons(&findings), ["UnknownKind"]);
    assert_eq!(
        findings[0].message,
        "kind `Deployment` in the core group is not known (2 objects)"
    );
    assert!(
        findings[0]
            .help
            .as_deref()
            .expect("help")
            .starts_with("did you mean `Deployment` in group `apps`?")
    );
    assert_eq!(
        findings[0].location.as_ref().expect("a place").to_string(),
        "a.yaml:1"
    );
    let unusable: Vec<_> = snapshot.unusable.iter().map(ToString::to_string).collect();
    assert_eq!(unusable, ["Deployment shop/a", "Deployment shop/b"]);
    assert!(!snapshot.is_complete());
}

#[test]
fn a_slip_in_the_name_of_a_policy_kind_is_an_error() {
    let (_, findings) = assembled(&[(
        "a.yaml",
        "{apiVersion: control.kubestellar.io/v1alpha1, kind: BindingPolcy, metadata: {name: a}}",
    )]);
    assert_eq!(reasons(&findings), ["UnknownKind"]);
    assert!(
        findings[0]
            .help
            .as_deref()
            .expect("help")
            .contains("`BindingPolicy`")
    );
}

#[test]
fn kinds_that_the_source_defines_are_known_wherever_the_definition_lies() {
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: crontabs.stable.example.com}\n\
                      spec: {group: stable.example.com, scope: Namespaced, names: {kind: CronTab, plural: crontabs}}\n";
    let object = "{apiVersion: stable.example.com/v1, kind: CronTab, metadata: {name: a}}";
    let (snapshot, findings) = assembled(&[("a.yaml", object), ("z/crd.yaml", definition)]);
    assert_eq!(reasons(&findings), Vec::<&str>::new());
    assert_eq!(
        keys(&snapshot),
        [
            "CustomResourceDefinition.apiextensions.k8s.io crontabs.stable.example.com",
            "CronTab.stable.example.com default/a"
        ]
    );
}

#[test]
fn a_name_that_no_api_server_takes_is_an_error() {
    for object in [
        "{apiVersion: v1, kind: Secret, metadata: {name: Big_Name}}",
        "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: No.Dots}}",
        "{apiVersion: v1, kind: Secret, metadata: {name: a, labels: {a b: c}}}",
        "{apiVersion: v1, kind: Secret, metadata: {name: a, labels: {a: not/good}}}",
    ] {
        let (snapshot, findings) = assembled(&[("a.yaml", object)]);
        assert_eq!(reasons(&findings), ["InvalidName"], "{object}");
        assert_eq!((snapshot.objects.len(), snapshot.unusable.len()), (0, 1));
    }
    let template =
        "{apiVersion: v1, kind: Secret, metadata: {name: a, labels: {a: '{{ .clusterName }}'}}}";
    assert_eq!(
        reasons(&assembled(&[("a.yaml", template)]).1),
        Vec::<&str>::new()
    );
}

#[test]
fn of_two_files_with_one_object_the_first_counts() {
    let other =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {b: c}}\n";
    let (snapshot, findings) = assembled(&[("b.yaml", other), ("a.yaml", &config_map("a"))]);
    assert_eq!(snapshot.objects.len(), 1);
    assert_eq!(snapshot.objects[0].location.to_string(), "a.yaml:1");
    assert_eq!(findings[0].severity, Severity::Error);
    assert_eq!(
        findings[0].message,
        "ConfigMap shop/a is written twice; the one at a.yaml:1 counts"
    );
    assert_eq!(
        findings[0].location.as_ref().expect("a place").to_string(),
        "b.yaml:1"
    );
    let (_, findings) = assembled(&[("b.yaml", &config_map("a")), ("a.yaml", &config_map("a"))]);
    assert_eq!(findings[0].severity, Severity::Warning);
}

#[test]
fn a_broken_file_is_known_to_be_broken_and_nothing_of_it_is_used() {
    let text = format!(
        "{}---\n{{apiVersion: v1, kind: Secret, metadata: {{}}}}\n",
        config_map("a")
    );
    let (snapshot, findings) = assembled(&[("shop/a.yaml", &text), ("b.yaml", &config_map("b"))]);
    assert_eq!(keys(&snapshot), ["ConfigMap shop/b"]);
    assert_eq!(snapshot.broken.len(), 1);
    assert_eq!(snapshot.broken[0].path, "shop/a.yaml".into());
    assert_eq!(reasons(&findings), ["MissingName"]);
    assert!(!snapshot.is_complete());
}

fn some_files() -> Vec<SourceFile> {
    let mut files: Vec<_> = (0..6)
        .map(|number| {
            source_file(
                &format!("{number}.yaml"),
                &config_map(&format!("a{}", number % 4)),
            )
        })
        .collect();
    files.push(source_file("x.yaml", "a: [\n"));
    files.push(source_file(
        "y.yaml",
        "{apiVersion: v1, kind: Nonsense, metadata: {name: a}}",
    ));
    files.push(source_file("z.yaml", "a: 1\n"));
    files
}

proptest! {
    #[test]
    fn the_order_of_the_files_changes_nothing(files in Just(some_files()).prop_shuffle()) {
        let kinds = Kinds::builtin();
        let (first, found) = assemble(&some_files(), &kinds);
        let (second, again) = assemble(&files, &kinds);
        prop_assert_eq!(first.objects, second.objects);
        prop_assert_eq!(first.broken, second.broken);
        prop_assert_eq!(first.skipped, second.skipped);
        prop_assert_eq!(first.unusable, second.unusable);
        prop_assert_eq!(found, again);
    }
}
