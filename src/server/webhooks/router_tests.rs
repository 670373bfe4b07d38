use std::sync::Mutex;

use aws_lc_rs::hmac;
use axum::{
    body::to_bytes,
    http::{Request, StatusCode},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::{
    git::Secret,
    server::webhooks::{Door, Doors, Inbox, Limits, PullRequest, Push},
};

const SECRET: &str = "secret";
const NEW: &str = "2222222222222222222222222222222222222222";

/// What came in, and what is answered to all of it.
struct Seen {
    taken: Mutex<Taken>,
    seen: Mutex<Vec<String>>,
}

struct Recorder(Arc<Seen>);

impl Recorder {
    fn note(&self, line: String) -> Taken {
        self.0.seen.lock().unwrap().push(line);
        *self.0.taken.lock().unwrap()
    }
}

impl Inbox for Recorder {
    fn push(&self, push: &Push) -> Taken {
        self.note(format!("push {}", push.changes[0].reference))
    }

    fn pull_request(&self, request: &PullRequest) -> Taken {
        self.note(format!("pull request {}", request.number))
    }

    fn reports(&self, pipeline: &str, reports: Vec<Report>) -> Taken {
        self.note(format!("{pipeline} {}", reports[0].cluster))
    }
}

struct Server {
    hooks: Arc<Hooks>,
    seen: Arc<Seen>,
}

struct Reply {
    status: u16,
    retry_after: Option<String>,
    body: Value,
}

fn server() -> Server {
    let seen = Arc::new(Seen {
        taken: Mutex::new(Taken::Queued),
        seen: Mutex::new(Vec::new()),
    });
    let guarded = || Door::Guarded(vec![Secret::new(SECRET)]);
    let doors = Doors {
        git: guarded(),
        flux: guarded(),
        argocd: Door::Closed,
    };
    let limits = Limits {
        bytes: 100_000,
        ..Limits::default()
    };
    let hooks = Hooks::new(&doors, Box::new(Recorder(Arc::clone(&seen))), limits).unwrap();
    Server {
        hooks: Arc::new(hooks),
        seen,
    }
}

impl Server {
    async fn send(&self, path: &str, lines: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::post(path);
        if !lines.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = router(Arc::clone(&self.hooks)).oneshot(request).await;
        let response = response.unwrap();
        let retry_after = response.headers().get("retry-after");
        Reply {
            status: response.status().as_u16(),
            retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
            body: serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap())
                .unwrap_or_default(),
        }
    }

    /// A push as GitHub sends it, rightly signed.
    async fn push(&self, delivery: &str, body: &Value) -> Reply {
        let body = body.to_string();
        let lines = [
            ("x-github-event", "push"),
            ("x-github-delivery", delivery),
            ("x-hub-signature-256", &sign(&body)),
        ];
        self.send("/hooks/git", &lines, body).await
    }

    fn answer_with(&self, taken: Taken) {
        *self.seen.taken.lock().unwrap() = taken;
    }

    fn seen(&self) -> Vec<String> {
        self.seen.seen.lock().unwrap().clone()
    }

    fn counted(&self) -> Vec<String> {
        let counters = self.hooks.counters().into_iter();
        counters
            .map(|one| format!("{} {} {}", one.sender, one.outcome.word(), one.requests))
            .collect()
    }
}

fn sign(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let digits: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256={digits}")
}

fn a_push() -> Value {
    json!({"ref": "refs/heads/main", "before": NEW, "after": NEW, "repository": {"clone_url": "https://g/a/b"}})
}

#[tokio::test]
async fn a_push_is_answered_at_once_and_is_in_the_inbox() {
    let server = server();
    let reply = server.push("1", &a_push()).await;
    assert_eq!(
        (reply.status, reply.body),
        (202, json!({"outcome": "queued"}))
    );
    assert_eq!(server.seen(), ["push refs/heads/main"]);
    assert_eq!(server.counted(), ["github queued 1"]);
}

#[tokio::test]
async fn a_forged_or_missing_signature_is_refused_without_a_word_why() {
    let server = server();
    let body = a_push().to_string();
    let forged = sign("another body");
    let cases: [&[(&str, &str)]; 4] = [
        &[("x-github-event", "push")],
        &[
            ("x-github-event", "push"),
            ("x-hub-signature-256", "sha256=00"),
        ],
        &[("x-github-event", "push"), ("x-hub-signature-256", &forged)],
        &[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "wrong")],
    ];
    for lines in cases {
        let reply = server.send("/hooks/git", lines, body.clone()).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.body, json!({"outcome": "unauthenticated"}));
    }
    // Not even that the body is nonsense is said to a stranger.
    let reply = server.send("/hooks/git", cases[2], "{").await;
    assert_eq!(reply.status, 401);
    assert_eq!(server.seen(), [""; 0]);
    assert_eq!(
        server.counted(),
        ["github unauthenticated 4", "gitlab unauthenticated 1"]
    );
}

