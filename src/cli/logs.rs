//! Logs of the service: text on a terminal, one JSON object a line otherwise; on standard error.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

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

/// Starts writing logs.
pub(super) fn start(arguments: &LogArguments) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(&arguments.log).map_err(|error| {
        CliError::message(format!("{:?} is no filter for logs: {error}", arguments.log))
            .hint("write a level such as `info` or `debug`, or levels by part: `info,stellate::git=debug`")
    })?;
    let terminal = std::io::stderr().is_terminal();
    let format = arguments
        .log_format
        .unwrap_or(if terminal { Format::Text } else { Format::Json });
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        Format::Text => log
            .with_ansi(terminal)
            .with_target(false)
            .finish()
            .try_init(),
        Format::Json => log
            .json()
            .flatten_event(true)
            .with_target(false)
            .finish()
            .try_init(),
    };
    started.map_err(|error| CliError::message(format!("logs cannot be written: {error}")))
}
