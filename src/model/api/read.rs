//! Strict reading of API objects: a parsed manifest becomes a typed object, or an error that names the exact field.
//!
//! The API server prunes or ignores much that a person mistyped. Here an unknown field is an error that names the
//! nearest right one, a value of the wrong type says what was found, and both carry the path of the field, from
//! which its line and column can be found. Never guesses and never converts: `true` is no text.

use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, IntoDeserializer as _,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_json::{Map, Value, map};

use crate::model::names;
use crate::model::{Diagnostic, Location};

/// One step from a value into a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPart {
    /// To the member of this name.
    Key(String),
    /// To the item of this number, from 0.
    Index(usize),
}

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
    let reader = Reader {
        value,
        level: Level::Root,
    };
    let object = T::deserialize(reader)?;
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
        let mut text = String::new();
        for part in &self.path {
            match part {
                PathPart::Key(key) if key.contains(['.', '/', '[']) || key.is_empty() => {
                    text.push_str(&format!("[{key:?}]"));
                }
                PathPart::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                PathPart::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
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
            write!(formatter, "{}: ", self.path_text())?;
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
        unknown("InvalidValue", "value", variant, expected)
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

/// How deep a value stands, as far as that changes how it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The object itself: `apiVersion`, `kind` and `status` belong to every object.
    Root,
    /// Written by people: a member without a value is a mistake.
    Written,
    /// Written by API servers: a member without a value is no member.
    Served,
}

/// A serde deserializer over one value.
#[derive(Clone, Copy)]
struct Reader<'a> {
    value: &'a Value,
    level: Level,
}

impl<'a> Reader<'a> {
    fn inside(self, value: &'a Value, key: Option<&str>) -> Self {
        let level = match (self.level, key) {
            (Level::Root, Some("metadata" | "status")) | (Level::Served, _) => Level::Served,
            _ => Level::Written,
        };
        Self { value, level }
    }

    /// Walks a mapping; `fields` are those that a struct knows.
    fn map<'de, V: Visitor<'de>>(
        self,
        members: &'a Map<String, Value>,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if let (Level::Root, Some(fields)) = (self.level, fields) {
            unknown_at_root(members, fields)?;
        }
        visitor.visit_map(Members {
            reader: self,
            fields,
            rest: members.iter(),
            current: None,
        })
    }

    fn mismatch<T>(self, expected: &dyn Expected) -> Result<T, ReadError> {
        if self.value.is_null() {
            return Err(ReadError::new("InvalidValue", "has no value")
                .help("give it a value, or leave it out"));
        }
        let found = match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => Unexpected::Unsigned(value),
                (_, Some(value), _) => Unexpected::Signed(value),
                (_, _, value) => Unexpected::Float(value.unwrap_or(f64::NAN)),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Err(mismatch(found, expected))
    }
}

/// Refuses members of the object that no kind has.
fn unknown_at_root(
    members: &Map<String, Value>,
    fields: &'static [&'static str],
) -> Result<(), ReadError> {
    let stranger = members
        .keys()
        .find(|key| !is_common(key) && !fields.contains(&key.as_str()));
    match stranger {
        Some(key) => Err(unknown("UnknownField", "field", key, fields).under_key(key)),
        None => Ok(()),
    }
}

/// Whether every Kubernetes object may have this member.
fn is_common(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind" | "status")
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(_) => self.deserialize_i64(visitor),
            Value::String(text) => visitor.visit_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(members) => self.map(members, None, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Value::Number(number) = self.value else {
            return self.mismatch(&visitor);
        };
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), _, _) => visitor.visit_u64(value),
            (_, Some(value), _) => visitor.visit_i64(value),
            (_, _, Some(value)) => visitor.visit_f64(value),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::String(text) => visitor.visit_str(text),
            _ => self.mismatch(&visitor),
        }
    }

    /// A member that is written has a value: `null` reaches the inner type, which takes or refuses it.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Array(items) => visitor.visit_seq(Items {
                reader: self,
                rest: items.iter().enumerate(),
            }),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Object(members) => self.map(members, None, visitor),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Object(members) => self.map(members, Some(fields), visitor),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Object(members) => visitor.visit_enum(Choice {
                reader: self,
                members,
                variants,
            }),
            _ => self.mismatch(&OneOf(variants).to_string().as_str()),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_i64(visitor)
    }

    // No type of ours asks for the rest; what does is shown the value as it is.
    serde::forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit_struct tuple tuple_struct
    }
}

