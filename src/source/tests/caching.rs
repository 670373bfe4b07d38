//! What is parsed once is not read again, whatever happens to the disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{BlobId, RepoPath};
use crate::source::{ParsedCache, blob_id};

use super::config_map;

fn files(texts: &[String]) -> Vec<(RepoPath, BlobId)> {
    let numbered = texts.iter().enumerate();
    numbered
        .map(|(number, text)| (format!("{number:04}.yaml").into(), blob_id(text.as_bytes())))
        .collect()
}

/// Asks for all texts; gives how many were read, and the names found.
fn ask(cache: &mut ParsedCache, texts: &[String]) -> (usize, Vec<String>) {
    let mut reads = 0;
    let parsed = cache.get_or_parse(&files(texts), |path, _| {
        reads += 1;
        let number: usize = path.as_str()[..4].parse().expect("a number");
        Ok::<_, String>(texts[number].clone().into_bytes())
    });
    let names = parsed.iter().flat_map(|blob| &blob.documents);
    (
        reads,
        names.map(|document| document.name.to_string()).collect(),
    )
}

fn texts(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| config_map(&format!("a{number}")))
        .collect()
}

fn file_in(folder: &Path) -> PathBuf {
    let mut all = fs::read_dir(folder).expect("a folder");
    all.next().expect("a file").expect("a file").path()
}

#[test]
fn a_file_is_read_once_in_a_process_and_once_on_a_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = texts(20);
    let mut cache = ParsedCache::open(Some(folder.path().join("cache")));
    let (reads, names) = ask(&mut cache, &texts);
    assert_eq!((reads, names.len()), (20, 20));
    assert_eq!(ask(&mut cache, &texts).0, 0);
    assert_eq!(cache.save(), []);
    let mut cache = ParsedCache::open(Some(folder.path().join("cache")));
    assert_eq!(ask(&mut cache, &texts[..3]), (0, names[..3].to_vec()));
    assert_eq!(ask(&mut cache, &texts), (0, names));
}

#[test]
fn equal_files_are_read_once() {
    let texts = vec![config_map("a"), config_map("b"), config_map("a")];
    let (reads, names) = ask(&mut ParsedCache::open(None), &texts);
    assert_eq!(reads, 2);
    assert_eq!(names, ["a", "b", "a"]);
}

#[test]
fn a_damaged_cut_or_foreign_file_costs_time_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = texts(5);
    let mut cache = ParsedCache::open(Some(folder.path().to_owned()));
    let (_, names) = ask(&mut cache, &texts);
    drop(cache.save());
    let file = file_in(folder.path());
    let whole = fs::read(&file).expect("the file");
    let mut damages: Vec<Vec<u8>> = (0..whole.len())
        .step_by(7)
        .map(|end| whole[..end].to_vec())
        .collect();
    damages.push(b"something else".to_vec());
    damages.extend((0..whole.len()).step_by(11).map(|position| {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x55;
        damaged
    }));
    for damaged in damages {
        fs::write(&file, &damaged).expect("the file");
        let mut cache = ParsedCache::open(Some(folder.path().to_owned()));
        assert_eq!(ask(&mut cache, &texts).1, names);
        assert_eq!(cache.save(), []);
        let mut cache = ParsedCache::open(Some(folder.path().to_owned()));
        assert_eq!(ask(&mut cache, &texts).1, names);
    }
}

#[test]
fn two_processes_add_to_one_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = texts(30);
    let open = || ParsedCache::open(Some(folder.path().to_owned()));
    let (mut first, mut second) = (open(), open());
    drop(ask(&mut first, &texts[..10]));
    drop(ask(&mut second, &texts[5..]));
    assert_eq!((first.save(), second.save()), (vec![], vec![]));
    drop(ask(&mut first, &texts));
    assert_eq!(first.save(), []);
    assert_eq!(ask(&mut open(), &texts).0, 0);
}

#[test]
fn what_is_no_longer_asked_for_is_dropped_from_a_large_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let large = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{a: '{}'}}}}",
            "x".repeat(700_000)
        )
    };
    let texts = vec![large("a"), large("b"), large("c"), config_map("d")];
    let mut cache = ParsedCache::open(Some(folder.path().to_owned()));
    drop(ask(&mut cache, &texts));
    drop(cache.save());
    let before = fs::metadata(file_in(folder.path()))
        .expect("the file")
        .len();
    let mut cache = ParsedCache::open(Some(folder.path().to_owned()));
    // Names by position: ask for the first alone.
    assert_eq!(ask(&mut cache, &texts[..1]).0, 0);
    assert_eq!(cache.save(), []);
    let after = fs::metadata(file_in(folder.path()))
        .expect("the file")
        .len();
    assert!(after < before / 2, "{after} of {before}");
    assert_eq!(
        ask(
            &mut ParsedCache::open(Some(folder.path().to_owned())),
            &texts[..1]
        )
        .0,
        0
    );
}

#[test]
fn a_disk_that_refuses_is_a_note() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let mut cache = ParsedCache::open(Some(file));
    let texts = texts(3);
    assert_eq!(ask(&mut cache, &texts).1.len(), 3);
    let notes = cache.save();
    assert_eq!(notes[0].reason, "CacheNotWritten");
}

#[test]
fn a_file_that_cannot_be_read_is_broken_and_asked_for_again() {
    let mut cache = ParsedCache::open(None);
    let files = files(&texts(2));
    let refused = |_: &RepoPath, _| Err("no".to_owned());
    let parsed = cache.get_or_parse(&files, refused);
    assert_eq!(parsed[0].errors[0].message, "the file cannot be read: no");
    assert_eq!(ask(&mut cache, &texts(2)).0, 2);
}
