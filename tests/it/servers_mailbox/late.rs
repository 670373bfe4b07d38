//! Two that believe the same works to be theirs: what one did not see, it does not undo.

use std::{collections::BTreeSet, mem, sync::Arc};

use stellate::reconcile::{DeliveryOptions, deliver::mailbox::MailboxDelivery};

use crate::support::{
    mailboxes::{Shop, config_map, inventory, mailbox},
    need,
    servers::{ApiServer, Audit},
};

/// Two mailboxes with a paint, delivered.
fn painted(its: &Arc<ApiServer>) -> Shop {
    let mut shop = Shop::new(its);
    for wec in ["c1", "c2"] {
        its.namespace(wec);
    }
    shop.write("inventory.yaml", &inventory(&["c1", "c2"]));
    assert_eq!(paint(&mut shop, "first").written, 4);
    shop
}

fn paint(shop: &mut Shop, text: &str) -> MailboxDelivery {
    shop.write("paint.yaml", &config_map("paint", text));
    shop.deliver()
}

fn paints(shop: &Shop) -> [String; 2] {
    ["c1", "c2"].map(|wec| {
        let work = shop.work(wec, "shop.rest").unwrap();
        let value = &work["spec"]["workload"]["manifests"][0]["data"]["value"];
        value.as_str().unwrap().to_owned()
    })
}

fn failures(delivery: &MailboxDelivery) -> BTreeSet<(&str, &str)> {
    let failed = delivery.failed.iter();
    failed.map(|(wec, why)| (wec.as_str(), *why)).collect()
}

/// The verbs of requests for single works of a WEC.
fn asked(audit: &Audit, after: usize, wec: &str) -> Vec<String> {
    let mut asked = audit.of("manifestworks", after);
    asked.retain(|asked| asked.namespace == wec && !asked.name.is_empty());
    asked.into_iter().map(|asked| asked.verb).collect()
}

#[test]
fn whoever_is_late_undoes_nothing_and_looks_again() {
    let its = Arc::new(need!(ApiServer::start("its1")));
    let mut shop = painted(&its);
    let mut late = mailbox(&shop.runtime, &its);
    mem::swap(&mut shop.mailbox, &mut late);
    assert_eq!(paint(&mut shop, "second").written, 2);

    shop.mailbox = late;
    let refused = paint(&mut shop, "third");
    let all = [("c1", "WorkChanged"), ("c2", "WorkChanged")];
    assert_eq!((failures(&refused), refused.written), (all.into(), 0));
    assert_eq!(paints(&shop), ["second", "second"]);
    assert_eq!(shop.deliver().written, 2);
    assert_eq!(paints(&shop), ["third", "third"]);

    // What another one has just written is not deleted either.
    let mut late = mailbox(&shop.runtime, &its);
    mem::swap(&mut shop.mailbox, &mut late);
    assert_eq!(paint(&mut shop, "fourth").written, 2);
    shop.mailbox = late;
    shop.write("inventory.yaml", &inventory(&["c1"]));
    let meant = DeliveryOptions {
        allow_removals: true,
        ..DeliveryOptions::default()
    };
    let refused = shop.deliver_with(&meant);
    assert_eq!(failures(&refused), [("c2", "WorkChanged")].into());
    assert_eq!(paints(&shop), ["fourth", "fourth"]);
    shop.deliver_with(&meant);
    assert!(shop.work("c2", "shop.rest").is_none());
}

#[test]
fn what_a_wec_says_of_a_work_makes_nobody_late() {
    let (its, audit) = need!(ApiServer::start_audited("its1", &[]));
    let its = Arc::new(its);
    let mut shop = painted(&its);
    let status = r#"--patch={"status": {"conditions": [{"type": "Applied", "status": "True", "reason": "AppliedManifestWorkComplete", "message": "", "lastTransitionTime": "2025-01-01T00:00:00Z"}]}}"#;
    let work = ["patch", "manifestwork", "shop.rest", "-nc1"];
    its.kubectl_ok(&[&work[..], &["--subresource=status", "--type=merge", status]].concat());
    let mark = audit.len();
    let edit = paint(&mut shop, "second");
    assert_eq!((edit.written, failures(&edit)), (2, BTreeSet::new()));
    assert_eq!(paints(&shop), ["second", "second"]);
    assert_eq!(asked(&audit, mark, "c1")[..3], ["patch", "get", "patch"]);
    assert_eq!(asked(&audit, mark, "c2")[0], "patch");
}
