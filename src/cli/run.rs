//! `stellate run`: the service, from its configuration to its end.
//!
//! ```text
//! configuration ─▶ plans ─▶ Service ─┬─▶ server (API, page, webhooks)
//!        ▲ file changes, SIGHUP      └─▶ sinks (commit statuses)
//! ```

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::terminal::Terminal;
use super::{Ending, logs, problems};
use crate::config;
use crate::git::Secret;
use crate::model::{Diagnostic, Severity};
use crate::reconcile::service::{Options, Plan, Service};
use crate::server::webhooks::Hooks;
use crate::server::{self, ServerOptions, TlsFiles};
use crate::status::forge::sink::Sinks;

/// How often the configuration file is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long statuses that are still to be posted may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Run the service: follow pipelines, publish, take reports, post commit statuses
#[derive(Args)]
pub(super) struct Arguments {
    /// The pipelines
    #[arg(long, value_name = "FILE", default_value = config::FILE)]
    config: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8383", env = "STELLATE_LISTEN")]
    listen: SocketAddr,
    /// A file with the secret of webhooks; twice while it is rotated
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    webhook_secret_file: Vec<PathBuf>,
    /// An environment variable with the secret of webhooks
    #[arg(long, value_name = "NAME", help_heading = "Access")]
    webhook_secret_env: Vec<String>,
    /// A file with a token for the API; twice while it is rotated
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    api_token_file: Vec<PathBuf>,
    /// An environment variable with a token for the API
    #[arg(long, value_name = "NAME", help_heading = "Access")]
    api_token_env: Vec<String>,
    /// The server's certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Access")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Access")]
    tls_key: Option<PathBuf>,
    /// Whose client certificates are as good as a token (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Access")]
    client_ca: Option<PathBuf>,
    /// Take webhooks without a secret, and serve the API to everybody
    #[arg(long, help_heading = "Access")]
    insecure: bool,
    /// Serve CPU and heap profiles
    #[arg(long)]
    profiling: bool,
    /// Keep what may be deleted at any time in this folder
    #[arg(long, value_name = "DIR", env = "STELLATE_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    #[command(flatten)]
    logs: logs::Arguments,
}

/// Runs until told to stop.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let plans = load(&arguments.config, terminal)?;
    logs::start(&arguments.logs, terminal)?;
    let options = arguments.server()?;
    options.check().map_err(CliError::from_server)?;
    let tls = options.tls.as_ref().map(server::tls).transpose().map_err(CliError::from_server)?;
    let listener = TcpListener::bind(options.listen).map_err(|error| {
        CliError::message(format!("cannot listen on {}: {error}", options.listen))
            .hint("another process has that port: choose another with --listen")
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(error).context("cannot start"))?;
    let sinks = Arc::new(Sinks::new(runtime.handle().clone()));
    let service = Service::new(Options {
        cache: arguments.cache()?,
        sinks: Box::new({
            let sinks = Arc::clone(&sinks);
            move |plan| sinks.of(plan)
        }),
    });
    let hooks = Hooks::new(arguments.secrets()?, Box::new(server::Inbox::new(&service)), arguments.insecure);
    let router = server::router(Arc::clone(&service) as _, &options)
        .merge(server::webhooks::router(Arc::new(hooks?)));
    service.run(plans);
    let stop = CancellationToken::new();
    tracing::info!(address = %listener.local_addr().unwrap_or(options.listen), "listening");
    let serving = runtime.spawn(server::serve(listener, router, tls, stop.clone()));
    runtime.block_on(follow(&arguments.config, &service, terminal));
    tracing::info!("stopping: what is being pushed is finished first");
    service.stop();
    runtime.block_on(sinks.idle(LAST_WORDS));
    stop.cancel();
    drop(runtime.block_on(serving));
    Ok(Ending::Done)
}
