//! One Kubernetes object as it stands in a source, and what the other stages need to know of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::Location;
use super::id::{BlobId, ObjectKey};
use super::manifest::Manifest;

/// Labels or annotations of an object or a WEC, sorted by key.
pub type Labels = BTreeMap<String, String>;

/// Whether a kind lives in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Lives in a namespace.
    Namespaced,
    /// Lives beside the namespaces.
    Cluster,
}

/// Where an object was read: which document of which blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The id of the file's bytes.
    pub blob: BlobId,
    /// The document inside the file, from 0; a member of a `List` counts as a document of its own.
    pub document: u32,
}

/// One workload object of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What identifies it on a cluster.
    pub key: ObjectKey,
    /// The API version without its group: `v1`, `v1beta1`.
    pub version: Arc<str>,
    /// The resource: lower-case plural, as policies name it.
    pub resource: Arc<str>,
    /// Whether it lives in a namespace.
    pub scope: Scope,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Its annotations.
    pub annotations: Arc<Labels>,
    /// Whether an owner reference says that a controller made it.
    pub controlled: bool,
    /// The whole object as written.
    pub manifest: Manifest,
    /// Which document of which blob it is: equal origins have equal values.
    pub origin: Origin,
    /// Where a person finds it.
    pub location: Location,
}

impl Object {
    /// Gives the value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }

    /// Unpacks the whole object.
    pub fn value(&self) -> Value {
        self.manifest.value()
    }
}
