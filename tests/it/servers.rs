//! The generated branch meets those who follow it: Gitea holds it, Flux and Argo CD apply it through the manifests that users
//! are given in `flux/` and `argocd/`.

use std::{path::PathBuf, sync::Arc};

use serde_json::{Value, json};

use crate::support::{
    applied::{expect_applied, expect_gone},
    example, folder,
    git::{Repository, git},
    need,
    servers::{ApiServer, ArgoCd, Flux, Gitea, Missing, Shared, WorkAgent},
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
fn flux_applies_prunes_and_reports_one_wec_of_the_common_branch() {
    let site = need!(FluxSite::shared());
    let branch = need!(Generated::new("fluxone"));
    let namespace = branch.name;
    let first = branch.publish(
        "generated",
        &[
            wec("wec1", namespace, "blue"),
            wec("wec2", namespace, "blue"),
        ],
    );
    site.wec
        .apply(&example("flux/directories.yaml", &branch.in_examples()));

    expect_applied(&site.wec, &branch.of("wec1"));
    site.wec.roll_out(namespace, "web");
    site.expect_ready(namespace, &format!("generated@sha1:{first}"));
    let artifact = site.artifact(namespace);

    // Something of this WEC's changes, and something goes.
    let removed = folder("removed");
    write_files(&removed, &[("service.yaml", &service(namespace))]);
    let mut wec1 = wec("wec1", namespace, "green");
    wec1.retain(|(path, _)| !path.contains("service"));
    let second = branch.publish("generated", &[wec1.clone(), wec("wec2", namespace, "blue")]);
    site.flux.look_now("gitrepository", namespace);
    expect_applied(&site.wec, &branch.of("wec1"));
    expect_gone(&site.wec, &removed);
    site.expect_ready(namespace, &format!("generated@sha1:{second}"));
    assert_ne!(site.artifact(namespace), artifact);

    // Something of another WEC's changes: the same artifact, and the commit is reported all the same.
    let artifact = site.artifact(namespace);
    let third = branch.publish("generated", &[wec1, wec("wec2", namespace, "red")]);
    site.flux.look_now("gitrepository", namespace);
    site.expect_ready(namespace, &format!("generated@sha1:{third}"));
    assert_eq!(site.artifact(namespace), artifact);

    // The WEC is to have nothing: its folder is still there.
    let delivered = branch.copy_of("wec1");
    branch.publish("generated", &[nothing("wec1")]);
    site.flux.look_now("gitrepository", namespace);
    expect_gone(&site.wec, &delivered);
}

#[test]
fn flux_applies_a_branch_that_holds_one_wec() {
    let site = need!(FluxSite::shared());
    let branch = need!(Generated::new("fluxmany"));
    let namespace = branch.name;
    branch.publish("generated/wec2", &[wec("wec2", "elsewhere", "blue")]);
    let commit = branch.publish("generated/wec1", &[wec("wec1", namespace, "blue")]);
    site.wec
        .apply(&example("flux/branches.yaml", &branch.in_examples()));

    expect_applied(&site.wec, &branch.of("wec1"));
    site.wec.roll_out(namespace, "web");
    site.expect_ready(namespace, &format!("generated/wec1@sha1:{commit}"));
    assert_eq!(site.wec.get("namespace", "", "elsewhere"), None);
}

#[test]
fn flux_keeps_what_a_wec_has_when_its_folder_leaves_the_branch() {
    let site = need!(FluxSite::shared());
    let branch = need!(Generated::new("fluxgone"));
    let namespace = branch.name;
    branch.publish("generated", &[wec("wec1", namespace, "blue")]);
    site.wec
        .apply(&example("flux/directories.yaml", &branch.in_examples()));
    expect_applied(&site.wec, &branch.of("wec1"));

    let delivered = branch.copy_of("wec1");
    branch.publish("generated", &[wec("wec2", namespace, "blue")]);
    site.flux.look_now("gitrepository", namespace);
    let reason = wait_for("a complaint", || {
        let message = |kind| {
            let found = site
                .wec
                .get(kind, "flux-system", namespace)
                .unwrap_or_default();
            let ready = condition(&found["status"], "Ready").clone();
            format!("{kind} is ready: {} {}", ready["status"], ready["message"])
        };
        let messages = [message("gitrepository"), message("kustomization")];
        let complaint = messages
            .iter()
            .find(|message| message.contains("is ready: \"False\""));
        complaint.cloned().ok_or_else(|| messages.join("; "))
    });
    assert!(reason.contains("clusters/wec1"), "{reason}");
    expect_applied(&site.wec, &delivered);
}

#[test]
fn argocd_applies_and_prunes_one_wec_through_an_application() {
    let fleet = need!(ArgoFleet::shared());
    let branch = need!(Generated::new("argoone"));
    let namespace = branch.name;
    let first = branch.publish(
        "generated",
        &[
            wec("wec1", namespace, "blue"),
            wec("wec2", namespace, "blue"),
        ],
    );
    fleet.home.apply(&example(
        "argocd/project.yaml",
        &branch.in_examples_without_wec(),
    ));
    fleet
        .home
        .apply(&example("argocd/application.yaml", &branch.in_examples()));

    expect_applied(&fleet.wecs[0], &branch.of("wec1"));
    fleet.expect_synced("argoone-wec1", &first);
    assert_eq!(fleet.wecs[1].get("namespace", "", namespace), None);
    fleet.wecs[0].roll_out(namespace, "web");
    fleet.expect_healthy("argoone-wec1");

    let removed = folder("removed");
    write_files(&removed, &[("service.yaml", &service(namespace))]);
    let mut wec1 = wec("wec1", namespace, "green");
    wec1.retain(|(path, _)| !path.contains("service"));
    let second = branch.publish("generated", &[wec1, wec("wec2", namespace, "blue")]);
    fleet.argocd.look_now("argoone-wec1");
    expect_applied(&fleet.wecs[0], &branch.of("wec1"));
    expect_gone(&fleet.wecs[0], &removed);
    fleet.expect_synced("argoone-wec1", &second);

    // The WEC is to have nothing: its folder is still there.
    let delivered = branch.copy_of("wec1");
    branch.publish("generated", &[nothing("wec1")]);
    fleet.argocd.look_now("argoone-wec1");
    expect_gone(&fleet.wecs[0], &delivered);
}

#[test]
fn argocd_follows_every_folder_of_the_branch_through_an_applicationset() {
    let fleet = need!(ArgoFleet::shared());
    let branch = need!(Generated::new("argoset"));
    let namespace = branch.name;
    let first = branch.publish(
        "generated",
        &[
            wec("wec1", namespace, "blue"),
            wec("wec2", namespace, "red"),
        ],
    );
    fleet.home.apply(&example(
        "argocd/project.yaml",
        &branch.in_examples_without_wec(),
    ));
    fleet.home.apply(&example(
        "argocd/applicationset-directories.yaml",
        &branch.in_examples_without_wec(),
    ));

    for (wec, cluster) in ["wec1", "wec2"].iter().zip(&fleet.wecs) {
        expect_applied(cluster, &branch.of(wec));
        fleet.expect_synced(&format!("argoset-{wec}"), &first);
    }

    // A WEC that receives nothing any more: its folder goes, its Application goes, and what was delivered goes.
    let delivered = branch.copy_of("wec2");
    branch.publish("generated", &[wec("wec1", namespace, "blue")]);
    fleet.argocd.look_now_at_set("argoset");
    wait_for("the end of the Application", || {
        match fleet.home.get("application", "argocd", "argoset-wec2") {
            None => Ok(()),
            Some(application) => Err(application["metadata"].to_string()),
        }
    });
    expect_gone(&fleet.wecs[1], &delivered);
    expect_applied(&fleet.wecs[0], &branch.of("wec1"));
}

#[test]
fn argocd_gives_each_labelled_cluster_its_own_branch_through_an_applicationset() {
    let fleet = need!(ArgoFleet::shared());
    let branch = need!(Generated::new("argofleet"));
    let namespace = branch.name;
    branch.publish("generated/wec2", &[wec("wec2", namespace, "red")]);
    let delivered = branch.copy_of("wec2");
    branch.publish("generated/wec1", &[wec("wec1", namespace, "blue")]);
    fleet.home.apply(&example(
        "argocd/project.yaml",
        &branch.in_examples_without_wec(),
    ));
    fleet.home.apply(&example(
        "argocd/applicationset-clusters.yaml",
        &branch.in_examples_without_wec(),
    ));

    expect_applied(&fleet.wecs[0], &branch.of("wec1"));
    expect_applied(&fleet.wecs[1], &delivered);
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
fn start_wec(name: &str) -> Result<ApiServer, Missing> {
    let controllers = ["namespace-controller", "garbage-collector-controller"];
    ApiServer::start_with_controllers(name, &controllers)
}

/// A WEC that runs Flux; tests keep to namespaces of their own.
struct FluxSite {
    wec: Arc<ApiServer>,
    flux: Flux,
}

impl FluxSite {
    fn shared() -> Result<Arc<Self>, Missing> {
        static SHARED: Shared<FluxSite> = Shared::new();
        SHARED.get(|| {
            Flux::available()?;
            let wec = Arc::new(start_wec("wec1")?);
            let flux = Flux::start(&wec, None)?;
            Ok(Self { wec, flux })
        })
    }

    /// Waits until the Kustomization says that this revision is applied and its workloads are healthy.
    fn expect_ready(&self, name: &str, revision: &str) {
        wait_for(&format!("Kustomization {name} ready at {revision}"), || {
            let found = self
                .wec
                .get("kustomization", "flux-system", name)
                .ok_or("it is not there")?;
            let status = &found["status"];
            let ready = condition(status, "Ready");
            if ready["status"] == "True" && status["lastAppliedRevision"] == revision {
                Ok(())
            } else {
                Err(format!(
                    "{} at {}",
                    ready["message"], status["lastAppliedRevision"]
                ))
            }
        });
    }

    /// What the source-controller stores for the Kustomization, by content.
    fn artifact(&self, name: &str) -> Value {
        let found = self.wec.get("gitrepository", "flux-system", name).unwrap();
        found["status"]["artifact"]["digest"].clone()
    }
}

/// A cluster that runs Argo CD, and two WECs that are registered with it as `wec1` and `wec2`.
struct ArgoFleet {
    home: Arc<ApiServer>,
    argocd: ArgoCd,
    wecs: [ApiServer; 2],
}

impl ArgoFleet {
    fn shared() -> Result<Arc<Self>, Missing> {
        static SHARED: Shared<ArgoFleet> = Shared::new();
        SHARED.get(|| {
            ArgoCd::available()?;
            let home = Arc::new(ApiServer::start("argocd")?);
            let argocd = ArgoCd::start(&home)?;
            let wecs = [start_wec("wec1")?, start_wec("wec2")?];
            for wec in &wecs {
                // Only one test uses the label, under the name that it gives to the example.
                let label = [("stellate.kubestellar.io/pipeline", "argofleet")];
                argocd.register(wec.name(), wec, &label);
            }
            Ok(Self { home, argocd, wecs })
        })
    }

    fn expect_synced(&self, application: &str, commit: &str) {
        self.expect(application, "synced", |status| {
            status["sync"]["status"] == "Synced" && status["sync"]["revision"] == commit
        });
    }

    fn expect_healthy(&self, application: &str) {
        self.expect(application, "healthy", |status| {
            status["health"]["status"] == "Healthy"
        });
    }

    fn expect(&self, application: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
        wait_for(&format!("Application {application} {what}"), || {
            let found = self
                .home
                .get("application", "argocd", application)
                .ok_or("it is not there")?;
            let status = &found["status"];
            if is_so(status) {
                return Ok(());
            }
            let said = ["sync", "health", "conditions", "operationState"]
                .map(|key| status[key].to_string());
            Err(said.join(" ").chars().take(2000).collect())
        });
    }
}

/// A generated branch in a repository of its own on the shared forge, made by hand with the layout that Stellate gives it.
struct Generated {
    _gitea: Arc<Gitea>,
    /// Name of the repository and of the namespace; also stands for `shop` in the examples.
    name: &'static str,
    url: String,
    repository: Repository,
    in_example: String,
}

impl Generated {
    fn new(name: &'static str) -> Result<Self, Missing> {
        let gitea = Gitea::shared()?;
        let url = gitea.repository(name);
        let repository = Repository::new(name);
        repository.git(&["remote", "add", "origin", &gitea.with_credentials(&url)]);
        let in_example = format!("https://git.example.com/acme/{name}.git");
        Ok(Self {
            _gitea: gitea,
            name,
            url,
            repository,
            in_example,
        })
    }

    /// Commits the files of these WECs and pushes them; gives the generated commit.
    fn publish(&self, branch: &str, wecs: &[Vec<(String, String)>]) -> String {
        let mut files = vec![
            (
                "hydrator.metadata",
                "{\"drySha\":\"0123456789abcdef0123456789abcdef01234567\"}\n",
            ),
            (
                "stellate.lock",
                "apiVersion: example.com/v1\nkind: NotForTheCluster\nmetadata: {name: lock}\n",
            ),
        ];
        files.extend(
            wecs.iter()
                .flatten()
                .map(|(path, text)| (path.as_str(), text.as_str())),
        );
        let commit = self.repository.commit("generated", &files);
        self.repository.git(&[
            "push",
            "--quiet",
            "origin",
            &format!("HEAD:refs/heads/{branch}"),
        ]);
        commit
    }

    /// The manifests of a WEC as published last.
    fn of(&self, wec: &str) -> PathBuf {
        self.repository.path().join("clusters").join(wec)
    }

    /// The same in a folder that stays as it is when something else is published.
    fn copy_of(&self, wec: &str) -> PathBuf {
        let copy = folder("copy");
        git(
            &copy,
            &[
                "clone",
                "--quiet",
                self.repository.path().to_str().unwrap(),
                ".",
            ],
        );
        copy.join("clusters").join(wec)
    }

    /// What this test replaces in an example that names the pipeline, the repository and a WEC.
    fn in_examples(&self) -> Vec<(&str, &str)> {
        [self.in_examples_without_wec(), vec![("wec1", "wec1")]].concat()
    }

    /// The same for an example without a WEC.
    fn in_examples_without_wec(&self) -> Vec<(&str, &str)> {
        vec![("shop", self.name), (&self.in_example, &self.url)]
    }
}

/// The files of a WEC on the generated branch: a namespace with settings, a service and a workload.
fn wec(wec: &str, namespace: &str, colour: &str) -> Vec<(String, String)> {
    let file = |path: &str, text: String| (format!("clusters/{wec}/{path}"), text);
    let name = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n");
    vec![
        file(&format!("_cluster/namespace-{namespace}.yaml"), name),
        file(
            &format!("{namespace}/configmap-settings.yaml"),
            config_map(namespace, colour),
        ),
        file(&format!("{namespace}/service-web.yaml"), service(namespace)),
        file(
            &format!("{namespace}/deployment.apps-web.yaml"),
            deployment(namespace),
        ),
    ]
}

/// The folder of a WEC that is to have nothing: git keeps no folder without a file.
fn nothing(wec: &str) -> Vec<(String, String)> {
    vec![(format!("clusters/{wec}/.gitkeep"), String::new())]
}

fn config_map(namespace: &str, colour: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: {namespace}\ndata:\n  colour: {colour}\n  literal: ${{HOME}}\n"
    )
}

fn service(namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: {namespace}\nspec:\n  selector:\n    app: web\n  ports:\n  - port: 80\n"
    )
}

fn deployment(namespace: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: {namespace}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1
"
    )
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}
