//! The addresses, and the way of one request through the checks. Thin: what decides is elsewhere.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use jiff::Timestamp;

use super::{
    Event, Forge, Hooks, Outcome, Sender, Taken,
    body::Held,
    parse::{self, Malformed},
    reports::{self, Said},
    verify::Proof,
};
use crate::status::Report;

/// Above this, verifying and parsing take long enough to be in the way of other requests.
const LONG: usize = 64 * 1024;

/// Serves `POST /hooks/git`, `/hooks/flux/{pipeline}`, `/hooks/flux/{pipeline}/{wec}` and `/hooks/argocd/{pipeline}`.
pub fn router(hooks: Arc<Hooks>) -> Router {
    Router::new()
        .route("/hooks/git", post(git))
        .route("/hooks/flux/{pipeline}", post(flux))
        .route("/hooks/flux/{pipeline}/{wec}", post(flux_of_wec))
        .route("/hooks/argocd/{pipeline}", post(argocd))
        .with_state(hooks)
}

/// Whom a request claims to be from, and where it came in.
struct Arrival {
    sender: Sender,
    /// The pipeline, where an agent reports.
    pipeline: String,
    /// The WEC, where the address names it.
    wec: Option<String>,
    delivery: Option<String>,
}

/// What is answered: the outcome, and a reason for people.
struct Answer {
    outcome: Outcome,
    reason: Option<String>,
}

async fn git(State(hooks): State<Arc<Hooks>>, headers: HeaderMap, body: Body) -> Response {
    if hooks.guard(Sender::Forge(Forge::Gitea)).is_none() {
        return respond(&hooks, None, None, Outcome::NotFound.into());
    }
    let Some(forge) = Forge::of(&headers) else {
        let reason = "no header of GitHub, GitLab, Gitea, Forgejo or Bitbucket says what it is";
        let answer = Answer::because(Outcome::Malformed, reason);
        return respond(&hooks, None, None, answer);
    };
    let arrival = Arrival {
        sender: Sender::Forge(forge),
        pipeline: String::new(),
        wec: None,
        delivery: parse::delivery(forge, &headers).map(str::to_owned),
    };
    take(hooks, arrival, headers, body).await
}

async fn flux(
    State(hooks): State<Arc<Hooks>>,
    Path(pipeline): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    take(
        hooks,
        Arrival::agent(Sender::Flux, pipeline, None),
        headers,
        body,
    )
    .await
}

async fn flux_of_wec(
    State(hooks): State<Arc<Hooks>>,
    Path((pipeline, wec)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let arrival = Arrival::agent(Sender::Flux, pipeline, Some(wec));
    take(hooks, arrival, headers, body).await
}

async fn argocd(
    State(hooks): State<Arc<Hooks>>,
    Path(pipeline): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let arrival = Arrival::agent(Sender::ArgoCd, pipeline, None);
    take(hooks, arrival, headers, body).await
}

impl Arrival {
    fn agent(sender: Sender, pipeline: String, wec: Option<String>) -> Self {
        Self {
            sender,
            pipeline,
            wec,
            delivery: None,
        }
    }

    /// Under which a delivery is remembered: forges do not share their ids.
    fn memory(&self) -> Option<String> {
        let delivery = self.delivery.as_ref()?;
        Some(format!("{} {delivery}", self.sender.word()))
    }
}

impl Answer {
    fn because(outcome: Outcome, reason: impl fmt::Display) -> Self {
        Self {
            outcome,
            reason: Some(reason.to_string()),
        }
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            reason: None,
        }
    }
}

impl From<Malformed> for Answer {
    fn from(malformed: Malformed) -> Self {
        Self::because(Outcome::Malformed, malformed)
    }
}

/// One request, from its headers to its answer.
async fn take(hooks: Arc<Hooks>, arrival: Arrival, headers: HeaderMap, body: Body) -> Response {
    let arrival = Arc::new(arrival);
    let answer = answer(&hooks, &arrival, headers, body).await;
    let answer = answer.unwrap_or_else(|refused| refused);
    respond(
        &hooks,
        Some(arrival.sender),
        arrival.delivery.as_deref(),
        answer,
    )
}

