//! Pipelines that end: by a panic, because they are gone, or slowly.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::config::ResolvedOutput;
use crate::status::board::Activity;

/// Panics in the worker's thread for as long as it is told to.
#[derive(Default)]
struct Bomb(AtomicBool);

impl Sink for Bomb {
    fn want(&self, _: &str, _: Vec<CommitStatus>) {}

    fn comment(&self, _: u64, _: &str, _: String) {}

    fn close(&self, _: &str, _: &Style, _: &str) {
        assert!(!self.0.load(Ordering::Relaxed), "the bomb went off");
    }
}

impl Scene {
    /// A plan whose WECs are waited for.
    fn patient_plan(&self, name: &str) -> Plan {
        let mut plan = Plan {
            reports: Reports::Required,
            ..self.plan("")
        };
        plan.resolved.name = name.to_owned();
        plan.style.pipeline = name.to_owned();
        plan
    }
}

#[test]
fn a_run_that_panics_is_said_and_tried_again_and_holds_up_no_other_pipeline() {
    let scene = Scene::new();
    scene.commit("Open the shop");
    scene.write("shop.yaml", &config_map("good-day"));
    // Nothing is known of the commit before the head: the worker has it closed.
    let second = scene.commit("Greet better");
    let bomb = Arc::new(Bomb(AtomicBool::new(true)));
    let (told, armed) = (Arc::clone(&scene.told), Arc::clone(&bomb));
    let service = Service::new(Options {
        runtime: scene.runtime.handle().clone(),
        cache: scene.folder.path().join("cache"),
        sinks: Box::new(move |plan| {
            let mut sinks = vec![Arc::clone(&told) as Arc<dyn Sink>];
            if plan.resolved.name == "shop" {
                sinks.push(Arc::clone(&armed) as Arc<dyn Sink>);
            }
            sinks
        }),
    });
    let mut bakery = scene.patient_plan("bakery");
    if let Some(ResolvedOutput::Branch(branch)) = bakery.resolved.outputs.first_mut() {
        "baked".clone_into(&mut branch.name);
    }
    service.run(vec![scene.patient_plan("shop"), bakery]);
    eventually("it backs off and says why", || {
        let shop = &service.board().pipelines["shop"];
        let reason = shop.problem.as_ref().map(|problem| problem.reason.as_str());
        reason == Some("Panicked") && matches!(shop.activity, Activity::BackingOff { .. })
    });
    let board = service.board();
    let problem = board.pipelines["shop"].problem.as_ref();
    let message = &problem.expect("a problem").message;
    assert!(message.contains("the bomb went off"), "{message}");
    eventually("the commit says so", || {
        let line = scene.told.line(&second, "stellate/shop");
        line.starts_with("Error failed: the run panicked")
    });
    let counted = service.metrics().encode(&board).expect("text");
    let series = r#"stellate_runs_total{pipeline="shop",outcome="panicked"}"#;
    assert!(counted.contains(series), "{counted}");

    scene.write("shop.yaml", &config_map("hi"));
    let third = scene.commit("Be brief");
    service.wake("bakery", None);
    let of_bakery = || {
        let board = service.board();
        let phase = board.pipelines["bakery"].commit(&third)?.phase();
        Some(phase)
    };
    eventually("the bakery works", || of_bakery() == Some(Phase::Published));

    bomb.0.store(false, Ordering::Relaxed);
    service.wake("shop", None);
    eventually("it works again", || {
        let well = service.board().pipelines["shop"].problem.is_none();
        well && phase(&service, &third) == Some(Phase::Published)
    });
    service.stop();
}

#[test]
fn a_pipeline_that_is_removed_leaves_no_status_pending() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.service();
    service.run(vec![scene.patient_plan("shop")]);
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    let generated = scene.generated();
    let berlin = report(
        "berlin",
        generated.as_ref().expect("a branch"),
        Health::Healthy,
    );
    service.report("shop", vec![berlin]);
    eventually("half of it is healthy", || {
        scene.told.line(&first, "stellate/shop") == "Pending 1/2 healthy, waiting for 1"
    });
    service.run(Vec::new());
    assert_eq!(
        scene.told.line(&first, "stellate/shop"),
        "Error 1/2 failing: paris (the pipeline was removed; what was delivered stays)"
    );
    assert_eq!(
        scene.told.line(&first, "stellate/shop/paris"),
        "Error failed: the pipeline was removed; what was delivered stays"
    );
    assert_eq!(
        scene.told.line(&first, "stellate/shop/berlin"),
        "Success healthy"
    );
    assert_eq!(scene.generated(), generated);

    // When it comes back, it goes on where it was.
    service.run(vec![scene.patient_plan("shop")]);
    eventually("waiting again", || {
        scene.told.line(&first, "stellate/shop") == "Pending 1/2 healthy, waiting for 1"
    });
    service.stop();
}

