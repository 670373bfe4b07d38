//! `stellate run`: the service, from its configuration to its end.
//!
//! ```text
//! configuration ─▶ plans ─▶ Service ─┬─▶ server (API, page, webhooks)
//!        ▲ file changes, SIGHUP      └─▶ sinks (commit statuses)
//! ```

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::cache::CacheArgument;
use super::error::CliError;
#[cfg(feature = "otlp")]
use super::otlp;
use super::rotation::Rotation;
use super::terminal::Terminal;
use super::{Ending, cache_lock, logs, problems};
use crate::api_server::Connection;
use crate::config;
use crate::git::{FileStamp, Secret};
use crate::model::{Diagnostic, Severity};
use crate::reconcile::service::{Hub, HubOptions, Options, Plan, Service, Sinks, findings};
use crate::server::service::Mailroom;
use crate::server::webhooks::{self, Door, Doors, Hooks};
use crate::server::{self, ServerOptions, TlsFiles, Tokens};

/// What is said of a configuration with an error, and of what happens then.
const UNUSABLE: &str = "the configuration cannot be used";
const STAYS: &str = "the old configuration stays in force";
/// How often the configuration file is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The namespace of the leases when nothing is said: that of the account for which `stellate rbac` prints roles.
const LEASES: &str = "stellate";
/// How long statuses that are still to be posted may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Run the service: follow pipelines, publish, take reports, post commit statuses
#[derive(Args)]
pub(super) struct Arguments {
    /// The pipelines; read again when the file changes, and on SIGHUP [default: stellate.yaml, and with --hub none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run the Pipeline objects of an API server too, and share all pipelines with other replicas by leases there
    #[arg(long, help_heading = "Hub")]
    hub: bool,
    /// Its kubeconfig [default: where kubectl looks for it, and in a pod its own account]
    #[arg(long, value_name = "FILE", requires = "hub", help_heading = "Hub")]
    hub_kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", requires = "hub", help_heading = "Hub")]
    hub_context: Option<String>,
    /// The namespace of the leases [default: stellate]
    #[arg(long, value_name = "NAME", requires = "hub", help_heading = "Hub")]
    lease_namespace: Option<String>,
    /// Where to listen
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8383",
        env = "STELLATE_LISTEN"
    )]
    listen: SocketAddr,
    /// A file with the secret of webhooks; twice while it is rotated
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    webhook_secret_file: Vec<PathBuf>,
    /// An environment variable with the secret of webhooks
    #[arg(long, value_name = "NAME", help_heading = "Access")]
    webhook_secret_env: Vec<String>,
    /// A file with the secret of reports by Flux and Argo CD; twice while it is rotated [default: the secret of webhooks]
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    report_secret_file: Vec<PathBuf>,
    /// An environment variable with the secret of reports by Flux and Argo CD
    #[arg(long, value_name = "NAME", help_heading = "Access")]
    report_secret_env: Vec<String>,
    /// A file with a token for the API; twice while it is rotated
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    api_token_file: Vec<PathBuf>,
    /// An environment variable with a token for the API
    #[arg(long, value_name = "NAME", help_heading = "Access")]
    api_token_env: Vec<String>,
    /// The URL at which people see this service, for links; that of a pipeline's `status` wins
    #[arg(long, value_name = "URL", env = "STELLATE_URL")]
    url: Option<String>,
    /// The server's certificate (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        help_heading = "Access"
    )]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Access"
    )]
    tls_key: Option<PathBuf>,
    /// Whose client certificates are as good as a token (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Access"
    )]
    client_ca: Option<PathBuf>,
    /// Take webhooks without a secret, and serve the API to everybody
    #[arg(long, help_heading = "Access")]
    insecure: bool,
    /// Serve CPU and heap profiles
    #[arg(long)]
    profiling: bool,
    #[command(flatten)]
    cache: CacheArgument,
    #[command(flatten)]
    logs: logs::LogArguments,
    #[cfg(feature = "otlp")]
    #[command(flatten)]
    otlp: otlp::OtlpArguments,
}