async fn answer(
    hooks: &Arc<Hooks>,
    arrival: &Arc<Arrival>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, Answer> {
    let guard = hooks.guard(arrival.sender).ok_or(Outcome::NotFound)?;
    if !is_json(&headers) {
        return Err(Outcome::NotJson.into());
    }
    let now = Timestamp::now();
    let proof = guard.proof(arrival.sender, &headers, now);
    let proof = proof.ok_or(Outcome::Unauthenticated)?;
    let declared = headers.get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    let held = Held::read(body, declared, &hooks.limits, &hooks.budget).await?;
    if held.bytes().len() <= LONG {
        return judge(hooks, arrival, &headers, &proof, &held, now);
    }
    let (hooks, arrival) = (Arc::clone(hooks), Arc::clone(arrival));
    let judged =
        tokio::task::spawn_blocking(move || judge(&hooks, &arrival, &headers, &proof, &held, now));
    judged
        .await
        .unwrap_or_else(|_| Err(Outcome::Overloaded.into()))
}

/// What a whole body comes to. Nothing in it is looked at before its signature was right.
fn judge(
    hooks: &Hooks,
    arrival: &Arrival,
    headers: &HeaderMap,
    proof: &Proof,
    held: &Held,
    now: Timestamp,
) -> Result<Answer, Answer> {
    let guard = hooks.guard(arrival.sender).ok_or(Outcome::NotFound)?;
    if !guard.holds(proof, held.bytes()) {
        return Err(Outcome::Unauthenticated.into());
    }
    let memory = arrival.memory();
    if memory.as_deref().is_some_and(|id| hooks.knows(id, now)) {
        return Err(Outcome::Repeated.into());
    }
    let wec = arrival.wec.as_deref();
    let answer = match arrival.sender {
        Sender::Forge(forge) => event(hooks, parse::parse(forge, headers, held.bytes())?),
        Sender::Flux => said(hooks, &arrival.pipeline, reports::flux(wec, held.bytes())?),
        Sender::ArgoCd => said(hooks, &arrival.pipeline, reports::argocd(held.bytes())?),
    };
    // Only what is in: a delivery that found no room must get in when it comes again.
    if let Some(id) = memory.filter(|_| answer.outcome == Outcome::Queued) {
        hooks.remember(&id, now);
    }
    Ok(answer)
}

fn event(hooks: &Hooks, event: Event) -> Answer {
    let taken = match event {
        Event::Ping => return Outcome::Ping.into(),
        Event::Ignored(why) => return Answer::because(Outcome::Ignored, why),
        Event::Push(push) => hooks.inbox.push(&push),
        Event::PullRequest(request) => hooks.inbox.pull_request(&request),
    };
    match taken {
        Taken::Queued => Outcome::Queued.into(),
        Taken::NotConcerned => Outcome::NotConcerned.into(),
        Taken::Full => Outcome::Full.into(),
    }
}

fn said(hooks: &Hooks, pipeline: &str, said: Said) -> Answer {
    let reports: Vec<Report> = match said {
        Said::Ignored(why) => return Answer::because(Outcome::Ignored, why),
        Said::Reports(reports) => reports,
    };
    match hooks.inbox.reports(pipeline, reports) {
        Taken::Queued => Outcome::Queued.into(),
        Taken::NotConcerned => Answer::because(Outcome::NotFound, "no such pipeline or WEC"),
        Taken::Full => Outcome::Full.into(),
    }
}

/// One line in the log, one more in the counters, and the answer.
fn respond(
    hooks: &Hooks,
    sender: Option<Sender>,
    delivery: Option<&str>,
    answer: Answer,
) -> Response {
    let Answer { outcome, reason } = answer;
    hooks.count(sender, outcome);
    tracing::info!(
        sender = sender.map_or("unknown", Sender::word),
        outcome = outcome.word(),
        // Debug: what comes from outside must not break the line.
        delivery = ?delivery.unwrap_or_default(),
        reason = ?reason.as_deref().unwrap_or_default(),
        "webhook"
    );
    let word = outcome.word();
    let body = match reason {
        None => format!(r#"{{"outcome":"{word}"}}"#),
        Some(reason) => serde_json::json!({"outcome": word, "reason": reason}).to_string(),
    };
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (outcome.status(), kind, body).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = outcome.retry_after() {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if matches!(
        outcome,
        Outcome::TooSlow | Outcome::TooLarge | Outcome::Overloaded
    ) {
        // What is still to come of the body is not waited for.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// JSON, and not compressed: a signature is over the bytes as they are, and a bomb must not unfold here.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let coding = headers.get(header::CONTENT_ENCODING);
    kind.eq_ignore_ascii_case("application/json")
        && coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
