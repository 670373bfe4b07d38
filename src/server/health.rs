//! Whether the process works, whether it is of use yet, and what it counts.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::access::may_ask;
use super::problem::Problem;
use super::{Backend, Shared};
use crate::reconcile::metrics::CONTENT_TYPE;

/// `/healthz` and `/readyz`, which anybody may ask.
pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
}

/// `/metrics`.
pub(super) fn metrics() -> Router<Shared> {
    Router::new().route("/metrics", get(measure))
}

/// 200 when every pipeline that runs here has read its source and inventory; else says how many have not, and names them to whoever may ask.
async fn ready(State(shared): State<Shared>, request: Request) -> Response {
    let board = shared.backend.board();
    let waiting: Vec<&str> = board
        .pipelines
        .iter()
        .filter(|(_, pipeline)| !pipeline.ready && !pipeline.is_standby())
        .map(|(name, _)| name.as_str())
        .collect();
    if waiting.is_empty() {
        return "ok\n".into_response();
    }
    let detail = if may_ask(&shared, &request) {
        format!("not ready: {}", waiting.join(", "))
    } else {
        format!("not ready: {} of {}", waiting.len(), board.pipelines.len())
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NotReady", detail).into_response()
}

async fn measure(State(backend): State<Arc<dyn Backend>>) -> Response {
    match backend.metrics().encode(&backend.board()) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "MetricsFailed",
            error.to_string(),
        )
        .into_response(),
    }
}
