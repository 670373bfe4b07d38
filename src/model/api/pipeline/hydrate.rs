//! Folders that are built before they are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A folder and what builds it. Folders with a `kustomization.yaml` need no entry to be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Hydrate {
    /// `helm template`.
    Helm(Helm),
    /// `kustomize build`, with options.
    Kustomize(Kustomize),
}

/// A chart and one release of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Helm {
    /// The folder with `Chart.yaml`, relative to the root of the source.
    #[schemars(length(min = 1))]
    pub path: String,
    /// Name of the release; left out: the folder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    pub release: Option<String>,
    /// Namespace of the release; left out: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Files of values, relative to the root of the source; later ones count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    /// Whether the chart's CRDs are rendered too.
    #[serde(default)]
    pub include_crds: bool,
}

/// A kustomization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kustomize {
    /// The folder with `kustomization.yaml`, relative to the root of the source.
    #[schemars(length(min = 1))]
    pub path: String,
}
