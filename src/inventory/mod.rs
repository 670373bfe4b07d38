//! The inventory: the WECs with what placement and templates look at.
//!
//! This file is pure data; `files` reads ManagedClusters and property ConfigMaps from a snapshot's control objects, `its`
//! watches them on an ITS.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{ClusterName, Labels, Location};

pub mod files;
pub mod its;

/// The properties of a WEC that a template can name, with their values; usable names only.
pub type Properties = BTreeMap<String, String>;

/// All WECs, sorted by name. A placement is pinned to one inventory: it sees nothing newer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The WECs, sorted by name; positions in [`ClusterSet`](crate::model::ClusterSet)s point here.
    pub clusters: Vec<Cluster>,
}

/// One WEC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The ManagedCluster's name.
    pub name: ClusterName,
    /// The ManagedCluster's labels.
    pub labels: Arc<Labels>,
    /// The ManagedCluster's annotations.
    pub annotations: Arc<Labels>,
    /// What templates see: property ConfigMap over annotations over labels over `clusterName`.
    pub properties: Arc<Properties>,
    /// Whether the hub accepted it; a WEC that is not accepted is no destination.
    pub accepted: bool,
    /// Whether it is being deleted; then it is no destination.
    pub deleting: bool,
    /// Whether it last said that it joined, as far as known.
    pub joined: Option<bool>,
    /// Whether it is available, as far as known; an unavailable WEC stays a destination.
    pub available: Option<bool>,
    /// Where it was read, when it was read from a file.
    pub location: Option<Location>,
}

impl Cluster {
    /// Tells whether objects may be placed on this WEC.
    pub fn is_destination(&self) -> bool {
        self.accepted && !self.deleting
    }

    /// Says why it is no destination, as the end of a sentence; none when it is one.
    pub fn why_no_destination(&self) -> Option<&'static str> {
        if self.is_destination() {
            None
        } else if self.deleting {
            Some("is being deleted")
        } else {
            Some("is not accepted by the hub")
        }
    }

    /// Gives what legacy `%(name)` parameters see: as properties, but under any key, such as `loc-name`.
    pub fn parameters(&self) -> Properties {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.each_parameter().into_iter().map(owned).collect()
    }

    /// Gives the names and values of [`Cluster::parameters`].
    pub fn each_parameter(&self) -> BTreeMap<&str, &str> {
        let layers = [&*self.labels, &*self.annotations, &*self.properties];
        let each = layers.into_iter().flatten();
        each.map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// Gives one of [`Cluster::parameters`].
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let layers = [&*self.properties, &*self.annotations, &*self.labels];
        let value = layers.into_iter().find_map(|layer| layer.get(name));
        value.map(String::as_str)
    }
}

impl Inventory {
    /// Finds the position of a WEC.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.clusters
            .binary_search_by(|cluster| cluster.name.as_str().cmp(name))
            .ok()
    }
}
