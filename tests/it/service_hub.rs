//! `stellate run --hub` on real servers: Pipelines from the API server, OCM's own agents on two WECs, the status that goes back,
//! and two replicas of which one writes.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    servers_hub::hub,
    support::{
        folder,
        git::{Repository, hermetic},
        http, need,
        servers::{ApiServer, Missing, WorkAgent, free_port},
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
struct Replica {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Replica {
    fn start(name: &str, hub: &ApiServer) -> Self {
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
            .arg(format!("--hub-kubeconfig={}", hub.kubeconfig().display()))
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

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What the API says of the pipeline; none where it does not run.
    fn pipeline(&self) -> Option<Value> {
        let answer = http::request(self.port, "GET", "/api/v1/pipelines/shop", &[], "").unwrap();
        (answer.status == 200).then(|| serde_json::from_str(&answer.body).unwrap())
    }

    /// Kills it without a word.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it did.
    fn stop(mut self) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(told.success());
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
    assert_eq!(two.pipeline(), None);

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
