//! Flux for one WEC: source-controller and kustomize-controller, and at will notification-controller, working on an [`ApiServer`] as they would inside of it.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{ApiServer, Missing, Server, free_port, program, require, until_ready};
use crate::support::{http, wait_for};

/// A running notification-controller: where the others send their events, and who tells Providers. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct FluxNotifier {
    _process: Vec<Server>,
    events: u16,
}

impl FluxNotifier {
    /// It on `cluster`, with Flux's CRDs and the namespace `flux-system`.
    pub(crate) fn start(cluster: &Arc<ApiServer>) -> Result<Self, Missing> {
        Flux::available()?;
        let folder = crate::support::folder(&format!("flux-notifier-{}", cluster.name()));
        prepare(cluster);
        let (health, events) = (free_port(), free_port());
        let mut command = controller("notification-controller", cluster, &folder, health);
        command
            .arg(format!("--events-addr=127.0.0.1:{events}"))
            .arg(format!("--receiverAddr=127.0.0.1:{}", free_port()));
        let mut servers = vec![Server::start("notification-controller", &folder, &command)];
        until_ready(SERVER, &mut servers, || http::ready(health, "/readyz"))?;
        Ok(Self {
            _process: servers,
            events,
        })
    }

    /// Where the other controllers are to send their events.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.events)
    }
}

/// Running controllers. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Flux {
    processes: Vec<Server>,
    cluster: Arc<ApiServer>,
}

const SERVER: &str = "Flux";

impl Flux {
    /// Says beforehand whether it can be had, for tests that would start other servers first.
    pub(crate) fn available() -> Result<(), Missing> {
        require(SERVER, &["flux"])
    }

    /// Flux on `cluster`, with its CRDs and the namespace `flux-system`. Its events go to `events_url`, when there is one.
    pub(crate) fn start(
        cluster: &Arc<ApiServer>,
        events_url: Option<&str>,
    ) -> Result<Self, Missing> {
        Self::available()?;
        let folder = crate::support::folder(&format!("flux-{}", cluster.name()));
        prepare(cluster);
        let controller = |name: &str, health: u16| {
            let mut command = controller(name, cluster, &folder, health);
            command.arg(format!("--events-addr={}", events_url.unwrap_or_default()));
            command
        };
        let (source_health, kustomize_health) = (free_port(), free_port());
        let artifacts = format!("127.0.0.1:{}", free_port());
        let mut source = controller("source-controller", source_health);
        source
            .arg(format!(
                "--storage-path={}",
                folder.join("artifacts").display()
            ))
            .arg(format!("--storage-addr={artifacts}"))
            .arg(format!("--storage-adv-addr={artifacts}"));
        std::fs::create_dir_all(folder.join("artifacts")).unwrap();
        let kustomize = controller("kustomize-controller", kustomize_health);
        let mut servers = vec![
            Server::start("source-controller", &folder, &source),
            Server::start("kustomize-controller", &folder, &kustomize),
        ];
        until_ready(SERVER, &mut servers, || {
            http::ready(source_health, "/readyz")?;
            http::ready(kustomize_health, "/readyz")
        })?;
        Ok(Self {
            processes: servers,
            cluster: Arc::clone(cluster),
        })
    }

    /// Makes Flux look at once instead of at its next interval, as a webhook's Receiver would, and waits until it has looked.
    pub(crate) fn look_now(&self, kind: &str, name: &str) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let request = format!("reconcile.fluxcd.io/requestedAt={now}");
        self.cluster.kubectl_ok(&[
            "annotate",
            "--overwrite",
            "--namespace=flux-system",
            kind,
            name,
            &request,
        ]);
        wait_for(&format!("Flux looks at {kind} {name}"), || {
            let found = self
                .cluster
                .get(kind, "flux-system", name)
                .unwrap_or_default();
            if found["status"]["lastHandledReconcileAt"] == now.to_string() {
                Ok(())
            } else {
                Err(found["status"].to_string())
            }
        });
    }
}

/// What Flux's installation puts into a cluster, as far as the controllers read it.
fn prepare(cluster: &ApiServer) {
    cluster.apply_crds("flux");
    cluster.namespace("flux-system");
}

/// A controller with what all of them want to be told.
fn controller(name: &str, cluster: &ApiServer, folder: &Path, health: u16) -> Command {
    let mut command = Command::new(program(name));
    command
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("RUNTIME_NAMESPACE", "flux-system")
        .env("HOME", folder)
        .args(["--enable-leader-election=false", "--log-level=info"])
        .arg(format!("--health-addr=127.0.0.1:{health}"))
        .arg(format!("--metrics-addr=127.0.0.1:{}", free_port()));
    command
}
