//! Mailboxes against a real API server and OCM's own work agents: what arrives, what comes back, and how much is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
};

use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};
use stellate::{
    api_server::{Connection, connect},
    model::ClusterName,
    output::mailbox::Settings,
    reconcile::{
        DeliveryOptions, Outcome, Pipeline, Request, Silent,
        deliver::mailbox::{Mailbox, MailboxDelivery},
    },
    status::{
        Health, Progress, Report,
        observe::watch::{Sight, watch},
    },
};
use tokio::runtime::Runtime;

use crate::support::{
    folder,
    git::git,
    need,
    servers::{ApiServer, Audit, Missing, WorkAgent},
    wait_for, write_files,
};

/// What is seen of mailboxes, as it comes.
type Sights = Pin<Box<dyn Stream<Item = Sight> + Send>>;

/// A source folder, an ITS, and the mailboxes of pipeline `shop` between them.
pub(crate) struct Shop {
    pub runtime: Runtime,
    pub its: Arc<ApiServer>,
    source: PathBuf,
    pipeline: Pipeline,
    pub mailbox: Mailbox,
}

impl Shop {
    pub(crate) fn new(its: &Arc<ApiServer>) -> Self {
        its.apply_crds("ocm");
        let runtime = Runtime::new().unwrap();
        let mailbox = mailbox(&runtime, its);
        let source = folder("source");
        write_files(&source, &[("policy.yaml", POLICY)]);
        Self {
            runtime,
            its: Arc::clone(its),
            source,
            pipeline: Pipeline::default(),
            mailbox,
        }
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write_files(&self.source, &[(path, text)]);
    }

    /// Makes a repository of the source, and commits what is in it.
    fn commit(&self) {
        git(&self.source, &["init", "--quiet"]);
        git(&self.source, &["add", "--all"]);
        git(&self.source, &["commit", "--quiet", "--message", "All"]);
    }

    pub(crate) fn deliver_with(&mut self, options: &DeliveryOptions) -> MailboxDelivery {
        let request = Request {
            location: self.source.to_str().unwrap().to_owned(),
            ..Request::default()
        };
        let rendering = self.pipeline.render(&request, &Silent).unwrap();
        let delivery = self.mailbox.deliver(&rendering, options);
        self.runtime.block_on(delivery).unwrap()
    }

    pub(crate) fn deliver(&mut self) -> MailboxDelivery {
        self.deliver_with(&DeliveryOptions::default())
    }

    /// Everything forgotten, as after a restart.
    pub(crate) fn restart(&mut self) {
        self.mailbox = mailbox(&self.runtime, &self.its);
        self.pipeline = Pipeline::default();
    }

    /// A work as it stands.
    pub(crate) fn work(&self, cluster: &str, name: &str) -> Option<Value> {
        self.its.get("manifestwork", cluster, name)
    }

    /// What is seen of the mailboxes from now on.
    fn watch(&self) -> Sights {
        let client = self.runtime.block_on(connect(&connection(&self.its)));
        Box::pin(watch(client.unwrap(), self.mailbox.owner().clone()))
    }

    /// Waits until what is seen of the mailboxes is as wanted.
    fn wait_for_report(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        self.wait_in(&mut self.watch(), what, wanted)
    }

    /// The same of what is seen since.
    fn wait_in(&self, sights: &mut Sights, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        let mut last = String::new();
        let found = self.runtime.block_on(async {
            let found = async {
                while let Some(sight) = sights.next().await {
                    last = format!("{sight:?}");
                    if let Sight::Report(report) = sight
                        && wanted(&report)
                    {
                        return Some(report);
                    }
                }
                None
            };
            tokio::time::timeout(std::time::Duration::from_secs(120), found)
                .await
                .ok()
                .flatten()
        });
        found.unwrap_or_else(|| panic!("waited in vain for {what}; the last thing seen: {last}"))
    }
}

pub(crate) fn connection(server: &ApiServer) -> Connection {
    Connection {
        kubeconfig: Some(server.kubeconfig()),
        context: None,
    }
}

fn mailbox(runtime: &Runtime, its: &ApiServer) -> Mailbox {
    let client = runtime.block_on(connect(&connection(its))).unwrap();
    Mailbox::new(client, "shop", Settings::default())
}

pub(crate) const POLICY: &str = "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: shop}
spec:
  clusterSelectors: [{matchLabels: {env: prod}}]
  downsync:
  - namespaces: [shop]
";

pub(crate) fn inventory(clusters: &[&str]) -> String {
    let cluster = |name: &&str| {
        format!(
            "apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata: {{name: {name}, labels: {{env: \
             prod, colour: {name}}}}}\nspec: {{hubAcceptsClient: true}}\n"
        )
    };
    clusters
        .iter()
        .map(cluster)
        .collect::<Vec<_>>()
        .join("---\n")
}

pub(crate) fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: shop\n  annotations: \
         {{control.kubestellar.io/expand-templates: \"true\"}}\ndata:\n  value: \"{value}\"\n"
    )
}

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

