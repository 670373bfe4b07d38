//! Placement: which object goes to which WEC, and why.
//!
//! ```text
//! policies ──▶ policy: compiled ──┐   where: selectors over the WECs' labels     ┌─▶ Plan, diagnostics
//! objects, namespaces ──▶ index ──┼─▶ matcher: what each clause selects ─▶ groups┤
//! inventory ───────────▶ index ───┘                                              └─▶ explain
//! ```
//!
//! Inputs are object facts, namespace labels, policies and an inventory; output is a [`Plan`] with diagnostics.
//! [`place`] does it once; a [`Placer`] keeps its indexes and does only what an edit asks for. Both give the same plan.
//! Pure: the same inputs give the same plan, whatever order they come in.
//!
//! Unknown is not empty: what a faulty policy may have placed is in [`Placement::kept`], never just left out.

mod bitmap;
mod candidates;
mod explain;
mod group;
mod index;
mod matcher;
mod object;
mod placer;
mod policy;
mod policy_table;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::model::api::DownsyncClause as Clause;
pub use explain::{
    ClauseExplanation, CriterionExplanation, Explanation, PolicyExplanation, SelectorExplanation,
    Verdict,
};
pub use object::ObjectFacts;
pub use placer::Placer;
pub use policy::{CompiledPolicy, Policy, PolicyProblem, Standing, compile};

use crate::inventory::Inventory;
use crate::model::{ClusterSet, Diagnostic, Labels, PolicyName};

/// Which object goes to which WEC. Positions point into the objects and the inventory the plan was made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// For each object, in the order of their keys (that of `Snapshot::objects`): where it goes.
    ///
    /// Objects that go the same way share one value, also from one plan of a [`Placer`] to the next: compare pointers first.
    pub placements: Vec<Arc<Placement>>,
    /// For each namespace that objects need and no policy delivers: the WECs that must get a bare Namespace.
    ///
    /// Where the Namespace object is [kept](Placement::kept), what is there already goes before the bare one.
    pub implied_namespaces: BTreeMap<String, Arc<ClusterSet>>,
    /// Policies that have faults and no good version, sorted: nobody can say what they select.
    pub unknown_policies: Vec<PolicyName>,
}

/// Where one object goes, and how. Many placements share their `clusters`: compare pointers first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// The WECs that get it; empty when no policy selects it.
    pub clusters: Arc<ClusterSet>,
    /// The WECs where it is created once and then left alone, a subset of `clusters`; most often empty.
    pub create_only: Arc<ClusterSet>,
    /// The WECs, none of them in `clusters`, where an unknown policy may want it: what is there stays, nothing is added.
    pub kept: Arc<ClusterSet>,
    /// The policies that select it, sorted; those that are unknown are not among them.
    pub policies: Arc<[PolicyName]>,
    /// The `StatusCollectors` that look at it, sorted.
    pub status_collectors: Vec<String>,
    /// Whether its status is to come back from the one WEC it runs on.
    pub want_singleton_reported_state: bool,
    /// Whether its status is to come back aggregated from all WECs.
    pub want_multi_wec_reported_state: bool,
}

/// Decides once for all objects.
///
/// `objects` may come in any order, each key once; the plan has them sorted by key. `namespaces` holds the labels of the
/// Namespace objects by name. `policies` are told apart by name; of two with the same name the later one counts.
pub fn place(
    objects: Vec<ObjectFacts>,
    namespaces: &BTreeMap<String, Arc<Labels>>,
    policies: Vec<Policy>,
    inventory: &Inventory,
) -> (Plan, Vec<Diagnostic>) {
    let mut placer = Placer::new();
    placer.set_inventory(inventory);
    placer.set_namespaces(namespaces);
    placer.set_objects(objects);
    placer.set_policies(policies);
    placer.plan()
}
