//! Paths of things to remove: `JSONPath` text → [`RemovalPath`] → fewer members in an object.
//!
//! KubeStellar's grammar is tried first and means what KubeStellar makes of it: `$` and then `.name` or `["string"]`
//! with JavaScript's escapes, without white space. Anything else is RFC 9535: wildcards, indices, slices, filters,
//! descendants, single quotes. A path that finds nothing removes nothing; that is no error.
//!
//! Paths come from people's repositories, so those that would cost more than they can be worth are refused before
//! they run. Never reads values beyond the one it is given.

use serde_json::Value;
use serde_json_path::{JsonPath, PathElement};

#[cfg(test)]
mod tests;

/// The longest path that is read, in bytes.
const MAX_LENGTH: usize = 4_096;
/// The deepest nesting of brackets and parentheses.
const MAX_NESTING: usize = 16;
/// The most `..`: each multiplies the work by the depth of the object.
const MAX_DESCENDANTS: usize = 2;
/// The most filters: a nested one multiplies the work of parsing and running.
const MAX_FILTERS: usize = 4;
/// The most commas: `[*,*][*,*]…` doubles the result at every step.
const MAX_ALTERNATIVES: usize = 8;

/// A parsed path to what shall be removed.
#[derive(Debug, Clone)]
pub struct RemovalPath {
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// Names from the root to the member to remove; never empty.
    Members(Vec<String>),
    Query(JsonPath),
}

/// Why a text is no path to remove.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonPathError {
    /// The path is `$`.
    #[error("it identifies the whole object")]
    WholeObject,
    /// The text follows neither grammar, or asks for more than is allowed.
    #[error("{message} (at byte {offset})")]
    Syntax {
        /// Where, in bytes from the start of the text.
        offset: usize,
        /// What is wrong, in words.
        message: String,
    },
}

impl JsonPathError {
    fn at(offset: usize, message: impl Into<String>) -> Self {
        Self::Syntax {
            offset,
            message: message.into(),
        }
    }

    /// Where in the text, in bytes.
    pub fn offset(&self) -> usize {
        match self {
            Self::WholeObject => 0,
            Self::Syntax { offset, .. } => *offset,
        }
    }
}

impl RemovalPath {
    /// Reads a path in KubeStellar's grammar, or else in RFC 9535's.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        if text.len() > MAX_LENGTH {
            return Err(JsonPathError::at(
                MAX_LENGTH,
                format!("longer than {MAX_LENGTH} bytes"),
            ));
        }
        let members = match Members::read(text) {
            Ok(names) if names.is_empty() => return Err(JsonPathError::WholeObject),
            Ok(names) => {
                return Ok(Self {
                    form: Form::Members(names),
                });
            }
            Err(error) => error,
        };
        affordable(text)?;
        match JsonPath::parse(text) {
            Ok(query) => Ok(Self {
                form: Form::Query(query),
            }),
            // The grammar that got further knows better what was meant.
            Err(error) if error.position() > members.offset() => {
                let what = error.message().trim_end_matches(", parser error");
                Err(JsonPathError::at(
                    error.position(),
                    format!("not a JSONPath: {what}"),
                ))
            }
            Err(_) => Err(members),
        }
    }

    /// Removes what the path finds in `object`, and says how many values that were; one inside another counts too.
    pub fn remove_from(&self, object: &mut Value) -> usize {
        match &self.form {
            Form::Members(names) => remove_member(object, names),
            Form::Query(query) => {
                let located = locate(query, object);
                prune(object, &located, 0);
                located.len()
            }
        }
    }
}

/// Deletes the last name's member, whatever its value. A missing name or a value that is no object ends the walk.
fn remove_member(object: &mut Value, names: &[String]) -> usize {
    let Some((last, parents)) = names.split_last() else {
        return 0;
    };
    let mut parent = object;
    for name in parents {
        match parent
            .as_object_mut()
            .and_then(|members| members.get_mut(name))
        {
            Some(member) => parent = member,
            None => return 0,
        }
    }
    parent
        .as_object_mut()
        .and_then(|members| members.remove(last))
        .map_or(0, |_| 1)
}

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Name(String),
    Index(usize),
}

