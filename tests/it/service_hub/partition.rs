//! One of two replicas is cut off from the hub, in the middle of its work: the other one goes on, and nothing of the first
//! one's comes after it, not even what was on its way.

use std::{thread, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{edit, fleet, generations, holder, lease, wait_for_holder};
use crate::support::{
    git::Repository,
    hub::{NAMESPACE, OWN, Replica, made_hub, named, pipeline},
    link::{Cut, Link},
    need,
    servers::{ApiServer, Asked, Audit, Missing},
    wait_for,
};

/// The pipelines: one into mailboxes of the hub, one onto a branch, to which no link is cut.
const PIPELINES: [&str; 2] = ["shop", "garden"];

const WECS: [&str; 3] = ["c1", "c2", "c3"];

/// A hub, two replicas of which the first serves all, and the link between that one and the hub.
struct World {
    hub: ApiServer,
    audit: Audit,
    link: Link,
    shop: Repository,
    garden: Repository,
    one: Replica,
    two: Replica,
}

impl World {
    fn start() -> Result<Self, Missing> {
        let (hub, audit) = ApiServer::start_audited("hub", &[])?;
        let hub = made_hub(hub);
        hub.apply_crds("ocm");
        for namespace in WECS.iter().chain(&[NAMESPACE]) {
            hub.namespace(namespace);
        }
        let [shop, garden] = PIPELINES.map(|_| fleet(&WECS));
        let outputs = [
            json!({"mailbox": {"its": {"kubeconfig": OWN}}}),
            json!({"branch": {"name": "generated"}}),
        ];
        for ((name, source), output) in PIPELINES.into_iter().zip([&shop, &garden]).zip(outputs) {
            let spec = json!({
                "source": {"git": {"url": source.path(), "ref": "main", "interval": "1s"}},
                "outputs": [output],
            });
            hub.apply(&pipeline(name, &spec).to_string());
        }
        let link = Link::to(hub.port());
        let through = format!("https://127.0.0.1:{}", link.port());
        let one = Replica::start("one", &named("one", &hub).replace(&hub.url(), &through));
        for name in PIPELINES {
            wait_for_holder(&hub, name, "one_");
        }
        let two = Replica::start("two", &named("two", &hub));
        for name in PIPELINES {
            two.expect_standby(name, "one_");
        }
        let world = Self {
            hub,
            audit,
            link,
            shop,
            garden,
            one,
            two,
        };
        for (name, source) in PIPELINES.into_iter().zip([&world.shop, &world.garden]) {
            world.one.expect_delivered(name, &head(source));
        }
        Ok(world)
    }

    /// When a replica took a pipeline over.
    fn taken(&self, name: &str) -> Timestamp {
        let lease = lease(&self.hub, name);
        time(&lease["spec"]["acquireTime"])
    }

    /// What the hub let the first replica change since then, beside its leases, and the Events that tell what was.
    fn changed_by_one(&self, since: Timestamp) -> Vec<Asked> {
        let mut asked = self.audit.all();
        asked.retain(|asked| {
            let is_change = asked.is_write() && asked.code < 300;
            let is_harmless = ["leases", "events"].contains(&asked.resource.as_str());
            let is_late = asked.at.parse::<Timestamp>().unwrap() > since;
            asked.user == "one" && is_change && !is_harmless && is_late
        });
        asked
    }

    /// What is painted in all mailboxes.
    fn painted(&self) -> String {
        self.hub.kubectl_ok(&[
            "get",
            "manifestworks",
            "--all-namespaces",
            "--output=jsonpath={.items[*].spec.workload.manifests[*].data.paint}",
        ])
    }

    fn live_through(&self, cut: Cut) {
        // What it writes from here on is on its way to nowhere.
        let cut_off = Timestamp::now();
        self.link.cut(cut);
        let second = edit(&self.shop, "Paint again", "second");
        let over = self.plant_until_two_has_it_all();
        for name in PIPELINES {
            self.expect_honesty(name);
        }
        let [shop, garden] = PIPELINES.map(|name| self.taken(name));
        self.two.expect_delivered("shop", &second);
        let third = edit(&self.shop, "Paint once more", "third");
        self.two.expect_delivered("shop", &third);
        self.two.expect_delivered("garden", &over);
        // Git could be reached all the time, and there was something to deliver all the time.
        let last = last_delivery(&self.one, "garden");
        assert!(cut_off < last && last < garden, "{cut_off} {last} {garden}");

        let before = (
            generations(&self.hub),
            self.garden.git(&["rev-parse", "generated"]),
        );
        self.link.heal();
        for name in PIPELINES {
            self.one.expect_standby(name, "two_");
        }
        thread::sleep(Duration::from_secs(3));
        assert_eq!(self.changed_by_one(shop.min(garden)), []);
        let after = (
            generations(&self.hub),
            self.garden.git(&["rev-parse", "generated"]),
        );
        assert_eq!(before, after);
        assert_eq!(self.painted(), vec!["third"; WECS.len()].join(" "));
        assert_eq!(last, last_delivery(&self.one, "garden"));
        for name in PIPELINES {
            assert!(holder(&self.hub, name).starts_with("two_"));
        }
        let status = self.hub.get("pipeline", "", "shop").unwrap()["status"].clone();
        assert_eq!(status["sourceCommit"], third, "{status}");
    }

    /// Has something new for the branch all the time, until the other replica has taken over; gives the last commit.
    fn plant_until_two_has_it_all(&self) -> String {
        let mut number = 0;
        wait_for("the other replica", || {
            number += 1;
            let commit = edit(&self.garden, "Plant", &format!("flower {number}"));
            let mut holders = PIPELINES.iter().map(|name| holder(&self.hub, name));
            if holders.all(|holder| holder.starts_with("two_")) {
                return Ok(commit);
            }
            Err(self.one.log())
        })
    }

    /// What the replica that is cut off says of a pipeline is true.
    fn expect_honesty(&self, name: &str) {
        let known = self.one.expect(name, "the end of the lease", |known| {
            known["activity"]["state"] == "standby" && known["problem"] != Value::Null
        });
        assert_eq!(known["activity"]["holder"], Value::Null, "nobody can tell");
        let problem = &known["problem"];
        assert_eq!(problem["reason"], "Unreachable", "{problem}");
        let words = problem["message"].as_str().unwrap();
        assert!(
            words.starts_with("the lease cannot be looked at: "),
            "{words}"
        );
        self.one.expect_ready();
        let (status, said) = self.one.ask_for_a_run(name);
        assert!(status == 409 && said.contains("not served here"), "{said}");
    }
}

fn head(source: &Repository) -> String {
    source.git(&["rev-parse", "main"])
}

fn time(text: &Value) -> Timestamp {
    text.as_str().unwrap().parse().unwrap()
}

/// When a replica said for the last time that it delivered something.
fn last_delivery(replica: &Replica, pipeline: &str) -> Timestamp {
    let log = replica.log();
    let said = log
        .lines()
        .rev()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut deliveries = said.filter(|said: &Value| {
        said["message"] == "delivered" && said["span"]["pipeline"] == pipeline
    });
    let last = deliveries.next();
    time(&last.unwrap_or_else(|| panic!("no delivery in {log}"))["timestamp"])
}

#[test]
fn a_replica_whose_connections_to_the_hub_are_refused_has_stopped_before_another_begins() {
    need!(World::start()).live_through(Cut::Refused);
}

#[test]
fn what_a_replica_had_sent_into_a_silent_network_changes_nothing_when_it_arrives() {
    need!(World::start()).live_through(Cut::Silent);
}
