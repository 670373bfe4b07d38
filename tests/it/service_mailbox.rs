//! `stellate run` and the mailboxes of a real ITS: one work is refused, a mailbox goes, rights are taken away, another program
//! writes the same works. Nobody asks for a run: what can be put right is put right.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    folder,
    git::Repository,
    mailboxes::{POLICY, config_map, inventory},
    need,
    servers::{ApiServer, Audit, Missing},
    service::{Home, Service},
    wait_for, write_files,
};

/// The user that the service is.
const BOT: &str = "bot";

/// An ITS with WECs, a repository, and a service between them that looks at its source once in an hour.
struct Site {
    its: ApiServer,
    source: Repository,
    service: Service,
    _home: Home,
}

impl Site {
    fn new(its: ApiServer, wecs: &[&str]) -> Self {
        its.apply_crds("ocm");
        for wec in wecs {
            its.namespace(wec);
        }
        bind(&its);
        let source = Repository::new("source");
        write_files(
            source.path(),
            &[
                ("policy.yaml", POLICY),
                ("inventory.yaml", &inventory(wecs)),
            ],
        );
        let home = Home::new("mailboxes");
        home.configure(&format!(
            "  source: {{git: {{url: {}, interval: 1h}}}}\n  outputs: [{{mailbox: {{its: {{kubeconfig: {}}}}}}}]\n",
            source.path().display(),
            kubeconfig(&its).display(),
        ));
        write_files(
            source.path(),
            &[("paint.yaml", &config_map("paint", "first"))],
        );
        source.commit_all("Open the shop");
        let service = home.start();
        Self {
            its,
            source,
            service,
            _home: home,
        }
    }

    /// Commits another paint and has it looked at.
    fn paint(&self, text: &str) -> String {
        write_files(
            self.source.path(),
            &[("paint.yaml", &config_map("paint", text))],
        );
        let commit = self.source.commit_all(text);
        self.service.sync();
        commit
    }

