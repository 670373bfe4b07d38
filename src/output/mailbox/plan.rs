//! What is to be written: a layout against the works that stand → writes and deletions by WEC, and what they change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::layout::{Layout, id};
use super::piece::Manifest;
use super::shape::{Part, Place};
use super::standing::{Standing, StandingWork};
use crate::model::{ClusterName, ObjectKey};
use crate::output::branch::change::{Change, FileChange, FileChanges};
use crate::output::branch::hash::ObjectId;
use crate::output::path::path_of;

/// What is to be done in one WEC's mailbox; never nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPlan {
    /// The WEC.
    pub cluster: ClusterName,
    /// Its position among the WECs; none for one that is not in the inventory any more.
    pub position: Option<usize>,
    /// The works that are written, those that others need first.
    pub writes: Vec<Write>,
    /// The works that go, once all is written.
    pub deletions: Vec<Deletion>,
}

/// One work that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The objects that it holds.
    pub part: Part,
    /// What it will hold.
    pub digest: String,
    /// The work that it takes the place of; none where none stands.
    pub over: Option<StandingWork>,
    /// The works to which objects move from this one: only when the WEC has applied them may they leave it, or the agent
    /// would delete them.
    pub after: Vec<Part>,
}

/// One work that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// As it was seen: another one of the same name stays.
    pub work: StandingWork,
    /// As for a [`Write`].
    pub after: Vec<Part>,
}

/// Compares what is wanted with what stands. WECs for which there is nothing to do are left out.
pub fn plan(layout: &Layout, standing: &Standing) -> Vec<ClusterPlan> {
    let none = BTreeMap::new();
    let known = layout.clusters().iter().enumerate();
    let mut plans: Vec<ClusterPlan> = known
        .filter_map(|(position, name)| {
            plan_cluster(layout, position, name, standing.get(name).unwrap_or(&none))
        })
        .collect();
    let names: BTreeSet<&ClusterName> = layout.clusters().iter().collect();
    for (name, works) in standing.iter().filter(|(name, _)| !names.contains(name)) {
        let works = works.values().filter(|work| !work.deleting);
        let deletions: Vec<Deletion> = works.map(|work| deletion(work, &[])).collect();
        if !deletions.is_empty() {
            plans.push(ClusterPlan {
                cluster: name.clone(),
                position: None,
                writes: Vec::new(),
                deletions,
            });
        }
    }
    plans
}

fn plan_cluster(
    layout: &Layout,
    position: usize,
    name: &ClusterName,
    standing: &BTreeMap<Place, StandingWork>,
) -> Option<ClusterPlan> {
    let wanted: Vec<(Part, String)> = layout.works(position).collect();
    let mut writes = Vec::new();
    for (part, digest) in &wanted {
        let stands = standing.get(&part.place());
        if stands.is_some_and(|work| work.digest == *digest && !work.deleting) {
            continue;
        }
        writes.push(Write {
            part: *part,
            digest: digest.clone(),
            over: stands.filter(|work| !work.deleting).cloned(),
            after: stands.map_or_else(Vec::new, |work| movers(work, &wanted)),
        });
    }
    let places: BTreeSet<Place> = wanted.iter().map(|(part, _)| part.place()).collect();
    let gone = standing
        .iter()
        .filter(|(place, work)| !places.contains(place) && !work.deleting);
    let deletions: Vec<Deletion> = gone.map(|(_, work)| deletion(work, &wanted)).collect();
    let some = !writes.is_empty() || !deletions.is_empty();
    some.then(|| ClusterPlan {
        cluster: name.clone(),
        position: Some(position),
        writes,
        deletions,
    })
}

fn deletion(work: &StandingWork, wanted: &[(Part, String)]) -> Deletion {
    Deletion {
        work: work.clone(),
        after: movers(work, wanted),
    }
}

/// The wanted works whose objects are, or were, in this one.
fn movers(work: &StandingWork, wanted: &[(Part, String)]) -> Vec<Part> {
    let others = wanted.iter().map(|(part, _)| *part).filter(|part| {
        part.class == work.part.class
            && part.place() != work.part.place()
            && work.part.contains(part.start)
    });
    others.collect()
}

/// What is known of the contents of works that stand.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What was delivered last.
    pub last: Option<&'a Layout>,
    /// What is delivered now, as far as it is decided.
    pub next: Option<&'a Layout>,
    /// What was read.
    pub read: &'a Contents,
}

/// The manifests of works that were read.
pub type Contents = BTreeMap<(ClusterName, Place), BTreeMap<ObjectKey, Manifest>>;

