//! Tokens: read anew, never repeated, and shared by those who have the same.

use super::*;

#[test]
fn a_host_that_repeats_the_token_does_not_make_us_repeat_it() {
    let runtime = Runtime::new().unwrap();
    let double = Double::start(|_: &Asked| {
        Reply::json(403, &json!({"message": format!("token {TOKEN} may not")}))
    });
    for kind in [ForgeKind::GitHub, ForgeKind::GitLab, ForgeKind::Gitea] {
        let forge = Forge::new(config(
            kind,
            &double.url(),
            ForgeLogin::Token(token_file(TOKEN)),
        ));
        let error = runtime.block_on(forge.list(SHA)).unwrap_err();
        assert!(
            error.to_string().ends_with("it says: token *** may not"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains(TOKEN));
    }
}

#[test]
fn a_token_is_read_anew_and_a_missing_one_is_named() {
    let runtime = Runtime::new().unwrap();
    let double = Double::start(|asked: &Asked| {
        if asked.head.contains("new-token") {
            Reply::json(200, &json!([]))
        } else {
            Reply::json(401, &json!({"message": "Bad credentials"}))
        }
    });
    let path = folder("rotated").join("token");
    for kind in [ForgeKind::GitHub, ForgeKind::GitLab, ForgeKind::Gitea] {
        let forge = Forge::new(config(
            kind,
            &double.url(),
            ForgeLogin::Token(SecretPlace::File(path.clone())),
        ));
        let ask = || {
            runtime
                .block_on(forge.list(SHA))
                .map_err(|error: ForgeError| error.reason())
        };
        drop(fs::remove_file(&path));
        assert_eq!(ask(), Err("CredentialUnreadable"));
        fs::write(&path, "old-token\n").unwrap();
        assert_eq!(ask(), Err("Unauthorized"));
        fs::write(&path, "new-token\n").unwrap();
        assert_eq!(ask(), Ok(Vec::new()));
    }
}

/// Two repositories, one credential: what limits one limits both, and their requests never meet.
#[test]
fn sinks_with_one_credential_take_turns() {
    let runtime = Runtime::new().unwrap();
    let busy = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let double = Double::start({
        let busy = Arc::clone(&busy);
        move |asked: &Asked| {
            use std::sync::atomic::Ordering::SeqCst;
            assert_eq!(busy.fetch_add(1, SeqCst), 0, "two at once");
            std::thread::sleep(Duration::from_millis(10));
            busy.fetch_sub(1, SeqCst);
            let code = if asked.method == "GET" { 200 } else { 201 };
            Reply::json(code, &json!([]))
        }
    });
    let (lanes, token) = (Lanes::default(), token_file(TOKEN));
    let start = |repository: &str| {
        let config = ForgeConfig {
            repository: repository.into(),
            ..config(
                ForgeKind::GitHub,
                &double.url(),
                ForgeLogin::Token(token.clone()),
            )
        };
        let lane = lanes.of(&config, Some(10));
        Sink::start(config, lane, runtime.handle())
    };
    let sinks = [start("acme/shop"), start("acme/web")];
    for sink in &sinks {
        let many =
            (0..20).map(|wec| status(&format!("s/shop/{wec}"), StatusState::Failure, "degraded"));
        sink.want(SHA, many.collect());
    }
    assert!(!runtime.block_on(sinks[0].idle(Duration::from_secs(3))));
    assert_eq!(double.asked_to("POST").len(), 10);
    assert_eq!(sinks[0].counters().budget_left, Some(0));
    assert_eq!(
        sinks[0].counters().waiting + sinks[1].counters().waiting,
        30
    );
}
