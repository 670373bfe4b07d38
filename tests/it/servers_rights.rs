//! The roles that `stellate rbac` prints, held against what an API server was asked for: a pod's account with those roles and no
//! others does everything, and everything that they allow was asked for.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use stellate::{api_server::Place, reconcile::rights::Part};

use crate::{
    servers_pipeline::stellate,
    support::{
        folder,
        git::Repository,
        hub::{NAMESPACE, OWN, Replica, made_hub, pipeline},
        mailboxes::{POLICY, config_map},
        need,
        servers::{ApiServer, Asked, Missing, WorkAgent},
        wait_for, write_files,
    },
};

const ACCOUNT: &str = "system:serviceaccount:stellate:stellate";
const PROPERTIES: &str = "customization-properties";

/// A verb, a group, a resource, and where; empty for everywhere.
type Use = (String, String, String, String);

/// What the roles of these parts allow.
fn allowed(parts: &[Part]) -> BTreeSet<Use> {
    let rights = parts.iter().flat_map(|part| part.rights());
    let uses = rights.flat_map(|right| {
        let place = match right.place {
            Place::Everywhere => "",
            Place::Namespace(namespace) => namespace,
            Place::Own => NAMESPACE,
        };
        let one = move |verb: &&str| {
            let [verb, group, resource] = [*verb, right.group, right.resource].map(str::to_owned);
            (verb, group, resource, place.to_owned())
        };
        right.verbs.iter().map(one).collect::<Vec<_>>()
    });
    uses.collect()
}

/// What was asked for, in the terms of roles. What an apply made anew needs `create` besides.
fn used(asked: &[Asked]) -> BTreeSet<Use> {
    let uses = asked.iter().flat_map(|asked| {
        let everywhere = [
            "manifestworks",
            "pipelines",
            "pipelines/status",
            "managedclusters",
        ];
        let namespace = match asked.resource.as_str() {
            resource if everywhere.contains(&resource) => "",
            _ => &asked.namespace,
        };
        let one = |verb: &str| {
            let [verb, group, resource, namespace] =
                [verb, &asked.group, &asked.resource, namespace].map(str::to_owned);
            (verb, group, resource, namespace)
        };
        let made = (asked.verb == "patch" && asked.code == 201).then(|| one("create"));
        [Some(one(&asked.verb)), made].into_iter().flatten()
    });
    uses.filter(|(_, _, resource, _)| !resource.is_empty())
        .collect()
}

/// A hub without streaming lists, so that lists are seen as such, and a WEC with its agent.
fn site() -> Result<(Arc<ApiServer>, crate::support::servers::Audit, WorkAgent), Missing> {
    WorkAgent::available()?;
    let (hub, audit) = ApiServer::start_audited("hub", &["--feature-gates=WatchList=false"])?;
    let hub = Arc::new(made_hub(hub));
    hub.apply_crds("ocm");
    hub.serve_work_statuses();
    for namespace in [NAMESPACE, PROPERTIES, "c2"] {
        hub.namespace(namespace);
    }
    let wec = Arc::new(ApiServer::start("c1")?);
    let agent = WorkAgent::start("c1", &hub, &wec)?;
    for name in ["c1", "c2"] {
        hub.apply(
            &json!({
                "apiVersion": "cluster.open-cluster-management.io/v1", "kind": "ManagedCluster",
                "metadata": {"name": name, "labels": {"env": "prod", "colour": name}},
                "spec": {"hubAcceptsClient": true},
            })
            .to_string(),
        );
    }
    Ok((hub, audit, agent))
}

fn is_stalled(status: &Value, wanted: &str) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut stalled = conditions.filter(|condition| condition["type"] == "Stalled");
    stalled.any(|stalled| stalled["status"] == wanted)
}

#[test]
fn an_account_with_the_printed_roles_does_everything_and_uses_every_right() {
    let (hub, audit, _agent) = need!(site());
    let parts = [
        Part::Inventory,
        Part::Mailbox,
        Part::Pipelines,
        Part::Leases,
    ];
    let arguments = [
        "rbac",
        "--inventory=its",
        "--output=mailbox",
        "--pipelines",
        "--leases",
    ];
    let printed = stellate(&folder("cache"), &[], &arguments);
    assert_eq!(printed.code, 0, "{printed:?}");
    hub.apply(&printed.out);
    hub.kubectl_ok(&["create", "serviceaccount", "stellate", "-nstellate"]);
    let token = hub.kubectl_ok(&["create", "token", "stellate", "-nstellate"]);
    let kubeconfig = hub.kubeconfig_of(&json!({"token": token.trim()}));

    let source = Repository::new("source");
    let edit = |text: &str| {
        write_files(source.path(), &[("paint.yaml", &config_map("paint", text))]);
        source.commit_all(text)
    };
    write_files(source.path(), &[("policy.yaml", POLICY)]);
    let first = edit("first");
    let spec = json!({
        "source": {"git": {"url": source.path(), "interval": "2s"}},
        "inventory": {"its": {"kubeconfig": OWN}},
        "outputs": [{"mailbox": {}}],
        // One of two WECs leaves.
        "guard": {"maxRemovedObjects": 10},
    });
    let replica = Replica::start("one", &kubeconfig);
    hub.apply(&pipeline("shop", &spec).to_string());
    let status = |what: &str, replica: &Replica, wanted: &dyn Fn(&Value) -> bool| {
        wait_for(what, || {
            let status = hub.get("pipeline", "", "shop").unwrap_or_default()["status"].clone();
            if wanted(&status) {
                Ok(())
            } else {
                Err(format!("{status}\n{}", replica.log()))
            }
        });
    };
    let came = |commit: &str, summary: &str| {
        let (commit, summary) = (commit.to_owned(), summary.to_owned());
        move |status: &Value| {
            status["sourceCommit"] == commit.as_str() && status["summary"] == summary.as_str()
        }
    };
    status(
        "creation and feedback",
        &replica,
        &came(&first, "1 delivered, 1 healthy"),
    );
    let second = edit("second");
    status(
        "an edit",
        &replica,
        &came(&second, "1 delivered, 1 healthy"),
    );
    hub.kubectl_ok(&["label", "managedcluster", "c2", "env-"]);
    wait_for("deletion", || {
        match hub.get("manifestwork", "c2", "shop.rest") {
            None => Ok(()),
            Some(work) => Err(work.to_string()),
        }
    });
    // What happens twice is told in one Event.
    for _ in 0..2 {
        let without = r#"--patch=[{"op": "remove", "path": "/spec/inventory"}]"#;
        hub.kubectl_ok(&["patch", "pipeline", "shop", "--type=json", without]);
        status("a refusal", &replica, &|status| is_stalled(status, "True"));
        hub.apply(&pipeline("shop", &spec).to_string());
        status("its end", &replica, &|status| is_stalled(status, "False"));
    }
    // A successor has to read what it changes.
    replica.stop();
    let replica = Replica::start("two", &kubeconfig);
    let third = edit("third");
    status(
        "an edit by a successor",
        &replica,
        &came(&third, "1 healthy"),
    );
    replica.stop();

    let asked: Vec<Asked> = audit
        .all()
        .into_iter()
        .filter(|asked| asked.user == ACCOUNT)
        .collect();
    let refused: Vec<&Asked> = asked.iter().filter(|asked| asked.code == 403).collect();
    assert_eq!(refused, Vec::<&Asked>::new());
    assert_eq!(used(&asked), allowed(&parts));
}
