//! Commit statuses on forges: on a real Gitea, on GitHub as its own description has it, and on doubles where a host must misbehave.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stellate::{
    git::{AppLogin, SecretPlace},
    model::api::pipeline::ForgeKind,
    status::{
        CommitStatus, StatusState,
        forge::{
            CheckRun, Conclusion, Forge, ForgeConfig, ForgeError, ForgeLogin, Lane, Lanes, Limits,
            Posted, Sink, github,
        },
    },
};
use tokio::runtime::Runtime;

use crate::support::{
    folder,
    forge::{Asked, Double, Reply},
    git::git,
    need,
    servers::{Gitea, GithubApi},
};

const TOKEN: &str = "stl_0123456789abcdefghijklmnopqrstuv";
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A file with a token in it.
fn token_file(token: &str) -> SecretPlace {
    let path = folder("token").join("token");
    fs::write(&path, format!("{token}\n")).unwrap();
    SecretPlace::File(path)
}

fn config(kind: ForgeKind, url: &str, login: ForgeLogin) -> ForgeConfig {
    let api = match kind {
        ForgeKind::Gitea => format!("{url}/api/v1"),
        ForgeKind::GitLab => format!("{url}/api/v4"),
        ForgeKind::BitbucketServer => format!("{url}/rest"),
        ForgeKind::GitHub | ForgeKind::BitbucketCloud => url.to_owned(),
    };
    ForgeConfig {
        kind,
        api,
        page: format!("{url}/acme/shop"),
        repository: "acme/shop".into(),
        reference: Some("refs/heads/main".into()),
        login,
        timeout: Duration::from_secs(10),
    }
}

fn status(context: &str, state: StatusState, description: &str) -> CommitStatus {
    CommitStatus {
        context: context.into(),
        state,
        description: description.into(),
        target_url: Some("https://stellate.example.com/#/pipelines/shop".into()),
    }
}

/// A sink without limits.
fn sink(runtime: &Runtime, config: ForgeConfig) -> Sink {
    Sink::start(config, Lane::new(Limits::NONE), runtime.handle())
}

#[track_caller]
fn settle(runtime: &Runtime, sink: &Sink) {
    let idle = runtime.block_on(sink.idle(Duration::from_secs(60)));
    assert!(idle, "{:?} {:?}", sink.counters(), sink.problem());
}

/// Name and state of what a forge has.
fn shown(posted: &[Posted]) -> BTreeMap<String, (StatusState, String)> {
    let each = posted.iter().map(|posted| {
        let status = posted.status.clone();
        (status.context, (status.state, status.description))
    });
    each.collect()
}

/// A repository on the shared Gitea with one commit: its path and the commit.
fn commit(gitea: &Gitea, name: &str) -> (String, String) {
    let address = gitea.repository(name);
    let work = folder(name);
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    fs::write(work.join("a.txt"), "a\n").unwrap();
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "--message", "one"]);
    git(
        &work,
        &[
            "push",
            "--quiet",
            &gitea.with_credentials(&address),
            "HEAD:main",
        ],
    );
    (format!("stella/{name}"), git(&work, &["rev-parse", "HEAD"]))
}

fn on_gitea(gitea: &Gitea, repository: &str, token: &str) -> ForgeConfig {
    ForgeConfig {
        repository: repository.into(),
        ..config(
            ForgeKind::Gitea,
            &gitea.url(),
            ForgeLogin::Token(token_file(token)),
        )
    }
}

/// All statuses of a commit as the forge itself gives them, the oldest first.
fn all_on_gitea(gitea: &Gitea, repository: &str, sha: &str) -> Vec<(String, String, String)> {
    let path = format!("/repos/{repository}/commits/{sha}/statuses?limit=50&sort=oldest");
    let (code, answer) = gitea.api("GET", &path, None);
    assert_eq!(code, 200, "{answer}");
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let each = answer.as_array().unwrap().iter();
    let mut all: Vec<_> = each
        .map(|entry| {
            let status = (
                text(entry, "context"),
                text(entry, "status"),
                text(entry, "description"),
            );
            (entry["id"].as_u64(), status)
        })
        .collect();
    all.sort();
    all.into_iter().map(|(_, status)| status).collect()
}

