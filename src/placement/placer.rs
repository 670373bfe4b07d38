//! The placer: takes edits one by one or in bulk, and keeps the plan up to date with work that follows the edits.
//!
//! Edits are cheap and only mark what they concern; [`Placer::plan`] settles what is marked. Few changed objects are
//! tested one by one against the clauses, many at once through the index: the same matcher answers both.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::bitmap::Bitmap;
use super::group::{Groups, Stale};
use super::index::LabelIndex;
use super::matcher::OneObject;
use super::object::{ObjectFacts, ObjectTable};
use super::policy::{Policy, PolicyProblem, Standing};
use super::policy_table::PolicyTable;
use super::{Placement, Plan};
use crate::inventory::{Cluster, Inventory};
use crate::model::selector::Answer as _;
use crate::model::{ClusterName, ClusterSet, Diagnostic, Labels, ObjectKey, PolicyName};

/// Placement that remembers: edits in, plans out. Whatever the way there, the plan is that of [`place`](super::place)
/// on what is there now.
#[derive(Debug, Default)]
pub struct Placer {
    /// Sorted by name; their positions are those of the plan's sets.
    pub(super) clusters: Vec<Cluster>,
    cluster_labels: LabelIndex,
    destinations: Bitmap,
    /// Whether WECs came or went, so that positions in the outcomes are no longer right.
    positions_moved: bool,
    pub(super) objects: ObjectTable,
    /// Labels of the Namespace objects, as given.
    namespaces: BTreeMap<String, Arc<Labels>>,
    pub(super) policies: PolicyTable,
    pub(super) groups: Groups,
    /// Objects that are new or changed: nobody knows yet what selects them.
    unmatched: Bitmap,
    /// Objects that must find their group anew.
    homeless: Bitmap,
    /// How many objects of each group live in a namespace.
    inhabitants: HashMap<Arc<str>, BTreeMap<u32, u32>>,
    implied: BTreeMap<String, Arc<ClusterSet>>,
    /// Whether objects came, went or changed their group since namespaces were implied.
    moved: bool,
}

/// This many changed objects are tested one by one; more go through the index together. Tests go both ways.
const ONE_BY_ONE: usize = if cfg!(test) { 3 } else { 64 };
/// This many WECs that come or go are moved in and out one by one; more rebuild the index.
const MOVED_ONE_BY_ONE: usize = if cfg!(test) { 2 } else { 16 };

impl Placer {
    /// Starts with nothing: no object, no policy, no WEC.
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings everything up to date, and gives the plan with all that is to be said about the input.
    pub fn plan(&mut self) -> (Plan, Vec<Diagnostic>) {
        self.settle();
        let nowhere = Arc::new(Placement::default());
        let placements = self
            .objects
            .iter()
            .map(|entry| {
                let outcome = entry.group.and_then(|group| self.groups.outcome(group));
                Arc::clone(outcome.map_or(&nowhere, |outcome| &outcome.placement))
            })
            .collect();
        let unknown = |standing| standing == Standing::Unknown;
        let plan = Plan {
            placements,
            implied_namespaces: self.implied.clone(),
            unknown_policies: self
                .policies
                .iter()
                .filter(|entry| unknown(entry.standing))
                .map(|entry| entry.policy.name.clone())
                .collect(),
        };
        (plan, self.report())
    }

    /// Gives every problem of every policy with the path of the field that has it, for exact places.
    pub fn problems(&self) -> impl Iterator<Item = (&Policy, &PolicyProblem)> {
        self.policies.iter().flat_map(|entry| {
            let problems = entry.problems.iter();
            problems.map(move |problem| (&entry.policy, problem))
        })
    }

    /// Makes the objects exactly these; each key once.
    pub fn set_objects(&mut self, mut objects: Vec<ObjectFacts>) {
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        let mut known = self.objects.iter().map(|entry| &entry.facts).peekable();
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        // Both are sorted by key, and most often nearly the same.
        for facts in objects {
            while let Some(before) = known.next_if(|before| before.key < facts.key) {
                gone.push(before.key.clone());
            }
            let before = known.next_if(|before| before.key == facts.key);
            if before != Some(&facts) {
                changed.push(facts);
            }
        }
        gone.extend(known.map(|before| before.key.clone()));
        for key in &gone {
            self.remove_object(key);
        }
        for facts in changed {
            self.upsert_object(facts);
        }
    }

