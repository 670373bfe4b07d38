//! Deliveries in waves, by a whole service: who gets what, when, and what is said meanwhile.

use super::*;
use crate::config::ResolvedOutput;
use crate::model::api::pipeline::Layout;
use crate::status::waves::{Rollout, WaveState};

const WAVES: &str = "  waves:
  - {name: canary, clusterSelectors: [{matchLabels: {stage: canary}}]}
  - {name: main, clusterSelectors: [{matchLabels: {stage: main}}]}
";

/// Berlin goes first, then Paris, then Rome, which no wave selects.
fn scene() -> Scene {
    let scene = Scene::new();
    for (name, stage) in [("berlin", "canary"), ("paris", "main"), ("rome", "none")] {
        let labelled = format!("{{name: {name}, labels: {{stage: {stage}}}}}");
        let text = cluster(name).replace(&format!("{{name: {name}}}"), &labelled);
        scene.write(&format!("inventory/{name}.yaml"), &text);
    }
    scene
}

fn start(scene: &Scene, waves: &str) -> Arc<Service> {
    let service = scene.service();
    service.run(vec![scene.plan(waves)]);
    service
}

/// What a WEC finds on the branch; none when it has no folder.
fn greeting(scene: &Scene, cluster: &str) -> Option<String> {
    let repository = git2::Repository::open(scene.source()).expect("a repository");
    let tip = repository.find_reference("refs/heads/generated").ok()?;
    let tree = tip.peel_to_tree().expect("a tree");
    let path = format!("clusters/{cluster}/shop/configmap-greeting.yaml");
    let entry = tree.get_path(Path::new(&path)).ok()?;
    let blob = repository.find_blob(entry.id()).expect("a blob");
    let text = String::from_utf8(blob.content().to_vec()).expect("text");
    let line = text.lines().find(|line| line.contains("greeting: "));
    line.map(|line| line.trim().trim_start_matches("greeting: ").to_owned())
}

fn greetings(scene: &Scene) -> [Option<String>; 3] {
    ["berlin", "paris", "rome"].map(|name| greeting(scene, name))
}

fn on(service: &Service, commit: &str, cluster: &str) -> Option<Phase> {
    let board = service.board();
    let commit = board.pipelines.get("shop")?.commit(commit)?;
    commit
        .clusters
        .get(&ClusterName::from(cluster))
        .map(crate::status::state::ClusterState::phase)
}

fn states(service: &Service) -> Vec<(String, WaveState)> {
    let board = service.board();
    let rollout = board.pipelines["shop"].rollout.clone().unwrap_or_default();
    let rollout = Rollout::clone(&rollout);
    rollout
        .waves
        .into_iter()
        .map(|wave| (wave.name, wave.state))
        .collect()
}

/// A WEC says of what is on the branch now how it is.
fn says(scene: &Scene, service: &Service, cluster: &str, health: Health) {
    let revision = scene.generated().expect("a generated commit");
    service.report("shop", vec![report(cluster, &revision, health)]);
}

/// Has everything published and healthy everywhere.
fn settle(scene: &Scene, service: &Service, text: &str) {
    for name in ["berlin", "paris", "rome"] {
        eventually(name, || greeting(scene, name).as_deref() == Some(text));
        says(scene, service, name, Health::Healthy);
    }
    eventually("all is well", || {
        let states = states(service);
        states.len() == 3 && states.iter().all(|(_, state)| *state == WaveState::Done)
    });
}

fn texts(berlin: &str, paris: &str, rome: &str) -> [Option<String>; 3] {
    [berlin, paris, rome].map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
}

#[test]
fn each_wave_gets_a_commit_when_the_one_before_is_healthy() {
    let scene = scene();
    let first = scene.commit("Open the shop");
    let service = start(&scene, WAVES);
    eventually("the canary", || greetings(&scene) == texts("hello", "", ""));
    eventually("told", || {
        let line = scene.told.line(&first, "stellate/shop/paris");
        line.starts_with("Pending waiting: wave canary is not healthy: berlin (published: nobody")
    });
    assert_eq!(on(&service, &first, "rome"), Some(Phase::Waiting));
    assert_eq!(
        states(&service),
        [
            ("canary".to_owned(), WaveState::Open),
            ("main".to_owned(), WaveState::Held),
            ("remaining".to_owned(), WaveState::Held),
        ]
    );
    says(&scene, &service, "berlin", Health::Healthy);
    eventually("the next wave", || {
        greetings(&scene) == texts("hello", "hello", "")
    });
    says(&scene, &service, "paris", Health::Healthy);
    eventually("the last wave", || {
        greetings(&scene) == texts("hello", "hello", "hello")
    });
    says(&scene, &service, "rome", Health::Healthy);
    eventually("told", || {
        scene.told.line(&first, "stellate/shop") == "Success 3 WECs healthy"
    });
    service.stop();
}