/// Runs until told to stop.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let plans = load(arguments, terminal)?;
    let options = arguments.server()?;
    options.check()?;
    let tls = options.tls.as_ref().map(server::tls).transpose()?;
    let tls = tls.map(axum_server::tls_rustls::RustlsConfig::from_config);
    let doors = arguments.doors()?;
    let cache = arguments.cache()?;
    let _held = cache_lock::hold(&cache)?;
    let listener = TcpListener::bind(options.listen).map_err(|error| {
        CliError::message(format!("cannot listen on {}: {error}", options.listen))
            .hint("another process may have that port: choose another with --listen")
    })?;
    #[cfg(feature = "otlp")]
    let traces = otlp::Traces::start(&arguments.otlp)?;
    #[cfg(feature = "otlp")]
    let others = traces.iter().map(otlp::Traces::layer).collect();
    #[cfg(not(feature = "otlp"))]
    let others = Vec::new();
    logs::start(&arguments.logs, others)?;
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(error).context("cannot start"))?;
    let sinks = Arc::new(Sinks::new(runtime.handle().clone()));
    let service = Service::new(Options {
        runtime: runtime.handle().clone(),
        cache,
        sinks: Box::new({
            let sinks = Arc::clone(&sinks);
            move |plan| sinks.of(plan)
        }),
    });
    let inbox = Box::new(Mailroom(Arc::clone(&service)));
    let hooks = Hooks::new(&doors, inbox, webhooks::Limits::default())
        .map_err(|error| CliError::message(error.to_string()).hint(error.help()))?;
    let hooks = Arc::new(hooks);
    let rotation = Rotation::new(arguments, options.tokens.clone(), Arc::clone(&hooks));
    let router = server::router(Arc::clone(&service) as _, &options)
        .merge(webhooks::router(Arc::clone(&hooks)));
    tracing::info!(
        address = %listener.local_addr().unwrap_or(options.listen),
        version = env!("CARGO_PKG_VERSION"),
        pipelines = plans.len(),
        "listening"
    );
    let hub = begin(arguments, &runtime, &service, plans)?;
    let stop = CancellationToken::new();
    let serving = runtime.spawn(server::serve(listener, router, tls, stop.clone()));
    runtime.block_on(async {
        tokio::select! {
            () = follow(arguments, &service, hub.as_ref(), rotation) => {}
            () = count(&service, &sinks, &hooks) => {}
        }
    });
    tracing::info!("stopping: what is being pushed is finished first");
    let leases = hub.map(|hub| runtime.block_on(hub.stop()));
    service.stop();
    if let Some(leases) = leases {
        runtime.block_on(leases.release());
    }
    runtime.block_on(sinks.idle(LAST_WORDS));
    stop.cancel();
    let served = runtime.block_on(serving);
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        traces.end();
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    match served {
        Ok(Ok(())) => Ok(Ending::Done),
        Ok(Err(error)) => Err(CliError::new(error).context("the server stopped")),
        Err(error) => Err(CliError::new(error).context("the server stopped")),
    }
}

/// Has the service run what is configured, and on a hub what that says.
fn begin(
    arguments: &Arguments,
    runtime: &Runtime,
    service: &Arc<Service>,
    plans: Vec<Plan>,
) -> Result<Option<Hub>, CliError> {
    let Some(options) = arguments.hub() else {
        service.run(plans);
        return Ok(None);
    };
    let hub = runtime.block_on(Hub::start(service, options, plans));
    hub.map(Some).map_err(|error| {
        CliError::message(error.to_string())
            .context("cannot use the hub")
            .hint(error.help())
    })
}

/// What stands in the configuration.
#[derive(Default)]
struct Configuration {
    plans: Vec<Plan>,
    /// What is wrong with it; with an error among it nothing of it counts.
    found: Vec<Diagnostic>,
    text: Vec<u8>,
}

/// Reads the configuration at the start; what is wrong with it is told in full.
fn load(arguments: &Arguments, terminal: &Terminal) -> Result<Vec<Plan>, CliError> {
    let Configuration { plans, found, text } = read(arguments)?;
    if !found.is_empty() {
        let all: Vec<&Diagnostic> = found.iter().collect();
        let of_file = |_: &Diagnostic| Some(config::masked(&text));
        terminal.say(&problems::text(&all, &of_file, terminal.talk()));
    }
    if found.iter().any(|found| found.severity == Severity::Error) {
        return Err(CliError::message(UNUSABLE));
    }
    Ok(plans)
}

