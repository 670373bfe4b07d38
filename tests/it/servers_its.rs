//! The inventory from an ITS, against a real API server: what is told, what stays when the server does not, and with which
//! rights.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use stellate::{
    api_server::{Connection, Pace},
    inventory::{
        Cluster, Inventory,
        its::{self, Feed, Known},
    },
};
use tokio::{runtime::Runtime, time::timeout};

use crate::{
    servers_pipeline::stellate,
    support::{
        folder, need,
        servers::{ApiServer, Missing},
    },
};

const PATIENCE: Duration = Duration::from_secs(120);

/// An API server with OCM's CRDs and the namespace of the properties.
fn its(flags: &[&str]) -> Result<ApiServer, Missing> {
    ApiServer::start_with_flags("its1", flags).map(made_its)
}

fn made_its(api: ApiServer) -> ApiServer {
    api.apply_crds("ocm");
    api.namespace(its::PROPERTIES_NAMESPACE);
    api
}

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// Watches of two seconds: so soon it shows that they are asked for again, and with which rights.
fn brisk() -> Pace {
    Pace {
        watch: Duration::from_secs(2),
        most_wait: Duration::from_millis(500),
        ..Pace::default()
    }
}

fn feed(runtime: &Runtime, kubeconfig: PathBuf, pace: Pace) -> Feed {
    let connection = Connection {
        kubeconfig: Some(kubeconfig),
        context: None,
    };
    let _inside = runtime.enter();
    its::watch_at(connection, pace)
}

/// Waits for a state that is as wanted; panics with the last one when patience ends.
#[track_caller]
fn known(
    runtime: &Runtime,
    feed: &mut Feed,
    what: &str,
    wanted: impl FnMut(&Known) -> bool,
) -> Known {
    let heard = runtime.block_on(async {
        let told = timeout(PATIENCE, feed.receiver.wait_for(wanted)).await;
        told.map(|known| known.unwrap().clone()).ok()
    });
    heard.unwrap_or_else(|| panic!("waited in vain for {what}: {:#?}", *feed.receiver.borrow()))
}

fn synced(runtime: &Runtime, feed: &mut Feed) -> Arc<Inventory> {
    let known = known(runtime, feed, "the first inventory", |known| known.synced);
    known.inventory.unwrap()
}

fn wec(known: &Known, name: &str) -> Option<Cluster> {
    let inventory = known.inventory.as_ref()?;
    Some(inventory.clusters[inventory.position(name)?].clone())
}

fn labelled(known: &Known, name: &str, key: &str, value: &str) -> bool {
    wec(known, name).is_some_and(|wec| wec.labels.get(key).is_some_and(|has| has == value))
}

fn managed_cluster(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "cluster.open-cluster-management.io/v1",
        "kind": "ManagedCluster",
        "metadata": {"name": name, "labels": labels},
        "spec": {"hubAcceptsClient": true},
    })
}

fn label(its: &ApiServer, name: &str, label: &str) {
    its.kubectl_ok(&["label", "--overwrite", "managedcluster", name, label]);
}

