//! The policies at work: compiled, with the WECs each one matches, and their strands.
//!
//! A strand is a policy's clauses that treat their objects alike; it knows which objects it selects. Which strands
//! select an object is all that its placement depends on, besides the policies' WECs.

use std::collections::{BTreeMap, BTreeSet};

use super::Placement;
use super::bitmap::Bitmap;
use super::candidates::Candidates;
use super::group::{Conflict, Interner};
use super::matcher::{ObjectSpace, OneObject, any_of};
use super::policy::{CompiledPolicy, Modulation, Policy, PolicyProblem, Standing, Strand, compile};
use crate::model::selector::{Answer as _, LabelSpace};
use crate::model::{ClusterSet, PolicyName};

/// All policies.
#[derive(Debug, Default)]
pub(super) struct PolicyTable {
    pub(super) names: BTreeMap<PolicyName, u32>,
    slots: Vec<Option<PolicyEntry>>,
    free: Vec<u32>,
    strands: Vec<Option<LiveStrand>>,
    free_strands: Vec<u32>,
    candidates: Candidates,
    /// Strands whose clauses are new: nobody knows yet what they select.
    pub(super) unmatched: BTreeSet<u32>,
    /// Strands whose policy goes to other WECs than before, or treats its objects differently.
    pub(super) changed: BTreeSet<u32>,
}

/// One policy.
#[derive(Debug)]
pub(super) struct PolicyEntry {
    pub(super) policy: Policy,
    pub(super) standing: Standing,
    pub(super) problems: Vec<PolicyProblem>,
    pub(super) compiled: CompiledPolicy,
    /// The WECs that its selectors match.
    pub(super) matched: Bitmap,
    /// Those of them that are destinations.
    pub(super) clusters: Bitmap,
    pub(super) strands: Vec<u32>,
}

/// One strand, with the objects it selects.
#[derive(Debug)]
pub(super) struct LiveStrand {
    /// The policy's slot.
    policy: u32,
    pub(super) strand: Strand,
    objects: Bitmap,
    /// How many objects that is; counted along, because every report asks whether it is none.
    count: usize,
}

