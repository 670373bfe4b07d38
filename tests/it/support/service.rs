//! `stellate run` as users run it: a process of its own, with its configuration, its cache and its log in one folder.
//!
//! [`Home`] is what stays when the process ends; [`Service`] is the process. Dropping a service kills it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{git::hermetic, http, servers::free_port, wait_for};

/// The secret of webhooks in all of these tests.
pub(crate) const SECRET: &str = "the-secret-of-the-hooks";

/// Configuration, cache and log of a service, and the port that it listens on each time.
pub(crate) struct Home {
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
}

impl Home {
    /// An empty home.
    pub(crate) fn new(name: &str) -> Self {
        let folder = super::folder(name);
        fs::write(folder.join("secret"), SECRET).unwrap();
        Self {
            folder,
            port: free_port(),
            arguments: Vec::new(),
        }
    }

    /// Adds arguments to `stellate run`.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        let more = arguments.iter().map(|argument| (*argument).to_owned());
        self.arguments.extend(more);
        self
    }

    /// Writes `stellate.yaml`: one pipeline, `shop`, with this as the members of its `spec`.
    pub(crate) fn configure(&self, spec: &str) {
        let head = "apiVersion: gitops.kubestellar.io/v1alpha1\nkind: Pipeline\nmetadata: {name: shop}\nspec:\n";
        self.write("stellate.yaml", &format!("{head}{spec}"));
    }

    /// Writes a file, whole or not at all.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.folder.join(format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.folder.join(name)).unwrap();
    }

    /// Where a file of it is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The port that the service listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the service and waits until it answers.
    pub(crate) fn start(&self) -> Service {
        let mut service = self.spawn();
        wait_for("the service answers", || {
            if let Some(status) = service.child.try_wait().unwrap() {
                panic!("the service ended with {status}: {}", service.log());
            }
            http::ready(self.port, "/healthz")
        });
        service
    }

    /// Starts the service, and does not wait.
    pub(crate) fn spawn(&self) -> Service {
        let log = self.path("log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log);
        let mut command = Command::new(env!("CARGO_BIN_EXE_stellate"));
        let child = hermetic(&mut command)
            .env("HOME", &self.folder)
            .env("STELLATE_CACHE_DIR", self.path("cache"))
            .env_remove("STELLATE_URL")
            .env_remove("STELLATE_LISTEN")
            .arg("run")
            .arg("--config")
            .arg(self.path("stellate.yaml"))
            .arg("--webhook-secret-file")
            .arg(self.path("secret"))
            .arg(format!("--listen=127.0.0.1:{}", self.port))
            .args(["--log-format=json", "--log=info,stellate=debug"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file.unwrap())
            .spawn()
            .unwrap();
        Service {
            child,
            port: self.port,
            log,
        }
    }
}

/// A running `stellate run`.
pub(crate) struct Service {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Service {
    /// Asks the API (`path` after `/api/v1`).
    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        let answer = http::request(self.port, "GET", &format!("/api/v1{path}"), &[], "")?;
        match answer.status {
            200 => serde_json::from_str(&answer.body).map_err(|error| error.to_string()),
            status => Err(format!("{path} answers {status}: {}", answer.body)),
        }
    }

    /// Where a commit of `shop` stands: its phase, or why that is not known.
    pub(crate) fn phase(&self, commit: &str) -> Result<String, String> {
        let found = self.get(&format!("/pipelines/shop/commits/{commit}"))?;
        let phase = found["phase"].as_str().map(str::to_owned);
        phase.ok_or_else(|| found.to_string())
    }

    /// Waits until a commit of `shop` stands there.
    pub(crate) fn expect(&self, commit: &str, phase: &str) {
        wait_for(&format!("{commit} is {phase}"), || {
            let found = self.phase(commit)?;
            if found == phase { Ok(()) } else { Err(found) }
        });
    }

    /// Waits until something is wrong with `shop`, for this reason; gives the sentence with its way out.
    pub(crate) fn expect_problem(&self, reason: &str) -> String {
        wait_for(&format!("the problem {reason}"), || {
            let shop = self.get("/pipelines/shop")?;
            let problem = &shop["problem"];
            if problem["reason"] == reason {
                return Ok(format!("{} {}", problem["message"], problem["help"]));
            }
            Err(shop.to_string())
        })
    }

    /// Waits until nothing is wrong with `shop`.
    pub(crate) fn expect_well(&self) {
        wait_for("an end of the problem", || {
            let shop = self.get("/pipelines/shop")?;
            match &shop["problem"] {
                Value::Null => Ok(()),
                problem => Err(problem.to_string()),
            }
        });
    }

    /// Asks for a look at the source, as the page's button does.
    pub(crate) fn sync(&self) {
        let answer = http::request(self.port, "POST", "/api/v1/pipelines/shop/sync", &[], "");
        let answer = answer.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
    }

    /// Sends a webhook, signed as Gitea does; gives the status code and what was said.
    pub(crate) fn hook(&self, event: &str, delivery: &str, body: &Value) -> (u16, String) {
        let body = body.to_string();
        let headers = [
            "Content-Type: application/json".to_owned(),
            format!("X-Gitea-Event: {event}"),
            format!("X-Gitea-Delivery: {delivery}"),
            format!("X-Gitea-Signature: {}", signature(body.as_bytes())),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = http::request(self.port, "POST", "/hooks/git", &headers, &body).unwrap();
        (answer.status, answer.body)
    }

    /// A number of the metrics: the sum of all lines that begin with this.
    pub(crate) fn metric(&self, start: &str) -> f64 {
        let answer = http::request(self.port, "GET", "/metrics", &[], "").unwrap();
        let lines = answer.body.lines().filter(|line| line.starts_with(start));
        let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        numbers.sum()
    }

    /// All that it, and those before it in the same home, have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success(), "kill -s {name}");
    }

    /// Tells it to stop, and waits until it has; gives how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        wait_for("the end of the service", || {
            self.child.try_wait().unwrap().ok_or_else(|| self.log())
        })
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Says to a service that Flux on a WEC has brought a generated commit to life, as notification-controller does.
pub(crate) fn report_flux(port: u16, wec: &str, generated: &str) {
    let body = flux_event(wec, generated);
    let (status, said) = forward_flux(port, "shop", body.as_bytes()).unwrap();
    assert_eq!(status, 202, "{said}");
}

