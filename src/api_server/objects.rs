//! What a watch said so far: the objects that are there, by name. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DynamicObject;

use super::Event;

/// The objects of one kind in one place, each reduced to what its reader needs of it.
#[derive(Clone, Debug)]
pub struct Objects<T> {
    known: BTreeMap<Arc<str>, T>,
    /// What a restart has told so far; until it is complete, what was there before counts.
    listing: Option<BTreeMap<Arc<str>, T>>,
    /// Whether a listing was ever complete.
    complete: bool,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            listing: None,
            complete: false,
        }
    }
}

impl<T: PartialEq> Objects<T> {
    /// Takes note of an event; tells whether it changed anything. An object of which nothing is kept is none.
    pub fn apply(&mut self, event: Event, keep: impl FnOnce(DynamicObject) -> Option<T>) -> bool {
        match event {
            Event::Restarted => {
                self.listing = Some(BTreeMap::new());
                false
            }
            Event::Listed(object) => {
                put(
                    self.listing.get_or_insert_with(BTreeMap::new),
                    *object,
                    keep,
                );
                false
            }
            Event::Synced => {
                let listing = self.listing.take().unwrap_or_default();
                let changed = !self.complete || listing != self.known;
                self.known = listing;
                self.complete = true;
                changed
            }
            Event::Applied(object) => put(&mut self.known, *object, keep),
            Event::Deleted(object) => self.known.remove(name(&object)).is_some(),
        }
    }

    /// Gives all objects, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.known.values()
    }
}

fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

fn put<T: PartialEq>(
    objects: &mut BTreeMap<Arc<str>, T>,
    object: DynamicObject,
    keep: impl FnOnce(DynamicObject) -> Option<T>,
) -> bool {
    let name: Arc<str> = name(&object).into();
    match keep(object) {
        None => objects.remove(&name).is_some(),
        Some(new) if objects.get(&name) == Some(&new) => false,
        Some(new) => {
            objects.insert(name, new);
            true
        }
    }
}
