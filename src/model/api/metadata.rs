//! What Stellate reads of an object's metadata.

use serde::Deserialize;

use crate::model::Labels;

/// The parts of an object's metadata that steer anything; the rest is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace; empty for a cluster-scoped object.
    #[serde(default)]
    pub namespace: String,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Annotations.
    #[serde(default)]
    pub annotations: Labels,
    /// Since when the object is being deleted, in RFC 3339; none for an object that stays.
    pub deletion_timestamp: Option<String>,
}
