//! `stellate run --hub` on real servers: Pipelines from the API server, OCM's own agents on two WECs, the status that goes back,
//! and two replicas of which one writes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    servers_hub::{hub, made_hub},
    servers_mailbox::inventory,
    support::{
        folder,
        git::{Repository, hermetic},
        http, need,
        servers::{ApiServer, Audit, Missing, WorkAgent, free_port},
        wait_for, write_files,
    },
};

const NAMESPACE: &str = "stellate";
const LEASE: &str = "pipeline-shop";
const PROPERTIES: &str = "customization-properties";

const POLICY: &str = "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: shop}
spec:
  clusterSelectors: [{matchLabels: {env: prod}}]
  downsync:
  - namespaces: [shop]
";

/// A process of the service with nothing but the hub to go by.
pub(crate) struct Replica {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Replica {
    fn start(name: &str, hub: &ApiServer) -> Self {
        Self::start_with(name, &hub.kubeconfig())
    }

    /// With a kubeconfig of its own.
    pub(crate) fn start_with(name: &str, kubeconfig: &Path) -> Self {
        let home = folder(name);
        let log = home.join("log");
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_stellate"));
        let child = hermetic(&mut command)
            .current_dir(&home)
            .env("HOME", &home)
            .env("HOSTNAME", name)
            .env("STELLATE_CACHE_DIR", home.join("cache"))
            .args(["run", "--insecure", "--log=info", "--hub"])
            .arg(format!("--hub-kubeconfig={}", kubeconfig.display()))
            .arg(format!("--listen=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let replica = Self { child, port, log };
        wait_for("the replica", || {
            http::ready(replica.port, "/healthz")
                .map_err(|error| format!("{error}\n{}", replica.log()))
        });
        replica
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What the API says of the pipeline; none where it is not known.
    fn pipeline(&self) -> Option<Value> {
        let answer = http::request(self.port, "GET", "/api/v1/pipelines/shop", &[], "").unwrap();
        (answer.status == 200).then(|| serde_json::from_str(&answer.body).unwrap())
    }

    /// Waits until what the API says of the pipeline is as wanted, and gives it.
    fn expect(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || match self.pipeline() {
            Some(shop) if wanted(&shop) => Ok(shop),
            other => Err(format!("{other:?}\n{}", self.log())),
        })
    }

    /// Waits until it leaves the pipeline to this replica.
    fn expect_standby(&self, holder: &str) {
        let shop = self.expect("standby", |shop| {
            let known = shop["activity"]["holder"].as_str().unwrap_or_default();
            shop["activity"]["state"] == "standby" && known.starts_with(holder)
        });
        assert_eq!(shop["problem"], Value::Null);
        let answer = http::request(self.port, "GET", "/readyz", &[], "").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let asked = http::request(self.port, "POST", "/api/v1/pipelines/shop/sync", &[], "");
        let asked = asked.unwrap();
        assert!(
            asked.status == 409 && asked.body.contains(holder),
            "{}",
            asked.body
        );
    }

    /// Sends a signal.
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success(), "kill -s {name}");
    }

    /// Kills it without a word.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it did.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A hub with OCM's kinds and our own, and two WECs on it.
struct Fleet {
    hub: Arc<ApiServer>,
    wecs: [(&'static str, Arc<ApiServer>); 2],
    _agents: [WorkAgent; 2],
}

impl Fleet {
    fn start() -> Result<Self, Missing> {
        WorkAgent::available()?;
        let hub = Arc::new(hub("hub")?);
        hub.apply_crds("ocm");
        for namespace in [NAMESPACE, PROPERTIES] {
            hub.namespace(namespace);
        }
        let [one, two] = [ApiServer::start("c1")?, ApiServer::start("c2")?].map(Arc::new);
        let agents = [
            WorkAgent::start("c1", &hub, &one)?,
            WorkAgent::start("c2", &hub, &two)?,
        ];
        let fleet = Self {
            hub,
            wecs: [("c1", one), ("c2", two)],
            _agents: agents,
        };
        for (name, colour) in [("c1", "red"), ("c2", "green")] {
            fleet.hub.apply(
                &json!({
                    "apiVersion": "cluster.open-cluster-management.io/v1",
                    "kind": "ManagedCluster",
                    "metadata": {"name": name, "labels": {"env": "prod"}},
                    "spec": {"hubAcceptsClient": true},
                })
                .to_string(),
            );
            fleet.paint(name, colour);
        }
        Ok(fleet)
    }

    /// Sets a property of a WEC.
    fn paint(&self, wec: &str, colour: &str) {
        let properties = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": wec, "namespace": PROPERTIES},
            "data": {"colour": colour},
        });
        self.hub.apply(&properties.to_string());
    }