#[test]
fn wecs_and_their_properties_are_followed_as_they_change() {
    let its = need!(its(&[]));
    its.apply(&managed_cluster("fra1", &json!({"env": "prod"})).to_string());
    its.apply(
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "fra1", "namespace": its::PROPERTIES_NAMESPACE},
            "data": {"tills": "4"},
            "binaryData": {"greeting": "Z3J1ZXppIQ=="},
        })
        .to_string(),
    );
    let runtime = runtime();
    let mut feed = feed(&runtime, its.kubeconfig(), Pace::default());
    let first = synced(&runtime, &mut feed);
    let fra1 = &first.clusters[0];
    assert!(fra1.is_destination() && fra1.location.is_none());
    let properties: Vec<(&str, &str)> = fra1
        .properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        properties,
        [
            ("clusterName", "fra1"),
            ("env", "prod"),
            ("greeting", "gruezi!"),
            ("tills", "4")
        ]
    );

    label(&its, "fra1", "env=test");
    known(&runtime, &mut feed, "the label", |known| {
        labelled(known, "fra1", "env", "test")
    });
    // Deleted and made anew, it is another cluster of the same name.
    its.kubectl_ok(&["delete", "managedcluster", "fra1"]);
    known(&runtime, &mut feed, "the deletion", |known| {
        wec(known, "fra1").is_none()
    });
    its.apply(&managed_cluster("fra1", &json!({"tier": "edge"})).to_string());
    let again = known(&runtime, &mut feed, "the new one", |known| {
        labelled(known, "fra1", "tier", "edge")
    });
    let again = wec(&again, "fra1").unwrap();
    assert!(!again.labels.contains_key("env"));
    assert_eq!(again.properties["tills"], "4");

    // What says nothing new of a WEC tells nobody anything.
    feed.receiver.mark_unchanged();
    its.kubectl_ok(&[
        "patch",
        "managedcluster",
        "fra1",
        "--type=merge",
        r#"--patch={"spec": {"leaseDurationSeconds": 77}}"#,
    ]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(!feed.receiver.has_changed().unwrap());
}

#[test]
fn an_api_server_that_dies_freezes_the_inventory_and_its_return_thaws_it() {
    let its = need!(its(&[]));
    its.apply(&managed_cluster("fra1", &json!({"env": "prod"})).to_string());
    let runtime = runtime();
    let mut feed = feed(&runtime, its.kubeconfig(), Pace::default());
    let before = synced(&runtime, &mut feed);
    its.kill();
    let frozen = known(&runtime, &mut feed, "the outage", |known| !known.synced);
    let problem = frozen.problem.unwrap();
    assert_eq!(problem.reason, "Unreachable", "{problem:?}");
    assert!(Arc::ptr_eq(&frozen.inventory.unwrap(), &before));
    assert_eq!(frozen.generation, 1);

    its.revive();
    let thawed = known(&runtime, &mut feed, "the return", |known| known.synced);
    assert_eq!((thawed.problem, thawed.generation), (None, 1));
    label(&its, "fra1", "env=test");
    known(&runtime, &mut feed, "the label", |known| {
        labelled(known, "fra1", "env", "test")
    });
}

#[test]
fn rights_that_are_taken_away_are_named_and_nothing_is_forgotten() {
    let its = need!(its(&[]));
    its.apply(&managed_cluster("fra1", &json!({"env": "prod"})).to_string());
    let file = folder("kubeconfig-bot").join("kubeconfig");
    let bot = json!({"token": its.token(), "as": "bot"});
    fs::write(&file, its.kubeconfig_of(&bot)).unwrap();
    let runtime = runtime();
    let mut feed = feed(&runtime, file, brisk());
    let refused = known(&runtime, &mut feed, "the refusal", |known| {
        known.problem.is_some()
    });
    assert!(refused.inventory.is_none());
    let problem = refused.problem.unwrap();
    assert_eq!(problem.reason, "Forbidden");
    // Which of the two watches is refused first is the server's affair.
    for named in ["\"bot\"", "cannot watch resource"] {
        assert!(problem.message.contains(named), "{problem:?}");
    }

    // `view` of the ConfigMaps alone is not enough; cluster-admin is.
    let bind = |verb: &str| {
        let arguments = ["clusterrolebinding", "bot"];
        let rest = ["--clusterrole=cluster-admin", "--user=bot"];
        match verb {
            "create" => its.kubectl_ok(&[&["create"], &arguments[..], &rest].concat()),
            _ => its.kubectl_ok(&[&["delete"], &arguments[..]].concat()),
        }
    };
    bind("create");
    let before = synced(&runtime, &mut feed);
    bind("delete");
    let frozen = known(&runtime, &mut feed, "the refusal", |known| !known.synced);
    assert_eq!(frozen.problem.unwrap().reason, "Forbidden");
    assert_eq!(frozen.inventory.unwrap(), before);
    bind("create");
    label(&its, "fra1", "env=test");
    let back = known(&runtime, &mut feed, "the label", |known| {
        labelled(known, "fra1", "env", "test")
    });
    assert!(back.synced && back.problem.is_none());
}

