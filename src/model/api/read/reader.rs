//! The deserializer behind [`read`](super::read): a value with its place, so that errors grow their path on the way up.

use serde::de::{
    self, DeserializeSeed, EnumAccess, Expected, IntoDeserializer as _, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde_json::{Map, Value, map};

use super::{OneOf, ReadError, mismatch, unknown, unknown_choice};

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
pub(super) struct Reader<'a> {
    value: &'a Value,
    level: Level,
}

impl<'a> Reader<'a> {
    /// Starts at the object itself.
    pub(super) fn new(value: &'a Value) -> Self {
        let level = Level::Root;
        Self { value, level }
    }

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
            Value::String(text) if variants.contains(&text.as_str()) => {
                visitor.visit_enum(text.as_str().into_deserializer())
            }
            Value::String(text) => Err(unknown_choice(text, variants)),
            Value::Object(members) => visitor.visit_enum(Choice {
                reader: self,
                members,
                variants,
            }),
            Value::Null => self.mismatch(&visitor),
            // What was found may be a secret in place of its name.
            _ => Err(unknown_choice("", variants)),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize as _;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1.0e9..1.0e9).prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(kind|status|metadata|[a-c])", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_of_any_type_comes_out_as_it_went_in(value in any_value()) {
            let held = serde_json::json!({"spec": value});
            prop_assert_eq!(Value::deserialize(Reader::new(&held)), Ok(held.clone()));
        }
    }
}
