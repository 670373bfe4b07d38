//! The service on a real Gitea: pushes, its signed webhooks, its statuses read back, its pull requests, its refusals.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    servers_pipeline::{GENERATED, Pipeline, Site, Web},
    support::{
        git::git,
        need,
        service::{Home, SECRET, a_while, report_flux},
        wait_for,
    },
};

#[test]
fn a_push_moves_the_generated_branch_and_its_statuses_follow_the_wecs() {
    let shop = need!(Pipeline::new("servicepush"));
    let home = home(&shop, "    reports: required\n");
    shop.write(&Web::BLUE);
    let first = shop.commit("open the shop");
    let service = home.start();
    hook(&shop, &home);
    service.expect(&first, "published");
    let generated = shop.reference("refs/heads/generated");
    let expected = format!(
        "published as {}; no report from the WEC yet",
        &generated[..10]
    );
    expect_statuses(
        &shop,
        &first,
        &[
            ("stellate/shop", "pending", "0/2 healthy, waiting for 2"),
            ("stellate/shop/fra1", "pending", &expected),
            ("stellate/shop/fra2", "pending", &expected),
        ],
    );
    report_flux(home.port(), "fra1", &generated);
    report_flux(home.port(), "fra2", &generated);
    expect_statuses(&shop, &first, &all_healthy());

    // A second push, told by the forge: only the WEC whose bytes changed is waited for.
    shop.write(&Web {
        fra2: Site::Coloured("red"),
        ..Web::BLUE
    });
    let second = shop.commit("red in fra2");
    let moved = wait_for("the branch to move", || {
        let now = shop.reference("refs/heads/generated");
        if now == generated { Err(now) } else { Ok(now) }
    });
    let expected = format!("published as {}; no report from the WEC yet", &moved[..10]);
    expect_statuses(
        &shop,
        &second,
        &[
            ("stellate/shop", "pending", "1/2 healthy, waiting for 1"),
            ("stellate/shop/fra1", "success", "healthy"),
            ("stellate/shop/fra2", "pending", &expected),
        ],
    );

    // A third one before the second came to an end: the second says by which it was superseded.
    shop.write(&Web {
        fra2: Site::Coloured("green"),
        ..Web::BLUE
    });
    let third = shop.commit("green in fra2");
    let by = format!("superseded by {}", &third[..10]);
    expect_statuses(
        &shop,
        &second,
        &[
            ("stellate/shop", "success", &by),
            ("stellate/shop/fra1", "success", "healthy"),
            ("stellate/shop/fra2", "success", &by),
        ],
    );
    let generated = shop.reference("refs/heads/generated");
    report_flux(home.port(), "fra2", &generated);
    expect_statuses(&shop, &third, &all_healthy());

    // Each push to main was one generated commit; the webhooks of our own pushes made none.
    assert_eq!(commits(&shop), 3);
    let told: BTreeMap<&String, usize> = [&first, &second, &third]
        .map(|commit| (commit, statuses(&shop, commit).len()))
        .into();
    let concerned = service.metric("stellate_webhooks_total");
    assert!(concerned >= 2.0, "the forge sent webhooks: {concerned}");

    // A webhook that is sent again, by the forge or by anybody who kept it, does nothing.
    let body = push_event(&shop, &second);
    assert_eq!(service.hook("push", "again-1", &body).0, 202);
    service.expect(&third, "healthy");
    let answer = service.hook("push", "again-1", &body);
    assert!(answer.0 == 200 || answer.0 == 202, "{answer:?}");
    a_while();
    assert_eq!(commits(&shop), 3);

    // Nor does a start: the forge is read before anything is posted.
    assert!(service.stop().success());
    let service = home.start();
    service.expect(&third, "healthy");
    a_while();
    assert!(service.stop().success());
    for (commit, count) in told {
        let now = statuses(&shop, commit);
        assert_eq!(now.len(), count, "{commit}: {now:#?}");
    }
    assert_eq!(commits(&shop), 3);
}

