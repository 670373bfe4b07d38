//! The generated branch: a [`Rendered`](crate::transform::Rendered) becomes trees, a pack, commits and notes in git.
//!
//! ```text
//! build: column (blobs) ─▶ level (trees) ─▶ pack ─▶ repository        standing, change: against what is there
//! publish: commits, lock, metadata, notes ─────────▶
//! state: what was built ⇄ bytes, for the next process
//! ```
//!
//! Everything but `repository` and `sign` is pure. Nothing here decides what is delivered, or whether.

pub mod build;
pub mod change;
mod column;
pub mod delta;
pub mod hash;
pub mod index;
mod ledger;
mod level;
pub mod lock;
pub mod metadata;
pub mod notes;
pub mod object;
pub mod pack;
pub mod publish;
pub mod repository;
pub mod sign;
pub mod standing;
pub mod state;

#[cfg(test)]
mod build_tests;
#[cfg(test)]
mod publish_tests;
#[cfg(test)]
mod tests;
