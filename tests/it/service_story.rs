//! The whole story on real servers: a push to Gitea, its webhook, the generated branch, Flux on one WEC and Argo CD for another,
//! what they say of it, and the statuses on the commit that was pushed.
//!
//! Flux's notification-controller and Argo CD's notifications are not built. Flux's controllers send the events that it would
//! forward, and the test signs them as its `generic-hmac` provider does; of the Application the test posts what the template in
//! `argocd/notifications.yaml` takes from it, whenever that changes.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::{
    servers::start_wec,
    servers_pipeline::{Pipeline, Site, Web},
    service_gitea::{expect_statuses, home, hook, shown},
    support::{
        applied::expect_applied,
        example,
        forge::{Double, Reply},
        http, need,
        servers::{ApiServer, ArgoCd, Flux},
        service::{Home, SECRET, forward_flux},
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
    let events = relay(home.port());
    let flux = need!(Flux::start(&by_flux, Some(&events.url())));
    let soon = [shop.in_examples(), vec![("timeout: 5m", "timeout: 10s")]].concat();
    by_flux.apply(&example("flux/directories.yaml", &soon));
    let argo_home = Arc::new(need!(ApiServer::start("argocd")));
    let argocd = need!(ArgoCd::start(&argo_home));
    let by_argo = need!(start_wec("fra2"));
    argocd.register("fra2", &by_argo, &[]);
    argo_home.apply(&example("argocd/project.yaml", &shop.in_project()));
    let fra2 = [shop.in_examples_without_wec(), vec![("wec1", "fra2")]].concat();
    argo_home.apply(&example("argocd/application.yaml", &fra2));
    let reporter = Reporter {
        argo: &argo_home,
        home: &home,
        application: format!("{}-fra2", shop.name),
        last: Mutex::default(),
    };

    // It works.
    for (cluster, wec) in [(&*by_flux, "fra1"), (&by_argo, "fra2")] {
        expect_applied(cluster, &shop.of(wec));
        cluster.roll_out(shop.name, "web");
    }
    reporter.until(&shop, &first, |statuses| {
        statuses == "stellate/shop success 2 WECs healthy\nstellate/shop/fra1 success healthy\nstellate/shop/fra2 success healthy"
    });

    // It does not: a Deployment that does not come up, by its name.
    shop.edit("web.yaml", "web:1", "web:broken");
    let broken = shop.commit("a broken image");
    service.expect(&broken, "published");
    flux.look_now("gitrepository", shop.name);
    argocd.look_now(&reporter.application);
    for (cluster, wec) in [(&*by_flux, "fra1"), (&by_argo, "fra2")] {
        expect_applied(cluster, &shop.of(wec));
        get_stuck(cluster, shop.name, "web");
    }
    reporter.until(&shop, &broken, |statuses| {
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
    argocd.look_now(&reporter.application);
    for (cluster, wec) in [(&*by_flux, "fra1"), (&by_argo, "fra2")] {
        expect_applied(cluster, &shop.of(wec));
        cluster.roll_out(shop.name, "web");
    }
    reporter.until(&shop, &mended, |statuses| {
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
    argocd.look_now(&reporter.application);
    reporter.until(&shop, &last, |statuses| {
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

/// Takes the events of Flux's controllers and hands them on with a signature.
fn relay(port: u16) -> Double {
    Double::start(move |asked| {
        let answer = forward_flux(port, "shop/fra1", asked.body.to_string().as_bytes());
        let status = answer.map_or(503, |(status, _)| status);
        Reply::json(status, &Value::Null)
    })
}

/// Tells the service what an Application says of itself.
struct Reporter<'a> {
    argo: &'a ApiServer,
    home: &'a Home,
    application: String,
    last: Mutex<String>,
}

impl Reporter<'_> {
    /// Goes on telling until a commit's statuses are as wanted; they are given as lines of name, state and words.
    fn until(&self, shop: &Pipeline, commit: &str, is_so: impl Fn(&str) -> bool) {
        wait_for(&format!("the statuses of {commit}"), || {
            self.tell();
            let lines: Vec<String> = shown(shop, commit)
                .into_iter()
                .map(|(context, (state, words))| format!("{context} {state} {words}"))
                .collect();
            let text = lines.join("\n");
            if is_so(&text) { Ok(()) } else { Err(text) }
        });
    }

    fn tell(&self) {
        let found = self.argo.get("application", "argocd", &self.application);
        let Some(body) = found.as_ref().map(notification) else {
            return;
        };
        let body = body.to_string();
        let mut last = self.last.lock().unwrap();
        if *last == body {
            return;
        }
        let token = format!("Authorization: Bearer {SECRET}");
        let headers = ["Content-Type: application/json", &token];
        let path = "/hooks/argocd/shop";
        let answer = http::request(self.home.port(), "POST", path, &headers, &body).unwrap();
        assert!(answer.status < 300, "{} {}", answer.status, answer.body);
        *last = body;
    }
}

/// What our template takes from an Application.
fn notification(application: &Value) -> Value {
    let status = &application["status"];
    let operation = &status["operationState"];
    json!({
        "namespace": application["metadata"]["namespace"],
        "name": application["metadata"]["name"],
        "path": application["spec"]["source"]["path"],
        "revision": status["sync"]["revision"],
        "sync": status["sync"]["status"],
        "health": status["health"]["status"],
        "operation": {
            "phase": operation["phase"],
            "message": operation["message"],
            "revision": operation["syncResult"]["revision"],
        },
        "conditions": status["conditions"],
        "resources": status["resources"],
        "at": status["reconciledAt"],
    })
}