    fn head(&self) -> String {
        self.source.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Waits until it is said of a WEC that the commit failed there, for this reason; gives what is said.
    fn expect_failure(&self, commit: &str, wec: &str, words: &str) -> String {
        wait_for(&format!("{words} on {wec}"), || {
            let told = self.wec(commit, wec)?;
            let why = told["why"].as_str().unwrap_or_default().to_owned();
            if told["phase"] == "failed" && why.contains(words) {
                return Ok(why);
            }
            Err(format!("{told}\n{}", self.service.log()))
        })
    }

    /// Waits until these WECs have the commit in their mailboxes.
    fn expect_delivered(&self, commit: &str, wecs: &[&str]) {
        for wec in wecs {
            wait_for(&format!("delivery to {wec}"), || {
                let told = self.wec(commit, wec)?;
                if told["phase"] == "delivered" {
                    return Ok(());
                }
                Err(format!("{told}\n{}", self.service.log()))
            });
        }
    }

    fn wec(&self, commit: &str, wec: &str) -> Result<Value, String> {
        let path = format!("/pipelines/shop/commits/{commit}/clusters");
        let all = self.service.get(&path)?;
        let items = all["items"].as_array().cloned().unwrap_or_default();
        let found = items.into_iter().find(|item| item["name"] == wec);
        found.ok_or_else(|| format!("{wec} is not in {all}"))
    }

    /// What the paint is in a WEC's mailbox.
    fn painted(&self, wec: &str) -> Option<Value> {
        let work = self.its.get("manifestwork", wec, "shop.rest")?;
        let manifests = work["spec"]["workload"]["manifests"].as_array()?;
        let paint = manifests
            .iter()
            .find(|manifest| manifest["metadata"]["name"] == "paint")?;
        Some(paint["data"]["value"].clone())
    }
}

/// Gives the service all rights.
fn bind(its: &ApiServer) {
    let role = ["--clusterrole=cluster-admin", "--user=bot"];
    its.kubectl_ok(&[&["create", "clusterrolebinding", BOT], &role[..]].concat());
}

fn kubeconfig(its: &ApiServer) -> PathBuf {
    let file = folder("bot").join("kubeconfig");
    fs::write(
        &file,
        its.kubeconfig_of(&json!({"token": its.token(), "as": BOT})),
    )
    .unwrap();
    file
}

fn audited() -> Result<(ApiServer, Audit), Missing> {
    ApiServer::start_audited("its1", &[])
}

/// A policy by which this work is refused; in force when this returns.
fn refuse(its: &ApiServer, wec: &str, words: &str) {
    let rules = json!([{
        "apiGroups": ["work.open-cluster-management.io"], "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"], "resources": ["manifestworks"],
    }]);
    let kind = |kind: &str, spec: &Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": "closed"}, "spec": spec,
        })
        .to_string()
    };
    let condition =
        format!("object.metadata.namespace != '{wec}' || object.metadata.name != 'shop.rest'");
    let validation = json!({"expression": condition, "message": words, "reason": "Forbidden"});
    its.apply(&kind(
        "ValidatingAdmissionPolicy",
        &json!({"failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules}, "validations": [validation]}),
    ));
    its.apply(&kind(
        "ValidatingAdmissionPolicyBinding",
        &json!({"policyName": "closed", "validationActions": ["Deny"]}),
    ));
    let probe = format!(
        "kubectl annotate --dry-run=server --overwrite manifestwork shop.rest -n{wec} probe=1"
    );
    wait_for("the policy", || {
        let answer = its.kubectl(&probe.split(' ').skip(1).collect::<Vec<_>>());
        if answer.status.success() {
            return Err("the work is taken".to_owned());
        }
        Ok(())
    });
}

#[test]
fn a_work_that_a_policy_refuses_holds_up_no_other_and_goes_out_when_the_policy_is_gone() {
    let site = Site::new(need!(ApiServer::start("its1")), &["c1", "c2", "c3"]);
    let first = site.head();
    site.expect_delivered(&first, &["c1", "c2", "c3"]);
    refuse(&site.its, "c2", "closed for repairs");

    let second = site.paint("second");
    let why = site.expect_failure(&second, "c2", "closed for repairs");
    assert!(why.contains("the work shop.rest is refused"), "{why}");
    site.expect_delivered(&second, &["c1", "c3"]);
    let painted = ["c1", "c2", "c3"].map(|wec| site.painted(wec).unwrap());
    assert_eq!(painted, ["second", "first", "second"]);

    site.its
        .kubectl_ok(&["delete", "validatingadmissionpolicybinding", "closed"]);
    site.expect_delivered(&second, &["c2"]);
    assert_eq!(site.painted("c2").unwrap(), "second");
}

#[test]
fn rights_that_are_taken_away_are_named_and_when_they_are_back_deliveries_go_on() {
    let site = Site::new(need!(ApiServer::start("its1")), &["c1", "c2"]);
    let first = site.head();
    site.expect_delivered(&first, &["c1"]);
    site.its.kubectl_ok(&["delete", "clusterrolebinding", BOT]);
    wait_for("the rights to be gone", || {
        let may = site
            .its
            .kubectl(&["auth", "can-i", "patch", "manifestworks", "--as=bot"]);
        if may.status.success() {
            Err("not yet".to_owned())
        } else {
            Ok(())
        }
    });
    let second = site.paint("second");
    let why = site.expect_failure(
        &second,
        "c1",
        "User \"bot\" cannot patch resource \"manifestworks\"",
    );
    assert!(why.contains("stellate rbac --output mailbox"), "{why}");
    site.expect_failure(&second, "c2", "cannot");
    assert_eq!(site.painted("c1").unwrap(), "first");
    bind(&site.its);
    site.expect_delivered(&second, &["c1", "c2"]);
    assert_eq!(site.painted("c1").unwrap(), "second");
}

#[test]
fn a_mailbox_that_is_deleted_is_told_of_and_filled_again_when_it_is_back() {
    let its = need!(ApiServer::start_with_controllers(
        "its1",
        &["namespace-controller"]
    ));
    let site = Site::new(its, &["c1", "c2"]);
    let first = site.head();
    site.expect_delivered(&first, &["c1", "c2"]);
    // An agent holds on to its work until it has cleared the WEC.
    let held = r#"--patch={"metadata": {"finalizers": ["test/agent"]}}"#;
    let patch = ["patch", "manifestwork", "shop.rest", "-nc2", "--type=merge"];
    site.its.kubectl_ok(&[&patch[..], &[held]].concat());
    site.its
        .kubectl_ok(&["delete", "namespace", "c2", "--wait=false"]);
    site.expect_failure(&first, "c2", "is being deleted");
    let second = site.paint("second");
    site.expect_delivered(&second, &["c1"]);
    site.expect_failure(&second, "c2", "is being deleted");

    let freed = r#"--patch={"metadata": {"finalizers": []}}"#;
    site.its.kubectl_ok(&[&patch[..], &[freed]].concat());
    site.expect_failure(&second, "c2", "the mailbox namespace c2 does not exist");
    site.its.namespace("c2");
    site.expect_delivered(&second, &["c2"]);
    assert_eq!(site.painted("c2").unwrap(), "second");
}

/// What another program, that believes the work to be its own, writes again and again.
fn rival() -> String {
    json!({
        "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
        "metadata": {
            "name": "shop.rest", "namespace": "c1",
            "annotations": {"gitops.kubestellar.io/content-digest": "theirs"},
        },
        "spec": {"workload": {"manifests": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "shop"}},
        ]}},
    })
    .to_string()
}

