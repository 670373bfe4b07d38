//! `stellate release`: a commit that a running service holds → a run for which the guard's limits on removals are off, or one wave is
//! open.

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
    /// Let this wave have the commit before the waves in front of it are healthy
    #[arg(long, value_name = "NAME")]
    wave: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Asks, and repeats what held the commit.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let client = arguments.connection.client()?;
    let pipeline = escape(&arguments.pipeline);
    let commit = client.commit(&pipeline, &arguments.commit)?;
    let mut path = format!("/pipelines/{pipeline}/commits/{commit}/release");
    if let Some(wave) = &arguments.wave {
        path.push_str(&format!("?wave={}", escape(wave)));
    }
    let answer = client.post(&path)?;
    let text = |name: &str| one_line(answer[name].as_str().unwrap_or_default());
    let what = match &arguments.wave {
        Some(wave) => format!("{} for wave {}", text("commit"), one_line(wave)),
        None => text("commit"),
    };
    terminal.say(&format!("released {what}, which was held: {}", text("why")));
    terminal.say(&format!(
        "stellate status {} {} says how it goes on",
        text("pipeline"),
        text("commit")
    ));
    Ok(Ending::Done)
}
