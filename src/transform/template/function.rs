//! Go's standard template functions. `and` and `or` are absent here: they choose what to evaluate, so the
//! evaluator has them.

use std::cmp::Ordering;

use super::format::{MAX_TEXT, print, print_line, printf};
use super::quote;
use super::value::{Text, Value};

/// A function a template may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Call,
    Eq,
    Ge,
    Gt,
    Html,
    Index,
    Js,
    Le,
    Len,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Slice,
    UrlQuery,
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Self::And,
            "call" => Self::Call,
            "eq" => Self::Eq,
            "ge" => Self::Ge,
            "gt" => Self::Gt,
            "html" => Self::Html,
            "index" => Self::Index,
            "js" => Self::Js,
            "le" => Self::Le,
            "len" => Self::Len,
            "lt" => Self::Lt,
            "ne" => Self::Ne,
            "not" => Self::Not,
            "or" => Self::Or,
            "print" => Self::Print,
            "printf" => Self::Printf,
            "println" => Self::Println,
            "slice" => Self::Slice,
            "urlquery" => Self::UrlQuery,
            _ => return None,
        })
    }

    /// The least and the greatest number of arguments.
    pub(super) fn arity(self) -> (usize, usize) {
        match self {
            Self::Len | Self::Not => (1, 1),
            Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge => (2, 2),
            Self::And
            | Self::Or
            | Self::Call
            | Self::Eq
            | Self::Index
            | Self::Slice
            | Self::Printf => (1, usize::MAX),
            Self::Html | Self::Js | Self::UrlQuery | Self::Print | Self::Println => (0, usize::MAX),
        }
    }

    /// The function's value for `arguments`, whose number fits the arity.
    pub(super) fn call<'a>(self, arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
        match self {
            Self::Call => Err("call needs a function, and no property is one".to_owned()),
            // The evaluator does not come here with these two.
            Self::And | Self::Or => Err("and, or are not called".to_owned()),
            Self::Not => Ok(Value::Bool(!arguments[0].truth())),
            Self::Len => length(&arguments[0]),
            Self::Index => index(arguments),
            Self::Slice => slice(arguments),
            Self::Print => print(arguments).map(Value::text),
            Self::Println => print_line(arguments).map(Value::text),
            Self::Printf => match &arguments[0] {
                Value::Text(format) => printf(format.bytes(), &arguments[1..]).map(Value::text),
                other => Err(format!(
                    "printf needs a format string, found {}",
                    other.type_name()
                )),
            },
            Self::Html => escaped(arguments, quote::html),
            Self::Js => escaped(arguments, quote::javascript),
            Self::UrlQuery => escaped(arguments, quote::url_query),
            Self::Eq => equal_any(arguments).map(Value::Bool),
            Self::Ne => arguments[0]
                .equals(&arguments[1])
                .map(|equal| Value::Bool(!equal)),
            Self::Lt => ordered(arguments, Ordering::is_lt),
            Self::Le => ordered(arguments, Ordering::is_le),
            Self::Gt => ordered(arguments, Ordering::is_gt),
            Self::Ge => ordered(arguments, Ordering::is_ge),
        }
    }
}

fn length<'a>(value: &Value<'a>) -> Result<Value<'a>, String> {
    let length = match value {
        Value::Text(text) => text.bytes().len(),
        Value::Properties(properties) => properties.len(),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// A property or a byte; a property that is not there is "", which is how a template asks for it without failing.
fn index<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
    let mut item = arguments[0].clone();
    if matches!(item, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    for index in &arguments[1..] {
        item = match (&item, index) {
            (Value::Properties(properties), Value::Text(key)) => Value::Text(Text::Borrowed(
                std::str::from_utf8(key.bytes())
                    .ok()
                    .and_then(|key| properties.get(key))
                    .map_or(b"", |value| value.as_bytes()),
            )),
            (Value::Properties(_), other) => {
                return Err(format!(
                    "a property has a string for its name, not {}",
                    other.type_name()
                ));
            }
            (Value::Text(text), at) => {
                let at = offset(at, text.bytes().len())?;
                let byte = text
                    .bytes()
                    .get(at)
                    .ok_or_else(|| format!("index out of range: {at}"))?;
                Value::Byte(*byte)
            }
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn slice<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
    let Value::Text(text) = &arguments[0] else {
        return Err(format!(
            "can't slice item of type {}",
            arguments[0].type_name()
        ));
    };
    let length = text.bytes().len();
    let bound = |number: usize, default| {
        arguments
            .get(number)
            .map_or(Ok(default), |bound| offset(bound, length))
    };
    if arguments.len() > 3 {
        return Err("a string is sliced by at most two indexes".to_owned());
    }
    let (start, end) = (bound(1, 0)?, bound(2, length)?);
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    Ok(match text {
        Text::Borrowed(bytes) => Value::Text(Text::Borrowed(&bytes[start..end])),
        Text::Shared(bytes) => Value::text(bytes[start..end].to_vec()),
    })
}

/// An index into `length` bytes; the end itself is allowed.
fn offset(index: &Value<'_>, length: usize) -> Result<usize, String> {
    let Some(whole) = index.whole() else {
        return Err(format!("cannot index a string with {}", index.type_name()));
    };
    usize::try_from(whole)
        .ok()
        .filter(|offset| *offset <= length)
        .ok_or_else(|| format!("index out of range: {whole}"))
}

/// Go joins the arguments as `print` does, except that a lone nil is `<no value>`.
fn escaped<'a>(arguments: &[Value<'a>], escape: fn(&[u8]) -> Vec<u8>) -> Result<Value<'a>, String> {
    let escaped = if let [Value::Text(text)] = arguments {
        escape(text.bytes())
    } else {
        let visible: Vec<_> = arguments.iter().map(visible).collect();
        escape(&print(&visible)?)
    };
    if escaped.len() > MAX_TEXT {
        return Err(format!("a text of more than {MAX_TEXT} bytes"));
    }
    Ok(Value::text(escaped))
}

fn visible<'a>(argument: &Value<'a>) -> Value<'a> {
    match argument {
        Value::Nil => Value::Text(Text::Borrowed(b"<no value>")),
        other => other.clone(),
    }
}

/// Whether the first equals one of the others; those after the first equal one are not looked at.
fn equal_any(arguments: &[Value<'_>]) -> Result<bool, String> {
    if arguments.len() < 2 {
        return Err("eq needs something to compare with".to_owned());
    }
    for other in &arguments[1..] {
        if arguments[0].equals(other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ordered<'a>(arguments: &[Value<'a>], accept: fn(Ordering) -> bool) -> Result<Value<'a>, String> {
    let order = arguments[0].compare(&arguments[1])?;
    Ok(Value::Bool(order.is_some_and(accept)))
}
