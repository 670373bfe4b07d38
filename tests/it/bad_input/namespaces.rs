//! Namespaces that are delivered, and what would make bare ones of them.

use super::outputs::{Mistake, Outputs};
use super::*;

/// A Namespace with a label that matters, and a policy that delivers it.
const NAMESPACE: [(&str, &str); 2] = [
    (
        "workloads/namespace.yaml",
        "apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
",
    ),
    (
        "policies/namespaces.yaml",
        "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: namespaces}
spec:
  clusterSelectors: [{matchExpressions: [{key: env, operator: In, values: [prod]}]}]
  downsync: [{resources: [namespaces], objectNames: [shop]}]
",
    ),
];

#[test]
fn a_namespace_is_never_made_bare_by_a_mistake() {
    let path = "_cluster/namespace-shop.yaml";
    let mistakes: [(&str, Mistake); 5] = [
        ("file", Box::new(write(NAMESPACE[0].0, b"\xff"))),
        (
            "kind",
            Box::new(replace(
                NAMESPACE[0].0,
                "kind: Namespace",
                "kind: Namespacex",
            )),
        ),
        (
            "policy's file",
            Box::new(write(NAMESPACE[1].0, "kind: [\n")),
        ),
        (
            "selector",
            Box::new(replace(NAMESPACE[1].0, "operator: In", "operator: Bogus")),
        ),
        (
            "kind of the policy",
            Box::new(replace(
                NAMESPACE[1].0,
                "kind: BindingPolicy",
                "kind: Policy",
            )),
        ),
    ];
    for (what, mistake) in &mistakes {
        let mut outputs = Outputs::new("bare", &NAMESPACE);
        mistake(outputs.site.repository.path());
        // A WEC on which nothing stands gets the bare one.
        let inventory = SMALL[0].1.replace("name: iad", "name: new");
        write("more.yaml", inventory.split_once("---\n").unwrap().1)(
            outputs.site.repository.path(),
        );
        outputs.site.repository.commit_all(what);
        for delivery in outputs.deliver() {
            assert_eq!(delivery.outcome, Outcome::Written, "{what}");
        }
        for files in outputs.files() {
            assert!(
                files[&format!("fra/{path}")].contains("restricted"),
                "{what}: {files:#?}"
            );
        }
        assert!(
            outputs.site.generated()[&format!("new/{path}")].contains("prune: disabled"),
            "{what}"
        );
        outputs.site.expect_sound();
    }
}

#[test]
fn a_namespace_that_is_deleted_on_purpose_becomes_a_bare_one() {
    let mut outputs = Outputs::new("bare-on-purpose", &NAMESPACE);
    fs::remove_file(outputs.site.repository.path().join(NAMESPACE[0].0)).unwrap();
    outputs.site.repository.commit_all("Others label it");
    outputs.deliver();
    for files in outputs.files() {
        assert!(!files["fra/_cluster/namespace-shop.yaml"].contains("restricted"));
    }
}