    /// Adds or replaces an object.
    pub fn upsert_object(&mut self, facts: ObjectFacts) {
        if let Some(slot) = self.objects.upsert(facts) {
            self.unmatched.insert(slot);
            self.homeless.insert(slot);
        }
    }

    /// Takes out an object.
    pub fn remove_object(&mut self, key: &ObjectKey) {
        let Some((slot, entry)) = self.objects.remove(key) else {
            return;
        };
        self.unmatched.remove(slot);
        self.homeless.remove(slot);
        for strand in entry.strands {
            if let Some(strand) = self.policies.strand_mut(strand) {
                strand.set_object(slot, false);
            }
        }
        if let Some(group) = entry.group {
            self.groups.leave(group);
            count_out(&mut self.inhabitants, &entry.facts, group);
            self.moved = true;
        }
    }

    /// Makes the Namespace objects' labels exactly these, by name.
    pub fn set_namespaces(&mut self, namespaces: &BTreeMap<String, Arc<Labels>>) {
        let gone: Vec<String> = self
            .namespaces
            .keys()
            .filter(|name| !namespaces.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            self.set_namespace_labels(&name, None);
        }
        for (name, labels) in namespaces {
            self.set_namespace_labels(name, Some(Arc::clone(labels)));
        }
    }

    /// Sets the labels of a Namespace object; none when there is no such object in the source.
    ///
    /// Namespace selectors see them together with `kubernetes.io/metadata.name`, which every API server adds.
    pub fn set_namespace_labels(&mut self, namespace: &str, labels: Option<Arc<Labels>>) {
        if self.namespaces.get(namespace) == labels.as_ref() {
            return;
        }
        let index = &mut self.objects.index;
        let old = Arc::clone(index.namespace_labels(namespace));
        index.set_namespace_labels(namespace, labels.as_ref());
        let new = index.namespace_labels(namespace);
        let stale: Vec<u32> = self
            .policies
            .strands()
            .filter(|(_, strand)| strand.tells_apart(&*old, &**new))
            .map(|(id, _)| id)
            .collect();
        self.policies.unmatched.extend(stale);
        match labels {
            Some(labels) => self.namespaces.insert(namespace.to_owned(), labels),
            None => self.namespaces.remove(namespace),
        };
    }

    /// Makes the policies exactly these. Of two with the same name the later one counts.
    pub fn set_policies(&mut self, policies: Vec<Policy>) {
        let wanted: BTreeMap<PolicyName, Policy> = policies
            .into_iter()
            .map(|policy| (policy.name.clone(), policy))
            .collect();
        let gone: Vec<PolicyName> = self
            .policies
            .names
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .cloned()
            .collect();
        for name in &gone {
            self.remove_policy(name);
        }
        for policy in wanted.into_values() {
            self.upsert_policy(policy);
        }
    }

    /// Adds or replaces a policy.
    pub fn upsert_policy(&mut self, policy: Policy) {
        let gone = self
            .policies
            .upsert(policy, &self.cluster_labels, &self.destinations);
        self.forget_strands(gone);
    }

    /// Takes out a policy.
    pub fn remove_policy(&mut self, name: &PolicyName) {
        let gone = self.policies.remove(name);
        self.forget_strands(gone);
    }

    /// Makes the WECs exactly those of `inventory`.
    pub fn set_inventory(&mut self, inventory: &Inventory) {
        let gone: Vec<ClusterName> = self
            .clusters
            .iter()
            .filter(|cluster| inventory.position(cluster.name.as_str()).is_none())
            .map(|cluster| cluster.name.clone())
            .collect();
        let stay = self.clusters.len() - gone.len();
        if gone.len() + inventory.clusters.len() - stay > MOVED_ONE_BY_ONE {
            self.rebuild_inventory(inventory);
            return;
        }
        for name in &gone {
            self.remove_cluster(name);
        }
        for cluster in &inventory.clusters {
            self.upsert_cluster(cluster.clone());
        }
    }

