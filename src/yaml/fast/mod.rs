//! The part of YAML that manifests are written in, read in one pass over the bytes.
//!
//! One document's text → its value, or `None`, which means "not mine" and never "broken": on anything out of the
//! ordinary (anchors, tags, merges, odd indentation, duplicate keys, a limit reached) the slow way decides.
//! Where this way answers, it gives the slow way's answer; a property test holds the two together.

mod flow;
mod text;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::load::{Limits, is_marker};
use super::scalar;

/// Longest key in bytes that YAML readers accept without `?`, less a margin.
const KEY_LIMIT: usize = 1000;

/// What was read.
pub(super) struct Read {
    /// The document's value and the offset of its first node; none when the document holds nothing.
    pub(super) value: Option<(Value, usize)>,
    /// Where the next document begins: at a `---` line or at the end of the text.
    pub(super) end: usize,
}

/// Reads the first document of `text`, which holds neither carriage returns nor exotic line breaks. `nodes` counts
/// on towards the limit.
pub(super) fn document(text: &str, limits: &Limits, nodes: &mut usize) -> Option<Read> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        start: 0,
        indent: 0,
        blanks: 0,
        commented: false,
        nodes: *nodes,
        limits,
    };
    reader.advance(0);
    if reader.indent < 0 && is_marker(&text[reader.start..], "---") {
        let end = reader.end_of_line(reader.start + 3)?;
        reader.advance(end);
    }
    let start = reader.start;
    let value = if reader.indent < 0 {
        None
    } else {
        Some((reader.block(0)?, start))
    };
    if reader.indent >= 0 || reader.nodes > limits.nodes || is_marker(&text[reader.start..], "...")
    {
        return None;
    }
    *nodes = reader.nodes;
    Some(Read {
        value,
        end: reader.start,
    })
}

/// Stands on a line: `start` is the offset of its first character that is no space, `indent` that character's
/// column; −1 at a document marker and at the end.
struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    start: usize,
    indent: i32,
    /// Blank lines between the last line and this one.
    blanks: usize,
    /// Whether a comment line stands between the last line and this one.
    commented: bool,
    nodes: usize,
    limits: &'t Limits,
}

impl<'t> Reader<'t> {
    fn byte(&self, at: usize) -> u8 {
        // A line break stands for the end of the text: both end every scalar.
        self.bytes.get(at).copied().unwrap_or(b'\n')
    }

    fn blank_at(&self, at: usize) -> bool {
        matches!(self.byte(at), b' ' | b'\n')
    }

    /// The offset behind the line that holds `from`.
    fn next_line(&self, from: usize) -> usize {
        match self.bytes[from..].iter().position(|&byte| byte == b'\n') {
            Some(length) => from + length + 1,
            None => self.bytes.len(),
        }
    }

    /// Goes to the first line at or behind the line start `at` that is neither blank nor a comment.
    fn advance(&mut self, mut at: usize) {
        self.blanks = 0;
        self.commented = false;
        loop {
            let mut start = at;
            while self.bytes.get(start) == Some(&b' ') {
                start += 1;
            }
            match self.bytes.get(start) {
                None => {
                    self.start = self.bytes.len();
                    self.indent = -1;
                    return;
                }
                Some(b'\n') => {
                    self.blanks += 1;
                    at = start + 1;
                }
                Some(b'#') => {
                    self.commented = true;
                    at = self.next_line(start);
                }
                Some(&byte) => {
                    self.start = start;
                    self.indent = i32::try_from(start - at).unwrap_or(i32::MAX);
                    let marked = self.indent == 0
                        && matches!(byte, b'-' | b'.')
                        && matches!(self.bytes.get(start..start + 3), Some(b"---" | b"..."))
                        && matches!(self.byte(start + 3), b' ' | b'\n' | b'\t');
                    if marked {
                        self.indent = -1;
                    }
                    return;
                }
            }
        }
    }

