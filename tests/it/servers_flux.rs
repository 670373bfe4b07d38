//! Flux on a WEC follows what `stellate render --push` puts into the forge, through the manifests in `flux/`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::{Value, json};

use crate::{
    servers::{condition, start_wec},
    servers_pipeline::{GENERATED, Pipeline, Site, Web},
    support::{
        applied::{expect_applied, expect_gone, versions},
        example,
        git::git,
        need,
        servers::{ApiServer, Flux, Missing, Shared},
        wait_for,
    },
};

#[test]
fn flux_brings_the_shop_to_a_wec_and_a_commit_touches_only_what_it_changes() {
    let site = need!(FluxSite::shared());
    let shop = need!(Pipeline::of_example("shopflux", "shop"));
    let (first, _) = shop.render();
    site.wec
        .apply(&example("flux/directories.yaml", &shop.in_examples()));
    let fra1 = shop.of("fra1");
    expect_applied(&site.wec, &fra1);
    settle(&site.wec, &fra1);
    site.expect_ready(shop.name, &format!("generated@sha1:{first}"));
    let before = versions(&site.wec, &fra1);

    // One object changes, on the nine WECs that read that line of it.
    shop.edit("workloads/monitoring/agent.yaml", "15s", "10s");
    shop.commit("scrape more often");
    let (second, new) = shop.render();
    assert!(new);
    let touched = touched(&shop.checkout(GENERATED));
    let manifests = touched.iter().filter(|path| path.starts_with("clusters/"));
    let manifests: Vec<_> = manifests.collect();
    assert_eq!(manifests.len(), 9, "{touched:?}");
    for path in manifests {
        assert!(
            path.ends_with("/monitoring/configmap-metrics-agent.yaml"),
            "{path}"
        );
    }
    site.flux.look_now("gitrepository", shop.name);
    site.expect_ready(shop.name, &format!("generated@sha1:{second}"));
    expect_applied(&site.wec, &shop.of("fra1"));
    let after = versions(&site.wec, &fra1);
    assert_eq!(
        differing(&before, &after),
        ["ConfigMap/monitoring/metrics-agent"]
    );

    // Nothing changes that a WEC gets: the branch stays, and its note names the newer source commit.
    shop.edit(
        "README.md",
        "# A shop on a dozen WECs",
        "# A web shop on a dozen WECs",
    );
    let source = shop.commit("words");
    let artifact = site.artifact(shop.name);
    assert_eq!(shop.render(), (second.clone(), false));
    assert_eq!(shop.noted(&second), source);
    site.flux.look_now("gitrepository", shop.name);
    assert_eq!(site.artifact(shop.name), artifact);
    assert_eq!(versions(&site.wec, &fra1), after);

    // A policy selects two objects no more: they go, and nothing else is touched.
    let clause = "    - apiGroup: policy\n      resources: [poddisruptionbudgets]\n      namespaces: [shop]\n";
    shop.edit("policies/storefront.yaml", clause, "");
    shop.commit("no budgets");
    let (third, _) = shop.render();
    site.flux.look_now("gitrepository", shop.name);
    for name in ["storefront", "search"] {
        expect_gone(
            &site.wec,
            &fra1.join(format!("shop/poddisruptionbudget.policy-{name}.yaml")),
        );
    }
    site.expect_ready(shop.name, &format!("generated@sha1:{third}"));
    let left = versions(&site.wec, &fra1);
    let budgets = [
        "PodDisruptionBudget/shop/search",
        "PodDisruptionBudget/shop/storefront",
    ];
    assert_eq!(differing(&after, &left), budgets);
}

#[test]
fn flux_applies_prunes_and_reports_one_wec_of_the_common_branch() {
    let site = need!(FluxSite::shared());
    let web = need!(Pipeline::new("fluxone"));
    let first = web.publish(&Web::BLUE);
    site.wec
        .apply(&example("flux/directories.yaml", &web.in_examples()));
    let delivered = web.of("fra1");
    expect_applied(&site.wec, &delivered);
    site.wec.roll_out(web.name, "web");
    site.expect_ready(web.name, &format!("generated@sha1:{first}"));
    let artifact = site.artifact(web.name);

    // Something of this WEC's changes, and something goes.
    let green = Web {
        fra1: Site::Coloured("green"),
        service: false,
        ..Web::BLUE
    };
    let second = web.publish(&green);
    site.flux.look_now("gitrepository", web.name);
    expect_applied(&site.wec, &web.of("fra1"));
    expect_gone(
        &site.wec,
        &delivered.join(web.name).join("service-web.yaml"),
    );
    site.expect_ready(web.name, &format!("generated@sha1:{second}"));
    assert_ne!(site.artifact(web.name)["digest"], artifact["digest"]);

    // Something of another WEC's changes: the same artifact, and the commit is reported all the same.
    let artifact = site.artifact(web.name);
    let third = web.publish(&Web {
        fra2: Site::Coloured("red"),
        ..green
    });
    site.flux.look_now("gitrepository", web.name);
    site.expect_ready(web.name, &format!("generated@sha1:{third}"));
    assert_eq!(site.artifact(web.name)["digest"], artifact["digest"]);

    // No policy selects the WEC any more. That is held until somebody says that it is meant; then all goes, and its folder stays.
    let idle = Web {
        fra1: Site::Idle,
        fra2: Site::Coloured("red"),
        service: false,
    };
    web.write(&idle);
    web.commit("nothing for fra1");
    let run = web.run(&[]);
    assert_eq!(
        (run.code, &run.report()["outcome"]),
        (3, &json!("held")),
        "{}",
        run.err
    );
    assert_eq!(web.reference("refs/heads/generated"), third);
    web.publish(&idle);
    assert!(web.of("fra1").join(".keep").exists());
    site.flux.look_now("gitrepository", web.name);
    expect_gone(&site.wec, &delivered);
}

