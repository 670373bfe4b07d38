//! What one file says.

use proptest::prelude::*;

use crate::source::parse::{locate, parse};
use crate::yaml::Part;

fn reason(text: &str) -> &'static str {
    let blob = parse(text.as_bytes());
    assert!(blob.documents.is_empty(), "{blob:?}");
    blob.errors.first().expect("an error").reason
}

#[test]
fn an_object_is_controlled_when_one_of_its_owners_says_so() {
    let controlled = |controller: bool| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  ownerReferences:\n  - {{kind: Other}}\n  - {{kind: ReplicaSet, controller: {controller}}}\n"
        );
        parse(text.as_bytes()).documents[0].controlled
    };
    assert!(controlled(true) && !controlled(false));
}

#[test]
fn objects_are_numbered_through_all_documents_and_lists() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n\
                - {apiVersion: v1, kind: Secret, metadata: {name: b}}\n\
                - apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - {metadata: {name: c, namespace: x}}\n---\n\
                apiVersion: v1\nkind: Service\nmetadata: {name: d}\n";
    let blob = parse(text.as_bytes());
    let found: Vec<_> = blob
        .documents
        .iter()
        .map(|document| {
            (
                document.index,
                &*document.kind,
                &*document.name,
                document.line,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (0, "Namespace", "a", 1),
            (1, "Secret", "b", 7),
            (2, "ConfigMap", "c", 7),
            (3, "Service", "d", 16)
        ]
    );
    assert_eq!(blob.documents[2].namespace.as_deref(), Some("x"));
    assert_eq!(
        locate(
            text.as_bytes(),
            1,
            &["metadata".into(), "name".into()],
            Part::Value
        ),
        Some((10, 51))
    );
    assert_eq!(
        locate(
            text.as_bytes(),
            2,
            &["metadata".into(), "namespace".into()],
            Part::Value
        ),
        Some((14, 37))
    );
}

#[test]
fn files_without_objects_are_passed_over() {
    assert_eq!(parse(b"").skipped, Some("it is empty"));
    assert_eq!(
        parse(b"---\n# a comment\n---\nnull\n").skipped,
        Some("it is empty")
    );
    for text in [
        "replicas: 3\n",
        "[1, 2]\n",
        "just text\n",
        "apiVersion: v2\nname: chart\n",
        "kind: pipeline\nsteps: []\n",
    ] {
        assert_eq!(
            parse(text.as_bytes()).skipped,
            Some("no apiVersion and kind"),
            "{text}"
        );
    }
}

#[test]
fn an_object_with_a_slip_makes_the_whole_file_broken() {
    let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n";
    for (text, wanted) in [
        (
            "apiVersion: v1\nkid: Secret\nmetadata: {name: a}\n",
            "IncompleteObject",
        ),
        ("replicas: 3\n", "IncompleteObject"),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {generateName: a-}\n",
            "MissingName",
        ),
        ("apiVersion: v1\nkind: Secret\n", "MissingName"),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {version: 1.0}}\n",
            "NotAString",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a, annotations: {on: true}}\n",
            "NotAString",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: 7}\n",
            "InvalidObject",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: []\n",
            "InvalidObject",
        ),
        ("a: [\n", "InvalidYaml"),
        ("a: 1\na: 2\n", "DuplicateKey"),
    ] {
        assert_eq!(reason(&format!("{good}{text}")), wanted, "{text}");
    }
    assert_eq!(
        reason("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "LfsPointer"
    );
}

#[test]
fn a_slip_is_shown_where_it_is() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  labels:\n    tier: web\n    version: 1.0\n";
    let error = &parse(text.as_bytes()).errors[0];
    assert_eq!((error.line, error.column), (7, 14));
    assert_eq!(
        error.message,
        "metadata.labels: the value of `version` is a number, not a string"
    );
    assert_eq!(error.help.as_deref(), Some("put the value in quotes"));
}

#[test]
fn every_slip_of_a_file_is_told_at_once() {
    let text = "apiVersion: v1\nkind: Secret\n---\napiVersion: v1\nkind: Secret\nmetadata: {generateName: x}\n";
    let blob = parse(text.as_bytes());
    let lines: Vec<_> = blob.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 6]);
}

proptest! {
    #[test]
    fn no_bytes_make_parsing_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let blob = parse(&bytes);
        prop_assert!(blob.documents.is_empty() || blob.errors.is_empty());
    }
}