/// Reads the configuration again; what is wrong with it goes into the log, on one line. None when the old one stays.
fn reload(arguments: &Arguments) -> Option<Vec<Plan>> {
    let configuration = match read(arguments) {
        Ok(configuration) => configuration,
        Err(error) => {
            tracing::error!("{STAYS}: {}", error.summary());
            return None;
        }
    };
    let Configuration { plans, found, .. } = configuration;
    let details: Vec<String> = found.iter().map(problems::on_one_line).collect();
    let details = details.join("; ");
    if found.iter().any(|found| found.severity == Severity::Error) {
        tracing::error!(details, "{STAYS}: {UNUSABLE}");
        return None;
    }
    if found.is_empty() {
        tracing::info!(pipelines = plans.len(), "the configuration was read again");
    } else {
        tracing::warn!(
            pipelines = plans.len(),
            details,
            "the configuration was read again"
        );
    }
    Some(plans)
}

fn read(arguments: &Arguments) -> Result<Configuration, CliError> {
    let Some(path) = arguments.config() else {
        return Ok(Configuration::default());
    };
    let shown = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| {
        CliError::message(format!("cannot read the configuration {shown}: {error}"))
            .hint("write one, as docs/configuration.md says, and name it with --config FILE")
    })?;
    let base = path.parent().unwrap_or(Path::new(""));
    // The same wherever the service is started: paths tell what is remembered of which source.
    let absolute = Path::new(".").join(base).canonicalize();
    let base = absolute.as_deref().unwrap_or(base);
    let (plans, found) = plans(arguments, base, &shown, &text);
    Ok(Configuration { plans, found, text })
}

/// What a configuration's text means.
fn plans(
    arguments: &Arguments,
    base: &Path,
    shown: &str,
    text: &[u8],
) -> (Vec<Plan>, Vec<Diagnostic>) {
    let written = match config::load(shown, text) {
        Ok(written) => written,
        Err(found) => return (Vec::new(), found),
    };
    let mut found = Vec::new();
    let mut plans = Vec::new();
    for written in &written {
        let (resolved, more) = config::resolve(written, base, shown, text);
        found.extend(findings(&resolved, more));
        found.extend(
            resolved
                .status
                .iter()
                .flat_map(|status| status.problems.iter().cloned()),
        );
        plans.push(Plan::new(resolved, arguments.address()));
    }
    (plans, found)
}

/// Waits for the end; meanwhile reads the configuration again when it changes, or when told to.
async fn follow(
    arguments: &Arguments,
    service: &Arc<Service>,
    hub: Option<&Hub>,
    mut rotation: Rotation,
) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        tracing::error!("signals cannot be heard");
        return;
    };
    let look_at = || arguments.config().map(FileStamp::of);
    let mut seen = look_at();
    let mut look = tokio::time::interval(LOOK);
    loop {
        let told = tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hang_up.recv() => true,
            _ = look.tick() => false,
        };
        rotation.look(arguments);
        let now = look_at();
        if told || now != seen {
            seen = now;
            let Some(plans) = reload(arguments) else {
                continue;
            };
            if let Some(hub) = hub {
                hub.configure(plans);
                continue;
            }
            let service = Arc::clone(service);
            let running = tokio::task::spawn_blocking(move || service.run(plans));
            if running.await.is_err() {
                tracing::error!("the new configuration could not be taken up");
            }
        }
    }
}

/// Hands what sinks and webhooks count to the metrics, once in a while. Never ends.
async fn count(service: &Service, sinks: &Sinks, hooks: &Hooks) {
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        let metrics = service.metrics();
        for counter in hooks.counters() {
            metrics.webhooks(counter.sender, counter.outcome.word(), counter.requests);
        }
        sinks.count(metrics);
    }
}

impl Arguments {
    /// The file with pipelines; with a hub there need not be one.
    fn config(&self) -> Option<&Path> {
        let usual = (!self.hub).then_some(Path::new(config::FILE));
        self.config.as_deref().or(usual)
    }

    /// Where people see this service.
    fn address(&self) -> Option<&str> {
        self.url.as_deref().map(|url| url.trim_end_matches('/'))
    }

