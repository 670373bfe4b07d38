//! The whole story on real servers: a push to Gitea, its webhook, the generated branch, Flux on one WEC and Argo CD for another,
//! what they say of it, and the statuses on the commit that was pushed.
//!
//! Both tell the service themselves: Flux by notification-controller, Argo CD by its notifications controller, as `flux/notifications.yaml`
//! and `argocd/notifications.yaml` have it.

use std::sync::Arc;

use serde_json::json;

use crate::{
    servers::start_wec,
    servers_pipeline::{Pipeline, Site, Web},
    service_gitea::{expect_statuses, home, hook, shown},
    support::{
        applied::expect_applied,
        example, need,
        servers::{ApiServer, ArgoCd, Flux, FluxNotifier},
        service::{Home, SECRET},
        wait_for,
    },
};

#[test]
fn what_flux_and_argo_cd_say_of_a_push_comes_back_as_statuses_of_its_commit() {
    need!(Flux::available());
    need!(ArgoCd::available());
    let shop = need!(Pipeline::new("story"));
    let home = home(&shop, "    reports: required\n");
    shop.write(&Web::BLUE);
    let first = shop.commit("open the shop");
    let service = home.start();
    hook(&shop, &home);
    service.expect(&first, "published");

    let by_flux = Arc::new(need!(start_wec("fra1")));
    let notifier = need!(FluxNotifier::start(&by_flux));
    let flux = need!(Flux::start(&by_flux, Some(&notifier.url())));
    by_flux.apply(&flux_notifications(&shop, &home));
    let soon = [shop.in_examples(), vec![("timeout: 5m", "timeout: 10s")]].concat();
    by_flux.apply(&example("flux/directories.yaml", &soon));
    let argo_home = Arc::new(need!(ApiServer::start("argocd")));
    let mut argocd = need!(ArgoCd::start(&argo_home));
    argo_home.apply(&argocd_notifications(&home));
    need!(argocd.notify());
    let by_argo = need!(start_wec("fra2"));
    argocd.register("fra2", &by_argo, &[]);
    argo_home.apply(&example("argocd/project.yaml", &shop.in_project()));
    let fra2 = [
        vec![("stellate.stellate: shop", "stellate.stellate: THE-PIPELINE")],
        shop.in_examples_without_wec(),
        vec![("wec1", "fra2"), ("THE-PIPELINE", "shop")],
    ]
    .concat();
    argo_home.apply(&example("argocd/application.yaml", &fra2));
    let application = format!("{}-fra2", shop.name);

    // It works.
    for (cluster, wec) in [(&*by_flux, "fra1"), (&by_argo, "fra2")] {
        expect_applied(cluster, &shop.of(wec));
        cluster.roll_out(shop.name, "web");
    }
    until(&shop, &first, |statuses| {
        statuses
            == "stellate/shop success 2 WECs healthy\nstellate/shop/fra1 success healthy\nstellate/shop/fra2 success healthy"
    });

    // It does not: a Deployment that does not come up, by its name.
    shop.edit("web.yaml", "web:1", "web:broken");
    let broken = shop.commit("a broken image");
    service.expect(&broken, "published");
    flux.look_now("gitrepository", shop.name);
    argocd.look_now(&application);
    for (cluster, wec) in [(&*by_flux, "fra1"), (&by_argo, "fra2")] {
        expect_applied(cluster, &shop.of(wec));
        get_stuck(cluster, shop.name, "web");
    }
    until(&shop, &broken, |statuses| {
        let lines: Vec<&str> = statuses.lines().collect();
        lines.len() == 3
            && lines[0].starts_with("stellate/shop failure 2/2 failing: fra1, fra2 (")
            && lines.iter().all(|line| {
                line.contains(" failure ") && line.contains("Deployment.apps story/web")
            })
    });

    // It works again; the broken commit keeps what was said of it.
    shop.edit("web.yaml", "web:broken", "web:2");
    let mended = shop.commit("a better image");
    service.expect(&mended, "published");
    flux.look_now("gitrepository", shop.name);
    argocd.look_now(&application);
    for (cluster, wec) in [(&*by_flux, "fra1"), (&by_argo, "fra2")] {
        expect_applied(cluster, &shop.of(wec));
        cluster.roll_out(shop.name, "web");
    }
    until(&shop, &mended, |statuses| {
        statuses.starts_with("stellate/shop success 2 WECs healthy")
    });
    assert_eq!(shown(&shop, &broken)["stellate/shop"].0, "failure");

    // Two in a row: the first one is overtaken.
    let colour = |colour| {
        shop.write(&Web {
            fra1: Site::Coloured(colour),
            fra2: Site::Coloured(colour),
            ..Web::BLUE
        });
        shop.edit("web.yaml", "web:1", "web:2");
        let commit = shop.commit(colour);
        service.expect(&commit, "published");
        commit
    };
    let overtaken = colour("red");
    let last = colour("grey");
    flux.look_now("gitrepository", shop.name);
    argocd.look_now(&application);
    until(&shop, &last, |statuses| {
        statuses.starts_with("stellate/shop success 2 WECs healthy")
    });
    let by = format!("superseded by {}", &last[..10]);
    expect_statuses(
        &shop,
        &overtaken,
        &[
            ("stellate/shop", "success", &by),
            ("stellate/shop/fra1", "success", &by),
            ("stellate/shop/fra2", "success", &by),
        ],
    );
    assert!(service.stop().success());
}

