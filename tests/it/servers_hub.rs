//! What a hub holds besides its WECs, against a real API server: Pipelines and what is said of them, leases, and rights.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stellate::{
    api_server::{Connection, connect},
    inventory::its,
    model::{
        Diagnostic,
        api::{self, pipeline::PipelineStatus},
    },
    reconcile::{
        hub::{self, Hosted, Reporter},
        lease::{self, Terms, unique_identity},
        rights::{Account, Part, roles},
    },
    status::board::{PipelineBoard, Problem},
};
use tokio::{runtime::Runtime, time::timeout};

use crate::support::{
    folder,
    hub::{hub, pipeline},
    mailboxes::connection,
    need,
    servers::ApiServer,
};

const PATIENCE: Duration = Duration::from_secs(120);

/// What the server says to an object; `Err` with its words when it refuses.
fn judged(api: &ApiServer, object: &Value) -> Result<(), String> {
    let file = folder("judged").join("object.json");
    fs::write(&file, object.to_string()).unwrap();
    let file = format!("--filename={}", file.display());
    let output = api.kubectl(&["create", "--dry-run=server", "--validate=strict", &file]);
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn an_api_server_takes_the_pipelines_that_we_take_and_refuses_those_that_we_refuse() {
    let hub = need!(hub("schema"));
    let folder = json!({"folder": {"path": "."}});
    let git = |rest: &Value| {
        let mut git = json!({"url": "https://example.com/shop"});
        git.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json!({"source": {"git": git}})
    };
    let waves = |waves: &Value| json!({"source": git(&json!({}))["source"], "waves": waves});
    let good = [
        json!({"source": folder}),
        git(
            &json!({"ref": "main", "paths": ["."], "interval": "1m30s", "credentials": {"token": {"env": "T"}}}),
        ),
        json!({
            "source": {"wds": {"context": "wds1", "apiGroups": ["apps"]}},
            "inventory": {"its": {"kubeconfig": "/etc/its", "context": "its1"}},
            "outputs": [{"mailbox": {"maxBytes": "460Ki"}}, {"branch": {"name": "generated", "layout": "branches"}}],
            "guard": {"maxRemovedClusters": 3, "maxRemovedObjects": "10%", "allowedSecrets": ["shop/tls-*"]},
            "kinds": [{"group": "example.com", "kind": "Sprocket", "plural": "sprockets", "scope": "Namespaced"}],
            "hydrate": [{"helm": {"path": "charts/web"}}],
            "strict": true,
        }),
        json!({"source": git(&json!({}))["source"], "waves": [
            {"name": "canary", "clusterSelectors": [{"matchLabels": {"stage": "canary"}}], "minSuccessTime": "10m"},
            {"name": "rest", "clusterSelectors": [{}], "progressDeadline": "1h", "paused": true},
        ]}),
    ];
    for spec in &good {
        let object = pipeline("shop", spec);
        api::read::<api::Pipeline>(&object).unwrap();
        judged(&hub, &object).unwrap_or_else(|words| panic!("{spec}: {words}"));
    }
    let wrong = [
        json!({}),
        json!({"source": {}}),
        json!({"source": {"folder": {"path": "."}, "wds": {}}}),
        json!({"source": {"folder": {"path": "", "depth": 1}}}),
        json!({"source": folder, "outputs": [{"branch": {}}]}),
        json!({"source": folder, "outputs": [{"branch": {"name": "g", "layout": "heaps"}}]}),
        json!({"source": folder, "guard": {"maxRemovedObjects": "lots"}}),
        json!({"source": folder, "guard": {"maxRemovedObjects": -1}}),
        json!({"source": folder, "guard": {"secrets": "allow", "allowedSecrets": ["a/b"]}}),
        json!({"source": folder, "guard": {"allowedSecrets": ["a/b/c"]}}),
        json!({"source": folder, "kinds": [{"group": "", "kind": "pods", "plural": "pods", "scope": "Cluster"}]}),
        json!({"source": folder, "hydrate": []}),
        json!({"source": folder, "stritc": true}),
        git(&json!({"interval": "soon"})),
        git(&json!({"credentials": {"token": "ghp_0123"}})),
        git(&json!({"credentials": {"token": {"env": "A", "file": "b"}}})),
        waves(&json!([])),
        waves(&json!([{"name": "a"}])),
        waves(&json!([{"name": "A", "clusterSelectors": [{}]}])),
        waves(&json!([{"name": "remaining", "clusterSelectors": [{}]}])),
        waves(
            &json!([{"name": "a", "clusterSelectors": [{}]}, {"name": "a", "clusterSelectors": [{}]}]),
        ),
        waves(&json!([{"name": "a", "clusterSelectors": [{}], "minSuccessTime": "soon"}])),
        waves(
            &json!([{"name": "a", "clusterSelectors": [{"matchExpressions": [{"key": "k", "operator": "Like"}]}]}]),
        ),
        json!({"source": folder, "waves": [{"name": "a", "clusterSelectors": [{}]}]}),
        json!({"source": git(&json!({}))["source"], "status": {"reports": "none"}, "waves": [{"name": "a", "clusterSelectors": [{}]}]}),
    ];
    for spec in &wrong {
        let object = pipeline("shop", spec);
        assert!(api::read::<api::Pipeline>(&object).is_err(), "read: {spec}");
        assert!(judged(&hub, &object).is_err(), "taken: {spec}");
    }
}

#[test]
fn pipelines_come_from_an_api_server_and_what_became_of_them_goes_back() {
    let hub = need!(hub("hub"));
    let runtime = Runtime::new().unwrap();
    let mut feed = {
        let _inside = runtime.enter();
        hub::watch(connection(&hub))
    };
    let mut hosted = |wanted: &dyn Fn(&[Hosted]) -> bool| -> Vec<Hosted> {
        runtime.block_on(async {
            let told = feed
                .receiver
                .wait_for(|known| known.synced && known.pipelines.as_deref().is_some_and(wanted));
            let told = timeout(PATIENCE, told).await.expect("in time").unwrap();
            told.pipelines.clone().unwrap().to_vec()
        })
    };
    assert_eq!(hosted(&|_| true), []);
    hub.apply(
        &pipeline(
            "shop",
            &json!({"source": {"folder": {"path": "/srv/shop"}}}),
        )
        .to_string(),
    );
    let shop = hosted(&|all| all.len() == 1).remove(0);
    assert_eq!((shop.name.as_str(), shop.generation), ("shop", 1));
    assert!(shop.written.is_ok(), "{:?}", shop.written);

    let stalled = PipelineBoard {
        problem: Some(Problem {
            reason: "SourceUnreadable".to_owned(),
            message: "there is no folder /srv/shop".to_owned(),
            help: Some("make it".to_owned()),
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
        }),
        ..PipelineBoard::default()
    };
    let client = runtime.block_on(connect(&connection(&hub))).unwrap();
    let mut reporter = Reporter::new(client, "test");
    let mut report = |board: &PipelineBoard, now: &str| {
        runtime.block_on(async {
            let before = reporter.before(&shop).await.unwrap();
            let status = hub::status(board, shop.generation, &before, now.parse().unwrap());
            reporter.report(&shop, status).await.unwrap();
        });
        hub.get("pipeline", "", "shop").unwrap()
    };
    let condition = |object: &Value, name: &str| -> Value {
        let conditions = object["status"]["conditions"].as_array().unwrap();
        conditions
            .iter()
            .find(|condition| condition["type"] == name)
            .unwrap()
            .clone()
    };
    let first = report(&stalled, "2026-01-02T00:00:00Z");
    assert_eq!(condition(&first, "Stalled")["status"], "True");
    assert_eq!(
        condition(&first, "Stalled")["message"],
        "there is no folder /srv/shop; make it"
    );
    assert_eq!(condition(&first, "Ready")["status"], "Unknown");
    let events = hub.kubectl_ok(&["get", "events", "--output=json"]);
    assert!(events.contains("SourceUnreadable"), "{events}");
    // What is as it was is not written, and keeps its time.
    let again = report(&stalled, "2026-01-03T00:00:00Z");
    assert_eq!(
        again["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let mended = report(&PipelineBoard::default(), "2026-01-04T00:00:00Z");
    let (ready, stalled) = (condition(&mended, "Ready"), condition(&mended, "Stalled"));
    assert_eq!(
        (&stalled["status"], &ready["status"]),
        (&json!("False"), &json!("Unknown"))
    );
    assert_eq!(ready["lastTransitionTime"], "2026-01-02T00:00:00Z");
    assert_eq!(stalled["lastTransitionTime"], "2026-01-04T00:00:00Z");
    let table = hub.kubectl_ok(&["get", "pipelines"]);
    assert!(
        table.contains("READY") && table.contains("Unknown"),
        "{table}"
    );

    // A status is no news about the spec; a spec that cannot be read has a word for it.
    assert_eq!(hosted(&|_| true)[0].generation, 1);
    let found = Diagnostic::error("UnknownField", "unknown field");
    let refused = hub::refused(
        &[found],
        2,
        &PipelineStatus::default(),
        "2026-01-05T00:00:00Z".parse().unwrap(),
    );
    assert_eq!(refused.condition("Stalled").unwrap().reason, "UnknownField");
    hub.kubectl_ok(&["delete", "pipeline", "shop"]);
    assert_eq!(hosted(&<[Hosted]>::is_empty), []);
}

#[test]
fn a_replica_that_is_late_leaves_a_status_as_it_is_and_looks_again() {
    let hub = need!(hub("late"));
    let folder = json!({"source": {"folder": {"path": "/srv/shop"}}});
    hub.apply(&pipeline("shop", &folder).to_string());
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut feed = hub::watch(connection(&hub));
        let known = feed.receiver.wait_for(|known| known.synced);
        let known = timeout(PATIENCE, known).await.unwrap().unwrap().clone();
        let shop = known.pipelines.unwrap()[0].clone();
        let client = connect(&connection(&hub)).await.unwrap();
        let (mut late, mut prompt) = (
            Reporter::new(client.clone(), "late"),
            Reporter::new(client, "prompt"),
        );
        let status = |commit: &str| PipelineStatus {
            source_commit: Some(commit.to_owned()),
            ..PipelineStatus::default()
        };
        let stands = || {
            let shop = hub.get("pipeline", "", "shop").unwrap();
            shop["status"]["sourceCommit"].clone()
        };
        late.before(&shop).await.unwrap();
        prompt.report(&shop, status("new")).await.unwrap();
        let refused = late.report(&shop, status("old")).await;
        assert!(refused.is_err(), "it writes over what it has not seen");
        assert_eq!(stands(), "new");
        assert_eq!(
            late.before(&shop).await.unwrap().source_commit.as_deref(),
            Some("new")
        );
        late.report(&shop, status("newest")).await.unwrap();
        assert_eq!(stands(), "newest");
    });
}

#[test]
fn two_replicas_never_write_at_a_time_and_one_that_freezes_has_stopped_before_the_other_begins() {
    let api = need!(ApiServer::start("leases"));
    api.namespace("stellate");
    let terms = Terms {
        term: Duration::from_secs(3),
        hold: Duration::from_secs(2),
        every: Duration::from_millis(500),
    };
    // Each has a thread of its own, so that one of them can be stopped.
    let replica = |name: &str| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(connect(&connection(&api))).unwrap();
        let keeper = {
            let _inside = runtime.enter();
            lease::keep(client, "stellate", "shop", &unique_identity(name), terms)
        };
        (runtime, keeper)
    };
    let wait_for = |what: &str, done: &dyn Fn() -> bool, always: &dyn Fn()| {
        let start = Instant::now();
        while !done() {
            always();
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    };
    let (first_runtime, first) = replica("first");
    wait_for("the first", &|| first.guard.is_held(), &|| {});
    let (second_runtime, second) = replica("second");
    let never_both = || assert!(!(first.guard.is_held() && second.guard.is_held()));
    let start = Instant::now();
    wait_for("some time", &|| start.elapsed() > terms.term * 2, &|| {
        assert!(first.guard.is_held() && !second.guard.is_held());
    });

    // It sleeps in the middle of whatever it does; nobody tells it that it lost the lease.
    let frozen = terms.term * 4;
    first_runtime.spawn(async move { thread::sleep(frozen) });
    wait_for("the second", &|| second.guard.is_held(), &never_both);
    assert!(!first.guard.is_held());
    let start = Instant::now();
    wait_for(
        "the first to wake",
        &|| start.elapsed() > frozen,
        &never_both,
    );
    assert!(second.guard.is_held());

    // Given back, it is free at once.
    let start = Instant::now();
    second_released(&second_runtime, second);
    wait_for("the first again", &|| first.guard.is_held(), &|| {});
    assert!(start.elapsed() < terms.term, "{:?}", start.elapsed());
}

fn second_released(runtime: &Runtime, keeper: lease::Keeper) {
    let guard = keeper.guard.clone();
    runtime.block_on(keeper.release()).unwrap();
    assert!(!guard.is_held());
}

#[test]
fn the_roles_that_we_print_are_enough_and_no_more() {
    let api = need!(hub("rights"));
    api.apply_crds("ocm");
    for namespace in ["stellate", its::PROPERTIES_NAMESPACE] {
        api.namespace(namespace);
    }
    let account = Account {
        namespace: "stellate".to_owned(),
        name: "stellate".to_owned(),
    };
    let bot = folder("rights").join("kubeconfig");
    let user = json!({"token": api.token(), "as": "system:serviceaccount:stellate:stellate"});
    fs::write(&bot, api.kubeconfig_of(&user)).unwrap();
    let bot = Connection {
        kubeconfig: Some(bot),
        context: None,
    };
    let runtime = Runtime::new().unwrap();
    let read = || runtime.block_on(its::read(bot.clone()));
    assert_eq!(read().unwrap_err().reason, "Forbidden");
    // One of the two watches is not enough.
    let parts = [Part::Inventory, Part::Pipelines, Part::Leases];
    let all = roles(&parts.into_iter().collect::<BTreeSet<Part>>(), &account);
    let (cluster_wide, rest): (Vec<&Value>, Vec<&Value>) = all
        .iter()
        .partition(|object| object["kind"].as_str().unwrap().starts_with("Cluster"));
    let apply = |objects: &[&Value]| {
        for object in objects {
            api.apply(&object.to_string());
        }
    };
    apply(&cluster_wide);
    let problem = read().unwrap_err();
    assert!(problem.message.contains("configmaps"), "{problem:?}");
    apply(&rest);
    assert!(read().unwrap().synced);

    api.apply(&pipeline("shop", &json!({"source": {"folder": {"path": "."}}})).to_string());
    runtime.block_on(async {
        let mut feed = hub::watch(bot.clone());
        let known = feed
            .receiver
            .wait_for(|known| known.synced || known.problem.is_some());
        let known = timeout(PATIENCE, known).await.unwrap().unwrap().clone();
        assert_eq!(known.problem, None);
        let hosted = known.pipelines.unwrap()[0].clone();
        let client = connect(&bot).await.unwrap();
        let mut reporter = Reporter::new(client.clone(), "test");
        let before = reporter.before(&hosted).await.unwrap();
        let found = Diagnostic::error("Wrong", "it is wrong");
        let status = hub::refused(
            &[found],
            1,
            &before,
            "2026-01-01T00:00:00Z".parse().unwrap(),
        );
        reporter.report(&hosted, status).await.unwrap();
        let mut keeper = lease::keep(client, "stellate", "shop", "me", Terms::default());
        let held = keeper.held.wait_for(|held| *held);
        timeout(PATIENCE, held).await.unwrap().unwrap();
        keeper.release().await.unwrap();
    });
    for (verb, resource) in [
        ("list", "secrets"),
        ("create", "managedclusters"),
        ("patch", "pipelines"),
        ("list", "configmaps"),
        ("create", "manifestworks"),
    ] {
        let user = "--as=system:serviceaccount:stellate:stellate";
        let answer = api.kubectl(&["auth", "can-i", verb, resource, user]);
        assert!(!answer.status.success(), "may {verb} {resource}");
    }
}
