//! Kinds: what a manifest's group and kind are called as a resource, and whether they live in namespaces.
//!
//! Inputs are the built-in API (a table), CustomResourceDefinitions and the configuration; output is a lookup.
//! An unknown kind stays unknown: nothing here guesses a plural.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::id::ObjectKey;
use super::names::{self, InvalidName, NameRule};
use super::object::Scope;

mod table;

/// What is known about a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// Kind in CamelCase.
    pub kind: Arc<str>,
    /// The resource: lower-case plural, as policies name it.
    pub resource: Arc<str>,
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// Which rule the names of its objects follow.
    pub names: NameRule,
}

/// All known kinds, by group and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds {
    groups: BTreeMap<Arc<str>, BTreeMap<Arc<str>, KindInfo>>,
}

/// Why a kind could not be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// A field of a CustomResourceDefinition is missing or no text.
    #[error("the CustomResourceDefinition has no usable `{field}`")]
    Field {
        /// Path of the field, with dots.
        field: &'static str,
    },
    /// The scope is neither of the two that exist.
    #[error("scope `{scope}` is neither `Namespaced` nor `Cluster`")]
    Scope {
        /// The scope as written.
        scope: String,
    },
    /// A CustomResourceDefinition that every API server refuses.
    #[error("the CustomResourceDefinition must be named `{wanted}`, not `{found}`")]
    Name {
        /// Plural and group, joined with a dot.
        wanted: String,
        /// The name as written.
        found: String,
    },
    /// Two definitions of one kind contradict each other; the first one stays.
    #[error("{kind} in group `{group}` is known as {first}, and cannot also be {second}")]
    Contradiction {
        /// API group.
        group: Arc<str>,
        /// Kind.
        kind: Arc<str>,
        /// Resource and scope that stay.
        first: String,
        /// Resource and scope that are refused.
        second: String,
    },
}

impl Kinds {
    /// The built-in API of Kubernetes up to 1.36, and the custom kinds that Stellate itself reads or writes.
    pub fn builtin() -> Self {
        let mut groups: BTreeMap<Arc<str>, BTreeMap<Arc<str>, KindInfo>> = BTreeMap::new();
        for &(group, kinds) in table::GROUPS {
            let group: Arc<str> = group.into();
            let entries = groups.entry(Arc::clone(&group)).or_default();
            for &(kind, resource, scope) in kinds {
                let info = info(Arc::clone(&group), kind.into(), resource, scope);
                entries.insert(Arc::clone(&info.kind), info);
            }
        }
        Self { groups }
    }

    /// Gives what is known about a kind; `group` is empty for the core group.
    pub fn get(&self, group: &str, kind: &str) -> Option<&KindInfo> {
        self.groups.get(group)?.get(kind)
    }

    /// Walks all kinds, sorted by group, then kind: comparable with what an API server's discovery lists.
    pub fn iter(&self) -> impl Iterator<Item = &KindInfo> {
        self.groups.values().flat_map(BTreeMap::values)
    }

    /// Adds a kind, as the configuration names it. Adding what is already known changes nothing.
    pub fn add(
        &mut self,
        group: &str,
        kind: &str,
        plural: &str,
        scope: Scope,
    ) -> Result<(), KindError> {
        if let Some(known) = self.get(group, kind) {
            if &*known.resource == plural && known.scope == scope {
                return Ok(());
            }
            return Err(KindError::Contradiction {
                group: Arc::clone(&known.group),
                kind: Arc::clone(&known.kind),
                first: describe(&known.resource, known.scope),
                second: describe(plural, scope),
            });
        }
        let info = info(group.into(), kind.into(), plural, scope);
        self.groups
            .entry(Arc::clone(&info.group))
            .or_default()
            .insert(Arc::clone(&info.kind), info);
        Ok(())
    }

    /// Adds the kind that a CustomResourceDefinition (`apiextensions.k8s.io/v1` or `v1beta1`) defines.
    pub fn add_crd(&mut self, definition: &Value) -> Result<(), KindError> {
        let text = |pointer: &str, field| {
            let value = definition.pointer(pointer).and_then(Value::as_str);
            value
                .filter(|text| !text.is_empty())
                .ok_or(KindError::Field { field })
        };
        let group = text("/spec/group", "spec.group")?;
        let kind = text("/spec/names/kind", "spec.names.kind")?;
        let plural = text("/spec/names/plural", "spec.names.plural")?;
        let scope = match text("/spec/scope", "spec.scope")? {
            "Namespaced" => Scope::Namespaced,
            "Cluster" => Scope::Cluster,
            other => {
                return Err(KindError::Scope {
                    scope: other.to_owned(),
                });
            }
        };
        let name = text("/metadata/name", "metadata.name")?;
        let wanted = format!("{plural}.{group}");
        if name != wanted {
            return Err(KindError::Name {
                wanted,
                found: name.to_owned(),
            });
        }
        self.add(group, kind, plural, scope)
    }

