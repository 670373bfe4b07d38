//! The policies: one for each namespace in what is rendered, so that everything goes everywhere; any number, with selectors
//! of all sorts, for placement alone.

use std::collections::BTreeMap;

use stellate::model::PolicyName;
use stellate::model::api::label_selector::{LabelSelector, LabelSelectorRequirement};
use stellate::placement::{Clause, Policy};

use super::corpus::{NAMESPACE_SIZE, Numbers, ROLES};
use super::wec::{ENVIRONMENTS, REGIONS, TIERS};

/// Gives the text of the policy that sends a namespace to every WEC. The selectors differ in form, not in what they select.
pub(crate) fn everywhere(namespace: usize) -> String {
    let selector = match namespace % 4 {
        0 => "- {}".to_owned(),
        1 => "- matchExpressions:\n        - {key: region, operator: Exists}".to_owned(),
        2 => format!(
            "- matchExpressions:\n        - {{key: env, operator: In, values: [{}]}}",
            ENVIRONMENTS.join(", ")
        ),
        _ => TIERS
            .map(|tier| format!("- matchLabels: {{tier: {tier}}}"))
            .join("\n    "),
    };
    format!(
        "apiVersion: control.kubestellar.io/v1alpha1\nkind: BindingPolicy\nmetadata:\n  name: team-{namespace:03}\n\
         spec:\n  clusterSelectors:\n    {selector}\n  downsync:\n    - namespaces: [team-{namespace:03}]\n"
    )
}

/// Gives a policy as placement takes it: one or two selectors over WECs, one to three clauses. `edit` changes one value.
pub(crate) fn policy(number: usize, objects: usize, edit: usize) -> Policy {
    let mut numbers = Numbers::new(7, number);
    let cluster_selectors = (0..=numbers.below(2))
        .map(|_| where_to(&mut numbers))
        .collect();
    let mut clauses: Vec<Clause> = (0..=numbers.below(3))
        .map(|_| what(&mut numbers, objects))
        .collect();
    if edit > 0 {
        clauses[0].object_names = vec![super::corpus::name(edit)];
    }
    Policy {
        name: PolicyName::new(format!("policy-{number:04}")),
        location: None,
        cluster_selectors,
        clauses,
        unreadable: None,
    }
}

fn where_to(numbers: &mut Numbers) -> LabelSelector {
    let labels = |pairs: &[(&str, &str)]| LabelSelector {
        match_labels: pairs
            .iter()
            .map(|&(key, value)| (key.into(), value.into()))
            .collect(),
        match_expressions: Vec::new(),
    };
    let (region, env, tier) = (
        numbers.pick(&REGIONS),
        numbers.pick(&ENVIRONMENTS),
        numbers.pick(&TIERS),
    );
    match numbers.below(5) {
        0 => labels(&[("region", region)]),
        1 => labels(&[("env", env), ("tier", tier)]),
        2 => LabelSelector {
            match_expressions: vec![
                requirement("region", "In", &[region, numbers.pick(&REGIONS)]),
                requirement("tier", "NotIn", &[tier]),
            ],
            ..labels(&[("env", env)])
        },
        3 => LabelSelector {
            match_expressions: vec![requirement("rack", "Exists", &[])],
            ..labels(&[("vendor", "k3s"), ("region", region)])
        },
        _ => labels(&[("zone", &format!("{region}-{}", numbers.below(3)))]),
    }
}

fn what(numbers: &mut Numbers, objects: usize) -> Clause {
    let namespace = format!(
        "team-{:03}",
        numbers.below(objects.div_ceil(NAMESPACE_SIZE))
    );
    let role = LabelSelector {
        match_labels: BTreeMap::from([(
            "app.kubernetes.io/name".to_owned(),
            numbers.pick(&ROLES).to_owned(),
        )]),
        match_expressions: Vec::new(),
    };
    let resource = numbers
        .pick(&["deployments", "services", "configmaps"])
        .to_owned();
    match numbers.below(4) {
        0 => Clause {
            namespaces: vec![namespace],
            ..Clause::default()
        },
        1 => Clause {
            namespaces: vec![namespace],
            object_selectors: vec![role],
            ..Clause::default()
        },
        2 => Clause {
            resources: vec![resource],
            object_selectors: vec![LabelSelector {
                match_expressions: vec![requirement(
                    "app.kubernetes.io/part-of",
                    "In",
                    &[&namespace, "team-000"],
                )],
                ..role
            }],
            ..Clause::default()
        },
        _ => Clause {
            resources: vec![resource],
            namespace_selectors: vec![LabelSelector {
                match_labels: BTreeMap::from([(
                    "kubernetes.io/metadata.name".to_owned(),
                    namespace,
                )]),
                match_expressions: Vec::new(),
            }],
            ..Clause::default()
        },
    }
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> LabelSelectorRequirement {
    LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    }
}
