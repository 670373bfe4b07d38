//! Transform: each object becomes a [`Prepared`] text, cleaned and emitted once, with holes for what differs per WEC.
//!
//! Inputs are a snapshot, a plan and an inventory; output is a [`Rendered`] with diagnostics. Pure.

use std::sync::Arc;

use crate::model::{ClusterName, ClusterSet, ObjectKey};

pub mod prepared;

pub use prepared::{Fillings, Prepared, Segment};

/// Everything that every WEC gets, without repeating what is equal.
///
/// 10,000 objects on 1,000 WECs are 10,000 entries here, never ten million.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The WECs, sorted by name: those of the inventory, whether they get anything or not.
    pub clusters: Vec<ClusterName>,
    /// What goes out, sorted by key.
    pub objects: Vec<RenderedObject>,
    /// What could not be rendered, and where: its last good output stays.
    pub quarantined: Vec<Quarantined>,
}

/// One object with its texts.
#[derive(Clone, Debug)]
pub struct RenderedObject {
    /// What identifies it on a cluster.
    pub key: ObjectKey,
    /// Its texts; the sets of WECs do not overlap. One entry unless Transforms select WECs.
    pub variants: Vec<Variant>,
    /// The WECs where it is created once and then left alone.
    pub create_only: Arc<ClusterSet>,
}

/// One text of an object, and the WECs that get it.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Who gets it.
    pub clusters: Arc<ClusterSet>,
    /// The text: the same bytes for all of `clusters`, or with holes.
    pub content: Content,
}

/// The text of an object for some WECs.
#[derive(Clone, Debug)]
pub enum Content {
    /// The same bytes for every WEC.
    Shared(Arc<Prepared>),
    /// Bytes that differ where `prepared` has holes.
    Filled {
        /// The text with holes.
        prepared: Arc<Prepared>,
        /// For each WEC of the variant's set, in ascending order of position: which of `fillings` it gets.
        choice: Arc<[u32]>,
        /// Distinct fillings, one for each group of WECs with equal values of the properties that the templates read.
        fillings: Arc<Fillings>,
    },
}

/// An object that could not be rendered on some WECs.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantined {
    /// The object.
    pub key: ObjectKey,
    /// Where it keeps its last good output.
    pub clusters: Arc<ClusterSet>,
}
