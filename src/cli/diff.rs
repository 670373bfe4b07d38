//! `stellate diff`: two renderings → which objects change on which WECs; equal differences are shown once.

use std::path::PathBuf;

use clap::Args;

use super::data::OutputArgument;
use super::difference::coloured;
use super::error::CliError;
use super::progress::Line;
use super::scene::SourceArguments;
use super::table::{Table, count, list};
use super::terminal::{Styles, Terminal};
use super::{Ending, data, lookup, scene};
use crate::reconcile::InventorySource;
use crate::reconcile::compare::{Changes, Kind, changes};

/// The most WECs that a head line names.
const NAMED: usize = 6;

/// What `stellate diff` is told.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// What stands: a branch, tag or commit [default: HEAD; for a URL it must be given]
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    /// What is to come [default: the work tree; for a URL, its default branch]
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// Another inventory for what is to come
    #[arg(long, value_name = "PATH")]
    to_inventory: Option<PathBuf>,
    /// Show only these clusters; may be repeated
    #[arg(long, value_name = "NAME")]
    wec: Vec<String>,
    /// Show numbers in place of lines
    #[arg(long)]
    stat: bool,
    /// End with 1 when there are differences, as `git diff` does
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    output: OutputArgument,
}

/// Compares.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let scene = arguments.source.scene()?;
    scene.check(terminal)?;
    if scene.remote && arguments.from.is_none() {
        return Err(CliError::message(
            "what stands is not known: a URL has no work tree to compare with its HEAD",
        )
        .hint("name both: --from REV --to REV"));
    }
    let mut before = scene.request.clone();
    before.revision.clone_from(&arguments.from);
    before.committed = true;
    let mut after = scene.request.clone();
    after.revision.clone_from(&arguments.to);
    after.committed |= arguments.to.is_some() || scene.remote;
    if let Some(path) = &arguments.to_inventory {
        after.inventory = InventorySource::Files(path.clone());
    }

    let line = Line::new(terminal);
    let mut pipeline = scene.start();
    let old = pipeline
        .render(&before, &line)
        .map_err(|error| CliError::from(error).context("cannot render what stands"))?;
    let new = pipeline
        .render(&after, &line)
        .map_err(|error| CliError::from(error).context("cannot render what is to come"))?;
    drop(line);
    scene::report(&new, terminal);

    let mut changes = changes(&old, &new);
    if !arguments.wec.is_empty() {
        for name in &arguments.wec {
            if old.inventory.position(name).is_none() {
                lookup::cluster(&new, name)?;
            }
        }
        changes.only(&arguments.wec);
    }
    match data::text(&changes, arguments.output.output)? {
        Some(data) => terminal.print(data)?,
        None if arguments.stat => terminal.show(&numbers(&changes, terminal.out()))?,
        None => terminal.show(&text(&changes, terminal.out()))?,
    }
    terminal.say(&changes.summary());
    let timings: Vec<_> = old.timings.iter().chain(&new.timings).copied().collect();
    scene.report_timings(&timings, terminal);
    let differs = arguments.exit_code && !changes.is_empty();
    Ok(if differs || new.errors() > 0 {
        Ending::Problems
    } else {
        Ending::Done
    })
}

/// Writes each difference once, below a line that says which WECs have it.
fn text(changes: &Changes, styles: &Styles) -> String {
    let mut text = clusters_text(changes, styles);
    let strong = styles.strong;
    for change in &changes.objects {
        if !text.is_empty() {
            text.push('\n');
        }
        put!(
            text,
            "{strong}{}{strong:#} {} on {}: {}\n",
            change.object,
            change.change.word(),
            count(change.clusters.len(), "WEC"),
            list(&change.clusters, NAMED)
        );
        if !change.diff.is_empty() {
            let (old, new) = match change.change {
                Kind::Added => ("/dev/null", change.path.as_str()),
                Kind::Removed => (change.path.as_str(), "/dev/null"),
                _ => (change.path.as_str(), change.path.as_str()),
            };
            text.push_str(&coloured(
                &format!("--- {old}\n+++ {new}\n{}", change.diff),
                "",
                styles,
            ));
        }
    }
    text
}

/// Writes a row for each difference.
fn numbers(changes: &Changes, styles: &Styles) -> String {
    let mut table = Table::new(&["OBJECT", "CHANGE", "WECS", "+", "-"]).numbers(&[2, 3, 4]);
    for change in &changes.objects {
        let numbers = [
            change.clusters.len(),
            change.lines_added,
            change.lines_removed,
        ];
        let cells = [change.object.to_string(), change.change.word().to_owned()];
        table.row(
            cells
                .into_iter()
                .chain(numbers.map(|number| number.to_string())),
        );
    }
    let clusters = clusters_text(changes, styles);
    if changes.objects.is_empty() {
        clusters
    } else {
        clusters + &table.text(styles)
    }
}

fn clusters_text(changes: &Changes, styles: &Styles) -> String {
    let (added, removed) = (styles.added, styles.removed);
    let mut text = String::new();
    if !changes.added_clusters.is_empty() {
        put!(
            text,
            "{added}WECs added{added:#}: {}\n",
            list(&changes.added_clusters, 20)
        );
    }
    if !changes.removed_clusters.is_empty() {
        put!(
            text,
            "{removed}WECs removed{removed:#}: {}\n",
            list(&changes.removed_clusters, 20)
        );
    }
    text
}
