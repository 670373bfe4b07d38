//! Amounts as people write them: times, sizes, and limits as a number or a share.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time span as Kubernetes writes it: `30s`, `1m`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(pub Duration);

/// A number of bytes, as a number or with a unit: `471040`, `460Ki`, `1Mi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// How many of something: a number of them, or a share of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// This many.
    Count(u32),
    /// This many of a hundred, from 0 to 100.
    Percent(u8),
}

/// The pattern that the CRD checks; longer units first, so that `ms` is not `m`.
const INTERVAL: &str = "^([0-9]{1,9}(h|ms|m|s))+$";
const BYTES: &str = "^[0-9]{1,12}(Ki|Mi|Gi)?$";
const PERCENT: &str = "^(100|[1-9]?[0-9])%$";

/// What each type wants to see, for its error.
const WANTED_INTERVAL: &str = "a time such as `30s`, `1m` or `1h30m`";
const WANTED_BYTES: &str = "a size such as `460Ki` or `1Mi`";
const WANTED_LIMIT: &str = "a number, or a share such as `25%`";

impl Limit {
    /// Gives the greatest number of `total` that is inside the limit.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => {
                total / 100 * usize::from(percent) + total % 100 * usize::from(percent) / 100
            }
        }
    }
}

impl FromStr for Interval {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.len()
                - rest
                    .trim_start_matches(|digit: char| digit.is_ascii_digit())
                    .len();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.len()
                - tail
                    .trim_start_matches(|letter: char| letter.is_ascii_alphabetic())
                    .len();
            let (unit, tail) = tail.split_at(letters);
            let number: u64 = number
                .parse()
                .ok()
                .filter(|_| digits < 10)
                .ok_or(WANTED_INTERVAL)?;
            let part = match unit {
                "h" => Duration::from_secs(number * 3600),
                "m" => Duration::from_secs(number * 60),
                "s" => Duration::from_secs(number),
                "ms" => Duration::from_millis(number),
                _ => return Err(WANTED_INTERVAL),
            };
            total = total.checked_add(part).ok_or(WANTED_INTERVAL)?;
            rest = tail;
        }
        if text.is_empty() {
            Err(WANTED_INTERVAL)
        } else {
            Ok(Self(total))
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [
            (u128::from(seconds / 3600), "h"),
            (u128::from(seconds / 60 % 60), "m"),
            (u128::from(seconds % 60), "s"),
            (self.0.as_millis() % 1000, "ms"),
        ];
        if self.0.as_millis() == 0 {
            return formatter.write_str("0s");
        }
        for (number, unit) in parts {
            if number > 0 {
                write!(formatter, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "" => 1,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            _ => return Err(WANTED_BYTES),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number: Option<u64> = digits.parse().ok().filter(|_| plain && digits.len() <= 12);
        number
            .and_then(|number| number.checked_mul(factor))
            .map(Self)
            .ok_or(WANTED_BYTES)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => formatter.write_str("0"),
            bytes if bytes % (1 << 20) == 0 => write!(formatter, "{}Mi", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(formatter, "{}Ki", bytes >> 10),
            bytes => write!(formatter, "{bytes}"),
        }
    }
}

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text
            .strip_suffix('%')
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let percent: Option<u8> = share.and_then(|digits| digits.parse().ok());
        percent
            .filter(|percent| *percent <= 100)
            .map(Self::Percent)
            .ok_or(WANTED_LIMIT)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Amount::<Self> {
            wanted: WANTED_INTERVAL,
            count: None,
        })
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Amount {
            wanted: WANTED_BYTES,
            count: Some(|count| Some(Self(count))),
        })
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Amount {
            wanted: WANTED_LIMIT,
            count: Some(|count| u32::try_from(count).ok().map(Self::Count)),
        })
    }
}

/// Reads an amount from text, and from a number where `count` says how.
struct Amount<T> {
    wanted: &'static str,
    count: Option<fn(u64) -> Option<T>>,
}

impl<T: FromStr> Visitor<'_> for Amount<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.wanted)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let amount = self.count.and_then(|count| count(number));
        amount.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }
}

impl JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": INTERVAL})
    }

    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true, "pattern": BYTES, "minimum": 0})
    }

    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    // Where a limit is left out there is a default, and null is none: said here, because kube adds the opposite.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true, "pattern": PERCENT, "minimum": 0, "nullable": false})
    }

    fn inline_schema() -> bool {
        true
    }
}
