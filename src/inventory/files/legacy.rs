//! The WECs of KubeStellar's first API: SyncTargets, each with the labels of the Location that selects it.
//!
//! Policies look at a Location's labels, and parameters such as `%(loc-name)` at the labels and annotations of
//! both. So the Location's labels become the WEC's labels, and whatever else the two say becomes its annotations:
//! looked up there first and among the labels then, every name has the value that counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::inventory::Cluster;
use crate::model::api::LabelSelector;
use crate::model::api::edge::{Location, SyncTarget};
use crate::model::{Diagnostic, Labels};
use crate::source::Control;

use super::{about, check_labels, cluster, of_kind, parsed};

/// Reads a WEC for each SyncTarget that a Location selects; its name is the SyncTarget's.
pub(super) fn clusters(controls: &[&Control], findings: &mut Vec<Diagnostic>) -> Vec<Cluster> {
    let targets: Vec<(&Control, SyncTarget)> = of_kind::<SyncTarget>(controls)
        .filter_map(|control| Some((control, parsed(control, findings)?)))
        .collect();
    let mut locations: Vec<(&Control, Location)> = of_kind::<Location>(controls)
        .filter_map(|control| {
            let location = parsed(control, findings)?;
            of_sync_targets(control, &location, findings).then_some((control, location))
        })
        .collect();
    locations.sort_by(|(_, a), (_, b)| a.metadata.name.cmp(&b.metadata.name));

    let mut chosen: BTreeMap<usize, &Location> = BTreeMap::new();
    for (control, location) in &locations {
        check_labels(control, &location.metadata.labels, findings);
        let mut alone = true;
        for (number, (target_control, target)) in targets.iter().enumerate() {
            if !is_there(location, &target.metadata.labels) {
                continue;
            }
            alone = false;
            match chosen.get(&number) {
                None => {
                    chosen.insert(number, location);
                }
                Some(first) => findings.push(contested(target_control, first, location)),
            }
        }
        if alone {
            let finding = Diagnostic::warning("NoSyncTarget", "no SyncTarget is at this Location")
                .help("give a SyncTarget the labels that `spec.instanceSelector` asks for");
            findings.push(about(control, finding));
        }
    }
    let mut found = Vec::new();
    for (number, (control, target)) in targets.into_iter().enumerate() {
        match chosen.get(&number) {
            Some(location) => found.extend(placed(control, target, location, findings)),
            None => findings.push(about(
                control,
                Diagnostic::note(
                    "NoLocation",
                    "no Location selects this SyncTarget, which is therefore no WEC",
                ),
            )),
        }
    }
    found
}

/// Whether a Location is about SyncTargets; anything else is reported.
fn of_sync_targets(control: &Control, location: &Location, findings: &mut Vec<Diagnostic>) -> bool {
    let resource = &location.spec.resource;
    let understood = resource.resource == "synctargets"
        && (resource.group.is_empty() || resource.group == "edge.kubestellar.io");
    if !understood {
        let text = format!(
            "spec.resource: a Location of `{}` in group `{}` is not understood",
            resource.resource, resource.group
        );
        let finding = Diagnostic::error("InvalidValue", text)
            .help("write `resource: {group: edge.kubestellar.io, version: v2alpha1, resource: synctargets}`");
        findings.push(about(control, finding));
    }
    understood
}

/// Builds the WEC of a SyncTarget at a Location.
fn placed(
    control: &Control,
    target: SyncTarget,
    location: &Location,
    findings: &mut Vec<Diagnostic>,
) -> Option<Cluster> {
    let deleting = target.metadata.deletion_timestamp.is_some();
    let labels = location.metadata.labels.clone();
    let mut annotations = target.metadata.labels.clone();
    annotations.extend(target.metadata.annotations.clone());
    // What the Location says counts, as a label or as an annotation.
    annotations.retain(|key, _| !labels.contains_key(key));
    annotations.extend(location.metadata.annotations.clone());
    Some(Cluster {
        labels: Arc::new(labels),
        annotations: Arc::new(annotations),
        deleting,
        ..cluster(control, target.metadata, findings)?
    })
}

fn contested(control: &Control, first: &Location, second: &Location) -> Diagnostic {
    let (first, second) = (&first.metadata.name, &second.metadata.name);
    let text = format!(
        "Locations `{first}` and `{second}` both select this SyncTarget; the labels of `{first}` count"
    );
    about(control, Diagnostic::warning("SeveralLocations", text))
}

/// Whether a SyncTarget with these labels is at the Location. No selector selects nobody, as in Kubernetes.
fn is_there(location: &Location, labels: &Labels) -> bool {
    location
        .spec
        .instance_selector
        .as_ref()
        .is_some_and(|selector| selects(selector, labels))
}

/// Whether the selector selects these labels; an operator that does not exist selects nothing.
fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let exact = selector
        .match_labels
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    exact
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = value.is_some_and(|value| requirement.values.contains(value));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}
