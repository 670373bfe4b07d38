//! Open Cluster Management's work agent for one WEC: what is in the WEC's mailbox namespace in the ITS is applied to the WEC, and
//! reported back in the ManifestWork's status.

use std::{fs, net::TcpStream, process::Command, sync::Arc};

use serde_json::json;

use super::{ApiServer, Missing, Server, free_port, program, require, until_ready};

const SERVER: &str = "the work agent";

/// A running agent. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct WorkAgent {
    processes: Vec<Server>,
    /// Where it reads and where it writes.
    clusters: [Arc<ApiServer>; 2],
}

impl WorkAgent {
    /// Says beforehand whether it can be had, for tests that would start other servers first.
    pub(crate) fn available() -> Result<(), Missing> {
        require(SERVER, &["work-agent"])
    }

    /// An agent between the mailbox namespace `name` in `its`, which is made where it is missing, and `wec`. Both get OCM's CRDs.
    pub(crate) fn start(
        name: &str,
        its: &Arc<ApiServer>,
        wec: &Arc<ApiServer>,
    ) -> Result<Self, Missing> {
        Self::available()?;
        let folder = crate::support::folder(&format!("work-agent-{name}"));
        its.apply_crds("ocm");
        its.namespace(name);
        wec.apply_crds("ocm");
        wec.namespace("open-cluster-management-agent");
        add_authentication_settings(wec);
        let health = free_port();
        let mut command = Command::new(program("ocm-work"));
        command
            .args([
                "agent",
                "--disable-leader-election",
                "--status-sync-interval=2s",
            ])
            .args([
                "--workload-source-driver=kube",
                "--namespace=open-cluster-management-agent",
            ])
            .arg(format!("--kubeconfig={}", wec.kubeconfig().display()))
            .arg(format!("--spoke-kubeconfig={}", wec.kubeconfig().display()))
            .arg(format!("--hub-kubeconfig={}", its.kubeconfig().display()))
            .arg(format!(
                "--workload-source-config={}",
                its.kubeconfig().display()
            ))
            .arg(format!("--spoke-cluster-name={name}"))
            .arg(format!("--cluster-name={name}"))
            .arg(format!("--agent-id={name}-agent"))
            .arg(format!("--listen=127.0.0.1:{health}"));
        let mut processes = vec![Server::start("work-agent", &folder, &command)];
        until_ready(SERVER, &mut processes, || {
            TcpStream::connect(("127.0.0.1", health))
                .map(drop)
                .map_err(|error| error.to_string())
        })?;
        Ok(Self {
            processes,
            clusters: [Arc::clone(its), Arc::clone(wec)],
        })
    }
}

/// The agent's own server reads this ConfigMap, which an API server makes only when it trusts client certificates.
fn add_authentication_settings(wec: &ApiServer) {
    let certificate = fs::read_to_string(wec.certificate()).unwrap();
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": certificate},
    });
    wec.namespace("kube-system");
    wec.apply(&settings.to_string());
}
