//! Strict reading of API objects: a parsed manifest becomes a typed object, or an error that names the exact field.
//!
//! The API server prunes or ignores much that a person mistyped. Here an unknown field is an error that names the
//! nearest right one, a value of the wrong type says what was found, and both carry the path of the field, from
//! which its line and column can be found. Never guesses and never converts: `true` is no text.

use std::fmt;

use serde::de::{self, DeserializeOwned, Expected, Unexpected};
use serde_json::Value;

use crate::model::names;
use crate::model::{Diagnostic, Location, PathPart};

mod reader;

use reader::Reader;

/// A kind of object that steers Stellate.
pub trait ApiObject: DeserializeOwned {
    /// API group.
    const GROUP: &'static str;
    /// The one version that is understood.
    const VERSION: &'static str;
    /// Kind in CamelCase.
    const KIND: &'static str;

    /// Judges what the types cannot say, such as fields that exclude each other.
    fn check(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

/// What is wrong with a field, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The way from the object to the field.
    pub path: Vec<PathPart>,
    /// A fixed word for programs: `UnknownField`, `MissingField`, `InvalidValue`, `UnknownVersion`.
    pub reason: &'static str,
    /// What is wrong, without the path.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Reads an object of kind `T` from a parsed manifest.
pub fn read<T: ApiObject>(value: &Value) -> Result<T, ReadError> {
    check_version::<T>(value)?;
    let object = T::deserialize(Reader::new(value))?;
    object.check()?;
    Ok(object)
}

fn check_version<T: ApiObject>(value: &Value) -> Result<(), ReadError> {
    let wanted = if T::GROUP.is_empty() {
        T::VERSION.to_owned()
    } else {
        format!("{}/{}", T::GROUP, T::VERSION)
    };
    for (key, wanted) in [("apiVersion", wanted.as_str()), ("kind", T::KIND)] {
        let found = value.get(key).and_then(Value::as_str).unwrap_or_default();
        if found != wanted {
            let message = format!("`{found}` is not understood here");
            let help = format!("write `{key}: {wanted}`");
            return Err(ReadError::new("UnknownVersion", message)
                .help(help)
                .under_key(key));
        }
    }
    Ok(())
}

impl ReadError {
    /// Starts an error at the object itself; `reason` is a fixed CamelCase word.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            reason,
            message: message.into(),
            help: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Moves the error into the member `key`: the path grows at its front.
    #[must_use]
    pub fn under_key(mut self, key: &str) -> Self {
        self.path.insert(0, PathPart::Key(key.to_owned()));
        self
    }

    /// Moves the error into the item `index`: the path grows at its front.
    #[must_use]
    pub fn under_index(mut self, index: usize) -> Self {
        self.path.insert(0, PathPart::Index(index));
        self
    }

    /// Gives the path as people write it: `spec.downsync[0].resources`.
    pub fn path_text(&self) -> String {
        PathPart::join(&self.path)
    }

    /// Makes it an error diagnostic at the given place.
    pub fn diagnostic(self, location: Location) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.reason, self.to_string()).at(location);
        match self.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

/// Written `spec.downsync[0]: message`.
impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", PathPart::join(&self.path))?;
        }
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("InvalidValue", message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch(found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch(found, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        unknown("UnknownField", "field", field, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        unknown_choice(variant, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("MissingField", format!("`{field}` is missing"))
    }
}

/// Says what was found in place of what, in the words of YAML.
fn mismatch(found: Unexpected<'_>, expected: &dyn Expected) -> ReadError {
    let expected = expected.to_string();
    let wants_text = expected.contains("string");
    let (found, quotable) = match found {
        Unexpected::Bool(value) => (format!("the boolean {value}"), true),
        Unexpected::Unsigned(value) => (format!("the number {value}"), true),
        Unexpected::Signed(value) => (format!("the number {value}"), true),
        Unexpected::Float(value) => (format!("the number {value}"), true),
        Unexpected::Str(text) => (format!("`{text}`"), false),
        Unexpected::Seq => ("a list".to_owned(), false),
        Unexpected::Map => ("a mapping".to_owned(), false),
        other => (other.to_string(), false),
    };
    let expected = match expected.as_str() {
        "a string" => "text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") => "a mapping",
        other => other,
    };
    let error = ReadError::new(
        "InvalidValue",
        format!("expected {expected}, found {found}"),
    );
    if quotable && wants_text {
        return error.help("put the value in quotes");
    }
    error
}

/// Says that a word is unknown, and which one was meant or which there are.
fn unknown(reason: &'static str, what: &str, word: &str, known: &[&str]) -> ReadError {
    let error = ReadError::new(reason, format!("unknown {what} `{word}`"));
    if let Some(meant) = names::nearest(word, known.iter().copied()) {
        return error.help(format!("did you mean `{meant}`?"));
    }
    let known: Vec<_> = known.iter().map(|word| format!("`{word}`")).collect();
    match known.len() {
        0 => error,
        1 => error.help(format!("only {} is known here", known[0])),
        _ => error.help(format!("known here: {}", known.join(", "))),
    }
}

/// Says which words there are. The one that is written is shown only when it is nearly one of them: else it may
/// be a secret that stands where its name should.
fn unknown_choice(word: &str, known: &'static [&'static str]) -> ReadError {
    match names::nearest(word, known.iter().copied()) {
        Some(_) => unknown("InvalidValue", "value", word, known),
        None => ReadError::new("InvalidValue", format!("expected {}", OneOf(known))),
    }
}

/// What a choice needs.
struct OneOf(&'static [&'static str]);

impl fmt::Display for OneOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|name| format!("`{name}`")).collect();
        write!(formatter, "one of {}", names.join(", "))
    }
}
