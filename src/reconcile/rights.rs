//! What the parts of a pipeline ask of API servers → the least RBAC roles that let them. Pure.
//!
//! The roles come from the adapters' own lists; whoever adds a call adds it there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{hub, lease};
use crate::api_server::{Place, Right};
use crate::inventory::its;

/// A part of Stellate that asks something of an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The inventory of an ITS.
    Inventory,
    /// ManifestWorks in its mailbox namespaces, and what comes back in them and in WorkStatuses.
    Mailbox,
    /// Pipelines as objects.
    Pipelines,
    /// The leases by which replicas share pipelines.
    Leases,
}

/// What the mailbox output and its observation ask of the ITS.
const MAILBOX: [Right; 2] = [
    Right {
        place: Place::Everywhere,
        group: "work.open-cluster-management.io",
        resource: "manifestworks",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
    },
    Right {
        place: Place::Everywhere,
        group: "control.kubestellar.io",
        resource: "workstatuses",
        verbs: &["list", "watch"],
    },
];

impl Part {
    /// Gives what it asks.
    pub fn rights(self) -> &'static [Right] {
        match self {
            Self::Inventory => &its::RIGHTS,
            Self::Mailbox => &MAILBOX,
            Self::Pipelines => &hub::RIGHTS,
            Self::Leases => &lease::RIGHTS,
        }
    }
}

/// Who gets the rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its namespace, which is that of the leases too.
    pub namespace: String,
    /// Its name, which the roles have too.
    pub name: String,
}

/// The rules of one role: verbs by group and resource.
type Rules = BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>;

/// Gives the roles, and what binds them to the account, in the order in which they are applied.
pub fn roles(parts: &BTreeSet<Part>, account: &Account) -> Vec<Value> {
    let mut everywhere = Rules::new();
    let mut within: BTreeMap<&str, Rules> = BTreeMap::new();
    for right in parts.iter().flat_map(|part| part.rights()) {
        let rules = match right.place {
            Place::Everywhere => &mut everywhere,
            Place::Namespace(namespace) => within.entry(namespace).or_default(),
            Place::Own => within.entry(&account.namespace).or_default(),
        };
        let verbs = rules.entry((right.group, right.resource)).or_default();
        verbs.extend(right.verbs);
    }
    let mut all = Vec::new();
    if !everywhere.is_empty() {
        all.extend(role("ClusterRole", None, &everywhere, account));
    }
    for (namespace, rules) in within {
        all.extend(role("Role", Some(namespace), &rules, account));
    }
    all
}

/// A role and its binding.
fn role(kind: &str, namespace: Option<&str>, rules: &Rules, account: &Account) -> [Value; 2] {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let mut metadata = json!({"name": account.name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    let version = format!("{GROUP}/v1");
    let rules: Vec<Value> = rules
        .iter()
        .map(|((group, resource), verbs)| {
            json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        })
        .collect();
    [
        json!({"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": version,
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": account.name},
            "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
        }),
    ]
}
