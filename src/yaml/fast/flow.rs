//! Flow lists and maps of the fast way: `[a, "b"]`, `{c: d}`, with plain scalars of harmless characters only.
//!
//! An offset in the text → the value that begins there; `None` for what the slow way must decide.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{KEY_LIMIT, Reader};
use crate::yaml::scalar::{self, Scalar};

impl<'t> Reader<'t> {
    /// Reads a flow list, map or scalar; gives it and the offset behind it. Lines inside must be indented deeper
    /// than `column`.
    pub(super) fn flow(&mut self, at: usize, column: i32, depth: usize) -> Option<(Value, usize)> {
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
