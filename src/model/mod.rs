//! The vocabulary that all stages share: objects, keys, selectors, kinds, diagnostics, API types.
//!
//! Pure data. This module never reads a file, a clock or the environment.

pub mod diagnostic;
pub mod id;

pub use diagnostic::{Diagnostic, Location, Severity};
pub use id::{BlobId, ClusterName, ObjectKey, PolicyName, RepoPath, Revision};
