//! Bytes of a manifest file → documents: checks the encoding, then takes the fastest way that is sure.
//!
//! Never reads a part of a broken file: one error refuses the whole text.

use serde_json::Value;

use super::error::{YamlError, YamlErrorKind};
use super::{fast, json, slow};

/// How much one text may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the text; also bytes of text that aliases may repeat.
    pub bytes: usize,
    /// Lists and maps inside each other.
    pub depth: usize,
    /// Scalars, keys, lists and maps in all documents together, those made by aliases included.
    pub nodes: usize,
    /// Aliases in all documents together.
    pub aliases: usize,
}

/// Room for every manifest that an API server would take, and none for a bomb.
impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            depth: 100,
            nodes: 2_000_000,
            aliases: 10_000,
        }
    }
}

/// What a key that is given twice in one map means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// An error that names both lines.
    #[default]
    Refused,
    /// The last one counts, as kubectl reads it; [`Document::duplicates`] lists them.
    LastWins,
}

/// A key that is given twice in one map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The key as a string.
    pub key: String,
    /// Line of its first occurrence, from 1.
    pub first: u32,
    /// Line of a later occurrence, from 1.
    pub second: u32,
}

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it holds, as JSON.
    pub value: Value,
    /// Line of its first node, from 1.
    pub line: u32,
    /// Keys given twice; empty unless [`Duplicates::LastWins`] was asked for.
    pub duplicates: Vec<Duplicate>,
}

/// What was spent of the [`Limits`] so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    pub(super) nodes: usize,
    pub(super) aliases: usize,
    pub(super) alias_bytes: usize,
}

/// Reads all documents of a file; duplicate keys are refused.
///
/// Documents that hold nothing but comments are left out and not counted. The error is the first one in the text.
pub fn load(text: &[u8], limits: &Limits) -> Result<Vec<Document>, YamlError> {
    load_with(text, limits, Duplicates::Refused)
}

/// Reads all documents of a file, with a choice about duplicate keys.
pub fn load_with(
    text: &[u8],
    limits: &Limits,
    duplicates: Duplicates,
) -> Result<Vec<Document>, YamlError> {
    let text = decode(text, limits)?;
    let characters = check_characters(text)?;
    if text.trim_start().starts_with('{')
        && let Some(documents) = json::documents(text, limits)
    {
        return Ok(documents);
    }
    let mut budget = Budget::default();
    if characters == Characters::Special {
        return slow::documents(text, 1, limits, duplicates, &mut budget);
    }
    let mut documents = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let mut nodes = budget.nodes;
        if let Some(read) = fast::document(rest, limits, &mut nodes) {
            budget.nodes = nodes;
            if let Some((value, start)) = read.value {
                let line = line + count_lines(&rest[..start]);
                documents.push(Document {
                    value,
                    line,
                    duplicates: Vec::new(),
                });
            }
            line += count_lines(&rest[..read.end]);
            rest = &rest[read.end..];
        } else {
            let end = next_document(rest);
            documents.extend(slow::documents(
                &rest[..end],
                line,
                limits,
                duplicates,
                &mut budget,
            )?);
            line += count_lines(&rest[..end]);
            rest = &rest[end..];
        }
    }
    Ok(documents)
}

/// Gives the text without its byte-order mark, if it is UTF-8 and not too large.
pub(super) fn decode<'t>(text: &'t [u8], limits: &Limits) -> Result<&'t str, YamlError> {
    if text.len() > limits.bytes {
        let kind = YamlErrorKind::TooLarge {
            bytes: text.len(),
            limit: limits.bytes,
        };
        return Err(YamlError::new(kind, 0, 0));
    }
    let zeros = |first: usize| {
        text.get(first) == Some(&0) && text.get(1 - first).is_some_and(|&byte| byte > 0)
    };
    if matches!(text, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) || zeros(0) || zeros(1) {
        return Err(YamlError::new(YamlErrorKind::Utf16, 0, 0));
    }
    let text = text
        .strip_prefix(b"\xef\xbb\xbf")
        .map_or((text, 0), |rest| (rest, 3));
    std::str::from_utf8(text.0).map_err(|error| {
        let before = String::from_utf8_lossy(&text.0[..error.valid_up_to()]);
        let (line, column) = end_of(&before);
        YamlError::new(
            YamlErrorKind::NotUtf8 {
                offset: error.valid_up_to() + text.1,
            },
            line,
            column,
        )
    })
}

/// What stands in a text, as far as it decides who may read it.
#[derive(PartialEq, Eq)]
enum Characters {
    /// Nothing out of the ordinary.
    Ordinary,
    /// Carriage returns, or line breaks that only some readers know: for the slow way.
    Special,
}

/// Refuses what go-yaml's reader refuses.
fn check_characters(text: &str) -> Result<Characters, YamlError> {
    // One branchless pass; the lead bytes are those of the rare characters below.
    let suspicious = text.bytes().fold(0, |found, byte| {
        let rare = u8::from(byte < 0x20 && byte != b'\n');
        found | rare | u8::from(matches!(byte, 0x7f | 0xc2 | 0xe2 | 0xef))
    });
    if suspicious == 0 {
        return Ok(Characters::Ordinary);
    }
    let mut characters = Characters::Ordinary;
    for (offset, character) in text.char_indices() {
        match character {
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                characters = Characters::Special;
            }
            '\t' | '\n' => {}
            '\0'..' ' | '\u{7f}'..'\u{a0}' | '\u{fffe}' | '\u{ffff}' => {
                let (line, column) = end_of(&text[..offset]);
                let kind = YamlErrorKind::ControlCharacter {
                    code: u32::from(character),
                };
                return Err(YamlError::new(kind, line, column));
            }
            _ => {}
        }
    }
    Ok(characters)
}

/// Where the document that begins `text` ends: at the next `---` line. All of the text when directives or `...`
/// make that unsure.
fn next_document(text: &str) -> usize {
    let mut end = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('%') || is_marker(line, "...") {
            return text.len();
        }
        if end.is_none() && offset > 0 && is_marker(line, "---") && !is_head(&text[..offset]) {
            end = Some(offset);
        }
        offset += line.len();
    }
    end.unwrap_or(text.len())
}

/// Whether nothing but comments and blank lines stands in `text`.
fn is_head(text: &str) -> bool {
    text.lines()
        .all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#'))
}

/// Whether `line` begins with a document marker.
pub(super) fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

fn count_lines(text: &str) -> u32 {
    let breaks = text.bytes().filter(|&byte| byte == b'\n').count();
    u32::try_from(breaks).unwrap_or(u32::MAX)
}

/// Line and column, from 1, of the place behind `text`.
fn end_of(text: &str) -> (u32, u32) {
    let last = text.rsplit('\n').next().unwrap_or("");
    (
        count_lines(text) + 1,
        u32::try_from(last.chars().count())
            .unwrap_or(u32::MAX)
            .saturating_add(1),
    )
}
