//! The colours of a unified diff. Pure.

use super::terminal::{Look, Styles};

/// Colours the lines of a unified diff, each behind `indent`.
pub(super) fn coloured(hunks: &str, indent: &str, styles: &Styles) -> String {
    let mut text = String::with_capacity(hunks.len());
    for line in hunks.lines() {
        let style = match line.as_bytes().first() {
            Some(b'+') => styles.added,
            Some(b'-') => styles.removed,
            Some(b'@') => styles.faint,
            _ => Look::default(),
        };
        put!(text, "{indent}{style}{line}{style:#}\n");
    }
    text
}