/// Where the query's nodes are, sorted, each once.
fn locate(query: &JsonPath, object: &Value) -> Vec<Vec<Step>> {
    let mut located: Vec<Vec<Step>> = query
        .query_located(object)
        .locations()
        .map(|path| {
            path.iter()
                .map(|element| match element {
                    PathElement::Name(name) => Step::Name((*name).to_owned()),
                    PathElement::Index(index) => Step::Index(*index),
                })
                .collect()
        })
        .collect();
    located.sort_unstable();
    located.dedup();
    located
}

/// Removes the `located` values, which all lie `depth` steps or more below the root and share their first `depth`
/// steps, the ones to `value`.
fn prune(value: &mut Value, located: &[Vec<Step>], depth: usize) {
    let mut doomed = Vec::new();
    for group in located.chunk_by(|one, other| one.get(depth) == other.get(depth)) {
        // Sorted: if the group's own value goes, its path is the shortest and stands first.
        let Some(step) = group[0].get(depth) else {
            continue;
        };
        match (step, &mut *value) {
            _ if group[0].len() > depth + 1 => {
                if let Some(inner) = inner_mut(value, step) {
                    prune(inner, group, depth + 1);
                }
            }
            (Step::Name(name), Value::Object(members)) => {
                members.remove(name);
            }
            (Step::Index(index), Value::Array(_)) => doomed.push(*index),
            _ => {}
        }
    }
    if let Value::Array(items) = value {
        let mut doomed = doomed.into_iter().peekable();
        let mut index = 0;
        items.retain(|_| {
            let goes = doomed.next_if_eq(&index).is_some();
            index += 1;
            !goes
        });
    }
}

fn inner_mut<'v>(value: &'v mut Value, step: &Step) -> Option<&'v mut Value> {
    match step {
        Step::Name(name) => value.get_mut(name),
        Step::Index(index) => value.get_mut(index),
    }
}

/// Refuses what could cost much: counted outside of strings, where alone these characters have a meaning.
fn affordable(text: &str) -> Result<(), JsonPathError> {
    let (mut nesting, mut descendants, mut filters, mut alternatives) = (0_usize, 0, 0, 0);
    let mut quote = None;
    let mut before = '\0';
    for (offset, character) in text.char_indices() {
        let refused = |what: &str| Err(JsonPathError::at(offset, what));
        match (quote, character) {
            // The second of two backslashes escapes nothing.
            (Some(_), '\\') if before == '\\' => {
                before = '\0';
                continue;
            }
            (Some(open), _) if character == open && before != '\\' => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | '(') => nesting += 1,
            (None, ']' | ')') => nesting = nesting.saturating_sub(1),
            (None, '.') if before == '.' => descendants += 1,
            (None, '?') => filters += 1,
            (None, ',') => alternatives += 1,
            (None, '$') if nesting > 0 => return refused("a filter can only look at @, not at $"),
            _ => {}
        }
        before = character;
        if nesting > MAX_NESTING {
            return refused("nested too deeply");
        } else if descendants > MAX_DESCENDANTS {
            return refused("too many ..");
        } else if filters > MAX_FILTERS {
            return refused("too many filters");
        } else if alternatives > MAX_ALTERNATIVES {
            return refused("too many alternatives");
        }
    }
    Ok(())
}