#[test]
fn what_breaks_in_the_first_wave_goes_no_further_and_the_commit_that_mends_it_does() {
    let scene = scene();
    scene.commit("Open the shop");
    let service = start(&scene, WAVES);
    settle(&scene, &service, "hello");

    scene.write("shop.yaml", &config_map("oops"));
    let broken = scene.commit("Break it");
    service.wake("shop", Some(&broken));
    eventually("the canary", || {
        greetings(&scene) == texts("oops", "hello", "hello")
    });
    says(&scene, &service, "berlin", Health::Degraded);
    eventually("told", || {
        let line = scene.told.line(&broken, "stellate/shop/rome");
        line.starts_with(
            "Pending waiting: wave canary is not healthy: berlin (degraded: Deployment",
        )
    });
    // What the others say of what they have is taken in as before.
    says(&scene, &service, "paris", Health::Healthy);
    assert_eq!(greetings(&scene), texts("oops", "hello", "hello"));

    scene.write("shop.yaml", &config_map("mended"));
    let mended = scene.commit("Mend it");
    service.wake("shop", Some(&mended));
    settle(&scene, &service, "mended");
    eventually("told", || {
        scene.told.line(&mended, "stellate/shop") == "Success 3 WECs healthy"
    });
    eventually("nothing is left pending", || {
        let all = lock(&scene.told.0);
        let mut statuses = all.values().flat_map(BTreeMap::values);
        statuses.all(|status| status.state != StatusState::Pending)
    });
    assert!(
        scene
            .told
            .line(&broken, "stellate/shop/rome")
            .starts_with("Success superseded")
    );
    service.stop();
}

#[test]
fn a_wave_opens_by_itself_when_the_one_before_was_healthy_for_its_time() {
    let scene = scene();
    scene.commit("Open the shop");
    let waves = WAVES.replace("name: canary,", "name: canary, minSuccessTime: 1500ms,");
    let service = start(&scene, &waves);
    eventually("the canary", || greetings(&scene) == texts("hello", "", ""));
    let healthy = Instant::now();
    says(&scene, &service, "berlin", Health::Healthy);
    eventually("the next wave", || {
        greetings(&scene) == texts("hello", "hello", "")
    });
    assert!(
        healthy.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        healthy.elapsed()
    );
    service.stop();
}

#[test]
fn a_commit_that_changes_nothing_for_a_wave_goes_on_to_the_next_at_once() {
    let scene = scene();
    let first = scene.commit("Open the shop");
    let service = start(
        &scene,
        &WAVES.replace("name: canary,", "name: canary, minSuccessTime: 1s,"),
    );
    settle(&scene, &service, "hello");
    scene.write(
        "extra.yaml",
        &POLICY
            .replace("everywhere", "rome")
            .replace("[{}]", "[{matchLabels: {stage: none}}]")
            .replace("app: shop", "app: extra"),
    );
    scene.write(
        "more.yaml",
        &config_map("ciao")
            .replace("name: greeting", "name: extra")
            .replace("app: shop", "app: extra"),
    );
    let second = scene.commit("Something for Rome");
    service.wake("shop", Some(&second));
    eventually("published", || {
        on(&service, &second, "rome") == Some(Phase::Published)
    });
    assert_eq!(on(&service, &second, "berlin"), Some(Phase::Healthy));
    // Its time was not begun anew.
    let since = |commit: &str| {
        let board = service.board();
        let commit = board.pipelines["shop"].commit(commit).expect("a commit");
        commit.clusters[&ClusterName::from("berlin")].healthy()
    };
    assert_eq!(since(&second), since(&first));
    assert!(since(&first).is_some());
    service.stop();
}

#[test]
fn a_service_that_starts_again_in_the_middle_publishes_nothing_early() {
    let scene = scene();
    scene.commit("Open the shop");
    let service = start(&scene, WAVES);
    settle(&scene, &service, "hello");
    scene.write("shop.yaml", &config_map("good day"));
    let second = scene.commit("Greet better");
    service.wake("shop", Some(&second));
    eventually("the canary", || {
        greetings(&scene) == texts("good day", "hello", "hello")
    });
    service.stop();
    let generated = scene.generated();

    // Neither with what was written down last nor without.
    for journal in [true, false] {
        if !journal {
            std::fs::remove_dir_all(scene.folder.path().join("cache")).expect("removed");
        }
        let service = start(&scene, WAVES);
        eventually("seen", || {
            on(&service, &second, "paris") == Some(Phase::Waiting)
        });
        assert_eq!(
            scene.generated(),
            generated,
            "nothing is written twice, nothing early"
        );
        service.stop();
    }
    let service = start(&scene, WAVES);
    eventually("seen", || {
        on(&service, &second, "paris") == Some(Phase::Waiting)
    });
    settle(&scene, &service, "good day");
    service.stop();
}

