//! A Kubernetes control plane: etcd and kube-apiserver, with RBAC and token authentication. No nodes, and no controllers
//! unless asked for: a Deployment stays as it was written, and nothing but the tests and what they start writes into it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Mutex,
};

use serde_json::{Value, json};

use super::{
    Audit, Missing, Server, built_servers, free_port, program, require, secret, until_ready,
};
use crate::support::wait_for;

/// A running control plane. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct ApiServer {
    name: String,
    folder: PathBuf,
    port: u16,
    token: String,
    /// Its etcd's program, and where that listens to clients and to peers.
    store: String,
    etcd: String,
    peers: String,
    /// What it was told beyond the usual.
    flags: Vec<String>,
    processes: Mutex<Vec<Server>>,
}

const SERVER: &str = "the Kubernetes API server";
const KUBE_APISERVER: &str = "kube-apiserver";

impl ApiServer {
    /// A control plane of the test's own. `name` is the name of its context.
    pub(crate) fn start(name: &str) -> Result<Self, Missing> {
        Self::start_with(name, "etcd", &[], &[])
    }

    /// The same with more flags for kube-apiserver; of two for one thing the later counts.
    pub(crate) fn start_with_flags(name: &str, flags: &[&str]) -> Result<Self, Missing> {
        Self::start_with(name, "etcd", &[], flags)
    }

    /// The same with an audit log.
    pub(crate) fn start_audited(name: &str, flags: &[&str]) -> Result<(Self, Audit), Missing> {
        let (audit, audited) = Audit::new(name);
        let all: Vec<&str> = audited
            .iter()
            .map(String::as_str)
            .chain(flags.iter().copied())
            .collect();
        Ok((Self::start_with_flags(name, &all)?, audit))
    }

    /// The same on an etcd from before 3.5.8.
    pub(crate) fn start_on_old_etcd(name: &str) -> Result<Self, Missing> {
        Self::start_with(name, "etcd-old", &[], &[])
    }

    /// The same with some of Kubernetes' own controllers, by the names that kube-controller-manager gives them. Without
    /// `namespace-controller` a Namespace never goes, without `garbage-collector-controller` neither does what is deleted in
    /// the foreground.
    pub(crate) fn start_with_controllers(
        name: &str,
        controllers: &[&str],
    ) -> Result<Self, Missing> {
        Self::start_with(name, "etcd", controllers, &[])
    }

    /// `store` is the etcd: group and program of one name.
    fn start_with(
        name: &str,
        store: &str,
        controllers: &[&str],
        flags: &[&str],
    ) -> Result<Self, Missing> {
        require(SERVER, &[store, "kubernetes"])?;
        let folder = crate::support::folder(name);
        let (port, token) = (free_port(), secret());
        make_signing_key(&folder.join("service-accounts.key"))?;
        let administrator = format!("{token},admin,admin-uid,\"system:masters\"\n");
        fs::write(folder.join("tokens.csv"), administrator).unwrap();
        let [etcd_url, peers] =
            [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
        let etcd = etcd_at(store, &folder, &etcd_url, &peers);
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let server = kube_apiserver(&folder, port, &etcd_url, &flags);
        let name = name.to_owned();
        let mut api = Self {
            name,
            folder,
            port,
            token,
            store: store.to_owned(),
            etcd: etcd_url,
            peers,
            flags,
            processes: Mutex::default(),
        };
        fs::write(api.kubeconfig(), api.kubeconfig_in("default")).unwrap();

        let mut processes = vec![etcd, server];
        until_ready(SERVER, &mut processes, || api.is_ready())?;
        if !controllers.is_empty() {
            processes.push(kube_controller_manager(&api, controllers));
        }
        api.processes = Mutex::new(processes);
        Ok(api)
    }

    /// Ends kube-apiserver, at once and without a word to anybody. Its etcd, and so everything in it, stays.
    pub(crate) fn kill(&self) {
        self.end(KUBE_APISERVER);
    }

    /// Ends etcd, at once. What it holds stays.
    pub(crate) fn kill_etcd(&self) {
        fs::write(self.folder.join("data/etcd.stays"), "").unwrap();
        self.end("etcd");
    }

    fn end(&self, name: &str) {
        let mut processes = self.processes.lock().unwrap();
        processes.retain(|process| process.name != name);
    }

    /// Starts etcd once more, at the same address and with what it held.
    pub(crate) fn revive_etcd(&self) {
        fs::remove_file(self.folder.join("data/etcd.stays")).unwrap();
        let etcd = etcd_at(&self.store, &self.folder, &self.etcd, &self.peers);
        self.processes.lock().unwrap().push(etcd);
    }

    /// Starts kube-apiserver once more, at the same address.
    pub(crate) fn revive(&self) {
        self.revive_with(&self.flags);
    }

    /// The same with these flags in place of those that it had beyond the usual.
    pub(crate) fn revive_with(&self, flags: &[String]) {
        let server = kube_apiserver(&self.folder, self.port, &self.etcd, flags);
        let mut processes = vec![server];
        until_ready(SERVER, &mut processes, || self.is_ready()).unwrap();
        self.processes.lock().unwrap().append(&mut processes);
    }

    fn is_ready(&self) -> Result<(), String> {
        let output = self.kubectl(&["get", "--raw=/readyz"]);
        if output.status.success() {
            Ok(())
        } else {
            Err(text(&output.stderr))
        }
    }

    /// What it was started as, and the name of its context.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `https://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The bearer token of an administrator.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The certificate that its own is checked against, in PEM; the server has made it when it is ready.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("certificates/apiserver.crt")
    }

