//! Which WECs share a text: those that agree on what it reads. Properties of WECs → groups, each formed once a rendering.
//!
//! Groups of the last rendering are found again by their values, so that what was filled for them then need not be filled anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::template::Reads;
use crate::inventory::{Cluster, Inventory};
use crate::model::ClusterSet;

/// The groups of one rendering, by what is looked at and of which WECs.
pub(super) type Known = HashMap<Key, Arc<Partition>>;

/// The names that are looked at, none for all; and the WECs.
type Key = (Option<Vec<String>>, Arc<ClusterSet>);

/// For each group of WECs: the former group that had the same values.
pub(super) type Match = Vec<Option<u32>>;

/// The WECs of a set, grouped by equal values.
#[derive(Debug)]
pub(super) struct Partition {
    /// What is looked at; none for everything.
    names: Option<Vec<String>>,
    /// For each WEC of the set, ascending: its group.
    pub(super) choice: Arc<[u32]>,
    /// One WEC of each group.
    pub(super) representatives: Vec<usize>,
}

/// All groups of a rendering, and those of the one before when the values were others then.
pub(super) struct Partitions {
    inventory: Arc<Inventory>,
    known: Mutex<Known>,
    former_inventory: Arc<Inventory>,
    former: Known,
    matches: Mutex<HashMap<(usize, usize), Arc<Match>>>,
}

impl Partitions {
    /// Begins with what is known from the last rendering: its WECs, and its groups.
    pub(super) fn new(
        inventory: Arc<Inventory>,
        (former_inventory, last): (Arc<Inventory>, Known),
    ) -> Self {
        let (known, former) = if Arc::ptr_eq(&former_inventory, &inventory) {
            (last, HashMap::new())
        } else {
            (HashMap::new(), last)
        };
        Self {
            inventory,
            known: Mutex::new(known),
            former_inventory,
            former,
            matches: Mutex::default(),
        }
    }

    /// Gives what the next rendering begins with.
    pub(super) fn into_known(self) -> Known {
        let known = self.known.into_inner();
        known.unwrap_or_else(PoisonError::into_inner)
    }

    /// Groups the WECs of a set by the values of what is read; asked for the same again, gives the same.
    pub(super) fn of(&self, reads: &Reads, clusters: &Arc<ClusterSet>) -> Arc<Partition> {
        let names = match reads {
            Reads::Named(names) => Some(names.iter().cloned().collect::<Vec<_>>()),
            Reads::All => None,
        };
        let mut known = lock(&self.known);
        let key = (names, Arc::clone(clusters));
        if let Some(partition) = known.get(&key) {
            return Arc::clone(partition);
        }
        let partition = Arc::new(Partition::new(key.0.as_deref(), clusters, &self.inventory));
        // Groups of the same WECs with the same values are the same: what was filled for them is right.
        let former = self.former.get(&key);
        let former = former.filter(|former| self.is_same(former, &partition));
        let partition = former.map_or(partition, Arc::clone);
        known.insert(key, Arc::clone(&partition));
        partition
    }

    /// Finds the groups of the last rendering by what its texts chose from.
    pub(super) fn former(&self, choice: &Arc<[u32]>) -> Option<&Arc<Partition>> {
        let mut former = self.former.values();
        former.find(|partition| Arc::ptr_eq(&partition.choice, choice))
    }

    /// Finds which group of then has the values of which group of now.
    pub(super) fn matched(&self, then: &Arc<Partition>, now: &Arc<Partition>) -> Arc<Match> {
        let key = (Arc::as_ptr(then).addr(), Arc::as_ptr(now).addr());
        let mut matches = lock(&self.matches);
        let matched = matches.entry(key).or_insert_with(|| {
            let names = now.names.as_deref();
            let groups: HashMap<Vec<(&str, &str)>, u32> = then
                .representatives
                .iter()
                .map(|&cluster| looked_at(names, &self.former_inventory.clusters[cluster]))
                .zip(0..)
                .collect();
            let matched = now.representatives.iter().map(|&cluster| {
                let values = looked_at(names, &self.inventory.clusters[cluster]);
                groups.get(&values).copied()
            });
            Arc::new(matched.collect())
        });
        Arc::clone(matched)
    }

    fn is_same(&self, then: &Partition, now: &Partition) -> bool {
        let names = now.names.as_deref();
        let mut pairs = then.representatives.iter().zip(&now.representatives);
        then.choice == now.choice
            && pairs.all(|(&then, &now)| {
                looked_at(names, &self.former_inventory.clusters[then])
                    == looked_at(names, &self.inventory.clusters[now])
            })
    }
}

impl Partition {
    fn new(names: Option<&[String]>, clusters: &ClusterSet, inventory: &Inventory) -> Self {
        let mut groups: HashMap<Vec<(&str, &str)>, u32> = HashMap::new();
        let mut representatives = Vec::new();
        let choice = clusters.iter().map(|cluster| {
            let values = looked_at(names, &inventory.clusters[cluster]);
            *groups.entry(values).or_insert_with(|| {
                representatives.push(cluster);
                u32::try_from(representatives.len() - 1).unwrap_or(u32::MAX)
            })
        });
        Self {
            names: names.map(<[String]>::to_vec),
            choice: choice.collect(),
            representatives,
        }
    }
}

/// Counts the groups in front whose former numbers follow each other.
pub(super) fn run(matched: &[Option<u32>]) -> usize {
    let follows = |pair: &&[Option<u32>]| match pair {
        [Some(number), Some(next)] => *next == number + 1,
        _ => false,
    };
    1 + matched.windows(2).take_while(follows).count()
}

/// Gives the values of what is looked at; of everything when there are no names.
fn looked_at<'a>(names: Option<&'a [String]>, cluster: &'a Cluster) -> Vec<(&'a str, &'a str)> {
    match names {
        Some(names) => names
            .iter()
            .filter_map(|name| Some((name.as_str(), cluster.parameter(name)?)))
            .collect(),
        None => cluster.each_parameter().into_iter().collect(),
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
