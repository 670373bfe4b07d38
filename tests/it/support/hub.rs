//! A hub, and the processes that serve it: `stellate run --hub` with nothing else to go by.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use stellate::model::api;

use super::{
    folder,
    git::hermetic,
    http,
    servers::{ApiServer, Missing, free_port},
    wait_for,
};

/// Where the leases are.
pub(crate) const NAMESPACE: &str = "stellate";

/// The kubeconfig of a replica, as a path in a Pipeline: each replica has its own.
pub(crate) const OWN: &str = "kubeconfig";

/// An API server that knows Stellate's own kinds.
pub(crate) fn hub(name: &str) -> Result<ApiServer, Missing> {
    ApiServer::start(name).map(made_hub)
}

/// The same of one that runs.
pub(crate) fn made_hub(hub: ApiServer) -> ApiServer {
    for definition in api::crds() {
        hub.apply(&serde_json::to_string(&definition).unwrap());
    }
    hub.kubectl_ok(&[
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd/pipelines.gitops.kubestellar.io",
        "crd/transforms.gitops.kubestellar.io",
    ]);
    hub
}

/// The text of a kubeconfig of an administrator of this name.
pub(crate) fn named(name: &str, hub: &ApiServer) -> String {
    hub.kubeconfig_of(&json!({"token": hub.token(), "as": name, "as-groups": ["system:masters"]}))
}

/// A Pipeline.
pub(crate) fn pipeline(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// A process of the service.
pub(crate) struct Replica {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Replica {
    /// Starts one with this text as its kubeconfig, and waits until it answers.
    pub(crate) fn start(name: &str, kubeconfig: &str) -> Self {
        let home = folder(name);
        fs::write(home.join(OWN), kubeconfig).unwrap();
        let log = home.join("log");
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_stellate"));
        let child = hermetic(&mut command)
            .current_dir(&home)
            .env("HOME", &home)
            .env("HOSTNAME", name)
            .env("STELLATE_CACHE_DIR", home.join("cache"))
            .args(["run", "--insecure", "--log=info", "--hub"])
            .arg(format!("--hub-kubeconfig={OWN}"))
            .arg(format!("--listen=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let replica = Self { child, port, log };
        wait_for("the replica", || {
            http::ready(replica.port, "/healthz")
                .map_err(|error| format!("{error}\n{}", replica.log()))
        });
        replica
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What the API says of a pipeline; none where it is not known.
    pub(crate) fn pipeline(&self, name: &str) -> Option<Value> {
        let path = format!("/api/v1/pipelines/{name}");
        let answer = http::request(self.port, "GET", &path, &[], "").unwrap();
        (answer.status == 200).then(|| serde_json::from_str(&answer.body).unwrap())
    }

    /// Waits until what the API says of a pipeline is as wanted, and gives it.
    pub(crate) fn expect(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("{name}: {what}"), || match self.pipeline(name) {
            Some(known) if wanted(&known) => Ok(known),
            other => Err(format!("{other:?}\n{}", self.log())),
        })
    }

    /// Waits until it has delivered a commit.
    pub(crate) fn expect_delivered(&self, name: &str, commit: &str) {
        self.expect(name, "the delivery", |known| {
            let phase = &known["latest"]["phase"];
            known["latest"]["id"] == commit && (phase == "delivered" || phase == "published")
        });
    }

    /// Waits until it leaves a pipeline to this replica.
    pub(crate) fn expect_standby(&self, name: &str, holder: &str) {
        let known = self.expect(name, "standby", |known| {
            let by = known["activity"]["holder"].as_str().unwrap_or_default();
            known["activity"]["state"] == "standby" && by.starts_with(holder)
        });
        assert_eq!(known["problem"], Value::Null);
        self.expect_ready();
        let (status, said) = self.ask_for_a_run(name);
        assert!(status == 409 && said.contains(holder), "{said}");
    }

    /// It is of use to whoever asks it.
    pub(crate) fn expect_ready(&self) {
        let answer = http::request(self.port, "GET", "/readyz", &[], "").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Asks for a look at the source; gives the status code and what was said.
    pub(crate) fn ask_for_a_run(&self, name: &str) -> (u16, String) {
        let path = format!("/api/v1/pipelines/{name}/sync");
        let answer = http::request(self.port, "POST", &path, &[], "").unwrap();
        (answer.status, answer.body)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success(), "kill -s {name}");
    }

    /// Kills it without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it did.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