#[test]
fn gitea_shows_what_was_wanted_last_and_nothing_twice() {
    let gitea = need!(Gitea::shared());
    let runtime = Runtime::new().unwrap();
    let (repository, sha) = commit(&gitea, "status-shop");
    let config = on_gitea(&gitea, &repository, gitea.token());
    let first = sink(&runtime, config.clone());
    let pending = vec![
        status(
            "stellate/shop",
            StatusState::Pending,
            "0/2 healthy, waiting for 2",
        ),
        status(
            "stellate/shop/berlin",
            StatusState::Pending,
            "published as 89abcde",
        ),
        status(
            "stellate/shop/paris",
            StatusState::Pending,
            "published as 89abcde",
        ),
    ];
    first.want(&sha, pending);
    settle(&runtime, &first);
    let end = vec![
        status(
            "stellate/shop",
            StatusState::Failure,
            "1/2 failing: paris (Deployment.apps shop/web: ImagePullBackOff)",
        ),
        status("stellate/shop/berlin", StatusState::Success, "healthy"),
        status(
            "stellate/shop/paris",
            StatusState::Failure,
            "degraded: Deployment.apps shop/web: ImagePullBackOff",
        ),
    ];
    first.want(&sha, end.clone());
    settle(&runtime, &first);
    let all = all_on_gitea(&gitea, &repository, &sha);
    let names: Vec<(&str, &str)> = all
        .iter()
        .map(|(name, state, _)| (name.as_str(), state.as_str()))
        .collect();
    let wanted = [
        ("stellate/shop", "pending"),
        ("stellate/shop/berlin", "pending"),
        ("stellate/shop/paris", "pending"),
        ("stellate/shop", "failure"),
        ("stellate/shop/paris", "failure"),
        ("stellate/shop/berlin", "success"),
    ];
    assert_eq!(names, wanted);
    assert_eq!(first.counters().outcomes["posted"], 6);
    drop(first);

    // Another process: it reads first, and finds that there is nothing to say.
    let second = sink(&runtime, config.clone());
    second.want(&sha, end);
    settle(&runtime, &second);
    assert_eq!(all_on_gitea(&gitea, &repository, &sha).len(), 6);
    assert_eq!(second.counters().outcomes, BTreeMap::from([("read", 1)]));
    assert_eq!(second.problem(), None);
    let posted = runtime.block_on(Forge::new(config).list(&sha)).unwrap();
    let url = posted[0].status.target_url.as_deref();
    assert_eq!(url, Some("https://stellate.example.com/#/pipelines/shop"));
}

#[test]
fn gitea_keeps_more_statuses_than_fit_one_page_and_one_of_them_is_closed() {
    let gitea = need!(Gitea::shared());
    let runtime = Runtime::new().unwrap();
    let (repository, sha) = commit(&gitea, "status-pages");
    let config = on_gitea(&gitea, &repository, gitea.token());
    let first = sink(&runtime, config.clone());
    let many: Vec<CommitStatus> = (0..70)
        .map(|wec| {
            status(
                &format!("stellate/shop/wec{wec:02}"),
                StatusState::Pending,
                "published",
            )
        })
        .chain([status(
            "stellate/shop",
            StatusState::Pending,
            "waiting for 70",
        )])
        .collect();
    first.want(&sha, many);
    settle(&runtime, &first);
    drop(first);
    let second = sink(&runtime, config.clone());
    second.close(
        &sha,
        |context| context.starts_with("stellate/shop"),
        "superseded by 89abcde",
    );
    settle(&runtime, &second);
    let posted = runtime.block_on(Forge::new(config).list(&sha)).unwrap();
    assert_eq!(posted.len(), 71);
    let closed = (StatusState::Success, "superseded by 89abcde".to_owned());
    assert!(
        shown(&posted).values().all(|shown| *shown == closed),
        "{posted:#?}"
    );
    assert!(posted.iter().all(|posted| posted.times == 2));
}

#[test]
fn gitea_refuses_in_words_that_say_what_to_do_and_never_show_the_token() {
    let gitea = need!(Gitea::shared());
    let runtime = Runtime::new().unwrap();
    let (repository, sha) = commit(&gitea, "status-refused");
    let ask = |config: ForgeConfig, sha: &str| {
        let forge = Forge::new(config);
        let wanted = status("stellate/shop", StatusState::Success, "healthy");
        let error = runtime.block_on(forge.post(sha, &wanted)).unwrap_err();
        let text = format!("{error} {error:?} {:?}", error.help());
        assert!(
            !text.contains(TOKEN) && !text.contains(gitea.token()),
            "{text}"
        );
        error
    };
    let wrong = ask(on_gitea(&gitea, &repository, TOKEN), &sha);
    assert_eq!(wrong.reason(), "Unauthorized", "{wrong}");
    let nowhere = ask(on_gitea(&gitea, "stella/nowhere", gitea.token()), &sha);
    assert_eq!(nowhere.reason(), "RepositoryNotFound", "{nowhere}");
    let unknown = ask(on_gitea(&gitea, &repository, gitea.token()), SHA);
    assert_eq!(unknown.reason(), "UnknownCommit", "{unknown}");
}

