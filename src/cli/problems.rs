//! Diagnostics as text for people: severity, reason, place, the line with a caret, what it concerns, a way out. Pure.

use std::fmt::Write as _;

use super::table::count;
use super::terminal::{Look, Styles, one_line};
use crate::model::{Diagnostic, RepoPath, Severity};
use crate::reconcile::Rendering;

/// The longest piece of a line that is shown, in characters.
const WIDEST: usize = 100;

/// Writes diagnostics, one after the other with an empty line between. `text_of` gives the file that one is about.
pub(super) fn text(
    found: &[&Diagnostic],
    text_of: &dyn Fn(&Diagnostic) -> Option<Vec<u8>>,
    styles: &Styles,
) -> String {
    let mut text = String::new();
    for (index, found) in found.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        one(found, text_of(found).as_deref(), styles, &mut text);
    }
    text
}

/// Writes a diagnostic on one line: place, what is wrong, a way out.
pub(super) fn on_one_line(found: &Diagnostic) -> String {
    let place = found.location.iter().map(|place| format!("{place}: "));
    let help = found.help.iter().map(|help| format!(" ({help})"));
    let message = std::iter::once(found.message.clone());
    let text: String = place.chain(message).chain(help).collect();
    one_line(&text)
}

/// Sorts diagnostics as people go through them: file by file, from the top; what has no place comes last.
pub(super) fn by_place(found: &mut [&Diagnostic]) {
    found.sort_by_key(|found| {
        (
            found.location.is_none(),
            found.location.clone(),
            std::cmp::Reverse(found.severity),
        )
    });
}

fn one(found: &Diagnostic, file: Option<&[u8]>, styles: &Styles, text: &mut String) {
    let (word, style) = match found.severity {
        Severity::Error => ("error", styles.error),
        Severity::Warning => ("warning", styles.warning),
        Severity::Note => ("note", styles.note),
    };
    let (strong, faint) = (styles.strong, styles.faint);
    // Writing to memory does not fail.
    let _ = writeln!(
        text,
        "{style}{word}[{}]{style:#}{strong}: {}{strong:#}",
        found.reason,
        one_line(&found.message)
    );
    if let Some(place) = &found.location {
        let _ = writeln!(
            text,
            "  {faint}-->{faint:#} {}",
            one_line(&place.to_string())
        );
        if let Some(line) = file.and_then(|file| line(file, place.line)) {
            snippet(&line, place.line, place.column, style, styles, text);
        }
    }
    let mut concerns = Vec::new();
    if let Some(object) = &found.object {
        concerns.push(format!("object {object}"));
    }
    if let Some(policy) = &found.policy {
        concerns.push(format!("policy {policy}"));
    }
    if let Some(cluster) = &found.cluster {
        concerns.push(format!("WEC {cluster}"));
    }
    if !concerns.is_empty() {
        let _ = writeln!(text, "  {faint}={faint:#} {}", concerns.join(", "));
    }
    if let Some(help) = &found.help {
        let _ = writeln!(text, "  {faint}={faint:#} help: {help}");
    }
}

/// Writes the line with a caret below its column.
fn snippet(line: &str, number: u32, column: u32, style: Look, styles: &Styles, text: &mut String) {
    let faint = styles.faint;
    let gutter = number.to_string().len();
    let column = usize::try_from(column).unwrap_or(0);
    // A long line is cut so that the column is seen.
    let skip = if column > WIDEST {
        column - WIDEST / 2
    } else {
        0
    };
    let shown: String = line
        .chars()
        .skip(skip)
        .take(WIDEST)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let _ = writeln!(text, "  {faint}{:gutter$} |{faint:#}", "");
    let _ = writeln!(text, "  {faint}{number} |{faint:#} {}", shown.trim_end());
    if column > 0 {
        let _ = writeln!(
            text,
            "  {faint}{:gutter$} |{faint:#} {}{style}^{style:#}",
            "",
            " ".repeat(column - 1 - skip)
        );
    }
}