    /// Goes over what may follow a finished value: spaces and a comment. Gives the next line's offset.
    fn end_of_line(&self, mut at: usize) -> Option<usize> {
        let from = at;
        while self.byte(at) == b' ' && at < self.bytes.len() {
            at += 1;
        }
        match self.byte(at) {
            b'\n' => Some((at + 1).min(self.bytes.len())),
            b'#' if at > from => Some(self.next_line(at)),
            _ => None,
        }
    }

    fn finish_line(&mut self, at: usize) -> Option<()> {
        let end = self.end_of_line(at)?;
        self.advance(end);
        Some(())
    }

    /// Reads the list or map that begins at the reader's place, `depth` levels below the root.
    fn block(&mut self, depth: usize) -> Option<Value> {
        if depth >= self.limits.depth {
            return None;
        }
        self.nodes += 1;
        if self.at_item() {
            self.sequence(depth)
        } else {
            self.mapping(depth)
        }
    }

    fn at_item(&self) -> bool {
        self.byte(self.start) == b'-' && self.blank_at(self.start + 1)
    }

    fn sequence(&mut self, depth: usize) -> Option<Value> {
        let column = self.indent;
        let mut items = Vec::new();
        while self.indent == column && self.at_item() {
            let dash = self.start;
            let mut at = dash + 1;
            while self.byte(at) == b' ' && at < self.bytes.len() {
                at += 1;
            }
            let compact = match self.byte(at) {
                b'\n' | b'#' | b'|' | b'>' | b'[' | b'{' => false,
                b'-' => self.blank_at(at + 1),
                _ => self.begins_entry(at)?,
            };
            if compact {
                self.start = at;
                self.indent = column + i32::try_from(at - dash).ok()?;
                items.push(self.block(depth + 1)?);
            } else {
                items.push(self.value(at, column, depth, false)?);
            }
            if self.indent > column {
                return None;
            }
        }
        Some(Value::Array(items))
    }