    /// Waits until each WEC has the paint.
    fn expect(&self, wanted: [&str; 2]) {
        for ((name, wec), wanted) in self.wecs.iter().zip(wanted) {
            wait_for(&format!("{wanted} on {name}"), || {
                let found = wec.get("configmap", "shop", "paint");
                let found = found.map(|found| found["data"]["paint"].clone());
                if found == Some(json!(wanted)) {
                    Ok(())
                } else {
                    Err(format!("{found:?}\n{}", self.shop()))
                }
            });
        }
    }

    fn shop(&self) -> Value {
        self.hub.get("pipeline", "", "shop").unwrap_or_default()
    }

    /// Waits until the Pipeline's status is as wanted, and gives it.
    fn status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || {
            let status = self.shop()["status"].clone();
            if wanted(&status) {
                Ok(status)
            } else {
                Err(status.to_string())
            }
        })
    }

    /// How often each WEC's works were changed.
    fn generations(&self) -> [i64; 2] {
        ["c1", "c2"].map(|wec| {
            let work = self.hub.get("manifestwork", wec, "shop.rest").unwrap();
            work["metadata"]["generation"].as_i64().unwrap()
        })
    }

    fn holder(&self) -> String {
        let lease = self.hub.get("lease", NAMESPACE, LEASE).unwrap_or_default();
        let holder = lease["spec"]["holderIdentity"].as_str();
        holder.unwrap_or_default().to_owned()
    }

    fn wait_for_holder(&self, replica: &str) {
        wait_for(replica, || match self.holder() {
            holder if holder.starts_with(replica) => Ok(()),
            holder => Err(format!("held by {holder:?}")),
        });
    }
}

fn paint(text: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: paint\n  namespace: shop\n  annotations: \
         {{control.kubestellar.io/expand-templates: \"true\"}}\ndata:\n  paint: \"{text}\"\n"
    )
}

/// Commits another paint.
fn edit(source: &Repository, message: &str, text: &str) -> String {
    write_files(source.path(), &[("paint.yaml", &paint(text))]);
    source.commit_all(message)
}

fn condition<'a>(status: &'a Value, name: &str) -> &'a Value {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == name);
    found.unwrap_or(&Value::Null)
}

fn is_healthy(status: &Value, commit: &str) -> bool {
    status["sourceCommit"] == commit
        && status["summary"] == "2 healthy"
        && condition(status, "Ready")["status"] == "True"
}

