//! What others change, what cannot be read, and what is held: what stands, stays or is put right.

use std::{fs, sync::Arc};

use serde_json::Value;
use stellate::reconcile::{DeliveryOptions, Outcome};

use crate::support::{
    mailboxes::{Shop, config_map, inventory},
    need,
    servers::ApiServer,
};

#[test]
fn works_that_others_change_are_put_right_and_what_cannot_be_known_stays() {
    let its = Arc::new(need!(ApiServer::start("its1")));
    let mut shop = Shop::new(&its);
    shop.write("inventory.yaml", &inventory(&["c1"]));
    its.namespace("c1");
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        shop.write(&format!("{name}.yaml"), &config_map(name, "{{.colour}}"));
    }
    shop.deliver();
    let names = |shop: &Shop| -> Vec<String> {
        let work = shop.work("c1", "shop.rest").unwrap();
        let manifests = work["spec"]["workload"]["manifests"].as_array().unwrap();
        manifests
            .iter()
            .map(|manifest| manifest["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&shop).len(), 8);

    // Somebody edits the work while Stellate is down: nothing in its annotations tells.
    let patch = r#"--patch=[{"op": "remove", "path": "/spec/workload/manifests/0"}]"#;
    its.kubectl_ok(&[
        "patch",
        "manifestwork",
        "shop.rest",
        "-nc1",
        "--type=json",
        patch,
    ]);
    assert_eq!(names(&shop).len(), 7);
    shop.restart();
    assert_eq!(shop.deliver().written, 1);
    assert_eq!(names(&shop).len(), 8);

    // A template that fails, and a file that cannot be read: both objects stay as they were, also after a restart.
    shop.write("a.yaml", &config_map("a", "{{.nothing}}"));
    shop.write("b.yaml", "apiVersion: v1\nkind: [\n");
    shop.write("c.yaml", &config_map("c", "new"));
    shop.restart();
    let delivery = shop.deliver();
    assert_eq!(
        (delivery.outcome, delivery.change.counts()),
        (Outcome::Written, (0, 0, 1))
    );
    let work = shop.work("c1", "shop.rest").unwrap();
    let values: Vec<&Value> = work["spec"]["workload"]["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| &manifest["data"]["value"])
        .collect();
    assert_eq!(values[..3], ["c1", "c1", "new"]);
    assert_eq!(shop.deliver().written, 0);
    shop.restart();
    assert_eq!(shop.deliver().written, 0);

    // More goes than the guard allows, until somebody says that it is meant.
    for name in ["a", "b", "d", "e"] {
        fs::remove_file(shop.source.join(format!("{name}.yaml"))).unwrap();
    }
    let held = shop.deliver();
    assert!(
        matches!(&held.outcome, Outcome::Held(reasons) if reasons.len() == 1),
        "{:?}",
        held.outcome
    );
    assert!(held.releasable);
    assert_eq!(names(&shop).len(), 8);
    let meant = DeliveryOptions {
        allow_removals: true,
        ..DeliveryOptions::default()
    };
    assert_eq!(shop.deliver_with(&meant).outcome, Outcome::Written);
    assert_eq!(names(&shop), ["c", "f", "g", "h"]);
}

#[test]
fn a_namespace_that_cannot_be_read_is_not_made_bare_and_a_lost_transform_holds_everything() {
    let its = Arc::new(need!(ApiServer::start("its1")));
    let mut shop = Shop::new(&its);
    shop.write("inventory.yaml", &inventory(&["c1"]));
    its.namespace("c1");
    let namespace =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: storefront}}\n";
    shop.write("namespace.yaml", namespace);
    shop.write(
        "namespaces.yaml",
        "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: namespaces}
spec: {clusterSelectors: [{matchLabels: {env: prod}}], downsync: [{resources: [namespaces]}]}
",
    );
    let transform = "apiVersion: control.kubestellar.io/v1alpha1
kind: CustomTransform
metadata: {name: quiet}
spec: {apiGroup: \"\", resource: configmaps, remove: [$.data.noise]}
";
    shop.write("transform.yaml", transform);
    shop.write("a.yaml", &config_map("a", "old"));
    shop.deliver();
    let label = |shop: &Shop| {
        let work = shop.work("c1", "shop.first").unwrap();
        work["spec"]["workload"]["manifests"][0]["metadata"]["labels"]["team"].clone()
    };
    assert_eq!(label(&shop), "storefront");

    shop.write("namespace.yaml", "apiVersion: v1\nkind: [\n");
    for value in ["new", "newer"] {
        shop.write("a.yaml", &config_map("a", value));
        let delivery = shop.deliver();
        assert_eq!(
            (delivery.outcome, delivery.change.counts()),
            (Outcome::Written, (0, 0, 1))
        );
        assert_eq!(label(&shop), "storefront");
        shop.restart();
    }
    assert_eq!(shop.deliver().written, 0);

    // Nothing is left of the transform's words but in what was committed.
    shop.commit();
    shop.write("transform.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n");
    shop.restart();
    let held = shop.deliver();
    assert!(
        matches!(&held.outcome, Outcome::Held(reasons) if reasons[0].contains("transform.yaml")),
        "{:?}",
        held.outcome
    );
    shop.write("transform.yaml", transform);
    shop.write("namespace.yaml", namespace);
    assert_eq!(shop.deliver().written, 0);
}
