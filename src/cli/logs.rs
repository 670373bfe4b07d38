//! Logs of the service: text on a terminal, one JSON object a line otherwise; on standard error.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt};

use super::error::CliError;

/// How logs are written.
#[derive(Args)]
#[command(next_help_heading = "Logs")]
pub(super) struct LogArguments {
    /// What is logged: a level, or levels by part, such as `info,stellate::git=debug`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "STELLATE_LOG"
    )]
    log: String,
    /// How: text or json; text on a terminal and json otherwise when left out
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
}

/// The forms of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What hears of spans and events.
pub(super) type Layer = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

/// Starts writing logs, and telling whoever else wants to hear.
pub(super) fn start(arguments: &LogArguments, others: Vec<Layer>) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(&arguments.log).map_err(|error| {
        CliError::message(format!("{:?} is no filter for logs: {error}", arguments.log))
            .hint("write a level such as `info` or `debug`, or levels by part: `info,stellate::git=debug`")
    })?;
    let terminal = std::io::stderr().is_terminal();
    let format = arguments
        .log_format
        .unwrap_or(if terminal { Format::Text } else { Format::Json });
    let log = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let log: Layer = match format {
        Format::Text => log.with_ansi(terminal).with_filter(filter).boxed(),
        Format::Json => log.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let mut layers = others;
    layers.push(log);
    let started = tracing_subscriber::registry().with(layers).try_init();
    started.map_err(|error| CliError::message(format!("logs cannot be written: {error}")))
}
