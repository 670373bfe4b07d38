//! The servers that the tests talk to, each by itself, and what the tests of Flux and Argo CD share.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{
    applied::expect_applied,
    folder,
    git::{Repository, git},
    need,
    servers::{ApiServer, Gitea, Missing, WorkAgent},
    wait_for, write_files,
};

#[test]
fn an_api_server_keeps_what_is_applied_to_it() {
    let api = need!(ApiServer::start("wds1"));
    api.namespace("shop");
    assert_eq!(api.get("configmap", "shop", "settings"), None);
    api.apply(&config_map("shop", "blue"));
    let found = api.get("configmap", "shop", "settings").unwrap();
    assert_eq!(found["data"]["colour"], "blue");
}

#[test]
fn gitea_accepts_a_push_and_gives_it_to_everybody() {
    let gitea = need!(Gitea::shared());
    let url = gitea.repository("pushed");
    let repository = Repository::new("pushed");
    let commit = repository.commit("first", &[("file", "content\n")]);
    repository.git(&[
        "push",
        "--quiet",
        &gitea.with_credentials(&url),
        "HEAD:main",
    ]);
    assert_eq!(
        git(repository.path(), &["ls-remote", &url, "refs/heads/main"]),
        format!("{commit}\trefs/heads/main")
    );
    let (status, answer) = gitea.api(
        "GET",
        &format!("/repos/stella/pushed/statuses/{commit}"),
        None,
    );
    assert_eq!(
        (status, answer),
        (200, Value::Array(Vec::new())),
        "a commit without statuses"
    );
}

#[test]
fn a_work_agent_brings_a_mailbox_to_its_wec_and_reports() {
    need!(WorkAgent::available());
    let its = Arc::new(need!(ApiServer::start("its1")));
    let wec = Arc::new(need!(ApiServer::start("wec1")));
    let _agent = need!(WorkAgent::start("wec1", &its, &wec));
    wec.namespace("shop");
    let manifests = folder("manifests");
    write_files(
        &manifests,
        &[("settings.yaml", &config_map("shop", "blue"))],
    );
    let manifest = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"},
        "data": {"colour": "blue", "literal": "${HOME}"},
    });
    let work = json!({
        "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
        "metadata": {"name": "shop", "namespace": "wec1"},
        "spec": {"workload": {"manifests": [manifest]}},
    });
    its.apply(&work.to_string());

    expect_applied(&wec, &manifests);
    wait_for("the work's status", || {
        let work = its
            .get("manifestwork", "wec1", "shop")
            .ok_or("it is not there")?;
        let applied = condition(&work["status"], "Applied");
        if applied["status"] == "True" {
            Ok(())
        } else {
            Err(work["status"].to_string())
        }
    });
}

/// A WEC on which things end when they are deleted: Namespaces, and what Argo CD deletes, which is in the foreground.
pub(crate) fn start_wec(name: &str) -> Result<ApiServer, Missing> {
    let controllers = ["namespace-controller", "garbage-collector-controller"];
    ApiServer::start_with_controllers(name, &controllers)
}

fn config_map(namespace: &str, colour: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: {namespace}\ndata:\n  colour: {colour}\n  literal: ${{HOME}}\n"
    )
}

/// A condition of a status; null when it is not there.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}
