//! What is read of a commit after others equals what is read of it alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use proptest::{prelude::*, test_runner::Config};

use crate::source::{ParsedCache, Place, ReadSource, SourceRequest, read_source};

use super::{Lab, config_map, read};

const PATHS: [&str; 9] = [
    "a.yaml",
    "b/c.yaml",
    "b/d.yml",
    "b/e/f.yaml",
    ".hidden/g.yaml",
    "README.md",
    "values.yaml",
    "b/Chart.yaml",
    "h.json",
];

/// What a file may hold; none when it is removed.
fn text(path: &str, variant: usize) -> Option<String> {
    let name = path.replace(['/', '.', '_'], "-").to_ascii_lowercase();
    let name = name.trim_matches('-');
    Some(match variant {
        0..=2 => config_map(name),
        3 => format!("{}---\n{}", config_map(name), config_map("second")),
        4 => "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n".to_owned(),
        5 => "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n".to_owned(),
        6 => "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.com}\n\
              spec: {group: example.com, scope: Cluster, names: {plural: things, kind: Thing}}\n"
            .to_owned(),
        7 => format!("apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata: {{name: {name}}}\n"),
        8 => "a: [\n".to_owned(),
        9 => "# nothing\n".to_owned(),
        10 => format!("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}}}\n"),
        11 => return None,
        _ => config_map(&format!("{name}-{variant}")),
    })
}

fn request(lab: &Lab) -> SourceRequest {
    let location = lab.work().display().to_string();
    lab.request(Place::Git {
        location,
        revision: None,
    })
}

fn expect_equal(warm: &ReadSource, cold: &ReadSource) {
    let (one, other) = (&warm.snapshot, &cold.snapshot);
    assert_eq!(one.objects, other.objects);
    assert_eq!(one.controls, other.controls);
    assert_eq!(one.namespaces, other.namespaces);
    assert_eq!(one.skipped, other.skipped);
    assert_eq!(one.broken, other.broken);
    assert_eq!(one.unusable, other.unusable);
    assert_eq!(warm.diagnostics, cold.diagnostics);
    assert_eq!(warm.description, cold.description);
}

proptest! {
    #![proptest_config(Config { cases: 12, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_commit_is_read_the_same_after_others_and_alone(
        steps in prop::collection::vec(prop::collection::vec((0..PATHS.len(), 0..16_usize), 1..3), 1..6)
    ) {
        let lab = Lab::repository(&[("a.yaml", &config_map("a")), ("z/z.yaml", &config_map("z"))]);
        let mut cache = ParsedCache::open(None);
        for step in std::iter::once(&Vec::new()).chain(&steps) {
            for &(path, variant) in step {
                match text(PATHS[path], variant) {
                    Some(text) => lab.write(PATHS[path], &text),
                    None => drop(fs::remove_file(lab.work().join(PATHS[path]))),
                }
            }
            lab.commit(&[]);
            let warm = read_source(&request(&lab), &mut cache).expect("a source");
            expect_equal(&warm, &read(&request(&lab)));
        }
    }
}

#[test]
fn what_did_not_change_is_neither_listed_nor_made_again() {
    let lab = Lab::repository(&[
        ("a.yaml", &config_map("a")),
        ("b.yaml", &config_map("b")),
        ("c.yaml", &config_map("c")),
    ]);
    let mut cache = ParsedCache::open(None);
    let first = read_source(&request(&lab), &mut cache).expect("a source");
    lab.commit(&[("b.yaml", &config_map("d"))]);
    let second = read_source(&request(&lab), &mut cache).expect("a source");
    let (one, other) = (&first.snapshot.objects[0], &second.snapshot.objects[0]);
    assert!(Arc::ptr_eq(&one.labels, &other.labels), "a");
    lab.commit(&[("README.md", "hello\n")]);
    let third = read_source(&request(&lab), &mut cache).expect("a source");
    assert!(Arc::ptr_eq(&second.snapshot, &third.snapshot));
    assert_ne!(second.description.revision, third.description.revision);
}

#[test]
fn a_link_follows_the_file_that_it_leads_to() {
    let lab = Lab::repository(&[("a.yaml", &config_map("a")), ("docs/b.txt", "")]);
    symlink("docs/b.txt", lab.work().join("b.yaml")).expect("a link");
    lab.commit(&[("docs/b.txt", &config_map("b"))]);
    let mut cache = ParsedCache::open(None);
    let first = read_source(&request(&lab), &mut cache).expect("a source");
    assert_eq!(first.snapshot.objects.len(), 2);
    lab.commit(&[("docs/b.txt", &config_map("c"))]);
    let second = read_source(&request(&lab), &mut cache).expect("a source");
    expect_equal(&second, &read(&request(&lab)));
    fs::remove_file(lab.work().join("b.yaml")).expect("a link");
    lab.commit(&[("b.yaml", &config_map("b"))]);
    read_source(&request(&lab), &mut cache).expect("a source");
    // The same blob, first as a file, then as where a link leads.
    fs::remove_file(lab.work().join("a.yaml")).expect("a file");
    symlink("b.yaml", lab.work().join("a.yaml")).expect("a link");
    lab.commit(&[]);
    let third = read_source(&request(&lab), &mut cache).expect("a source");
    expect_equal(&third, &read(&request(&lab)));
}

#[test]
fn a_folder_that_was_asked_for_and_is_gone_is_an_error_as_ever() {
    let lab = Lab::repository(&[("a/b.yaml", &config_map("b")), ("c.yaml", &config_map("c"))]);
    let mut cache = ParsedCache::open(None);
    let asked = SourceRequest {
        paths: vec!["a".into()],
        ..request(&lab)
    };
    read_source(&asked, &mut cache).expect("a source");
    fs::remove_file(lab.work().join("a/b.yaml")).expect("a file");
    lab.commit(&[]);
    let error = read_source(&asked, &mut cache).expect_err("nothing is there");
    assert_eq!(error.reason(), "PathNotFound");
}
