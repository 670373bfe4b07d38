//! The vocabulary that all stages share: objects, keys, selectors, kinds, diagnostics, API types.
//!
//! Pure data. This module never reads a file, a clock or the environment.

pub mod api;
pub mod base64;
pub mod cluster_set;
pub mod diagnostic;
pub mod id;
pub mod kinds;
pub mod manifest;
pub mod names;
pub mod object;
pub mod packed;
pub mod path;
pub mod selector;

pub use cluster_set::ClusterSet;
pub use diagnostic::{Diagnostic, Location, Severity};
pub use id::{BlobId, ClusterName, ObjectKey, PolicyName, RepoPath, Revision};
pub use manifest::Manifest;
pub use object::{Labels, Object, Origin, Scope};
pub use path::PathPart;
