//! Beside KubeStellar's own controllers on one ITS: each leaves alone what the other writes.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{
    mailboxes::{Shop, config_map, inventory},
    need,
    servers::{ApiServer, KubeStellar},
    wait_for,
};

/// A policy of KubeStellar's own, and an object for it.
const GARDEN: &str = "apiVersion: v1
kind: Namespace
metadata: {name: garden}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: rose, namespace: garden}
data: {colour: red}
---
apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: garden}
spec:
  clusterSelectors: [{matchLabels: {env: prod}}]
  downsync:
  - namespaces: [garden]
    objectNames: [rose]
";

/// The works of a mailbox that KubeStellar wrote.
fn theirs(its: &ApiServer) -> Vec<Value> {
    let found = its.kubectl_ok(&["get", "manifestworks", "-nc1", "--output=json"]);
    let all: Value = serde_json::from_str(&found).unwrap();
    let all = all["items"].as_array().unwrap().iter();
    let origin = |work: &Value| {
        work["metadata"]["labels"]["transport.kubestellar.io/originWdsName"] == "wds1"
    };
    all.filter(|work| origin(work)).cloned().collect()
}

/// Waits until KubeStellar's work holds a rose of this colour.
fn expect_rose(its: &ApiServer, colour: &str) -> Value {
    wait_for(&format!("a {colour} rose"), || {
        let works = theirs(its);
        let manifests = |work: &Value| work["spec"]["workload"]["manifests"].clone();
        match &works[..] {
            [work] if manifests(work)[0]["data"]["colour"] == colour => Ok(work.clone()),
            other => Err(format!("{other:?}")),
        }
    })
}

#[test]
fn kubestellars_transport_and_ours_share_a_mailbox_and_leave_each_other_alone() {
    need!(KubeStellar::available());
    let its = Arc::new(need!(ApiServer::start("its1")));
    let wds = Arc::new(need!(ApiServer::start("wds1")));
    let mut shop = Shop::new(&its);
    its.namespace("c1");
    shop.write("inventory.yaml", &inventory(&["c1"]));
    its.apply(&inventory(&["c1"]));
    shop.write("paint.yaml", &config_map("paint", "first"));
    assert_eq!(shop.deliver().written, 2);

    let _kubestellar = need!(KubeStellar::start(&wds, &its));
    wds.apply(GARDEN);
    let rose = expect_rose(&its, "red");
    shop.write("paint.yaml", &config_map("paint", "second"));
    assert_eq!(shop.deliver().written, 1);
    assert_eq!(
        expect_rose(&its, "red")["metadata"]["uid"],
        rose["metadata"]["uid"]
    );
    wds.kubectl_ok(&[
        "patch",
        "configmap",
        "rose",
        "-ngarden",
        "--type=merge",
        &format!("--patch={}", json!({"data": {"colour": "white"}})),
    ]);
    expect_rose(&its, "white");

    // What it cleans up is its own.
    wds.kubectl_ok(&["delete", "bindingpolicy", "garden", "--wait=false"]);
    wds.kubectl_ok(&[
        "delete",
        "binding.control.kubestellar.io",
        "garden",
        "--wait=false",
    ]);
    wait_for("the end of its works", || match theirs(&its).len() {
        0 => Ok(()),
        count => Err(format!("{count} works")),
    });
    let generations = ["shop.first", "shop.rest"]
        .map(|name| shop.work("c1", name).unwrap()["metadata"]["generation"].clone());
    assert_eq!(generations, [1, 2]);
    shop.restart();
    assert_eq!(shop.deliver().written, 0);
}
