//! The values a template computes with: exactly those that a map of strings and Go's literals can give rise to.

use std::cmp::Ordering;
use std::rc::Rc;

use super::Properties;

/// One value. Cloning is cheap: text is borrowed or shared.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// What indexing a string gives: Go's `uint8`.
    Byte(u8),
    Float(f64),
    Text(Text<'a>),
    Properties(&'a Properties),
}

/// A Go string: any bytes, mostly UTF-8.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Borrowed(&'a [u8]),
    Shared(Rc<[u8]>),
}

impl Text<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Value<'_> {
    pub(super) fn text(bytes: Vec<u8>) -> Self {
        Self::Text(Text::Shared(bytes.into()))
    }

    /// Go's truth: false for the zero of every type.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.bytes().is_empty(),
            Self::Properties(properties) => !properties.is_empty(),
        }
    }

    /// The type as Go writes it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Properties(_) => "map[string]string",
        }
    }

    /// The value as an index, if it is whole.
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Byte(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// How many bytes a comparison or a copy of the value may touch.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.bytes().len(),
            Self::Properties(properties) => properties
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum(),
            _ => 0,
        }
    }

    /// Go's `eq` of two values: types must agree, but for the two kinds of whole number; nil equals nil alone.
    pub(super) fn equals(&self, other: &Self) -> Result<bool, String> {
        match (self, other) {
            (Self::Nil, Self::Nil) => Ok(true),
            (Self::Nil, _) | (_, Self::Nil) => Ok(false),
            (Self::Bool(one), Self::Bool(two)) => Ok(one == two),
            #[expect(clippy::float_cmp, reason = "Go's eq compares floats exactly")]
            (Self::Float(one), Self::Float(two)) => Ok(one == two),
            (Self::Text(one), Self::Text(two)) => Ok(one.bytes() == two.bytes()),
            (Self::Properties(_), Self::Properties(_)) => Err("maps cannot be compared".to_owned()),
            _ => match (self.whole(), other.whole()) {
                (Some(one), Some(two)) => Ok(one == two),
                _ => Err(self.incompatible(other)),
            },
        }
    }

    /// Go's order of two values, for `lt` and its kin; none for a NaN.
    pub(super) fn compare(&self, other: &Self) -> Result<Option<Ordering>, String> {
        match (self, other) {
            (Self::Float(one), Self::Float(two)) => Ok(one.partial_cmp(two)),
            (Self::Text(one), Self::Text(two)) => Ok(Some(one.bytes().cmp(two.bytes()))),
            _ => match (self.whole(), other.whole()) {
                (Some(one), Some(two)) => Ok(Some(one.cmp(&two))),
                _ => Err(self.incompatible(other)),
            },
        }
    }

    fn incompatible(&self, other: &Self) -> String {
        format!(
            "{} and {} cannot be compared",
            self.type_name(),
            other.type_name()
        )
    }
}
