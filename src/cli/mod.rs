//! The command line: one file a verb, and the only place that prints.
//!
//! ```text
//! arguments ─▶ scene (location, configuration, access) ─▶ reconcile ─▶ verb ─▶ data on stdout, talk on stderr, exit code
//! ```
//!
//! Exit codes: 0 done, 1 problems found, 2 could not run, 3 held by the guard. Verbs decide nothing about placement,
//! transformation or output: they ask [`crate::reconcile`] and put the answer into words.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Appends to a text in memory, which does not fail.
macro_rules! put {
    ($text:expr, $($argument:tt)*) => {{
        use std::fmt::Write as _;
        let _ = write!($text, $($argument)*);
    }};
}

mod cache;
mod cache_lock;
mod client;
mod clusters;
mod completions;
mod crds;
mod data;
mod delivery;
mod demo;
mod diff;
mod difference;
mod error;
mod explain;
mod init;
mod logs;
mod lookup;
#[cfg(feature = "otlp")]
mod otlp;
mod problems;
mod progress;
mod rbac;
mod release;
mod remote;
mod render;
mod rotation;
mod run;
mod sarif;
mod scene;
mod status;
mod steps;
mod table;
mod terminal;
mod token;
mod validate;
mod verify;

use error::CliError;
use terminal::Terminal;

/// Renders KubeStellar BindingPolicies: from a git repository to one tailored set of manifests for each cluster.
#[derive(Parser)]
#[command(
    name = "stellate",
    bin_name = "stellate",
    version,
    arg_required_else_help = true,
    max_term_width = 120
)]
#[command(
    after_help = "Exit codes: 0 done, 1 problems found, 2 could not run, 3 held by the guard."
)]
pub struct CommandLine {
    /// When to colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    color: clap::ColorChoice,
    #[command(subcommand)]
    verb: Verb,
}

/// What is to be done.
#[derive(Subcommand)]
enum Verb {
    /// Render a source into a folder, a branch or standard output
    Render(render::Arguments),
    /// Show what a change would do: clusters and objects added, removed, changed
    Diff(diff::Arguments),
    /// Say why an object is, or is not, on a cluster: clause by clause, label by label, step by step
    Explain(explain::Arguments),
    /// Find every mistake at once
    Validate(validate::Arguments),
    /// Render a generated commit again and compare it byte for byte
    Verify(verify::Arguments),
    /// Run the service: follow sources, publish, take reports, post commit statuses
    Run(run::Arguments),
    /// Show where commits and clusters stand, from a running service
    Status(status::Arguments),
    /// Let a commit that the guard holds go out, through a running service
    Release(release::Arguments),
    /// Show the inventory, and what each cluster is missing to receive work
    Clusters(clusters::Arguments),
    /// Scaffold a small repository that renders as it is
    Init(init::Arguments),
    /// Print the CustomResourceDefinitions of Stellate's own kinds
    Crds(crds::Arguments),
    /// Print the least RBAC roles that let Stellate do its work on an API server
    Rbac(rbac::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Render an example shop on twelve clusters into a repository made on the spot
    Demo(demo::Arguments),
}

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All is well.
    Done,
    /// Something is wrong with the input; whatever could be done was done.
    Problems,
    /// The guard holds the change back.
    Held,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::Problems => Self::from(1),
            Ending::Held => Self::from(3),
        }
    }
}

impl Ending {
    /// Problems when there are errors.
    fn of_errors(errors: usize) -> Self {
        if errors == 0 {
            Self::Done
        } else {
            Self::Problems
        }
    }
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let line = CommandLine::parse();
    let terminal = Terminal::new(line.color);
    match run(line.verb, &terminal) {
        Ok(ending) => ending.into(),
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            terminal.say(&error.text(terminal.talk()));
            ExitCode::from(2)
        }
    }
}

fn run(verb: Verb, terminal: &Terminal) -> Result<Ending, CliError> {
    match verb {
        Verb::Render(arguments) => render::run(&arguments, terminal),
        Verb::Diff(arguments) => diff::run(&arguments, terminal),
        Verb::Explain(arguments) => explain::run(&arguments, terminal),
        Verb::Validate(arguments) => validate::run(&arguments, terminal),
        Verb::Verify(arguments) => verify::run(&arguments, terminal),
        Verb::Run(arguments) => run::run(&arguments, terminal),
        Verb::Status(arguments) => status::run(&arguments, terminal),
        Verb::Release(arguments) => release::run(&arguments, terminal),
        Verb::Clusters(arguments) => clusters::run(&arguments, terminal),
        Verb::Init(arguments) => init::run(&arguments, terminal),
        Verb::Crds(arguments) => crds::run(&arguments, terminal),
        Verb::Rbac(arguments) => rbac::run(&arguments, terminal),
        Verb::Completions(arguments) => completions::run(&arguments, terminal),
        Verb::Demo(arguments) => demo::run(&arguments, terminal),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::CommandLine::command().debug_assert();
    }
}
