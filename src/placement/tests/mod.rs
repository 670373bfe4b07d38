//! Placement as a whole: merging, what is unknown, and what people are told.

mod criteria;
mod property;
mod reference;

use super::*;
use crate::inventory::Cluster;
use crate::model::api::label_selector::{LabelSelector, LabelSelectorRequirement};
use crate::model::{ClusterName, ObjectKey, Severity};

pub(super) fn mk_labels(pairs: &[(&str, &str)]) -> Arc<Labels> {
    let pair = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    Arc::new(pairs.iter().map(pair).collect())
}

/// Builds an object from `group/resource/Kind/namespace/name`.
pub(super) fn mk_object(path: &str, labels: &[(&str, &str)]) -> ObjectFacts {
    let parts: Vec<&str> = path.split('/').collect();
    ObjectFacts {
        key: ObjectKey::new(parts[0], parts[2], parts[3], parts[4]),
        resource: parts[1].into(),
        labels: mk_labels(labels),
        excluded: None,
    }
}

pub(super) fn mk_cluster(name: &str, labels: &[(&str, &str)]) -> Cluster {
    Cluster {
        name: name.into(),
        labels: mk_labels(labels),
        annotations: Arc::default(),
        properties: Arc::default(),
        accepted: true,
        deleting: false,
        joined: None,
        available: None,
        location: None,
    }
}

pub(super) fn mk_selector(labels: &[(&str, &str)]) -> LabelSelector {
    LabelSelector {
        match_labels: (*mk_labels(labels)).clone(),
        match_expressions: Vec::new(),
    }
}

fn mk_faulty_selector() -> LabelSelector {
    LabelSelector {
        match_expressions: vec![LabelSelectorRequirement {
            key: "env".to_owned(),
            operator: "Equals".to_owned(),
            values: vec!["prod".to_owned()],
        }],
        ..LabelSelector::default()
    }
}