#[test]
fn a_paused_wave_stays_behind_until_it_goes_on_and_one_that_is_opened_by_hand_does_not() {
    let scene = scene();
    let first = scene.commit("Open the shop");
    let paused = WAVES.replace("name: main,", "name: main, paused: true,");
    let service = start(&scene, &paused);
    eventually("the canary", || greetings(&scene) == texts("hello", "", ""));
    says(&scene, &service, "berlin", Health::Healthy);
    eventually("told", || {
        scene.told.line(&first, "stellate/shop/rome") == "Pending waiting: wave main is paused"
    });
    service.open_wave("shop", &first, "remaining");
    eventually("the last wave", || {
        greetings(&scene) == texts("hello", "", "hello")
    });
    service.run(vec![scene.plan(WAVES)]);
    says(&scene, &service, "berlin", Health::Healthy);
    eventually("the wave", || {
        greetings(&scene) == texts("hello", "hello", "hello")
    });
    service.stop();
}

#[test]
fn a_wave_that_does_not_become_healthy_in_time_fails_the_commit_by_name() {
    let scene = scene();
    let first = scene.commit("Open the shop");
    let late = WAVES.replace("name: canary,", "name: canary, progressDeadline: 300ms,");
    let service = start(&scene, &late);
    eventually("told", || {
        let line = scene.told.line(&first, "stellate/shop");
        line.starts_with("Failure wave canary did not become healthy within 300ms: berlin (")
    });
    assert_eq!(states(&service)[0].1, WaveState::Overdue);
    says(&scene, &service, "berlin", Health::Healthy);
    eventually("the next wave", || {
        greetings(&scene) == texts("hello", "hello", "")
    });
    service.stop();
}

#[test]
fn what_the_guard_holds_it_holds_for_all_waves_even_where_each_would_pass() {
    let scene = scene();
    for number in 0..3 {
        let text = config_map("x").replace("greeting, n", &format!("greeting-{number}, n"));
        scene.write(&format!("more-{number}.yaml"), &text);
    }
    scene.commit("Open the shop");
    let service = start(&scene, WAVES);
    settle(&scene, &service, "hello");
    let before = scene.generated();
    for number in 0..3 {
        std::fs::remove_file(scene.source().join(format!("more-{number}.yaml"))).expect("removed");
    }
    // Of 15 objects 9 go; in the first wave alone it would be 3.
    let second = scene.commit("Close most");
    service.wake("shop", Some(&second));
    eventually("held", || phase(&service, &second) == Some(Phase::Held));
    assert_eq!(scene.generated(), before);
    service.release("shop", &second);
    eventually("the canary", || {
        on(&service, &second, "berlin").is_some() && scene.generated() != before
    });
    eventually("waiting", || {
        on(&service, &second, "rome") == Some(Phase::Waiting)
    });
    for name in ["berlin", "paris"] {
        says(&scene, &service, name, Health::Healthy);
        std::thread::sleep(Duration::from_millis(50));
    }
    eventually("the last wave", || {
        if on(&service, &second, "paris") == Some(Phase::Published) {
            says(&scene, &service, "paris", Health::Healthy);
        }
        on(&service, &second, "rome") == Some(Phase::Published)
    });
    service.stop();
}

#[test]
fn branches_of_their_own_and_folders_are_held_as_well() {
    let scene = scene();
    let first = scene.commit("Open the shop");
    let folder = scene.folder.path().join("out");
    let mut plan = scene.plan(WAVES);
    let ResolvedOutput::Branch(branch) = &mut plan.resolved.outputs[0] else {
        panic!("no branch");
    };
    branch.layout = Layout::Branches;
    plan.resolved
        .outputs
        .push(ResolvedOutput::Folder(folder.clone()));
    let service = scene.service();
    service.run(vec![plan]);
    let repository = git2::Repository::open(scene.source()).expect("a repository");
    let branch = |name: &str| {
        let found = repository.refname_to_id(&format!("refs/heads/generated/{name}"));
        found.ok().map(|id| id.to_string())
    };
    let file = |name: &str| {
        let path = folder.join(format!("clusters/{name}/shop/configmap-greeting.yaml"));
        std::fs::read_to_string(path).unwrap_or_default()
    };
    for (number, name) in ["berlin", "paris", "rome"].into_iter().enumerate() {
        eventually(name, || {
            branch(name).is_some() && file(name).contains("hello")
        });
        let later = &["berlin", "paris", "rome"][number + 1..];
        assert!(
            later
                .iter()
                .all(|later| branch(later).is_none() && file(later).is_empty())
        );
        let revision = branch(name).expect("a branch");
        service.report("shop", vec![report(name, &revision, Health::Healthy)]);
    }
    eventually("all is well", || {
        phase(&service, &first) == Some(Phase::Healthy)
    });

    let before = ["berlin", "paris", "rome"].map(branch);
    scene.write("shop.yaml", &config_map("good day"));
    let second = scene.commit("Greet better");
    service.wake("shop", Some(&second));
    eventually("the canary", || {
        file("berlin").contains("good day") && branch("berlin") != before[0]
    });
    eventually("waiting", || {
        on(&service, &second, "rome") == Some(Phase::Waiting)
    });
    assert_eq!(["paris", "rome"].map(branch), before[1..]);
    assert!(file("paris").contains("hello") && file("rome").contains("hello"));
    service.stop();
}
