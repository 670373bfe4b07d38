//! Go's literals: strings, characters and numbers, from their spelling to their value.
//!
//! The spellings have passed the lexer, so quotes are paired; everything else is still open.

use super::node::Term;

/// The value of a quoted or raw string. Not always UTF-8: `"\xff"` is one byte.
pub(super) fn unquote(spelling: &str) -> Option<Box<[u8]>> {
    let inner = spelling.get(1..spelling.len().checked_sub(1)?)?;
    if spelling.starts_with('`') {
        return Some(inner.bytes().filter(|byte| *byte != b'\r').collect());
    }
    let mut value = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, after) = unescape(rest, '"')?;
        match unit {
            Unit::Byte(byte) => value.push(byte),
            Unit::Character(character) => {
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = after;
    }
    Some(value.into())
}

/// The code point of a character constant.
pub(super) fn character(spelling: &str) -> Option<i64> {
    let (unit, after) = unescape(spelling.get(1..)?, '\'')?;
    (after == "'").then_some(match unit {
        Unit::Byte(byte) => i64::from(byte),
        Unit::Character(character) => i64::from(u32::from(character)),
    })
}

enum Unit {
    Byte(u8),
    Character(char),
}

/// The first character or escape of `text`, and what follows it.
fn unescape(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first == quote {
        return None;
    }
    if first != '\\' {
        return Some((Unit::Character(first), characters.as_str()));
    }
    let escape = characters.next()?;
    let rest = characters.as_str();
    let simple = |character| Some((Unit::Character(character), rest));
    match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        '\'' | '"' if escape == quote => simple(quote),
        'x' => {
            let code = u8::from_str_radix(digits(rest, 2, 16)?, 16).ok()?;
            Some((Unit::Byte(code), &rest[2..]))
        }
        'u' | 'U' => {
            let length = if escape == 'u' { 4 } else { 8 };
            let code = u32::from_str_radix(digits(rest, length, 16)?, 16).ok()?;
            Some((Unit::Character(char::from_u32(code)?), &rest[length..]))
        }
        '0'..='7' => {
            let all = &text[1..];
            let code = u8::from_str_radix(digits(all, 3, 8)?, 8).ok()?;
            Some((Unit::Byte(code), &all[3..]))
        }
        _ => None,
    }
}

fn digits(text: &str, length: usize, radix: u32) -> Option<&str> {
    text.get(..length)
        .filter(|part| part.chars().all(|digit| digit.is_digit(radix)))
}

/// The value of a number, by Go's rules: the base from the prefix, a leading 0 is octal, `_` between digits.
/// A whole number that is too large for 64 bits is refused, as is a number with an `i`.
pub(super) fn number(spelling: &str) -> Option<Term> {
    let (negative, magnitude) = match spelling.as_bytes().first()? {
        b'-' => (true, &spelling[1..]),
        b'+' => (false, &spelling[1..]),
        _ => (false, spelling),
    };
    let hexadecimal = magnitude.starts_with("0x") || magnitude.starts_with("0X");
    let fractional = magnitude.contains(if hexadecimal {
        ['.', 'p', 'P'].as_slice()
    } else {
        ['.', 'e', 'E', 'p', 'P'].as_slice()
    });
    if fractional {
        let value = if hexadecimal {
            hexadecimal_float(magnitude)?
        } else {
            decimal_float(magnitude)?
        };
        return Some(Term::Float(if negative { -value } else { value }));
    }
    let value = whole(magnitude)?;
    let signed = spelling.starts_with(['+', '-']);
    match i64::try_from(if negative {
        -i128::from(value)
    } else {
        i128::from(value)
    }) {
        Ok(value) => Some(Term::Int(value)),
        Err(_) if !signed => Some(Term::HugeInt),
        Err(_) => None,
    }
}

fn whole(magnitude: &str) -> Option<u64> {
    let bytes = magnitude.as_bytes();
    let (radix, digits) = match (bytes.first()?, bytes.get(1)) {
        (b'0', Some(b'x' | b'X')) => (16, &magnitude[2..]),
        (b'0', Some(b'o' | b'O')) => (8, &magnitude[2..]),
        (b'0', Some(b'b' | b'B')) => (2, &magnitude[2..]),
        (b'0', Some(_)) => (8, &magnitude[1..]),
        _ => (10, magnitude),
    };
    // A separator may follow the prefix, and the 0 of an octal number.
    let digits = if radix == 10 {
        digits
    } else {
        digits.strip_prefix('_').unwrap_or(digits)
    };
    u64::from_str_radix(&without_separators(digits)?, radix).ok()
}

/// Drops `_`, each of which must stand between two digits.
fn without_separators(digits: &str) -> Option<String> {
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    (!misplaced && !digits.is_empty()).then(|| digits.replace('_', ""))
}

fn decimal_float(magnitude: &str) -> Option<f64> {
    let bytes = magnitude.as_bytes();
    let stands_between_digits = |at: usize| {
        at > 0
            && bytes[at - 1].is_ascii_digit()
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    if !magnitude
        .match_indices('_')
        .all(|(at, _)| stands_between_digits(at))
    {
        return None;
    }
    magnitude
        .replace('_', "")
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
}

fn hexadecimal_float(magnitude: &str) -> Option<f64> {
    let (mantissa, exponent) = magnitude[2..].split_once(['p', 'P'])?;
    let mantissa = mantissa.strip_prefix('_').unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = without_separators(&format!("{whole}{fraction}"))?;
    if whole.ends_with('_') || fraction.starts_with('_') {
        return None;
    }
    // More digits than fit are nobody's wish in a template; exactness is worth more than reach.
    let significand = u64::from_str_radix(&digits, 16).ok()?;
    let places = i32::try_from(fraction.replace('_', "").len()).ok()?;
    let exponent = without_separators(exponent.trim_start_matches(['+', '-']))
        .and_then(|digits| digits.parse::<i32>().ok())
        .map(|value| {
            if exponent.starts_with('-') {
                -value
            } else {
                value
            }
        })?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "rounds to nearest, as the literal's value must"
    )]
    let value = significand as f64 * 2f64.powi(exponent.checked_sub(places * 4)?);
    value.is_finite().then_some(value)
}