    /// Adds or replaces a WEC.
    pub fn upsert_cluster(&mut self, cluster: Cluster) {
        let found = self
            .clusters
            .binary_search_by(|known| known.name.cmp(&cluster.name));
        let (Ok(index) | Err(index)) = found;
        let position = u32::try_from(index).unwrap_or(u32::MAX);
        let is_destination = cluster.is_destination();
        if found.is_ok() {
            let old = std::mem::replace(&mut self.clusters[index], cluster);
            let new = &self.clusters[index];
            if old.labels == new.labels && old.is_destination() == is_destination {
                return;
            }
            self.cluster_labels.remove(position, &old.labels);
        } else {
            self.cluster_labels.open_gap(position);
            self.destinations.open_gap(position);
            self.policies.open_gap(position);
            self.clusters.insert(index, cluster);
            self.positions_moved = true;
        }
        let labels = &*self.clusters[index].labels;
        self.cluster_labels.insert(position, labels);
        self.destinations.set(position, is_destination);
        self.policies
            .match_cluster(position, labels, is_destination);
    }

    /// Takes out a WEC.
    pub fn remove_cluster(&mut self, name: &ClusterName) {
        let Ok(index) = self.clusters.binary_search_by(|known| known.name.cmp(name)) else {
            return;
        };
        let position = u32::try_from(index).unwrap_or(u32::MAX);
        let cluster = self.clusters.remove(index);
        self.cluster_labels.remove(position, &cluster.labels);
        self.cluster_labels.close_gap(position);
        self.destinations.close_gap(position);
        self.policies.close_gap(position);
        self.positions_moved = true;
    }

    fn rebuild_inventory(&mut self, inventory: &Inventory) {
        self.clusters.clone_from(&inventory.clusters);
        self.cluster_labels = LabelIndex::default();
        self.destinations = Bitmap::default();
        for (position, cluster) in (0..).zip(&self.clusters) {
            self.cluster_labels.insert(position, &cluster.labels);
            self.destinations.set(position, cluster.is_destination());
        }
        self.policies
            .match_clusters(&self.cluster_labels, &self.destinations);
        self.positions_moved = true;
    }

    /// Takes strands that are gone off the objects they selected.
    fn forget_strands(&mut self, gone: Vec<(u32, Bitmap)>) {
        for (id, objects) in gone {
            for slot in objects.iter() {
                if let Some(entry) = self.objects.get_mut(slot) {
                    toggle(&mut entry.strands, id);
                    self.homeless.insert(slot);
                }
            }
        }
    }

    /// Works off everything that edits have marked. The order matters: strands select objects, objects form groups,
    /// groups go to WECs, and WECs need namespaces.
    pub(super) fn settle(&mut self) {
        self.match_objects();
        self.match_strands();
        self.find_groups();
        let changed = std::mem::take(&mut self.policies.changed);
        let stale = if std::mem::take(&mut self.positions_moved) {
            Stale::All
        } else {
            Stale::With(&changed)
        };
        let policies = &self.policies;
        let outcomes_changed = self
            .groups
            .refresh(&stale, |strands, sets| policies.placement(strands, sets));
        if std::mem::take(&mut self.moved) || outcomes_changed {
            self.imply_namespaces();
        }
    }

    /// Finds out which strands select the objects that are new or changed.
    fn match_objects(&mut self) {
        let unmatched = std::mem::take(&mut self.unmatched);
        if unmatched.len() > ONE_BY_ONE {
            let all = self.policies.strands().map(|(id, _)| id);
            let all: BTreeSet<u32> = all.collect();
            self.policies.unmatched = all;
            return;
        }
        for slot in unmatched.iter() {
            let Some(entry) = self.objects.get(slot) else {
                continue;
            };
            let namespace_labels = self
                .objects
                .index
                .known_namespace_labels(&entry.facts.key.namespace);
            let object = OneObject {
                facts: &entry.facts,
                namespace_labels: &namespace_labels,
            };
            let strands = match entry.facts.excluded {
                None => self.policies.selecting(&object),
                Some(_) => Vec::new(),
            };
            let Some(entry) = self.objects.get_mut(slot) else {
                continue;
            };
            for &id in &entry.strands {
                if let Some(strand) = self.policies.strand_mut(id) {
                    strand.set_object(slot, false);
                }
            }
            for &id in &strands {
                if let Some(strand) = self.policies.strand_mut(id) {
                    strand.set_object(slot, true);
                }
            }
            entry.strands = strands;
        }
    }

