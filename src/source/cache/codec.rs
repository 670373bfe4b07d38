//! [`ParsedBlob`] ⇄ bytes, for the disk.
//!
//! A format of our own rather than JSON: numbers come back exactly as they went in, nothing is unescaped, and sorted
//! maps are built in one go. Never panics on any bytes: what it cannot read it gives back as nothing.

use serde_json::{Map, Number, Value};

use crate::source::parse::{ParsedBlob, ParsedDocument};

/// Deeper values are refused; the parser never makes them.
const DEPTH: usize = 256;

/// The reasons for passing over a file that are worth keeping; their positions are written.
const REASONS: [&str; 2] = ["it is empty", "no apiVersion and kind"];

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const UNSIGNED: u8 = 3;
const SIGNED: u8 = 4;
const FLOAT: u8 = 5;
const STRING: u8 = 6;
const LIST: u8 = 7;
const MAP: u8 = 8;

/// Writes a file's objects; none for what is parsed again each time: files with errors.
pub(super) fn encode(blob: &ParsedBlob) -> Option<Vec<u8>> {
    if !blob.errors.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    if let Some(reason) = blob.skipped {
        let position = REASONS.iter().position(|known| *known == reason)?;
        length(&mut bytes, position + 1);
    } else {
        length(&mut bytes, 0);
    }
    length(&mut bytes, blob.documents.len());
    for document in &blob.documents {
        length(&mut bytes, usize::try_from(document.index).ok()?);
        length(&mut bytes, usize::try_from(document.line).ok()?);
        write(&mut bytes, &document.value)?;
    }
    Some(bytes)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Option<ParsedBlob> {
    let mut reader = Reader { bytes };
    let skipped = match reader.length()? {
        0 => None,
        position => Some(*REASONS.get(position - 1)?),
    };
    let count = reader.length()?;
    let mut documents = Vec::with_capacity(count.min(reader.bytes.len()));
    for _ in 0..count {
        let index = u32::try_from(reader.length()?).ok()?;
        let line = u32::try_from(reader.length()?).ok()?;
        let value = reader.value(DEPTH)?;
        documents.push(ParsedDocument::new(index, line, value).ok()?);
    }
    reader.bytes.is_empty().then(|| ParsedBlob {
        documents,
        errors: Vec::new(),
        skipped,
    })
}

fn write(bytes: &mut Vec<u8>, value: &Value) -> Option<()> {
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
                (FLOAT, number.as_f64()?.to_le_bytes())
            };
            bytes.push(tag);
            bytes.extend_from_slice(&raw);
        }
        Value::String(text) => {
            bytes.push(STRING);
            string(bytes, text);
        }
        Value::Array(items) => {
            bytes.push(LIST);
            length(bytes, items.len());
            for item in items {
                write(bytes, item)?;
            }
        }
        Value::Object(map) => {
            bytes.push(MAP);
            length(bytes, map.len());
            for (key, value) in map {
                string(bytes, key);
                write(bytes, value)?;
            }
        }
    }
    Some(())
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn length(bytes: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or(0));
}

struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        let mut length = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = *self.take(1)?.first()?;
            length |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(length);
            }
        }
        None
    }

    fn string(&mut self) -> Option<String> {
        let count = self.length()?;
        let text = std::str::from_utf8(self.take(count)?).ok()?;
        Some(text.to_owned())
    }

    fn eight(&mut self) -> Option<[u8; 8]> {
        self.take(8)?.try_into().ok()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let inner = depth.checked_sub(1)?;
        Some(match *self.take(1)?.first()? {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            UNSIGNED => u64::from_le_bytes(self.eight()?).into(),
            SIGNED => i64::from_le_bytes(self.eight()?).into(),
            FLOAT => Number::from_f64(f64::from_le_bytes(self.eight()?))?.into(),
            STRING => Value::String(self.string()?),
            LIST => {
                let count = self.length()?;
                let mut items = Vec::with_capacity(count.min(self.bytes.len()));
                for _ in 0..count {
                    items.push(self.value(inner)?);
                }
                Value::Array(items)
            }
            MAP => {
                let count = self.length()?;
                let mut entries = Vec::with_capacity(count.min(self.bytes.len()));
                for _ in 0..count {
                    entries.push((self.string()?, self.value(inner)?));
                }
                // Collected rather than inserted one by one: a sorted map is built whole from sorted entries.
                Value::Object(entries.into_iter().collect::<Map<_, _>>())
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::parse::parse;

    fn again(text: &str) -> ParsedBlob {
        let blob = parse(text.as_bytes());
        decode(&encode(&blob).expect("no errors")).expect("what was written")
    }

    #[test]
    fn every_value_comes_back_exactly() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {b: c}}\n\
                    x: [null, true, false, 1, -1, 18446744073709551615, 0.1, 1e300, '', ü, {}, [], 5e-324]\n";
        let (first, second) = (parse(text.as_bytes()), again(text));
        let (first, second) = (&first.documents[0], &second.documents[0]);
        assert_eq!(first.value, second.value);
        assert_eq!(first.labels, second.labels);
        assert_eq!((first.index, first.line), (second.index, second.line));
    }

    #[test]
    fn a_file_without_objects_is_known_to_have_none() {
        assert_eq!(again("a: 1\n").skipped, Some("no apiVersion and kind"));
        assert_eq!(again("# nothing\n").skipped, Some("it is empty"));
    }

    #[test]
    fn damaged_bytes_give_nothing_and_no_panic() {
        let whole = encode(&parse(
            b"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n",
        ))
        .expect("no errors");
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_none(), "cut at {end}");
        }
        for position in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[position] ^= flip;
                drop(decode(&damaged));
            }
        }
    }
}
