//! `argocd/notifications.yaml`, carried out by Argo CD itself: its engine fills the template, sends it, and runs the trigger.

use std::{fs, path::Path, process::Command};

use stellate::status::{Health, Progress};

use super::{Receiver, SECRET};
use crate::support::{
    example, folder, need,
    servers::{Missing, program},
};

const COMMIT: &str = "2222222222222222222222222222222222222222";

/// An Application as Argo CD keeps it: of a WEC whose Deployment does not work.
const DEGRADED: &str = r#"{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
  "metadata": {"name": "shop-wec1", "namespace": "argocd"},
  "spec": {"project": "shop", "source": {"repoURL": "https://git.example.com/acme/shop", "path": "clusters/wec1"}},
  "status": {"sync": {"status": "Synced", "revision": "COMMIT"}, "health": {"status": "Degraded"},
    "reconciledAt": "2026-10-01T10:00:00Z",
    "operationState": {"phase": "Succeeded", "finishedAt": "2026-10-01T10:00:00Z", "syncResult": {"revision": "COMMIT"}},
    "resources": [{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web",
      "status": "Synced", "health": {"status": "Degraded", "message": "0 of 3"}}]}}"#;

/// One that was just made.
const NEW: &str = r#"{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
  "metadata": {"name": "shop-new", "namespace": "argocd"}, "spec": {"source": {"path": "clusters/new"}}}"#;

/// A cluster that nobody needs: nothing is asked of it but the project, which may be missing.
const NOWHERE: &str = "apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: none, context: {cluster: none}}]
current-context: none
";

fn built() -> Result<(), Missing> {
    if program("argocd").exists() {
        return Ok(());
    }
    Err(Missing {
        server: "Argo CD",
        why: "run tests/servers/build argocd".to_owned(),
        built: false,
    })
}

/// Runs a command of `argocd admin notifications` with our manifest, and gives what it says.
fn notifications(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program("argocd"))
        .env("ARGOCD_BINARY_NAME", "argocd")
        .env("HOME", folder)
        .current_dir(folder)
        .args(["admin", "notifications"])
        .args(arguments)
        .args(["--config-map", "map.yaml", "--secret", "secret.yaml"])
        .args(["--kubeconfig", "nowhere", "--namespace", "argocd"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_argo_cd_makes_of_our_template_is_read() {
    need!(built());
    let receiver = Receiver::start(&[SECRET]);
    let address = format!("http://127.0.0.1:{}", receiver.port);
    let text = example(
        "argocd/notifications.yaml",
        &[
            ("https://stellate.example.com", &address),
            ("CHANGE-ME", SECRET),
        ],
    );
    let (map, secret) = text.split_once("\n---\n").unwrap();
    let folder = folder("notifications");
    let degraded = DEGRADED.replace("COMMIT", COMMIT);
    for (name, text) in [
        ("map.yaml", map),
        ("secret.yaml", secret),
        ("nowhere", NOWHERE),
        ("degraded.yaml", &degraded),
        ("new.yaml", NEW),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    for application in ["degraded.yaml", "new.yaml"] {
        let application = folder.join(application);
        let application = application.to_str().unwrap();
        let notify = [
            "template",
            "notify",
            "stellate",
            application,
            "--recipient",
            "stellate:shop",
        ];
        notifications(&folder, &notify);
    }
    let reports = receiver.store.reports.lock().unwrap().clone();
    assert_eq!(receiver.counted("argocd", "queued"), 2);
    let (pipeline, report) = &reports[0];
    assert_eq!(
        (pipeline.as_str(), report.cluster.as_str()),
        ("shop", "wec1")
    );
    assert_eq!(report.reporter, "Application argocd/shop-wec1");
    assert_eq!(report.revision.as_deref(), Some(COMMIT));
    assert_eq!(
        (report.progress, report.health),
        (Progress::Applied, Health::Degraded)
    );
    assert_eq!(report.objects[0].message, "0 of 3");
    let (_, new) = &reports[1];
    assert_eq!((new.cluster.as_str(), new.health), ("new", Health::Unknown));

    let degraded = folder.join("degraded.yaml");
    let run = ["trigger", "run", "stellate", degraded.to_str().unwrap()];
    let said = notifications(&folder, &run);
    let fires = said
        .lines()
        .any(|line| line.contains("Degraded") && line.ends_with("true"));
    assert!(fires, "{said}");
}
