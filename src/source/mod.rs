//! A source becomes a [`Snapshot`]: every object of one revision, sorted into what it is for.
//!
//! ```text
//! git │ folder ─▶ files ─▶ select ─▶ cache ─▶ parse ─▶ ParsedBlob ─┐
//!           └────────────▶ hydrate (kustomize, helm) ─▶ text ─▶ parse ─┴─▶ assemble ─▶ Snapshot
//! ```
//!
//! Inputs are file names with blob ids and the parsed documents of each blob; output is one `Snapshot` with diagnostics.
//! This file, [`mod@assemble`], [`parse`] and [`select`] are pure; [`folder`] and [`git`] read files and repositories,
//! [`cache`] keeps what was parsed, [`hydrate`] runs the user's tools, and [`read`] is the chain of them all.
//!
//! What cannot be read is unknown, never gone: [`Snapshot::is_complete`] tells the difference.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::model::PathPart;
use crate::model::{
    BlobId, Diagnostic, Labels, Location, Manifest, Object, ObjectKey, Origin, RepoPath,
};
use crate::yaml::Part;

pub mod assemble;
pub mod cache;
pub mod folder;
mod follow;
pub mod git;
pub mod hydrate;
pub mod parse;
pub mod read;
pub mod select;
mod tool;
mod tree;

pub use assemble::{SourceFile, assemble};
pub use cache::ParsedCache;
pub use read::{Place, ReadSource, SourceDescription, SourceError, SourceRequest, read_source};
pub use tree::{Tree, TreeEntry, TreeError};

/// Every object of one revision, sorted into what it is for.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Workload objects that policies may select, sorted by key; each key once.
    pub objects: Vec<Object>,
    /// BindingPolicies, CustomTransforms, Transforms, ManagedClusters, property ConfigMaps and legacy kinds: read,
    /// never delivered; sorted by key, each key once.
    pub controls: Vec<Control>,
    /// Labels of the Namespace objects, by name, with the `kubernetes.io/metadata.name` that every API server adds.
    pub namespaces: BTreeMap<String, Arc<Labels>>,
    /// Files that hold no Kubernetes objects, and why they were passed over; sorted.
    pub skipped: Vec<(RepoPath, &'static str)>,
    /// Files and folders that could not be read: contents unknown. What was delivered from there stays; sorted by path.
    pub broken: Vec<BrokenFile>,
    /// Objects that are in the source and cannot be used: an unknown kind, a name that no API server takes. What was
    /// delivered for them stays. Sorted; the namespace is as written, empty where none is.
    pub unusable: Vec<ObjectKey>,
    /// The files that hold such objects; sorted.
    pub doubtful: Vec<RepoPath>,
    /// The way back to the text, for exact places in diagnostics.
    pub texts: Texts,
}

impl Snapshot {
    /// Tells whether everything in the source was understood: only then is an object that is not here gone.
    pub fn is_complete(&self) -> bool {
        self.broken.is_empty() && self.unusable.is_empty()
    }

    /// Finds an object by its key.
    pub fn object(&self, key: &ObjectKey) -> Option<&Object> {
        let position = self
            .objects
            .binary_search_by(|object| object.key.cmp(key))
            .ok()?;
        self.objects.get(position)
    }

    /// Gives line and column of what is at `path` inside an object or a control object, for a diagnostic.
    ///
    /// Reads the file again; gives `location` itself when that fails.
    pub fn locate(
        &self,
        location: &Location,
        origin: Origin,
        path: &[PathPart],
        part: Part,
    ) -> Location {
        let text = self.texts.read(&location.path, origin.blob);
        text.and_then(|text| parse::locate(&text, origin.document, path, part))
            .map_or_else(
                || location.clone(),
                |(line, column)| Location::at(location.path.clone(), line, column),
            )
    }
}

/// An object that steers Stellate and never reaches a WEC by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// What identifies it.
    pub key: ObjectKey,
    /// API group and version as written.
    pub api_version: Arc<str>,
    /// The whole object as written.
    pub manifest: Manifest,
    /// Where a person finds it.
    pub location: Location,
    /// The blob and document that hold it, for exact places in diagnostics.
    pub origin: Origin,
}

impl Control {
    /// Unpacks the whole object.
    pub fn value(&self) -> Value {
        self.manifest.value()
    }
}

/// A file (or folder) that should hold objects and could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokenFile {
    /// The file; the folder when a folder could not be listed; the `kustomization.yaml` or `Chart.yaml` when its folder
    /// could not be built.
    pub path: RepoPath,
    /// Its bytes' id; none when not even the bytes could be read.
    pub blob: Option<BlobId>,
    /// What is wrong; the first thing when there are several.
    pub diagnostic: Diagnostic,
}

/// Reads a file's text once more. Never called unless something is wrong.
pub trait BlobReader: Send + Sync {
    /// Gives the bytes with this id, which were read at `path`; none when they are no longer there.
    fn read(&self, path: &RepoPath, blob: BlobId) -> Option<Vec<u8>>;

    /// Tells whether a version of this file that was committed is such, as far back as there is history and it was there.
    fn ever(&self, path: &RepoPath, is_such: &dyn Fn(&[u8]) -> bool) -> bool;
}

/// The way back to the text of a snapshot's files.
#[derive(Clone, Default)]
pub struct Texts(Option<Arc<dyn BlobReader>>);

impl Texts {
    /// Wraps a reader.
    pub fn new(reader: Arc<dyn BlobReader>) -> Self {
        Self(Some(reader))
    }

    /// Gives the bytes with this id, which were read at `path`; none when they are no longer there.
    pub fn read(&self, path: &RepoPath, blob: BlobId) -> Option<Vec<u8>> {
        self.0.as_ref()?.read(path, blob)
    }

    /// Tells whether a version of this file that was committed is such, as far back as there is history and it was there.
    pub fn ever(&self, path: &RepoPath, is_such: &dyn Fn(&[u8]) -> bool) -> bool {
        let reader = self.0.as_ref();
        reader.is_some_and(|reader| reader.ever(path, is_such))
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() {
            "Texts"
        } else {
            "no Texts"
        })
    }
}

/// Writes bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| char::from_digit(u32::from(digit), 16));
    digits.map(|digit| digit.unwrap_or('0')).collect()
}

/// Gives the id that git has for a file with these bytes.
pub(crate) fn blob_id(bytes: &[u8]) -> BlobId {
    use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(format!("blob {}\0", bytes.len()).as_bytes());
    hash.update(bytes);
    let mut id = [0; 20];
    id.copy_from_slice(hash.finish().as_ref());
    BlobId(id)
}

#[cfg(test)]
mod tests;
