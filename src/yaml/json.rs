//! Files that hold JSON: one object after the other, read by the JSON parser.
//!
//! Gives documents, or `None` for everything that is not plainly JSON: duplicate keys, budgets and errors belong to
//! the YAML way, which reads JSON too and can say where something is wrong.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::load::{Document, Limits};
use super::scalar::json_number;

/// Reads a text that begins with `{`.
pub(super) fn documents(text: &str, limits: &Limits) -> Option<Vec<Document>> {
    let mut documents = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Checked>();
    let mut nodes = 0;
    let mut line = 1;
    let mut counted = 0;
    loop {
        let gap =
            text[values.byte_offset()..].len() - text[values.byte_offset()..].trim_start().len();
        let start = values.byte_offset() + gap;
        let Some(value) = values.next() else {
            return Some(documents);
        };
        let Checked(value) = value.ok()?;
        nodes += check(&value, 0, limits.depth)?;
        if nodes > limits.nodes {
            return None;
        }
        let breaks = text[counted..start]
            .bytes()
            .filter(|&byte| byte == b'\n')
            .count();
        line += u32::try_from(breaks).ok()?;
        counted = start;
        documents.push(Document {
            value,
            line,
            duplicates: Vec::new(),
        });
    }
}

/// Counts nodes; `None` when the value is nested too deeply.
fn check(value: &Value, depth: usize, limit: usize) -> Option<usize> {
    match value {
        Value::Array(_) | Value::Object(_) if depth >= limit => None,
        Value::Array(items) => items
            .iter()
            .try_fold(1, |sum, item| Some(sum + check(item, depth + 1, limit)?)),
        Value::Object(map) => map.values().try_fold(1, |sum, item| {
            Some(sum + 1 + check(item, depth + 1, limit)?)
        }),
        _ => Some(1),
    }
}

/// A JSON value without duplicate keys, with numbers as the YAML way gives them.
struct Checked(Value);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Builder.deserialize(deserializer).map(Self)
    }
}

struct Builder;

impl<'de> DeserializeSeed<'de> for Builder {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Builder {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without duplicate keys")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Value, E> {
        Ok(Value::Bool(boolean))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Value, E> {
        Ok(Value::Number(integer.into()))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Value, E> {
        Ok(Value::Number(integer.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, float: f64) -> Result<Value, E> {
        json_number(float)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(map))
    }
}
