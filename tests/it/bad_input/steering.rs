//! What steers other objects cannot be read: nothing goes out that was made without it, to whatever output.

use super::outputs::{Mistake, Outputs};
use super::*;

const RULE: &str = "policies/notes.yaml";
const ONCE: &str = "policies/once.yaml";

/// Removes a field of `extra/notes`.
const TRANSFORM: (&str, &str) = (
    RULE,
    "apiVersion: control.kubestellar.io/v1alpha1
kind: CustomTransform
metadata: {name: no-notes}
spec: {apiGroup: \"\", resource: configmaps, remove: [$.data.text]}
",
);

/// A second policy for `shop/settings`, which makes it one that is created once.
const CREATE_ONLY: (&str, &str) = (
    ONCE,
    "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: once}
spec:
  clusterSelectors: [{matchExpressions: [{key: env, operator: In, values: [prod]}]}]
  downsync: [{namespaces: [shop], objectNames: [settings], createOnly: true}]
",
);

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// Ways to make a whole file unreadable that leave nothing of its words.
fn beyond_recognition(path: &'static str) -> Vec<(&'static str, Mistake)> {
    let noise: Vec<u8> = (0..300_u32)
        .map(|number| (number * 7919 % 251) as u8)
        .collect();
    vec![
        ("pointer", Box::new(write(path, POINTER))),
        ("noise", Box::new(write(path, noise))),
        #[cfg(unix)]
        (
            "link",
            Box::new(move |root| {
                fs::remove_file(root.join(path)).unwrap();
                std::os::unix::fs::symlink("nowhere", root.join(path)).unwrap();
            }),
        ),
        (
            "moved and broken",
            Box::new(move |root| {
                fs::remove_file(root.join(path)).unwrap();
                fs::write(root.join("policies/moved.yaml"), "kind: [\n").unwrap();
            }),
        ),
    ]
}

#[test]
fn a_transform_that_is_lost_holds_everything() {
    let mut outputs = Outputs::new("lost-transform", &[TRANSFORM]);
    for files in outputs.files() {
        assert!(!files["iad/extra/configmap-notes.yaml"].contains("hello"));
    }
    let mut mistakes = beyond_recognition(RULE);
    let edits = [
        ("kind: CustomTransform\n", "kind: CustomTransformx\n"),
        ("kind: CustomTransform\n", "kind: Else\n"),
        ("kind: CustomTransform\n", ""),
        (
            "apiVersion: control.kubestellar.io/v1alpha1\n",
            "apiVersion: v9\n",
        ),
        ("name: no-notes", "name: "),
        (
            "spec: {apiGroup: \"\", resource: configmaps, remove: [$.data.text]}",
            "spec: oops",
        ),
        ("$.data.text", "$$$"),
    ];
    mistakes.extend(edits.map(|(from, to)| (from, Box::new(replace(RULE, from, to)) as Mistake)));
    for (what, mistake) in &mistakes {
        outputs.expect_held(what, mistake);
    }
}

#[test]
fn a_transform_that_is_deleted_on_purpose_simply_goes() {
    let mut outputs = Outputs::new("gone-transform", &[TRANSFORM]);
    fs::remove_file(outputs.site.repository.path().join(RULE)).unwrap();
    outputs.site.repository.commit_all("No rule any more");
    outputs.deliver();
    for files in outputs.files() {
        assert!(files["iad/extra/configmap-notes.yaml"].contains("hello"));
    }
}

#[test]
fn a_transform_that_is_there_lets_good_changes_pass_a_file_that_cannot_be_read() {
    let files: Vec<_> = SMALL.into_iter().chain([TRANSFORM, CREATE_ONLY]).collect();
    let told = after_in(&files, write(SHOP, POINTER));
    told.kept_on_both(SETTINGS);
}

#[test]
fn properties_that_are_lost_hold_everything() {
    let properties = (
        "properties.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fra, namespace: customization-properties}\ndata: {tone: loud}\n",
    );
    let reader = (
        "workloads/tone.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tone, namespace: shop, annotations: {control.kubestellar.io/expand-templates: \"true\"}}\ndata: {tone: '{{with .tone}}{{.}}{{else}}low{{end}}'}\n",
    );
    let mut outputs = Outputs::new("lost-properties", &[properties, reader]);
    for (what, mistake) in &beyond_recognition("properties.yaml") {
        outputs.expect_held(what, mistake);
    }
}

#[test]
fn a_policy_that_may_have_been_one_of_create_only_holds_everything() {
    let mut outputs = Outputs::new("lost-create-only", &[CREATE_ONLY]);
    for files in outputs.files() {
        assert!(files[&format!("fra/{SETTINGS}")].contains("IfNotPresent"));
    }
    let mut mistakes = beyond_recognition(ONCE);
    let edits = [
        ("operator: In", "operator: Bogus"),
        (
            "kind: BindingPolicy\n",
            "kind: BindingPolicy\nkind: BindingPolicy\n",
        ),
        ("kind: BindingPolicy\n", "kind: BindingPolicyx\n"),
        (CREATE_ONLY.1.split_once("spec:").unwrap().1, " oops\n"),
    ];
    mistakes.extend(edits.map(|(from, to)| (from, Box::new(replace(ONCE, from, to)) as Mistake)));
    for (what, mistake) in &mistakes {
        outputs.expect_held(what, mistake);
    }
}
