//! The API objects that steer Stellate, as serde types, and how manifests become them.
//!
//! ```text
//! serde_json::Value ── read::<BindingPolicy>() ──▶ BindingPolicy
//!                                              └─▶ ReadError { path, message, help }
//! ```
//!
//! KubeStellar's and OCM's kinds are read only; [`Pipeline`] and [`Transform`] are Stellate's own, and their CRDs
//! come from the same types. Pure data: nothing here reads a file or talks to a server.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub mod binding_policy;
pub mod custom_transform;
pub mod edge;
pub mod label_selector;
pub mod managed_cluster;
pub mod manifest_work;
pub mod metadata;
pub mod pipeline;
pub mod read;
pub mod status_collector;
pub mod transform;
pub mod work_status;

pub use binding_policy::{BindingPolicy, BindingPolicySpec, DownsyncClause};
pub use custom_transform::{CustomTransform, CustomTransformSpec};
pub use label_selector::{LabelSelector, LabelSelectorRequirement};
pub use managed_cluster::ManagedCluster;
pub use manifest_work::ManifestWork;
pub use metadata::Metadata;
pub use pipeline::{Pipeline, PipelineSpec};
pub use read::{ApiObject, ReadError, read};
pub use status_collector::{StatusCollector, StatusCollectorSpec};
pub use transform::{Transform, TransformSpec};
pub use work_status::WorkStatus;

/// Gives the definitions of Stellate's own kinds, sorted by name.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![Pipeline::crd(), Transform::crd()]
}

#[cfg(test)]
mod crd_tests;