    /// A kubeconfig file of an administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The text of a kubeconfig with these credentials: `{"token": …}`, or `{"token": …, "as": "somebody"}`.
    pub(crate) fn kubeconfig_of(&self, user: &Value) -> String {
        let mut kubeconfig: Value = serde_json::from_str(&self.kubeconfig_in("default")).unwrap();
        kubeconfig["users"][0]["user"] = user.clone();
        kubeconfig.to_string()
    }

    /// The text of a kubeconfig of an administrator, with another namespace than `default` to work in.
    pub(crate) fn kubeconfig_in(&self, namespace: &str) -> String {
        let name = &self.name;
        // kubectl and client-go read JSON here too.
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": self.url(), "certificate-authority": self.certificate()}}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "admin", "namespace": namespace}}],
        });
        format!("{kubeconfig:#}\n")
    }

    /// Runs kubectl on it and gives whatever comes of it.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("kubectl was built")
    }

    /// Runs kubectl on it and gives its standard output; panics with kubectl's own words when it fails.
    pub(crate) fn kubectl_ok(&self, arguments: &[&str]) -> String {
        self.checked(arguments, &self.kubectl(arguments))
    }

    /// Applies manifests (YAML or JSON, several documents at will) on the server's side.
    pub(crate) fn apply(&self, manifests: &str) {
        self.apply_as("kubectl", manifests);
    }

    /// The same under the name of another field manager.
    pub(crate) fn apply_as(&self, manager: &str, manifests: &str) {
        let manager = format!("--field-manager={manager}");
        let arguments = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename=-",
            &manager,
        ];
        let mut command = self.command(&arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut kubectl = command.spawn().expect("kubectl was built");
        kubectl
            .stdin
            .take()
            .unwrap()
            .write_all(manifests.as_bytes())
            .unwrap();
        self.checked(&arguments, &kubectl.wait_with_output().unwrap());
    }

    /// Applies the CRDs that a group of `tests/servers/build` brought along (`flux`, `argocd`, `ocm`), and waits until they serve.
    pub(crate) fn apply_crds(&self, group: &str) {
        let folder = built_servers().join("crds").join(group);
        let files = format!("--filename={}", folder.display());
        self.kubectl_ok(&["apply", "--server-side", "--force-conflicts", &files]);
        // kubectl gives up on a CRD that has no conditions yet.
        wait_for("CRDs that are served", || {
            let wanted = [
                "wait",
                "--for=condition=Established",
                "--timeout=60s",
                &files,
            ];
            let waited = self.kubectl(&wanted);
            if waited.status.success() {
                Ok(())
            } else {
                Err(text(&waited.stderr))
            }
        });
    }

    /// Has it serve `WorkStatus` objects, as where KubeStellar's status add-on is installed.
    pub(crate) fn serve_work_statuses(&self) {
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let schema = json!({"type": "object", "properties": {"spec": any, "status": any}});
        self.apply(
            &json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "workstatuses.control.kubestellar.io"},
                "spec": {
                    "group": "control.kubestellar.io", "scope": "Namespaced",
                    "names": {"kind": "WorkStatus", "plural": "workstatuses", "singular": "workstatus"},
                    "versions": [{
                        "name": "v1alpha1", "served": true, "storage": true,
                        "schema": {"openAPIV3Schema": schema},
                    }],
                },
            })
            .to_string(),
        );
        wait_for("WorkStatus objects that are served", || {
            let asked = self.kubectl(&[
                "get",
                "workstatuses.control.kubestellar.io",
                "--all-namespaces",
            ]);
            if asked.status.success() {
                Ok(())
            } else {
                Err(text(&asked.stderr))
            }
        });
    }

    /// Makes sure that a namespace is there.
    pub(crate) fn namespace(&self, name: &str) {
        self.apply(
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
                .to_string(),
        );
    }

    /// An object, or `None` when it is not there. `namespace` is empty for an object that has none.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let namespace = format!("--namespace={namespace}");
        let answer = self.kubectl_ok(&[
            "get",
            kind,
            name,
            &namespace,
            "--output=json",
            "--ignore-not-found",
        ]);
        if answer.trim().is_empty() {
            None
        } else {
            Some(serde_json::from_str(&answer).unwrap())
        }
    }

    /// Does what a controller and a kubelet would: a Deployment's status says that it is rolled out as it is now.
    pub(crate) fn roll_out(&self, namespace: &str, deployment: &str) {
        let live = self
            .get("deployment", namespace, deployment)
            .expect("the Deployment is there");
        let replicas = &live["spec"]["replicas"];
        let condition = |kind, reason| json!({"type": kind, "status": "True", "reason": reason});
        let status = json!({"status": {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [
                condition("Available", "MinimumReplicasAvailable"),
                condition("Progressing", "NewReplicaSetAvailable"),
            ],
        }});
        let (namespace, patch) = (
            format!("--namespace={namespace}"),
            format!("--patch={status}"),
        );
        let arguments = ["--subresource=status", "--type=merge", &namespace, &patch];
        self.kubectl_ok(&[&["patch", "deployment", deployment], &arguments[..]].concat());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("kubectl"));
        command
            .arg(format!("--kubeconfig={}", self.kubeconfig().display()))
            .arg(format!(
                "--cache-dir={}",
                self.folder.join("kubectl-cache").display()
            ))
            .args(arguments)
            .current_dir(&self.folder);
        command
    }

    fn checked(&self, arguments: &[&str], output: &Output) -> String {
        assert!(
            output.status.success(),
            "kubectl {} on {}: {}{}",
            arguments.join(" "),
            self.name,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }
}

