//! Spans of the service → an OpenTelemetry collector, as OTLP over HTTP with protobuf. Only with the cargo feature `otlp`.
//!
//! A collector that is away costs spans and nothing else: they are kept for a moment, in bounded memory, and then dropped.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use clap::Args;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use ureq::Agent;

use super::error::CliError;
use super::logs::Layer;

/// How long a collector may take to answer, and the last spans to be sent at the end.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What collectors call us, unless `OTEL_SERVICE_NAME` says otherwise.
const NAME: &str = "stellate";

/// Where spans go.
#[derive(Args)]
pub(super) struct OtlpArguments {
    /// Send spans of all runs to an OpenTelemetry collector: its URL, to which /v1/traces is added
    #[arg(
        long,
        value_name = "URL",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        help_heading = "Logs"
    )]
    otlp_endpoint: Option<String>,
}

/// What sends spans while the service runs.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts sending; none when nobody wants spans.
    pub(super) fn start(arguments: &OtlpArguments) -> Result<Option<Self>, CliError> {
        let wanted = arguments.otlp_endpoint.as_deref();
        let Some(endpoint) = wanted.filter(|endpoint| !endpoint.is_empty()) else {
            return Ok(None);
        };
        let refused = |why: String| {
            CliError::message(format!("spans cannot be sent to {endpoint}: {why}"))
                .hint("name a collector as in http://localhost:4318")
        };
        let scheme = endpoint.split("://").next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            return Err(refused("it is no URL with http or https".to_owned()));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new()?)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| NAME.to_owned());
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name(name).build())
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self(provider)))
    }

    /// What hears of spans: runs and their stages, whatever is logged.
    pub(super) fn layer(&self) -> Layer {
        let spans = tracing_opentelemetry::layer().with_tracer(self.0.tracer(NAME));
        let ours = tracing_subscriber::filter::Targets::new()
            .with_target(NAME, LevelFilter::INFO)
            .with_default(LevelFilter::OFF);
        spans.with_filter(ours).boxed()
    }

    /// Sends what is left.
    pub(super) fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(TIMEOUT) {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }
}

/// HTTP as the rest of the program speaks it. Called on the exporter's own thread, which may wait.
#[derive(Debug)]
struct Client(Agent);

impl Client {
    fn new() -> Result<Self, CliError> {
        let tls = crate::git::trust(None)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("stellate/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Ok(Self(config.new_agent()))
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, body.to_vec());
        let (head, mut body) = self.0.run(request)?.into_parts();
        Ok(Response::from_parts(head, body.read_to_vec()?.into()))
    }
}

impl HttpClient for Client {
    // As the trait's macro writes it.
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        Box::pin(async move { self.send(request) })
    }
}
