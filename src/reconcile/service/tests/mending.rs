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
