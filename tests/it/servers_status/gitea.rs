//! On a real Gitea: what stands there, in its own words.

use super::*;

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
