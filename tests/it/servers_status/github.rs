//! On GitHub: against its own description of its API, and on doubles that redirect and hand out tokens.

use stellate::status::forge::github;

use super::*;

/// A GitHub App's key, made for this run.
fn app_key() -> PathBuf {
    let path = folder("app").join("key.pem");
    let made = Command::new("openssl")
        .args(["genrsa", "-traditional", "-out"])
        .arg(&path)
        .arg("2048")
        .output()
        .expect("openssl is needed for the tests");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    path
}

fn app(id: u64) -> AppLogin {
    AppLogin {
        app_id: id,
        installation_id: None,
        private_key: SecretPlace::File(app_key()),
    }
}

/// No request may break the contract. The name of the run is that of the description's example, which makes it the one that is there.
#[test]
fn github_accepts_every_request_of_a_token_and_of_an_app() {
    let api = need!(GithubApi::shared());
    let runtime = Runtime::new().unwrap();
    let app = app(1);
    for login in [
        ForgeLogin::Token(token_file(TOKEN)),
        ForgeLogin::App(app.clone()),
    ] {
        let config = config(ForgeKind::GitHub, &api.url(), login);
        let sink = sink(&runtime, config.clone());
        let mut statuses: Vec<CommitStatus> = [
            StatusState::Pending,
            StatusState::Success,
            StatusState::Failure,
            StatusState::Error,
        ]
        .into_iter()
        .map(|state| status(&format!("stellate/shop/{state:?}"), state, &"ä".repeat(300)))
        .collect();
        statuses.push(CommitStatus {
            target_url: None,
            ..status("stellate/shop", StatusState::Failure, "")
        });
        sink.want(SHA, statuses);
        sink.want_comment(1347, "stellate shop", "2 WECs change".into());
        sink.want_comment(1347, "Me too", "an old comment of ours".into());
        for (name, conclusion) in [
            ("mighty_readme", Some(Conclusion::Neutral)),
            ("mighty_readme", None),
            ("stellate/shop", Some(Conclusion::Failure)),
        ] {
            let run = CheckRun {
                name: name.into(),
                conclusion,
                title: "1/2 failing".into(),
                summary: "**paris** is degraded".into(),
                text: "| WEC | state |\n|---|---|\n".repeat(4000),
                details_url: Some("https://stellate.example.com/".into()),
            };
            sink.want_check(SHA, run);
            settle(&runtime, &sink);
        }
        assert_eq!(sink.problem(), None, "{}", api.log());
        let outcomes = sink.counters().outcomes;
        assert!(
            outcomes
                .keys()
                .all(|word| ["posted", "read"].contains(word)),
            "{outcomes:?}"
        );
        let posted = runtime.block_on(Forge::new(config).list(SHA)).unwrap();
        assert_eq!(
            shown(&posted)["continuous-integration/jenkins"].0,
            StatusState::Success
        );
    }
    let (token, _) = runtime
        .block_on(github::installation_token(&app, &api.url(), "acme/shop"))
        .unwrap();
    assert!(token.expose().starts_with("ghs_"));
    let log = api.log();
    for written in [
        "post /repos/acme/shop/statuses/",
        "post /repos/acme/shop/check-runs",
        "patch /repos/acme/shop/check-runs/4",
    ] {
        assert!(log.contains(written), "{written}\n{log}");
    }
    assert!(
        !log.contains("Violation") && !log.contains("unable to validate"),
        "{log}"
    );
}

#[test]
fn real_payloads_of_githubs_webhooks_are_at_hand() {
    let pushes = need!(GithubApi::webhooks("push"));
    assert!(
        pushes
            .iter()
            .any(|push| push["ref"] == "refs/heads/main" || push["ref"].is_string())
    );
}

/// A renamed repository answers everything but a question with 307.
#[test]
fn a_repository_that_was_renamed_on_github_is_followed() {
    let runtime = Runtime::new().unwrap();
    let double = Double::start(|asked: &Asked| {
        let here = |path: &str| {
            format!(
                "Location: http://{}{path}",
                asked
                    .head
                    .lines()
                    .find_map(|line| line.strip_prefix("host: "))
                    .unwrap()
            )
        };
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", path) if path.starts_with("/repos/acme/shop/") => {
                let moved = here(&path.replacen("/repos/acme/shop", "/repositories/7", 1));
                Reply::Answer(
                    307,
                    vec![moved],
                    json!({"message": "Moved Permanently"}).to_string(),
                )
            }
            ("GET", path) if path.starts_with("/repos/acme/shop/") => {
                let moved = here(&format!(
                    "{}?{}",
                    path.replacen("/repos/acme/shop", "/repositories/7", 1),
                    asked.query
                ));
                Reply::Answer(301, vec![moved], String::new())
            }
            ("POST", _) => Reply::json(201, &json!({})),
            _ => Reply::json(200, &json!([])),
        }
    });
    let sink = sink(
        &runtime,
        config(
            ForgeKind::GitHub,
            &double.url(),
            ForgeLogin::Token(token_file(TOKEN)),
        ),
    );
    sink.want(
        SHA,
        vec![status("stellate/shop", StatusState::Success, "healthy")],
    );
    settle(&runtime, &sink);
    assert_eq!(sink.problem(), None);
    let last = double.asked_to("POST").pop().unwrap();
    assert_eq!(last.path, format!("/repositories/7/statuses/{SHA}"));
    assert_eq!(last.body["context"], "stellate/shop");
    assert!(
        last.head
            .contains(&format!("authorization: bearer {TOKEN}"))
    );
}

/// An App takes a new token when its old one dies, and not before.
#[test]
fn an_app_finds_its_installation_and_uses_a_token_as_long_as_it_lives() {
    let runtime = Runtime::new().unwrap();
    let mut given = 0;
    let double =
        Double::start(
            move |asked: &Asked| match (asked.method.as_str(), asked.path.as_str()) {
                ("GET", "/repos/acme/shop/installation") => Reply::json(200, &json!({"id": 42})),
                ("POST", "/app/installations/42/access_tokens") => {
                    given += 1;
                    let until = if given == 1 {
                        "2016-07-11T22:14:10Z"
                    } else {
                        "2096-07-11T22:14:10Z"
                    };
                    Reply::json(
                        201,
                        &json!({"token": format!("ghs_{given}"), "expires_at": until}),
                    )
                }
                ("POST", _) => Reply::json(201, &json!({})),
                _ => Reply::json(200, &json!([])),
            },
        );
    let sink = sink(
        &runtime,
        config(ForgeKind::GitHub, &double.url(), ForgeLogin::App(app(7))),
    );
    for state in [
        StatusState::Pending,
        StatusState::Success,
        StatusState::Failure,
    ] {
        sink.want(SHA, vec![status("stellate/shop", state, "text")]);
        settle(&runtime, &sink);
    }
    let tokens: Vec<Asked> = double
        .asked()
        .into_iter()
        .filter(|asked| asked.path.ends_with("access_tokens"))
        .collect();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0].body, json!({"repositories": ["shop"]}));
    let last = double.asked_to("POST").pop().unwrap();
    assert!(
        last.head.contains("authorization: bearer ghs_2"),
        "{}",
        last.head
    );
}