/// KubeStellar's grammar.
struct Members<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Members<'t> {
    fn read(text: &'t str) -> Result<Vec<String>, JsonPathError> {
        let mut members = Members { text, at: 0 };
        if !members.accept('$') {
            return Err(JsonPathError::at(0, "a path starts with $"));
        }
        let mut names = Vec::new();
        while members.at < text.len() {
            names.push(members.segment()?);
        }
        Ok(names)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn segment(&mut self) -> Result<String, JsonPathError> {
        if self.accept('.') {
            return self.name();
        }
        if !self.accept('[') {
            return Err(JsonPathError::at(self.at, "expected .name or [\"name\"]"));
        }
        if !self.accept('"') {
            return Err(JsonPathError::at(
                self.at,
                "expected a string in double quotes",
            ));
        }
        let name = self.string()?;
        if !self.accept(']') {
            return Err(JsonPathError::at(self.at, "expected ]"));
        }
        Ok(name)
    }

    fn name(&mut self) -> Result<String, JsonPathError> {
        let rest = self.rest();
        let starts = |character: char| {
            character.is_ascii_alphabetic() || character == '_' || !character.is_ascii()
        };
        if !rest.starts_with(starts) {
            return Err(JsonPathError::at(self.at, "expected a name"));
        }
        let length = rest.find(|character: char| !starts(character) && !character.is_ascii_digit());
        let name = &rest[..length.unwrap_or(rest.len())];
        self.at += name.len();
        Ok(name.to_owned())
    }

    /// The rest of a JavaScript string literal after its opening quote. JavaScript counts in UTF-16, so that two
    /// escapes may make one character, and half of such a pair makes U+FFFD.
    fn string(&mut self) -> Result<String, JsonPathError> {
        let mut units = Vec::new();
        loop {
            let at = self.at;
            match self.next() {
                None => return Err(JsonPathError::at(at, "the string does not end")),
                Some('"') => break,
                Some('\n' | '\r') => {
                    return Err(JsonPathError::at(
                        at,
                        "a string cannot contain a line break",
                    ));
                }
                Some('\\') => self.escape(at, &mut units)?,
                Some(character) => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
            }
        }
        Ok(String::from_utf16_lossy(&units))
    }

    fn escape(&mut self, at: usize, units: &mut Vec<u16>) -> Result<(), JsonPathError> {
        let malformed = || JsonPathError::at(at, "malformed escape");
        let unit = match self.next().ok_or_else(malformed)? {
            'b' => 8,
            't' => 9,
            'n' => 10,
            'v' => 11,
            'f' => 12,
            'r' => 13,
            'x' => self.hexadecimal(2).ok_or_else(malformed)?,
            'u' if self.accept('{') => {
                let digits = self
                    .rest()
                    .split_once('}')
                    .map(|(digits, _)| digits)
                    .ok_or_else(malformed)?;
                let code = code_point(digits).ok_or_else(malformed)?;
                self.at += digits.len() + 1;
                match char::from_u32(code) {
                    Some(character) => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
                    None => units.push(u16::try_from(code).map_err(|_| malformed())?),
                }
                return Ok(());
            }
            'u' => self.hexadecimal(4).ok_or_else(malformed)?,
            digit @ '0'..='7' => self.octal(digit),
            // A backslash at the end of a line continues the string on the next one.
            '\r' => {
                self.accept('\n');
                return Ok(());
            }
            '\n' | '\u{2028}' | '\u{2029}' => return Ok(()),
            other => {
                units.extend_from_slice(other.encode_utf16(&mut [0; 2]));
                return Ok(());
            }
        };
        units.push(unit);
        Ok(())
    }

    fn hexadecimal(&mut self, length: usize) -> Option<u16> {
        let digits = self.rest().get(..length)?;
        let unit = u16::try_from(code_point(digits)?).ok()?;
        self.at += length;
        Some(unit)
    }

    /// At most three digits, at most 255: `\101`, `\7`, `\0`.
    fn octal(&mut self, first: char) -> u16 {
        let longest = if first <= '3' { 3 } else { 2 };
        let more = self
            .rest()
            .bytes()
            .take(longest - 1)
            .take_while(|byte| matches!(byte, b'0'..=b'7'))
            .count();
        // The first digit is one byte before this.
        let digits = &self.text[self.at - 1..self.at + more];
        self.at += more;
        u16::from_str_radix(digits, 8).unwrap_or(0)
    }
}

/// Hexadecimal digits, at least one, up to the last code point.
fn code_point(digits: &str) -> Option<u32> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16)
        .ok()
        .filter(|_| all_digits)?;
    (code <= u32::from(char::MAX)).then_some(code)
}
