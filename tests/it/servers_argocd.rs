//! Argo CD follows what `stellate render --push` puts into the forge, through the manifests in `argocd/`.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    servers::start_wec,
    servers_pipeline::{Pipeline, Site, Web},
    support::{
        applied::{expect_applied, expect_gone, versions},
        example, need,
        servers::{ApiServer, ArgoCd, Missing, Shared},
        wait_for,
    },
};

#[test]
fn argocd_brings_the_shop_to_a_wec_and_a_commit_touches_only_what_it_changes() {
    let fleet = need!(ArgoFleet::shared());
    let shop = need!(Pipeline::of_example("shopargo", "shop"));
    let (first, _) = shop.render();
    fleet
        .home
        .apply(&example("argocd/project.yaml", &shop.in_project()));
    fleet
        .home
        .apply(&example("argocd/application.yaml", &shop.in_examples()));
    let fra1 = shop.of("fra1");
    expect_applied(&fleet.wecs[0], &fra1);
    fleet.expect_synced("shopargo-fra1", &first);
    let before = versions(&fleet.wecs[0], &fra1);

    shop.edit("workloads/monitoring/agent.yaml", "15s", "10s");
    shop.commit("scrape more often");
    let (second, _) = shop.render();
    fleet.argocd.look_now("shopargo-fra1");
    expect_applied(&fleet.wecs[0], &shop.of("fra1"));
    fleet.expect_synced("shopargo-fra1", &second);
    let mut after = versions(&fleet.wecs[0], &fra1);
    let settings = "ConfigMap/monitoring/metrics-agent";
    assert_ne!(before[settings], after[settings]);
    after.insert(settings.to_owned(), before[settings].clone());
    assert_eq!(after, before, "nothing else was written to");
}

#[test]
fn argocd_applies_and_prunes_one_wec_through_an_application() {
    let fleet = need!(ArgoFleet::shared());
    let web = need!(Pipeline::new("argoone"));
    let first = web.publish(&Web::BLUE);
    fleet
        .home
        .apply(&example("argocd/project.yaml", &web.in_project()));
    fleet
        .home
        .apply(&example("argocd/application.yaml", &web.in_examples()));
    let delivered = web.of("fra1");
    expect_applied(&fleet.wecs[0], &delivered);
    fleet.expect_synced("argoone-fra1", &first);
    assert_eq!(fleet.wecs[1].get("namespace", "", web.name), None);
    fleet.wecs[0].roll_out(web.name, "web");
    fleet.expect_healthy("argoone-fra1");

    let second = web.publish(&Web {
        fra1: Site::Coloured("green"),
        service: false,
        ..Web::BLUE
    });
    fleet.argocd.look_now("argoone-fra1");
    expect_applied(&fleet.wecs[0], &web.of("fra1"));
    expect_gone(
        &fleet.wecs[0],
        &delivered.join(web.name).join("service-web.yaml"),
    );
    fleet.expect_synced("argoone-fra1", &second);

    // The WEC is to have nothing: its folder is still there.
    web.publish(&Web {
        fra1: Site::Idle,
        ..Web::BLUE
    });
    fleet.argocd.look_now("argoone-fra1");
    expect_gone(&fleet.wecs[0], &delivered);
}

#[test]
fn argocd_follows_every_folder_of_the_branch_through_an_applicationset() {
    let fleet = need!(ArgoFleet::shared());
    let web = need!(Pipeline::new("argoset"));
    let first = web.publish(&Web {
        fra2: Site::Coloured("red"),
        ..Web::BLUE
    });
    fleet
        .home
        .apply(&example("argocd/project.yaml", &web.in_project()));
    let set = "argocd/applicationset-directories.yaml";
    fleet
        .home
        .apply(&example(set, &web.in_examples_without_wec()));
    let delivered = web.of("fra2");
    for (wec, cluster) in ["fra1", "fra2"].iter().zip(&fleet.wecs) {
        expect_applied(cluster, &web.of(wec));
        fleet.expect_synced(&format!("argoset-{wec}"), &first);
    }

    // A WEC leaves the inventory: its folder goes, its Application goes, and what was delivered goes.
    web.publish(&Web {
        fra2: Site::Gone,
        ..Web::BLUE
    });
    fleet.argocd.look_now_at_set("argoset");
    wait_for("the end of the Application", || {
        match fleet.home.get("application", "argocd", "argoset-fra2") {
            None => Ok(()),
            Some(application) => Err(application["metadata"].to_string()),
        }
    });
    expect_gone(&fleet.wecs[1], &delivered);
    expect_applied(&fleet.wecs[0], &web.of("fra1"));
}

#[test]
fn argocd_gives_each_labelled_cluster_its_own_branch_through_an_applicationset() {
    let fleet = need!(ArgoFleet::shared());
    let web = need!(Pipeline::new("argofleet"));
    web.write(&Web {
        fra2: Site::Coloured("red"),
        ..Web::BLUE
    });
    web.commit("web");
    web.render_with(&["--layout", "branches"]);
    fleet
        .home
        .apply(&example("argocd/project.yaml", &web.in_project()));
    let set = "argocd/applicationset-clusters.yaml";
    fleet
        .home
        .apply(&example(set, &web.in_examples_without_wec()));

    for (wec, cluster) in ["fra1", "fra2"].iter().zip(&fleet.wecs) {
        let branch = web.checkout(&format!("generated/{wec}"));
        expect_applied(cluster, &branch.join("clusters").join(wec));
    }
}

/// A cluster that runs Argo CD, and two WECs that are registered with it as `fra1` and `fra2`.
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
            let wecs = [start_wec("fra1")?, start_wec("fra2")?];
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
