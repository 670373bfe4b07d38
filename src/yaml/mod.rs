//! Manifests read as kubectl, Argo CD and Flux read them, written so that they read back the same.
//!
//! ```text
//! bytes ──▶ load ──▶ documents (serde_json values) ──▶ … ──▶ emit ──▶ bytes
//!            └ fast: the block subset that manifests are written in; says "not mine" when in doubt
//!            └ slow: everything else, over parser events, and every error message
//! ```
//!
//! The rules are those of `sigs.k8s.io/yaml`, that is go-yaml version 2: `yes`, `on` and `y` are booleans, `014` is
//! twelve, `<<` merges, keys become strings the way Go prints them. Both ways of reading give the same answer.
//!
//! Pure: never reads a file, and never panics on any bytes.

mod emit;
mod error;
mod fast;
mod json;
mod load;
mod locate;
mod quote;
mod scalar;
mod slow;
#[cfg(test)]
mod tests;

pub use emit::{Hole, emit, emit_into, emit_with_holes};
pub use error::{YamlError, YamlErrorKind};
pub use load::{Document, Duplicate, Duplicates, Limits, load, load_with};
pub use locate::{Part, locate};
pub use quote::{Context, emit_string};
