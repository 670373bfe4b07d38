use axum::http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::try_from(*value).unwrap(),
        )
    };
    lines.iter().map(line).collect()
}

/// The header in which a forge names its events.
fn header(forge: Forge) -> &'static str {
    match forge {
        Forge::GitHub => "x-github-event",
        Forge::GitLab => "x-gitlab-event",
        Forge::Gitea => "x-gitea-event",
        Forge::Bitbucket => "x-event-key",
    }
}

fn event(forge: Forge, name: &str, body: &Value) -> Result<Event, String> {
    let headers = headers(&[(header(forge), name)]);
    parse(forge, &headers, body.to_string().as_bytes()).map_err(|error| error.to_string())
}

fn pushed(forge: Forge, name: &str, body: &Value) -> Push {
    match event(forge, name, body) {
        Ok(Event::Push(push)) => push,
        other => panic!("{other:?}"),
    }
}

fn proposed(forge: Forge, name: &str, body: &Value) -> PullRequest {
    match event(forge, name, body) {
        Ok(Event::PullRequest(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn moved(reference: &str, before: Option<&str>, after: Option<&str>) -> RefChange {
    RefChange {
        reference: reference.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    }
}

fn github_push() -> Value {
    json!({
        "ref": "refs/heads/main", "before": OLD, "after": NEW,
        "commits": [{"id": NEW, "added": ["a.yaml"]}],
        "repository": {
            "clone_url": "https://github.com/acme/shop.git",
            "ssh_url": "git@github.com:acme/shop.git",
            "html_url": "https://github.com/acme/shop",
        },
    })
}

fn github_pull_request() -> Value {
    json!({
        "action": "synchronize", "number": 7,
        "pull_request": {
            "state": "open",
            "head": {"ref": "more-shops", "sha": NEW},
            "base": {"ref": "main", "sha": OLD},
        },
        "repository": {"clone_url": "https://github.com/acme/shop.git"},
    })
}

fn gitlab_push() -> Value {
    json!({
        "object_kind": "push", "event_name": "push",
        "ref": "refs/heads/main", "before": OLD, "after": NEW, "checkout_sha": NEW,
        "project": {
            "git_http_url": "https://gitlab.com/acme/shop.git",
            "git_ssh_url": "git@gitlab.com:acme/shop.git",
            "web_url": "https://gitlab.com/acme/shop",
        },
        "commits": [], "total_commits_count": 21,
    })
}

fn gitlab_merge_request() -> Value {
    json!({
        "object_kind": "merge_request",
        "project": {"git_http_url": "https://gitlab.com/acme/shop.git"},
        "object_attributes": {
            "iid": 7, "state": "opened", "source_branch": "more-shops", "target_branch": "main",
            "last_commit": {"id": NEW},
        },
    })
}

fn cloud_repository() -> Value {
    json!({"full_name": "acme/shop", "links": {"html": {"href": "https://bitbucket.org/acme/shop"}}})
}

fn cloud_push() -> Value {
    let reference = |kind: &str, name: &str, hash: &str| json!({"type": kind, "name": name, "target": {"type": "commit", "hash": hash}});
    json!({
        "push": {"changes": [
            {"old": reference("branch", "main", OLD), "new": reference("branch", "main", NEW), "truncated": true},
            {"old": null, "new": reference("tag", "v1", NEW), "created": true},
            {"old": reference("branch", "gone", OLD), "new": null, "closed": true},
        ]},
        "repository": cloud_repository(),
    })
}

fn cloud_pull_request() -> Value {
    json!({
        "pullrequest": {
            "id": 7, "state": "OPEN",
            "source": {"branch": {"name": "more-shops"}, "commit": {"hash": "222222222222"}},
            "destination": {"branch": {"name": "main"}, "commit": {"hash": "111111111111"}},
        },
        "repository": cloud_repository(),
    })
}

fn center_repository() -> Value {
    json!({"slug": "shop", "links": {"clone": [
        {"name": "ssh", "href": "ssh://git@bitbucket.example.com:7999/acme/shop.git"},
        {"name": "http", "href": "https://bitbucket.example.com/scm/acme/shop.git"},
    ]}})
}

fn center_push() -> Value {
    json!({
        "eventKey": "repo:refs_changed", "repository": center_repository(),
        "changes": [
            {"refId": "refs/heads/main", "fromHash": OLD, "toHash": NEW, "type": "UPDATE"},
            {"refId": "refs/heads/gone", "fromHash": OLD, "toHash": ZERO, "type": "DELETE"},
        ],
    })
}

fn center_pull_request() -> Value {
    json!({
        "eventKey": "pr:opened",
        "pullRequest": {
            "id": 7, "state": "OPEN",
            "fromRef": {"id": "refs/heads/more-shops", "latestCommit": NEW, "repository": {"slug": "fork"}},
            "toRef": {"id": "refs/heads/main", "latestCommit": OLD, "repository": center_repository()},
        },
    })
}

/// A payload of each kind, with the event it goes by.
fn payloads() -> Vec<(Forge, &'static str, Value)> {
    vec![
        (Forge::GitHub, "push", github_push()),
        (Forge::GitHub, "pull_request", github_pull_request()),
        (Forge::Gitea, "push", github_push()),
        (Forge::Gitea, "pull_request", github_pull_request()),
        (Forge::GitLab, "Push Hook", gitlab_push()),
        (Forge::GitLab, "Merge Request Hook", gitlab_merge_request()),
        (Forge::Bitbucket, "repo:push", cloud_push()),
        (
            Forge::Bitbucket,
            "pullrequest:updated",
            cloud_pull_request(),
        ),
        (Forge::Bitbucket, "repo:refs_changed", center_push()),
        (Forge::Bitbucket, "pr:opened", center_pull_request()),
    ]
}

#[test]
fn a_push_names_the_repository_and_what_moved() {
    let github = pushed(Forge::GitHub, "push", &github_push());
    assert_eq!(
        github.urls,
        [
            "https://github.com/acme/shop.git",
            "git@github.com:acme/shop.git",
            "https://github.com/acme/shop"
        ]
    );
    let main = [moved("refs/heads/main", Some(OLD), Some(NEW))];
    assert_eq!(github.changes, main);
    let gitlab = pushed(Forge::GitLab, "Push Hook", &gitlab_push());
    assert_eq!(gitlab.changes, main);
    assert_eq!(gitlab.urls.len(), 3);
}

#[test]
fn every_reference_of_a_push_is_read_and_not_only_the_first() {
    assert_eq!(
        pushed(Forge::Bitbucket, "repo:push", &cloud_push()).changes,
        [
            moved("refs/heads/main", Some(OLD), Some(NEW)),
            moved("refs/tags/v1", None, Some(NEW)),
            moved("refs/heads/gone", Some(OLD), None),
        ]
    );
    let center = pushed(Forge::Bitbucket, "repo:refs_changed", &center_push());
    assert_eq!(
        center.changes,
        [
            moved("refs/heads/main", Some(OLD), Some(NEW)),
            moved("refs/heads/gone", Some(OLD), None),
        ]
    );
    assert!(center.changes[1].deleted());
    let body = json!({
        "event_name": "repository_update", "project": gitlab_push()["project"],
        "changes": [
            {"ref": "refs/heads/main", "before": OLD, "after": NEW},
            {"ref": "refs/tags/v1", "before": ZERO, "after": NEW},
        ],
    });
    let gitlab = pushed(Forge::GitLab, "System Hook", &body);
    assert_eq!(gitlab.changes[1], moved("refs/tags/v1", None, Some(NEW)));
}

#[test]
fn bitbucket_clouds_repository_is_known_by_its_page_and_its_ssh_address() {
    assert_eq!(
        pushed(Forge::Bitbucket, "repo:push", &cloud_push()).urls,
        [
            "https://bitbucket.org/acme/shop",
            "git@bitbucket.org:acme/shop.git"
        ]
    );
}

#[test]
fn a_deleted_branch_has_no_after_and_a_new_one_no_before() {
    let mut body = github_push();
    body["after"] = ZERO.into();
    let deleted = &pushed(Forge::GitHub, "push", &body).changes[0];
    assert!(deleted.deleted());
    let mut body = github_push();
    body["before"] = ZERO.into();
    assert_eq!(pushed(Forge::GitHub, "push", &body).changes[0].before, None);
}

#[test]
fn gitea_tells_of_a_deletion_in_an_event_of_its_own() {
    let mut body = github_push();
    (body["ref"], body["ref_type"]) = ("gone".into(), "branch".into());
    let gone = pushed(Forge::Gitea, "delete", &body).changes;
    assert_eq!(gone, [moved("refs/heads/gone", None, None)]);
    body["ref_type"] = "tag".into();
    let gone = pushed(Forge::Gitea, "delete", &body).changes;
    assert_eq!(gone, [moved("refs/tags/gone", None, None)]);
}

#[test]
fn a_pull_request_is_read_alike_from_every_forge() {
    for (forge, name, body) in payloads() {
        if let Ok(Event::PullRequest(request)) = event(forge, name, &body) {
            assert_eq!(request.number, 7, "{name}");
            assert!(NEW.starts_with(&request.head), "{name}");
            assert_eq!(request.head_reference, "refs/heads/more-shops", "{name}");
            assert_eq!(request.base_reference, "refs/heads/main", "{name}");
            assert!(request.open, "{name}");
        }
    }
    let mut merged = gitlab_merge_request();
    merged["object_attributes"]["state"] = "merged".into();
    assert!(!proposed(Forge::GitLab, "Merge Request Hook", &merged).open);
    assert!(!proposed(Forge::Bitbucket, "pr:deleted", &center_pull_request()).open);
}

#[test]
fn pings_are_pings_and_other_events_are_ignored() {
    let ping = event(Forge::GitHub, "ping", &json!({"zen": "…", "hook_id": 1}));
    assert_eq!(ping, Ok(Event::Ping));
    let ping = event(Forge::Bitbucket, "diagnostics:ping", &json!({"test": true}));
    assert_eq!(ping, Ok(Event::Ping));
    for (forge, name) in [
        (Forge::GitHub, "issues"),
        (Forge::Gitea, "pull_request_comment"),
        (Forge::GitLab, "Pipeline Hook"),
        (Forge::Bitbucket, "repo:fork"),
    ] {
        let ignored = event(forge, name, &json!({}));
        assert!(matches!(ignored, Ok(Event::Ignored(_))), "{name}");
    }
    let body = json!({"event_name": "project_create"});
    let ignored = event(Forge::GitLab, "System Hook", &body);
    assert!(matches!(ignored, Ok(Event::Ignored(_))));
}

#[test]
fn a_delivery_is_known_by_the_id_that_it_keeps_when_it_is_sent_again() {
    let id =
        |forge, lines: &[(&'static str, &str)]| delivery(forge, &headers(lines)).map(str::to_owned);
    let known = Some("a".to_owned());
    assert_eq!(id(Forge::GitHub, &[("x-github-delivery", "a")]), known);
    assert_eq!(
        id(
            Forge::Gitea,
            &[("x-gitea-delivery", "a"), ("x-github-delivery", "b")]
        ),
        known
    );
    assert_eq!(id(Forge::Bitbucket, &[("x-request-uuid", "a")]), known);
    assert_eq!(
        id(
            Forge::GitLab,
            &[("webhook-id", "b"), ("idempotency-key", "a")]
        ),
        known
    );
    // Pushes in answer to a push share this one.
    assert_eq!(id(Forge::GitLab, &[("x-gitlab-event-uuid", "a")]), None);
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |change: fn(&mut Value)| {
        let mut body = github_push();
        change(&mut body);
        event(Forge::GitHub, "push", &body).unwrap_err()
    };
    let said = wrong(|body| drop(body.as_object_mut().unwrap().remove("after")));
    assert!(said.starts_with("missing field `after`"), "{said}");
    let said = wrong(|body| body["ref"] = Value::Null);
    assert!(
        said.starts_with("invalid type: null, expected a string"),
        "{said}"
    );
    assert_eq!(
        wrong(|body| body["ref"] = "main".into()),
        "\"main\" is no full name of a reference"
    );
    assert_eq!(
        wrong(|body| body["after"] = "HEAD".into()),
        "\"HEAD\" is no commit id"
    );
    assert_eq!(
        wrong(|body| body["repository"] = json!({"clone_url": null})),
        "the repository has no address"
    );
}

#[test]
fn a_reason_is_one_line_and_short_whatever_was_sent() {
    let mut body = github_push();
    body["ref"] = format!("x\n{}", "y".repeat(100_000)).into();
    let said = event(Forge::GitHub, "push", &body).unwrap_err();
    assert!(said.len() < 500 && !said.contains('\n'), "{said}");
}

#[test]
fn a_push_of_more_changes_than_sense_is_refused_while_it_is_read() {
    let changes = vec![json!({}); MOST_CHANGES + 1];
    let body = json!({"push": {"changes": changes}, "repository": cloud_repository()});
    let said = event(Forge::Bitbucket, "repo:push", &body).unwrap_err();
    assert!(said.contains("a list of at most 10000 changes"), "{said}");
}

/// All places of a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(Value::from(ZERO)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What every answer keeps to, whatever was sent.
fn check(found: &Result<Event, String>) {
    match found {
        Ok(Event::Push(push)) => {
            assert!(!push.urls.is_empty() && !push.changes.is_empty());
            let id = |id: &Option<String>| id.as_ref().is_none_or(|id| id.len() >= 40);
            for change in &push.changes {
                assert!(change.reference.starts_with("refs/"));
                assert!(id(&change.before) && id(&change.after));
            }
        }
        Ok(Event::PullRequest(request)) => {
            assert!(!request.urls.is_empty());
            assert!(request.head.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        Ok(_) => {}
        Err(said) => assert!(!said.is_empty() && !said.contains('\n')),
    }
}

proptest! {
    #[test]
    fn a_field_that_is_anything_at_all_never_panics(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        new in anything(),
        remove in any::<bool>(),
    ) {
        let all = payloads();
        let (forge, name, mut body) = all[which.index(all.len())].clone();
        let mut found = Vec::new();
        places(&body, "", &mut found);
        let place = &found[place.index(found.len())];
        let (parent, field) = place.rsplit_once('/').unwrap_or(("", ""));
        match body.pointer_mut(parent).and_then(Value::as_object_mut) {
            Some(parent) if remove => drop(parent.remove(field)),
            _ => *body.pointer_mut(place).unwrap() = new,
        }
        check(&event(forge, name, &body));
    }

    #[test]
    fn bytes_that_are_no_payload_never_panic(
        which in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let all = payloads();
        let (forge, name, body) = &all[which.index(all.len())];
        let mut bytes = body.to_string().into_bytes();
        let at = cut.index(bytes.len());
        bytes.splice(at..(at + noise.len()).min(bytes.len()), noise.iter().copied());
        let headers = headers(&[(header(*forge), *name)]);
        check(&parse(*forge, &headers, &bytes).map_err(|error| error.to_string()));
        drop(parse(*forge, &headers, &bytes[..at]));
    }
}

#[test]
fn fields_that_are_not_needed_may_be_anything() {
    for (forge, name, mut body) in payloads() {
        let before = event(forge, name, &body);
        body["sender"] = json!([null, {"deep": [1, "x"]}]);
        body["commits"] = Value::Null;
        assert_eq!(event(forge, name, &body), before, "{name}");
    }
}

#[test]
fn nesting_without_end_is_refused_and_not_followed() {
    for (forge, name, _) in payloads() {
        let headers = headers(&[(header(forge), name)]);
        let deep = format!("{{\"x\":{}", "[".repeat(1_000_000));
        assert!(parse(forge, &headers, deep.as_bytes()).is_err());
    }
}
