//! One work as it goes to the ITS: manifests → the bytes of a server-side apply, the same for every WEC with equal works.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::feedback;
use super::piece::Manifest;
use super::shape::Part;
use super::standing::StandingWork;
use super::{DIGEST, OBJECTS, Owner, PART, PIPELINE};

/// The bytes of a server-side apply. They name no namespace, so that all WECs share them.
pub type Body = Arc<[u8]>;

/// How every one begins; what follows are members of its metadata.
const HEAD: &[u8] =
    br#"{"apiVersion":"work.open-cluster-management.io/v1","kind":"ManifestWork","metadata":{"#;

/// The bytes for one WEC: in place of the work as it was seen there, and of no other state of it.
pub(super) fn in_place_of(seen: Option<&StandingWork>, body: &Body) -> Vec<u8> {
    let Some(seen) = seen else {
        return body.to_vec();
    };
    let state = json!({"uid": seen.uid, "resourceVersion": seen.version}).to_string();
    let state = state.trim_start_matches('{').trim_end_matches('}');
    let (head, rest) = body.split_at(HEAD.len());
    [head, state.as_bytes(), b",", rest].concat()
}

/// Writes a work.
pub fn body(owner: &Owner, part: Part, digest: &str, orphan: bool, manifests: &[Manifest]) -> Body {
    let annotations: BTreeMap<&str, String> = [
        (PIPELINE, owner.pipeline().to_owned()),
        (DIGEST, digest.to_owned()),
        (PART, part.written()),
        (OBJECTS, manifests.len().to_string()),
    ]
    .into();
    let metadata = json!({
        "name": owner.work_name(part),
        "labels": owner.labels(),
        "annotations": annotations,
    });
    let configs: Vec<Value> = manifests.iter().map(config).collect();
    let text = |value: &dyn std::fmt::Display| value.to_string().into_bytes();
    let mut bytes = HEAD.to_vec();
    bytes.extend(text(&metadata).into_iter().skip(1));
    bytes.extend_from_slice(br#","spec":{"#);
    if let Some(option) = delete_option(orphan, manifests) {
        bytes.extend_from_slice(br#""deleteOption":"#);
        bytes.extend(text(&option));
        bytes.push(b',');
    }
    bytes.extend_from_slice(br#""manifestConfigs":"#);
    bytes.extend(text(&Value::Array(configs)));
    bytes.extend_from_slice(br#","workload":{"manifests":["#);
    for (number, manifest) in manifests.iter().enumerate() {
        if number > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&manifest.json);
    }
    bytes.extend_from_slice(b"]}}}");
    bytes.into()
}

/// How the agent treats one object.
///
/// Server-side apply, not OCM's default of an update: an update replaces the whole object each time, takes away what the
/// WEC's own controllers fill in (a Job's selector, what a `HorizontalPodAutoscaler` scaled) and fails on fields that may not
/// change. The field manager is OCM's own, and the same for all works, so that an object may move from one to another.
fn config(manifest: &Manifest) -> Value {
    let key = &manifest.key;
    let strategy = if manifest.mode.create_only {
        json!({"type": "CreateOnly"})
    } else {
        json!({"type": "ServerSideApply", "serverSideApply": {"fieldManager": "work-agent", "force": true}})
    };
    let mut config = Map::new();
    config.insert("resourceIdentifier".into(), identifier(manifest));
    config.insert("updateStrategy".into(), strategy);
    if let Some(rules) = feedback::rules(&key.group, &key.kind) {
        config.insert("feedbackRules".into(), rules);
    }
    Value::Object(config)
}

fn identifier(manifest: &Manifest) -> Value {
    let key = &manifest.key;
    json!({"group": &*key.group, "resource": &*manifest.resource, "namespace": &*key.namespace, "name": &*key.name})
}

/// What stays on the WEC when it leaves the work, or the work goes; none for nothing.
fn delete_option(orphan: bool, manifests: &[Manifest]) -> Option<Value> {
    if orphan {
        return Some(json!({"propagationPolicy": "Orphan"}));
    }
    let rules: Vec<Value> = manifests
        .iter()
        .filter(|manifest| manifest.mode.stays)
        .map(identifier)
        .collect();
    let some = !rules.is_empty();
    some.then(|| json!({"propagationPolicy": "SelectivelyOrphan", "selectivelyOrphans": {"orphaningRules": rules}}))
}
