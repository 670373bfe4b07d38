//! Transform: each object becomes a [`Prepared`] text, cleaned and emitted once, with holes for what differs per WEC.
//!
//! Inputs are a snapshot's objects, a plan, an inventory and the rules; output is a [`Rendered`] with diagnostics. Pure.
//!
//! ```text
//! object ── compile (clean, rules) ──▶ Form: literal bytes + holes ── render (per group of WECs) ──▶ Rendered
//! ```

use std::sync::Arc;

use crate::model::{ClusterName, ClusterSet, ObjectKey};

pub mod clean;
pub mod compile;
pub mod jsonpath;
pub mod parameters;
mod part;
mod partition;
pub mod prepared;
mod problems;
pub mod render;
pub mod rules;
pub mod template;

#[cfg(test)]
mod render_tests;

pub use prepared::{Fillings, Prepared};
pub use render::Transformer;
pub use rules::Rules;

/// Everything that every WEC gets, without repeating what is equal.
///
/// 10,000 objects on 1,000 WECs are 10,000 entries here, never ten million.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The WECs, sorted by name: those of the inventory, whether they get anything or not.
    pub clusters: Arc<[ClusterName]>,
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
    /// Its texts; the sets of WECs do not overlap. Mostly one.
    pub variants: Arc<[Variant]>,
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

impl Variant {
    /// Appends the bytes that the WEC at this position gets to `out`; nothing when it is not in the set.
    pub fn bytes_into(&self, cluster: usize, out: &mut Vec<u8>) {
        if !self.clusters.contains(cluster) {
            return;
        }
        match &self.content {
            Content::Shared(prepared) => out.extend_from_slice(&prepared.text),
            Content::Filled {
                prepared,
                choice,
                fillings,
            } => {
                let rank = self
                    .clusters
                    .iter()
                    .take_while(|&other| other < cluster)
                    .count();
                prepared.fill_into(fillings, choice[rank] as usize, out);
            }
        }
    }
}

/// An object that could not be rendered on some WECs.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantined {
    /// The object.
    pub key: ObjectKey,
    /// Where it keeps its last good output.
    pub clusters: Arc<ClusterSet>,
}