    /// Whether the text at `at`, inside a line, is a key with its value rather than a scalar.
    fn begins_entry(&self, at: usize) -> Option<bool> {
        if matches!(self.byte(at), b'"' | b'\'') {
            // The closing quote decides; an escape or a second line is left to `value`.
            let quote = self.byte(at);
            let rest = &self.bytes[at + 1..];
            let length = rest
                .iter()
                .position(|&byte| byte == quote || byte == b'\n' || byte == b'\\')?;
            return match rest[length] {
                b'\n' => Some(false),
                b'\\' if quote == b'"' => {
                    let (_, end) = self.double_quoted(at)?;
                    Some(self.byte(end) == b':')
                }
                b'\\' => {
                    let (_, end) = self.single_quoted(at)?;
                    Some(self.byte(end) == b':')
                }
                _ => Some(self.byte(at + 1 + length + 1) == b':'),
            };
        }
        let mut end = at;
        loop {
            match self.byte(end) {
                b'\n' => return Some(false),
                b':' if self.blank_at(end + 1) => return Some(true),
                b'#' if self.byte(end - 1) == b' ' => return Some(false),
                _ => end += 1,
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Option<Value> {
        let column = self.indent;
        let mut map = Map::new();
        while self.indent == column {
            let (key, at) = self.key()?;
            self.nodes += 1;
            let value = self.value(at, column, depth, true)?;
            if map.insert(key.into_owned(), value).is_some() {
                return None;
            }
        }
        if self.indent > column {
            None
        } else {
            Some(Value::Object(map))
        }
    }

    /// Reads the key at the reader's place; gives it and the offset behind its colon.
    fn key(&self) -> Option<(Cow<'t, str>, usize)> {
        let start = self.start;
        let (key, end) = match self.byte(start) {
            b'"' => self.double_quoted(start)?,
            b'\'' => self.single_quoted(start)?,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'/' | b'$' | b'(' | 0x80.. => {
                let mut at = start + 1;
                loop {
                    match self.byte(at) {
                        b':' if self.blank_at(at + 1) => break,
                        b'\n' | b'\t' => return None,
                        b'#' if self.byte(at - 1) == b' ' => return None,
                        _ => at += 1,
                    }
                }
                let key = self.text[start..at].trim_end_matches(' ');
                (scalar::into_key(scalar::resolve(key)).ok()?, at)
            }
            _ => return None,
        };
        let colon = self.byte(end) == b':' && self.blank_at(end + 1);
        (colon && end - start < KEY_LIMIT).then_some((key, end + 1))
    }

    /// Reads the value at `at`, behind a key or a dash in `column`, and goes to the line behind it.
    fn value(&mut self, mut at: usize, column: i32, depth: usize, keyed: bool) -> Option<Value> {
        let from = at;
        while self.byte(at) == b' ' && at < self.bytes.len() {
            at += 1;
        }
        match self.byte(at) {
            b'\n' => self.below(at, column, depth, keyed),
            b'#' if at > from || !keyed => self.below(at, column, depth, keyed),
            b'"' => {
                let (text, end) = self.double_quoted(at)?;
                self.nodes += 1;
                let text = text.into_owned();
                self.finish_line(end)?;
                Some(Value::String(text))
            }
            b'\'' => {
                self.nodes += 1;
                let text = match self.single_quoted(at) {
                    Some((text, end)) => {
                        let text = text.into_owned();
                        self.finish_line(end)?;
                        text
                    }
                    None => self.long_single_quoted(at, column)?,
                };
                Some(Value::String(text))
            }
            b'|' | b'>' => {
                self.nodes += 1;
                self.block_scalar(at, column).map(Value::String)
            }
            b'[' | b'{' => {
                let (value, end) = self.flow(at, column, depth + 1)?;
                self.finish_line(end)?;
                Some(value)
            }
            b'-' | b'?' | b':' if self.blank_at(at + 1) => None,
            b'?' | b':' | b'&' | b'*' | b'!' | b'%' | b'@' | b'`' | b',' | b']' | b'}' | b'\t' => {
                None
            }
            _ => {
                self.nodes += 1;
                self.plain(at, column)
            }
        }
    }

    /// Reads a value that begins on a line of its own.
    fn below(&mut self, at: usize, column: i32, depth: usize, keyed: bool) -> Option<Value> {
        let next = self.next_line(at);
        self.advance(next);
        let inside = self.indent > column || (keyed && self.indent == column && self.at_item());
        if inside {
            return self.block(depth + 1);
        }
        self.nodes += 1;
        Some(Value::Null)
    }

    /// Reads a plain scalar, folding the lines that continue it.
    fn plain(&mut self, at: usize, column: i32) -> Option<Value> {
        let (line, end, commented) = self.plain_line(at)?;
        self.advance(end);
        if self.indent <= column || commented || self.commented {
            return scalar::into_value(scalar::resolve(line));
        }
        let mut text = line.to_owned();
        while self.indent > column {
            let doubtful = match self.byte(self.start) {
                b'-' | b'?' | b':' => self.blank_at(self.start + 1),
                byte => byte == b'\t',
            };
            if self.commented || doubtful {
                return None;
            }
            fold(&mut text, self.blanks);
            let (line, end, commented) = self.plain_line(self.start)?;
            text.push_str(line);
            self.advance(end);
            if commented {
                break;
            }
        }
        // Folded text holds a space or a line break, which no number and no word does.
        Some(Value::String(text))
    }

    /// Reads one line of a plain scalar; gives its text, the next line's offset, and whether a comment ended it.
    fn plain_line(&self, start: usize) -> Option<(&'t str, usize, bool)> {
        let mut at = start;
        loop {
            match self.byte(at) {
                b'\n' => {
                    let line = self.text[start..at].trim_end_matches(' ');
                    return Some((line, (at + 1).min(self.bytes.len()), false));
                }
                b':' if self.blank_at(at + 1) => return None,
                b'#' if self.byte(at - 1) == b' ' => {
                    let line = self.text[start..at].trim_end_matches(' ');
                    return Some((line, self.next_line(at), true));
                }
                b'\t' => return None,
                _ => at += 1,
            }
        }
    }
}

/// Joins two lines of a folded text that have `blanks` blank lines between them.
fn fold(text: &mut String, blanks: usize) {
    if blanks == 0 {
        text.push(' ');
    } else {
        text.extend(std::iter::repeat_n('\n', blanks));
    }
}
