//! Policies, templates and rules that make no sense.

use super::*;

#[test]
fn a_policy_whose_selector_does_not_parse_keeps_what_it_placed() {
    let told = after(|root| {
        replace(
            "policies/extra.yaml",
            "[{matchLabels: {region: us}}]",
            "[{matchExpressions: [{key: region, operator: Within, values: [us]}]}]",
        )(root);
        replace(SHOP, "text: hello", "text: bye")(root);
    });
    let first = told.told("InvalidSelector");
    assert_eq!(first.policy.as_ref().unwrap().as_str(), "extra");
    let place = first.location.as_ref().unwrap();
    assert_eq!(
        (place.path.as_str(), place.line),
        ("policies/extra.yaml", 5),
        "{first:#?}"
    );
    told.kept("iad", "extra/configmap-notes.yaml");
    told.kept("iad", "_cluster/namespace-extra.yaml");
}

#[test]
fn a_policy_of_another_shape_keeps_what_it_placed() {
    let told = after(replace(
        "policies/extra.yaml",
        "[{matchLabels: {region: us}}]",
        "us",
    ));
    let policy = told
        .rendering
        .diagnostics
        .iter()
        .find(|found| found.severity == Severity::Error)
        .expect("told");
    assert_eq!(policy.policy.as_ref().unwrap().as_str(), "extra");
    assert_eq!(policy.location.as_ref().unwrap().line, 5, "{policy:#?}");
    told.kept("iad", "extra/configmap-notes.yaml");
    told.kept("iad", "_cluster/namespace-extra.yaml");
}

#[test]
fn a_clause_that_selects_everything_is_an_error_and_keeps_what_was_placed() {
    let told = after(replace(
        "policies/extra.yaml",
        "  - namespaces: [extra]",
        "  - {}",
    ));
    let first = told.told_at("InvalidValue", "policies/extra.yaml:7:5");
    assert_eq!(first.policy.as_ref().unwrap().as_str(), "extra");
    assert!(first.help.is_some(), "{first:#?}");
    assert_eq!(
        told.rendering.errors(),
        1,
        "told once: {:#?}",
        told.rendering.diagnostics
    );
    told.kept("iad", "extra/configmap-notes.yaml");
}

#[test]
fn a_policy_without_clauses_is_told_and_places_nothing() {
    let mut site = Site::small("no-clauses");
    site.options.allow_removals = true;
    site.edit("policies/extra.yaml", "\n  - namespaces: [extra]", " []");
    let (rendering, _) = site.deliver();
    let told = &found(&rendering, "SelectsNoObject")[0];
    assert_eq!(told.policy.as_ref().unwrap().as_str(), "extra");
    assert!(
        !site
            .generated()
            .contains_key("iad/extra/configmap-notes.yaml")
    );
    site.expect_sound();
}

#[test]
fn a_template_that_does_not_parse_keeps_its_object_everywhere() {
    for template in [
        "{{ .region",
        "{{ if .region }}x",
        "{{ nosuch .region }}",
        "{{ template \\\"t\\\" }}",
    ] {
        let told = after(replace(SHOP, "{{ .region }}", template));
        let first = told
            .rendering
            .diagnostics
            .iter()
            .find(|found| found.reason.starts_with("Template"))
            .unwrap_or_else(|| panic!("{template}: {:#?}", told.rendering.diagnostics));
        assert_eq!(first.object.as_ref().unwrap().name.as_ref(), "where");
        let place = first.location.as_ref().unwrap();
        assert_eq!(place.to_string(), "workloads/shop.yaml:12:16", "{first:#?}");
        assert!(first.message.starts_with("data.region: "), "{first:#?}");
        assert!(first.help.is_some(), "{first:#?}");
        told.kept_on_both(WHERE);
    }
}

#[test]
fn a_template_that_never_ends_or_grows_without_end_is_refused() {
    let circle = "{{define \\\"a\\\"}}{{template \\\"a\\\" .}}{{template \\\"a\\\" .}}{{end}}{{template \\\"a\\\" .}}";
    let growth = "{{printf \\\"%999999d\\\" 1}}".repeat(64);
    for template in [circle, &growth] {
        let told = after(replace(SHOP, "{{ .region }}", template));
        assert!(told.rendering.errors() > 0, "{template}");
        told.kept_on_both(WHERE);
    }
}

#[test]
fn a_property_that_one_wec_lacks_keeps_the_object_just_there() {
    let told = after(replace(SHOP, "{{ .region }}", "{{ .edge }}"));
    let first = told.told_at("TemplateFailed", "workloads/shop.yaml:12:16");
    assert_eq!(first.cluster.as_ref().unwrap().as_str(), "fra");
    assert_eq!(first.object.as_ref().unwrap().name.as_ref(), "where");
    assert!(
        first.help.is_some() && first.message.contains("edge"),
        "{first:#?}"
    );
    told.kept("fra", WHERE);
    assert!(told.after[&format!("iad/{WHERE}")].contains("north"));
    assert_eq!(told.rendering.summary().clusters[0].quarantined, 1);
}

#[test]
fn a_custom_transform_that_would_remove_everything_is_refused() {
    let mut site = Site::small("everything");
    let before = site.generated();
    site.change(&[(
        "policies/transform.yaml",
        "apiVersion: control.kubestellar.io/v1alpha1\nkind: CustomTransform\nmetadata: {name: all}\nspec: {apiGroup: \"\", resource: configmaps, remove: [\"$\"]}\n",
    )]);
    let (rendering, delivery) = site.deliver();
    let told = &found(&rendering, "InvalidJsonPath")[0];
    assert!(told.help.is_some(), "{told:#?}");
    let Outcome::Held(reasons) = &delivery.outcome else {
        panic!("{:?}", delivery.outcome)
    };
    assert!(
        reasons[0].contains("policies/transform.yaml"),
        "{reasons:?}"
    );
    assert_eq!(site.generated(), before);
}
