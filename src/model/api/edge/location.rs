//! Location: a name and labels for the SyncTargets that it selects.

use serde::Deserialize;

use crate::model::api::{ApiObject, LabelSelector, Metadata};

/// A place that policies select by its labels; its SyncTargets are the WECs there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Location {
    /// Name, labels that policies look at, annotations.
    pub metadata: Metadata,
    /// What is there.
    pub spec: LocationSpec,
}

/// What is at a Location.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocationSpec {
    /// The kind of thing that is there; only SyncTargets are understood.
    pub resource: ResourceReference,
    /// Which of them, by their labels; none: no one.
    pub instance_selector: Option<LabelSelector>,
    /// What the place is called for people.
    #[serde(default)]
    pub description: String,
}

/// A group, version and resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceReference {
    /// API group.
    #[serde(default)]
    pub group: String,
    /// API version without its group.
    #[serde(default)]
    pub version: String,
    /// Lower-case plural.
    pub resource: String,
}

impl ApiObject for Location {
    const GROUP: &'static str = super::GROUP;
    const VERSION: &'static str = super::VERSION;
    const KIND: &'static str = "Location";
}
