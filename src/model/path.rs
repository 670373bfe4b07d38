//! The way from a value into a part of it, and how people write it.

use std::fmt;

use serde::Serialize;

/// One step from a value into a part of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum PathPart {
    /// To the member of this name.
    Key(String),
    /// To the item of this number, from 0.
    Index(usize),
}

impl PathPart {
    /// Writes a way as people do: `spec.clusterSelectors[0].matchLabels`.
    pub fn join(path: &[Self]) -> String {
        let steps = path.iter().enumerate().map(|(depth, part)| match part {
            Self::Index(index) => format!("[{index}]"),
            Self::Key(key) if key.contains(['.', '/', '[']) || key.is_empty() => {
                format!("[{key:?}]")
            }
            Self::Key(key) if depth == 0 => key.clone(),
            Self::Key(key) => format!(".{key}"),
        });
        steps.collect()
    }
}

impl fmt::Debug for PathPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => fmt::Debug::fmt(key, formatter),
            Self::Index(index) => fmt::Debug::fmt(index, formatter),
        }
    }
}

impl From<&str> for PathPart {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<String> for PathPart {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for PathPart {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}
