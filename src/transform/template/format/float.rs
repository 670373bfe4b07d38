//! Floats as Go's strconv writes them: `e`, `f`, `g` with a precision or the shortest digits that read back.

/// Decimals beyond these are zeros in every 64-bit float.
const LAST_DECIMAL: usize = 1_100;

/// A finite value that is not negative, by verb; without a precision `v`, `g` and `G` are the shortest, the rest
/// have six decimals.
pub(super) fn written(value: f64, verb: char, precision: Option<usize>) -> String {
    match verb {
        'e' | 'E' => scientific(value, precision.unwrap_or(6), verb),
        'f' | 'F' => fixed(value, precision.unwrap_or(6)),
        _ => general(value, precision, if verb == 'G' { 'E' } else { 'e' }),
    }
}

fn fixed(value: f64, decimals: usize) -> String {
    let exact = decimals.min(LAST_DECIMAL);
    let mut text = format!("{value:.exact$}");
    text.push_str(&"0".repeat(decimals - exact));
    text
}

fn scientific(value: f64, decimals: usize, letter: char) -> String {
    let exact = decimals.min(LAST_DECIMAL);
    let text = format!("{value:.exact$e}");
    let (mantissa, exponent) = split(&text);
    let mut mantissa = mantissa.to_owned();
    mantissa.push_str(&"0".repeat(decimals - exact));
    joined(&mantissa, letter, exponent)
}

/// The shorter of the two forms: an exponent below -4 or not below the precision asks for the scientific one.
fn general(value: f64, precision: Option<usize>, letter: char) -> String {
    let text = match precision {
        Some(precision) => format!("{value:.0$e}", (precision.max(1) - 1).min(LAST_DECIMAL)),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = split(&text);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = if value == 0.0 {
        "0"
    } else {
        digits.trim_end_matches('0')
    };
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let limit = match precision {
        None => SHORTEST_LIMIT,
        Some(precision) => {
            let precision = i32::try_from(precision.max(1)).unwrap_or(i32::MAX);
            if precision > count && count > exponent {
                count
            } else {
                precision
            }
        }
    };
    if exponent < -4 || exponent >= limit {
        let (first, rest) = digits.split_at(1);
        let mantissa = if rest.is_empty() {
            first.to_owned()
        } else {
            format!("{first}.{rest}")
        };
        return joined(&mantissa, letter, exponent);
    }
    positional(digits, exponent)
}

/// The shortest form turns scientific at this exponent.
const SHORTEST_LIMIT: i32 = 6;

/// `digits` with the point where `exponent` wants it.
fn positional(digits: &str, exponent: i32) -> String {
    match usize::try_from(exponent) {
        Ok(exponent) if digits.len() <= exponent + 1 => {
            format!("{digits}{}", "0".repeat(exponent + 1 - digits.len()))
        }
        Ok(exponent) => format!("{}.{}", &digits[..=exponent], &digits[exponent + 1..]),
        Err(_) => format!(
            "0.{}{digits}",
            "0".repeat(usize::try_from(-1 - exponent).unwrap_or(0))
        ),
    }
}

fn split(text: &str) -> (&str, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (mantissa, exponent.parse().unwrap_or(0))
}

/// Go writes a sign and at least two digits of exponent.
fn joined(mantissa: &str, letter: char, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{letter}{sign}{:02}", exponent.unsigned_abs())
}

/// What the sharp flag adds: always a point, and for `g` the zeros up to the precision.
pub(super) fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let (number, tail) = match text.find(['e', 'E']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut number = number.to_owned();
    let mut wanted = if matches!(verb, 'v' | 'g' | 'G') {
        precision.unwrap_or(6)
    } else {
        0
    };
    let significant = number
        .chars()
        .filter(char::is_ascii_digit)
        .skip_while(|digit| *digit == '0')
        .count();
    wanted = wanted.saturating_sub(significant);
    if !number.contains('.') {
        // A lone 0 counts as one digit.
        wanted = wanted.saturating_sub(usize::from(number == "0"));
        number.push('.');
    }
    number.push_str(&"0".repeat(wanted));
    number + tail
}
