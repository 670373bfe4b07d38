//! Groups: objects that the same strands select go the same way, so that way is worked out once.
//!
//! The policies' sets of WECs are united per group, not per object; equal sets are one value.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::Placement;
use crate::model::{ClusterSet, PolicyName};

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    ids: HashMap<Arc<[u32]>, u32, BuildHasherDefault<WordHasher>>,
    slots: Vec<Option<Group>>,
    free: Vec<u32>,
    sets: Interner,
}

/// One group.
#[derive(Debug)]
struct Group {
    strands: Arc<[u32]>,
    objects: u32,
    outcome: Option<Outcome>,
}

/// What comes out for every object of a group.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) placement: Arc<Placement>,
    pub(super) conflict: Option<Arc<Conflict>>,
}

/// Policies that want the same object on the same WEC, and not in the same way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// Those that want it created once, sorted.
    pub(super) create_only: Vec<PolicyName>,
    /// Those that want it kept up to date, sorted.
    pub(super) updated: Vec<PolicyName>,
    /// Where both do.
    pub(super) clusters: ClusterSet,
}

/// Which groups have to be worked out again.
pub(super) enum Stale<'strands> {
    /// Those with one of these strands.
    With(&'strands BTreeSet<u32>),
    All,
}

/// Keeps equal sets in one place.
#[derive(Debug, Default)]
pub(super) struct Interner {
    sets: HashSet<Arc<ClusterSet>, BuildHasherDefault<WordHasher>>,
}

/// Hashes long runs of numbers a word at a time. Not for text from outside: whoever picks the bytes can make them collide.
#[derive(Debug, Default)]
struct WordHasher(u64);

impl Groups {
    /// Puts an object that `strands` (sorted) select into its group, and gives the group.
    pub(super) fn join(&mut self, strands: &[u32]) -> u32 {
        let id = match self.ids.get(strands) {
            Some(&id) => id,
            None => self.start(strands.into()),
        };
        if let Some(group) = &mut self.slots[id as usize] {
            group.objects += 1;
        }
        id
    }

    /// Takes an object out of its group.
    pub(super) fn leave(&mut self, id: u32) {
        if let Some(group) = &mut self.slots[id as usize] {
            group.objects -= 1;
        }
    }

    /// Drops groups without objects and works out those that are new or stale; tells whether any outcome changed.
    ///
    /// An outcome that comes out equal keeps its value, so that whoever compares pointers sees that nothing changed.
    pub(super) fn refresh(
        &mut self,
        stale: &Stale<'_>,
        work_out: impl Fn(&[u32], &mut Interner) -> (Placement, Option<Conflict>),
    ) -> bool {
        let mut changed = false;
        for id in 0..self.slots.len() {
            let Some(group) = &mut self.slots[id] else {
                continue;
            };
            if group.objects == 0 {
                self.ids.remove(&group.strands);
                self.slots[id] = None;
                self.free.extend(u32::try_from(id));
                continue;
            }
            if group.outcome.is_some() && !stale.concerns(&group.strands) {
                continue;
            }
            let (placement, conflict) = work_out(&group.strands, &mut self.sets);
            match &mut group.outcome {
                Some(outcome) if *outcome.placement == placement => {
                    outcome.conflict = conflict.map(Arc::new);
                }
                outcome => {
                    changed = true;
                    *outcome = Some(Outcome {
                        placement: Arc::new(placement),
                        conflict: conflict.map(Arc::new),
                    });
                }
            }
        }
        self.sets.forget_unused(self.ids.len());
        changed
    }

    /// Gives what came out for a group.
    pub(super) fn outcome(&self, id: u32) -> Option<&Outcome> {
        self.slots.get(id as usize)?.as_ref()?.outcome.as_ref()
    }

    /// Tells whether any group has a conflict.
    pub(super) fn has_conflicts(&self) -> bool {
        let mut outcomes = self.slots.iter().flatten().map(|group| &group.outcome);
        outcomes.any(|outcome| {
            outcome
                .as_ref()
                .is_some_and(|outcome| outcome.conflict.is_some())
        })
    }

    fn start(&mut self, strands: Arc<[u32]>) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.ids.insert(Arc::clone(&strands), id);
        self.slots[id as usize] = Some(Group {
            strands,
            objects: 0,
            outcome: None,
        });
        id
    }
}

impl Stale<'_> {
    fn concerns(&self, strands: &[u32]) -> bool {
        match self {
            Self::All => true,
            Self::With(stale) if stale.is_empty() => false,
            Self::With(stale) => strands.iter().any(|strand| stale.contains(strand)),
        }
    }
}

impl Interner {
    /// Gives the one value that is equal to `set`.
    pub(super) fn share(&mut self, set: ClusterSet) -> Arc<ClusterSet> {
        if let Some(known) = self.sets.get(&set) {
            return Arc::clone(known);
        }
        let set = Arc::new(set);
        self.sets.insert(Arc::clone(&set));
        set
    }

    /// Forgets sets that nobody else has, once they are many against the `groups` in use.
    fn forget_unused(&mut self, groups: usize) {
        if self.sets.len() > 4 * groups + 64 {
            self.sets.retain(|set| Arc::strong_count(set) > 1);
        }
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_ne_bytes(*word));
        }
        for &byte in rest {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // An odd multiplier with its bits well spread: 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        // The table looks at the low bits most, and multiplication carries upwards only.
        self.0 ^ self.0 >> 32
    }
}