    /// Finds out which objects the strands select whose clauses are new, or whose namespaces changed.
    fn match_strands(&mut self) {
        let mut flips = Vec::new();
        for id in std::mem::take(&mut self.policies.unmatched) {
            let Some(strand) = self.policies.strand_mut(id) else {
                continue;
            };
            let selected = strand.select(&self.objects.index);
            let flipped = strand.set_objects(selected);
            if !flipped.is_empty() {
                self.homeless.or(&flipped);
                flips.push((id, flipped));
            }
        }
        // Block by block, so that the objects' lists stay in the processor's cache while all strands add to them.
        for block in 0..self.homeless.blocks() {
            for (id, flipped) in &flips {
                for slot in flipped.block(block) {
                    if let Some(entry) = self.objects.get_mut(slot) {
                        toggle(&mut entry.strands, *id);
                    }
                }
            }
        }
    }

    /// Puts objects into the group of those that the same strands select.
    fn find_groups(&mut self) {
        for slot in std::mem::take(&mut self.homeless).iter() {
            let Some(entry) = self.objects.get_mut(slot) else {
                continue;
            };
            let group = self.groups.join(&entry.strands);
            if let Some(old) = entry.group.replace(group) {
                self.groups.leave(old);
                if old == group {
                    continue;
                }
                count_out(&mut self.inhabitants, &entry.facts, old);
            }
            self.moved = true;
            if entry.facts.is_namespaced() {
                let namespace = Arc::clone(&entry.facts.key.namespace);
                let groups = self.inhabitants.entry(namespace).or_default();
                *groups.entry(group).or_default() += 1;
            }
        }
    }

    /// Finds the WECs where a namespace is needed that no policy delivers.
    fn imply_namespaces(&mut self) {
        let mut implied = BTreeMap::new();
        for (namespace, groups) in &self.inhabitants {
            let clusters = |group: &u32| {
                let outcome = self.groups.outcome(*group)?;
                let clusters = &outcome.placement.clusters;
                (!clusters.is_empty()).then_some(clusters)
            };
            let delivered = self
                .objects
                .namespace_object(namespace)
                .and_then(|entry| clusters(&entry.group?));
            let mut needed = groups.keys().filter_map(clusters);
            let Some(first) = needed.next() else {
                continue;
            };
            let mut union = Arc::clone(first);
            for more in needed {
                if !Arc::ptr_eq(&union, more) {
                    Arc::make_mut(&mut union).union_with(more);
                }
            }
            if let Some(delivered) = delivered {
                union = Arc::new(union.difference(delivered));
            }
            if union.is_empty() {
                continue;
            }
            let known = self
                .implied
                .get(&**namespace)
                .filter(|known| **known == union);
            let clusters = known.map_or(union, Arc::clone);
            implied.insert(namespace.to_string(), clusters);
        }
        self.implied = implied;
    }
}

/// Takes one object of a group out of its namespace.
fn count_out(
    inhabitants: &mut HashMap<Arc<str>, BTreeMap<u32, u32>>,
    facts: &ObjectFacts,
    group: u32,
) {
    if !facts.is_namespaced() {
        return;
    }
    let Some(groups) = inhabitants.get_mut(&*facts.key.namespace) else {
        return;
    };
    if let Some(count) = groups.get_mut(&group) {
        *count -= 1;
        if *count == 0 {
            groups.remove(&group);
        }
    }
    if groups.is_empty() {
        inhabitants.remove(&*facts.key.namespace);
    }
}

/// Puts a number into a sorted list, or takes it out when it is there.
fn toggle(list: &mut Vec<u32>, number: u32) {
    if list.last().is_none_or(|&last| last < number) {
        list.push(number);
        return;
    }
    match list.binary_search(&number) {
        Ok(place) => {
            list.remove(place);
        }
        Err(place) => list.insert(place, number),
    }
}
