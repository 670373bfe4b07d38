//! What a person who keeps the inventory in files sees.

use serde_json::{Value, json};

use super::*;
use crate::model::{BlobId, Location as Place, Manifest, ObjectKey, Origin, RepoPath, Severity};

/// A control object that stands alone in a file named after its kind and name.
fn control(value: &Value) -> Control {
    let text = |pointer| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let api_version = text("/apiVersion");
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let path = RepoPath::new(format!("{}-{}.yaml", text("/kind"), text("/metadata/name")));
    Control {
        key: ObjectKey::new(
            group,
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name"),
        ),
        api_version: api_version.into(),
        manifest: Manifest::new(value),
        location: Place::at(path, 1, 1),
        origin: Origin {
            blob: BlobId::from_hex(&"0".repeat(40)).unwrap(),
            document: 0,
        },
    }
}

fn mk_cluster(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "cluster.open-cluster-management.io/v1",
        "kind": "ManagedCluster",
        "metadata": {"name": name, "labels": labels},
    })
}

fn mk_properties(name: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "customization-properties", "name": name},
        "data": data,
    })
}

fn mk_edge(kind: &str, name: &str, labels: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "edge.kubestellar.io/v2alpha1",
        "kind": kind,
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    })
}

fn mk_location(name: &str, labels: &Value, id: &str) -> Value {
    mk_edge(
        "Location",
        name,
        labels,
        &json!({
            "resource": {"group": "edge.kubestellar.io", "version": "v2alpha1", "resource": "synctargets"},
            "instanceSelector": {"matchLabels": {"id": id}},
        }),
    )
}

fn read_all(values: &[Value]) -> (Inventory, Vec<Diagnostic>) {
    let controls: Vec<_> = values.iter().map(control).collect();
    read(&controls)
}

fn reasons(findings: &[Diagnostic]) -> Vec<(Severity, &'static str)> {
    findings
        .iter()
        .map(|finding| (finding.severity, finding.reason))
        .collect()
}

#[test]
fn wecs_come_sorted_by_name_with_their_properties() {
    let mut bom = mk_cluster(
        "bom1",
        &json!({"env": "prod", "currency": "GBP", "app.io/x": "1"}),
    );
    bom["metadata"]["annotations"] = json!({"currency": "INR", "note": "x"});
    let (inventory, findings) = read_all(&[
        mk_cluster("fra1", &json!({"env": "prod"})),
        bom,
        mk_properties("bom1", &json!({"note": "from the map"})),
    ]);
    assert_eq!(findings, []);
    let names: Vec<_> = inventory
        .clusters
        .iter()
        .map(|cluster| cluster.name.as_str())
        .collect();
    assert_eq!(names, ["bom1", "fra1"]);
    let properties: Vec<_> = inventory.clusters[0]
        .properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        properties,
        [
            ("clusterName", "bom1"),
            ("currency", "INR"),
            ("env", "prod"),
            ("note", "from the map")
        ]
    );
    assert_eq!(inventory.clusters[0].labels["app.io/x"], "1");
}

#[test]
fn the_order_of_the_manifests_changes_nothing() {
    let mut values = vec![
        mk_cluster("a", &json!({})),
        mk_cluster("a", &json!({"twice": "yes"})),
        mk_cluster("b", &json!({})),
        mk_properties("a", &json!({"x": "1"})),
        mk_properties("nobody", &json!({})),
    ];
    let mut controls: Vec<_> = values.drain(..).map(|value| control(&value)).collect();
    controls[1].location = Place::file(RepoPath::new("z.yaml"));
    let forwards = read(&controls);
    controls.reverse();
    assert_eq!(read(&controls), forwards);
    assert!(forwards.0.clusters[0].labels.is_empty());
}

