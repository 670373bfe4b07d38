//! Hermetic tests of the source stage: folders and repositories made here, with no configuration but their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::model::kinds::Kinds;
use crate::model::{Diagnostic, Revision};

use super::parse::parse;
use super::{
    ParsedCache, Place, ReadSource, Snapshot, SourceFile, SourceRequest, assemble, blob_id,
    read_source,
};

mod assembling;
mod caching;
mod folders;
mod following;
mod hydrating;
mod parsing;
mod repositories;

/// A ConfigMap of one line.
pub(super) fn config_map(name: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: shop}}}}\n")
}

pub(super) fn source_file(path: &str, text: &str) -> SourceFile {
    SourceFile {
        path: path.into(),
        blob: blob_id(text.as_bytes()),
        parsed: Arc::new(parse(text.as_bytes())),
        namespace: None,
    }
}

/// Assembles texts under the built-in kinds.
pub(super) fn assembled(files: &[(&str, &str)]) -> (Snapshot, Vec<Diagnostic>) {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| source_file(path, text))
        .collect();
    assemble(&files, &Kinds::builtin())
}

/// The keys of a snapshot's objects, as people write them.
pub(super) fn keys(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .objects
        .iter()
        .map(|object| object.key.to_string())
        .collect()
}

pub(super) fn reasons(diagnostics: &[Diagnostic]) -> Vec<&str> {
    diagnostics
        .iter()
        .map(|diagnostic| diagnostic.reason)
        .collect()
}

/// A folder that may become a repository.
pub(super) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub(super) fn new() -> Self {
        let lab = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        fs::create_dir(lab.folder.path().join("work")).expect("a folder");
        lab
    }

    /// A repository with one commit of these files.
    pub(super) fn repository(files: &[(&str, &str)]) -> Self {
        let lab = Self::new();
        lab.git(&["init", "-q", "-b", "main"]);
        lab.commit(files);
        lab
    }

    pub(super) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub(super) fn commit(&self, files: &[(&str, &str)]) -> Revision {
        for (path, text) in files {
            self.write(path, text);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "a change\n\nand why"]);
        Revision::from_hex(&self.git(&["rev-parse", "HEAD"])).expect("an id")
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.work(), arguments)
    }

    pub(super) fn request(&self, place: Place) -> SourceRequest {
        SourceRequest {
            cache: Some(self.cache()),
            ..SourceRequest::new(place)
        }
    }

    pub(super) fn read_folder(&self) -> ReadSource {
        read(&self.request(Place::Folder(self.work())))
    }

    pub(super) fn read_commit(&self) -> ReadSource {
        let location = self.work().display().to_string();
        read(&self.request(Place::Git {
            location,
            revision: None,
        }))
    }
}

pub(super) fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_DATE", "1700000000 +0130")
        .env("GIT_COMMITTER_DATE", "1700000000 +0130")
        .output()
        .expect("git");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {complaint}");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

pub(super) fn read(request: &SourceRequest) -> ReadSource {
    read_source(request, &mut ParsedCache::open(None)).expect("a source")
}
