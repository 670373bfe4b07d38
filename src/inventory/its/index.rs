//! What the watches said so far → the inventory. Pure: any order of the same events gives the same result.

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Map, Value, json};

use super::PROPERTIES_NAMESPACE;
use crate::api_server::{Event, Kind, Objects};
use crate::inventory::{Inventory, files};
use crate::model::api::{ApiObject as _, ManagedCluster};
use crate::model::kinds::made_by_the_server;
use crate::model::{BlobId, Diagnostic, Location, Manifest, ObjectKey, Origin, RepoPath};
use crate::source::Control;

/// The position of ManagedClusters among what is watched.
pub(super) const CLUSTERS: usize = 0;

/// What is watched: ManagedClusters, and the ConfigMaps with their properties.
pub(super) fn kinds() -> [Kind; 2] {
    let resource =
        |group, version, kind| ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let clusters = resource(
        ManagedCluster::GROUP,
        ManagedCluster::VERSION,
        ManagedCluster::KIND,
    );
    [
        Kind {
            resource: clusters,
            namespace: None,
        },
        Kind {
            resource: resource("", "v1", "ConfigMap"),
            namespace: Some(PROPERTIES_NAMESPACE),
        },
    ]
}

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Index {
    stores: [Objects<Control>; 2],
    changed: bool,
}

impl Index {
    /// Takes note of an event.
    pub(super) fn apply(&mut self, kind: usize, event: Event) {
        let keep = |object| {
            let control = control(kind, object);
            made_by_the_server(&control.key)
                .is_none()
                .then_some(control)
        };
        self.changed |= self.stores[kind].apply(event, keep);
    }

    /// Whether there may be another inventory than at the last [`Index::inventory`].
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Makes the inventory, by the same rules as from files.
    pub(super) fn inventory(&mut self) -> (Inventory, Vec<Diagnostic>) {
        self.changed = false;
        let all = self.stores.iter().flat_map(Objects::iter);
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

/// Keeps of an object what an inventory is made of: thousands of them stay in memory, and most of each is bookkeeping.
fn control(watched: usize, object: DynamicObject) -> Control {
    let metadata = object.metadata;
    let name = metadata.name.unwrap_or_default();
    let mut data = object.data;
    let (group, version, kind, namespace) = match watched {
        CLUSTERS => (
            ManagedCluster::GROUP,
            ManagedCluster::VERSION,
            ManagedCluster::KIND,
            "",
        ),
        _ => ("", "v1", "ConfigMap", PROPERTIES_NAMESPACE),
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
    if watched == CLUSTERS {
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
        CLUSTERS => {
            // Nobody who wrote it into a source let it in here: what is not said means no, as OCM has it.
            let accepted = data.pointer_mut("/spec/hubAcceptsClient");
            let accepted = accepted.map_or(Value::Bool(false), Value::take);
            value["spec"] = json!({"hubAcceptsClient": accepted});
            if let Some(Value::Array(conditions)) = data.pointer("/status/conditions") {
                let conditions: Vec<Value> = conditions.iter().map(condition).collect();
                value["status"] = json!({"conditions": conditions});
            }
        }
        _ => {
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
        manifest: Manifest::new(&value),
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
