//! Argo CD: application controller, repository server and `ApplicationSet` controller, living in one [`ApiServer`] and delivering
//! to others that are registered with it; at will its notifications controller. No user interface, no SSO.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use serde_json::json;

use super::{ApiServer, Missing, Server, base64, free_port, program, require, secret, until_ready};
use crate::support::{git::hermetic, http};

/// Running controllers. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct ArgoCd {
    processes: Vec<Server>,
    home: Arc<ApiServer>,
    folder: PathBuf,
    repository_server: String,
}

const SERVER: &str = "Argo CD";

impl ArgoCd {
    /// Says beforehand whether it can be had, for tests that would start other servers first.
    pub(crate) fn available() -> Result<(), Missing> {
        require(SERVER, &["argocd"])?;
        if Command::new("redis-server")
            .arg("--version")
            .output()
            .is_err()
        {
            let why = "it needs redis-server; for example: apt-get install redis-server".to_owned();
            return Err(Missing {
                server: SERVER,
                why,
                built: false,
            });
        }
        Ok(())
    }

    /// Argo CD in the namespace `argocd` of `home`, with its CRDs, looking at repositories every ten seconds.
    pub(crate) fn start(home: &Arc<ApiServer>) -> Result<Self, Missing> {
        Self::available()?;
        let folder = crate::support::folder(&format!("argocd-{}", home.name()));
        prepare(&folder, home);
        install(home);
        let redis = free_port();
        let repositories = free_port();
        let answering = [free_port(), free_port(), free_port()];
        let redis_address = format!("--redis=127.0.0.1:{redis}");
        let repository_server = format!("127.0.0.1:{repositories}");
        let part = |name: &str| component(&folder, name);

        let mut cache = Command::new("redis-server");
        cache.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &redis.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let mut repo_server = part("argocd-repo-server");
        repo_server
            .args([
                "--address=127.0.0.1",
                "--metrics-address=127.0.0.1",
                "--disable-tls",
                "--client-ca-path=",
            ])
            .arg(format!("--port={repositories}"))
            .arg(format!("--metrics-port={}", answering[0]))
            .arg(&redis_address);
        let mut applications = part("argocd-application-controller");
        applications
            .args([
                "--namespace=argocd",
                "--repo-server-plaintext",
                "--app-resync=10",
                // As argocd/README.md tells people to, so that objects are named.
                "--persist-resource-health",
                &redis_address,
            ])
            .arg(format!("--repo-server={repository_server}"))
            .arg(format!("--metrics-port={}", answering[1]));
        let mut application_sets = part("argocd-applicationset-controller");
        application_sets
            .args(["--namespace=argocd", "--repo-server-plaintext"])
            .arg(format!("--argocd-repo-server={repository_server}"))
            .arg(format!("--probe-addr=127.0.0.1:{}", free_port()))
            .arg(format!("--metrics-addr=127.0.0.1:{}", answering[2]))
            .arg(format!("--webhook-addr=127.0.0.1:{}", free_port()));

        let mut servers = vec![
            Server::start("redis", &folder, &cache),
            Server::start("repo-server", &folder, &repo_server),
            Server::start("application-controller", &folder, &applications),
            Server::start("applicationset-controller", &folder, &application_sets),
        ];
        until_ready(SERVER, &mut servers, || {
            answering
                .iter()
                .try_for_each(|port| http::ready(*port, "/metrics"))
        })?;
        Ok(Self {
            processes: servers,
            home: Arc::clone(home),
            folder,
            repository_server,
        })
    }

    /// Starts the notifications controller too. What it is to do stands in its ConfigMap and its Secret, which must be there.
    pub(crate) fn notify(&mut self) -> Result<(), Missing> {
        let metrics = free_port();
        let mut notifications = component(&self.folder, "argocd-notifications");
        notifications
            .args(["--namespace=argocd", "--argocd-repo-server-plaintext"])
            .arg(format!("--argocd-repo-server={}", self.repository_server))
            .arg(format!("--metrics-port={metrics}"));
        let server = Server::start("notifications-controller", &self.folder, &notifications);
        self.processes.push(server);
        until_ready(SERVER, &mut self.processes, || {
            http::ready(metrics, "/metrics")
        })
    }