/// Starts etcd without a care for power cuts.
fn etcd_at(store: &str, folder: &Path, clients: &str, peers: &str) -> Server {
    let mut command = Command::new(program(store));
    command
        .args(["--name=only", "--unsafe-no-fsync", "--data-dir=data/etcd"])
        .arg(format!("--listen-client-urls={clients}"))
        .arg(format!("--advertise-client-urls={clients}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=only={peers}"));
    Server::start("etcd", folder, &command)
}

fn kube_apiserver(folder: &Path, port: u16, etcd_url: &str, flags: &[String]) -> Server {
    let mut command = Command::new(program("kube-apiserver"));
    command
        .arg(format!("--etcd-servers={etcd_url}"))
        .args(["--bind-address=127.0.0.1", "--cert-dir=certificates"])
        .arg(format!("--secure-port={port}"))
        .args(["--service-account-issuer=https://kubernetes.default.svc"])
        .args(["--service-account-key-file=service-accounts.key"])
        .args(["--service-account-signing-key-file=service-accounts.key"])
        .args(["--token-auth-file=tokens.csv", "--authorization-mode=RBAC"])
        // Nobody makes service accounts here, and Pods must not wait for them.
        .args(["--disable-admission-plugins=ServiceAccount"])
        .args([
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
        ])
        .args(flags);
    Server::start(KUBE_APISERVER, folder, &command)
}

fn kube_controller_manager(api: &ApiServer, controllers: &[&str]) -> Server {
    let mut command = Command::new(program("kube-controller-manager"));
    command
        .arg(format!("--kubeconfig={}", api.kubeconfig().display()))
        .arg(format!("--controllers={}", controllers.join(",")))
        .args(["--leader-elect=false", "--secure-port=0"]);
    Server::start("kube-controller-manager", &api.folder, &command)
}

fn make_signing_key(file: &Path) -> Result<(), Missing> {
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
        ])
        .arg(file);
    let why = match openssl.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => text(&output.stderr),
        Err(error) => format!("it needs openssl: {error}"),
    };
    Err(Missing {
        server: SERVER,
        why,
        built: false,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