/// Gives one line of a file, from 1; none of a file that holds a Secret.
fn line(file: &[u8], number: u32) -> Option<String> {
    const SECRET: &[u8] = b"Secret";
    let kind = file.split(|&byte| byte == b'\n').any(|line| {
        line.windows(5)
            .any(|word| word == b"kind:" || word == b"kind\"")
            && line.windows(SECRET.len()).any(|word| word == SECRET)
    });
    if kind {
        return None;
    }
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    let line = file.split(|&byte| byte == b'\n').nth(index)?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// Counts diagnostics in words: `2 errors and 1 warning`; `None` when there are none.
pub(super) fn tally<'a>(found: impl IntoIterator<Item = &'a Diagnostic>) -> Option<String> {
    let mut counts = [0; 3];
    for found in found {
        counts[found.severity as usize] += 1;
    }
    let nouns = [
        (counts[2], "error"),
        (counts[1], "warning"),
        (counts[0], "note"),
    ];
    let parts: Vec<String> = nouns
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|&(number, noun)| count(number, noun))
        .collect();
    match parts.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [first @ .., last] => Some(format!("{} and {last}", first.join(", "))),
    }
}

/// Gives the text of the file that a diagnostic of a rendering is about, read again.
pub(super) fn source_text(rendering: &Rendering, found: &Diagnostic) -> Option<Vec<u8>> {
    let place = found.location.as_ref().filter(|place| place.line > 0)?;
    let blob = match &found.field {
        Some((origin, _)) => origin.blob,
        None => blob_at(rendering, &place.path)?,
    };
    rendering.snapshot.texts.read(&place.path, blob)
}

fn blob_at(rendering: &Rendering, path: &RepoPath) -> Option<crate::model::BlobId> {
    let snapshot = &rendering.snapshot;
    let controls = snapshot
        .controls
        .iter()
        .filter(|control| control.location.path == *path);
    let objects = snapshot
        .objects
        .iter()
        .filter(|object| object.location.path == *path);
    let broken = snapshot.broken.iter().filter(|broken| broken.path == *path);
    controls
        .map(|control| control.origin.blob)
        .chain(objects.map(|object| object.origin.blob))
        .chain(broken.filter_map(|broken| broken.blob))
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Location, ObjectKey};

    #[test]
    fn a_problem_shows_its_line_with_a_caret_and_a_way_out() {
        let found = Diagnostic::error("DuplicateKey", "key `a` is given twice")
            .at(Location::at("x.yaml".into(), 2, 3))
            .object(ObjectKey::new("apps", "Deployment", "shop", "web"))
            .help("remove one of the two");
        let text = text(
            &[&found],
            &|_| Some(b"one\n  a: 1\n".to_vec()),
            &Styles::default(),
        );
        assert_eq!(
            text,
            "\
error[DuplicateKey]: key `a` is given twice
  --> x.yaml:2:3
    |
  2 |   a: 1
    |   ^
  = object Deployment.apps shop/web
  = help: remove one of the two
"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_its_column() {
        let found = Diagnostic::warning("X", "far right").at(Location::at("x.yaml".into(), 1, 301));
        let file = format!("{}!{}", "a".repeat(300), "b".repeat(300));
        let text = text(
            &[&found],
            &|_| Some(file.clone().into_bytes()),
            &Styles::default(),
        );
        let lines: Vec<&str> = text.lines().collect();
        let caret = lines[4].find('^').expect("a caret");
        assert_eq!(&lines[3][caret..=caret], "!", "{text}");
    }

    #[test]
    fn problems_are_counted_the_gravest_first() {
        let found = [
            Diagnostic::note("N", "n"),
            Diagnostic::error("E", "e"),
            Diagnostic::error("E", "f"),
        ];
        assert_eq!(tally(&found).as_deref(), Some("2 errors and 1 note"));
        assert_eq!(tally(&[]), None);
    }
}