    fn hub(&self) -> Option<HubOptions> {
        self.hub.then(|| HubOptions {
            connection: Connection {
                kubeconfig: self.hub_kubeconfig.clone(),
                context: self.hub_context.clone(),
            },
            namespace: self
                .lease_namespace
                .clone()
                .unwrap_or_else(|| LEASES.to_owned()),
            // A pod's is its name.
            replica: std::env::var("HOSTNAME").unwrap_or_else(|_| "stellate".to_owned()),
            address: self.address().map(str::to_owned),
        })
    }

    fn server(&self) -> Result<ServerOptions, CliError> {
        let tls = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        Ok(ServerOptions {
            listen: self.listen,
            tokens: Tokens::new(self.tokens()?),
            tls: tls.map(|(certificate, key)| TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: self.client_ca.clone(),
            }),
            profiling: self.profiling,
            insecure: self.insecure,
        })
    }

    /// The tokens of the API, as they are now.
    pub(super) fn tokens(&self) -> Result<Vec<Secret>, CliError> {
        secrets(&self.api_token_file, &self.api_token_env)
    }

    /// The files of the server's own secrets.
    pub(super) fn secret_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.api_token_file
            .iter()
            .chain(&self.webhook_secret_file)
            .chain(&self.report_secret_file)
    }

    /// Who may send webhooks, and who may report: whoever has the secret. Without one nobody may start it by mistake.
    pub(super) fn doors(&self) -> Result<Doors, CliError> {
        let forges = secrets(&self.webhook_secret_file, &self.webhook_secret_env)?;
        let agents = secrets(&self.report_secret_file, &self.report_secret_env)?;
        if forges.is_empty() && agents.is_empty() && !self.insecure {
            return Err(CliError::message("there is no secret for webhooks").hint(
                "name one with --webhook-secret-file FILE or --webhook-secret-env NAME, or say --insecure to take webhooks from everybody",
            ));
        }
        let door = |secrets: &[Secret]| match (secrets.is_empty(), self.insecure) {
            (false, _) => Door::Guarded(secrets.to_vec()),
            (true, true) => Door::Insecure,
            (true, false) => Door::Closed,
        };
        let reports = if agents.is_empty() { &forges } else { &agents };
        Ok(Doors {
            git: door(&forges),
            flux: door(reports),
            argocd: door(reports),
        })
    }

    fn cache(&self) -> Result<PathBuf, CliError> {
        self.cache.folder().ok_or_else(|| {
            CliError::message("there is no folder for the cache")
                .hint("name one with --cache-dir DIR")
        })
    }
}

fn secrets(files: &[PathBuf], variables: &[String]) -> Result<Vec<Secret>, CliError> {
    let files = files.iter().map(|path| Secret::from_file(path));
    let variables = variables.iter().map(|name| Secret::from_environment(name));
    let secrets: Result<Vec<Secret>, _> = files.chain(variables).collect();
    Ok(secrets?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// What each of the three doors asks for.
    fn doors(words: &[&str]) -> Result<[Option<String>; 3], CliError> {
        let line = Line::parse_from([&["run"], words].concat());
        let doors = line.arguments.doors()?;
        let secret = |door: Door| match door {
            Door::Guarded(secrets) => Some(secrets[0].expose().to_owned()),
            Door::Closed => None,
            Door::Insecure => Some(String::new()),
        };
        Ok([doors.git, doors.flux, doors.argocd].map(secret))
    }

    #[test]
    fn reports_have_a_secret_of_their_own_or_that_of_webhooks() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |secret: &str| {
            let path = folder.path().join(secret);
            std::fs::write(&path, secret).expect("written");
            path.display().to_string()
        };
        let (forge, agent) = (file("forge"), file("agent"));
        let (webhooks, reports) = (
            ["--webhook-secret-file", &forge],
            ["--report-secret-file", &agent],
        );
        let asked = |words: &[&str]| {
            let doors = doors(words).expect("doors");
            doors.map(|secret| secret.unwrap_or_else(|| "closed".to_owned()))
        };
        assert_eq!(
            asked(&[webhooks, reports].concat()),
            ["forge", "agent", "agent"]
        );
        assert_eq!(asked(&webhooks), ["forge", "forge", "forge"]);
        assert_eq!(asked(&reports), ["closed", "agent", "agent"]);
        assert_eq!(
            asked(&[&reports[..], &["--insecure"]].concat()),
            ["", "agent", "agent"]
        );
        assert!(doors(&[]).is_err());
    }
}