#[test]
fn a_pull_request_is_told_what_it_would_change_in_one_comment() {
    let shop = need!(Pipeline::new("servicepull"));
    let home = home(&shop, "");
    shop.write(&Web::BLUE);
    let first = shop.commit("open the shop");
    let service = home.start();
    hook(&shop, &home);
    service.expect(&first, "published");
    expect_statuses_to_end(&shop, &first);

    let head = propose(&shop, "red");
    let pull = json!({"base": "main", "head": "proposal", "title": "red in fra2"});
    let (code, answer) = api(&shop, "POST", "/pulls", Some(&pull));
    assert_eq!(code, 201, "{answer}");
    let comment = wait_for("the comment", || comments(&shop, &answer));
    assert!(
        comment.contains("-  colour: blue") && comment.contains("+  colour: red"),
        "{comment}"
    );
    assert!(
        comment.contains("fra2") && !comment.contains("fra1"),
        "{comment}"
    );
    expect_status(&shop, &head, "stellate/shop/preview", "success");

    let head = propose(&shop, "green");
    expect_status(&shop, &head, "stellate/shop/preview", "success");
    wait_for("the comment in its new words", || {
        let comment = comments(&shop, &answer)?;
        if comment.contains("+  colour: green") && !comment.contains("+  colour: red") {
            Ok(())
        } else {
            Err(comment)
        }
    });
    assert_eq!(commits(&shop), 1, "nothing of it was published");
    assert!(service.stop().success());
}

#[test]
fn a_wrong_token_is_said_in_plain_words_and_mended_without_a_restart() {
    let shop = need!(Pipeline::new("servicetoken"));
    let home = home(&shop, "");
    shop.write(&Web::BLUE);
    let first = shop.commit("open the shop");
    home.write("token", "0123456789012345678901234567890123456789");
    let service = home.start();
    let problem = service.expect_problem("Unauthorized");
    assert!(problem.contains("token"), "{problem}");
    assert!(
        !service.log().contains("0123456789012345"),
        "the token is in the log"
    );
    home.write("token", shop.gitea.token());
    service.expect(&first, "published");
    service.expect_well();
    expect_statuses_to_end(&shop, &first);

    // It expires while the service runs: the next push says so on the service, and is published once there is a new one.
    home.write("token", "0123456789012345678901234567890123456789");
    shop.write(&Web {
        fra2: Site::Coloured("red"),
        ..Web::BLUE
    });
    let second = shop.commit("red in fra2");
    service.sync();
    service.expect_problem("Unauthorized");
    home.write("token", shop.gitea.token());
    service.expect(&second, "published");
    service.expect_well();
    expect_statuses_to_end(&shop, &second);
    assert!(service.stop().success());
}

#[test]
fn a_protected_branch_is_said_in_plain_words_until_it_is_open() {
    let shop = need!(Pipeline::new("serviceprotected"));
    let home = home(&shop, "");
    shop.write(&Web::BLUE);
    let first = shop.commit("open the shop");
    let rule = json!({"rule_name": GENERATED, "enable_push": false});
    let (code, answer) = api(&shop, "POST", "/branch_protections", Some(&rule));
    assert_eq!(code, 201, "{answer}");
    let service = home.start();
    let problem = service.expect_problem("Protected");
    assert!(
        problem.contains("generated") && problem.contains("protect"),
        "{problem}"
    );
    expect_status(&shop, &first, "stellate/shop", "error");
    let (code, answer) = api(&shop, "DELETE", "/branch_protections/generated", None);
    assert_eq!(code, 204, "{answer}");
    service.sync();
    service.expect(&first, "published");
    service.expect_well();
    expect_statuses_to_end(&shop, &first);
    assert!(service.stop().success());
}

/// A service that follows a repository of Gitea and is told by webhooks only.
pub(crate) fn home(shop: &Pipeline, status: &str) -> Home {
    let home = Home::new(shop.name);
    home.write("token", shop.gitea.token());
    home.configure(&format!(
        "  source: {{git: {{url: '{}', ref: main, interval: 1h, credentials: {{token: {{file: token}}}}}}}}
  outputs: [{{branch: {{name: {GENERATED}}}}}]
  status:
    gitea: {{token: {{file: token}}}}
{status}",
        shop.url
    ));
    home
}