impl PolicyTable {
    /// Adds or replaces a policy. Gives the strands that are gone, with the objects they selected.
    pub(super) fn upsert(
        &mut self,
        policy: Policy,
        clusters: &impl LabelSpace<Answer = Bitmap>,
        destinations: &Bitmap,
    ) -> Vec<(u32, Bitmap)> {
        let known = self.names.get(&policy.name).copied();
        if known.is_some_and(|slot| {
            self.slots[slot as usize]
                .as_ref()
                .is_some_and(|entry| entry.policy == policy)
        }) {
            return Vec::new();
        }
        let slot = known.unwrap_or_else(|| {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            });
            self.names.insert(policy.name.clone(), slot);
            slot
        });
        let old = self.slots[slot as usize].take();
        let (mut compiled, problems) = compile(&policy);
        let strands = std::mem::take(&mut compiled.strands);
        let matched = any_of(&compiled.cluster_selectors, clusters);
        let mut destinations = destinations.clone();
        destinations.and(&matched);
        let same_outcome = old.as_ref().is_some_and(|old| {
            old.standing == compiled.standing && old.clusters.same(&destinations)
        });
        let old_strands = old.map_or_else(Vec::new, |old| old.strands);
        let (strands, gone) = self.replace_strands(slot, old_strands, strands, same_outcome);
        self.slots[slot as usize] = Some(PolicyEntry {
            policy,
            standing: compiled.standing,
            problems,
            compiled,
            matched,
            clusters: destinations,
            strands,
        });
        gone
    }

    /// Takes out a policy. Gives its strands, with the objects they selected.
    pub(super) fn remove(&mut self, name: &PolicyName) -> Vec<(u32, Bitmap)> {
        let Some(slot) = self.names.remove(name) else {
            return Vec::new();
        };
        self.free.push(slot);
        match self.slots[slot as usize].take() {
            Some(entry) => {
                self.replace_strands(slot, entry.strands, Vec::new(), false)
                    .1
            }
            None => Vec::new(),
        }
    }

    /// Puts new strands in the place of old ones, so that a small edit of a policy keeps what its strands select.
    fn replace_strands(
        &mut self,
        policy: u32,
        old: Vec<u32>,
        new: Vec<Strand>,
        same_outcome: bool,
    ) -> (Vec<u32>, Vec<(u32, Bitmap)>) {
        let mut old = old.into_iter();
        let mut ids = Vec::with_capacity(new.len());
        for strand in new {
            let reused = old.next();
            let id = reused
                .or_else(|| self.free_strands.pop())
                .unwrap_or_else(|| {
                    self.strands.push(None);
                    u32::try_from(self.strands.len() - 1).unwrap_or(u32::MAX)
                });
            ids.push(id);
            match &mut self.strands[id as usize] {
                Some(live) => {
                    if live.strand.matchers != strand.matchers {
                        self.unmatched.insert(id);
                        self.candidates.remove(id, live.strand.matchers());
                        self.candidates.insert(id, strand.matchers());
                    }
                    if !same_outcome || live.strand.modulation != strand.modulation {
                        self.changed.insert(id);
                    }
                    live.strand = strand;
                }
                vacant => {
                    self.unmatched.insert(id);
                    self.changed.insert(id);
                    self.candidates.insert(id, strand.matchers());
                    *vacant = Some(LiveStrand {
                        policy,
                        strand,
                        objects: Bitmap::default(),
                        count: 0,
                    });
                }
            }
        }
        let gone = old
            .map(|id| {
                self.unmatched.remove(&id);
                self.free_strands.push(id);
                let Some(live) = self.strands[id as usize].take() else {
                    return (id, Bitmap::default());
                };
                self.candidates.remove(id, live.strand.matchers());
                (id, live.objects)
            })
            .collect();
        (ids, gone)
    }

    /// Matches every policy anew against all WECs.
    pub(super) fn match_clusters(
        &mut self,
        clusters: &impl LabelSpace<Answer = Bitmap>,
        destinations: &Bitmap,
    ) {
        for entry in self.slots.iter_mut().flatten() {
            entry.matched = any_of(&entry.compiled.cluster_selectors, clusters);
            entry.clusters = entry.matched.clone();
            entry.clusters.and(destinations);
            self.changed.extend(&entry.strands);
        }
    }

    /// Matches every policy anew against one WEC.
    pub(super) fn match_cluster(
        &mut self,
        position: u32,
        labels: &impl LabelSpace<Answer = bool>,
        is_destination: bool,
    ) {
        for entry in self.slots.iter_mut().flatten() {
            let matched = any_of(&entry.compiled.cluster_selectors, labels);
            entry.matched.set(position, matched);
            if entry.clusters.set(position, matched && is_destination) {
                self.changed.extend(&entry.strands);
            }
        }
    }

    /// Makes room for a WEC.
    pub(super) fn open_gap(&mut self, position: u32) {
        for entry in self.slots.iter_mut().flatten() {
            entry.matched.open_gap(position);
            entry.clusters.open_gap(position);
        }
    }

    /// Forgets a WEC.
    pub(super) fn close_gap(&mut self, position: u32) {
        for entry in self.slots.iter_mut().flatten() {
            entry.matched.close_gap(position);
            entry.clusters.close_gap(position);
        }
    }

    /// Walks the policies by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PolicyEntry> {
        self.names
            .values()
            .filter_map(|&slot| self.slots[slot as usize].as_ref())
    }

    /// Walks the strands with their ids.
    pub(super) fn strands(&self) -> impl Iterator<Item = (u32, &LiveStrand)> {
        (0..)
            .zip(&self.strands)
            .filter_map(|(id, strand)| Some((id, strand.as_ref()?)))
    }

    /// Gives the strands that select one object, sorted.
    pub(super) fn selecting(&self, object: &OneObject<'_>) -> Vec<u32> {
        let candidates = self.candidates.of(object);
        let selects = |id: &u32| self.strand(*id).is_some_and(|live| live.select(object));
        candidates.into_iter().filter(selects).collect()
    }

    pub(super) fn strand(&self, id: u32) -> Option<&LiveStrand> {
        self.strands.get(id as usize)?.as_ref()
    }

    pub(super) fn strand_mut(&mut self, id: u32) -> Option<&mut LiveStrand> {
        self.strands.get_mut(id as usize)?.as_mut()
    }

    /// Works out the placement of the objects that exactly these strands select.
    pub(super) fn placement(
        &self,
        strands: &[u32],
        sets: &mut Interner,
    ) -> (Placement, Option<Conflict>) {
        let mut wanted: Vec<(&PolicyEntry, &Modulation)> = strands
            .iter()
            .filter_map(|&id| {
                let live = self.strand(id)?;
                let entry = self.slots[live.policy as usize].as_ref()?;
                Some((entry, &live.strand.modulation))
            })
            .collect();
        wanted.sort_by(|a, b| a.0.policy.name.cmp(&b.0.policy.name));
        let (mut updated, mut create_only, mut kept) = <(Bitmap, Bitmap, Bitmap)>::default();
        let (mut updaters, mut creators) = <(Vec<&PolicyName>, Vec<&PolicyName>)>::default();
        let mut names = Vec::with_capacity(wanted.len());
        let mut merged = Modulation::default();
        for same_policy in wanted.chunk_by(|a, b| std::ptr::eq(a.0, b.0)) {
            let entry = same_policy[0].0;
            if entry.standing == Standing::Unknown {
                kept.or(&entry.clusters);
                continue;
            }
            let name = &entry.policy.name;
            names.push(name.clone());
            let creates_only = same_policy
                .iter()
                .any(|(_, modulation)| modulation.create_only);
            let (set, by) = if creates_only {
                (&mut create_only, &mut creators)
            } else {
                (&mut updated, &mut updaters)
            };
            set.or(&entry.clusters);
            by.push(name);
            for (_, modulation) in same_policy {
                merged.merge(modulation);
            }
        }
        let create_only = create_only.into_cluster_set();
        let mut clusters = updated.into_cluster_set();
        let both = create_only.intersection(&clusters);
        clusters.union_with(&create_only);
        let kept = kept.into_cluster_set().difference(&clusters);
        let conflict = (!both.is_empty()).then(|| self.conflict(creators, updaters, both));
        let placement = Placement {
            clusters: sets.share(clusters),
            create_only: sets.share(create_only),
            kept: sets.share(kept),
            policies: names.into(),
            status_collectors: merged.status_collectors.into_iter().collect(),
            want_singleton_reported_state: merged.want_singleton_reported_state,
            want_multi_wec_reported_state: merged.want_multi_wec_reported_state,
        };
        (placement, conflict)
    }

    /// Describes a conflict, leaving out policies that have no part in it.
    fn conflict(
        &self,
        mut create_only: Vec<&PolicyName>,
        mut updated: Vec<&PolicyName>,
        clusters: ClusterSet,
    ) -> Conflict {
        let takes_part = |name: &&PolicyName| {
            let entry = self
                .names
                .get(*name)
                .map(|&slot| &self.slots[slot as usize]);
            entry.and_then(Option::as_ref).is_some_and(|entry| {
                let wanted = entry.clusters.clone().into_cluster_set();
                !wanted.intersection(&clusters).is_empty()
            })
        };
        create_only.retain(takes_part);
        updated.retain(takes_part);
        let named = |names: Vec<&PolicyName>| names.into_iter().cloned().collect();
        Conflict {
            create_only: named(create_only),
            updated: named(updated),
            clusters,
        }
    }
}