    /// Registers a cluster to deliver to, as `argocd cluster add` does, under the name `wec` and with labels.
    pub(crate) fn register(&self, wec: &str, cluster: &ApiServer, labels: &[(&str, &str)]) {
        let mut all_labels = json!({"argocd.argoproj.io/secret-type": "cluster"});
        for (key, value) in labels {
            all_labels[*key] = json!(value);
        }
        let certificate = fs::read(cluster.certificate()).unwrap();
        let config = json!({"bearerToken": cluster.token(), "tlsClientConfig": {"caData": base64(&certificate)}});
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": format!("cluster-{wec}"), "namespace": "argocd", "labels": all_labels},
            "stringData": {"name": wec, "server": cluster.url(), "config": config.to_string()},
        });
        self.home.apply(&secret.to_string());
    }

    /// Makes Argo CD look at an Application at once instead of at its next interval, as a webhook would.
    pub(crate) fn look_now(&self, application: &str) {
        let refresh = "argocd.argoproj.io/refresh=normal";
        self.home.kubectl_ok(&[
            "annotate",
            "--overwrite",
            "--namespace=argocd",
            "application",
            application,
            refresh,
        ]);
    }

    /// The same for an `ApplicationSet`.
    pub(crate) fn look_now_at_set(&self, application_set: &str) {
        let refresh = "argocd.argoproj.io/application-set-refresh=true";
        self.home.kubectl_ok(&[
            "annotate",
            "--overwrite",
            "--namespace=argocd",
            "applicationset",
            application_set,
            refresh,
        ]);
    }
}

/// The folders and programs that its parts expect.
fn prepare(folder: &Path, home: &ApiServer) {
    for name in ["bin", "tmp", "gpg", "tls", "ssh"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    // The repository server calls it even where signatures are not checked.
    let verify = folder.join("bin/git-verify-wrapper.sh");
    fs::write(&verify, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&verify, fs::Permissions::from_mode(0o755)).unwrap();
    // One program, which is what it is called.
    for name in [
        "repo-server",
        "application-controller",
        "applicationset-controller",
        "notifications",
    ] {
        symlink(
            program("argocd"),
            folder.join("bin").join(format!("argocd-{name}")),
        )
        .unwrap();
    }
    // The namespace of the kubeconfig is where its parts look for their settings.
    fs::write(folder.join("kubeconfig"), home.kubeconfig_in("argocd")).unwrap();
}

fn component(folder: &Path, name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bin = [folder.join("bin"), super::built_servers().join("bin")];
    let path = std::env::join_paths(bin.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new(folder.join("bin").join(name));
    hermetic(&mut command)
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("PATH", path)
        .env("HOME", folder)
        .env("TMPDIR", folder.join("tmp"))
        .env("ARGOCD_GPG_ENABLED", "false")
        .env("ARGOCD_GNUPGHOME", folder.join("gpg"))
        .env("ARGOCD_TLS_DATA_PATH", folder.join("tls"))
        .env("ARGOCD_SSH_DATA_PATH", folder.join("ssh"))
        .env(
            "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER_PLAINTEXT",
            "true",
        )
        // Its own cluster is reached through a kubeconfig, and not from inside.
        .env("ARGOCD_FAKE_IN_CLUSTER", "true");
    command
}

/// What Argo CD's installation manifests put into its namespace, as far as these parts read it.
fn install(home: &ApiServer) {
    home.apply_crds("argocd");
    home.namespace("argocd");
    let labels = json!({"app.kubernetes.io/part-of": "argocd"});
    let metadata = |name: &str| json!({"name": name, "namespace": "argocd", "labels": labels});
    let objects = json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("argocd-cm"),
         "data": {"timeout.reconciliation": "10s", "timeout.reconciliation.jitter": "0s"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("argocd-rbac-cm")},
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("argocd-secret"),
         "stringData": {"server.secretkey": secret()}},
    ]);
    home.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string());
}
