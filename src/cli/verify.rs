//! `stellate verify`: a generated commit is rendered again and compared byte for byte.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::data::OutputArgument;
use super::error::CliError;
use super::progress::Line;
use super::scene::{SourceArguments, is_remote};
use super::table::{count, grouped};
use super::terminal::{Styles, Terminal};
use super::{Ending, data};
use crate::reconcile::{self, Verification};

/// The most differences that are listed for people.
const LISTED: usize = 50;

/// What `stellate verify` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// The generated commit: an id, or a branch such as `generated`
    #[arg(value_name = "COMMIT")]
    commit: String,
    #[command(flatten)]
    source: SourceArguments,
    /// The local repository that holds the generated commit [default: PATH, or the current folder]
    #[arg(long, value_name = "PATH")]
    repository: Option<std::path::PathBuf>,
    #[command(flatten)]
    output: OutputArgument,
}

/// Verifies.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let scene = arguments.source.scene_without_inventory()?;
    let location = arguments.source.location.as_deref();
    // A folder names the repository of both; a URL only that of the source.
    let (source, here) = match location {
        Some(location) if is_remote(location) => (Some(location), None),
        other => (None, other),
    };
    let repository = arguments
        .repository
        .as_deref()
        .or(here.map(Path::new))
        .unwrap_or(Path::new("."));
    let source = source.or(arguments.repository.as_ref().and(location));
    let line = Line::new(terminal);
    let mut pipeline = scene.start();
    let verified = reconcile::verify(
        &mut pipeline,
        repository,
        &arguments.commit,
        source,
        &scene.request.access,
        &line,
    );
    drop(line);
    let verified = verified?;
    let matches = verified.differences.is_empty();
    let value = json!({
        "commit": verified.commit.to_string(),
        "matches": matches,
        "files": verified.files,
        "kept": verified.kept,
        "held": verified.held,
        "differences": verified.differences,
        "source": {
            "repository": verified.trailers.repository,
            "reference": verified.trailers.reference,
            "commit": verified.trailers.commit.to_string(),
        },
        "renderedBy": verified.trailers.rendered_by,
    });
    match data::text(&value, arguments.output.output)? {
        Some(data) => terminal.print(data)?,
        None => terminal.show(&text(&verified, terminal.out()))?,
    }
    let ours = concat!("stellate/", env!("CARGO_PKG_VERSION"));
    if !matches && verified.trailers.rendered_by != ours {
        terminal.say(&format!(
            "it was rendered by {}, and this is {ours}: versions may render differently",
            verified.trailers.rendered_by
        ));
    }
    Ok(if matches {
        Ending::Done
    } else {
        Ending::Problems
    })
}

/// Writes for people what came of it, and what was taken as given.
fn text(verified: &Verification, styles: &Styles) -> String {
    let (good, bad) = (styles.good, styles.error);
    let number = verified.differences.len();
    let commit = verified.commit.to_string();
    let source = verified.trailers.commit.to_string();
    let (commit, source) = (&commit[..12], &source[..12]);
    let from = format!("{source} of {}", verified.trailers.repository);
    let mut text = if number == 0 {
        let files = usize::try_from(verified.files).unwrap_or(usize::MAX);
        let files = count(files, "file");
        format!(
            "{good}match{good:#}: {commit} is what {from} renders to, byte for byte ({files})\n"
        )
    } else {
        let number = count(number, "difference");
        format!("{bad}mismatch{bad:#}: {commit} is not what {from} renders to: {number}\n")
    };
    for difference in verified.differences.iter().take(LISTED) {
        put!(text, "  {difference}\n");
    }
    if number > LISTED {
        let more = grouped(number - LISTED);
        put!(text, "  … and {more} more; -o json lists all\n");
    }
    if verified.kept > 0 {
        let files = count(verified.kept, "file");
        put!(
            text,
            "{files} were kept from before an error, and are taken as given\n"
        );
    }
    if verified.held > 0 {
        let clusters = count(verified.held, "WEC");
        put!(
            text,
            "{clusters} waited for their wave, and are as in the earlier generated commits that stellate.lock names\n"
        );
    }
    text
}
