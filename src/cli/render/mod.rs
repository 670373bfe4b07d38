//! `stellate render`: a source becomes manifests on standard output, a folder, or a generated branch.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::data::Format;
use super::delivery::Report;
use super::error::CliError;
use super::progress::Line;
use super::scene::{Scene, SourceArguments};
use super::table::{count, duration, grouped};
use super::terminal::Terminal;
use super::{Ending, data, problems, scene};
use crate::model::Severity;
use crate::model::api::pipeline::Layout;
use crate::output::branch::publish::Committer;
use crate::reconcile::{DeliveryOptions, Pipeline, Rendering};
use crate::source::folder;

mod places;
mod print;

use places::Target;

/// How long the folder is left alone when no event comes.
const POLL: Duration = Duration::from_secs(30);

/// What `stellate render` is told.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags are what they are")]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The branch, tag or commit to render [default: the work tree; for a URL, its default branch]
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Print only these clusters; may be repeated
    #[arg(long, value_name = "NAME")]
    wec: Vec<String>,
    /// Write the tree of the generated branch into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["branch", "deliver"])]
    out: Option<PathBuf>,
    /// Commit to this branch; of a local repository, what is committed is rendered
    #[arg(long, value_name = "NAME", conflicts_with = "deliver")]
    branch: Option<String>,
    /// Deliver to the outputs of the configuration
    #[arg(long)]
    deliver: bool,
    /// Publish the branch
    #[arg(long, requires = "branch")]
    push: bool,
    /// Where to publish: a remote's name or a URL [default: origin, or the URL that was rendered]
    #[arg(long, value_name = "NAME|URL", requires = "push")]
    remote: Option<String>,
    /// One branch with a folder for each cluster, or one small branch for each
    #[arg(long, value_enum, requires = "branch")]
    layout: Option<LayoutArgument>,
    /// Let this change remove as much as it does
    #[arg(long)]
    allow_removals: bool,
    /// Deliver to all clusters at once, whatever waves the configuration has
    #[arg(long)]
    all_waves: bool,
    /// Hold everything when there is one error
    #[arg(long)]
    strict: bool,
    /// The ssh key that signs generated commits
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Render again whenever the folder changes
    #[arg(long, conflicts_with_all = ["rev", "push"])]
    watch: bool,
    /// The form of the result [default: manifests as YAML, or a table of what was delivered]
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

/// How clusters share branches.
#[derive(Clone, Copy, ValueEnum)]
enum LayoutArgument {
    /// One branch for all
    Directories,
    /// One branch for each
    Branches,
}

impl From<LayoutArgument> for Layout {
    fn from(layout: LayoutArgument) -> Self {
        match layout {
            LayoutArgument::Directories => Self::Directories,
            LayoutArgument::Branches => Self::Branches,
        }
    }
}

/// Renders.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    arguments.refuse_partial_delivery()?;
    let mut scene = arguments.source.scene()?;
    scene.check(terminal)?;
    arguments.refuse_waves(&scene)?;
    // Lives as long as branches may be pushed through it.
    let scratch = tempfile::tempdir()
        .map_err(|error| CliError::new(error).context("cannot make a temporary folder"))?;
    scene.at(arguments.rev.as_deref());
    scene.request.settings.strict |= arguments.strict;
    let places = arguments.places(&mut scene, scratch.path(), terminal)?;
    let mut pipeline = scene.start();
    let mut ending = arguments.once(&scene, &places, &mut pipeline, terminal)?;
    if arguments.watch {
        if scene.remote {
            return Err(CliError::message("only a folder can be watched")
                .hint("clone the repository, or run this in CI"));
        }
        let folder = scene.request.location.clone();
        terminal.say(&format!("watching {folder}; stop with Ctrl-C"));
        for change in folder::watch(Path::new(&folder), POLL)? {
            if change == folder::Change::Seen {
                ending = arguments.once(&scene, &places, &mut pipeline, terminal)?;
            }
        }
    }
    Ok(ending)
}

impl Arguments {
    /// Refuses to deliver to some WECs only: a folder or branch holds all of them, and whoever is not in it is emptied.
    fn refuse_partial_delivery(&self) -> Result<(), CliError> {
        let destination = if self.out.is_some() {
            "--out"
        } else if self.branch.is_some() {
            "--branch"
        } else if self.deliver {
            "--deliver"
        } else {
            return Ok(());
        };
        if self.wec.is_empty() {
            return Ok(());
        }
        Err(CliError::message(format!(
            "--wec with {destination} would take everything away from all other WECs: what is delivered always holds all of them"
        ))
        .hint("leave out --wec; or look at one WEC alone: stellate render --wec NAME"))
    }

    /// Refuses to overtake the waves of a configuration: a command does not know which clusters are healthy.
    fn refuse_waves(&self, scene: &Scene) -> Result<(), CliError> {
        let resolved = scene.configured.as_ref();
        let has_waves = resolved.is_some_and(|resolved| !resolved.waves.is_empty());
        let delivers = self.deliver || self.branch.is_some();
        if !has_waves || !delivers || self.all_waves {
            return Ok(());
        }
        Err(CliError::message(
            "the configuration has waves, and a command does not know which WECs are healthy",
        )
        .hint("let `stellate run` deliver; or deliver to all WECs at once with --all-waves"))
    }

    /// Renders once and writes the result.
    fn once(
        &self,
        scene: &Scene,
        targets: &[Target],
        pipeline: &mut Pipeline,
        terminal: &Terminal,
    ) -> Result<Ending, CliError> {
        let start = Instant::now();
        let line = Line::new(terminal);
        let rendering = pipeline.render(&scene.request, &line)?;
        drop(line);
        scene::report(&rendering, terminal);
        let mut timings = rendering.timings.clone();
        let mut ending = Ending::of_errors(rendering.errors());
        for target in targets {
            let options = DeliveryOptions {
                allow_removals: self.allow_removals,
                strict: scene.request.settings.strict,
                guard: scene.request.settings.guard.clone(),
                committer: Committer::default(),
                signing_key: self.signing_key.clone(),
                access: target.access.clone(),
                staged: None,
            };
            let line = Line::new(terminal);
            let delivered = pipeline.deliver(&rendering, &target.destination, &options, &line)?;
            drop(line);
            timings.extend(delivered.timings.iter().copied());
            let report = Report::new(&rendering, &delivered, &target.destination);
            match data::text(&report, self.output.unwrap_or(Format::Table))? {
                Some(data) => terminal.print(data)?,
                None => terminal.show(&report.table(terminal.out()))?,
            }
            terminal.say(&report.last_line(start.elapsed(), terminal.talk()));
            if report.is_held() {
                ending = Ending::Held;
            }
        }
        if targets.is_empty() {
            print::print(&rendering, &self.wec, self.output, terminal)?;
            terminal.say(&said(&rendering, start.elapsed()));
            if scene.request.settings.strict && rendering.errors() > 0 {
                ending = Ending::Held;
            }
        }
        scene.report_timings(&timings, terminal);
        Ok(ending)
    }
}

/// Says what was rendered, in a line.
fn said(rendering: &Rendering, time: Duration) -> String {
    let summary = rendering.summary();
    let found = rendering.diagnostics.iter();
    let problems = problems::tally(found.filter(|found| found.severity > Severity::Note));
    let problems = problems
        .map(|tally| format!("; {tally}"))
        .unwrap_or_default();
    format!(
        "{} for {}: {}, {} distinct, in {}{problems}",
        count(summary.objects, "object"),
        count(summary.clusters.len(), "WEC"),
        count(summary.files, "file"),
        grouped(summary.distinct),
        duration(time),
    )
}
