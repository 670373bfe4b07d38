//! The table of criteria, row by row.

use super::*;

const READER: &str = "rbac.authorization.k8s.io/clusterroles/ClusterRole//reader";

/// Gives the names of the objects that one clause selects, among a handful of them.
fn selected(clause: Clause) -> Vec<String> {
    let objects = vec![
        mk_object(WEB, &[("app", "web")]),
        mk_object(SETTINGS, &[("app", "web")]),
        mk_object(BILLS, &[]),
        mk_object(SHOP, &[("team", "a")]),
        mk_object(READER, &[("app", "web")]),
    ];
    let namespaces = BTreeMap::from([("shop".to_owned(), mk_labels(&[("team", "a")]))]);
    let policy = mk_policy("policy", vec![clause]);
    let (plan, _) = place(objects.clone(), &namespaces, vec![policy], &two_wecs());
    let mut keys: Vec<ObjectKey> = objects.into_iter().map(|facts| facts.key).collect();
    keys.sort();
    let delivered = keys.iter().zip(&plan.placements);
    let mut names: Vec<String> = delivered
        .filter(|(_, placement)| placement.clusters.len() == 2)
        .map(|(key, _)| key.name.to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn each_row_of_the_criteria_table_holds_for_namespaced_and_cluster_scoped_objects() {
    let all = ["bills", "reader", "settings", "shop", "web"];
    // Each clause also names all objects, so that a criterion that lets everything pass is still a valid clause.
    let base = Clause {
        object_names: strings(&all),
        ..Clause::default()
    };
    let table: Vec<(&str, Clause, &[&str])> = vec![
        ("all criteria absent", base.clone(), &all),
        (
            "apiGroup literal",
            Clause {
                api_group: Some("apps".into()),
                ..base.clone()
            },
            &["web"],
        ),
        (
            "apiGroup core",
            Clause {
                api_group: Some(String::new()),
                ..base.clone()
            },
            &["bills", "settings", "shop"],
        ),
        (
            "apiGroup has no wildcard",
            Clause {
                api_group: Some("*".into()),
                ..base.clone()
            },
            &[],
        ),
        (
            "resources *",
            Clause {
                resources: strings(&["*"]),
                ..base.clone()
            },
            &all,
        ),
        (
            "resources * among others",
            Clause {
                resources: strings(&["deployments", "*"]),
                ..base.clone()
            },
            &all,
        ),
        (
            "resources literal",
            Clause {
                resources: strings(&["deployments", "clusterroles"]),
                ..base.clone()
            },
            &["reader", "web"],
        ),
        (
            "resources are lower-case plurals",
            Clause {
                resources: strings(&["Deployment", "deployment", "Deployments"]),
                ..base.clone()
            },
            &[],
        ),
        (
            "namespaces *",
            Clause {
                namespaces: strings(&["*"]),
                ..base.clone()
            },
            &all,
        ),
        (
            "namespaces literal",
            Clause {
                namespaces: strings(&["shop"]),
                ..base.clone()
            },
            &["settings", "web"],
        ),
        (
            "namespaces with a literal empty name",
            Clause {
                namespaces: strings(&[""]),
                ..base.clone()
            },
            &["reader", "shop"],
        ),
        (
            "objectNames *",
            Clause {
                object_names: strings(&["*"]),
                namespaces: strings(&["shop"]),
                ..Clause::default()
            },
            &["settings", "web"],
        ),
        (
            "objectNames literal",
            Clause {
                object_names: strings(&["shop", "web"]),
                ..Clause::default()
            },
            &["shop", "web"],
        ),
        (
            "objectSelectors",
            Clause {
                object_selectors: vec![mk_selector(&[("app", "web")])],
                ..base.clone()
            },
            &["reader", "settings", "web"],
        ),
        (
            "objectSelectors are ORed",
            Clause {
                object_selectors: vec![
                    mk_selector(&[("app", "web")]),
                    mk_selector(&[("team", "a")]),
                ],
                ..base.clone()
            },
            &["reader", "settings", "shop", "web"],
        ),
        (
            "objectSelectors {}",
            Clause {
                object_selectors: vec![LabelSelector::default()],
                ..base.clone()
            },
            &all,
        ),
        (
            "namespaceSelectors",
            Clause {
                namespace_selectors: vec![mk_selector(&[("team", "a")])],
                ..base.clone()
            },
            &["settings", "web"],
        ),
        (
            "namespaceSelectors see the name of a namespace without an object",
            Clause {
                namespace_selectors: vec![mk_selector(&[(
                    "kubernetes.io/metadata.name",
                    "billing",
                )])],
                ..base.clone()
            },
            &["bills"],
        ),
        (
            "namespaceSelectors that ask for an absent label do not match cluster-scoped objects",
            Clause {
                namespace_selectors: vec![LabelSelector {
                    match_expressions: vec![LabelSelectorRequirement {
                        key: "team".into(),
                        operator: "DoesNotExist".into(),
                        values: Vec::new(),
                    }],
                    ..LabelSelector::default()
                }],
                ..base.clone()
            },
            &["bills"],
        ),
        (
            "namespaceSelectors {} let cluster-scoped objects pass",
            Clause {
                namespace_selectors: vec![mk_selector(&[("team", "b")]), LabelSelector::default()],
                ..base.clone()
            },
            &all,
        ),
        (
            "criteria are ANDed",
            Clause {
                resources: strings(&["configmaps"]),
                namespaces: strings(&["shop"]),
                object_selectors: vec![mk_selector(&[("app", "web")])],
                ..Clause::default()
            },
            &["settings"],
        ),
    ];
    for (row, clause, wanted) in table {
        assert_eq!(selected(clause), wanted, "{row}");
    }
}
