//! The difference of two texts as a unified diff. Pure.

use similar::{ChangeTag, TextDiff};

use super::terminal::{Look, Styles};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The difference of two texts.
pub(super) struct Difference {
    /// The unified diff, without its head.
    pub(super) hunks: String,
    /// Only the lines that differ, with their sign: texts with equal lines here change in the same way.
    pub(super) lines: String,
    /// How many lines are new.
    pub(super) added: usize,
    /// How many lines go.
    pub(super) removed: usize,
}

/// Compares two texts line by line.
pub(super) fn difference(before: &str, after: &str) -> Difference {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = String::new();
    let (mut added, mut removed) = (0, 0);
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Insert => {
                added += 1;
                '+'
            }
            ChangeTag::Delete => {
                removed += 1;
                '-'
            }
        };
        lines.push(sign);
        lines.push_str(change.value());
    }
    let hunks = diff.unified_diff().context_radius(CONTEXT).to_string();
    Difference {
        hunks,
        lines,
        added,
        removed,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_changes_in_different_places_have_equal_lines() {
        let one = difference("a: 1\nname: x\n", "a: 2\nname: x\n");
        let two = difference("a: 1\nname: y\n", "a: 2\nname: y\n");
        assert_eq!(one.lines, "-a: 1\n+a: 2\n");
        assert_eq!(one.lines, two.lines);
        assert_eq!((one.added, one.removed), (1, 1));
        assert_eq!(one.hunks, "@@ -1,2 +1,2 @@\n-a: 1\n+a: 2\n name: x\n");
    }
}
