//! What a status becomes on each forge, and what its answers are read as.

use serde_json::json;

use super::*;

fn config(kind: ForgeKind) -> ForgeConfig {
    ForgeConfig {
        kind,
        api: "https://forge.example.com/api".into(),
        page: "https://forge.example.com/acme/shop".into(),
        repository: "acme/shop".into(),
        reference: None,
        login: ForgeLogin::Token(SecretPlace::Environment("TOKEN".into())),
        timeout: Duration::from_secs(1),
    }
}

#[test]
fn a_status_is_made_such_as_the_forge_gives_it_back() {
    let status = CommitStatus {
        context: "stellate/shop".into(),
        state: StatusState::Error,
        description: "ä".repeat(300),
        target_url: None,
    };
    let github = config(ForgeKind::GitHub).fit(status.clone());
    assert_eq!(github.description.chars().count(), 140);
    assert_eq!(
        (github.state, &github.target_url),
        (StatusState::Error, &None)
    );
    assert_eq!(
        config(ForgeKind::GitLab).fit(status.clone()).state,
        StatusState::Failure
    );
    let bitbucket = config(ForgeKind::BitbucketCloud).fit(status);
    assert_eq!(
        bitbucket.target_url.as_deref(),
        Some("https://forge.example.com/acme/shop")
    );
}

#[test]
fn the_newest_of_each_name_counts_in_whatever_order_they_come() {
    let entry = |id: u64, state: &str| json!({"id": id, "context": "a", "state": state});
    let mut entries = vec![
        entry(3, "success"),
        entry(1, "pending"),
        entry(2, "failure"),
    ];
    entries.push(json!({"id": 9, "context": "b", "status": "warning", "target_url": "", "description": null}));
    let posted = newest_by_name(entries, github::read_status);
    assert_eq!(
        (posted[0].status.state, posted[0].times),
        (StatusState::Success, 3)
    );
    let other = &posted[1].status;
    assert_eq!(
        (other.state, &*other.description, &other.target_url),
        (StatusState::Failure, "", &None)
    );
}

#[test]
fn a_name_never_means_another_path() {
    assert_eq!(encode("feature/a b?c#d%"), "feature%2Fa%20b%3Fc%23d%25");
    assert_eq!(encode_parts("acme/../x"), "acme/../x");
    assert_eq!(encode_parts("acme/shop&y"), "acme/shop%26y");
}

#[test]
fn a_comment_is_found_by_its_beginning_alone() {
    let comments = [
        json!({"id": 1, "body": "quoted: <!-- stellate shop -->"}),
        json!({"id": 2, "body": "<!-- stellate shop -->\r\nold"}),
    ];
    let found = comment(&comments, "body", &marked("stellate shop", ""));
    assert_eq!(found, Some((2, "<!-- stellate shop -->\nold".into())));
    assert_eq!(
        comment(&comments, "body", &marked("stellate web", "")),
        None
    );
}