impl LiveStrand {
    /// Tells whether the strand selects any object.
    pub(super) fn selects_any(&self) -> bool {
        self.count > 0
    }

    /// Puts one object in or out.
    pub(super) fn set_object(&mut self, slot: u32, selected: bool) {
        if self.objects.set(slot, selected) {
            self.count = if selected {
                self.count + 1
            } else {
                self.count - 1
            };
        }
    }

    /// Replaces all objects; gives those that came or went.
    pub(super) fn set_objects(&mut self, objects: Bitmap) -> Bitmap {
        let flipped = objects.difference(&self.objects);
        self.count = objects.len();
        self.objects = objects;
        flipped
    }

    /// Gives the objects of `space` that the strand selects.
    pub(super) fn select<S: ObjectSpace>(&self, space: &S) -> S::Answer {
        let mut answer = space.labels().nothing();
        for (_, matcher) in &self.strand.matchers {
            answer.or(&matcher.select(space));
        }
        answer
    }

    /// Tells whether it can matter to the strand that a namespace's labels change from `old` to `new`.
    pub(super) fn tells_apart(
        &self,
        old: &impl LabelSpace<Answer = bool>,
        new: &impl LabelSpace<Answer = bool>,
    ) -> bool {
        self.strand
            .matchers
            .iter()
            .filter_map(|(_, matcher)| matcher.namespace_selectors())
            .any(|selectors| any_of(selectors, old) != any_of(selectors, new))
    }
}
