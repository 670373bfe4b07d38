//! What a policy resolves to: a rendering and a policy's key → its WECs and objects. Pure.

use serde_json::{Value, json};

use crate::cli::table::{count, list};
use crate::cli::terminal::Styles;
use crate::model::selector::Selector;
use crate::model::{ClusterName, ObjectKey, Severity};
use crate::reconcile::Rendering;

/// Tells whether an object is a policy.
pub(super) fn is_policy(key: &ObjectKey) -> bool {
    matches!(
        (&*key.group, &*key.kind),
        ("control.kubestellar.io", "BindingPolicy") | ("edge.kubestellar.io", "EdgePlacement")
    )
}

/// Gives the WECs and objects of a policy; `destinations` in the shape of the first API's `SinglePlacementSlice`.
pub(super) fn resolve(rendering: &Rendering, key: &ObjectKey) -> Value {
    let placements = rendering
        .snapshot
        .objects
        .iter()
        .zip(&rendering.plan.placements);
    let mine = placements.filter(|(_, placement)| {
        placement
            .policies
            .iter()
            .any(|policy| policy.as_str() == &*key.name)
    });
    let objects: Vec<Value> = mine
        .map(|(object, placement)| {
            json!({
                "group": object.key.group, "version": object.version, "kind": object.key.kind, "resource": object.resource,
                "namespace": object.key.namespace, "name": object.key.name,
                "createOnly": !placement.create_only.is_empty(),
            })
        })
        .collect();
    let read = rendering
        .policies
        .iter()
        .find(|policy| policy.name.as_str() == &*key.name);
    let selectors: Vec<Selector> = read
        .into_iter()
        .flat_map(|policy| &policy.cluster_selectors)
        .filter_map(|selector| Selector::compile(selector).ok())
        .collect();
    let (destinations, passed_over): (Vec<_>, Vec<_>) = rendering
        .inventory
        .clusters
        .iter()
        .filter(|cluster| {
            selectors
                .iter()
                .any(|selector| selector.matches(&cluster.labels))
        })
        .partition(|cluster| cluster.is_destination());
    let destinations: Vec<Value> = destinations
        .into_iter()
        .map(|cluster| json!({"cluster": cluster.name, "locationName": cluster.name, "syncTargetName": cluster.name}))
        .collect();
    let passed_over: Vec<&ClusterName> = passed_over
        .into_iter()
        .map(|cluster| &cluster.name)
        .collect();
    let faults: Vec<String> = rendering
        .diagnostics
        .iter()
        .filter(|found| {
            found.severity == Severity::Error
                && found
                    .policy
                    .as_ref()
                    .is_some_and(|policy| policy.as_str() == &*key.name)
        })
        .map(|found| found.message.clone())
        .collect();
    json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1",
        "kind": "ResolvedPolicy",
        "metadata": {"name": key.name},
        "policy": key,
        "faults": faults,
        "destinations": destinations,
        "notDestinations": passed_over,
        "objects": objects,
    })
}

/// Writes that for people.
pub(super) fn text(answer: &Value, key: &ObjectKey, styles: &Styles) -> String {
    let strong = styles.strong;
    let names = |member: &str, pick: &dyn Fn(&Value) -> String| -> Vec<String> {
        answer[member]
            .as_array()
            .into_iter()
            .flatten()
            .map(pick)
            .collect()
    };
    let text_of = |item: &Value| item.as_str().unwrap_or_default().to_owned();
    let clusters = names("destinations", &|item| {
        item["cluster"].as_str().unwrap_or_default().to_owned()
    });
    let passed = names("notDestinations", &text_of);
    let objects = names("objects", &|item| {
        let text = |name: &str| item[name].as_str().unwrap_or_default();
        let once = if item["createOnly"] == true {
            "  (created once)"
        } else {
            ""
        };
        format!(
            "{}{once}",
            ObjectKey::new(text("group"), text("kind"), text("namespace"), text("name"))
        )
    });
    let faults = names("faults", &text_of);
    if !faults.is_empty() {
        let wrong = styles.removed;
        let mut text = format!("{strong}{key}{strong:#} has faults\n");
        for fault in faults {
            put!(text, "  {wrong}✗{wrong:#} {fault}\n");
        }
        text.push_str("\nuntil they are mended nobody can say what it selects: it places nothing new, and what it placed stays\n");
        return text;
    }
    let mut text = format!(
        "{strong}{key}{strong:#}\n\n{}: {}\n",
        count(clusters.len(), "WEC"),
        list(&clusters, 100)
    );
    if !passed.is_empty() {
        put!(
            text,
            "selected, but no destination: {}\n",
            list(&passed, 100)
        );
    }
    put!(text, "{}\n", count(objects.len(), "object"));
    for object in objects {
        put!(text, "  {object}\n");
    }
    text
}
