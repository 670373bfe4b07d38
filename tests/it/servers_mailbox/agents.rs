//! What OCM's agents and KubeStellar's status add-on make of it, and say.

use std::{fs, sync::Arc};

use serde_json::{Value, json};
use stellate::{
    reconcile::{DeliveryOptions, deliver::mailbox::MailboxDelivery},
    status::{Health, Progress},
};

use crate::support::{
    mailboxes::{Shop, config_map, inventory},
    need,
    servers::{ApiServer, Missing, WorkAgent},
    wait_for,
};

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
";

/// An ITS and two WECs with an agent each.
fn two_wecs() -> Result<(Arc<ApiServer>, [Arc<ApiServer>; 2]), Missing> {
    WorkAgent::available()?;
    let its = Arc::new(ApiServer::start("its1")?);
    let wecs = [
        Arc::new(ApiServer::start("c1")?),
        Arc::new(ApiServer::start("c2")?),
    ];
    Ok((its, wecs))
}

#[test]
fn objects_arrive_on_their_wecs_and_their_state_comes_back() {
    let (its, [one, two]) = need!(two_wecs());
    let mut shop = Shop::new(&its);
    let _first = need!(WorkAgent::start("c1", &its, &one));
    let second = need!(WorkAgent::start("c2", &its, &two));
    shop.write("inventory.yaml", &inventory(&["c1", "c2"]));
    shop.write("paint.yaml", &config_map("paint", "{{.colour}}"));
    shop.write("web.yaml", DEPLOYMENT);
    let given = shop.deliver();
    assert_eq!(given.diagnostics, []);
    let of =
        |given: &MailboxDelivery, cluster: &str| Some(given.clusters[cluster].revision.clone());

    let colour = |wec: &ApiServer| {
        wec.get("configmap", "shop", "paint")
            .map(|found| found["data"]["value"].clone())
    };
    for (wec, wanted) in [(&one, "c1"), (&two, "c2")] {
        wait_for("the ConfigMap", || match colour(wec) {
            Some(found) if found == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    let waiting = shop.wait_for_report("an applied report", |report| {
        report.cluster.as_str() == "c1" && report.progress == Progress::Applied
    });
    assert_eq!(
        (waiting.health, &waiting.revision),
        (Health::Progressing, &of(&given, "c1")),
        "{waiting:?}"
    );
    // There is no controller: the test does what one would.
    one.roll_out("shop", "web");
    let healthy = shop.wait_for_report("a healthy WEC", |report| report.health == Health::Healthy);
    assert_eq!(
        (healthy.cluster.as_str(), &healthy.revision),
        ("c1", &of(&given, "c1"))
    );

    // An agent that is stopped says nothing of what is new, and catches up.
    drop(second);
    shop.write("paint.yaml", &config_map("paint", "{{.colour}} again"));
    let edit = shop.deliver();
    assert_eq!(edit.written, 2);
    let silent = shop.wait_for_report("the silent WEC", |report| report.cluster.as_str() == "c2");
    assert_eq!(
        (silent.progress, &silent.revision),
        (Progress::Delivered, &of(&edit, "c2"))
    );
    let _second = need!(WorkAgent::start("c2", &its, &two));
    let back = shop.wait_for_report("the WEC that is back", |report| {
        report.cluster.as_str() == "c2" && report.progress == Progress::Applied
    });
    assert_eq!(back.revision, of(&edit, "c2"));
    assert_eq!(colour(&two).unwrap(), "c2 again");

    // One that the WEC refuses is named.
    let odd = "apiVersion: v1\nkind: Service\nmetadata: {name: odd, namespace: shop}\nspec: {ports: [{port: 99999}]}\n";
    shop.write("odd.yaml", odd);
    assert_eq!(shop.deliver().written, 2);
    let refused = shop.wait_for_report("a refusal", |report| report.progress == Progress::Refused);
    assert_eq!(refused.health, Health::Degraded);
    assert!(
        refused
            .message
            .starts_with("Service shop/odd: the WEC refuses it: "),
        "{refused:?}"
    );
    fs::remove_file(shop.source.join("odd.yaml")).unwrap();

    // A WEC that leaves loses what was delivered, when that is meant; a Namespace that nobody asked for stays.
    shop.write("inventory.yaml", &inventory(&["c1"]));
    let meant = DeliveryOptions {
        allow_removals: true,
        ..DeliveryOptions::default()
    };
    let gone = shop.deliver_with(&meant);
    assert_eq!(gone.deleted, 2, "{gone:?}");
    wait_for("the WEC to let go", || match colour(&two) {
        None => Ok(()),
        Some(found) => Err(found.to_string()),
    });
    assert!(two.get("namespace", "", "shop").is_some());
    assert!(colour(&one).is_some());
}

/// What KubeStellar's status add-on writes of a Deployment: its status as it is, with the labels of the work.
fn work_status(work: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "control.kubestellar.io/v1alpha1", "kind": "WorkStatus",
        "metadata": {"name": "appsv1-deployment-shop-web", "namespace": "c1", "labels": work["metadata"]["labels"]},
        "spec": {"sourceRef": {
            "group": "apps", "version": "v1", "resource": "deployments", "kind": "Deployment", "namespace": "shop", "name": "web",
        }},
        "status": status,
    })
}

#[test]
fn what_the_status_add_on_says_of_an_object_goes_before_what_the_agent_says() {
    need!(WorkAgent::available());
    let its = Arc::new(need!(ApiServer::start("its1")));
    let wec = Arc::new(need!(ApiServer::start("c1")));
    let mut shop = Shop::new(&its);
    let _agent = need!(WorkAgent::start("c1", &its, &wec));
    shop.write("inventory.yaml", &inventory(&["c1"]));
    shop.write("web.yaml", DEPLOYMENT);
    assert_eq!(shop.deliver().diagnostics, []);
    // Nobody rolls it out here, and the agent says so.
    let mut sights = shop.watch();
    shop.wait_in(&mut sights, "an applied report", |report| {
        (report.progress, report.health) == (Progress::Applied, Health::Progressing)
    });
    // The add-on is installed later.
    its.serve_work_statuses();
    let rolled_out = json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ],
    });
    let work = shop.work("c1", "shop.rest").unwrap();
    its.apply(&work_status(&work, &rolled_out).to_string());
    shop.wait_in(&mut sights, "health", |report| {
        report.health == Health::Healthy
    });
    let stuck = json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1,
        "conditions": [
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "it does not come up"},
        ],
    });
    its.apply(&work_status(&work, &stuck).to_string());
    let degraded = shop.wait_in(&mut sights, "its trouble", |report| {
        report.health == Health::Degraded
    });
    assert_eq!(
        degraded.message,
        "Deployment.apps shop/web: it does not come up"
    );
    its.kubectl_ok(&[
        "delete",
        "workstatuses.control.kubestellar.io",
        "--all",
        "-nc1",
    ]);
    shop.wait_in(&mut sights, "the agent's word", |report| {
        report.health == Health::Progressing
    });
}
