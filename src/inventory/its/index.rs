//! What the watches said so far → the inventory. Pure: any order of the same events gives the same result.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::PROPERTIES_NAMESPACE;
use crate::inventory::{Inventory, files};
use crate::model::api::{ApiObject, ManagedCluster};
use crate::model::kinds::made_by_the_server;
use crate::model::{BlobId, Diagnostic, Location, ObjectKey, Origin, RepoPath};
use crate::source::Control;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// The ManagedClusters.
    Clusters,
    /// The ConfigMaps with their properties.
    Properties,
}

/// Both, in the order of their discriminants.
pub(super) const WATCHED: [Watched; 2] = [Watched::Clusters, Watched::Properties];

/// What a watch says.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Everything is told anew.
    Restarted,
    /// An object that was there at the restart.
    Listed(Box<DynamicObject>),
    /// All that were there at the restart are told.
    Synced,
    /// An object is new, or has changed.
    Applied(Box<DynamicObject>),
    /// An object is gone.
    Deleted(Box<DynamicObject>),
}

/// What is there, by name, for each watch.
#[derive(Debug, Default)]
pub(super) struct Index {
    stores: [Store; WATCHED.len()],
    changed: bool,
}

#[derive(Debug, Default)]
struct Store {
    objects: BTreeMap<Arc<str>, Control>,
    /// What a restart has told so far; until it is complete, what was there before counts.
    listing: Option<BTreeMap<Arc<str>, Control>>,
    /// Whether a listing was ever complete.
    complete: bool,
}

impl Index {
    /// Takes note of an event.
    pub(super) fn apply(&mut self, watched: Watched, event: Event) {
        let store = &mut self.stores[watched as usize];
        let changed = match event {
            Event::Restarted => {
                store.listing = Some(BTreeMap::new());
                false
            }
            Event::Listed(object) => {
                let listing = store.listing.get_or_insert_with(BTreeMap::new);
                put(listing, control(watched, *object));
                false
            }
            Event::Synced => {
                let listing = store.listing.take().unwrap_or_default();
                let changed = !store.complete || listing != store.objects;
                store.objects = listing;
                store.complete = true;
                changed
            }
            Event::Applied(object) => put(&mut store.objects, control(watched, *object)),
            Event::Deleted(object) => {
                let name = object.metadata.name.unwrap_or_default();
                store.objects.remove(name.as_str()).is_some()
            }
        };
        self.changed |= changed;
    }

    /// Whether every watch is in sync.
    pub(super) fn is_synced(&self) -> bool {
        self.stores
            .iter()
            .all(|store| store.complete && store.listing.is_none())
    }

    /// Whether there may be another inventory than at the last [`Index::inventory`].
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Makes the inventory, by the same rules as from files.
    pub(super) fn inventory(&mut self) -> (Inventory, Vec<Diagnostic>) {
        self.changed = false;
        let all = self.stores.iter().flat_map(|store| store.objects.values());
        let controls: Vec<Control> = all.cloned().collect();
        let (mut inventory, mut diagnostics) = files::read(&controls);
        // There is no file that a person could open; the object is named instead.
        for cluster in &mut inventory.clusters {
            cluster.location = None;
        }
        for diagnostic in &mut diagnostics {
            diagnostic.location = None;
        }
        (inventory, diagnostics)
    }
}

/// Puts an object in its place; tells whether that changes anything.
fn put(objects: &mut BTreeMap<Arc<str>, Control>, control: Control) -> bool {
    if made_by_the_server(&control.key).is_some() {
        return false;
    }
    let name = Arc::clone(&control.key.name);
    match objects.get(&name) {
        Some(known) if *known == control => false,
        _ => {
            objects.insert(name, control);
            true
        }
    }
}

/// Keeps of an object what an inventory is made of: thousands of them stay in memory, and most of each is bookkeeping.
fn control(watched: Watched, object: DynamicObject) -> Control {
    let metadata = object.metadata;
    let name = metadata.name.unwrap_or_default();
    let mut data = object.data;
    let (group, version, kind, namespace) = match watched {
        Watched::Clusters => (
            ManagedCluster::GROUP,
            ManagedCluster::VERSION,
            ManagedCluster::KIND,
            "",
        ),
        Watched::Properties => ("", "v1", "ConfigMap", PROPERTIES_NAMESPACE),
    };
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let mut own = json!({"name": name});
    if !namespace.is_empty() {
        own["namespace"] = namespace.into();
    }
    // Nobody looks at those of a ConfigMap.
    if watched == Watched::Clusters {
        let maps = [
            ("labels", metadata.labels),
            ("annotations", metadata.annotations),
        ];
        for (member, map) in maps {
            if let Some(map) = map {
                own[member] = json!(map);
            }
        }
    }
    if let Some(time) = metadata.deletion_timestamp {
        own["deletionTimestamp"] = json!(time);
    }
    let mut value = json!({"apiVersion": api_version, "kind": kind, "metadata": own});
    match watched {
        Watched::Clusters => {
            // Nobody who wrote it into a source let it in here: what is not said means no, as OCM has it.
            let accepted = data.pointer_mut("/spec/hubAcceptsClient");
            let accepted = accepted.map_or(Value::Bool(false), Value::take);
            value["spec"] = json!({"hubAcceptsClient": accepted});
            if let Some(Value::Array(conditions)) = data.pointer("/status/conditions") {
                let conditions: Vec<Value> = conditions.iter().map(condition).collect();
                value["status"] = json!({"conditions": conditions});
            }
        }
        Watched::Properties => {
            for member in ["data", "binaryData"] {
                if let Some(found) = data.get_mut(member) {
                    value[member] = found.take();
                }
            }
        }
    }
    let place = format!("{kind}/{name}");
    Control {
        key: ObjectKey::new(group, kind, namespace, &name),
        api_version: api_version.into(),
        value: Arc::new(value),
        location: Location::file(RepoPath::new(place)),
        origin: Origin {
            blob: BlobId([0; 20]),
            document: 0,
        },
    }
}

/// What is so, without the times at which it was heard.
fn condition(condition: &Value) -> Value {
    let mut kept = Map::new();
    for member in ["type", "status"] {
        if let Some(value) = condition.get(member) {
            kept.insert(member.to_owned(), value.clone());
        }
    }
    Value::Object(kept)
}
