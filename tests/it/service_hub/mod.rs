//! `stellate run --hub` on real servers: Pipelines from the API server, OCM's own agents on two WECs, the status that goes back,
//! and two replicas of which one writes.

use serde_json::Value;

use crate::support::{
    git::Repository,
    hub::NAMESPACE,
    mailboxes::{POLICY, inventory},
    servers::ApiServer,
    wait_for, write_files,
};

mod lease;
mod partition;
mod story;

/// The Lease of a pipeline.
fn lease(hub: &ApiServer, pipeline: &str) -> Value {
    let name = format!("pipeline-{pipeline}");
    hub.get("lease", NAMESPACE, &name).unwrap_or_default()
}

/// Who holds it; empty for nobody.
fn holder(hub: &ApiServer, pipeline: &str) -> String {
    let lease = lease(hub, pipeline);
    let holder = lease["spec"]["holderIdentity"].as_str();
    holder.unwrap_or_default().to_owned()
}

fn wait_for_holder(hub: &ApiServer, pipeline: &str, replica: &str) {
    wait_for(replica, || match holder(hub, pipeline) {
        holder if holder.starts_with(replica) => Ok(()),
        holder => Err(format!("held by {holder:?}")),
    });
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

/// A repository with these WECs in it.
fn fleet(wecs: &[&str]) -> Repository {
    let source = Repository::new("fleet");
    source.commit(
        "Open the shop",
        &[
            ("policy.yaml", POLICY),
            ("inventory.yaml", &inventory(wecs)),
            ("paint.yaml", &paint("first")),
        ],
    );
    source
}

/// How often each work was changed.
fn generations(hub: &ApiServer) -> String {
    hub.kubectl_ok(&[
        "get",
        "manifestworks",
        "--all-namespaces",
        "--output=jsonpath={.items[*].metadata.generation}",
    ])
}