#[test]
fn objects_that_move_to_another_work_are_never_deleted_on_the_way() {
    need!(WorkAgent::available());
    let its = Arc::new(need!(ApiServer::start("its1")));
    let wec = Arc::new(need!(ApiServer::start("c1")));
    let mut shop = Shop::new(&its);
    let agent = need!(WorkAgent::start("c1", &its, &wec));
    let client = shop.runtime.block_on(connect(&connection(&its))).unwrap();
    shop.mailbox = Mailbox::new(
        client,
        "shop",
        Settings {
            max_bytes: 2000,
            orphan: false,
        },
    );
    shop.write("inventory.yaml", &inventory(&["c1"]));
    for number in 0..6 {
        shop.write(
            &format!("o{number}.yaml"),
            &config_map(&format!("o{number}"), "a"),
        );
    }
    shop.deliver();
    let ids = |wec: &ApiServer| -> Vec<String> {
        let found = wec.kubectl_ok(&[
            "get",
            "configmap",
            "-nshop",
            "-ojsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}",
        ]);
        found.lines().map(str::to_owned).collect()
    };
    wait_for("six objects", || {
        Some(())
            .filter(|()| ids(&wec).len() == 6)
            .ok_or("not yet".to_owned())
    });
    let before = ids(&wec);

    drop(agent);
    for number in 6..20 {
        shop.write(
            &format!("o{number}.yaml"),
            &config_map(&format!("o{number}"), "a"),
        );
    }
    let split = shop.deliver();
    assert_eq!(split.waiting.len(), 1, "{split:?}");
    assert_eq!(split.change.counts().1, 0);
    assert_eq!(
        shop.deliver().waiting,
        split.waiting,
        "the WEC says nothing"
    );
    let _agent = need!(WorkAgent::start("c1", &its, &wec));
    wait_for("the old work to be written", || {
        match shop.deliver().waiting {
            waiting if waiting.is_empty() => Ok(()),
            waiting => Err(format!("{waiting:?}")),
        }
    });
    wait_for("twenty objects", || {
        Some(())
            .filter(|()| ids(&wec).len() == 20)
            .ok_or("not yet".to_owned())
    });
    shop.wait_for_report("the end of it", |report| {
        report.progress == Progress::Applied
    });
    let after = ids(&wec);
    assert!(
        before.iter().all(|id| after.contains(id)),
        "the same objects: {before:?} {after:?}"
    );
}

#[test]
fn what_was_delivered_stays_on_the_wec_when_that_is_wanted() {
    need!(WorkAgent::available());
    let its = Arc::new(need!(ApiServer::start("its1")));
    let wec = Arc::new(need!(ApiServer::start("c1")));
    let mut shop = Shop::new(&its);
    let _agent = need!(WorkAgent::start("c1", &its, &wec));
    shop.write("inventory.yaml", &inventory(&["c1"]));
    for name in ["a", "b", "c"] {
        shop.write(&format!("{name}.yaml"), &config_map(name, "1"));
    }
    let names = |wec: &ApiServer| {
        let all = "-ojsonpath={.items[*].metadata.name}";
        wec.kubectl_ok(&["get", "configmap", "-nshop", all])
    };
    let applied = |shop: &Shop, given: &MailboxDelivery| {
        let wanted = Some(given.clusters["c1"].revision.clone());
        shop.wait_for_report("its end", |report| {
            report.progress == Progress::Applied && report.revision == wanted
        });
    };
    let first = shop.deliver();
    applied(&shop, &first);
    assert_eq!(names(&wec), "a b c");
    fs::remove_file(shop.source.join("a.yaml")).unwrap();
    let without = shop.deliver();
    applied(&shop, &without);
    wait_for("its deletion", || match names(&wec) {
        names if names == "b c" => Ok(()),
        names => Err(names),
    });

    // From now on what goes from the mailbox stays where it is: an object, and then all.
    let client = shop.runtime.block_on(connect(&connection(&its))).unwrap();
    let settings = Settings {
        orphan: true,
        ..Settings::default()
    };
    shop.mailbox = Mailbox::new(client, "shop", settings);
    let orphaning = shop.deliver();
    assert_eq!(
        (orphaning.written, orphaning.change.counts()),
        (2, (0, 0, 0))
    );
    applied(&shop, &orphaning);
    fs::remove_file(shop.source.join("b.yaml")).unwrap();
    let without = shop.deliver();
    applied(&shop, &without);
    shop.write("inventory.yaml", &inventory(&["c9"]));
    let meant = DeliveryOptions {
        allow_removals: true,
        ..DeliveryOptions::default()
    };
    assert_eq!(shop.deliver_with(&meant).deleted, 2);
    wait_for("the end of the works", || {
        let works = its.kubectl_ok(&["get", "manifestworks", "-nc1", "-oname"]);
        if works.is_empty() { Ok(()) } else { Err(works) }
    });
    assert_eq!(names(&wec), "b c");
}
