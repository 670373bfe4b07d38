//! The inventory as files of the source: ManagedClusters, property ConfigMaps, and the first API's SyncTargets.
//!
//! Inputs are a snapshot's control objects; output is an [`Inventory`] with diagnostics. Pure.
//!
//! ```text
//! ManagedCluster ──────────────────┐
//! SyncTarget ◀── selects ── Location ──┴─▶ labels, annotations ──┬──▶ Cluster
//! ConfigMap customization-properties/<WEC> ──────────────────────┘
//! ```
//!
//! A WEC whose manifest cannot be read is missing from the result, and an error that carries its name says so; an
//! error that carries none may concern any WEC. Whoever delivers keeps what they have, for unknown is not empty. An
//! empty result is judged elsewhere too.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::inventory::{Cluster, Inventory, Properties};
use crate::model::api::edge::Location;
use crate::model::api::{ApiObject, ManagedCluster, Metadata, read as read_object};
use crate::model::names;
use crate::model::{ClusterName, Diagnostic, Labels};
use crate::source::Control;

mod legacy;
mod properties;

#[cfg(test)]
mod tests;

/// The WECs found so far.
type Clusters = BTreeMap<ClusterName, Cluster>;

/// Reads all WECs; the order of their manifests changes nothing.
///
/// Only an explicit `hubAcceptsClient: false` makes a WEC no destination here. OCM takes an absent field as
/// `false`, because there somebody must let a stranger in; who writes a WEC into the source has let it in.
pub fn read(controls: &[Control]) -> (Inventory, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let mut sorted: Vec<&Control> = controls.iter().collect();
    sorted.sort_by(|a, b| (&a.location, &a.origin).cmp(&(&b.location, &b.origin)));

    let mut clusters = Clusters::new();
    let read = each(of_kind::<ManagedCluster>(&sorted), managed, &mut findings);
    for cluster in read.into_iter().flatten() {
        add(&mut clusters, cluster, &mut findings);
    }
    for cluster in legacy::clusters(&sorted, &mut findings) {
        add(&mut clusters, cluster, &mut findings);
    }
    let mut configured = properties::read(&sorted, &clusters, &mut findings);
    let own = |cluster: &Cluster| configured.remove(&cluster.name).unwrap_or_default();
    let own: Vec<Properties> = clusters.values().map(own).collect();
    let mut clusters: Vec<Cluster> = clusters.into_values().collect();
    clusters
        .par_iter_mut()
        .zip(own)
        .for_each(|(cluster, own)| cluster.properties = Arc::new(properties::merge(cluster, own)));
    findings.sort();
    (Inventory { clusters }, findings)
}

/// Reads control objects on all cores; what is found comes in their order.
fn each<'a, T: Send>(
    controls: impl Iterator<Item = &'a Control>,
    read: impl Fn(&'a Control, &mut Vec<Diagnostic>) -> T + Sync,
    findings: &mut Vec<Diagnostic>,
) -> Vec<T> {
    let controls: Vec<&Control> = controls.collect();
    let (read, found): (Vec<T>, Vec<Vec<Diagnostic>>) = controls
        .into_par_iter()
        .map(|control| {
            let mut found = Vec::new();
            (read(control, &mut found), found)
        })
        .unzip();
    findings.extend(found.into_iter().flatten());
    read
}

/// The control objects of one kind.
fn of_kind<'a, T: ApiObject>(controls: &[&'a Control]) -> impl Iterator<Item = &'a Control> {
    controls
        .iter()
        .copied()
        .filter(|control| &*control.key.group == T::GROUP && &*control.key.kind == T::KIND)
}

/// Reads one ManagedCluster; none when it is no usable WEC.
fn managed(control: &Control, findings: &mut Vec<Diagnostic>) -> Option<Cluster> {
    let object: ManagedCluster = parsed(control, findings)?;
    let found = Cluster {
        accepted: object.spec.hub_accepts_client != Some(false),
        deleting: object.metadata.deletion_timestamp.is_some(),
        joined: object.joined(),
        available: object.available(),
        ..cluster(control, object.metadata, findings)?
    };
    if !found.accepted {
        let finding = Diagnostic::warning(
            "NotAccepted",
            "the hub does not accept this WEC, which therefore gets nothing",
        );
        findings.push(about(control, finding).help("set `spec.hubAcceptsClient: true`"));
    }
    if found.deleting {
        let finding = Diagnostic::warning(
            "BeingDeleted",
            "this WEC is being deleted and therefore gets nothing",
        );
        findings.push(about(control, finding));
    }
    Some(found)
}

/// Reads a control object; an error names the WEC, so that what it has can be kept.
fn parsed<T: ApiObject>(control: &Control, findings: &mut Vec<Diagnostic>) -> Option<T> {
    read_object(&control.value())
        .map_err(|error| {
            findings.push(about(control, error.diagnostic(control.location.clone())));
        })
        .ok()
}

/// Builds a WEC that is accepted and of which nothing is heard; none when no WEC can be called so.
fn cluster(
    control: &Control,
    metadata: Metadata,
    findings: &mut Vec<Diagnostic>,
) -> Option<Cluster> {
    if let Err(invalid) = names::validate_namespace(&metadata.name) {
        let text = format!("a WEC is called like its mailbox namespace: {invalid}");
        findings.push(about(control, Diagnostic::error("InvalidName", text)));
        return None;
    }
    check_labels(control, &metadata.labels, findings);
    Some(Cluster {
        name: ClusterName::new(metadata.name),
        labels: Arc::new(metadata.labels),
        annotations: Arc::new(metadata.annotations),
        properties: Arc::default(),
        accepted: true,
        deleting: false,
        joined: None,
        available: None,
        location: Some(control.location.clone()),
    })
}

/// Reports labels that no API server would take; selectors see them all the same.
fn check_labels(control: &Control, labels: &Labels, findings: &mut Vec<Diagnostic>) {
    for (key, value) in labels {
        let judged =
            names::validate_label_key(key).and_then(|()| names::validate_label_value(value));
        if let Err(invalid) = judged {
            let text = format!("metadata.labels: {invalid}");
            findings.push(about(control, Diagnostic::warning("InvalidLabel", text)));
        }
    }
}

/// Adds a WEC; the first one of a name stays.
fn add(clusters: &mut Clusters, cluster: Cluster, findings: &mut Vec<Diagnostic>) {
    let Some(first) = clusters.get(&cluster.name) else {
        clusters.insert(cluster.name.clone(), cluster);
        return;
    };
    let text = match &first.location {
        Some(place) => format!(
            "WEC `{}` is written twice; the one at {place} counts",
            first.name
        ),
        None => format!(
            "WEC `{}` is written twice; the first one counts",
            first.name
        ),
    };
    let mut finding = Diagnostic::error("DuplicateCluster", text)
        .help("remove one of the two")
        .cluster(cluster.name);
    finding.location = cluster.location;
    findings.push(finding);
}

/// Says what a finding is about: the object, its place, and the WEC of its name.
///
/// A Location is called otherwise than its WECs: what is wrong with one may concern any of them.
fn about(control: &Control, finding: Diagnostic) -> Diagnostic {
    let finding = finding
        .at(control.location.clone())
        .object(control.key.clone());
    if *control.key.kind == *Location::KIND {
        return finding;
    }
    finding.cluster(ClusterName::new(Arc::clone(&control.key.name)))
}
