//! A pipeline of a hub from its first delivery to its last, and the replicas that serve it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{edit, holder, paint, wait_for_holder};
use crate::support::{
    git::Repository,
    hub::{NAMESPACE, OWN, Replica, hub, named, pipeline},
    mailboxes::POLICY,
    need,
    servers::{ApiServer, Missing, WorkAgent},
    wait_for,
};

const PROPERTIES: &str = "customization-properties";

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
    let one = Replica::start("one", &named("one", &fleet.hub));
    let spec = json!({
        "source": {"git": {"url": source.path()}},
        "inventory": {"its": {"kubeconfig": OWN}},
        "outputs": [{"mailbox": {}}],
    });
    fleet.hub.apply(&pipeline("shop", &spec).to_string());
    fleet.expect(["red", "green"]);
    let status = fleet.status("health", |status| is_healthy(status, &first));
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(condition(&status, "Stalled")["status"], "False");
    let board = one.pipeline("shop").unwrap();
    assert_eq!(board["latest"]["phase"], "healthy", "{board}");

    // A property is changed: that WEC's work is, and no other.
    let [before, other] = fleet.generations();
    fleet.paint("c1", "blue");
    fleet.expect(["blue", "green"]);
    assert_eq!(fleet.generations(), [before + 1, other]);

    // Another replica waits, and does nothing.
    wait_for_holder(&fleet.hub, "shop", "one_");
    let two = Replica::start("two", &named("two", &fleet.hub));
    let before = fleet.generations();
    let second = edit(&source, "Dilute", "{{.colour}} and water");
    fleet.expect(["blue and water", "green and water"]);
    assert_eq!(fleet.generations(), before.map(|count| count + 1));
    fleet.status("health", |status| is_healthy(status, &second));
    assert!(holder(&fleet.hub, "shop").starts_with("one_"));
    two.expect_standby("shop", "one_");

    // The one that worked dies: the other goes on, with what is new, and with nothing else.
    one.kill();
    let third = edit(&source, "Dry", "dry {{.colour}}");
    wait_for_holder(&fleet.hub, "shop", "two_");
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
    assert_eq!(holder(&fleet.hub, "shop"), "");
    fleet.expect(["clean", "clean"]);
}
