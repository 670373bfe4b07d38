//! The part of YAML that manifests are written in, read in one pass over the bytes.
//!
//! One document's text → its value, or `None`, which means "not mine" and never "broken": on anything out of the
//! ordinary (anchors, tags, merges, odd indentation, duplicate keys, a limit reached) the slow way decides.
//! Where this way answers, it gives the slow way's answer; a property test holds the two together.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::load::{Limits, is_marker};
use super::scalar::{self, Scalar};

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
            if self.commented || matches!(self.byte(self.start), b'-' | b'?' | b':' | b'\t') {
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

    /// Reads a single-quoted scalar on one line; gives its text and the offset behind the closing quote.
    fn single_quoted(&self, start: usize) -> Option<(Cow<'t, str>, usize)> {
        let mut at = start + 1;
        let mut doubled = false;
        loop {
            match self.byte(at) {
                b'\'' if self.byte(at + 1) == b'\'' => {
                    doubled = true;
                    at += 2;
                }
                b'\'' => break,
                b'\n' | b'\t' => return None,
                _ => at += 1,
            }
        }
        let text = &self.text[start + 1..at];
        let text = if doubled {
            Cow::Owned(text.replace("''", "'"))
        } else {
            Cow::Borrowed(text)
        };
        Some((text, at + 1))
    }

    /// Reads a single-quoted scalar over several lines, and goes to the line behind it.
    fn long_single_quoted(&mut self, start: usize, column: i32) -> Option<String> {
        let mut text = String::new();
        let mut line_start = start + 1;
        loop {
            let mut at = line_start;
            loop {
                match self.byte(at) {
                    b'\'' if self.byte(at + 1) == b'\'' => at += 2,
                    b'\'' | b'\n' => break,
                    b'\t' => return None,
                    _ => at += 1,
                }
            }
            let line = &self.text[line_start..at];
            if self.byte(at) == b'\'' && at < self.bytes.len() {
                text.push_str(line);
                self.finish_line(at + 1)?;
                return Some(text.replace("''", "'"));
            }
            text.push_str(line.trim_end_matches(' '));
            self.advance((at + 1).min(self.bytes.len()));
            if self.indent <= column || self.commented {
                return None;
            }
            fold(&mut text, self.blanks);
            line_start = self.start;
        }
    }

    /// Reads a double-quoted scalar on one line; gives its text and the offset behind the closing quote.
    fn double_quoted(&self, start: usize) -> Option<(Cow<'t, str>, usize)> {
        let mut at = start + 1;
        loop {
            match self.byte(at) {
                b'"' => return Some((Cow::Borrowed(&self.text[start + 1..at]), at + 1)),
                b'\\' => break,
                b'\n' | b'\t' => return None,
                _ => at += 1,
            }
        }
        let mut text = self.text[start + 1..at].to_owned();
        loop {
            // Escapes that more than these letters have are rare.
            text.push(match self.byte(at + 1) {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'"' => '"',
                b'\\' => '\\',
                b'/' => '/',
                _ => return None,
            });
            at += 2;
            let from = at;
            while !matches!(self.byte(at), b'"' | b'\\' | b'\n' | b'\t') {
                at += 1;
            }
            text.push_str(&self.text[from..at]);
            match self.byte(at) {
                b'"' => return Some((Cow::Owned(text), at + 1)),
                b'\\' => {}
                _ => return None,
            }
        }
    }

    /// Reads a literal or folded scalar, whose header is at `at`, and goes to the line behind it.
    fn block_scalar(&mut self, at: usize, column: i32) -> Option<String> {
        let folded = self.byte(at) == b'>';
        let (chomping, header) = match self.byte(at + 1) {
            b'-' => (Chomping::Strip, at + 2),
            b'+' => (Chomping::Keep, at + 2),
            _ => (Chomping::Clip, at + 1),
        };
        if self.byte(header) != b'\n' || header >= self.bytes.len() {
            return None;
        }
        let mut line = header + 1;
        let indent = self.spaces(line);
        if i32::try_from(indent).ok()? <= column
            || matches!(self.byte(line + indent), b'\n' | b'\t')
        {
            return None;
        }
        let mut text = String::new();
        let mut breaks = 0;
        loop {
            let spaces = self.spaces(line);
            let content = line + spaces;
            if self.byte(content) == b'\n' && spaces <= indent {
                if content >= self.bytes.len() {
                    if spaces > 0 {
                        return None;
                    }
                    break;
                }
                breaks += 1;
                line = content + 1;
                continue;
            }
            if spaces < indent {
                break;
            }
            let end = self.next_line(content);
            if self.bytes[end - 1] != b'\n'
                || folded && matches!(self.byte(line + indent), b' ' | b'\t')
            {
                return None;
            }
            if folded && !text.is_empty() {
                fold(&mut text, breaks - 1);
            } else {
                text.extend(std::iter::repeat_n('\n', breaks));
            }
            text.push_str(&self.text[line + indent..end - 1]);
            breaks = 1;
            line = end;
        }
        match chomping {
            Chomping::Strip => {}
            Chomping::Clip => text.push('\n'),
            Chomping::Keep => text.extend(std::iter::repeat_n('\n', breaks)),
        }
        // A line that is too far left for the text and too far right for what follows is somebody's mistake.
        let spaces = self.spaces(line);
        if i32::try_from(spaces).ok()? > column && line + spaces < self.bytes.len() {
            return None;
        }
        self.advance(line);
        Some(text)
    }

    fn spaces(&self, from: usize) -> usize {
        self.bytes[from.min(self.bytes.len())..]
            .iter()
            .take_while(|&&byte| byte == b' ')
            .count()
    }

    /// Reads a flow list, map or scalar; gives it and the offset behind it. Lines inside must be indented deeper
    /// than `column`.
    fn flow(&mut self, at: usize, column: i32, depth: usize) -> Option<(Value, usize)> {
        self.nodes += 1;
        match self.byte(at) {
            b'[' | b'{' if depth >= self.limits.depth => None,
            b'[' => self.flow_list(at, column, depth),
            b'{' => self.flow_map(at, column, depth),
            _ => {
                let (scalar, end) = self.flow_scalar(at)?;
                let value = match scalar {
                    FlowScalar::Quoted(text) => Value::String(text.into_owned()),
                    FlowScalar::Plain(scalar) => scalar::into_value(scalar)?,
                };
                Some((value, end))
            }
        }
    }

    fn flow_list(&mut self, open: usize, column: i32, depth: usize) -> Option<(Value, usize)> {
        let mut items = Vec::new();
        let mut at = self.flow_space(open + 1, column)?;
        if self.byte(at) == b']' {
            return Some((Value::Array(items), at + 1));
        }
        loop {
            let (item, end) = self.flow(at, column, depth + 1)?;
            items.push(item);
            at = self.flow_space(end, column)?;
            match self.byte(at) {
                b',' => at = self.flow_space(at + 1, column)?,
                b']' => return Some((Value::Array(items), at + 1)),
                _ => return None,
            }
        }
    }

    fn flow_map(&mut self, open: usize, column: i32, depth: usize) -> Option<(Value, usize)> {
        let mut map = Map::new();
        let mut at = self.flow_space(open + 1, column)?;
        if self.byte(at) == b'}' {
            return Some((Value::Object(map), at + 1));
        }
        loop {
            let (key, end) = self.flow_scalar(at)?;
            self.nodes += 1;
            let key = match key {
                FlowScalar::Quoted(text) => text,
                FlowScalar::Plain(scalar) => scalar::into_key(scalar).ok()?,
            };
            if self.byte(end) != b':' || self.byte(end + 1) != b' ' || end - at > KEY_LIMIT {
                return None;
            }
            at = self.flow_space(end + 1, column)?;
            let (value, end) = self.flow(at, column, depth + 1)?;
            if map.insert(key.into_owned(), value).is_some() {
                return None;
            }
            at = self.flow_space(end, column)?;
            match self.byte(at) {
                b',' => at = self.flow_space(at + 1, column)?,
                b'}' => return Some((Value::Object(map), at + 1)),
                _ => return None,
            }
        }
    }

    fn flow_scalar(&self, start: usize) -> Option<(FlowScalar<'t>, usize)> {
        let word =
            |at: usize| matches!(self.byte(at), b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/');
        match self.byte(start) {
            b'"' => self
                .double_quoted(start)
                .map(|(text, end)| (FlowScalar::Quoted(text), end)),
            b'\'' => self
                .single_quoted(start)
                .map(|(text, end)| (FlowScalar::Quoted(text), end)),
            b'_' | b'.' | b'$' | b'-' if !(word(start + 1) || self.byte(start + 1) == b'-') => None,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'/' | b'.' | b'$' | b'-' => {
                let mut at = start + 1;
                loop {
                    match self.byte(at) {
                        b'_' | b'.' | b'$' | b'-' | b' ' | b'=' | b'@' | b'+' => at += 1,
                        b':' if word(at + 1) => at += 1,
                        _ if word(at) => at += 1,
                        _ => break,
                    }
                }
                let text = self.text[start..at].trim_end_matches(' ');
                Some((FlowScalar::Plain(scalar::resolve(text)), start + text.len()))
            }
            _ => None,
        }
    }

    /// Goes over spaces and line breaks inside a flow collection.
    fn flow_space(&self, mut at: usize, column: i32) -> Option<usize> {
        loop {
            match self.bytes.get(at)? {
                b' ' => at += 1,
                b'\n' => {
                    let spaces = self.spaces(at + 1);
                    at += 1 + spaces;
                    let blank = self.byte(at) == b'\n';
                    if !blank && i32::try_from(spaces).ok()? <= column {
                        return None;
                    }
                }
                _ => return Some(at),
            }
        }
    }
}

enum FlowScalar<'t> {
    Quoted(Cow<'t, str>),
    Plain(Scalar<'t>),
}

enum Chomping {
    Strip,
    Clip,
    Keep,
}

/// Joins two lines of a folded text that have `blanks` blank lines between them.
fn fold(text: &mut String, blanks: usize) {
    if blanks == 0 {
        text.push(' ');
    } else {
        text.extend(std::iter::repeat_n('\n', blanks));
    }
}