    /// Finds what an unknown group and kind were meant to be: the same kind in another group, the resource written
    /// in place of the kind, or a kind that differs by few letters.
    pub fn nearest(&self, group: &str, kind: &str) -> Option<&KindInfo> {
        self.iter()
            .filter_map(|info| {
                let spelling = if info.resource.eq_ignore_ascii_case(kind) {
                    0
                } else {
                    names::slips(kind, &info.kind)?
                };
                let other_group = info.group.as_ref() != group;
                let far = names::slips(group, &info.group).unwrap_or(100);
                Some(((spelling + usize::from(other_group), far), info))
            })
            .min_by_key(|&(distance, _)| distance)
            .map(|(_, info)| info)
    }
}

impl KindInfo {
    /// Judges the name of an object of this kind.
    pub fn validate_name(&self, name: &str) -> Result<(), InvalidName> {
        names::validate_name(self.names, name)
    }
}

/// Says why a resource never reaches a WEC, whatever policies select; none for one that may.
///
/// As in KubeStellar, which leaves out the same groups and resources and whatever an API server cannot list and
/// watch; `APIService` objects are delivered, as KubeStellar's documentation promises.
pub fn never_downsynced(group: &str, resource: &str) -> Option<&'static str> {
    const OBSERVED: &str = "the WEC's own controllers write it";
    const STEERING: &str = "it steers the delivery and is no workload";
    match (group, resource) {
        ("flowcontrol.apiserver.k8s.io", _) => Some("it belongs to one API server"),
        ("coordination.k8s.io" | "discovery.k8s.io", _)
        | ("", "events" | "nodes" | "endpoints")
        | ("events.k8s.io", "events")
        | ("storage.k8s.io", "csinodes" | "csistoragecapacities") => Some(OBSERVED),
        ("authentication.k8s.io" | "authorization.k8s.io", _)
        | ("", "bindings" | "componentstatuses") => {
            Some("it is a request to an API server and is not kept there")
        }
        ("control.kubestellar.io" | "edge.kubestellar.io" | "gitops.kubestellar.io", _)
        | ("cluster.open-cluster-management.io", "managedclusters") => Some(STEERING),
        _ => None,
    }
}

/// Says why an object is left to the WEC: every API server, or its controllers, makes it by itself.
pub fn made_by_the_server(key: &ObjectKey) -> Option<&'static str> {
    match (&*key.group, &*key.kind, &*key.namespace, &*key.name) {
        ("", "ConfigMap", _, "kube-root-ca.crt") => {
            Some("every cluster puts its own certificate authority there")
        }
        ("", "ServiceAccount", _, "default") => Some("every namespace gets it by itself"),
        ("", "Service", "default", "kubernetes") => Some("every API server makes it for itself"),
        _ => None,
    }
}

fn info(group: Arc<str>, kind: Arc<str>, resource: &str, scope: Scope) -> KindInfo {
    let names = name_rule(&group, &kind);
    KindInfo {
        group,
        kind,
        resource: resource.into(),
        scope,
        names,
    }
}

/// The rule for names of a kind, from the validation of each built-in kind.
fn name_rule(group: &str, kind: &str) -> NameRule {
    match (group, kind) {
        ("", "Namespace") | ("cluster.open-cluster-management.io", "ManagedCluster") => {
            NameRule::Label
        }
        ("", "Service") => NameRule::LabelFromLetter,
        ("batch", "CronJob") => NameRule::ShortSubdomain,
        // A trust bundle is named after its signer, with colons; an IPAddress after its address.
        ("rbac.authorization.k8s.io", _)
        | ("certificates.k8s.io", "CertificateSigningRequest" | "ClusterTrustBundle")
        | ("networking.k8s.io", "IPAddress")
        | ("apiregistration.k8s.io", "APIService") => NameRule::PathSegment,
        _ => NameRule::Subdomain,
    }
}

fn describe(resource: &str, scope: Scope) -> String {
    match scope {
        Scope::Namespaced => format!("namespaced `{resource}`"),
        Scope::Cluster => format!("cluster-scoped `{resource}`"),
    }
}

#[cfg(test)]
mod tests;
