//! What the parts of a pipeline ask of API servers → the least RBAC roles that let them. Pure.
//!
//! The roles come from the adapters' own lists; whoever adds a call adds it there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{hub, lease};
use crate::api_server::{Place, Right};
use crate::inventory::its;
use crate::output::mailbox::client;
use crate::status::observe::watch;

/// A part of Stellate that asks something of an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The inventory of an ITS.
    Inventory,
    /// ManifestWorks in its mailbox namespaces, and what comes back in them and in `WorkStatus` objects.
    Mailbox,
    /// Pipelines as objects.
    Pipelines,
    /// The leases by which replicas share pipelines.
    Leases,
}

impl Part {
    /// What its roles are called after it.
    fn word(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Mailbox => "mailbox",
            Self::Pipelines => "pipelines",
            Self::Leases => "leases",
        }
    }

    /// Gives what it asks.
    pub fn rights(self) -> Vec<Right> {
        match self {
            Self::Inventory => its::RIGHTS.to_vec(),
            Self::Mailbox => [&client::RIGHTS[..], &watch::RIGHTS].concat(),
            Self::Pipelines => hub::RIGHTS.to_vec(),
            Self::Leases => lease::RIGHTS.to_vec(),
        }
    }
}

/// Who gets the rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its namespace, which is that of the leases too.
    pub namespace: String,
    /// Its name, with which the names of the roles begin.
    pub name: String,
}

/// The rules of one role: verbs by group and resource.
type Rules = BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>;

/// Gives the roles, and what binds them to the account, in the order in which they are applied.
///
/// Each part has roles of its own, so that those for several API servers may meet on one.
pub fn roles(parts: &BTreeSet<Part>, account: &Account) -> Vec<Value> {
    parts
        .iter()
        .flat_map(|part| roles_of(*part, account))
        .collect()
}

fn roles_of(part: Part, account: &Account) -> Vec<Value> {
    let mut places: BTreeMap<Option<&str>, Rules> = BTreeMap::new();
    for right in part.rights() {
        let namespace = match right.place {
            Place::Everywhere => None,
            Place::Namespace(namespace) => Some(namespace),
            Place::Own => Some(account.namespace.as_str()),
        };
        let rules = places.entry(namespace).or_default();
        let verbs = rules.entry((right.group, right.resource)).or_default();
        verbs.extend(right.verbs);
    }
    let name = format!("{}-{}", account.name, part.word());
    let places = places.into_iter();
    places
        .flat_map(|(namespace, rules)| role(&name, namespace, &rules, account))
        .collect()
}

/// A role and its binding.
fn role(name: &str, namespace: Option<&str>, rules: &Rules, account: &Account) -> [Value; 2] {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let mut metadata = json!({"name": name});
    let kind = match namespace {
        None => "ClusterRole",
        Some(namespace) => {
            metadata["namespace"] = namespace.into();
            "Role"
        }
    };
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
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
        }),
    ]
}
