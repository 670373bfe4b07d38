//! The HTTP side of the service: what a [`Backend`] knows → health, metrics, an API, and a page that reads the API.
//!
//! ```text
//! /healthz /readyz          open
//! /metrics /api/v1 /debug   for whoever has a token or a client certificate
//! /                         the page: files only, open; what it shows it asks the API for
//! ```
//!
//! Nothing is decided here, and nothing is kept: every answer is read off the board, or off the generated commits.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;

use crate::model::{ClusterName, ObjectKey};
use crate::placement::Explanation;
use crate::reconcile::metrics::Metrics;
use crate::reconcile::service::Preview;
use crate::status::board::Board;

mod access;
pub mod api;
mod assets;
mod health;
pub mod listen;
mod options;
pub mod problem;
mod profile;
pub mod service;
pub mod webhooks;

pub use listen::{serve, tls};
pub use options::{ServerError, ServerOptions, TlsFiles, Tokens};

/// What the server asks of the service behind it. The answers are there at once, but for [`Backend::explain`].
pub trait Backend: Send + Sync + 'static {
    /// Where everything stands.
    fn board(&self) -> Arc<Board>;

    /// A number that changes whenever the board does.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The bare repository that holds the generated commits of a pipeline; none where it has none.
    fn repository(&self, pipeline: &str) -> Option<PathBuf>;

    /// Explains a placement by what was rendered last; none before anything was rendered. May take a while: it is called where
    /// waiting is allowed.
    fn explain(
        &self,
        pipeline: &str,
        object: &ObjectKey,
        cluster: Option<&ClusterName>,
    ) -> Option<Explanation>;

    /// What a pull request would change, as it was rendered last; none when it was not.
    fn preview(&self, pipeline: &str, number: u64) -> Option<Preview>;

    /// What pull requests would change, by number; those that were rendered last.
    fn previews(&self, pipeline: &str) -> Vec<Preview>;

    /// Asks for a run that lets a commit, by its whole id, remove as much as it does; tells whether there is such a pipeline.
    fn release(&self, pipeline: &str, commit: &str) -> bool;

    /// Asks for a run that lets a wave have a commit, by its whole id, before its turn; tells whether there is such a pipeline.
    fn open_wave(&self, pipeline: &str, commit: &str, wave: &str) -> bool;

    /// Asks for a run of a pipeline now, from scratch when `full`; tells whether there is such a pipeline.
    fn sync(&self, pipeline: &str, full: bool) -> bool;

    /// What is counted.
    fn metrics(&self) -> &Metrics;
}

/// What every handler can get at.
#[derive(Clone)]
struct Shared {
    backend: Arc<dyn Backend>,
    options: Arc<ServerOptions>,
}

impl FromRef<Shared> for Arc<dyn Backend> {
    fn from_ref(shared: &Shared) -> Self {
        Self::clone(&shared.backend)
    }
}

/// Everything that is served, but the webhooks: merge those into it.
pub fn router(backend: Arc<dyn Backend>, options: &ServerOptions) -> Router {
    let shared = Shared {
        backend,
        options: Arc::new(options.clone()),
    };
    let guarded = Router::new()
        .merge(api::router())
        .merge(health::metrics())
        .merge(profile::router(options.profiling))
        .layer(middleware::from_fn_with_state(
            shared.clone(),
            access::require,
        ));
    Router::new()
        .merge(guarded)
        .merge(health::router())
        .merge(assets::router())
        .fallback(problem::nothing_here)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(CompressionLayer::new())
        .layer(middleware::map_response(access::harden))
        .with_state(shared)
}