impl Known<'_> {
    /// Tells whether it is known what a work holds.
    pub fn holds(&self, cluster: &ClusterName, work: &StandingWork) -> bool {
        self.read
            .contains_key(&(cluster.clone(), work.part.place()))
            || self.layout(cluster, work).is_some()
    }

    /// Gives the objects of a work with their digests; nothing when it is not known.
    pub fn entries(
        &self,
        cluster: &ClusterName,
        work: &StandingWork,
    ) -> BTreeMap<ObjectKey, ObjectId> {
        if let Some(read) = self.read.get(&(cluster.clone(), work.part.place())) {
            let entries = read
                .iter()
                .map(|(key, manifest)| (key.clone(), id(&manifest.sum())));
            return entries.collect();
        }
        self.layout(cluster, work)
            .map(|(layout, position, part)| layout.entries(position, part))
            .unwrap_or_default()
    }

    /// Gives the manifest of an object in a work.
    pub fn manifest(
        &self,
        cluster: &ClusterName,
        work: &StandingWork,
        key: &ObjectKey,
    ) -> Option<Manifest> {
        if let Some((layout, position, _)) = self.layout(cluster, work) {
            return layout.manifest(position, key);
        }
        let read = self.read.get(&(cluster.clone(), work.part.place()))?;
        read.get(key).cloned()
    }

    /// Finds the layout in which a work is what it is.
    fn layout(&self, cluster: &ClusterName, work: &StandingWork) -> Option<(&Layout, usize, Part)> {
        [self.last, self.next]
            .into_iter()
            .flatten()
            .find_map(|layout| {
                let position = layout.clusters().binary_search(cluster).ok()?;
                let mut works = layout.works(position);
                let same = works.find(|(part, digest)| {
                    part.place() == work.part.place() && *digest == work.digest
                });
                Some((layout, position, same?.0))
            })
    }
}

/// Says what a plan changes, object by object, as a generated branch would say it. Equal changes of many WECs are one.
pub fn change(
    layout: &Layout,
    standing: &Standing,
    plans: &[ClusterPlan],
    known: &Known<'_>,
) -> Change {
    let mut change = Change::default();
    for (name, works) in standing {
        let objects: u64 = works.values().map(|work| u64::from(work.objects)).sum();
        change.files_before += objects;
        change.clusters_before += usize::from(objects > 0);
        let after = layout.clusters().binary_search(name);
        let after = after.map_or(0, |position| layout.objects(position));
        if objects > 0 && after == 0 {
            change.emptied.push(name.clone());
        }
    }
    let mut shared: HashMap<Vec<(Place, String, String)>, Arc<FileChanges>> = HashMap::new();
    for plan in plans {
        let Some(works) = standing.get(&plan.cluster) else {
            let objects = plan.position.map_or(0, |position| layout.objects(position));
            change.fresh.insert(plan.cluster.clone(), objects);
            continue;
        };
        let places = places(plan);
        let digest = |place: Place| {
            works
                .get(&place)
                .map(|work| work.digest.clone())
                .unwrap_or_default()
        };
        let next = |place: Place| {
            next(layout, plan, place)
                .map(|(_, digest)| digest)
                .unwrap_or_default()
        };
        let pairs: Vec<(Place, String, String)> = places
            .iter()
            .map(|&place| (place, digest(place), next(place)))
            .collect();
        // What somebody else changed has no digest.
        let comparable = places
            .iter()
            .all(|place| works.get(place).is_none_or(|work| !work.digest.is_empty()));
        let files = match shared.get(&pairs) {
            Some(files) if comparable => Arc::clone(files),
            _ => Arc::new(compare(layout, plan, works, &places, known)),
        };
        if comparable {
            shared.insert(pairs, Arc::clone(&files));
        }
        if !files.is_empty() {
            change.clusters.insert(plan.cluster.clone(), files);
        }
    }
    change
}

/// All works that a plan is about: those that change, and those to which objects move.
fn places(plan: &ClusterPlan) -> BTreeSet<Place> {
    let writes = plan.writes.iter().map(|write| (write.part, &write.after));
    let deletions = plan
        .deletions
        .iter()
        .map(|deletion| (deletion.work.part, &deletion.after));
    let all = writes.chain(deletions);
    all.flat_map(|(part, after)| std::iter::once(part).chain(after.iter().copied()))
        .map(Part::place)
        .collect()
}

fn next(layout: &Layout, plan: &ClusterPlan, place: Place) -> Option<(Part, String)> {
    let mut works = layout.works(plan.position?);
    works.find(|(part, _)| part.place() == place)
}

fn compare(
    layout: &Layout,
    plan: &ClusterPlan,
    works: &BTreeMap<Place, StandingWork>,
    places: &BTreeSet<Place>,
    known: &Known<'_>,
) -> FileChanges {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    for &place in places {
        if let Some(work) = works.get(&place) {
            before.extend(known.entries(&plan.cluster, work));
        }
        if let (Some(position), Some((part, _))) = (plan.position, next(layout, plan, place)) {
            after.extend(layout.entries(position, part));
        }
    }
    let mut changes = FileChanges::new();
    for (key, &id) in &before {
        match after.get(key) {
            None => changes.insert(path_of(key), FileChange::Removed(id)),
            Some(&now) if now != id => changes.insert(path_of(key), FileChange::Changed(id, now)),
            Some(_) => None,
        };
    }
    for (key, &id) in after.iter().filter(|(key, _)| !before.contains_key(key)) {
        changes.insert(path_of(key), FileChange::Added(id));
    }
    changes
}
