//! What steers other objects' texts: transforms, customizers, properties, `createOnly`. A rendering, and the locks of what
//! stands → what may be missing.
//!
//! Without them, what they remove, fill in or mark would go out as it is written, and no error would tell. A rule that is
//! deleted from a source which is understood is simply gone. Never judges by anything but the source and the locks.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::Rendering;
use crate::model::{Diagnostic, ObjectKey, Severity};
use crate::output::branch::lock::Lock;
use crate::placement::Policy;
use crate::source::{Control, Snapshot};
use crate::transform::template::Reads;
use crate::yaml;

/// The namespace of the ConfigMaps that hold properties.
const PROPERTIES: &str = "customization-properties";

/// The field that makes a policy steer texts.
const CREATE_ONLY: &str = "createOnly";

/// The words of what steers others.
const WORDS: [&str; 4] = ["Transform", "Customizer", PROPERTIES, CREATE_ONLY];

/// Finds the files and objects that cannot be read, or used, and may steer others: judged by their words, now and before,
/// since nothing better is known of them.
pub(super) fn unread(snapshot: &Snapshot) -> Vec<String> {
    let tells = |text: &str| WORDS.iter().any(|word| text.contains(word));
    let told = |text: &[u8]| tells(&String::from_utf8_lossy(text));
    let texts = &snapshot.texts;
    let broken = snapshot.broken.iter().filter(|file| {
        let text = file.blob.and_then(|blob| texts.read(&file.path, blob));
        text.is_some_and(|text| told(&text)) || texts.ever(&file.path, &told)
    });
    // Of an object whose kind nobody knows, the name is left.
    let names: HashSet<&str> = snapshot.unusable.iter().map(|key| &*key.name).collect();
    let held_rule = |text: &[u8]| holds_rule(text, &names);
    let doubtful = snapshot.doubtful.iter();
    let doubtful = doubtful.filter(|path| texts.ever(path, &held_rule));
    let files = broken.map(|file| &file.path).chain(doubtful);
    let unusable = snapshot.unusable.iter().map(ToString::to_string);
    files
        .map(ToString::to_string)
        .chain(unusable.filter(|key| tells(key)))
        .collect()
}

/// Tells whether a text has a rule with one of these names.
fn holds_rule(text: &[u8], names: &HashSet<&str>) -> bool {
    let documents = yaml::load(text, &yaml::Limits::default()).unwrap_or_default();
    documents.iter().any(|document| {
        let part = |path| document.value.pointer(path).and_then(Value::as_str);
        names.contains(part("/metadata/name").unwrap_or_default())
            && WORDS
                .iter()
                .any(|word| document.value.to_string().contains(word))
    })
}

/// Finds the objects that steer others and have an error.
pub(super) fn refused(controls: &[Control], found: &[Diagnostic]) -> Vec<String> {
    let errors = found
        .iter()
        .filter(|found| found.severity == Severity::Error);
    let refused: BTreeSet<String> = errors
        .filter_map(|error| {
            let key = error.object.as_ref()?;
            let steers = is_rule(key) || is_create_only(controls, key);
            steers.then(|| match &error.location {
                Some(location) => location.path.to_string(),
                None => key.to_string(),
            })
        })
        .collect();
    refused.into_iter().collect()
}

fn is_rule(key: &ObjectKey) -> bool {
    match (&*key.group, &*key.kind) {
        ("control.kubestellar.io", "CustomTransform")
        | ("gitops.kubestellar.io", "Transform")
        | ("edge.kubestellar.io", "Customizer") => true,
        ("", "ConfigMap") => &*key.namespace == PROPERTIES,
        _ => false,
    }
}

/// Tells whether a policy has `createOnly` somewhere, be it where it cannot be understood.
fn is_create_only(controls: &[Control], key: &ObjectKey) -> bool {
    matches!(&*key.kind, "BindingPolicy" | "EdgePlacement")
        && controls
            .iter()
            .filter(|control| control.key == *key)
            .any(|control| control.value().to_string().contains(CREATE_ONLY))
}

/// Names the rules and policies that steer texts in a rendering, sorted: what its lock remembers.
pub(super) fn names(rendering: &Rendering) -> Vec<String> {
    let policies = rendering.policies.iter().filter(|policy| {
        let mut clauses = policy.clauses.iter();
        clauses.any(|clause| clause.create_only) && is_known(rendering, policy)
    });
    let mut names: Vec<String> = rendering.rules.names().collect();
    names.extend(policies.map(name));
    names.sort();
    names
}

/// How a lock names a policy.
fn name(policy: &Policy) -> String {
    format!("BindingPolicy {}", policy.name)
}

fn is_known(rendering: &Rendering, policy: &Policy) -> bool {
    let unknown = &rendering.plan.unknown_policies;
    unknown.binary_search(&policy.name).is_err()
}

/// Gives the reasons for which nothing may go out over what stands, as far as the source itself tells.
pub(super) fn doubts(rendering: &Rendering) -> impl Iterator<Item = String> + '_ {
    rendering.unknown_rules.iter().map(|what| {
        format!(
            "{what} cannot be read in full, and seems to hold what changes other objects: transforms, properties or createOnly"
        )
    })
}

/// Gives those that the locks of what stands tell: what steered it, and is missing while something is unknown.
pub(super) fn lost(rendering: &Rendering, locks: &[Lock]) -> Vec<String> {
    let complete = rendering.snapshot.is_complete() && rendering.inventory_complete;
    let (known, unknown): (Vec<&Policy>, Vec<&Policy>) = rendering
        .policies
        .iter()
        .partition(|policy| is_known(rendering, policy));
    let mut there: BTreeSet<String> = names(rendering).into_iter().collect();
    there.extend(known.into_iter().map(name));
    let unknown: BTreeSet<String> = unknown.into_iter().map(name).collect();
    let rules = locks.iter().flat_map(|lock| &lock.rules);
    let mut missing: BTreeSet<String> = rules
        .filter(|rule| !there.contains(*rule) && (!complete || unknown.contains(*rule)))
        .cloned()
        .collect();
    if !complete {
        for lock in locks {
            missing.extend(missing_properties(rendering, lock));
        }
    }
    let told = missing.into_iter().map(|what| {
        format!("{what} was used for what stands, and may be in what cannot be read now")
    });
    told.collect()
}

/// Finds the properties that templates read, and that WECs had.
fn missing_properties(rendering: &Rendering, lock: &Lock) -> Vec<String> {
    let is_read = |name: &str| match &rendering.reads {
        Reads::All => true,
        Reads::Named(names) => names.contains(name),
    };
    let mut missing = Vec::new();
    for (cluster, locked) in lock.clusters.iter() {
        let Some(position) = rendering.inventory.position(cluster) else {
            continue;
        };
        let known = &rendering.inventory.clusters[position];
        let lost = locked
            .properties
            .keys()
            .filter(|name| is_read(name) && known.parameter(name).is_none());
        missing.extend(lost.map(|name| format!("property {name} of WEC {cluster}")));
    }
    missing
}
