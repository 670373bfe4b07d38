//! A second placement, written straight from the table of criteria: slow, without any index, for comparison only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::inventory::{Cluster, Inventory};
use crate::model::api::label_selector::LabelSelector;
use crate::model::{Labels, ObjectKey};
use crate::placement::{Clause, ObjectFacts, Plan, Policy};

/// What comes out for one object, with WECs by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) clusters: BTreeSet<String>,
    pub(super) create_only: BTreeSet<String>,
    pub(super) kept: BTreeSet<String>,
    pub(super) policies: BTreeSet<String>,
    pub(super) collectors: BTreeSet<String>,
    pub(super) singleton: bool,
    pub(super) multi: bool,
}

/// Everything that comes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) objects: BTreeMap<ObjectKey, Wanted>,
    pub(super) implied: BTreeMap<String, BTreeSet<String>>,
    pub(super) unknown: BTreeSet<String>,
}

pub(super) fn answer(
    objects: &[ObjectFacts],
    namespaces: &BTreeMap<String, Arc<Labels>>,
    policies: &[Policy],
    inventory: &Inventory,
) -> Answer {
    let mut answer = Answer {
        objects: objects
            .iter()
            .map(|facts| (facts.key.clone(), Wanted::default()))
            .collect(),
        implied: BTreeMap::new(),
        unknown: BTreeSet::new(),
    };
    for policy in policies {
        let known = is_valid(policy);
        if !known {
            answer.unknown.insert(policy.name.to_string());
        }
        let clusters: BTreeSet<String> = inventory
            .clusters
            .iter()
            .filter(|cluster| cluster.accepted && !cluster.deleting)
            .filter(|cluster| goes_to(policy, cluster))
            .map(|cluster| cluster.name.to_string())
            .collect();
        for facts in objects.iter().filter(|facts| facts.excluded.is_none()) {
            let wanted = answer.objects.get_mut(&facts.key).unwrap();
            let matching = policy
                .clauses
                .iter()
                .filter(|clause| takes(clause, facts, namespaces));
            let matching: Vec<&Clause> = matching.collect();
            if !known {
                if !matching.is_empty() || policy.unreadable.is_some() {
                    wanted.kept.extend(clusters.clone());
                }
                continue;
            }
            for clause in matching {
                wanted.policies.insert(policy.name.to_string());
                wanted.clusters.extend(clusters.clone());
                wanted.collectors.extend(clause.status_collectors.clone());
                wanted.singleton |= clause.want_singleton_reported_state;
                wanted.multi |= clause.want_multi_wec_reported_state;
                if clause.create_only {
                    wanted.create_only.extend(clusters.clone());
                }
            }
        }
    }
    for wanted in answer.objects.values_mut() {
        wanted.kept = &wanted.kept - &wanted.clusters;
    }
    for (key, wanted) in &answer.objects {
        let namespace = ObjectKey::new("", "Namespace", "", &key.namespace);
        let nowhere = BTreeSet::new();
        let delivered = answer
            .objects
            .get(&namespace)
            .map_or(&nowhere, |wanted| &wanted.clusters);
        let missing = &wanted.clusters - delivered;
        if !key.namespace.is_empty() && !missing.is_empty() {
            answer
                .implied
                .entry(key.namespace.to_string())
                .or_default()
                .extend(missing);
        }
    }
    answer
}

