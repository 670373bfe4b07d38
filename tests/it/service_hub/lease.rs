//! What a replica does that sleeps through its lease, and one whose hub is away.

use std::{fs, thread, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{edit, fleet, generations};
use crate::support::{
    folder,
    git::Repository,
    hub::{NAMESPACE, OWN, Replica, hub, made_hub, named, pipeline},
    need,
    servers::{ApiServer, Audit},
    wait_for,
};

/// Mailboxes enough that a delivery takes a while.
const MANY: usize = 150;

/// The pipeline from a repository into the mailboxes of an ITS.
fn into_mailboxes(source: &Repository, its: &str) -> String {
    let spec = json!({
        "source": {"git": {"url": source.path(), "interval": "2s"}},
        "outputs": [{"mailbox": {"its": {"kubeconfig": its}}}],
    });
    pipeline("shop", &spec).to_string()
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
    let one = Replica::start("one", &named("one", &hub));
    hub.apply(&into_mailboxes(&source, OWN));
    wait_for("the middle of the delivery", || {
        match writes(&audit, "one", "") {
            0..20 => Err(one.log()),
            _ => Ok(()),
        }
    });
    one.signal("STOP");
    let done = writes(&audit, "one", "");
    assert!(done < 2 * MANY, "it was not in the middle: {done}");

    let two = Replica::start("two", &named("two", &hub));
    two.expect("shop", "the rest of the delivery", |shop| {
        shop["latest"]["phase"] == "delivered"
    });
    assert_eq!(
        generations(&hub),
        vec!["1"; 2 * MANY].join(" "),
        "each was written once"
    );
    // What the sleeper was about to write is outdated by now.
    let second = edit(&source, "Paint again", "second");
    two.expect_delivered("shop", &second);
    one.signal("CONT");
    one.expect_standby("shop", "two_");
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

#[test]
fn while_the_hub_is_away_nothing_is_touched_and_pipelines_go_on_when_it_is_back() {
    let hub = need!(hub("hub"));
    hub.namespace(NAMESPACE);
    let (its, audit) = need!(ApiServer::start_audited("its1", &[]));
    its.apply_crds("ocm");
    its.namespace("c1");
    let source = fleet(&["c1"]);
    let replica = Replica::start("one", &named("one", &hub));
    let own = folder("its").join("kubeconfig");
    fs::write(&own, named("service", &its)).unwrap();
    hub.apply(&into_mailboxes(&source, own.to_str().unwrap()));
    replica.expect("shop", "the delivery", |shop| {
        shop["latest"]["phase"] == "delivered"
    });

    hub.kill();
    let shop = replica.expect("shop", "the end of the lease", |shop| {
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
    replica.expect("shop", "the delivery", |shop| {
        shop["latest"]["phase"] == "delivered" && shop["problem"] == Value::Null
    });
}