#[test]
fn only_an_explicit_no_keeps_a_wec_out() {
    let mut refused = mk_cluster("refused", &json!({}));
    refused["spec"] = json!({"hubAcceptsClient": false});
    let mut leaving = mk_cluster("leaving", &json!({}));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let (inventory, findings) = read_all(&[refused, leaving, mk_cluster("silent", &json!({}))]);
    let destinations: Vec<_> = inventory
        .clusters
        .iter()
        .filter(|cluster| cluster.is_destination())
        .map(|cluster| cluster.name.as_str())
        .collect();
    assert_eq!(destinations, ["silent"]);
    assert_eq!(inventory.clusters.len(), 3);
    assert_eq!(
        reasons(&findings),
        [
            (Severity::Warning, "BeingDeleted"),
            (Severity::Warning, "NotAccepted")
        ]
    );
}

#[test]
fn a_wec_written_twice_is_an_error_that_names_the_one_that_counts() {
    let first = control(&mk_cluster("a", &json!({"env": "prod"})));
    let mut second = control(&mk_cluster("a", &json!({})));
    second.location = Place::at(RepoPath::new("b.yaml"), 7, 1);
    let (inventory, findings) = read(&[second, first]);
    assert_eq!(inventory.clusters[0].labels["env"], "prod");
    assert_eq!(reasons(&findings), [(Severity::Error, "DuplicateCluster")]);
    assert_eq!(
        findings[0].location.as_ref().unwrap().to_string(),
        "b.yaml:7:1"
    );
    assert!(findings[0].message.contains("ManagedCluster-a.yaml:1:1"));
}

#[test]
fn a_wec_that_cannot_be_read_is_named_so_that_it_keeps_what_it_has() {
    let (inventory, findings) = read_all(&[mk_cluster("a", &json!({"extended": true}))]);
    assert_eq!(inventory.clusters, []);
    assert_eq!(reasons(&findings), [(Severity::Error, "InvalidValue")]);
    assert_eq!(findings[0].cluster.as_ref().unwrap().as_str(), "a");
    assert_eq!(findings[0].help.as_deref(), Some("put the value in quotes"));
}

#[test]
fn names_and_labels_that_no_hub_takes_are_reported() {
    let (inventory, findings) = read_all(&[
        mk_cluster("Not/A/Name", &json!({})),
        mk_cluster("a", &json!({"two words": "x"})),
    ]);
    assert_eq!(inventory.clusters.len(), 1);
    assert_eq!(
        reasons(&findings),
        [
            (Severity::Warning, "InvalidLabel"),
            (Severity::Error, "InvalidName")
        ]
    );
}

#[test]
fn properties_that_templates_cannot_name_are_listed_once() {
    let (inventory, findings) = read_all(&[
        mk_cluster("a", &json!({})),
        mk_properties("a", &json!({"good": "1", "not-good": "2", "type": "3"})),
    ]);
    assert_eq!(inventory.clusters[0].properties.len(), 2);
    assert_eq!(reasons(&findings), [(Severity::Note, "UnusableProperties")]);
    assert!(findings[0].message.ends_with("`not-good`, `type`"));

    let same = json!({"not-good": "2"});
    let (_, findings) = read_all(&[
        mk_cluster("a", &json!({})),
        mk_cluster("b", &json!({})),
        mk_properties("a", &same),
        mk_properties("b", &same),
    ]);
    assert_eq!(reasons(&findings), [(Severity::Note, "UnusableProperties")]);
    assert!(findings[0].message.ends_with("`not-good` (of 2 WECs)"));
}

#[test]
fn binary_properties_are_text_in_base64() {
    let mut map = mk_properties("a", &json!({"both": "data"}));
    map["binaryData"] =
        json!({"word": "Z3J1\nZXp5\n", "both": "eA==", "bytes": "/w==", "bad": "*"});
    let (inventory, findings) = read_all(&[mk_cluster("a", &json!({})), map]);
    let properties = &inventory.clusters[0].properties;
    assert_eq!(properties["word"], "gruezy");
    assert_eq!(properties["both"], "data");
    assert!(!properties.contains_key("bytes") && !properties.contains_key("bad"));
    let messages: Vec<_> = findings
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "`both` stands in `data` and in `binaryData`; `data` counts",
            "binaryData.bad: is no base64",
            "binaryData.bytes: is no UTF-8 text",
        ]
    );
}

