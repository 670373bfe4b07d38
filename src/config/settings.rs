//! What a configuration says about rendering, validated. Pure data.

use crate::model::api::pipeline::{Guard, Hydrate, Kind};

/// What a configuration says about rendering.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Folders of the source that are read; empty for all.
    pub paths: Vec<String>,
    /// Folders that are built by kustomize or helm first.
    pub hydrate: Vec<Hydrate>,
    /// Kinds that are neither built in nor defined in the source.
    pub kinds: Vec<Kind>,
    /// Whether one error holds everything.
    pub strict: bool,
    /// What is held back.
    pub guard: Guard,
}
