//! The works as they stand on the ITS: an object's metadata → what it holds, and whether it is as we left it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

use super::piece::{Manifest, Mode};
use super::shape::{Part, Place};
use super::{DIGEST, OBJECTS, Owner, PART};
use crate::model::{ClusterName, ObjectKey};

/// Under which name our fields stand in `managedFields`.
pub const FIELD_MANAGER: &str = "stellate";

/// The annotations that say what a work holds.
const MARKS: [&str; 3] = [DIGEST, PART, OBJECTS];

/// All works of a pipeline, by WEC.
pub type Standing = BTreeMap<ClusterName, BTreeMap<Place, StandingWork>>;

/// One work as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingWork {
    /// Its id, which tells it from another work of the same name.
    pub uid: String,
    /// Which state of it was seen: who names that changes this one, or nothing.
    pub version: String,
    /// The objects that it holds, as when it was written.
    pub part: Part,
    /// What it holds; empty when it is not as we wrote it.
    pub digest: String,
    /// How many objects it holds.
    pub objects: u32,
    /// Counts the changes of what it holds.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl StandingWork {
    /// Reads a work's metadata; none when the work is not one of this owner's.
    pub fn read(owner: &Owner, metadata: &ObjectMeta) -> Option<(ClusterName, Self)> {
        let none = BTreeMap::new();
        let annotations = metadata.annotations.as_ref().unwrap_or(&none);
        if !owner.owns(metadata.labels.as_ref().unwrap_or(&none), annotations) {
            return None;
        }
        let start = owner.start_of(metadata.name.as_deref()?)?;
        let written = annotations.get(PART).map_or("", String::as_str);
        let part = Part::from_bits(start.class, written)
            .filter(|part| part.place() == start.place())
            .unwrap_or(start);
        let digest = annotations.get(DIGEST).cloned().unwrap_or_default();
        let objects = annotations
            .get(OBJECTS)
            .and_then(|number| number.parse().ok());
        let work = Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version: metadata.resource_version.clone().unwrap_or_default(),
            part,
            digest: if is_intact(metadata) {
                digest
            } else {
                String::new()
            },
            objects: objects.unwrap_or(1),
            generation: metadata.generation.unwrap_or(0),
            deleting: metadata.deletion_timestamp.is_some(),
        };
        Some((metadata.namespace.as_deref()?.into(), work))
    }

    /// Tells whether another sight of it shows the same work with the same contents; what its WEC says of it may differ.
    pub fn is_as(&self, other: &Self) -> bool {
        (&self.uid, self.generation) == (&other.uid, other.generation)
    }
}

/// Tells whether nobody changed what we wrote: whoever does takes the field from us.
fn is_intact(metadata: &ObjectMeta) -> bool {
    let entries = metadata.managed_fields.iter().flatten();
    let mut ours = false;
    for entry in entries.filter(|entry| entry.subresource.as_deref().unwrap_or("").is_empty()) {
        let is_ours = entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply");
        let has_spec = holds(entry, &["f:spec"]);
        let has = |mark| {
            holds(
                entry,
                &["f:metadata", "f:annotations", &format!("f:{mark}")],
            )
        };
        if is_ours {
            ours = holds(entry, &["f:spec", "f:workload", "f:manifests"])
                && holds(entry, &["f:spec", "f:manifestConfigs"])
                && MARKS.iter().all(has);
        } else if has_spec || MARKS.iter().any(has) {
            return false;
        }
    }
    ours
}

fn holds(entry: &ManagedFieldsEntry, path: &[&str]) -> bool {
    let mut fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    for step in path {
        fields = fields.and_then(|fields| fields.get(step));
    }
    fields.is_some()
}

/// Reads the manifests of a whole work, with how each is treated.
pub fn manifests(work: &Value) -> BTreeMap<ObjectKey, Manifest> {
    let spec = &work["spec"];
    let mut configs: BTreeMap<(&str, &str, &str), Vec<&Value>> = BTreeMap::new();
    for config in spec["manifestConfigs"].as_array().into_iter().flatten() {
        let part = |name: &str| config["resourceIdentifier"][name].as_str().unwrap_or("");
        let key = (part("group"), part("namespace"), part("name"));
        configs.entry(key).or_default().push(config);
    }
    let orphans = spec["deleteOption"]["selectivelyOrphans"]["orphaningRules"].as_array();
    let orphans: Vec<&Value> = orphans.into_iter().flatten().collect();
    let all = spec["workload"]["manifests"]
        .as_array()
        .into_iter()
        .flatten();
    let found = all.filter_map(|manifest| {
        let key = key(manifest)?;
        let configs = configs.get(&(&*key.group, &*key.namespace, &*key.name));
        // Two kinds of a group may have objects of one name: their fields tell them apart.
        let config = configs.and_then(|configs| match &configs[..] {
            [config] => Some(*config),
            several => several.iter().copied().find(|config| {
                let resource = config["resourceIdentifier"]["resource"].as_str();
                resource.is_some_and(|resource| is_resource_of(resource, &key.kind))
            }),
        })?;
        let resource = config["resourceIdentifier"]["resource"].as_str()?;
        let stays = orphans.iter().any(|rule| {
            let part = |name: &str| rule[name].as_str().unwrap_or("");
            (
                part("group"),
                part("resource"),
                part("namespace"),
                part("name"),
            ) == (&*key.group, resource, &*key.namespace, &*key.name)
        });
        let mode = Mode {
            create_only: config["updateStrategy"]["type"] == "CreateOnly",
            stays,
        };
        let json = serde_json::to_vec(manifest).ok()?.into();
        let resource = resource.into();
        Some((
            key.clone(),
            Manifest {
                key,
                resource,
                mode,
                json,
            },
        ))
    });
    found.collect()
}

/// What a plural shares with its kind.
fn is_resource_of(resource: &str, kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let stem = kind.strip_suffix('y').unwrap_or(&kind);
    resource.starts_with(stem)
}

fn key(manifest: &Value) -> Option<ObjectKey> {
    let version = manifest["apiVersion"].as_str()?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let metadata = &manifest["metadata"];
    Some(ObjectKey::new(
        group,
        manifest["kind"].as_str()?,
        metadata["namespace"].as_str().unwrap_or(""),
        metadata["name"].as_str()?,
    ))
}