#[test]
fn a_program_that_writes_the_same_work_is_told_of_and_no_fight_without_end_begins() {
    let (its, audit) = need!(audited());
    let site = Site::new(its, &["c1", "c2"]);
    let first = site.head();
    site.expect_delivered(&first, &["c1", "c2"]);
    let before = audit.len();
    let over = AtomicBool::new(false);
    let rivals = thread::scope(|scope| {
        let rival = scope.spawn(|| {
            let mut rounds = 0;
            while !over.load(Ordering::Relaxed) {
                site.its.apply_as("rival", &rival());
                rounds += 1;
                thread::sleep(Duration::from_millis(100));
            }
            rounds
        });
        let why = site.expect_failure(&first, "c1", "another writer");
        assert!(
            why.contains("kubectl get manifestwork shop.rest -n c1"),
            "{why}"
        );
        thread::sleep(Duration::from_secs(8));
        over.store(true, Ordering::Relaxed);
        rival.join().unwrap()
    });
    let writes = |wec: &str| {
        let asked = audit.of("manifestworks", before);
        let ours = asked
            .iter()
            .filter(|asked| asked.user == BOT && asked.is_write());
        ours.filter(|asked| asked.namespace == wec).count()
    };
    let ours = writes("c1");
    assert!(rivals > 3 * ours && ours <= 8, "{rivals} against {ours}");
    assert_eq!(writes("c2"), 0);

    // The other one gives up: the work is what it should be.
    site.expect_delivered(&first, &["c1"]);
    assert_eq!(site.painted("c1").unwrap(), "first");
}

#[test]
fn the_first_list_of_an_its_is_waited_for_and_no_alarm_is_given() {
    let its = need!(ApiServer::start("its1"));
    its.apply_crds("ocm");
    its.namespace("customization-properties");
    let cluster = json!({
        "apiVersion": "cluster.open-cluster-management.io/v1",
        "kind": "ManagedCluster",
        "metadata": {"name": "c1", "labels": {"env": "prod"}},
        "spec": {"hubAcceptsClient": true},
    });
    its.apply(&cluster.to_string());
    let source = Repository::new("source");
    write_files(
        source.path(),
        &[
            ("policy.yaml", POLICY),
            ("paint.yaml", &config_map("paint", "first")),
        ],
    );
    let commit = source.commit_all("Open the shop");
    let home = Home::new("calm");
    home.configure(&format!(
        "  source: {{git: {{url: {}, interval: 1h}}}}\n  inventory: {{its: {{kubeconfig: {}}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n",
        source.path().display(),
        its.kubeconfig().display(),
    ));
    let service = home.start();
    service.expect(&commit, "published");
    let log = service.log();
    assert!(!log.contains(r#""level":"ERROR""#), "{log}");
    assert!(service.stop().success());
}
