//! The inventory facts that a rendering looked at, and an inventory made of such facts again. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::inventory::{Cluster, Inventory, Properties};
use crate::model::names::usable_property;
use crate::model::selector::Selector;
use crate::output::branch::lock::{LockedCluster, LockedClusters};
use crate::placement::Policy;
use crate::transform::Rules;
use crate::transform::template::Reads;

/// Remembers the facts of the last rendering: most often they are those of the next one, too.
#[derive(Default)]
pub(super) struct KnownFacts(Option<(Looked, LockedClusters)>);

/// What decides about the facts.
#[derive(PartialEq)]
struct Looked {
    inventory: Arc<Inventory>,
    labels: BTreeSet<String>,
    properties: Reads,
}

impl KnownFacts {
    /// Gives what was looked at, by WEC.
    pub(super) fn used(
        &mut self,
        inventory: &Arc<Inventory>,
        policies: &[Policy],
        rules: &Rules,
        reads: &Reads,
    ) -> LockedClusters {
        let looked = Looked {
            inventory: Arc::clone(inventory),
            labels: label_keys(policies, rules),
            properties: reads.clone(),
        };
        match &self.0 {
            Some((last, facts)) if *last == looked => facts.clone(),
            _ => {
                let facts = looked.facts();
                self.0 = Some((looked, facts.clone()));
                facts
            }
        }
    }
}

impl Looked {
    fn facts(&self) -> LockedClusters {
        let facts = self.inventory.clusters.iter().map(|cluster| {
            let properties: Properties = match &self.properties {
                Reads::All => cluster.parameters(),
                Reads::Named(names) => names
                    .iter()
                    .filter_map(|name| Some((name.clone(), cluster.parameter(name)?.to_owned())))
                    .collect(),
            };
            let seen = cluster
                .labels
                .iter()
                .filter(|(key, _)| self.labels.contains(*key));
            let locked = LockedCluster {
                labels: seen
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
                properties,
                excluded: !cluster.is_destination(),
            };
            (cluster.name.to_string(), locked)
        });
        facts.collect::<BTreeMap<_, _>>().into()
    }
}

/// Gives the keys of WEC labels that a selector looks at.
fn label_keys(policies: &[Policy], rules: &Rules) -> BTreeSet<String> {
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
