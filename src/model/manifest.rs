//! A whole object as written, packed into one run of bytes: a twentieth of the room that a tree of values takes, and
//! unpacked about as fast as such a tree is copied.
//!
//! The format is our own rather than JSON: numbers come back exactly as they went in, nothing is unescaped, and sorted
//! maps are built in one go. It also goes to the cache on disk. Never panics on any bytes.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::packed::{PackedReader, write_length, write_string};

/// Deeper values are refused in bytes from outside; the parser never makes them.
const DEPTH: usize = 256;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const UNSIGNED: u8 = 3;
const SIGNED: u8 = 4;
const FLOAT: u8 = 5;
const STRING: u8 = 6;
const LIST: u8 = 7;
const MAP: u8 = 8;

/// A packed value. Equal manifests have equal bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest(Arc<[u8]>);

impl Manifest {
    /// Packs a value.
    pub fn new(value: &Value) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        write(&mut bytes, value);
        Self(bytes.into())
    }

    /// Takes what [`Manifest::as_bytes`] gave; none when it is anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = PackedReader::new(bytes);
        skip(&mut reader, DEPTH)?;
        reader.is_at_end().then(|| Self(bytes.into()))
    }

    /// Gives the packed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Unpacks the value. Not free: who asks more than once keeps it.
    pub fn value(&self) -> Value {
        // Whatever is in here was written by `write`, or walked through by `skip`.
        read(&mut PackedReader::new(&self.0)).unwrap_or_default()
    }
}

/// Shows the value.
impl fmt::Debug for Manifest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value(), formatter)
    }
}

fn write(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => bytes.push(NULL),
        Value::Bool(false) => bytes.push(FALSE),
        Value::Bool(true) => bytes.push(TRUE),
        Value::Number(number) => {
            let (tag, raw) = if let Some(number) = number.as_u64() {
                (UNSIGNED, number.to_le_bytes())
            } else if let Some(number) = number.as_i64() {
                (SIGNED, number.to_le_bytes())
            } else {
                (FLOAT, number.as_f64().unwrap_or_default().to_le_bytes())
            };
            bytes.push(tag);
            bytes.extend_from_slice(&raw);
        }
        Value::String(text) => {
            bytes.push(STRING);
            write_string(bytes, text);
        }
        Value::Array(items) => {
            bytes.push(LIST);
            write_length(bytes, items.len());
            for item in items {
                write(bytes, item);
            }
        }
        Value::Object(map) => {
            bytes.push(MAP);
            write_length(bytes, map.len());
            for (key, value) in map {
                write_string(bytes, key);
                write(bytes, value);
            }
        }
    }
}

/// Walks over a value.
fn skip(reader: &mut PackedReader<'_>, depth: usize) -> Option<()> {
    let inner = depth.checked_sub(1)?;
    match *reader.take(1)?.first()? {
        NULL | FALSE | TRUE => {}
        UNSIGNED | SIGNED => {
            reader.array::<8>()?;
        }
        FLOAT => {
            Number::from_f64(f64::from_le_bytes(reader.array()?))?;
        }
        STRING => drop(reader.string()?),
        LIST => {
            for _ in 0..reader.length()? {
                skip(reader, inner)?;
            }
        }
        MAP => {
            for _ in 0..reader.length()? {
                reader.string()?;
                skip(reader, inner)?;
            }
        }
        _ => return None,
    }
    Some(())
}

fn read(reader: &mut PackedReader<'_>) -> Option<Value> {
    Some(match *reader.take(1)?.first()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        UNSIGNED => u64::from_le_bytes(reader.array()?).into(),
        SIGNED => i64::from_le_bytes(reader.array()?).into(),
        FLOAT => Number::from_f64(f64::from_le_bytes(reader.array()?))?.into(),
        STRING => reader.string()?.into(),
        LIST => {
            let count = reader.length()?;
            let mut items = Vec::with_capacity(count.min(reader.rest()));
            for _ in 0..count {
                items.push(read(reader)?);
            }
            Value::Array(items)
        }
        MAP => {
            let count = reader.length()?;
            let mut entries = Vec::with_capacity(count.min(reader.rest()));
            for _ in 0..count {
                entries.push((reader.string()?.to_owned(), read(reader)?));
            }
            // Collected rather than inserted one by one: a sorted map is built whole from sorted entries.
            Value::Object(entries.into_iter().collect::<Map<_, _>>())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_value() -> Value {
        json!({"a": [null, true, false, 1, -1, u64::MAX, i64::MIN, 0.1, 1e300, 5e-324], "b": {}, "c": ["", "ü", []]})
    }

    #[test]
    fn every_value_comes_back_exactly() {
        let value = mk_value();
        let packed = Manifest::new(&value);
        assert_eq!(packed.value(), value);
        assert_eq!(Manifest::from_bytes(packed.as_bytes()), Some(packed));
    }

    #[test]
    fn damaged_bytes_are_refused_or_a_value_and_never_a_panic() {
        let whole = Manifest::new(&mk_value());
        let whole = whole.as_bytes();
        for end in 0..whole.len() {
            assert_eq!(Manifest::from_bytes(&whole[..end]), None, "cut at {end}");
        }
        for position in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.to_vec();
                damaged[position] ^= flip;
                if let Some(manifest) = Manifest::from_bytes(&damaged) {
                    drop(manifest.value());
                }
            }
        }
    }

    #[test]
    fn bytes_that_nest_without_end_are_refused() {
        let mut bytes = [LIST, 1].repeat(DEPTH);
        bytes.push(NULL);
        assert_eq!(Manifest::from_bytes(&bytes), None);
    }
}
