//! Values → YAML in one canonical form: the same value always gives the same bytes, and every reader gives the same
//! value back.
//!
//! Block style, two columns a level, list items in the column of their key, one line for each scalar that has no line
//! breaks. Keys are sorted; at the root `apiVersion`, `kind`, `metadata`, `spec`, `data` and `status` come first.

use std::io::Write as _;

use serde_json::{Map, Number, Value};

use super::quote::{Context, emit_key, emit_string, pad};

/// The root's first keys, in their order.
const FIRST: [&str; 6] = ["apiVersion", "kind", "metadata", "spec", "data", "status"];

/// Longest key in bytes that is written without `?`: readers stop looking for its colon after 1,024 characters.
const KEY_LIMIT: usize = 1000;

/// A string that was left out of emitted text, to be filled in by [`emit_string`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Byte offset in the emitted text where the scalar belongs.
    pub offset: usize,
    /// The scalar's context.
    pub context: Context,
    /// The string that was left out.
    pub text: String,
}

/// Writes one document without `---`, with a line break at its end.
pub fn emit(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    emit_into(value, &mut out);
    out
}

/// Appends one document to `out`, as [`emit`] writes it.
pub fn emit_into(value: &Value, out: &mut Vec<u8>) {
    Emitter {
        out,
        string: emit_string,
    }
    .document(value);
}

/// Appends one document to `out`, leaving out every string for which `is_hole` says so; keys are never asked for.
///
/// Offsets are those in `out`, ascending. Filling each hole with `emit_string(text, hole.context, …)` gives the bytes
/// that [`emit`] gives for the value with those strings in it.
pub fn emit_with_holes(
    value: &Value,
    is_hole: &mut dyn FnMut(&str) -> bool,
    out: &mut Vec<u8>,
) -> Vec<Hole> {
    let mut holes = Vec::new();
    let string = |text: &str, context: Context, out: &mut Vec<u8>| {
        if is_hole(text) {
            holes.push(Hole {
                offset: out.len(),
                context,
                text: text.to_owned(),
            });
        } else {
            emit_string(text, context, out);
        }
    };
    Emitter { out, string }.document(value);
    holes
}

struct Emitter<'o, F> {
    out: &'o mut Vec<u8>,
    /// Writes a string value.
    string: F,
}

impl<F: FnMut(&str, Context, &mut Vec<u8>)> Emitter<'_, F> {
    fn document(&mut self, value: &Value) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (index, (key, value)) in first_keys_first(map).enumerate() {
                    self.entry(index == 0, key, value, 0);
                }
            }
            Value::Array(items) if !items.is_empty() => self.items(items, 0),
            _ => self.scalar(value, 0),
        }
    }

    /// Writes a map whose first key stands where the output ends, in `column`.
    fn entries(&mut self, map: &Map<String, Value>, column: usize) {
        for (index, (key, value)) in map.iter().enumerate() {
            self.entry(index == 0, key, value, column);
        }
    }

    fn entry(&mut self, first: bool, key: &str, value: &Value, column: usize) {
        if !first {
            pad(column, self.out);
        }
        let start = self.out.len();
        emit_key(key, self.out);
        if self.out.len() - start > KEY_LIMIT {
            self.out.truncate(start);
            self.out.extend_from_slice(b"? ");
            emit_key(key, self.out);
            self.out.push(b'\n');
            pad(column, self.out);
        }
        self.out.push(b':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.out.push(b'\n');
                pad(column + 2, self.out);
                self.entries(map, column + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                self.out.push(b'\n');
                pad(column, self.out);
                self.items(items, column);
            }
            _ => {
                self.out.push(b' ');
                self.scalar(value, column);
            }
        }
    }

    /// Writes a list whose first dash stands where the output ends, in `column`.
    fn items(&mut self, items: &[Value], column: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                pad(column, self.out);
            }
            self.out.extend_from_slice(b"- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.entries(map, column + 2),
                Value::Array(items) if !items.is_empty() => self.items(items, column + 2),
                _ => self.scalar(item, column),
            }
        }
    }

    /// Writes what fits behind a key or a dash in `column`, and ends the line.
    fn scalar(&mut self, value: &Value, column: usize) {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Number(number) => emit_number(number, self.out),
            Value::String(text) => (self.string)(text, Context { indent: column + 2 }, self.out),
            Value::Array(_) => self.out.extend_from_slice(b"[]"),
            Value::Object(_) => self.out.extend_from_slice(b"{}"),
        }
        self.out.push(b'\n');
    }
}

fn first_keys_first(map: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    let first = FIRST.iter().filter_map(|&key| Some((key, map.get(key)?)));
    let rest = map.iter().map(|(key, value)| (key.as_str(), value));
    first.chain(rest.filter(|(key, _)| !FIRST.contains(key)))
}

/// Writes integers plainly and floats with a dot: YAML 1.1 takes `1e300` for a string.
fn emit_number(number: &Number, out: &mut Vec<u8>) {
    if !number.is_f64() {
        // Writing to memory does not fail.
        write!(out, "{number}").unwrap_or_default();
        return;
    }
    let float = number.as_f64().unwrap_or_default();
    let text = format!("{float:?}");
    match text.split_once('e') {
        None => out.extend_from_slice(text.as_bytes()),
        Some((mantissa, exponent)) => {
            let dot = if mantissa.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            write!(out, "{mantissa}{dot}e{sign}{exponent}").unwrap_or_default();
        }
    }
}
