//! KubeStellar's own controllers for one WDS and one ITS: its controller manager resolves the policies in the WDS, and its OCM
//! transport writes ManifestWorks into the ITS.

use std::{fs, net::TcpStream, process::Command, sync::Arc};

use serde_json::json;

use super::{ApiServer, Missing, Server, free_port, program, require, until_ready};

const SERVER: &str = "KubeStellar";

/// The controllers' limit of requests in a second, far above what they need: by default it is 5.
const LIMIT: u32 = 1000;

/// The running controllers. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct KubeStellar {
    processes: Vec<Server>,
    /// Where they read and where they write.
    clusters: [Arc<ApiServer>; 2],
}

impl KubeStellar {
    /// Says beforehand whether it can be had, for tests that would start other servers first.
    pub(crate) fn available() -> Result<(), Missing> {
        require(SERVER, &["kubestellar", "work-agent"])
    }

    /// The controllers between a WDS and an ITS, which is their hub too. Both get the CRDs that they need.
    pub(crate) fn start(wds: &Arc<ApiServer>, its: &Arc<ApiServer>) -> Result<Self, Missing> {
        Self::available()?;
        wds.apply_crds("kubestellar");
        its.apply_crds("kubeflex");
        its.apply_crds("ocm");
        its.serve_work_statuses();
        its.namespace("customization-properties");
        register(its, wds, "wds");
        register(its, its, "its");
        let folder = crate::support::folder(&format!("kubestellar-{}", wds.name()));
        let ports = [free_port(), free_port()];
        let mut manager = controller("ks-controller-manager", ["wds", "its"], ports[0]);
        manager
            .arg(format!("--kubeconfig={}", its.kubeconfig().display()))
            .arg(format!("--wds-name={}", wds.name()))
            .arg(format!("--its-name={}", its.name()));
        let mut transport = controller("ks-transport-controller", ["wds", "transport"], ports[1]);
        transport
            .arg(format!("--wds-name={}", wds.name()))
            .arg(format!("--wds-kubeconfig={}", wds.kubeconfig().display()))
            .arg(format!(
                "--transport-kubeconfig={}",
                its.kubeconfig().display()
            ));
        let mut processes = vec![
            Server::start("controller-manager", &folder, &manager),
            Server::start("transport", &folder, &transport),
        ];
        until_ready(SERVER, &mut processes, || {
            for port in ports {
                TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
            }
            Ok(())
        })?;
        Ok(Self {
            processes,
            clusters: [Arc::clone(wds), Arc::clone(its)],
        })
    }
}

/// A controller with its limits lifted towards these two servers.
fn controller(name: &str, servers: [&str; 2], health: u16) -> Command {
    let mut command = Command::new(program(name));
    for server in servers {
        command
            .arg(format!("--{server}-qps={LIMIT}"))
            .arg(format!("--{server}-burst={LIMIT}"));
    }
    command
        .arg(format!("--health-probe-bind-address=127.0.0.1:{health}"))
        .arg(format!("--metrics-bind-address=127.0.0.1:{}", free_port()))
        .arg(format!("--pprof-bind-address=127.0.0.1:{}", free_port()));
    command
}

/// Tells the hub of a control plane, as `KubeFlex` would have when it made it.
fn register(hub: &ApiServer, plane: &ApiServer, kind: &str) {
    let name = plane.name();
    let kubeconfig = fs::read_to_string(plane.kubeconfig()).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": format!("cp-{name}"), "namespace": "default"},
        "stringData": {"kubeconfig": kubeconfig},
    });
    let plane = json!({
        "apiVersion": "tenancy.kflex.kubestellar.org/v1alpha1", "kind": "ControlPlane",
        "metadata": {"name": name, "labels": {"kflex.kubestellar.io/cptype": kind}},
        "spec": {"type": "external", "backend": "shared"},
    });
    hub.apply(&format!("{secret:#}\n---\n{plane:#}"));
    let reference = json!({
        "name": format!("cp-{name}"), "namespace": "default",
        "key": "kubeconfig", "inClusterKey": "kubeconfig",
    });
    let status =
        json!({"status": {"conditions": [], "observedGeneration": 1, "secretRef": reference}});
    let patch = format!("--patch={status}");
    let arguments = ["--subresource=status", "--type=merge", &patch];
    hub.kubectl_ok(&[&["patch", "controlplane", name], &arguments[..]].concat());
}
