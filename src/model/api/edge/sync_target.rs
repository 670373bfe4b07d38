//! SyncTarget: the WEC of the first API.

use serde::Deserialize;

use crate::model::api::{ApiObject, Metadata};

/// One WEC; its `spec` says how it is synchronised, which is nothing to Stellate.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SyncTarget {
    /// Name, labels that Locations look at, annotations.
    pub metadata: Metadata,
    /// Passed over.
    #[serde(default, rename = "spec")]
    _spec: serde::de::IgnoredAny,
}

impl ApiObject for SyncTarget {
    const GROUP: &'static str = super::GROUP;
    const VERSION: &'static str = super::VERSION;
    const KIND: &'static str = "SyncTarget";
}
