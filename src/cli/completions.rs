//! `stellate completions`: what a shell needs to complete this command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::error::CliError;
use super::terminal::Terminal;
use super::{CommandLine, Ending};

/// What `stellate completions` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let mut text = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut CommandLine::command(),
        "stellate",
        &mut text,
    );
    terminal.print(text)?;
    Ok(Ending::Done)
}
