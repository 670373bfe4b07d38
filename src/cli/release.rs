//! `stellate release`: a commit that a running service holds → a run for which the guard's limits on removals are off.

use clap::Args;

use super::Ending;
use super::client::{Connection, escape};
use super::error::CliError;
use super::terminal::{Terminal, one_line};

/// What `stellate release` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// The pipeline
    pipeline: String,
    /// The commit that is held, or its first digits; `latest` for the newest
    commit: String,
    #[command(flatten)]
    connection: Connection,
}

/// Asks, and repeats what held the commit.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let client = arguments.connection.client()?;
    let pipeline = escape(&arguments.pipeline);
    let commit = client.commit(&pipeline, &arguments.commit)?;
    let answer = client.post(&format!("/pipelines/{pipeline}/commits/{commit}/release"))?;
    let text = |name: &str| one_line(answer[name].as_str().unwrap_or_default());
    terminal.say(&format!(
        "released {}, which was held: {}",
        text("commit"),
        text("why")
    ));
    terminal.say(&format!(
        "stellate status {} {} says how it goes on",
        text("pipeline"),
        text("commit")
    ));
    Ok(Ending::Done)
}