#[tokio::test]
async fn a_delivery_that_comes_again_does_nothing_twice() {
    let server = server();
    assert_eq!(server.push("1", &a_push()).await.status, 202);
    let again = server.push("1", &a_push()).await;
    assert_eq!(
        (again.status, again.body),
        (202, json!({"outcome": "repeated"}))
    );
    assert_eq!(
        server.push("2", &a_push()).await.body,
        json!({"outcome": "queued"})
    );
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_delivery_that_found_no_room_gets_in_when_it_comes_again() {
    let server = server();
    server.answer_with(Taken::Full);
    let full = server.push("1", &a_push()).await;
    assert_eq!(
        (full.status, full.retry_after.as_deref()),
        (503, Some("10"))
    );
    server.answer_with(Taken::Queued);
    assert_eq!(
        server.push("1", &a_push()).await.body,
        json!({"outcome": "queued"})
    );
}

#[tokio::test]
async fn a_push_that_concerns_nobody_is_taken_all_the_same() {
    let server = server();
    server.answer_with(Taken::NotConcerned);
    let reply = server.push("1", &a_push()).await;
    assert_eq!(
        (reply.status, reply.body),
        (202, json!({"outcome": "notConcerned"}))
    );
}

#[tokio::test]
async fn a_genuine_body_that_cannot_be_read_is_a_400_with_the_reason() {
    let server = server();
    let mut body = a_push();
    body["after"] = Value::Null;
    let reply = server.push("1", &body).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body["reason"].as_str().unwrap().contains("null"));
    assert_eq!(server.seen(), [""; 0]);
}

#[tokio::test]
async fn a_ping_is_answered_with_200() {
    let server = server();
    let lines = [
        ("x-github-event", "ping"),
        ("x-hub-signature-256", &sign("{}")),
    ];
    assert_eq!(server.send("/hooks/git", &lines, "{}").await.status, 200);
}

#[tokio::test]
async fn only_json_that_is_not_compressed_is_read() {
    let server = server();
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-github-event", "push"),
    ];
    assert_eq!(
        server.send("/hooks/git", &form, "payload=").await.status,
        415
    );
    let packed = [("content-encoding", "gzip"), ("x-github-event", "push")];
    assert_eq!(server.send("/hooks/git", &packed, "x").await.status, 415);
    let utf8 = [
        ("content-type", "Application/JSON; charset=utf-8"),
        ("x-github-event", "ping"),
        ("x-hub-signature-256", &sign("{}")),
    ];
    assert_eq!(server.send("/hooks/git", &utf8, "{}").await.status, 200);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let server = server();
    let mut body = a_push();
    let room = 100_000 - body.to_string().len() - r#","x":"""#.len();
    body["x"] = "y".repeat(room).into();
    assert_eq!(body.to_string().len(), 100_000);
    assert_eq!(server.push("1", &body).await.status, 202);
    body["x"] = "y".repeat(room + 1).into();
    assert_eq!(server.push("2", &body).await.status, 413);
}

#[tokio::test]
async fn a_door_that_is_closed_is_not_there() {
    let server = server();
    let reply = server
        .send(
            "/hooks/argocd/shop",
            &[("authorization", "Bearer secret")],
            "{}",
        )
        .await;
    assert_eq!(reply.status, 404);
    let none = Hooks::new(
        &Doors::default(),
        Box::new(Recorder(Arc::clone(&server.seen))),
        Limits::default(),
    );
    let closed = router(Arc::new(none.unwrap()));
    let request = Request::post("/hooks/git").body(Body::empty()).unwrap();
    assert_eq!(
        closed.oneshot(request).await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_request_without_a_forges_headers_is_a_400() {
    let server = server();
    let reply = server.send("/hooks/git", &[], "{}").await;
    assert_eq!(reply.status, 400);
    assert_eq!(server.counted(), ["unknown malformed 1"]);
}

#[tokio::test]
async fn flux_reports_under_the_pipeline_and_the_wec_of_the_address() {
    let server = server();
    let event = json!({
        "involvedObject": {"kind": "Kustomization", "namespace": "flux-system", "name": "shop",
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1"},
        "severity": "info", "reason": "ReconciliationSucceeded", "message": "Reconciliation finished",
        "timestamp": "2026-10-01T10:00:00Z",
        "metadata": {"kustomize.toolkit.fluxcd.io/revision": format!("generated@sha1:{NEW}")},
    });
    let event = event.to_string();
    let lines = [("x-signature", sign(&event))];
    let lines: Vec<(&str, &str)> = lines
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let reply = server
        .send("/hooks/flux/shop/berlin", &lines, event.clone())
        .await;
    assert_eq!(reply.status, 202);
    assert_eq!(server.seen(), ["shop berlin"]);
    let reply = server.send("/hooks/flux/shop", &lines, event.clone()).await;
    assert_eq!(reply.status, 400);
    server.answer_with(Taken::NotConcerned);
    let reply = server.send("/hooks/flux/bank/berlin", &lines, event).await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.body["reason"], "no such pipeline or WEC");
}
