//! The API objects that steer Stellate, as serde types, and how manifests become them.
//!
//! ```text
//! serde_json::Value ── read::<BindingPolicy>() ──▶ BindingPolicy
//!                                              └─▶ ReadError { path, message, help }
//! ```
//!
//! KubeStellar's and OCM's kinds are read only; [`Pipeline`] and [`Transform`] are Stellate's own, and their CRDs
//! come from the same types. Pure data: nothing here reads a file or talks to a server.

pub mod binding_policy;
pub mod custom_transform;
pub mod edge;
pub mod label_selector;
pub mod managed_cluster;
pub mod metadata;
pub mod read;
pub mod status_collector;

pub use binding_policy::{BindingPolicy, BindingPolicySpec, DownsyncClause};
pub use custom_transform::{CustomTransform, CustomTransformSpec};
pub use label_selector::{LabelSelector, LabelSelectorRequirement};
pub use managed_cluster::ManagedCluster;
pub use metadata::Metadata;
pub use read::{ApiObject, PathPart, ReadError, read};
pub use status_collector::{StatusCollector, StatusCollectorSpec};