/// Does what a controller would: the Deployment says that it does not come up as it is now.
fn get_stuck(cluster: &ApiServer, namespace: &str, deployment: &str) {
    let live = cluster.get("deployment", namespace, deployment).unwrap();
    let condition = json!({
        "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
        "message": format!("ReplicaSet \"{deployment}-1\" has timed out progressing."),
    });
    let status = json!({"status": {
        "observedGeneration": live["metadata"]["generation"], "conditions": [condition],
    }});
    let (namespace, patch) = (
        format!("--namespace={namespace}"),
        format!("--patch={status}"),
    );
    let arguments = ["--subresource=status", "--type=merge", &namespace, &patch];
    cluster.kubectl_ok(&[&["patch", "deployment", deployment], &arguments[..]].concat());
}

/// `flux/notifications.yaml` for a service and what its Kustomization is called here.
fn flux_notifications(shop: &Pipeline, home: &Home) -> String {
    let address = format!("http://127.0.0.1:{}/hooks/flux/THE-PIPELINE", home.port());
    example(
        "flux/notifications.yaml",
        &[
            ("https://stellate.example.com/hooks/flux/shop", &address),
            ("name: shop", &format!("name: {}", shop.name)),
            ("wec1", "fra1"),
            ("CHANGE-ME", SECRET),
            ("THE-PIPELINE", "shop"),
        ],
    )
}

/// `argocd/notifications.yaml` for a service.
fn argocd_notifications(home: &Home) -> String {
    let address = format!("http://127.0.0.1:{}", home.port());
    let in_place = |name: &str| format!("name: {name}\n  namespace: argocd\n");
    example(
        "argocd/notifications.yaml",
        &[
            ("https://stellate.example.com", &address),
            ("CHANGE-ME", SECRET),
            (
                "name: argocd-notifications-cm\n",
                &in_place("argocd-notifications-cm"),
            ),
            (
                "name: argocd-notifications-secret\n",
                &in_place("argocd-notifications-secret"),
            ),
        ],
    )
}

/// Waits until a commit's statuses are as wanted; they are given as lines of name, state and words.
fn until(shop: &Pipeline, commit: &str, is_so: impl Fn(&str) -> bool) {
    wait_for(&format!("the statuses of {commit}"), || {
        let lines: Vec<String> = shown(shop, commit)
            .into_iter()
            .map(|(context, (state, words))| format!("{context} {state} {words}"))
            .collect();
        let text = lines.join("\n");
        if is_so(&text) { Ok(()) } else { Err(text) }
    });
}