#[test]
fn flux_applies_a_branch_that_holds_one_wec() {
    let site = need!(FluxSite::shared());
    let web = need!(Pipeline::new("fluxmany"));
    let branches = ["--layout", "branches"];
    web.write(&Web {
        fra2: Site::Coloured("red"),
        ..Web::BLUE
    });
    web.commit("web");
    web.render_with(&branches);
    let commit = web.reference("refs/heads/generated/fra1");
    site.wec
        .apply(&example("flux/branches.yaml", &web.in_examples()));

    let manifests = web.checkout("generated/fra1").join("clusters");
    expect_applied(&site.wec, &manifests.join("fra1"));
    assert!(!manifests.join("fra2").exists());
    site.wec.roll_out(web.name, "web");
    site.expect_ready(web.name, &format!("generated/fra1@sha1:{commit}"));

    // What concerns another WEC moves that WEC's branch alone.
    let other = web.reference("refs/heads/generated/fra2");
    web.write(&Web {
        fra2: Site::Coloured("green"),
        ..Web::BLUE
    });
    web.commit("green");
    web.render_with(&branches);
    assert_eq!(web.reference("refs/heads/generated/fra1"), commit);
    assert_ne!(web.reference("refs/heads/generated/fra2"), other);
}

#[test]
fn flux_keeps_what_a_wec_has_when_its_folder_leaves_the_branch() {
    let site = need!(FluxSite::shared());
    let web = need!(Pipeline::new("fluxgone"));
    web.publish(&Web::BLUE);
    site.wec
        .apply(&example("flux/directories.yaml", &web.in_examples()));
    let delivered = web.of("fra1");
    expect_applied(&site.wec, &delivered);

    web.publish(&Web {
        fra1: Site::Gone,
        ..Web::BLUE
    });
    assert!(!web.of("fra1").exists());
    site.flux.look_now("gitrepository", web.name);
    let reason = wait_for("a complaint", || {
        let message = |kind| {
            let found = site
                .wec
                .get(kind, "flux-system", web.name)
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
    assert!(reason.contains("clusters/fra1"), "{reason}");
    expect_applied(&site.wec, &delivered);
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
            let wec = Arc::new(start_wec("fra1")?);
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

    /// What the source-controller stores for the Kustomization.
    fn artifact(&self, name: &str) -> Value {
        let found = self.wec.get("gitrepository", "flux-system", name).unwrap();
        found["status"]["artifact"].clone()
    }
}

/// Does what controllers and kubelets would: every workload below `folder` says that it is rolled out as it is now.
fn settle(wec: &ApiServer, folder: &Path) {
    for name in versions(wec, folder).keys() {
        let [kind, namespace, name] = name.split('/').collect::<Vec<_>>()[..] else {
            continue;
        };
        let live = wec.get(kind, namespace, name).unwrap();
        let (generation, replicas) = (&live["metadata"]["generation"], &live["spec"]["replicas"]);
        let status = match kind {
            "Deployment" => {
                wec.roll_out(namespace, name);
                continue;
            }
            "StatefulSet" => json!({
                "observedGeneration": generation, "replicas": replicas, "readyReplicas": replicas,
                "currentReplicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
                "currentRevision": "1", "updateRevision": "1",
            }),
            "DaemonSet" => json!({"observedGeneration": generation}),
            "Job" => {
                let time = "2025-01-01T00:00:00Z";
                let condition =
                    |kind| json!({"type": kind, "status": "True", "lastTransitionTime": time});
                json!({
                    "startTime": time, "completionTime": time, "succeeded": 1, "ready": 0,
                    "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
                })
            }
            _ => continue,
        };
        let patch = format!("--patch={}", json!({"status": status}));
        let namespace = format!("--namespace={namespace}");
        let arguments = ["--subresource=status", "--type=merge", &namespace, &patch];
        wec.kubectl_ok(&[&["patch", kind, name], &arguments[..]].concat());
    }
}

/// The paths that the last commit of a clone touches.
fn touched(clone: &Path) -> Vec<String> {
    let paths = git(clone, &["diff", "--name-only", "HEAD^", "HEAD"]);
    paths.lines().map(str::to_owned).collect()
}

/// The names whose versions are not the same, or which one side lacks.
fn differing(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}