#[test]
fn credentials_are_rotated_without_a_restart() {
    let its = need!(its(&[]));
    its.kubectl_ok(&["create", "serviceaccount", "old"]);
    its.kubectl_ok(&[
        "create",
        "clusterrolebinding",
        "old",
        "--clusterrole=cluster-admin",
        "--serviceaccount=default:old",
    ]);
    let token = its.kubectl_ok(&["create", "token", "old"]);
    let file = folder("kubeconfig-rotated").join("kubeconfig");
    fs::write(&file, its.kubeconfig_of(&json!({"token": token.trim()}))).unwrap();
    let runtime = runtime();
    let mut feed = feed(&runtime, file.clone(), brisk());
    synced(&runtime, &mut feed);
    // A token ends with its account.
    its.kubectl_ok(&["delete", "serviceaccount", "old"]);
    let frozen = known(&runtime, &mut feed, "the refusal", |known| !known.synced);
    assert_eq!(frozen.problem.unwrap().reason, "Unauthorized");
    fs::write(&file, its.kubeconfig_of(&json!({"token": its.token()}))).unwrap();
    known(&runtime, &mut feed, "the new token", |known| known.synced);
}

/// Without its watch cache an API server lets a watch go on only from what etcd still holds: with a history of two seconds,
/// the place of a quiet watch soon is gone.
#[test]
fn a_server_without_streaming_lists_and_with_a_short_memory_is_followed_too() {
    let its = need!(its(&[
        "--feature-gates=WatchList=false",
        "--watch-cache=false",
        "--etcd-compaction-interval=1s"
    ]));
    let runtime = runtime();
    let mut feed = feed(&runtime, its.kubeconfig(), brisk());
    synced(&runtime, &mut feed);
    let before = requests(&its, "LIST", "configmaps");
    for step in 0..8 {
        let name = format!("wec{step}");
        its.apply(&managed_cluster(&name, &json!({})).to_string());
        let told = known(&runtime, &mut feed, "the new WEC", |known| {
            wec(known, &name).is_some()
        });
        assert!(told.synced, "{told:?}");
        std::thread::sleep(Duration::from_secs(1));
    }
    let lists = requests(&its, "LIST", "configmaps");
    assert!(
        lists > before,
        "the quiet watch was never told that it expired: {lists}"
    );
}

#[test]
fn an_its_whose_etcd_is_too_old_for_streaming_lists_is_followed_too() {
    let its = made_its(need!(ApiServer::start_on_old_etcd("its1")));
    its.apply(&managed_cluster("fra1", &json!({"env": "prod"})).to_string());
    let runtime = runtime();
    let mut feed = feed(&runtime, its.kubeconfig(), Pace::default());
    assert_eq!(synced(&runtime, &mut feed).clusters.len(), 1);
    label(&its, "fra1", "env=test");
    let told = known(&runtime, &mut feed, "the label", |known| {
        labelled(known, "fra1", "env", "test")
    });
    assert!(told.synced && told.problem.is_none());
}

/// How often a kind was asked for in the namespace of the properties, as the server counts.
fn requests(its: &ApiServer, verb: &str, resource: &str) -> u64 {
    let metrics = its.kubectl_ok(&["get", "--raw=/metrics"]);
    let lines = metrics.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && line.contains(&format!("resource=\"{resource}\""))
            && line.contains(&format!("verb=\"{verb}\""))
            && line.contains("scope=\"namespace\"")
    });
    // Prometheus writes large numbers as 1e+06; these are small.
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

