//! `stellate validate`: every mistake of a source at once, for people, programs and code hosts.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::error::CliError;
use super::progress::Line;
use super::scene::SourceArguments;
use super::table::count;
use super::terminal::Terminal;
use super::{Ending, data, problems, sarif};
use crate::model::{Diagnostic, Severity};

/// What `stellate validate` is told.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The branch, tag or commit to look at [default: the work tree; for a URL, its default branch]
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Let warnings count as errors
    #[arg(long)]
    strict: bool,
    /// The form of the result
    #[arg(
        short,
        long,
        value_enum,
        default_value = "text",
        hide_default_value = true
    )]
    output: Form,
}

/// The form of the result.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Text with the lines concerned, for people
    Text,
    /// JSON
    Json,
    /// SARIF 2.1.0, for code hosts
    Sarif,
}

/// Validates.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let mut scene = arguments.source.scene()?;
    scene.at(arguments.rev.as_deref());
    let line = Line::new(terminal);
    let rendering = scene.start().render(&scene.request, &line)?;
    drop(line);
    let mut all: Vec<&Diagnostic> = scene
        .diagnostics
        .iter()
        .chain(&rendering.diagnostics)
        .collect();
    problems::by_place(&mut all);
    match arguments.output {
        Form::Text => {
            let text_of = |found: &Diagnostic| {
                scene
                    .text_of(found)
                    .or_else(|| problems::source_text(&rendering, found))
            };
            let unselected: String = rendering
                .unselected()
                .map(|object| format!("  not selected: {} ({})\n", object.key, object.location))
                .collect();
            let text = problems::text(&all, &text_of, terminal.out());
            let gap = if unselected.is_empty() { "" } else { "\n" };
            terminal.show(&format!("{text}{gap}{unselected}"))?;
        }
        Form::Json => {
            let unselected: Vec<_> = rendering.unselected().map(|object| &object.key).collect();
            let found = json!({"diagnostics": all, "unselected": unselected});
            terminal.print(data::json(&found))?;
        }
        Form::Sarif => terminal.print(data::json(&sarif::log(&all)))?,
    }
    let seen = format!(
        "{}, {}, {}",
        count(rendering.snapshot.objects.len(), "object"),
        count(rendering.policies.len(), "policy"),
        count(rendering.inventory.clusters.len(), "WEC"),
    );
    let found = problems::tally(all.iter().copied()).unwrap_or_else(|| "no problems".to_owned());
    let gap = if all.is_empty() || arguments.output != Form::Text {
        ""
    } else {
        "\n"
    };
    terminal.say(&format!("{gap}{found} in {seen}"));
    scene.report_timings(&rendering.timings, terminal);
    let least = if arguments.strict {
        Severity::Warning
    } else {
        Severity::Error
    };
    Ok(Ending::of_errors(
        all.iter().filter(|found| found.severity >= least).count(),
    ))
}
