//! What hosts answer, and what people read.

use super::*;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn place(kind: ForgeKind) -> Place {
    Place {
        kind,
        host: "forge.example.com".into(),
        repository: "acme/shop".into(),
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let header = |name: &str| {
        let found = headers.iter().find(|(header, _)| *header == name);
        found.map(|(_, value)| *value)
    };
    let mut answer = Answer::from_headers(status, 1_000_000, header);
    answer.body = body.into();
    answer
}

/// What GitHub's answer to a post means.
fn github(status: u16, headers: &[(&str, &str)], body: &str) -> ForgeError {
    let asked = Request::Post {
        sha: SHA,
        context: "stellate/shop",
    };
    place(ForgeKind::GitHub).failure(&answer(status, headers, body), asked)
}

#[test]
fn every_refusal_is_said_in_plain_words_with_a_way_out() {
    let cases = [
        (
            github(401, &[], r#"{"message": "Bad credentials"}"#),
            "Unauthorized",
            "has expired, was revoked or is wrong; it says: Bad credentials",
        ),
        (
            github(
                403,
                &[],
                r#"{"message": "Resource not accessible by integration"}"#,
            ),
            "Forbidden",
            "needed is the permission Commit statuses: write",
        ),
        (
            github(
                403,
                &[("x-accepted-github-permissions", "statuses=write")],
                "{}",
            ),
            "Forbidden",
            "needed is the permission statuses=write",
        ),
        (
            github(404, &[], r#"{"message": "Not Found"}"#),
            "RepositoryNotFound",
            "was renamed, removed, or is not visible",
        ),
        (
            github(
                422,
                &[],
                r#"{"message": "Validation Failed", "errors": [{"resource": "Status", "code": "custom", "message": "This SHA and context has reached the maximum number of statuses."}]}"#,
            ),
            "TooManyStatuses",
            "it keeps 1000 of each name",
        ),
        (
            github(422, &[], r#"{"message": "No commit found for SHA: 0123"}"#),
            "UnknownCommit",
            "does not have commit 0123456",
        ),
        (
            github(
                422,
                &[],
                r#"{"message": "Validation Failed", "errors": ["Description is too long (maximum is 140 characters)"]}"#,
            ),
            "Rejected",
            "Description is too long (maximum is 140 characters)",
        ),
        (
            github(429, &[("retry-after", "30")], ""),
            "RateLimited",
            "tried again in 30 s",
        ),
        (
            github(
                403,
                &[("retry-after", "600")],
                r#"{"message": "You have exceeded a secondary rate limit."}"#,
            ),
            "RateLimited",
            "tried again in 10 min",
        ),
        (
            github(
                403,
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "1000060"),
                ],
                r#"{"message": "API rate limit exceeded"}"#,
            ),
            "RateLimited",
            "tried again in 60 s",
        ),
        (
            github(502, &[], "<html>Bad gateway</html>"),
            "Unavailable",
            "a failure of its own (502)",
        ),
        (
            github(307, &[("location", "https://elsewhere.example.com/x")], ""),
            "RepositoryMoved",
            "moved to https://elsewhere.example.com/x",
        ),
        (
            github(
                301,
                &[("location", "/api/v1/repos/acme/shop2/commits/0123/statuses")],
                "",
            ),
            "RepositoryMoved",
            "acme/shop has moved to acme/shop2: change git.url",
        ),
        (
            github(
                301,
                &[(
                    "location",
                    "https://api.github.com/repositories/7/statuses/1",
                )],
                "",
            ),
            "RepositoryMoved",
            "moved to https://api.github.com/repositories/7/statuses/1",
        ),
        (
            place(ForgeKind::GitHub).failure(&answer(404, &[], ""), Request::Installation),
            "AppNotInstalled",
            "not installed on acme/shop",
        ),
        (
            place(ForgeKind::GitLab).failure(
                &answer(404, &[], r#"{"message": "404 Commit Not Found"}"#),
                Request::Read { sha: SHA },
            ),
            "UnknownCommit",
            "does not have commit",
        ),
        (
            place(ForgeKind::GitLab).failure(
                &answer(403, &[], r#"{"error": "insufficient_scope"}"#),
                Request::Read { sha: SHA },
            ),
            "Forbidden",
            "the scope api, and the role Developer",
        ),
        (
            place(ForgeKind::BitbucketCloud).failure(
                &answer(
                    400,
                    &[],
                    r#"{"type": "error", "error": {"message": "Bad request", "fields": {}}}"#,
                ),
                Request::Read { sha: SHA },
            ),
            "Rejected",
            "Bad request",
        ),
    ];
    for (error, reason, words) in cases {
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(words), "{error}\n{words}");
        assert!(error.help().is_some() || reason == "Rejected", "{error}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let seconds = |headers: &[(&str, &str)]| {
        github(429, headers, "")
            .retry_after()
            .map(|time| time.as_secs())
    };
    assert_eq!(seconds(&[("retry-after", "7")]), Some(7));
    // 1,000,000 s after 1970 is 13:46:40.
    assert_eq!(
        seconds(&[("retry-after", "Mon, 12 Jan 1970 13:47:40 GMT")]),
        Some(60)
    );
    assert_eq!(seconds(&[("retry-after", "soon")]), None);
    assert_eq!(
        seconds(&[
            ("x-ratelimit-remaining", "3"),
            ("x-ratelimit-reset", "1000060")
        ]),
        None
    );
    assert_eq!(
        seconds(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "999000")]),
        Some(0)
    );
}

#[test]
fn what_a_host_writes_cannot_make_a_message_lie_or_grow() {
    let long = format!(r#"{{"message": "a\nb\u001b[31m{}"}}"#, "x".repeat(5000));
    let said = github(401, &[], &long).to_string();
    assert!(
        said.len() < 400 && !said.contains(['\n', '\u{1b}']),
        "{said}"
    );
}

#[test]
fn the_next_page_is_named_by_a_link() {
    let links = r#"<https://h/x?page=1>; rel="prev", <https://h/x?page=3>; rel="next", <https://h/x?page=9>; rel="last""#;
    assert_eq!(
        answer(200, &[("link", links)], "").next.as_deref(),
        Some("https://h/x?page=3")
    );
    assert_eq!(
        answer(200, &[("link", r#"<https://h/x>; rel="last""#)], "").next,
        None
    );
}