#[test]
fn a_number_among_the_properties_is_refused_and_the_rest_stays() {
    let (inventory, findings) = read_all(&[
        mk_cluster("a", &json!({})),
        mk_properties("a", &json!({"tills": 4, "currency": "EUR"})),
    ]);
    assert_eq!(inventory.clusters[0].properties["currency"], "EUR");
    assert_eq!(findings[0].message, "data.tills: is no text");
}

#[test]
fn a_property_map_for_nobody_is_worth_a_note() {
    let (_, findings) = read_all(&[mk_properties("a", &json!({}))]);
    assert_eq!(reasons(&findings), [(Severity::Note, "NoSuchCluster")]);
}

#[test]
fn the_first_api_gives_a_wec_for_each_sync_target_at_a_location() {
    let (inventory, findings) = read_all(&[
        mk_edge(
            "SyncTarget",
            "guilder",
            &json!({"id": "guilder", "env": "test"}),
            &json!({}),
        ),
        mk_location(
            "place-g",
            &json!({"loc-name": "guilder", "env": "prod"}),
            "guilder",
        ),
        mk_edge("SyncTarget", "lonely", &json!({"id": "lonely"}), &json!({})),
        mk_location("nowhere", &json!({}), "nobody"),
    ]);
    assert_eq!(inventory.clusters.len(), 1);
    let guilder = &inventory.clusters[0];
    assert_eq!(guilder.name.as_str(), "guilder");
    assert_eq!(guilder.labels["env"], "prod");
    assert!(!guilder.labels.contains_key("id"));
    assert_eq!(guilder.properties["env"], "prod");
    assert_eq!(guilder.properties["id"], "guilder");
    assert_eq!(
        guilder.parameters().get("loc-name").map(String::as_str),
        Some("guilder")
    );
    assert_eq!(
        guilder.parameters().get("id").map(String::as_str),
        Some("guilder")
    );
    assert_eq!(
        guilder.parameters().get("env").map(String::as_str),
        Some("prod")
    );
    assert_eq!(guilder.parameters().get("nothing"), None);
    assert_eq!(
        reasons(&findings),
        [
            (Severity::Note, "NoLocation"),
            (Severity::Warning, "NoSyncTarget")
        ]
    );
}

#[test]
fn two_locations_for_one_sync_target_are_reported_and_the_first_name_counts() {
    let (inventory, findings) = read_all(&[
        mk_edge("SyncTarget", "t", &json!({"id": "t"}), &json!({})),
        mk_location("b", &json!({"place": "b"}), "t"),
        mk_location("a", &json!({"place": "a"}), "t"),
    ]);
    assert_eq!(inventory.clusters[0].labels["place"], "a");
    assert_eq!(
        reasons(&findings),
        [(Severity::Warning, "SeveralLocations")]
    );
}

#[test]
fn a_location_that_cannot_be_read_may_concern_any_wec() {
    let mut broken = mk_location("place", &json!({}), "t");
    broken["spec"]["instanceSelektor"] = json!({});
    let target = mk_edge("SyncTarget", "t", &json!({"id": "t"}), &json!({}));
    let (inventory, findings) = read_all(&[broken, target]);
    assert_eq!(inventory.clusters, []);
    let error = findings
        .iter()
        .find(|finding| finding.severity == Severity::Error)
        .unwrap();
    assert_eq!((error.reason, &error.cluster), ("UnknownField", &None));
    assert_eq!(
        error.help.as_deref(),
        Some("did you mean `instanceSelector`?")
    );
}
