//! Objects that leave a work: for another one, or for good.

use std::{fs, sync::Arc};

use stellate::{
    api_server::connect,
    output::mailbox::Settings,
    reconcile::{
        DeliveryOptions,
        deliver::mailbox::{Mailbox, MailboxDelivery},
    },
    status::Progress,
};

use crate::support::{
    mailboxes::{Shop, config_map, connection, inventory},
    need,
    servers::{ApiServer, WorkAgent},
    wait_for,
};

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