#[test]
fn a_comment_on_a_pull_request_of_gitea_is_edited_in_place() {
    let gitea = need!(Gitea::shared());
    let runtime = Runtime::new().unwrap();
    let (repository, _) = commit(&gitea, "status-comment");
    let file =
        json!({"content": "Yg==", "message": "two", "branch": "main", "new_branch": "change"});
    let path = format!("/repos/{repository}/contents/b.txt");
    assert_eq!(gitea.api("POST", &path, Some(&file)).0, 201);
    let pull = json!({"head": "change", "base": "main", "title": "change"});
    let (code, pull) = gitea.api("POST", &format!("/repos/{repository}/pulls"), Some(&pull));
    assert_eq!(code, 201, "{pull}");
    let number = pull["number"].as_u64().unwrap();
    let sink = sink(&runtime, on_gitea(&gitea, &repository, gitea.token()));
    for text in ["2 WECs change", "3 WECs change", "3 WECs change"] {
        sink.want_comment(number, "stellate shop", text.into());
        settle(&runtime, &sink);
    }
    let path = format!("/repos/{repository}/issues/{number}/comments");
    let (_, comments) = gitea.api("GET", &path, None);
    let bodies: Vec<&str> = comments
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|comment| comment["body"].as_str())
        .collect();
    assert_eq!(bodies, ["<!-- stellate shop -->\n3 WECs change"]);
}

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

/// GitLab, as far as its commit statuses are documented: jobs with a state machine, in pages of two.
fn gitlab() -> Double {
    let mut jobs: Vec<Value> = Vec::new();
    Double::start(move |asked: &Asked| {
        let statuses = format!("/api/v4/projects/acme%2Fshop/statuses/{SHA}");
        let list = format!("/api/v4/projects/acme%2Fshop/repository/commits/{SHA}/statuses");
        if asked.method == "GET" && asked.path == list {
            let page: usize = asked
                .query
                .split('&')
                .find_map(|part| part.strip_prefix("page="))
                .map_or(1, |page| page.parse().unwrap());
            assert!(asked.query.contains("ref=main"), "{}", asked.query);
            let shown: Vec<&Value> = jobs.iter().skip((page - 1) * 2).take(2).collect();
            let mut headers = Vec::new();
            if page * 2 < jobs.len() {
                headers.push(format!("Link: <https://gitlab.example.com/wrong?ref=main&per_page=2&page={}>; rel=\"next\"", page + 1));
            }
            return Reply::Answer(200, headers, json!(shown).to_string());
        }
        if asked.method != "POST" || asked.path != statuses {
            return Reply::json(404, &json!({"message": "404 Project Not Found"}));
        }
        let (name, state) = (&asked.body["name"], asked.body["state"].as_str().unwrap());
        assert!(
            ["pending", "running", "success", "failed", "canceled"].contains(&state),
            "{state}"
        );
        assert_eq!(asked.body["ref"], "main");
        let open = jobs
            .iter_mut()
            .rev()
            .find(|job| job["name"] == *name && job["status"] == "pending");
        match open {
            Some(_) if state == "pending" => {
                let text = "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via \"enqueue\")";
                return Reply::json(400, &json!({"message": text}));
            }
            Some(job) => {
                job["status"] = json!(state);
                job["description"] = asked.body["description"].clone();
            }
            None => {
                let id = jobs.len() + 1;
                jobs.push(json!({"id": id, "name": name, "status": state, "description": asked.body["description"], "target_url": asked.body["target_url"]}));
            }
        }
        Reply::json(201, &json!({}))
    })
}

#[test]
fn gitlab_is_told_in_its_own_states_and_its_state_machine_is_no_failure() {
    let runtime = Runtime::new().unwrap();
    let double = gitlab();
    let config = config(
        ForgeKind::GitLab,
        &double.url(),
        ForgeLogin::Token(token_file(TOKEN)),
    );
    let first = sink(&runtime, config.clone());
    for text in ["waiting for 3", "waiting for 2"] {
        first.want(
            SHA,
            vec![
                status("stellate/shop", StatusState::Pending, text),
                status("stellate/shop/a", StatusState::Success, "healthy"),
                status(
                    "stellate/shop/b",
                    StatusState::Error,
                    "failed: no such chart",
                ),
            ],
        );
        settle(&runtime, &first);
    }
    assert_eq!(first.problem(), None);
    let posted = runtime
        .block_on(Forge::new(config.clone()).list(SHA))
        .unwrap();
    let shown = shown(&posted);
    let states: Vec<StatusState> = shown.values().map(|(state, _)| *state).collect();
    assert_eq!(
        states,
        [
            StatusState::Pending,
            StatusState::Success,
            StatusState::Failure
        ],
        "all pages are read"
    );
    let before = double.asked_to("POST").len();
    drop(first);
    let second = sink(&runtime, config);
    second.want(
        SHA,
        vec![
            status("stellate/shop", StatusState::Failure, "1/3 failing"),
            status("stellate/shop/a", StatusState::Success, "healthy"),
            status(
                "stellate/shop/b",
                StatusState::Error,
                "failed: no such chart",
            ),
        ],
    );
    settle(&runtime, &second);
    assert_eq!(
        double.asked_to("POST").len(),
        before + 1,
        "an error is a failure there, and not told again"
    );
}