/// Puts a plan into the same words.
pub(super) fn read(plan: &Plan, objects: &[ObjectFacts], inventory: &Inventory) -> Answer {
    let names = |set: &crate::model::ClusterSet| -> BTreeSet<String> {
        set.iter()
            .map(|position| inventory.clusters[position].name.to_string())
            .collect()
    };
    let mut keys: Vec<&ObjectKey> = objects.iter().map(|facts| &facts.key).collect();
    keys.sort();
    assert_eq!(keys.len(), plan.placements.len());
    Answer {
        objects: keys
            .into_iter()
            .zip(&plan.placements)
            .map(|(key, placement)| {
                let wanted = Wanted {
                    clusters: names(&placement.clusters),
                    create_only: names(&placement.create_only),
                    kept: names(&placement.kept),
                    policies: placement.policies.iter().map(ToString::to_string).collect(),
                    collectors: placement.status_collectors.iter().cloned().collect(),
                    singleton: placement.want_singleton_reported_state,
                    multi: placement.want_multi_wec_reported_state,
                };
                (key.clone(), wanted)
            })
            .collect(),
        implied: plan
            .implied_namespaces
            .iter()
            .map(|(name, clusters)| (name.clone(), names(clusters)))
            .collect(),
        unknown: plan
            .unknown_policies
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

fn is_valid(policy: &Policy) -> bool {
    let lists = policy.clauses.iter().flat_map(|clause| {
        clause
            .object_selectors
            .iter()
            .chain(&clause.namespace_selectors)
    });
    let open = |values: &Vec<String>| values.is_empty() || values.contains(&"*".to_owned());
    let blank = |selectors: &Vec<LabelSelector>| {
        selectors.is_empty() || selectors.contains(&LabelSelector::default())
    };
    policy.unreadable.is_none()
        && policy
            .cluster_selectors
            .iter()
            .chain(lists)
            .all(|selector| holds(selector, &Labels::new()).is_some())
        && !policy.clauses.iter().any(|clause| {
            clause.api_group.is_none()
                && open(&clause.resources)
                && open(&clause.namespaces)
                && open(&clause.object_names)
                && blank(&clause.object_selectors)
                && blank(&clause.namespace_selectors)
        })
}

fn goes_to(policy: &Policy, cluster: &Cluster) -> bool {
    policy.unreadable.is_some()
        || policy
            .cluster_selectors
            .iter()
            .any(|selector| holds(selector, &cluster.labels).unwrap_or(true))
}

fn takes(clause: &Clause, facts: &ObjectFacts, namespaces: &BTreeMap<String, Arc<Labels>>) -> bool {
    let listed = |values: &[String], value: &str| {
        values.is_empty() || values.iter().any(|v| v == "*" || v == value)
    };
    let any = |selectors: &[LabelSelector], labels: &Labels| {
        selectors.is_empty()
            || selectors
                .iter()
                .any(|selector| holds(selector, labels).unwrap_or(true))
    };
    let key = &facts.key;
    let in_namespace = if key.namespace.is_empty() {
        clause.namespace_selectors.is_empty()
            || clause.namespace_selectors.iter().any(|selector| {
                *selector == LabelSelector::default() || holds(selector, &Labels::new()).is_none()
            })
    } else {
        let declared = namespaces.get(&*key.namespace);
        let mut labels = declared
            .map(|labels| (**labels).clone())
            .unwrap_or_default();
        labels.insert(
            "kubernetes.io/metadata.name".into(),
            key.namespace.to_string(),
        );
        any(&clause.namespace_selectors, &labels)
    };
    clause
        .api_group
        .as_deref()
        .is_none_or(|group| group == &*key.group)
        && listed(&clause.resources, &facts.resource)
        && listed(&clause.namespaces, &key.namespace)
        && listed(&clause.object_names, &key.name)
        && any(&clause.object_selectors, &facts.labels)
        && in_namespace
}

/// Tells whether a selector holds; none when it is not valid. Knows of invalid operators only.
fn holds(selector: &LabelSelector, labels: &Labels) -> Option<bool> {
    let mut all = selector
        .match_labels
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    for expression in &selector.match_expressions {
        let actual = labels.get(&expression.key);
        all &= match expression.operator.as_str() {
            "In" => actual.is_some_and(|value| expression.values.contains(value)),
            "NotIn" => !actual.is_some_and(|value| expression.values.contains(value)),
            "Exists" => actual.is_some(),
            "DoesNotExist" => actual.is_none(),
            _ => return None,
        };
    }
    Some(all)
}
