//! Paths of things to remove: `JSONPath` text → [`RemovalPath`] → fewer members in an object.
//!
//! KubeStellar's grammar is tried first and means what KubeStellar makes of it: `$` and then `.name` or `["string"]`
//! with JavaScript's escapes, without white space. Anything else is RFC 9535: wildcards, indices, slices, filters,
//! descendants, single quotes. A path that finds nothing removes nothing; that is no error.
//!
//! Paths come from people's repositories, so those that would cost more than they can be worth are refused before
//! they run. Never reads values beyond the one it is given.

use serde_json::Value;
use serde_json_path::{JsonPath, NormalizedPath, PathElement};

#[cfg(test)]
mod tests;

mod affordable;
mod members;

/// The longest path that is read, in bytes.
const MAX_LENGTH: usize = 4_096;

/// A parsed path to what shall be removed.
#[derive(Debug, Clone)]
pub struct RemovalPath {
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// Names from the root to the member to remove; never empty.
    Members(Vec<String>),
    /// RFC 9535, one query a segment: between two segments each place is kept once, so that no path multiplies.
    Query(Vec<Segment>),
}

/// One segment, to be asked of every value that the segments before it found.
#[derive(Debug, Clone)]
struct Segment {
    query: JsonPath,
    /// Starts with `..`.
    descends: bool,
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
        let members = match members::read(text) {
            Ok(names) if names.is_empty() => return Err(JsonPathError::WholeObject),
            Ok(names) => {
                return Ok(Self {
                    form: Form::Members(names),
                });
            }
            Err(error) => error,
        };
        let pieces = affordable::segments(text)?;
        match JsonPath::parse(text) {
            Ok(_) => segments(text, &pieces),
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
            Form::Query(segments) => {
                let located = locate(segments, object);
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

/// A valid path, segment by segment; `starts` says where each begins.
fn segments(text: &str, starts: &[usize]) -> Result<RemovalPath, JsonPathError> {
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let parsed: Result<Vec<_>, _> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let piece = text[*start..end].trim();
            JsonPath::parse(&format!("${piece}"))
                .map(|query| Segment {
                    query,
                    descends: piece.starts_with(".."),
                })
                .map_err(|error| JsonPathError::at(*start, error.message()))
        })
        .collect();
    Ok(RemovalPath {
        form: Form::Query(parsed?),
    })
}

/// Where the segments lead, sorted, each place once.
fn locate(segments: &[Segment], object: &Value) -> Vec<Vec<Step>> {
    let mut located = vec![(Vec::new(), object)];
    for segment in segments {
        if segment.descends {
            keep_outermost(&mut located);
        }
        let mut found = Vec::new();
        for (place, value) in &located {
            let mut inner: Vec<_> = segment
                .query
                .query_located(value)
                .into_iter()
                .map(|node| {
                    (
                        [place.as_slice(), &steps(node.location())].concat(),
                        node.node(),
                    )
                })
                .collect();
            sort_places(&mut inner);
            found.append(&mut inner);
        }
        sort_places(&mut found);
        located = found;
    }
    located.into_iter().map(|(place, _)| place).collect()
}

type Located<'v> = (Vec<Step>, &'v Value);

fn sort_places(located: &mut Vec<Located<'_>>) {
    located.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    located.dedup_by(|(one, _), (other, _)| one == other);
}

/// Drops what lies inside another place: whatever a descent finds there, it finds from outside too.
fn keep_outermost(located: &mut Vec<Located<'_>>) {
    // Sorted: a place is followed by all that lies inside it.
    located.dedup_by(|(inner, _), (outer, _)| inner.starts_with(outer));
}

fn steps(path: &NormalizedPath<'_>) -> Vec<Step> {
    path.iter()
        .map(|element| match element {
            PathElement::Name(name) => Step::Name((*name).to_owned()),
            PathElement::Index(index) => Step::Index(*index),
        })
        .collect()
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