/// Has Gitea tell the service of pushes and pull requests.
pub(crate) fn hook(shop: &Pipeline, home: &Home) {
    let address = format!("http://127.0.0.1:{}/hooks/git", home.port());
    let wanted = json!({
        "type": "gitea", "active": true,
        "events": ["push", "pull_request", "pull_request_sync"],
        "config": {"url": address, "content_type": "json", "secret": SECRET},
    });
    let (code, answer) = api(shop, "POST", "/hooks", Some(&wanted));
    assert_eq!(code, 201, "{answer}");
}

/// What Gitea sends of a push to main, as far as it is read.
fn push_event(shop: &Pipeline, after: &str) -> Value {
    json!({
        "ref": "refs/heads/main", "before": "0".repeat(40), "after": after,
        "repository": {"full_name": format!("stella/{}", shop.name), "html_url": shop.url.trim_end_matches(".git"), "clone_url": shop.url},
    })
}

/// All statuses of a commit, the oldest first: name, state, description.
fn statuses(shop: &Pipeline, commit: &str) -> Vec<(String, String, String)> {
    let (code, answer) = api(
        shop,
        "GET",
        &format!("/commits/{commit}/statuses?limit=50"),
        None,
    );
    assert_eq!(code, 200, "{answer}");
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let status = ["context", "status", "description"].map(|field| text(entry, field));
            (entry["id"].as_u64(), status)
        })
        .collect();
    all.sort();
    all.into_iter()
        .map(|(_, [context, state, description])| (context, state, description))
        .collect()
}

/// The newest of each name.
pub(crate) fn shown(shop: &Pipeline, commit: &str) -> BTreeMap<String, (String, String)> {
    let all = statuses(shop, commit).into_iter();
    all.map(|(context, state, description)| (context, (state, description)))
        .collect()
}

fn all_healthy() -> [(&'static str, &'static str, &'static str); 3] {
    [
        ("stellate/shop", "success", "2 WECs healthy"),
        ("stellate/shop/fra1", "success", "healthy"),
        ("stellate/shop/fra2", "success", "healthy"),
    ]
}

pub(crate) fn expect_statuses(shop: &Pipeline, commit: &str, wanted: &[(&str, &str, &str)]) {
    let wanted: BTreeMap<String, (String, String)> = wanted
        .iter()
        .map(|(context, state, text)| {
            (
                (*context).to_owned(),
                ((*state).to_owned(), (*text).to_owned()),
            )
        })
        .collect();
    wait_for(&format!("{wanted:?} on {commit}"), || {
        let found = shown(shop, commit);
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    });
}

fn expect_status(shop: &Pipeline, commit: &str, context: &str, state: &str) {
    wait_for(&format!("{context} is {state} on {commit}"), || {
        let found = shown(shop, commit);
        match found.get(context) {
            Some((found, _)) if found == state => Ok(()),
            _ => Err(format!("{found:?}")),
        }
    });
}

/// Waits until a commit has its three statuses, all good.
fn expect_statuses_to_end(shop: &Pipeline, commit: &str) {
    for context in ["stellate/shop", "stellate/shop/fra1", "stellate/shop/fra2"] {
        expect_status(shop, commit, context, "success");
    }
}

/// How many commits the generated branch has in the forge.
fn commits(shop: &Pipeline) -> usize {
    let clone = shop.checkout(GENERATED);
    git(&clone, &["rev-list", "--count", "HEAD"])
        .parse()
        .unwrap()
}

/// The one comment on a pull request.
fn comments(shop: &Pipeline, pull: &Value) -> Result<String, String> {
    let path = format!("/issues/{}/comments", pull["number"]);
    let (_, answer) = api(shop, "GET", &path, None);
    match answer.as_array().map(Vec::as_slice) {
        Some([one]) => Ok(one["body"].as_str().unwrap_or_default().to_owned()),
        _ => Err(answer.to_string()),
    }
}

/// Pushes another colour for fra2 to the branch `proposal`; gives the commit.
fn propose(shop: &Pipeline, colour: &'static str) -> String {
    shop.write(&Web {
        fra2: Site::Coloured(colour),
        ..Web::BLUE
    });
    let commit = shop.source.commit_all(&format!("{colour} in fra2"));
    shop.source
        .git(&["push", "--quiet", "origin", "HEAD:proposal"]);
    commit
}

/// One call of the forge's API about the repository.
fn api(shop: &Pipeline, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let path = format!("/repos/stella/{}{path}", shop.name);
    shop.gitea.api(method, &path, body)
}