/// The items of a list.
struct Items<'a> {
    reader: Reader<'a>,
    rest: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some((index, value)) = self.rest.next() else {
            return Ok(None);
        };
        let item = seed.deserialize(self.reader.inside(value, None));
        item.map(Some).map_err(|error| error.under_index(index))
    }
}

/// The members of a mapping.
struct Members<'a> {
    reader: Reader<'a>,
    fields: Option<&'static [&'static str]>,
    rest: map::Iter<'a>,
    current: Option<(&'a str, &'a Value)>,
}

impl Members<'_> {
    /// Whether a member is passed over: common to all objects and unwanted, or without a value from an API server.
    fn is_skipped(&self, key: &str, value: &Value) -> bool {
        match self.reader.level {
            Level::Root => {
                is_common(key) && self.fields.is_some_and(|fields| !fields.contains(&key))
            }
            Level::Served => value.is_null(),
            Level::Written => false,
        }
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        while let Some((key, value)) = self.rest.next() {
            if self.is_skipped(key, value) {
                continue;
            }
            self.current = Some((key, value));
            let known = seed.deserialize(key.as_str().into_deserializer());
            return known
                .map(Some)
                .map_err(|error: ReadError| error.under_key(key));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some((key, value)) = self.current.take() else {
            return Err(ReadError::new(
                "InvalidValue",
                "a value was asked for before its key",
            ));
        };
        seed.deserialize(self.reader.inside(value, Some(key)))
            .map_err(|error| error.under_key(key))
    }
}

/// A mapping whose only member says which of several things it is.
struct Choice<'a> {
    reader: Reader<'a>,
    members: &'a Map<String, Value>,
    variants: &'static [&'static str],
}

/// What a choice needs.
struct OneOf(&'static [&'static str]);

impl fmt::Display for OneOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|name| format!("`{name}`")).collect();
        write!(formatter, "one of {}", names.join(", "))
    }
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = ReadError;
    type Variant = Chosen<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Chosen<'a>), ReadError> {
        let stranger = self
            .members
            .keys()
            .find(|key| !self.variants.contains(&key.as_str()));
        if let Some(key) = stranger {
            return Err(unknown("UnknownField", "field", key, self.variants).under_key(key));
        }
        let mut members = self.members.iter();
        let (Some((key, value)), None) = (members.next(), members.next()) else {
            let message = format!("exactly one is needed, there are {}", self.members.len());
            return Err(ReadError::new("InvalidValue", message)
                .help(format!("keep {}", OneOf(self.variants))));
        };
        let variant = seed.deserialize(key.as_str().into_deserializer());
        let chosen = Chosen {
            key,
            reader: self.reader.inside(value, Some(key)),
        };
        variant
            .map(|variant| (variant, chosen))
            .map_err(|error: ReadError| error.under_key(key))
    }
}

/// The content of the member that was chosen.
struct Chosen<'a> {
    key: &'a str,
    reader: Reader<'a>,
}

impl<'de> VariantAccess<'de> for Chosen<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        Err(ReadError::new(
            "InvalidValue",
            format!("`{}` stands for itself and takes no value", self.key),
        ))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        let key = self.key;
        seed.deserialize(self.reader)
            .map_err(|error| error.under_key(key))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        let key = self.key;
        de::Deserializer::deserialize_seq(self.reader, visitor)
            .map_err(|error| error.under_key(key))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let key = self.key;
        de::Deserializer::deserialize_struct(self.reader, "", fields, visitor)
            .map_err(|error| error.under_key(key))
    }
}
