//! Before a path is parsed by RFC 9535: where its segments begin, and whether it can be afforded.
//!
//! Paths come from repositories that anybody may write to. What is refused here could take a parser exponential time,
//! or make an evaluator visit an object many times over. Characters inside strings have no meaning and are skipped.

use super::JsonPathError;

/// The deepest nesting of brackets and parentheses.
const MAX_NESTING: usize = 16;
/// The most `..` in the filters of one segment: nested, each multiplies the work by the depth of the object.
const MAX_INNER_DESCENTS: usize = 1;
/// The most filters: a nested one doubles the work of parsing.
const MAX_FILTERS: usize = 4;
/// The most commas: `[*,*]` finds everything twice.
const MAX_ALTERNATIVES: usize = 32;
/// The same in a path with `..`, where everything is more.
const MAX_DESCENT_ALTERNATIVES: usize = 4;

/// The offsets of the segments after `$`.
pub(super) fn segments(text: &str) -> Result<Vec<usize>, JsonPathError> {
    let mut starts = Vec::new();
    let mut count = Count::default();
    let mut quote = None;
    let mut before = '\0';
    for (offset, character) in text.char_indices() {
        let outside = count.nesting == 0;
        match (quote, character) {
            // The second of two backslashes escapes nothing.
            (Some(_), '\\') if before == '\\' => {
                before = '\0';
                continue;
            }
            (Some(open), _) if character == open && before != '\\' => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '.') if before == '.' => {
                count.descents += 1;
                count.inner_descents += usize::from(!outside);
            }
            (None, '.') if outside => {
                starts.push(offset);
                count.inner_descents = 0;
            }
            (None, '[' | '(') => {
                if outside && before != '.' {
                    starts.push(offset);
                    count.inner_descents = 0;
                }
                count.nesting += 1;
            }
            (None, ']' | ')') => count.nesting = count.nesting.saturating_sub(1),
            (None, '?') => count.filters += 1,
            (None, ',') => count.alternatives += 1,
            (None, '$') if !outside => {
                return Err(JsonPathError::at(
                    offset,
                    "a filter can only look at @, not at $",
                ));
            }
            _ => {}
        }
        before = character;
        if let Some(excess) = count.excess() {
            return Err(JsonPathError::at(offset, excess));
        }
    }
    // The parser panics where an escape is cut off by the end of the path.
    if quote.is_some() {
        return Err(JsonPathError::at(text.len(), "a string has no end"));
    }
    Ok(starts)
}

#[derive(Default)]
struct Count {
    nesting: usize,
    descents: usize,
    inner_descents: usize,
    filters: usize,
    alternatives: usize,
}

impl Count {
    fn excess(&self) -> Option<&'static str> {
        let alternatives = if self.descents > 0 {
            MAX_DESCENT_ALTERNATIVES
        } else {
            MAX_ALTERNATIVES
        };
        [
            (self.nesting > MAX_NESTING, "nested too deeply"),
            (
                self.inner_descents > MAX_INNER_DESCENTS,
                "too many .. in filters",
            ),
            (self.filters > MAX_FILTERS, "too many filters"),
            (self.alternatives > alternatives, "too many alternatives"),
        ]
        .into_iter()
        .find_map(|(exceeded, what)| exceeded.then_some(what))
    }
}