/// Bitbucket, as far as its build statuses are documented; of both kinds.
fn bitbucket() -> Double {
    let mut builds: BTreeMap<String, Value> = BTreeMap::new();
    Double::start(move |asked: &Asked| {
        let cloud = format!("/repositories/acme/shop/commit/{SHA}/statuses");
        let server = format!("/rest/build-status/1.0/commits/{SHA}");
        if asked.method == "GET" && (asked.path == cloud || asked.path == server) {
            let number = |name: &str| {
                asked
                    .query
                    .split('&')
                    .find_map(|part| part.strip_prefix(name))
                    .map_or(0, |text| text.parse::<usize>().unwrap())
            };
            let start = if asked.path == cloud {
                number("page=")
            } else {
                number("start=")
            };
            let shown: Vec<&Value> = builds.values().skip(start).take(1).collect();
            let host = asked
                .head
                .lines()
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap();
            let mut page = json!({"values": shown, "isLastPage": start + 1 >= builds.len()});
            if start + 1 < builds.len() {
                page["nextPageStart"] = json!(start + 1);
                if asked.path == cloud {
                    page = json!({"values": shown, "next": format!("http://{host}{cloud}?page={}", start + 1)});
                }
            }
            return Reply::json(200, &page);
        }
        let body = &asked.body;
        let key = body["key"].as_str().unwrap_or_default();
        let good = asked.method == "POST"
            && (asked.path == format!("{cloud}/build") || asked.path == server)
            && (1..=40).contains(&key.len())
            && body["url"]
                .as_str()
                .is_some_and(|url| url.starts_with("http"))
            && ["SUCCESSFUL", "FAILED", "INPROGRESS"]
                .contains(&body["state"].as_str().unwrap_or_default());
        if !good {
            return Reply::json(
                400,
                &json!({"type": "error", "error": {"message": "Bad request"}}),
            );
        }
        builds.insert(key.to_owned(), body.clone());
        Reply::json(201, body)
    })
}

#[test]
fn bitbucket_is_told_by_keys_that_fit_and_with_a_url() {
    let runtime = Runtime::new().unwrap();
    let cases = [
        (
            ForgeKind::BitbucketCloud,
            ForgeLogin::Token(token_file(TOKEN)),
            format!("authorization: bearer {TOKEN}"),
        ),
        (
            ForgeKind::BitbucketServer,
            ForgeLogin::User("stella".into(), token_file("secret")),
            "authorization: basic c3rlbgxhonnly3jlda==".into(),
        ),
    ];
    for (kind, login, header) in cases {
        let double = bitbucket();
        let config = config(kind, &double.url(), login);
        let wanted = || {
            vec![
                CommitStatus {
                    target_url: None,
                    ..status("stellate/shop", StatusState::Pending, "waiting for 2")
                },
                status(
                    "stellate/shop/a-wec-whose-name-is-too-long-for-a-key-1",
                    StatusState::Pending,
                    "published",
                ),
                status(
                    "stellate/shop/a-wec-whose-name-is-too-long-for-a-key-2",
                    StatusState::Error,
                    "failed",
                ),
            ]
        };
        let first = sink(&runtime, config.clone());
        first.want(SHA, wanted());
        settle(&runtime, &first);
        assert_eq!(first.problem(), None);
        assert!(
            double
                .asked()
                .iter()
                .all(|asked| asked.head.contains(&header)),
            "{:?}",
            double.asked()
        );
        drop(first);
        let second = sink(&runtime, config.clone());
        second.want(SHA, wanted());
        settle(&runtime, &second);
        assert_eq!(double.asked_to("POST").len(), 3, "read back by their names");
        let posted = runtime.block_on(Forge::new(config).list(SHA)).unwrap();
        let wanted: Vec<String> = wanted().into_iter().map(|status| status.context).collect();
        assert_eq!(shown(&posted).into_keys().collect::<Vec<_>>(), wanted);
    }
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
