//! A source becomes a [`Snapshot`]: every object of one revision, sorted into what it is for.
//!
//! Inputs are file names with blob ids and the parsed documents of each blob; output is one `Snapshot` with diagnostics.
//! This file and `assemble` are pure; `folder` and `git` read files and repositories.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::model::{BlobId, Diagnostic, Labels, Location, Object, ObjectKey, RepoPath};

/// Every object of one revision, sorted into what it is for.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Workload objects that policies may select, sorted by key; each key once.
    pub objects: Vec<Object>,
    /// BindingPolicies, CustomTransforms, Transforms, ManagedClusters, property ConfigMaps and legacy kinds: read, never delivered.
    pub controls: Vec<Control>,
    /// Labels of the Namespace objects, by name.
    pub namespaces: BTreeMap<String, Arc<Labels>>,
    /// Files that hold no Kubernetes objects, and why they were passed over.
    pub skipped: Vec<(RepoPath, &'static str)>,
    /// Keys whose file could not be read: known to exist once, contents unknown. What was delivered for them stays.
    pub broken: Vec<BrokenFile>,
}

/// An object that steers Stellate and never reaches a WEC by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// What identifies it.
    pub key: ObjectKey,
    /// API group and version as written.
    pub api_version: Arc<str>,
    /// The whole object as written.
    pub value: Arc<Value>,
    /// Where a person finds it.
    pub location: Location,
    /// The blob and document that hold it, for exact places in diagnostics.
    pub origin: crate::model::Origin,
}

/// A file that should hold objects and could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenFile {
    /// The file.
    pub path: RepoPath,
    /// Its bytes' id.
    pub blob: BlobId,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}
