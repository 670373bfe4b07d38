//! A server that is too busy says for how long to leave it alone: it is, by each request for itself.
//!
//! All who were refused at one moment would come back at one moment, and be refused again: each waits somewhat longer than it
//! was told, by chance. kube's own waiting doubles instead, far beyond what the server asks for.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use axum::http::{Request, Response, StatusCode, header};
use kube::client::Body;
use tokio::time::Instant;

/// A request waits no longer than this in all; then whoever sent it hears what the server says.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest single wait.
const LONGEST: Duration = Duration::from_secs(10);

/// How long a request still waits.
pub(super) struct Patience {
    until: Instant,
}

impl Patience {
    /// Begins with the request.
    pub(super) fn new() -> Self {
        Self {
            until: Instant::now() + PATIENCE,
        }
    }

    /// Gives the wait that the server asks for; none when it does not, or when patience has an end.
    pub(super) fn wait(&self, answer: &Response<Body>) -> Option<Duration> {
        let wait = asked(answer)?.min(LONGEST).mul_f64(1.0 + chance());
        (Instant::now() + wait <= self.until).then_some(wait)
    }
}

/// For how long the server wants to be left alone.
fn asked(answer: &Response<Body>) -> Option<Duration> {
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if !busy.contains(&answer.status()) {
        return None;
    }
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let number = RandomState::new().hash_one(0) >> 32;
    f64::from(u32::try_from(number).unwrap_or_default()) / f64::from(u32::MAX)
}

/// A request may be sent twice when its body is there as a whole.
pub(super) fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