/// What Flux says when a generated commit came to life.
pub(crate) fn flux_event(wec: &str, generated: &str) -> String {
    let body = json!({
        "involvedObject": {
            "kind": "Kustomization", "namespace": "flux-system", "name": "shop",
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        },
        "severity": "info", "reason": "ReconciliationSucceeded",
        "message": "Reconciliation finished in 1s, next run in 10m0s",
        "timestamp": jiff::Timestamp::now().to_string(),
        "metadata": {"revision": format!("generated@sha1:{generated}"), "cluster": wec},
    });
    body.to_string()
}

/// Sends an event of Flux, signed as notification-controller's `generic-hmac` provider does; gives what is answered.
pub(crate) fn forward_flux(port: u16, path: &str, body: &[u8]) -> Result<(u16, String), String> {
    let signature = format!("X-Signature: sha256={}", signature(body));
    let headers = ["Content-Type: application/json", &signature];
    let body = String::from_utf8_lossy(body);
    let path = format!("/hooks/flux/{path}");
    let answer = http::request(port, "POST", &path, &headers, &body)?;
    Ok((answer.status, answer.body))
}

/// HMAC-SHA256 of a body under [`SECRET`], in hexadecimal.
pub(crate) fn signature(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body);
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// A shop for some WECs, `wec-1` …, without anything that needs a cluster: a policy, an inventory, and one greeting.
pub(crate) fn shop(wecs: usize, greeting: &str) -> Vec<(String, String)> {
    let policy = "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: everywhere}
spec:
  clusterSelectors: [{}]
  downsync: [{objectSelectors: [{matchLabels: {app: shop}}]}]
";
    let inventory: Vec<String> = (1..=wecs)
        .map(|number| {
            format!(
                "apiVersion: cluster.open-cluster-management.io/v1
kind: ManagedCluster
metadata: {{name: wec-{number}}}
spec: {{hubAcceptsClient: true}}
"
            )
        })
        .collect();
    vec![
        ("policy.yaml".to_owned(), policy.to_owned()),
        ("inventory.yaml".to_owned(), inventory.join("---\n")),
        (
            "greeting.yaml".to_owned(),
            format!(
                "apiVersion: v1
kind: ConfigMap
metadata: {{name: greeting, namespace: shop, labels: {{app: shop}}}}
data: {{greeting: {greeting:?}}}
"
            ),
        ),
    ]
}

/// Commits [`shop`] in a repository; gives the commit.
pub(crate) fn commit_shop(
    repository: &super::git::Repository,
    wecs: usize,
    greeting: &str,
) -> String {
    let files = shop(wecs, greeting);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    super::write_files(repository.path(), &files);
    repository.commit_all(&format!("Greet with {greeting}"))
}

/// What a branch, or a folder of one, of a repository of this machine holds, a line for each file: its blob and its path.
pub(crate) fn tree(repository: &Path, folder: &str) -> String {
    super::git::git(repository, &["ls-tree", "-r", folder])
}

/// Waits for as long as something wrong would need to show.
pub(crate) fn a_while() {
    std::thread::sleep(Duration::from_secs(2));
}
