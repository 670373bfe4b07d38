//! What happens to API servers while works are written: they ask for patience, lose their store, are upgraded, and let credentials
//! expire. Everything arrives, once.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;
use stellate::{
    api_server::{Connection, connect},
    output::mailbox::Settings,
    reconcile::{Outcome, deliver::mailbox::Mailbox},
};

use crate::support::{
    folder,
    mailboxes::{Shop, config_map, inventory},
    need,
    servers::{ApiServer, Asked},
    wait_for,
};

/// WECs `c0` …, with their mailboxes.
fn fleet(shop: &Shop, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("c{number}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    shop.write("inventory.yaml", &inventory(&all));
    let namespace = |name: &&str| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string()
    };
    let namespaces: Vec<String> = all.iter().map(namespace).collect();
    shop.its.apply(&namespaces.join("\n---\n"));
    shop.write("paint.yaml", &config_map("paint", "{{.colour}}"));
    names
}

/// An administrator's kubeconfig without the privileges of `system:masters`, who is never asked to wait.
fn bot(its: &ApiServer) -> Connection {
    let role = ["--clusterrole=cluster-admin", "--user=bot"];
    its.kubectl_ok(&[&["create", "clusterrolebinding", "bot"], &role[..]].concat());
    let file = folder("bot").join("kubeconfig");
    let bot = json!({"token": its.token(), "as": "bot"});
    fs::write(&file, its.kubeconfig_of(&bot)).unwrap();
    Connection {
        kubeconfig: Some(file),
        context: None,
    }
}

fn mailbox(shop: &Shop, connection: &Connection) -> Mailbox {
    let client = shop.runtime.block_on(connect(connection)).unwrap();
    Mailbox::new(client, "shop", Settings::default())
}

/// How many works each WEC has, over all WECs that have any.
fn works(its: &ApiServer) -> Vec<usize> {
    let namespaces = its.kubectl_ok(&[
        "get",
        "manifestworks",
        "--all-namespaces",
        "--output=jsonpath={.items[*].metadata.namespace}",
    ]);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for namespace in namespaces.split_whitespace() {
        *counts.entry(namespace).or_default() += 1;
    }
    counts.into_values().collect()
}

/// Waits until credentials are not taken any more.
fn wait_for_refusal(its: &ApiServer, kubeconfig: &Path) {
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    wait_for("the old credentials to be refused", || {
        let answer = its.kubectl(&["get", "namespaces", &kubeconfig]);
        if answer.status.success() {
            return Err("they are taken".to_owned());
        }
        Ok(())
    });
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    let flags = [
        "--enable-priority-and-fairness=false",
        "--max-requests-inflight=1",
        "--max-mutating-requests-inflight=1",
    ];
    let (its, audit) = need!(ApiServer::start_audited("its1", &flags));
    let mut shop = Shop::new(&Arc::new(its));
    let names = fleet(&shop, 24);
    shop.mailbox = mailbox(&shop, &bot(&shop.its));
    let before = audit.len();
    let delivery = shop.deliver();
    assert_eq!(delivery.diagnostics, []);
    assert_eq!((delivery.written, works(&shop.its)), (48, vec![2; 24]));

    let asked = audit.of("manifestworks", before);
    let ours = asked.iter().filter(|asked| asked.user == "bot");
    let mut last: BTreeMap<(&str, &str), &Asked> = BTreeMap::new();
    let mut refused = 0;
    for next in ours {
        let place = (next.namespace.as_str(), next.name.as_str());
        if let Some(before) = last.insert(place, next).filter(|last| last.code == 429) {
            refused += 1;
            let [first, second] =
                [before, next].map(|asked| asked.at.parse::<Timestamp>().unwrap());
            let waited = second.duration_since(first);
            // The server says: after a second.
            assert!(waited.as_millis() >= 990, "{before:?} {next:?}");
        }
    }
    assert!(refused > 0, "the server never was too busy");
    let patches = asked
        .iter()
        .filter(|asked| asked.verb == "patch" && asked.code < 300);
    assert_eq!(patches.count(), 2 * names.len(), "each was written once");
}

#[test]
fn works_that_are_written_while_the_store_is_away_all_arrive_once_it_is_back() {
    let its = Arc::new(need!(ApiServer::start("its1")));
    let mut shop = Shop::new(&its);
    let names = fleet(&shop, 60);
    let outage = {
        let its = Arc::clone(&its);
        thread::spawn(move || {
            wait_for("the first works", || match works(&its).len() {
                0 => Err("none".to_owned()),
                _ => Ok(()),
            });
            its.kill_etcd();
            thread::sleep(Duration::from_secs(3));
            its.revive_etcd();
        })
    };
    let first = shop.deliver();
    outage.join().unwrap();
    assert!(first.deleted == 0, "{first:?}");
    wait_for("all works", || match shop.deliver() {
        delivery if delivery.diagnostics.is_empty() && delivery.failed.is_empty() => Ok(()),
        delivery => Err(format!("{:?}", delivery.diagnostics)),
    });
    assert_eq!(works(&its), vec![2; names.len()]);
    let generations = its.kubectl_ok(&[
        "get",
        "manifestworks",
        "--all-namespaces",
        "--output=jsonpath={.items[*].metadata.generation}",
    ]);
    assert!(generations.split(' ').all(|generation| generation == "1"));
    // What is remembered is what stands: nothing is left to write, also for one that remembers nothing.
    shop.restart();
    assert_eq!(shop.deliver().outcome, Outcome::Unchanged);
}