#[test]
fn a_pipeline_of_a_hub_reaches_its_wecs_reports_back_and_is_served_by_one_replica_at_a_time() {
    let fleet = need!(Fleet::start());
    let source = Repository::new("source");
    let first = source.commit(
        "Open the shop",
        &[
            ("policy.yaml", POLICY),
            ("paint.yaml", &paint("{{.colour}}")),
        ],
    );
    let one = Replica::start("one", &fleet.hub);
    let its = json!({"kubeconfig": fleet.hub.kubeconfig()});
    let pipeline = json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "shop"},
        "spec": {
            "source": {"git": {"url": source.path()}},
            "inventory": {"its": its},
            "outputs": [{"mailbox": {}}],
        },
    });
    fleet.hub.apply(&pipeline.to_string());
    fleet.expect(["red", "green"]);
    let status = fleet.status("health", |status| is_healthy(status, &first));
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(condition(&status, "Stalled")["status"], "False");
    let board = one.pipeline().unwrap();
    assert_eq!(board["latest"]["phase"], "healthy", "{board}");

    // A property is changed: that WEC's work is, and no other.
    let [before, other] = fleet.generations();
    fleet.paint("c1", "blue");
    fleet.expect(["blue", "green"]);
    assert_eq!(fleet.generations(), [before + 1, other]);

    // Another replica waits, and does nothing.
    fleet.wait_for_holder("one_");
    let two = Replica::start("two", &fleet.hub);
    let before = fleet.generations();
    let second = edit(&source, "Dilute", "{{.colour}} and water");
    fleet.expect(["blue and water", "green and water"]);
    assert_eq!(fleet.generations(), before.map(|count| count + 1));
    fleet.status("health", |status| is_healthy(status, &second));
    assert!(fleet.holder().starts_with("one_"));
    two.expect_standby("one_");

    // The one that worked dies: the other goes on, with what is new, and with nothing else.
    one.kill();
    let third = edit(&source, "Dry", "dry {{.colour}}");
    fleet.wait_for_holder("two_");
    fleet.expect(["dry blue", "dry green"]);
    assert_eq!(fleet.generations(), before.map(|count| count + 2));
    fleet.status("health", |status| is_healthy(status, &third));

    // What cannot be used is said, and what ran before goes on.
    let without = r#"--patch=[{"op": "remove", "path": "/spec/inventory"}]"#;
    fleet
        .hub
        .kubectl_ok(&["patch", "pipeline", "shop", "--type=json", without]);
    let status = fleet.status("the refusal", |status| status["observedGeneration"] == 2);
    let stalled = condition(&status, "Stalled");
    assert_eq!(
        (&stalled["status"], &stalled["reason"]),
        (&json!("True"), &json!("MissingField"))
    );
    edit(&source, "Wipe", "clean");
    fleet.expect(["clean", "clean"]);

    // One that is told to stop gives the lease back, and takes nothing away.
    two.stop();
    assert_eq!(fleet.holder(), "");
    fleet.expect(["clean", "clean"]);
}

/// Mailboxes enough that a delivery takes a while.
const MANY: usize = 150;

/// A repository with these WECs in it.
fn fleet(wecs: &[&str]) -> Repository {
    let source = Repository::new("fleet");
    source.commit(
        "Open the shop",
        &[
            ("policy.yaml", POLICY),
            ("inventory.yaml", &inventory(wecs)),
            ("paint.yaml", &paint("first")),
        ],
    );
    source
}

/// The pipeline from a repository into the mailboxes of an ITS.
fn into_mailboxes(source: &Repository, its: &Path) -> String {
    json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "shop"},
        "spec": {
            "source": {"git": {"url": source.path(), "interval": "2s"}},
            "outputs": [{"mailbox": {"its": {"kubeconfig": its}}}],
        },
    })
    .to_string()
}

/// A kubeconfig of an administrator of this name.
fn named(name: &str, hub: &ApiServer) -> PathBuf {
    let file = folder(name).join("kubeconfig");
    let user = json!({"token": hub.token(), "as": name, "as-groups": ["system:masters"]});
    fs::write(&file, hub.kubeconfig_of(&user)).unwrap();
    file
}

/// The works that a user wrote, or tried to, since then.
fn writes(audit: &Audit, user: &str, since: &str) -> usize {
    let asked = audit.of("manifestworks", 0).into_iter();
    let asked = asked.filter(|asked| asked.is_write() && asked.user == user);
    asked.filter(|asked| asked.at.as_str() > since).count()
}

