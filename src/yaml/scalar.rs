//! Plain scalars to typed values, as go-yaml version 2 resolves them (its `resolve.go`).
//!
//! Text of one scalar → [`Scalar`]; a [`Scalar`] → a JSON value, or the string that Go makes of it as a map key.
//! Knows nothing of lines and documents.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// A resolved scalar; floats keep their identity because a float key prints otherwise than an integer key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'t> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Beyond `i64`.
    Unsigned(u64),
    Float(f64),
    String(&'t str),
}

/// Resolves a plain scalar without a tag.
#[inline]
pub(super) fn resolve(text: &str) -> Scalar<'_> {
    let Some(&first) = text.as_bytes().first() else {
        return Scalar::Null;
    };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            word(text).unwrap_or(Scalar::String(text))
        }
        b'0'..=b'9' | b'+' | b'-' => number(text).unwrap_or(Scalar::String(text)),
        b'.' => dotted(text).unwrap_or(Scalar::String(text)),
        _ => Scalar::String(text),
    }
}

/// Resolves a scalar under a tag given by its short name (`int`, `str` …); `None` when it does not fit.
/// Tags that go-yaml does not resolve leave the text as it is.
pub(super) fn resolve_tagged<'t>(tag: &str, text: &'t str) -> Option<Scalar<'t>> {
    let resolved = resolve(text);
    match (tag, resolved) {
        ("bool", Scalar::Boolean(_))
        | ("null", Scalar::Null)
        | ("int", Scalar::Integer(_) | Scalar::Unsigned(_))
        | ("float", Scalar::Float(_)) => Some(resolved),
        #[allow(clippy::cast_precision_loss)] // As Go converts it.
        ("float", Scalar::Integer(integer)) => Some(Scalar::Float(integer as f64)),
        ("timestamp", Scalar::String(_)) if looks_like_a_date(text) => Some(Scalar::String(text)),
        ("bool" | "null" | "int" | "float" | "timestamp", _) => None,
        _ => Some(Scalar::String(text)),
    }
}

/// Turns a scalar into JSON; `None` for NaN and infinities. Integral floats become integers, as they do on their
/// way through Go's JSON.
#[inline]
pub(super) fn into_value(scalar: Scalar<'_>) -> Option<Value> {
    Some(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(boolean) => Value::Bool(boolean),
        Scalar::Integer(integer) => Value::Number(integer.into()),
        Scalar::Unsigned(integer) => Value::Number(integer.into()),
        Scalar::Float(float) => Value::Number(json_number(float)?),
        Scalar::String(text) => Value::String(text.to_owned()),
    })
}

/// Gives the number that reading Go's JSON text of `float` gives; `None` for NaN and infinities.
pub(super) fn json_number(float: f64) -> Option<Number> {
    // Up to here Go prints no exponent, so an integral number prints as an integer.
    const PRINTED_PLAINLY: f64 = 1e21;
    if float.fract() == 0.0 && float.abs() < PRINTED_PLAINLY {
        // The shortest digits that name this float, padded with zeros: not always its exact value.
        let printed = float.to_string();
        if let Ok(integer) = printed.parse::<i64>() {
            return Some(integer.into());
        }
        if let Ok(integer) = printed.parse::<u64>() {
            return Some(integer.into());
        }
    }
    Number::from_f64(float)
}

/// Gives the string that `sigs.k8s.io/yaml` makes of a scalar map key; the article and name of what it refuses.
pub(super) fn into_key(scalar: Scalar<'_>) -> Result<Cow<'_, str>, &'static str> {
    Ok(match scalar {
        Scalar::String(text) => Cow::Borrowed(text),
        Scalar::Boolean(true) => Cow::Borrowed("true"),
        Scalar::Boolean(false) => Cow::Borrowed("false"),
        Scalar::Integer(integer) => Cow::Owned(integer.to_string()),
        Scalar::Float(float) => Cow::Owned(go_float_key(float)),
        Scalar::Null => return Err("null"),
        Scalar::Unsigned(_) => return Err("a number beyond 9223372036854775807"),
    })
}

/// The words that go-yaml knows, by exact spelling.
#[inline]
fn word(text: &str) -> Option<Scalar<'static>> {
    if text.len() > 5 {
        return None;
    }
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Boolean(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Boolean(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => return None,
    })
}

/// What begins with a digit or a sign.
fn number(text: &str) -> Option<Scalar<'static>> {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Some(Scalar::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Scalar::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    // Most such scalars are ports and counts, or clearly none (`100m`, `10.0.0.1`).
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
    {
        return None;
    }
    let plain: Cow<'_, str> = if text.contains('_') {
        Cow::Owned(text.replace('_', ""))
    } else {
        Cow::Borrowed(text)
    };
    integer(&plain)
        .or_else(|| float(&plain))
        .or_else(|| signed_binary(&plain))
}

/// Integers as Go's `strconv` reads them with base 0.
fn integer(text: &str) -> Option<Scalar<'static>> {
    let (negative, signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Scalar::Integer);
    }
    match i64::try_from(magnitude) {
        Ok(small) => Some(Scalar::Integer(small)),
        // Go reads no sign on its unsigned way.
        Err(_) if signed => None,
        Err(_) => Some(Scalar::Unsigned(magnitude)),
    }
}

/// Floats in the spelling that go-yaml admits: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn float(text: &str) -> Option<Scalar<'static>> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shaped = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|part| {
            let part = part.strip_prefix(['+', '-']).unwrap_or(part);
            !part.is_empty() && digits(part)
        });
    if !shaped {
        return None;
    }
    // What overflows is an error to Go, and so stays a string.
    text.parse::<f64>()
        .ok()
        .filter(|float| float.is_finite())
        .map(Scalar::Float)
}

/// `0b` with a sign behind it: only go-yaml's second look at binary numbers reads it.
fn signed_binary(text: &str) -> Option<Scalar<'static>> {
    let digits = text.strip_prefix("0b")?;
    i64::from_str_radix(digits, 2).ok().map(Scalar::Integer)
}

/// What begins with a dot.
fn dotted(text: &str) -> Option<Scalar<'static>> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(Scalar::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" => return Some(Scalar::Float(f64::INFINITY)),
        _ => {}
    }
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    let separated = bytes
        .iter()
        .enumerate()
        .all(|(index, &byte)| byte != b'_' || (index > 0 && digit(index - 1) && digit(index + 1)));
    if separated && text.contains('_') {
        float(&text.replace('_', ""))
    } else {
        float(text)
    }
}

/// Go's `FormatFloat(float, 'g', -1, 32)`, with YAML's words for what is not finite.
fn go_float_key(float: f64) -> String {
    // Go's %g changes to exponents from here on when it looks for the shortest digits.
    const EXPONENT_FROM: i32 = 6;
    #[allow(clippy::cast_possible_truncation)] // sigs.k8s.io/yaml prints float keys with 32 bits.
    let narrow = float as f32;
    if narrow.is_nan() {
        return ".nan".to_owned();
    }
    if narrow.is_infinite() {
        return if narrow > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{narrow:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if narrow != 0.0 && !(-4..EXPONENT_FROM).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{narrow}")
}

/// A coarse check for go-yaml's four timestamp layouts, which all begin with a year of four digits.
fn looks_like_a_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}
