//! Selectors against the meaning that Kubernetes gives them.

use super::*;

fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelectorRequirement {
    LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    }
}

fn raw(labels: &[(&str, &str)], expressions: &[LabelSelectorRequirement]) -> LabelSelector {
    LabelSelector {
        match_labels: mk_labels(labels),
        match_expressions: expressions.to_vec(),
    }
}

fn mk_labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn each_operator_treats_listed_other_and_absent_values_as_kubernetes_does() {
    // operator, values, env=a, env=c, env="", no env
    let table: [(&str, &[&str], [bool; 4]); 6] = [
        ("In", &["a", "b"], [true, false, false, false]),
        ("NotIn", &["a", "b"], [false, true, true, true]),
        ("Exists", &[], [true, true, true, false]),
        ("DoesNotExist", &[], [false, false, false, true]),
        ("In", &[""], [false, false, true, false]),
        ("NotIn", &[""], [true, true, false, true]),
    ];
    let candidates = [
        mk_labels(&[("env", "a")]),
        mk_labels(&[("env", "c")]),
        mk_labels(&[("env", "")]),
        mk_labels(&[("other", "a")]),
    ];
    for (operator, values, wanted) in table {
        let selector =
            Selector::compile(&raw(&[], &[expression("env", operator, values)])).unwrap();
        let found = candidates.each_ref().map(|labels| selector.matches(labels));
        assert_eq!(found, wanted, "{operator} {values:?}");
    }
}

#[test]
fn match_labels_and_every_expression_must_hold() {
    let selector = Selector::compile(&raw(
        &[("env", "prod"), ("tier", "web")],
        &[expression("legacy", "DoesNotExist", &[])],
    ))
    .unwrap();
    assert!(selector.matches(&mk_labels(&[("env", "prod"), ("tier", "web"), ("x", "y")])));
    assert!(!selector.matches(&mk_labels(&[("env", "prod")])));
    assert!(!selector.matches(&mk_labels(&[
        ("env", "prod"),
        ("tier", "web"),
        ("legacy", "")
    ])));
}

#[test]
fn the_empty_selector_matches_everything() {
    let selector = Selector::compile(&LabelSelector::default()).unwrap();
    assert!(selector.is_empty());
    assert!(selector.matches(&Labels::new()));
    assert!(selector.matches(&mk_labels(&[("a", "b")])));
}

#[test]
fn contradicting_requirements_match_nothing_and_are_no_error() {
    let selector =
        Selector::compile(&raw(&[("env", "a")], &[expression("env", "In", &["b"])])).unwrap();
    assert!(!selector.matches(&mk_labels(&[("env", "a")])));
    assert!(!selector.matches(&mk_labels(&[("env", "b")])));
}

#[test]
fn a_selector_prints_as_kubectl_prints_it() {
    let selector = Selector::compile(&raw(
        &[("env", "prod")],
        &[
            expression("tier", "In", &["web", "api"]),
            expression("region", "NotIn", &["us"]),
            expression("a/gpu", "Exists", &[]),
            expression("legacy", "DoesNotExist", &[]),
        ],
    ))
    .unwrap();
    assert_eq!(
        selector.to_string(),
        "a/gpu,env=prod,!legacy,region notin (us),tier in (api,web)"
    );
    assert_eq!(Selector::default().to_string(), "<none>");
}

#[test]
fn an_evaluation_says_what_each_requirement_found() {
    let selector = Selector::compile(&raw(
        &[("env", "prod")],
        &[expression("legacy", "DoesNotExist", &[])],
    ))
    .unwrap();
    let found = selector.evaluate(&mk_labels(&[("env", "test")]));
    assert_eq!(
        found,
        [
            RequirementOutcome {
                text: "env=prod".to_owned(),
                satisfied: false,
                actual: Some("test".to_owned())
            },
            RequirementOutcome {
                text: "!legacy".to_owned(),
                satisfied: true,
                actual: None
            },
        ]
    );
}

#[test]
fn what_kubernetes_refuses_is_refused_with_its_place() {
    let long = "x".repeat(64);
    let table = [
        (
            expression("env", "in", &["a"]),
            "matchExpressions[0].operator",
        ),
        (expression("env", "", &[]), "matchExpressions[0].operator"),
        (expression("env", "In", &[]), "matchExpressions[0].values"),
        (
            expression("env", "NotIn", &[]),
            "matchExpressions[0].values",
        ),
        (
            expression("env", "Exists", &["a"]),
            "matchExpressions[0].values",
        ),
        (
            expression("env", "DoesNotExist", &["a"]),
            "matchExpressions[0].values",
        ),
        (expression("", "Exists", &[]), "matchExpressions[0].key"),
        (expression("-env", "Exists", &[]), "matchExpressions[0].key"),
        (expression("/env", "Exists", &[]), "matchExpressions[0].key"),
        (
            expression("Up.per/env", "Exists", &[]),
            "matchExpressions[0].key",
        ),
        (
            expression("a/b/c", "Exists", &[]),
            "matchExpressions[0].key",
        ),
        (
            expression("a..b/c", "Exists", &[]),
            "matchExpressions[0].key",
        ),
        (expression("käse", "Exists", &[]), "matchExpressions[0].key"),
        (expression(&long, "Exists", &[]), "matchExpressions[0].key"),
        (
            expression("env", "In", &["ok", "not ok"]),
            "matchExpressions[0].values[1]",
        ),
        (
            expression("env", "In", &["a."]),
            "matchExpressions[0].values[0]",
        ),
        (
            expression("env", "In", &[&long]),
            "matchExpressions[0].values[0]",
        ),
    ];
    for (expression, place) in table {
        let error = Selector::compile(&raw(&[], std::slice::from_ref(&expression))).unwrap_err();
        assert_eq!(PathPart::join(&error.path), place, "{expression:?}");
    }
    let error = Selector::compile(&raw(&[("a.b/c", "not ok")], &[])).unwrap_err();
    assert_eq!(PathPart::join(&error.path), "matchLabels[\"a.b/c\"]");
    assert!(error.to_string().contains("not ok"));
}

#[test]
fn the_limits_of_label_syntax_are_allowed() {
    let name = "x".repeat(63);
    let prefix = format!("{}.a", "y".repeat(251));
    for key in ["A", "a_b.c-d", "example.com/a", "0", name.as_str()] {
        assert_eq!(check_key(key), Ok(()), "{key}");
    }
    assert_eq!(check_key(&format!("{prefix}/{name}")), Ok(()));
    assert!(check_key(&format!("y{prefix}/{name}")).is_err());
    for value in ["", "A", "1.2.3", "a_b", name.as_str()] {
        assert_eq!(check_value(value), Ok(()), "{value}");
    }
}