#[test]
fn a_pipeline_that_another_replica_has_now_is_not_spoken_of() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.service();
    service.run(vec![scene.patient_plan("shop")]);
    let waiting = || scene.told.line(&first, "stellate/shop");
    eventually("published", || {
        waiting() == "Pending 0/2 healthy, waiting for 2"
    });
    let elsewhere = BTreeSet::from(["shop".to_owned()]);
    service.run_under(Vec::new(), &BTreeMap::new(), &elsewhere);
    assert!(service.board().pipelines.is_empty());
    service.stop();
    assert_eq!(waiting(), "Pending 0/2 healthy, waiting for 2");
}

#[test]
fn a_worker_that_is_slow_to_stop_holds_up_no_other_pipeline() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    // A repository that takes calls and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let mut slow = scene.patient_plan("slow");
    slow.resolved.place = Some(Place::Git(format!("http://{address}/slow.git")));
    let service = scene.service();
    service.run(vec![slow.clone()]);
    let (call, _) = silent.accept().expect("a call");
    slow.deadline = Duration::from_secs(1);
    let begun = Instant::now();
    service.run(vec![slow, scene.patient_plan("shop")]);
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "it waited");
    silent.set_nonblocking(true).expect("set");
    assert!(silent.accept().is_err(), "two workers at a time");
    drop((call, silent));
    service.stop();
}

impl Scene {
    /// A service whose statuses go there for one prefix, and to the scene's for others.
    fn service_with(&self, prefix: &'static str, there: &Arc<Told>) -> Arc<Service> {
        let (here, there) = (Arc::clone(&self.told), Arc::clone(there));
        Service::new(Options {
            runtime: self.runtime.handle().clone(),
            cache: self.folder.path().join("cache"),
            sinks: Box::new(move |plan| {
                let told = if plan.style.prefix == prefix {
                    &there
                } else {
                    &here
                };
                vec![Arc::clone(told) as Arc<dyn Sink>]
            }),
        })
    }
}

#[test]
fn a_pipeline_that_gets_another_context_leaves_nothing_pending_under_the_former_one() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let there = Arc::new(Told::default());
    let service = scene.service_with("other", &there);
    service.run(vec![scene.patient_plan("shop")]);
    let waiting = "Pending 0/2 healthy, waiting for 2";
    eventually("published", || {
        scene.told.line(&first, "stellate/shop") == waiting
    });
    let mut renamed = scene.patient_plan("shop");
    renamed.style.prefix = "other".to_owned();
    service.run(vec![renamed]);
    let elsewhere = "Success no longer told of here: the pipeline tells it elsewhere now";
    for context in ["stellate/shop", "stellate/shop/berlin"] {
        assert_eq!(scene.told.line(&first, context), elsewhere);
    }
    eventually("it goes on there", || {
        there.line(&first, "other/shop") == waiting
    });
    service.stop();
    assert_eq!(scene.told.line(&first, "stellate/shop"), elsewhere);
}

#[test]
fn a_pipeline_that_follows_another_repository_leaves_nothing_pending_and_forgets_the_former_one() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let other = Scene::new();
    other.write("shop.yaml", &config_map("elsewhere"));
    let second = other.commit("Open another shop");
    let service = scene.service();
    service.run(vec![scene.patient_plan("shop")]);
    eventually("published", || {
        scene.told.line(&first, "stellate/shop") == "Pending 0/2 healthy, waiting for 2"
    });
    let moved = other.patient_plan("shop");
    service.run(vec![moved.clone()]);
    assert_eq!(
        scene.told.line(&first, "stellate/shop"),
        "Success no longer told of: the pipeline follows another source now"
    );
    eventually("published", || {
        scene.told.line(&second, "stellate/shop") == "Pending 0/2 healthy, waiting for 2"
    });
    assert_eq!(phase(&service, &first), None, "it is no commit of this one");
    service.stop();
    let service = scene.service();
    service.run(vec![moved]);
    assert_eq!(phase(&service, &first), None, "nor after a start");
    assert!(phase(&service, &second).is_some(), "as others are");
    service.stop();
}

#[test]
fn what_came_to_its_end_just_before_a_kill_is_told_after_it() {
    let scene = Scene::new();
    scene.commit("Open the shop");
    let journal = scene.folder.path().join("cache/journal/shop");
    let end = Timestamp::now();
    let overtaken = |number: u32, ended: Timestamp| {
        let id = format!("{number:040}");
        let mut commit = CommitBoard::new(&id, end - SignedDuration::from_mins(number.into()));
        let by = Observation::Superseded { by: "e".repeat(40) };
        commit.whole.observe(by, ended);
        journal::write(&journal, &commit).expect("written");
        id
    };
    let all: Vec<String> = (1..20).map(|number| overtaken(number, end)).collect();
    let long_ago = overtaken(30, end - SignedDuration::from_hours(1));
    let service = scene.start();
    let told =
        |id: &String| scene.told.line(id, "stellate/shop") == "Success superseded by eeeeeeeeee";
    eventually("told", || all.iter().all(told));
    assert!(!told(&long_ago), "that was told in its time");
    service.stop();
}
