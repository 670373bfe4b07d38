//! What is mended while the service runs counts at once.

use super::*;
use crate::config::Login;
use crate::git::SecretPlace;

#[test]
fn a_token_that_is_rotated_has_the_pipeline_look_at_once() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let token = scene.folder.path().join("token");
    std::fs::write(&token, "old").expect("written");
    let mut plan = scene.plan("");
    plan.resolved.credentials = Some(Login {
        token: Some(SecretPlace::File(token.clone())),
        ..Login::default()
    });
    let service = scene.service();
    service.run(vec![plan]);
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    // Nobody says that there is another commit, and the interval is an hour.
    scene.write("shop.yaml", &config_map("good-day"));
    let second = scene.commit("Greet better");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(phase(&service, &second), None);
    std::fs::write(&token, "newer").expect("written");
    eventually("published", || {
        phase(&service, &second) == Some(Phase::Published)
    });
    service.stop();
}

/// Panics when it is told of one commit, for as long as that is set.
#[derive(Default)]
struct Mine(Mutex<Option<String>>);

impl Sink for Mine {
    fn want(&self, commit: &str, _: Vec<CommitStatus>) {
        assert!(
            lock(&self.0).as_deref() != Some(commit),
            "the mine went off"
        );
    }

    fn comment(&self, _: u64, _: &str, _: String) {}

    fn close(&self, _: &str, _: &Style, _: &str) {}
}

#[test]
fn a_panic_while_one_commit_is_told_keeps_no_other_from_being_told() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let mine = Arc::new(Mine(Mutex::new(Some(first.clone()))));
    let (told, armed) = (Arc::clone(&scene.told), Arc::clone(&mine));
    let service = Service::new(Options {
        runtime: scene.runtime.handle().clone(),
        cache: scene.folder.path().join("cache"),
        sinks: Box::new(move |_| {
            vec![
                Arc::clone(&armed) as Arc<dyn Sink>,
                Arc::clone(&told) as Arc<dyn Sink>,
            ]
        }),
    });
    service.run(vec![scene.plan("")]);
    eventually("it says so", || {
        let board = service.board();
        let problem = board.pipelines["shop"].trouble();
        problem.is_some_and(|problem| {
            problem.reason == "Panicked" && problem.message.contains("the mine went off")
        })
    });
    assert_eq!(scene.told.line(&first, "stellate/shop"), "", "not yet");
    scene.write("shop.yaml", &config_map("good-day"));
    let second = scene.commit("Greet better");
    service.wake("shop", Some(&second));
    eventually("told of the next one", || {
        !scene.told.line(&second, "stellate/shop").is_empty()
    });

    *lock(&mine.0) = None;
    eventually("told of the first one, too", || {
        !scene.told.line(&first, "stellate/shop").is_empty()
    });
    eventually("nothing is wrong any more", || {
        service.board().pipelines["shop"].trouble().is_none()
    });
    service.stop();
}
