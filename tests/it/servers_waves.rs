//! Waves over mailboxes and a branch at once, with OCM's own agents on two WECs: what the first wave does not take, the second never
//! sees.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{
    git::{Repository, git},
    mailboxes::POLICY,
    need,
    servers::{ApiServer, Missing, WorkAgent},
    service::{Home, Service, a_while},
    wait_for, write_files,
};

/// An ITS and two WECs; `c1` goes first.
struct Fleet {
    its: Arc<ApiServer>,
    wecs: [Arc<ApiServer>; 2],
    source: Repository,
    home: Home,
}

impl Fleet {
    fn start() -> Result<Self, Missing> {
        WorkAgent::available()?;
        let its = Arc::new(ApiServer::start("its1")?);
        its.apply_crds("ocm");
        its.namespace("customization-properties");
        let wecs = [ApiServer::start("c1")?, ApiServer::start("c2")?].map(Arc::new);
        for (name, stage) in [("c1", "canary"), ("c2", "rest")] {
            let cluster = json!({
                "apiVersion": "cluster.open-cluster-management.io/v1",
                "kind": "ManagedCluster",
                "metadata": {"name": name, "labels": {"env": "prod", "stage": stage}},
                "spec": {"hubAcceptsClient": true},
            });
            its.apply(&cluster.to_string());
        }
        let source = Repository::new("source");
        write_files(source.path(), &[("policy.yaml", POLICY)]);
        let home = Home::new("waves");
        let waves = "[{name: canary, clusterSelectors: [{matchLabels: {stage: canary}}], minSuccessTime: 1s}]";
        home.configure(&format!(
            "  source: {{git: {{url: {}, ref: main, interval: 1s}}}}\n  inventory: {{its: {{kubeconfig: {}}}}}\n  \
             outputs: [{{branch: {{name: generated}}}}, {{mailbox: {{}}}}]\n  waves: {waves}\n",
            source.path().display(),
            its.kubeconfig().display(),
        ));
        Ok(Self {
            its,
            wecs,
            source,
            home,
        })
    }

    fn agent(&self, number: usize) -> Result<WorkAgent, Missing> {
        WorkAgent::start(["c1", "c2"][number], &self.its, &self.wecs[number])
    }

    /// Commits a paint, and whatever else is said.
    fn commit(&self, paint: &str, more: &str) -> String {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: paint, namespace: shop}}\ndata: {{paint: {paint}}}\n{more}"
        );
        write_files(self.source.path(), &[("paint.yaml", &text)]);
        self.source.commit_all(&format!("Paint it {paint}"))
    }

    /// Waits until a WEC itself has a paint.
    fn expect(&self, number: usize, paint: &str, service: &Service) {
        wait_for(&format!("{paint} on WEC {number}"), || {
            let found = self.paint(number);
            if found == json!(paint) {
                Ok(())
            } else {
                Err(format!("{found}\n{}", service.log()))
            }
        });
    }

    fn paint(&self, number: usize) -> Value {
        let found = self.wecs[number].get("configmap", "shop", "paint");
        found.map_or(Value::Null, |found| found["data"]["paint"].clone())
    }

    /// What the WECs' mailboxes and folders hold: generations of works, and trees.
    fn standing(&self) -> [(String, String); 2] {
        ["c1", "c2"].map(|wec| {
            let works = self.its.kubectl_ok(&[
                "get",
                "manifestwork",
                &format!("-n{wec}"),
                "-ojsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.metadata.uid}{\"\\n\"}{end}",
            ]);
            let folder = format!("generated:clusters/{wec}");
            (works, git(self.source.path(), &["rev-parse", &folder]))
        })
    }
}

/// Waits until `c2` waits with a commit, for this.
fn waits(service: &Service, commit: &str, wanted: &str) {
    wait_for(&format!("c2 to wait for: {wanted}"), || {
        let found = service.get(&format!("/pipelines/shop/commits/{commit}/clusters/c2"))?;
        let why = found["why"].as_str().unwrap_or_default();
        if found["phase"] == "waiting" && why.starts_with(wanted) {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
}

#[test]
fn what_the_first_wave_refuses_never_reaches_the_second_and_what_mends_it_goes_all_the_way() {
    let fleet = need!(Fleet::start());
    let first = need!(fleet.agent(0));
    let _second = need!(fleet.agent(1));
    let begun = fleet.commit("red", "");
    let service = fleet.home.start();
    fleet.expect(1, "red", &service);
    service.expect(&begun, "healthy");
    let before = fleet.standing();

    // c1 refuses a part of it: c2 keeps what it has, on the branch as in its mailbox.
    let odd = "---\napiVersion: v1\nkind: Service\nmetadata: {name: odd, namespace: shop}\nspec: {ports: [{port: 99999}]}\n";
    let broken = fleet.commit("odd", odd);
    fleet.expect(0, "odd", &service);
    waits(
        &service,
        &broken,
        "wave canary is not healthy: c1 (degraded: Service shop/odd",
    );
    a_while();
    assert_eq!(fleet.standing()[1], before[1]);
    assert_eq!(fleet.paint(1), "red");

    let mended = fleet.commit("green", "");
    fleet.expect(1, "green", &service);
    service.expect(&mended, "healthy");

    // The first wave is silent, and the service is killed: what was written stays, and nothing else is.
    drop(first);
    let silent = fleet.commit("blue", "");
    waits(
        &service,
        &silent,
        "wave canary is not healthy: c1 (delivered",
    );
    let before = fleet.standing();
    service.kill();
    let service = fleet.home.start();
    waits(&service, &silent, "wave canary is not healthy: c1 (");
    a_while();
    assert_eq!(fleet.standing(), before);
    assert_eq!(fleet.paint(1), "green");
    let _first = need!(fleet.agent(0));
    fleet.expect(1, "blue", &service);
    service.expect(&silent, "healthy");
    let all = service.get("/pipelines/shop").unwrap();
    let states: Vec<&Value> = all["waves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wave| &wave["state"])
        .collect();
    assert_eq!(states, ["done", "done"], "{all}");
    assert!(service.stop().success());
}
