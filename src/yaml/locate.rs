//! Where in a text a value was written: line and column for error messages.
//!
//! Reads the text again with the slow way's parser, which is fine for the few values that are wrong.

use granit_parser::{Event, Parser, Span, StrInput};

use super::load::{Limits, decode};
use super::slow;
use crate::model::PathPart;

/// Which part of an entry of a map is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its key.
    Key,
    /// Its value.
    Value,
}

impl Part {
    /// Tells which part of an entry a diagnostic with this reason is about: a key that nobody knows is itself wrong.
    pub fn blamed_by(reason: &str) -> Self {
        match reason {
            "UnknownField" => Self::Key,
            _ => Self::Value,
        }
    }
}

/// Gives line and column, both from 1 and the column in characters, of what is at `path` in the given document (from 0,
/// counted as [`super::load`] counts): of the value, or of the key that leads to it.
///
/// Where the path leads nowhere, the deepest value on it that exists; `None` when there is no such document.
/// Aliases and merges are not followed: the place is that of the alias, or of the map that merges.
pub fn locate(text: &[u8], document: usize, path: &[PathPart], part: Part) -> Option<(u32, u32)> {
    let limits = Limits {
        bytes: usize::MAX,
        ..Limits::default()
    };
    let text = decode(text, &limits).ok()?;
    let mut finder = Finder {
        parser: slow::parser(text, limits.depth),
        part,
        found: None,
    };
    let mut seen = 0;
    loop {
        match finder.next()? {
            (Event::StreamEnd, _) => return None,
            (Event::DocumentStart(..), _) => {
                let (event, span) = finder.next()?;
                if slow::is_nothing(&event, &span) {
                    continue;
                }
                if seen == document {
                    // What is broken behind the place does not matter.
                    let _finished = finder.descend(&event, &span, path);
                    return finder.found;
                }
                seen += 1;
                finder.skip(&event)?;
            }
            _ => {}
        }
    }
}

struct Finder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    part: Part,
    found: Option<(u32, u32)>,
}

impl<'t> Finder<'t> {
    /// The next event; `None` at the end and where the text is broken.
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        self.parser.next_event()?.ok()
    }

    /// Follows `path` into the node that `event` begins.
    fn descend(&mut self, event: &Event<'t>, span: &Span, path: &[PathPart]) -> Option<()> {
        self.found = Some(slow::place(span));
        match (event, path.split_first()?) {
            (Event::MappingStart(..), (PathPart::Key(wanted), rest)) => loop {
                let (key, key_span) = self.next()?;
                if key == Event::MappingEnd {
                    return None;
                }
                let matches = key_text(&key).is_some_and(|text| text == *wanted);
                self.skip(&key)?;
                let (value, span) = self.next()?;
                if matches && rest.is_empty() && self.part == Part::Key {
                    self.found = Some(slow::place(&key_span));
                    return Some(());
                }
                if matches {
                    return self.descend(&value, &span, rest);
                }
                self.skip(&value)?;
            },
            (Event::SequenceStart(..), (PathPart::Index(wanted), rest)) => {
                for _ in 0..*wanted {
                    let (item, _) = self.next()?;
                    if item == Event::SequenceEnd {
                        return None;
                    }
                    self.skip(&item)?;
                }
                let (item, span) = self.next()?;
                if item == Event::SequenceEnd {
                    None
                } else {
                    self.descend(&item, &span, rest)
                }
            }
            _ => None,
        }
    }

    /// Reads to the end of the node that `event` begins.
    fn skip(&mut self, event: &Event<'t>) -> Option<()> {
        let mut open = i32::from(opens(event));
        while open > 0 {
            let (event, _) = self.next()?;
            open += i32::from(opens(&event));
            open -= i32::from(matches!(event, Event::SequenceEnd | Event::MappingEnd));
        }
        Some(())
    }
}

fn opens(event: &Event<'_>) -> bool {
    matches!(event, Event::SequenceStart(..) | Event::MappingStart(..))
}

fn key_text(event: &Event<'_>) -> Option<String> {
    if slow::is_merge(event) {
        return None;
    }
    let Event::Scalar(text, style, _, tag) = event else {
        return None;
    };
    let resolved = slow::resolve(text, *style, tag.as_deref()).ok()?;
    resolved.into_key().ok().map(std::borrow::Cow::into_owned)
}
