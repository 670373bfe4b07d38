//! Hosts that refuse, hang, send elsewhere or are not there.

use super::*;

#[test]
fn a_redirect_to_another_host_gets_no_token() {
    let runtime = Runtime::new().unwrap();
    let other = Double::start(|_: &Asked| Reply::json(201, &json!({})));
    let target = other.url();
    let double = Double::start(move |asked: &Asked| {
        Reply::Answer(
            307,
            vec![format!("Location: {target}{}", asked.path)],
            String::new(),
        )
    });
    for kind in [ForgeKind::GitHub, ForgeKind::Gitea] {
        let forge = Forge::new(config(
            kind,
            &double.url(),
            ForgeLogin::Token(token_file(TOKEN)),
        ));
        let wanted = status("stellate/shop", StatusState::Success, "healthy");
        let error = runtime.block_on(forge.post(SHA, &wanted)).unwrap_err();
        assert_eq!(error.reason(), "RepositoryMoved", "{error}");
    }
    assert!(other.asked().is_empty());
}

/// What a host does wrong, the reason that people read, and whether it is tried again by itself.
#[test]
fn whatever_a_host_does_wrong_is_said_and_the_status_arrives_in_the_end() {
    type Fault = (&'static str, fn() -> Reply, bool);
    let faults: [Fault; 11] = [
        (
            "Unauthorized",
            || Reply::json(401, &json!({"message": "Bad credentials"})),
            true,
        ),
        (
            "Forbidden",
            || {
                Reply::json(
                    403,
                    &json!({"message": "Resource not accessible by integration"}),
                )
            },
            true,
        ),
        (
            "RateLimited",
            || {
                Reply::Answer(
                    403,
                    vec!["Retry-After: 1".into()],
                    json!({"message": "secondary rate limit"}).to_string(),
                )
            },
            true,
        ),
        (
            "RepositoryNotFound",
            || Reply::json(404, &json!({"message": "Not Found"})),
            true,
        ),
        (
            "Conflict",
            || Reply::json(409, &json!({"message": "busy"})),
            true,
        ),
        (
            "Rejected",
            || Reply::json(422, &json!({"message": "Validation Failed"})),
            false,
        ),
        (
            "RateLimited",
            || Reply::Answer(429, vec!["Retry-After: 1".into()], String::new()),
            true,
        ),
        (
            "Unavailable",
            || Reply::Answer(500, Vec::new(), "<html>".into()),
            true,
        ),
        ("Timeout", || Reply::Silence, true),
        ("ConnectionBroken", || Reply::Cut, true),
        (
            "UnexpectedAnswer",
            || Reply::Answer(200, Vec::new(), "<html>sign in</html>".into()),
            true,
        ),
    ];
    let runtime = Runtime::new().unwrap();
    for kind in [ForgeKind::GitHub, ForgeKind::Gitea] {
        for (reason, fault, again) in faults {
            // Gitea's adapter takes any success for one: only GitHub's demands 201.
            if kind == ForgeKind::Gitea && reason == "UnexpectedAnswer" {
                continue;
            }
            let mut posts = 0;
            let double = Double::start(move |asked: &Asked| {
                if asked.method == "GET" {
                    return Reply::json(200, &json!([]));
                }
                posts += 1;
                if posts == 1 {
                    fault()
                } else {
                    Reply::json(201, &json!({}))
                }
            });
            let config = ForgeConfig {
                timeout: Duration::from_millis(700),
                ..config(kind, &double.url(), ForgeLogin::Token(token_file(TOKEN)))
            };
            let sink = sink(&runtime, config);
            let start = Instant::now();
            sink.want(
                SHA,
                vec![status("stellate/shop", StatusState::Success, "healthy")],
            );
            settle(&runtime, &sink);
            let outcomes = sink.counters().outcomes;
            assert_eq!(outcomes.get(reason), Some(&1), "{kind:?} {outcomes:?}");
            assert_eq!(
                outcomes.contains_key("posted"),
                again,
                "{kind:?} {reason} {outcomes:?}"
            );
            assert_eq!(
                sink.problem().map(|error| error.reason()),
                (!again).then_some(reason)
            );
            assert!(
                !again || start.elapsed() >= Duration::from_secs(1),
                "{reason}: not at once"
            );
        }
    }
}

#[test]
fn a_host_that_is_not_there_is_said_to_be_so() {
    let runtime = Runtime::new().unwrap();
    for (kind, url) in [
        (ForgeKind::GitHub, "http://127.0.0.1:1"),
        (ForgeKind::Gitea, "http://127.0.0.1:1"),
        (ForgeKind::GitHub, "http://nowhere.invalid"),
        (ForgeKind::Gitea, "http://nowhere.invalid"),
    ] {
        let forge = Forge::new(config(kind, url, ForgeLogin::Token(token_file(TOKEN))));
        let error = runtime.block_on(forge.list(SHA)).unwrap_err();
        assert_eq!(error.reason(), "Unreachable", "{kind:?} {url}: {error}");
    }
}
