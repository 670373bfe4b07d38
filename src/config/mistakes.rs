//! Everything that is wrong with one document: a value, and a reader that stops at its first error → all of its errors. Pure.
//!
//! The reader is asked again without what it refused, until it refuses nothing more, or only what follows from what was taken out.

use serde_json::Value;

use crate::model::PathPart;
use crate::model::api::ReadError;

/// The most errors that are told of one document.
const MOST: usize = 50;

/// Reads a document, or gives all that is wrong with it; never an empty list.
pub(super) fn read_all<T>(
    document: &Value,
    read: impl Fn(&Value) -> Result<T, ReadError>,
) -> Result<T, Vec<ReadError>> {
    let mut refused = match read(document) {
        Ok(read) => return Ok(read),
        Err(error) => Some(error),
    };
    let mut rest = Rest {
        value: document.clone(),
        taken: Vec::new(),
    };
    let mut found = Vec::new();
    while let Some(error) = refused.take() {
        let path = rest.as_written(&error.path);
        let (reason, here) = (error.reason, error.path.clone());
        if !rest.explains(&path, reason) {
            found.push(ReadError {
                path: path.clone(),
                ..error
            });
        }
        if found.len() < MOST && rest.take(&here, path, reason) {
            refused = read(&rest.value).err();
        }
    }
    Err(found)
}

/// A document without what was refused so far.
struct Rest {
    value: Value,
    taken: Vec<Taken>,
}

/// A member or item that was taken out.
struct Taken {
    /// Its path in the document as it is written.
    path: Vec<PathPart>,
    /// Whether nobody wants such a member, so that nothing needs it.
    is_stranger: bool,
}

impl Rest {
    /// The path in the document as it is written: items before it may have been taken out.
    fn as_written(&self, path: &[PathPart]) -> Vec<PathPart> {
        let mut written: Vec<PathPart> = Vec::with_capacity(path.len());
        for part in path {
            let part = match part {
                PathPart::Index(index) => PathPart::Index(self.index_before(&written, *index)),
                key @ PathPart::Key(_) => key.clone(),
            };
            written.push(part);
        }
        written
    }

    /// Where an item of this list was before others were taken out of it.
    fn index_before(&self, list: &[PathPart], index: usize) -> usize {
        let mut gone: Vec<usize> = self
            .taken
            .iter()
            .filter_map(|taken| match taken.path.split_last() {
                Some((PathPart::Index(gone), of)) if of == list => Some(*gone),
                _ => None,
            })
            .collect();
        gone.sort_unstable();
        gone.into_iter()
            .fold(index, |index, gone| index + usize::from(gone <= index))
    }

    /// Tells whether something at this path is wrong only because of what was taken out of it.
    fn explains(&self, path: &[PathPart], reason: &str) -> bool {
        self.taken.iter().any(|taken| {
            let is_direct = taken.path.len() == path.len() + 1;
            taken.path.starts_with(path)
                // A misspelt member is missing where it was meant to be, and nowhere else.
                && (!taken.is_stranger || (is_direct && reason != "UnknownField"))
        })
    }

    /// Takes out what is at a path; false where nothing is there, or only the document itself.
    fn take(&mut self, here: &[PathPart], written: Vec<PathPart>, reason: &str) -> bool {
        let Some((last, parents)) = here.split_last() else {
            return false;
        };
        let parent = parents
            .iter()
            .try_fold(&mut self.value, |value, part| match part {
                PathPart::Key(key) => value.get_mut(key),
                PathPart::Index(index) => value.get_mut(index),
            });
        let was_there = match (parent, last) {
            (Some(Value::Object(members)), PathPart::Key(key)) => members.remove(key).is_some(),
            (Some(Value::Array(items)), PathPart::Index(index)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            _ => false,
        };
        self.taken.push(Taken {
            path: written,
            is_stranger: reason == "UnknownField",
        });
        was_there
    }
}
