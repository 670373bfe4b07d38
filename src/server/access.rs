//! Who may ask: a bearer token, or a client certificate that TLS has verified. And the headers that every answer carries.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Shared;
use super::listen::Peer;
use super::problem::Problem;

/// What the page may load: its own files, and the API beside them.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                              img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Lets a request pass that may ask, and answers 401 to others.
pub(super) async fn require(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    if may_ask(&shared, &request) {
        return next.run(request).await;
    }
    if shared.options.is_open() {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "ForeignOrigin",
            "without a token, only requests to this machine by its own name are answered",
        )
        .help("give the service a token, or ask for it as localhost or 127.0.0.1")
        .into_response();
    }
    let said = match given_token(request.headers()) {
        None => "a bearer token is needed",
        Some(_) => "the bearer token is not one of the service's",
    };
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized", said);
    let mut response = problem.into_response();
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"stellate\""),
    );
    response
}

/// Tells whether somebody may see everything.
pub(super) fn may_ask(shared: &Shared, request: &Request) -> bool {
    let options = &shared.options;
    let certified = request
        .extensions()
        .get::<Peer>()
        .is_some_and(|peer| peer.certified);
    if options.is_open() {
        options.insecure || comes_from_here(request)
    } else {
        certified || holds_token(request.headers(), options)
    }
}

/// Compares digests, all of them, so that the time tells nothing.
fn holds_token(headers: &HeaderMap, options: &super::ServerOptions) -> bool {
    let Some(given) = given_token(headers).map(|token| digest(&SHA256, token.as_bytes())) else {
        return false;
    };
    options.tokens.current().iter().fold(false, |found, token| {
        let known = digest(&SHA256, token.expose().as_bytes());
        found | verify_slices_are_equal(given.as_ref(), known.as_ref()).is_ok()
    })
}

/// The bearer token that came with a request.
fn given_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Tells requests of this machine from those that a foreign page makes a browser send: by a name of its own that leads here, or
/// by writing without asking.
fn comes_from_here(request: &Request) -> bool {
    let headers = request.headers();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| {
            request
                .uri()
                .authority()
                .map(axum::http::uri::Authority::as_str)
        });
    let Some(host) = host else {
        return false;
    };
    if !is_loopback(host) {
        return false;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    reads
        || origin.is_none_or(|origin| {
            origin
                .split_once("://")
                .is_some_and(|(_, authority)| authority == host)
        })
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Adds what keeps a browser from doing more with an answer than it should.
pub(super) async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
