//! Control objects → the policies that placement takes: `BindingPolicy` and legacy `EdgePlacement` alike.
//!
//! A policy that cannot be read is not left out: it stands as unknown, so that nothing it may have placed is removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::api::edge::EdgePlacement;
use crate::model::api::{self, BindingPolicy, BindingPolicySpec, ReadError};
use crate::model::{Diagnostic, PolicyName};
use crate::placement::Policy;
use crate::source::Control;

/// Reads all policies, sorted by name.
///
/// No earlier version stands in for a faulty one: a process that has just begun knows none, and would come to another
/// result. What the policy placed last is in what was delivered last, and stays there.
///
/// Two policies of one name (a BindingPolicy and an EdgePlacement) cannot be told apart: the second is an error.
pub fn read(controls: &[Control]) -> (Vec<Policy>, Vec<Diagnostic>) {
    let mut policies: BTreeMap<PolicyName, Policy> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for control in controls {
        let spec = match (&*control.key.group, &*control.key.kind) {
            ("control.kubestellar.io", "BindingPolicy") => {
                api::read::<BindingPolicy>(&control.value()).map(|read| read.spec)
            }
            ("edge.kubestellar.io", "EdgePlacement") => {
                let read = api::read::<EdgePlacement>(&control.value()).map(|read| read.spec);
                if read.as_ref().is_ok_and(|spec| !spec.upsync.is_empty()) {
                    diagnostics.push(upsync(control));
                }
                read.map(api::edge::EdgePlacementSpec::into_binding_policy_spec)
            }
            _ => continue,
        };
        let name = PolicyName::new(Arc::clone(&control.key.name));
        let policy = match spec {
            Ok(spec) => policy(control, name.clone(), spec),
            Err(error) => {
                let policy = unreadable(control, name.clone(), &error);
                let path = error.path.clone();
                let found = error.diagnostic(control.location.clone());
                let found = found.object(control.key.clone()).policy(name.clone());
                let found = match found.help {
                    Some(_) => found,
                    None => found
                        .help("until it can be read, nothing that it may have placed is removed"),
                };
                diagnostics.push(found.in_field(control.origin, path));
                policy
            }
        };
        if let Some(first) = policies.get(&name) {
            let place = first
                .location
                .as_ref()
                .map_or_else(String::new, ToString::to_string);
            let message = format!("a second policy has the name {name:?}; the first is at {place}");
            diagnostics.push(
                Diagnostic::error("DuplicatePolicy", message)
                    .at(control.location.clone())
                    .object(control.key.clone())
                    .help("rename one of them"),
            );
            continue;
        }
        policies.insert(name, policy);
    }
    (policies.into_values().collect(), diagnostics)
}

fn policy(control: &Control, name: PolicyName, spec: BindingPolicySpec) -> Policy {
    Policy {
        location: Some(control.location.clone()),
        cluster_selectors: spec.cluster_selectors,
        clauses: spec.downsync,
        unreadable: None,
        name,
    }
}

fn unreadable(control: &Control, name: PolicyName, error: &ReadError) -> Policy {
    Policy {
        location: Some(control.location.clone()),
        cluster_selectors: Vec::new(),
        clauses: Vec::new(),
        unreadable: Some(error.to_string()),
        name,
    }
}

fn upsync(control: &Control) -> Diagnostic {
    Diagnostic::note(
        "UpsyncNotDelivered",
        "upsync is read, and nothing is brought back from the WECs",
    )
    .at(control.location.clone())
    .object(control.key.clone())
}