/// Builds a policy that goes to every WEC.
pub(super) fn mk_policy(name: &str, clauses: Vec<Clause>) -> Policy {
    Policy {
        name: name.into(),
        location: None,
        cluster_selectors: vec![LabelSelector::default()],
        clauses,
        unreadable: None,
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn mk_inventory(clusters: Vec<Cluster>) -> Inventory {
    Inventory { clusters }
}

fn two_wecs() -> Inventory {
    mk_inventory(vec![
        mk_cluster("east", &[("env", "prod")]),
        mk_cluster("west", &[("env", "test")]),
    ])
}

const WEB: &str = "apps/deployments/Deployment/shop/web";
const SETTINGS: &str = "/configmaps/ConfigMap/shop/settings";
const BILLS: &str = "/configmaps/ConfigMap/billing/bills";
const SHOP: &str = "/namespaces/Namespace//shop";

#[test]
fn no_selector_is_no_wec_and_an_empty_selector_is_every_wec() {
    let clause = Clause {
        resources: strings(&["deployments"]),
        ..Clause::default()
    };
    let count = |selectors: Vec<LabelSelector>| {
        let policy = Policy {
            cluster_selectors: selectors,
            ..mk_policy("p", vec![clause.clone()])
        };
        let objects = vec![mk_object(WEB, &[])];
        let (plan, diagnostics) = place(objects, &BTreeMap::new(), vec![policy], &two_wecs());
        let clusters: Vec<usize> = plan.placements[0].clusters.iter().collect();
        (
            clusters,
            diagnostics.iter().map(|d| d.reason).collect::<Vec<_>>(),
        )
    };
    assert_eq!(count(vec![]), (vec![], vec!["SelectsNoCluster"]));
    assert_eq!(count(vec![LabelSelector::default()]), (vec![0, 1], vec![]));
    assert_eq!(
        count(vec![mk_selector(&[("env", "prod")])]),
        (vec![0], vec![])
    );
    assert_eq!(
        count(vec![
            mk_selector(&[("env", "prod")]),
            mk_selector(&[("env", "test")])
        ]),
        (vec![0, 1], vec![])
    );
}

#[test]
fn a_clause_that_tells_nothing_apart_is_an_error_and_places_nothing() {
    let clauses = [
        Clause::default(),
        Clause {
            create_only: true,
            ..Clause::default()
        },
        Clause {
            resources: strings(&["*"]),
            ..Clause::default()
        },
        Clause {
            namespaces: strings(&["*"]),
            object_selectors: vec![LabelSelector::default()],
            ..Clause::default()
        },
    ];
    for clause in clauses {
        let good = Clause {
            resources: strings(&["configmaps"]),
            ..Clause::default()
        };
        let policy = mk_policy("broad", vec![good, clause]);
        let (plan, diagnostics) = place(
            vec![mk_object(WEB, &[])],
            &BTreeMap::new(),
            vec![policy],
            &two_wecs(),
        );
        assert!(plan.placements[0].clusters.is_empty());
        assert_eq!(plan.unknown_policies, ["broad".into()]);
        assert_eq!(diagnostics[0].reason, "ClauseSelectsAll");
        assert!(diagnostics[0].message.starts_with("spec.downsync[1]: "));
    }
}

#[test]
fn a_faulty_policy_adds_nothing_removes_nothing_and_stops_nobody() {
    let faulty = Policy {
        cluster_selectors: vec![mk_selector(&[("env", "prod")]), mk_faulty_selector()],
        ..mk_policy(
            "faulty",
            vec![Clause {
                namespaces: strings(&["shop"]),
                ..Clause::default()
            }],
        )
    };
    let healthy = Policy {
        cluster_selectors: vec![mk_selector(&[("env", "prod")])],
        ..mk_policy(
            "healthy",
            vec![Clause {
                resources: strings(&["deployments"]),
                ..Clause::default()
            }],
        )
    };
    let objects = vec![
        mk_object(WEB, &[]),
        mk_object(SETTINGS, &[]),
        mk_object(BILLS, &[]),
    ];
    let (plan, diagnostics) = place(
        objects,
        &BTreeMap::new(),
        vec![faulty, healthy],
        &two_wecs(),
    );
    assert_eq!(plan.unknown_policies, ["faulty".into()]);
    let [bills, settings, web] = &plan.placements[..] else {
        panic!()
    };
    assert!(
        bills.clusters.is_empty() && bills.kept.is_empty(),
        "in no reading does the policy want it"
    );
    assert!(settings.clusters.is_empty());
    assert_eq!(settings.kept.iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(web.clusters.iter().collect::<Vec<_>>(), [0]);
    assert_eq!(web.kept.iter().collect::<Vec<_>>(), [1]);
    assert_eq!(&*web.policies, ["healthy".into()]);
    let diagnostic = &diagnostics[0];
    assert_eq!(
        (diagnostic.severity, diagnostic.reason),
        (Severity::Error, "InvalidSelector")
    );
    assert!(
        diagnostic
            .message
            .starts_with("spec.clusterSelectors[1].matchExpressions[0].operator: "),
        "{}",
        diagnostic.message
    );
}

#[test]
fn an_unreadable_policy_keeps_everything_where_it_is() {
    let policy = Policy {
        cluster_selectors: Vec::new(),
        unreadable: Some("spec.downsync must be a list".to_owned()),
        ..mk_policy("p", Vec::new())
    };
    let (plan, diagnostics) = place(
        vec![mk_object(WEB, &[])],
        &BTreeMap::new(),
        vec![policy],
        &two_wecs(),
    );
    assert!(plan.placements[0].clusters.is_empty());
    assert_eq!(plan.placements[0].kept.len(), 2);
    assert_eq!(diagnostics[0].message, "spec.downsync must be a list");
}

#[test]
fn modulations_of_clauses_and_policies_are_merged_and_a_difference_is_told() {
    let shop = Clause {
        namespaces: strings(&["shop"]),
        ..Clause::default()
    };
    let first = mk_policy(
        "first",
        vec![
            Clause {
                status_collectors: strings(&["count"]),
                ..shop.clone()
            },
            Clause {
                create_only: true,
                want_singleton_reported_state: true,
                object_names: strings(&["web"]),
                ..shop.clone()
            },
        ],
    );
    let second = Policy {
        cluster_selectors: vec![mk_selector(&[("env", "prod")])],
        ..mk_policy(
            "second",
            vec![Clause {
                status_collectors: strings(&["ages", "count"]),
                want_multi_wec_reported_state: true,
                ..shop
            }],
        )
    };
    let objects = vec![mk_object(WEB, &[]), mk_object(SETTINGS, &[])];
    let (plan, diagnostics) = place(objects, &BTreeMap::new(), vec![second, first], &two_wecs());
    let [settings, web] = &plan.placements[..] else {
        panic!()
    };
    assert_eq!(&*web.policies, ["first".into(), "second".into()]);
    assert_eq!(web.clusters.len(), 2);
    assert_eq!(web.create_only.len(), 2);
    assert_eq!(web.status_collectors, ["ages", "count"]);
    assert!(web.want_singleton_reported_state && web.want_multi_wec_reported_state);
    assert!(settings.create_only.is_empty());
    assert!(!settings.want_singleton_reported_state);
    assert!(
        Arc::ptr_eq(&web.clusters, &settings.clusters),
        "equal sets are one value"
    );
    let [conflict] = &diagnostics[..] else {
        panic!("{diagnostics:?}")
    };
    assert_eq!(conflict.reason, "CreateOnlyConflict");
    assert_eq!(
        conflict.message,
        "Deployment.apps shop/web: created once and then left alone for first, kept up to date for second on east; it is created once"
    );
}

#[test]
fn a_wec_that_is_no_destination_gets_nothing_and_is_told_once() {
    let inventory = mk_inventory(vec![
        Cluster {
            accepted: false,
            ..mk_cluster("a", &[])
        },
        Cluster {
            deleting: true,
            ..mk_cluster("b", &[])
        },
        Cluster {
            available: Some(false),
            ..mk_cluster("c", &[])
        },
    ]);
    let clause = Clause {
        namespaces: strings(&["shop"]),
        ..Clause::default()
    };
    let policies = vec![
        mk_policy("p", vec![clause.clone()]),
        mk_policy("q", vec![clause]),
    ];
    let (plan, diagnostics) = place(
        vec![mk_object(WEB, &[])],
        &BTreeMap::new(),
        policies,
        &inventory,
    );
    assert_eq!(plan.placements[0].clusters.iter().collect::<Vec<_>>(), [2]);
    let told: Vec<(&str, &str)> = diagnostics
        .iter()
        .map(|d| (d.reason, d.cluster.as_ref().map_or("", ClusterName::as_str)))
        .collect();
    assert_eq!(
        told,
        [
            ("NotADestination", "a"),
            ("NotADestination", "b"),
            ("Unavailable", "c")
        ]
    );
}

#[test]
fn a_namespace_that_nobody_delivers_is_implied_where_objects_need_it() {
    let policies = vec![
        mk_policy(
            "all",
            vec![Clause {
                resources: strings(&["configmaps", "deployments"]),
                ..Clause::default()
            }],
        ),
        Policy {
            cluster_selectors: vec![mk_selector(&[("env", "prod")])],
            ..mk_policy(
                "namespace",
                vec![Clause {
                    resources: strings(&["namespaces"]),
                    ..Clause::default()
                }],
            )
        },
    ];
    let objects = vec![
        mk_object(WEB, &[]),
        mk_object(SETTINGS, &[]),
        mk_object(BILLS, &[]),
        mk_object(SHOP, &[]),
    ];
    let (plan, _) = place(objects, &BTreeMap::new(), policies, &two_wecs());
    let implied: Vec<(&str, Vec<usize>)> = plan
        .implied_namespaces
        .iter()
        .map(|(name, clusters)| (name.as_str(), clusters.iter().collect()))
        .collect();
    assert_eq!(implied, [("billing", vec![0, 1]), ("shop", vec![1])]);
}

#[test]
fn an_excluded_object_is_selected_by_nobody() {
    let pod = ObjectFacts {
        excluded: Some("its controller makes it"),
        ..mk_object("/pods/Pod/shop/web-1", &[])
    };
    let key = pod.key.clone();
    let policy = mk_policy(
        "p",
        vec![Clause {
            namespaces: strings(&["shop"]),
            ..Clause::default()
        }],
    );
    let mut placer = Placer::new();
    placer.set_inventory(&two_wecs());
    placer.set_policies(vec![policy]);
    placer.set_objects(vec![pod]);
    let (plan, _) = placer.plan();
    assert!(plan.placements[0].clusters.is_empty());
    assert!(plan.implied_namespaces.is_empty());
    let explanation = placer.explain(&key, None);
    assert_eq!(explanation.verdict, Verdict::Excluded);
    assert_eq!(
        explanation.because,
        ["Pod shop/web-1 is never delivered: its controller makes it"]
    );
}

#[test]
fn an_object_with_a_controller_is_excluded() {
    let object = |controlled| crate::model::Object {
        key: ObjectKey::new("", "Pod", "shop", "web-1"),
        version: "v1".into(),
        resource: "pods".into(),
        scope: crate::model::Scope::Namespaced,
        labels: Arc::default(),
        annotations: Arc::default(),
        controlled,
        manifest: crate::model::Manifest::new(&serde_json::Value::Null),
        origin: crate::model::Origin {
            blob: crate::model::BlobId([0; 20]),
            document: 0,
        },
        location: crate::model::Location::file("pod.yaml".into()),
    };
    assert!(ObjectFacts::of(&object(true)).excluded.is_some());
    assert_eq!(ObjectFacts::of(&object(false)).excluded, None);
    let never = ObjectFacts::of(&object(false)).excluded_because(Some("is an event"));
    assert_eq!(never.excluded, Some("is an event"));
}

#[test]
fn a_changed_namespace_label_moves_the_objects_inside() {
    let clause = Clause {
        namespace_selectors: vec![mk_selector(&[("team", "a")])],
        ..Clause::default()
    };
    let mut placer = Placer::new();
    placer.set_inventory(&two_wecs());
    placer.set_policies(vec![mk_policy("p", vec![clause])]);
    placer.set_objects(vec![mk_object(WEB, &[])]);
    let mut delivered = |labels: Option<&[(&str, &str)]>| {
        placer.set_namespace_labels("shop", labels.map(mk_labels));
        placer.plan().0.placements[0].clusters.len()
    };
    assert_eq!(delivered(None), 0);
    assert_eq!(delivered(Some(&[("team", "a")])), 2);
    assert_eq!(delivered(Some(&[("team", "b")])), 0);
    assert_eq!(delivered(Some(&[("team", "a"), ("x", "y")])), 2);
    assert_eq!(delivered(None), 0);
}

#[test]
fn what_an_edit_does_not_concern_keeps_its_value() {
    let by_name = |name: &str| Clause {
        object_names: strings(&[name]),
        ..Clause::default()
    };
    let mut placer = Placer::new();
    placer.set_inventory(&two_wecs());
    placer.set_policies(vec![
        mk_policy("p", vec![by_name("web")]),
        mk_policy("q", vec![by_name("bills")]),
    ]);
    placer.set_objects(vec![mk_object(WEB, &[]), mk_object(BILLS, &[])]);
    let (before, _) = placer.plan();
    placer.upsert_policy(Policy {
        cluster_selectors: vec![mk_selector(&[("env", "prod")])],
        ..mk_policy("p", vec![by_name("web")])
    });
    let (after, _) = placer.plan();
    assert!(Arc::ptr_eq(&before.placements[0], &after.placements[0]));
    assert!(!Arc::ptr_eq(&before.placements[1], &after.placements[1]));
    assert_eq!(after.placements[1].clusters.iter().collect::<Vec<_>>(), [0]);
}

#[test]
fn an_explanation_names_the_label_that_decides() {
    let policy = Policy {
        cluster_selectors: vec![mk_selector(&[("env", "prod")])],
        ..mk_policy(
            "p",
            vec![
                Clause {
                    namespaces: strings(&["billing"]),
                    ..Clause::default()
                },
                Clause {
                    object_selectors: vec![mk_selector(&[("app", "web")])],
                    ..Clause::default()
                },
            ],
        )
    };
    let mut placer = Placer::new();
    placer.set_inventory(&two_wecs());
    placer.set_policies(vec![policy]);
    placer.set_objects(vec![
        mk_object(WEB, &[("app", "web")]),
        mk_object(SETTINGS, &[]),
    ]);
    let web = ObjectKey::new("apps", "Deployment", "shop", "web");

    let on_east = placer.explain(&web, Some(&"east".into()));
    assert_eq!(on_east.verdict, Verdict::Placed);
    assert_eq!(on_east.because, ["p selects it for east"]);
    assert_eq!(on_east.destinations, ["east".into()]);

    let on_west = placer.explain(&web, Some(&"west".into()));
    assert_eq!(on_west.verdict, Verdict::NotSelected);
    assert_eq!(
        on_west.because,
        ["p selects the object, but not west: it wants env=prod, and the label is \"test\""]
    );
    assert_eq!(on_west.nearest, Some("p".into()));
    let policy = &on_west.policies[0];
    assert_eq!(
        (policy.selects_object, policy.selects_cluster),
        (true, Some(false))
    );
    let requirement = &policy.cluster_selectors[0].requirements[0];
    assert_eq!(requirement.text, "env=prod");
    assert_eq!(requirement.actual.as_deref(), Some("test"));
    assert!(!policy.clauses[0].satisfied && policy.clauses[1].satisfied);

    let settings = ObjectKey::new("", "ConfigMap", "shop", "settings");
    let other = placer.explain(&settings, Some(&"east".into()));
    assert_eq!(
        other.because,
        [
            "p does not select the object: in clause 0, namespaces wants \"billing\", the object has \"shop\""
        ]
    );

    let nobody = placer.explain(&web, Some(&"north".into()));
    assert_eq!(nobody.verdict, Verdict::NoSuchCluster);
    let nothing = placer.explain(&ObjectKey::new("", "Pod", "a", "b"), None);
    assert_eq!(nothing.verdict, Verdict::NoSuchObject);
    let json = serde_json::to_value(&on_west).unwrap();
    assert_eq!(
        json["policies"][0]["clauses"][1]["criteria"][4]["selectors"][0]["satisfied"],
        true
    );
}