#[test]
fn an_api_server_of_another_version_finds_the_works_as_they_should_be() {
    let its = Arc::new(need!(ApiServer::start_with_flags(
        "its1",
        &["--emulated-version=1.34"]
    )));
    let mut shop = Shop::new(&its);
    fleet(&shop, 3);
    assert_eq!(shop.deliver().written, 6);
    its.kill();
    its.revive_with(&[]);
    assert_eq!(shop.deliver().outcome, Outcome::Unchanged);
    shop.write("paint.yaml", &config_map("paint", "new"));
    let edit = shop.deliver();
    assert_eq!((edit.written, edit.diagnostics), (3, Vec::new()));
    shop.restart();
    assert_eq!(shop.deliver().outcome, Outcome::Unchanged);
}

#[test]
fn a_token_in_a_file_is_rotated_and_deliveries_go_on() {
    let its = Arc::new(need!(ApiServer::start("its1")));
    let mut shop = Shop::new(&its);
    fleet(&shop, 2);
    let account = |name: &str| -> String {
        its.kubectl_ok(&["create", "serviceaccount", name]);
        let account = format!("--serviceaccount=default:{name}");
        let role = ["--clusterrole=cluster-admin", &account];
        its.kubectl_ok(&[&["create", "clusterrolebinding", name], &role[..]].concat());
        its.kubectl_ok(&["create", "token", name]).trim().to_owned()
    };
    let home = folder("rotated");
    let (token, kubeconfig) = (home.join("token"), home.join("kubeconfig"));
    fs::write(&token, account("old")).unwrap();
    fs::write(&kubeconfig, its.kubeconfig_of(&json!({"tokenFile": token}))).unwrap();
    let connection = Connection {
        kubeconfig: Some(kubeconfig.clone()),
        context: None,
    };
    shop.mailbox = mailbox(&shop, &connection);
    assert_eq!(shop.deliver().written, 4);

    // A token ends with its account.
    its.kubectl_ok(&["delete", "serviceaccount", "old"]);
    wait_for_refusal(&its, &kubeconfig);
    shop.write("paint.yaml", &config_map("paint", "second"));
    let refused = shop.deliver();
    let reasons: Vec<&str> = refused.failed.iter().map(|(_, reason)| *reason).collect();
    assert_eq!((refused.written, reasons), (0, vec!["Unauthorized"; 2]));
    fs::write(&token, account("new")).unwrap();
    thread::sleep(Duration::from_secs(2));
    let healed = shop.deliver();
    assert_eq!((healed.written, healed.diagnostics), (2, Vec::new()));
}

/// An authority for clients, and what it signs.
struct Authority(PathBuf);

impl Authority {
    fn new(name: &str) -> Self {
        let folder = folder(name);
        openssl(
            &folder,
            &format!(
                "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={name} -keyout ca.key -out ca.crt"
            ),
        );
        Self(folder)
    }

    fn certificate(&self) -> PathBuf {
        self.0.join("ca.crt")
    }

    /// Signs for a user of this group, and puts key and certificate there.
    fn sign(&self, group: &str, to: &Path) {
        openssl(
            &self.0,
            &format!(
                "req -newkey rsa:2048 -nodes -subj /O={group}/CN=bot -keyout bot.key -out bot.csr"
            ),
        );
        // Without an extension it would be a certificate of version 1.
        fs::write(self.0.join("extensions"), "basicConstraints=CA:FALSE\n").unwrap();
        openssl(
            &self.0,
            "x509 -req -in bot.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile extensions -out bot.crt",
        );
        for file in ["bot.key", "bot.crt"] {
            fs::copy(self.0.join(file), to.join(file)).unwrap();
        }
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments.split(' '));
    let output = command.output().expect("openssl is needed for the tests");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_client_certificate_is_rotated_together_with_its_authority_and_deliveries_go_on() {
    let home = folder("certificates");
    let trusted = home.join("clients.crt");
    let old = Authority::new("old-authority");
    fs::copy(old.certificate(), &trusted).unwrap();
    let flag = format!("--client-ca-file={}", trusted.display());
    let its = Arc::new(need!(ApiServer::start_with_flags("its1", &[&flag])));
    let mut shop = Shop::new(&its);
    fleet(&shop, 2);
    old.sign("system:masters", &home);
    let kubeconfig = home.join("kubeconfig");
    let user =
        json!({"client-certificate": home.join("bot.crt"), "client-key": home.join("bot.key")});
    fs::write(&kubeconfig, its.kubeconfig_of(&user)).unwrap();
    let bot = Connection {
        kubeconfig: Some(kubeconfig.clone()),
        context: None,
    };
    shop.mailbox = mailbox(&shop, &bot);
    assert_eq!(shop.deliver().written, 4);

    let new = Authority::new("new-authority");
    fs::copy(new.certificate(), &trusted).unwrap();
    wait_for_refusal(&its, &kubeconfig);
    shop.write("paint.yaml", &config_map("paint", "second"));
    let refused = shop.deliver();
    let reasons: Vec<&str> = refused.failed.iter().map(|(_, reason)| *reason).collect();
    assert_eq!((refused.written, reasons), (0, vec!["Unauthorized"; 2]));
    new.sign("system:masters", &home);
    thread::sleep(Duration::from_secs(2));
    let healed = shop.deliver();
    assert_eq!((healed.written, healed.diagnostics), (2, Vec::new()));
}