#[test]
fn five_thousand_wecs_are_one_inventory() {
    const COUNT: usize = 5_000;
    let its = need!(its(&[]));
    for block in 0..10 {
        let all: Vec<Value> = (0..COUNT / 10)
            .map(|number| {
                let name = format!("wec{:04}", block * COUNT / 10 + number);
                managed_cluster(&name, &json!({"env": "prod", "number": number.to_string()}))
            })
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": all});
        let file = folder("fleet").join("wecs.json");
        fs::write(&file, list.to_string()).unwrap();
        let file = format!("--filename={}", file.display());
        its.kubectl_ok(&["create", &file]);
    }
    let runtime = runtime();
    let mut feed = feed(&runtime, its.kubeconfig(), Pace::default());
    assert_eq!(synced(&runtime, &mut feed).clusters.len(), COUNT);
    label(&its, "wec4321", "env=test");
    let told = known(&runtime, &mut feed, "the label", |known| {
        labelled(known, "wec4321", "env", "test")
    });
    assert_eq!(told.inventory.unwrap().clusters.len(), COUNT);
    assert_eq!(told.generation, 2);
}

const POLICY: &str = "\
apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: everywhere}
spec:
  clusterSelectors: [{matchLabels: {env: prod}}]
  downsync: [{objectNames: [motd]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: motd, namespace: default}
data: {motd: hello}
";

#[test]
fn a_person_sees_the_wecs_of_an_its_what_they_lack_and_what_they_get() {
    let its = need!(its(&[]));
    let prod = json!({"env": "prod"});
    let mut stranger = managed_cluster("stranger", &prod);
    stranger["spec"] = json!({"hubAcceptsClient": false});
    for wec in [&stranger, &managed_cluster("ready", &prod)] {
        its.apply(&wec.to_string());
    }
    its.apply(&managed_cluster("silent", &json!({})).to_string());
    its.namespace("ready");
    let condition = |name: &str| {
        json!({
            "type": name, "status": "True", "reason": "Told", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let conditions = ["ManagedClusterJoined", "ManagedClusterConditionAvailable"].map(condition);
    let patch = format!("--patch={}", json!({"status": {"conditions": conditions}}));
    its.kubectl_ok(&[
        "patch",
        "managedcluster",
        "ready",
        "--subresource=status",
        "--type=merge",
        &patch,
    ]);

    let source = folder("source");
    fs::write(source.join("all.yaml"), POLICY).unwrap();
    let (source, kubeconfig) = (source.display().to_string(), its.kubeconfig());
    let kubeconfig = kubeconfig.display().to_string();
    let cache = folder("cache");
    let run = |arguments: &[&str]| {
        let its = ["--its", "--kubeconfig", &kubeconfig, &source];
        // A proxy to the world outside has nothing to do with an API server.
        let proxy = [("HTTPS_PROXY", "http://127.0.0.1:1")];
        stellate(&cache, &proxy, &[arguments, &its].concat())
    };
    let told = run(&["clusters"]);
    assert_eq!(told.code, 0, "{told:?}");
    for command in [
        "clusteradm accept --clusters stranger",
        "kubectl create namespace silent",
        "clusteradm join --hub-token … --hub-apiserver … --cluster-name silent",
        "kubectl label managedcluster silent",
    ] {
        assert!(told.out.contains(command), "{command}: {}", told.out);
    }
    let listed = run(&["clusters", "-o", "json"]).report();
    let ready = &listed["clusters"][0];
    assert_eq!(ready["name"], "ready");
    assert_eq!(ready["missing"], json!([]));
    assert_eq!(
        // The ConfigMap and its Namespace.
        (&ready["mailbox"], &ready["available"], &ready["objects"]),
        (&json!(true), &json!(true), &json!(2))
    );

    // A configuration names the ITS as well, and arguments are not needed then.
    let configuration = json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1", "kind": "Pipeline", "metadata": {"name": "shop"},
        "spec": {
            "source": {"folder": {"path": "."}},
            "inventory": {"its": {"kubeconfig": kubeconfig, "context": "its1"}},
        },
    });
    fs::write(
        std::path::Path::new(&source).join("stellate.yaml"),
        configuration.to_string(),
    )
    .unwrap();
    let out = folder("out");
    let out_text = out.display().to_string();
    let rendered = stellate(&cache, &[], &["render", &source, "--out", &out_text]);
    assert_eq!(rendered.code, 0, "{rendered:?}");
    assert!(
        out.join("clusters/ready/default/configmap-motd.yaml")
            .exists()
    );
    assert!(!out.join("clusters/stranger/default").exists());
}
