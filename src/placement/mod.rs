//! Placement: which object goes to which WEC, and why.
//!
//! Inputs are object facts, policies and an inventory; output is a [`Plan`] with diagnostics.
//! Pure: the same inputs give the same plan, whatever order they come in.

use std::sync::Arc;

use crate::model::{ClusterSet, PolicyName};

/// Which object goes to which WEC. Positions point into the objects and the inventory the plan was made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// For each object, in the order of `Snapshot::objects`: where it goes.
    pub placements: Vec<Placement>,
}

/// Where one object goes, and how. Most objects share their `clusters` with many others: compare pointers first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// The WECs that get it; empty when no policy selects it.
    pub clusters: Arc<ClusterSet>,
    /// The WECs where it is created once and then left alone, a subset of `clusters`; most often empty.
    pub create_only: Arc<ClusterSet>,
    /// The policies that select it, sorted.
    pub policies: Arc<[PolicyName]>,
}
