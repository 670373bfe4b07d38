//! Quoted scalars and block scalars of the fast way.
//!
//! An offset in the text → the string that begins there; `None` for what the slow way must decide.

use std::borrow::Cow;

use super::{Reader, fold};

impl<'t> Reader<'t> {
    /// Reads a single-quoted scalar on one line; gives its text and the offset behind the closing quote.
    pub(super) fn single_quoted(&self, start: usize) -> Option<(Cow<'t, str>, usize)> {
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
    pub(super) fn long_single_quoted(&mut self, start: usize, column: i32) -> Option<String> {
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
    pub(super) fn double_quoted(&self, start: usize) -> Option<(Cow<'t, str>, usize)> {
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
    pub(super) fn block_scalar(&mut self, at: usize, column: i32) -> Option<String> {
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

    pub(super) fn spaces(&self, from: usize) -> usize {
        self.bytes[from.min(self.bytes.len())..]
            .iter()
            .take_while(|&&byte| byte == b' ')
            .count()
    }
}

enum Chomping {
    Strip,
    Clip,
    Keep,
}
