//! The index, told in any order, gives what the same manifests give as files.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use proptest::prelude::*;
use proptest::sample::Index as Choice;
use serde_json::{Value, json};

use super::index::{CLUSTERS, Index};
use super::*;
use crate::api_server::Event;
use crate::inventory::files;
use crate::model::{BlobId, Location, Manifest, ObjectKey, Origin, RepoPath};
use crate::source::Control;

/// The position of the ConfigMaps among what is watched.
const PROPERTIES: usize = 1;

/// What the ITS holds, by kind and name.
type Truth = BTreeMap<(usize, String), Value>;

fn cluster(name: &str, variant: usize) -> Value {
    let mut cluster = json!({
        "apiVersion": "cluster.open-cluster-management.io/v1",
        "kind": "ManagedCluster",
        "metadata": {
            "name": name, "uid": format!("u{variant}"), "resourceVersion": "7",
            "labels": {"env": if variant.is_multiple_of(2) { "prod" } else { "test" }, "tier": variant.to_string()},
            "annotations": {"city": "Thun", "example.org/long": "x"},
            "managedFields": [{"manager": "clusteradm", "operation": "Apply"}],
        },
        "spec": {"hubAcceptsClient": variant != 3, "leaseDurationSeconds": 60},
        "status": {"capacity": {"cpu": "4"}, "conditions": [
            {"type": "ManagedClusterJoined", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "ManagedClusterConditionAvailable", "status": if variant == 1 { "False" } else { "Unknown" }},
        ]},
    });
    if variant == 4 {
        cluster["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        cluster.as_object_mut().unwrap().remove("status");
    }
    cluster
}

fn properties(name: &str, variant: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "customization-properties", "labels": {"a": "b"}},
        "data": {"tills": variant.to_string(), "not-usable": "x", "env": "shop"},
        "binaryData": {"word": "Z3J1ZXp5", "bytes": "/w=="},
    })
}

fn object(value: &Value) -> Box<DynamicObject> {
    Box::new(serde_json::from_value(value.clone()).unwrap())
}

/// What files with these manifests give; the places, which an ITS has none of, left out.
fn from_files(truth: &Truth) -> (Inventory, Vec<Diagnostic>) {
    let controls: Vec<Control> = truth
        .values()
        .map(|value| {
            let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or("");
            let group = match text("/kind") {
                "ConfigMap" => "",
                _ => "cluster.open-cluster-management.io",
            };
            let name = text("/metadata/name");
            Control {
                key: ObjectKey::new(group, text("/kind"), text("/metadata/namespace"), name),
                api_version: text("/apiVersion").into(),
                manifest: Manifest::new(value),
                location: Location::file(RepoPath::new(format!("{}/{name}", text("/kind")))),
                origin: Origin {
                    blob: BlobId([0; 20]),
                    document: 0,
                },
            }
        })
        .collect();
    let (mut inventory, mut diagnostics) = files::read(&controls);
    for cluster in &mut inventory.clusters {
        cluster.location = None;
    }
    for diagnostic in &mut diagnostics {
        diagnostic.location = None;
    }
    (inventory, diagnostics)
}

/// One thing that happens on the ITS.
#[derive(Clone, Debug)]
enum Step {
    Write {
        kind: usize,
        name: usize,
        variant: usize,
    },
    Remove {
        kind: usize,
        name: usize,
    },
    Relist {
        kind: usize,
        from: Choice,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (kind, name) = (0..2_usize, 0..4_usize);
    prop_oneof![
        4 => (kind.clone(), name.clone(), 0..5_usize)
            .prop_map(|(kind, name, variant)| Step::Write { kind, name, variant }),
        2 => (kind.clone(), name).prop_map(|(kind, name)| Step::Remove { kind, name }),
        1 => (kind, any::<Choice>()).prop_map(|(kind, from)| Step::Relist { kind, from }),
    ]
}

/// Tells the index everything of a kind, beginning anywhere.
fn relist(index: &mut Index, truth: &Truth, kind: usize, from: Option<&Choice>) {
    index.apply(kind, Event::Restarted);
    let own = truth.iter().filter(|((of, _), _)| *of == kind);
    let mut own: Vec<&Value> = own.map(|(_, value)| value).collect();
    if let (Some(from), false) = (from, own.is_empty()) {
        let middle = from.index(own.len());
        own.rotate_left(middle);
    }
    for value in own {
        index.apply(kind, Event::Listed(object(value)));
    }
    index.apply(kind, Event::Synced);
}

fn happen(index: &mut Index, truth: &mut Truth, step: &Step) {
    let named = |name: usize| format!("wec{name}");
    match step {
        Step::Write {
            kind,
            name,
            variant,
        } => {
            let name = named(*name);
            let value = match *kind {
                CLUSTERS => cluster(&name, *variant),
                _ => properties(&name, *variant),
            };
            index.apply(*kind, Event::Applied(object(&value)));
            truth.insert((*kind, name), value);
        }
        Step::Remove { kind, name } => {
            if let Some(value) = truth.remove(&(*kind, named(*name))) {
                index.apply(*kind, Event::Deleted(object(&value)));
            }
        }
        Step::Relist { kind, from } => relist(index, truth, *kind, Some(from)),
    }
}

proptest! {
    #[test]
    fn any_history_gives_what_the_same_manifests_give_as_files(
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let (mut index, mut truth) = (Index::default(), Truth::new());
        for kind in [CLUSTERS, PROPERTIES] {
            relist(&mut index, &truth, kind, None);
        }
        for step in &steps {
            happen(&mut index, &mut truth, step);
        }
        prop_assert_eq!(index.inventory(), from_files(&truth));
    }
}

#[test]
fn until_a_new_listing_is_complete_what_was_there_counts() {
    let mut index = Index::default();
    let truth = Truth::from([((0, "a".to_owned()), cluster("a", 0))]);
    relist(&mut index, &truth, CLUSTERS, None);
    index.apply(CLUSTERS, Event::Restarted);
    assert_eq!(index.inventory().0.clusters.len(), 1);
    index.apply(CLUSTERS, Event::Synced);
    assert_eq!(index.inventory().0.clusters.len(), 0);
}

#[test]
fn what_changes_nothing_of_an_inventory_is_no_news() {
    let mut index = Index::default();
    let mut truth = Truth::from([((0, "a".to_owned()), cluster("a", 0))]);
    relist(&mut index, &truth, 0, None);
    relist(&mut index, &truth, 1, None);
    assert!(index.has_changed());
    assert_eq!(index.inventory().0.clusters.len(), 1);

    let heartbeat = truth.values_mut().next().unwrap();
    heartbeat["metadata"]["resourceVersion"] = json!("8");
    heartbeat["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-02-02T00:00:00Z");
    index.apply(CLUSTERS, Event::Applied(object(heartbeat)));
    relist(&mut index, &truth, 0, None);
    let server = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kube-root-ca.crt", "namespace": "customization-properties"},
    });
    index.apply(PROPERTIES, Event::Applied(object(&server)));
    assert!(!index.has_changed());
}
