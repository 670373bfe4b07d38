//! What placement knows of the objects: their facts, their place in the plan's order, and which strands select them.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::ObjectIndex;
use crate::model::{Labels, Object, ObjectKey};

/// What placement looks at in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// What identifies it; the namespace is empty exactly when it is cluster-scoped.
    pub key: ObjectKey,
    /// The resource: lower-case plural.
    pub resource: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Why it is never delivered, if so, whatever policies select: a sentence of its own, as `model::kinds` says it.
    pub excluded: Option<&'static str>,
}

/// All objects, in slots that stay theirs while others come and go.
#[derive(Debug, Default)]
pub(super) struct ObjectTable {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// The slots, sorted by key: the order of the plan.
    order: Vec<u32>,
    /// The slots of the Namespace objects, by name.
    namespace_objects: HashMap<Arc<str>, u32>,
    /// Those that are not excluded.
    pub(super) index: ObjectIndex,
}

/// One object, and what came out for it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) facts: ObjectFacts,
    /// The strands that select it, sorted.
    pub(super) strands: Vec<u32>,
    /// The group of objects it shares its placement with, once decided.
    pub(super) group: Option<u32>,
}

impl ObjectFacts {
    /// Gathers the facts of an object; one with a controller is excluded, because the controller makes it on each WEC.
    ///
    /// Which kinds are never delivered is not decided here: see [`Self::excluded_because`].
    pub fn of(object: &Object) -> Self {
        Self {
            key: object.key.clone(),
            resource: Arc::clone(&object.resource),
            labels: Arc::clone(&object.labels),
            excluded: object
                .controlled
                .then_some("its controller makes it on each WEC"),
        }
    }

    /// Excludes the object when there is a reason to.
    #[must_use]
    pub fn excluded_because(mut self, reason: Option<&'static str>) -> Self {
        self.excluded = self.excluded.or(reason);
        self
    }

    /// Tells whether it is a Namespace.
    fn is_namespace(&self) -> bool {
        &*self.key.kind == "Namespace" && self.key.group.is_empty()
    }

    /// Tells whether it is inside a namespace.
    pub(super) fn is_namespaced(&self) -> bool {
        !self.key.namespace.is_empty()
    }
}

impl ObjectTable {
    /// Adds or replaces an object; gives its slot when that changed anything.
    pub(super) fn upsert(&mut self, facts: ObjectFacts) -> Option<u32> {
        match self.position(&facts.key) {
            Ok(position) => {
                let slot = self.order[position];
                let entry = self.slots[slot as usize].as_mut()?;
                if entry.facts == facts {
                    return None;
                }
                if entry.facts.excluded.is_none() {
                    self.index.remove(slot, &entry.facts);
                }
                entry.facts = facts;
                if entry.facts.excluded.is_none() {
                    self.index.insert(slot, &entry.facts);
                }
                Some(slot)
            }
            Err(position) => {
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.slots.push(None);
                    u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
                });
                if facts.excluded.is_none() {
                    self.index.insert(slot, &facts);
                }
                if facts.is_namespace() {
                    let name = Arc::clone(&facts.key.name);
                    self.namespace_objects.insert(name, slot);
                }
                self.slots[slot as usize] = Some(Entry {
                    facts,
                    strands: Vec::new(),
                    group: None,
                });
                self.order.insert(position, slot);
                Some(slot)
            }
        }
    }

    /// Takes out an object; gives its slot and what was known of it.
    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<(u32, Entry)> {
        let position = self.position(key).ok()?;
        let slot = self.order.remove(position);
        let entry = self.slots[slot as usize].take()?;
        if entry.facts.excluded.is_none() {
            self.index.remove(slot, &entry.facts);
        }
        if entry.facts.is_namespace() {
            self.namespace_objects.remove(&entry.facts.key.name);
        }
        self.free.push(slot);
        Some((slot, entry))
    }

    /// Finds the Namespace object of that name.
    pub(super) fn namespace_object(&self, name: &str) -> Option<&Entry> {
        self.get(*self.namespace_objects.get(name)?)
    }

    /// Finds an object.
    pub(super) fn find(&self, key: &ObjectKey) -> Option<&Entry> {
        let position = self.position(key).ok()?;
        self.get(self.order[position])
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Walks the objects in the order of the plan.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.order.iter().filter_map(|&slot| self.get(slot))
    }

    /// Gives the position of a key in the order, or the position it would have.
    fn position(&self, key: &ObjectKey) -> Result<usize, usize> {
        let compare = |slot: &u32| match self.get(*slot) {
            Some(entry) => entry.facts.key.cmp(key),
            None => std::cmp::Ordering::Less,
        };
        // Sorted input is the rule: then each new object goes to the end.
        match self.order.last() {
            Some(last) if compare(last).is_lt() => Err(self.order.len()),
            _ => self.order.binary_search_by(compare),
        }
    }
}
