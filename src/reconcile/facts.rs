//! The inventory facts that a rendering looked at, and an inventory made of such facts again. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Rendering;
use crate::inventory::{Cluster, Inventory, Properties};
use crate::model::names::usable_property;
use crate::model::selector::Selector;
use crate::output::branch::lock::LockedCluster;
use crate::placement::Policy;
use crate::transform::template::Reads;

/// Gives what was looked at, by WEC.
pub fn used(rendering: &Rendering) -> BTreeMap<String, LockedCluster> {
    let labels = label_keys(&rendering.policies, &rendering.rules);
    let facts = rendering.inventory.clusters.iter().map(|cluster| {
        let parameters = cluster.parameters();
        let properties: Properties = match &rendering.reads {
            Reads::All => parameters,
            Reads::Named(names) => names
                .iter()
                .filter_map(|name| Some((name.clone(), parameters.get(name)?.clone())))
                .collect(),
        };
        let seen = cluster
            .labels
            .iter()
            .filter(|(key, _)| labels.contains(*key));
        let locked = LockedCluster {
            labels: seen
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            properties,
            excluded: !cluster.is_destination(),
        };
        (cluster.name.to_string(), locked)
    });
    facts.collect()
}

/// Gives the keys of WEC labels that a selector looks at.
fn label_keys(policies: &[Policy], rules: &crate::transform::Rules) -> BTreeSet<String> {
    let mut keys: BTreeSet<String> = rules.cluster_label_keys().map(str::to_owned).collect();
    for selector in policies.iter().flat_map(|policy| &policy.cluster_selectors) {
        if let Ok(selector) = Selector::compile(selector) {
            keys.extend(
                selector
                    .requirements()
                    .iter()
                    .map(|requirement| requirement.key().to_owned()),
            );
        }
    }
    keys
}

/// Gives the inventory that has these facts.
pub fn inventory(facts: &BTreeMap<String, LockedCluster>) -> Inventory {
    let clusters = facts.iter().map(|(name, facts)| {
        let (usable, raw): (Properties, Properties) = facts
            .properties
            .clone()
            .into_iter()
            .partition(|(key, _)| usable_property(key));
        Cluster {
            name: name.as_str().into(),
            labels: Arc::new(facts.labels.clone()),
            annotations: Arc::new(raw),
            properties: Arc::new(usable),
            accepted: !facts.excluded,
            deleting: false,
            joined: None,
            available: None,
            location: None,
        }
    });
    Inventory {
        clusters: clusters.collect(),
    }
}
