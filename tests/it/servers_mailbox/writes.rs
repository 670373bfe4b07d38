//! What is asked of an ITS, and of one whose mailboxes are not all as they should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::json;
use stellate::{model::ClusterName, reconcile::Outcome};

use crate::support::{
    mailboxes::{Shop, config_map, inventory},
    need,
    servers::{ApiServer, Audit},
};

/// What was asked of works after so many entries of the log: how often each verb, and of how many WECs.
fn asked(audit: &Audit, after: usize) -> BTreeMap<String, (usize, usize)> {
    let mut counts: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    for asked in audit.of("manifestworks", after) {
        if asked.code == 429 {
            // Right after its CRD a kind is not served yet.
            continue;
        }
        assert!(asked.code < 300, "{asked:?}");
        let (count, wecs) = counts.entry(asked.verb).or_default();
        *count += 1;
        wecs.insert(asked.namespace);
    }
    let counts = counts.into_iter();
    counts
        .map(|(verb, (count, wecs))| (verb, (count, wecs.len())))
        .collect()
}

#[test]
fn an_edit_is_one_write_for_each_wec_and_a_restart_is_none() {
    let (its, audit) = need!(ApiServer::start_audited("its1", &[]));
    let its = Arc::new(its);
    let mut shop = Shop::new(&its);
    let clusters = ["c1", "c2", "c3", "c4", "c5"];
    shop.write("inventory.yaml", &inventory(&clusters));
    for cluster in clusters {
        its.namespace(cluster);
    }
    for number in 1..12 {
        shop.write(
            &format!("o{number}.yaml"),
            &config_map(&format!("o{number}"), "a"),
        );
    }
    shop.write("o12.yaml", &config_map("o12", "{{.colour}}"));
    let none = BTreeMap::new();
    let only = |all: &[(&str, usize, usize)]| -> BTreeMap<String, (usize, usize)> {
        let all = all.iter();
        all.map(|&(verb, count, wecs)| (verb.to_owned(), (count, wecs)))
            .collect()
    };

    let mark = audit.len();
    let first = shop.deliver();
    assert_eq!(first.outcome, Outcome::Written, "{:?}", first.diagnostics);
    assert_eq!(
        first.written, 10,
        "a Namespace and twelve objects for each of five"
    );
    assert_eq!(
        asked(&audit, mark),
        only(&[("list", 1, 1), ("patch", 10, 5)])
    );
    assert_eq!(first.change.fresh.values().sum::<u64>(), 65);
    let work = shop.work("c3", "shop.rest").unwrap();
    let manifests = work["spec"]["workload"]["manifests"].as_array().unwrap();
    assert!(
        manifests
            .iter()
            .any(|manifest| manifest["data"]["value"] == "c3"),
        "{manifests:?}"
    );
    assert_eq!(
        work["metadata"]["labels"]["transport.kubestellar.io/originWdsName"],
        "stellate.shop"
    );

    let mark = audit.len();
    assert_eq!(shop.deliver().outcome, Outcome::Unchanged);
    assert_eq!(asked(&audit, mark), none);
    shop.write("o7.yaml", &config_map("o7", "b"));
    let edit = shop.deliver();
    assert_eq!((edit.written, edit.change.counts()), (5, (0, 0, 5)));
    assert_eq!(asked(&audit, mark), only(&[("patch", 5, 5)]));

    let mark = audit.len();
    shop.restart();
    assert_eq!(shop.deliver().outcome, Outcome::Unchanged);
    assert_eq!(asked(&audit, mark), only(&[("list", 1, 1)]));
    let mark = audit.len();
    let changed = inventory(&clusters).replace("colour: c3", "colour: other");
    shop.write("inventory.yaml", &changed);
    let property = shop.deliver();
    assert_eq!((property.written, property.change.counts()), (1, (0, 0, 1)));
    assert_eq!(asked(&audit, mark), only(&[("patch", 1, 1)]));
    let touched: Vec<&str> = property
        .change
        .clusters
        .keys()
        .map(ClusterName::as_str)
        .collect();
    assert_eq!(touched, ["c3"]);

    // What changes right after a restart must be read once, or nobody knows what is removed by it.
    let mark = audit.len();
    shop.restart();
    shop.write("inventory.yaml", &inventory(&clusters));
    assert_eq!(shop.deliver().written, 1);
    let counted = only(&[("get", 1, 1), ("list", 1, 1), ("patch", 1, 1)]);
    assert_eq!(asked(&audit, mark), counted);
}

#[test]
fn what_is_wrong_with_one_mailbox_holds_up_no_other() {
    let its = Arc::new(need!(ApiServer::start("its1")));
    let mut shop = Shop::new(&its);
    shop.write(
        "inventory.yaml",
        &inventory(&["c1", "c2", "missing", "taken"]),
    );
    for cluster in ["c1", "c2", "taken"] {
        its.namespace(cluster);
    }
    shop.write("a.yaml", &config_map("a", "1"));
    let foreign = json!({
        "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
        "metadata": {"name": "shop.rest", "namespace": "taken"},
        "spec": {"workload": {"manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "x"}}]}},
    });
    its.apply(&foreign.to_string());
    let theirs = shop.work("taken", "shop.rest").unwrap()["metadata"]["resourceVersion"].clone();

    let delivery = shop.deliver();
    let problems: Vec<(&str, &str)> = delivery
        .diagnostics
        .iter()
        .map(|found| (found.reason, found.cluster.as_ref().unwrap().as_str()))
        .collect();
    assert_eq!(
        problems,
        [("ForeignWork", "taken"), ("MailboxMissing", "missing")]
    );
    assert_eq!(
        delivery
            .clusters
            .keys()
            .map(ClusterName::as_str)
            .collect::<Vec<_>>(),
        ["c1", "c2"]
    );
    assert!(shop.work("c2", "shop.rest").is_some());
    assert_eq!(
        shop.work("taken", "shop.rest").unwrap()["metadata"]["resourceVersion"],
        theirs
    );

    // Without a controller, a namespace that is deleted goes on ending for ever.
    its.kubectl_ok(&["delete", "namespace", "taken", "--wait=false"]);
    its.kubectl_ok(&["delete", "manifestwork", "shop.rest", "-ntaken"]);
    its.namespace("missing");
    let healed = shop.deliver();
    assert!(
        healed.clusters.contains_key("missing"),
        "{:?}",
        healed.diagnostics
    );
    assert_eq!(healed.written, 2);
    let reasons: Vec<&str> = healed
        .diagnostics
        .iter()
        .map(|found| found.reason)
        .collect();
    assert_eq!(reasons, ["MailboxTerminating"]);
}
