//! Folders on disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::source::folder::{Change, watch};
use crate::source::{ParsedCache, Place, SourceError, read_source};

use crate::yaml::Part;

use super::{Lab, config_map, keys, read, reasons};

#[test]
fn a_folder_is_read_without_its_hidden_parts() {
    let lab = Lab::new();
    lab.write("apps/a.yaml", &config_map("a"));
    lab.write("apps/.hidden/b.yaml", &config_map("b"));
    lab.write(".github/workflows/ci.yml", "on: push\n");
    lab.write("values.yaml", "a: 1\n");
    lab.write("README.md", "text");
    let source = lab.read_folder();
    assert_eq!(keys(&source.snapshot), ["ConfigMap shop/a"]);
    assert_eq!(
        source.snapshot.skipped,
        [("values.yaml".into(), "Helm values")]
    );
    assert!(source.snapshot.is_complete());
    assert_eq!(source.diagnostics, []);
}

#[test]
fn links_are_followed_inside_and_never_out() {
    let lab = Lab::new();
    lab.write("a.yaml", &config_map("a"));
    lab.write("sub/b.txt", &config_map("b"));
    fs::write(lab.work().with_file_name("outside.yaml"), config_map("c")).expect("a file");
    symlink("sub/b.txt", lab.work().join("b.yaml")).expect("a link");
    symlink("../outside.yaml", lab.work().join("c.yaml")).expect("a link");
    symlink("sub", lab.work().join("folder")).expect("a link");
    symlink("nowhere", lab.work().join("d.yaml")).expect("a link");
    let source = lab.read_folder();
    assert_eq!(
        keys(&source.snapshot),
        ["ConfigMap shop/a", "ConfigMap shop/b"]
    );
    let broken: Vec<_> = source
        .snapshot
        .broken
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(broken, ["c.yaml", "d.yaml"]);
    assert_eq!(reasons(&source.diagnostics), ["LinkNotFollowed"; 3]);
    assert!(!source.snapshot.is_complete());
}

#[test]
fn a_file_too_large_is_unknown_not_gone() {
    let lab = Lab::new();
    lab.write("a.yaml", &config_map("a"));
    fs::write(lab.work().join("b.yaml"), vec![b'#'; (16 << 20) + 1]).expect("a file");
    let source = lab.read_folder();
    assert_eq!(source.snapshot.broken[0].path.as_str(), "b.yaml");
    assert_eq!(
        source.diagnostics[0].message,
        "the file is larger than 16 MiB"
    );
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let lab = Lab::new();
    let request = lab.request(Place::Folder(lab.work().join("nowhere")));
    let error = read_source(&request, &mut ParsedCache::open(None)).expect_err("no folder");
    assert_eq!(error.reason(), "FolderUnreadable");
    let mut request = lab.request(Place::Folder(lab.work()));
    request.paths = vec!["apps".into()];
    let error = read_source(&request, &mut ParsedCache::open(None)).expect_err("no such path");
    assert_eq!(error.reason(), "PathNotFound");
}

#[test]
fn a_path_that_is_a_link_to_a_folder_is_an_error_and_not_nothing() {
    let lab = Lab::repository(&[("sub/b.yaml", &config_map("b"))]);
    symlink("sub", lab.work().join("current")).expect("a link");
    lab.commit(&[]);
    let location = lab.work().display().to_string();
    let git = Place::Git {
        location,
        revision: None,
    };
    for place in [Place::Folder(lab.work()), git] {
        let mut request = lab.request(place);
        request.paths = vec!["current".into()];
        let error = read_source(&request, &mut ParsedCache::open(None)).expect_err("a link");
        assert_eq!(error.reason(), "PathNotFollowed");
    }
}

#[test]
fn a_commit_is_never_taken_for_the_folder_that_equals_it() {
    let lab = Lab::repository(&[("a.yaml", &config_map("a"))]);
    let mut cache = ParsedCache::open(None);
    let location = lab.work().display().to_string();
    let git = lab.request(Place::Git {
        location,
        revision: None,
    });
    let commit = read_source(&git, &mut cache).expect("a source");
    assert!(commit.description.revision.is_some());
    let folder = lab.request(Place::Folder(lab.work().join(".")));
    let folder = read_source(&folder, &mut cache).expect("a source");
    assert_eq!(
        folder.description.name,
        lab.work().join(".").display().to_string()
    );
    assert_eq!(folder.description.revision, None);
}

#[test]
fn what_stellate_wrote_is_not_its_source() {
    let lab = Lab::new();
    lab.write("a.yaml", &config_map("a"));
    lab.write("out/stellate.lock", "");
    lab.write("out/clusters/one/b.yaml", &config_map("b"));
    assert_eq!(keys(&lab.read_folder().snapshot), ["ConfigMap shop/a"]);
    lab.write("stellate.lock", "");
    let request = lab.request(Place::Folder(lab.work()));
    let error = read_source(&request, &mut ParsedCache::open(None)).expect_err("generated");
    assert!(matches!(error, SourceError::Generated { .. }));
}

#[test]
fn a_place_in_a_file_is_found_again() {
    let lab = Lab::new();
    lab.write(
        "a.yaml",
        "kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: a\ndata:\n  b: c\n",
    );
    let source = lab.read_folder();
    let object = &source.snapshot.objects[0];
    let place = |path: &[_]| {
        let place = source
            .snapshot
            .locate(&object.location, object.origin, path, Part::Value);
        place.to_string()
    };
    assert_eq!(place(&["data".into(), "b".into()]), "a.yaml:6:6");
    lab.write("a.yaml", "changed: true\n");
    assert_eq!(place(&["data".into(), "b".into()]), "a.yaml:1");
}

#[test]
fn only_the_folder_that_was_named_counts_inside_a_repository() {
    let lab = Lab::repository(&[
        ("a.yaml", &config_map("a")),
        ("sub/b.yaml", &config_map("b")),
    ]);
    let source = read(&lab.request(Place::Folder(lab.work().join("sub"))));
    assert_eq!(keys(&source.snapshot), ["ConfigMap shop/b"]);
    assert_eq!(source.snapshot.objects[0].location.to_string(), "b.yaml:1");
}

#[test]
fn a_change_is_heard_and_reading_is_not() {
    let lab = Lab::new();
    lab.write("a.yaml", &config_map("a"));
    let mut changes = watch(&lab.work(), Duration::from_secs(20)).expect("a watch");
    lab.write("sub/b.yaml", &config_map("b"));
    assert_eq!(changes.next(), Some(Change::Seen));
    let mut silent = watch(&lab.work(), Duration::from_millis(900)).expect("a watch");
    drop(fs::read(lab.work().join("a.yaml")));
    fs::write(lab.work().join(".swap"), "").expect("a file");
    assert_eq!(silent.next(), Some(Change::Silence));
    assert!(watch(Path::new("/no/such/folder"), Duration::from_secs(1)).is_err());
}