#[test]
fn a_replica_that_sleeps_through_its_lease_in_the_middle_of_a_delivery_writes_nothing_when_it_wakes()
 {
    let (hub, audit) = need!(ApiServer::start_audited("hub", &[]));
    let hub = made_hub(hub);
    hub.apply_crds("ocm");
    let names: Vec<String> = (0..MANY).map(|number| format!("c{number}")).collect();
    let wecs: Vec<&str> = names.iter().map(String::as_str).collect();
    let namespace = |name: &&str| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string()
    };
    let all = [&wecs[..], &[NAMESPACE]].concat();
    let namespaces: Vec<String> = all.iter().map(namespace).collect();
    hub.apply(&namespaces.join("\n---\n"));
    let source = fleet(&wecs);
    let one = Replica::start_with("one", &named("one", &hub));
    // The credentials of the pipeline are those of the replica that runs it.
    let its = folder("its").join("kubeconfig");
    fs::copy(named("one", &hub), &its).unwrap();
    hub.apply(&into_mailboxes(&source, &its));
    wait_for("the middle of the delivery", || {
        match writes(&audit, "one", "") {
            0..20 => Err(one.log()),
            _ => Ok(()),
        }
    });
    one.signal("STOP");
    let done = writes(&audit, "one", "");
    assert!(done < 2 * MANY, "it was not in the middle: {done}");

    fs::copy(named("two", &hub), &its).unwrap();
    let two = Replica::start_with("two", &named("two", &hub));
    two.expect("the rest of the delivery", |shop| {
        shop["latest"]["phase"] == "delivered"
    });
    assert_eq!(
        generations(&hub),
        vec!["1"; 2 * MANY].join(" "),
        "each was written once"
    );
    // What the sleeper was about to write is outdated by now.
    let second = edit(&source, "Paint again", "second");
    two.expect("the edit", |shop| {
        shop["latest"]["id"] == second && shop["latest"]["phase"] == "delivered"
    });
    one.signal("CONT");
    one.expect_standby("two_");
    // A request that was on its way out when it fell asleep may have come to an end; none begins.
    let awake = (Timestamp::now() + Duration::from_millis(500)).to_string();
    thread::sleep(Duration::from_secs(2));
    let late: Vec<_> = audit
        .all()
        .into_iter()
        .filter(|asked| {
            // What it would write into the lease is refused: it names a version that is no more.
            let is_late = asked.is_write() && asked.resource != "leases" && asked.at > awake;
            asked.user == "one" && is_late
        })
        .collect();
    assert_eq!(late, []);
    let painted = hub.kubectl_ok(&[
        "get",
        "manifestworks",
        "--all-namespaces",
        "--output=jsonpath={.items[*].spec.workload.manifests[*].data.paint}",
    ]);
    assert_eq!(painted, vec!["second"; MANY].join(" "));
    assert!(writes(&audit, "two", "") > 0);
}

/// How often each work was changed.
fn generations(hub: &ApiServer) -> String {
    hub.kubectl_ok(&[
        "get",
        "manifestworks",
        "--all-namespaces",
        "--output=jsonpath={.items[*].metadata.generation}",
    ])
}

#[test]
fn while_the_hub_is_away_nothing_is_touched_and_pipelines_go_on_when_it_is_back() {
    let hub = need!(hub("hub"));
    hub.namespace(NAMESPACE);
    let (its, audit) = need!(ApiServer::start_audited("its1", &[]));
    its.apply_crds("ocm");
    its.namespace("c1");
    let source = fleet(&["c1"]);
    let replica = Replica::start("one", &hub);
    hub.apply(&into_mailboxes(&source, &named("service", &its)));
    replica.expect("the delivery", |shop| {
        shop["latest"]["phase"] == "delivered"
    });

    hub.kill();
    let shop = replica.expect("the end of the lease", |shop| {
        shop["activity"]["state"] == "standby" && shop["problem"] != Value::Null
    });
    assert_eq!(shop["problem"]["reason"], "Unreachable", "{shop}");
    assert_eq!(shop["activity"]["holder"], Value::Null);
    let away = Timestamp::now().to_string();
    edit(&source, "Paint again", "second");
    thread::sleep(Duration::from_secs(5));
    assert_eq!(writes(&audit, "service", &away), 0);

    hub.revive();
    wait_for("the edit", || {
        let work = its.get("manifestwork", "c1", "shop.rest").unwrap();
        if work.to_string().contains("second") {
            Ok(())
        } else {
            Err(replica.log())
        }
    });
    assert_eq!(writes(&audit, "service", &away), 1);
    replica.expect("the delivery", |shop| {
        shop["latest"]["phase"] == "delivered" && shop["problem"] == Value::Null
    });
}
