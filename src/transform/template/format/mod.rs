//! Go's fmt for template values: `print`, `println` and `printf` with verbs, flags, widths, argument indexes and
//! the `%!verb(…)` notes that stand where a verb and its value do not fit.
//!
//! Two things are refused rather than imitated: `%p` of the properties (an address) and the binary and
//! hexadecimal forms of floats.

use super::Properties;
use super::quote;
use super::value::Value;

mod float;
mod scan;

/// The longest text that a function, or a whole template, may give: 1 MiB, what etcd takes in one object.
pub(super) const MAX_TEXT: usize = 1 << 20;

type Formatted = Result<Vec<u8>, String>;

/// Operands one after the other, with a space between two that are both no strings.
pub(super) fn print(values: &[Value<'_>]) -> Formatted {
    let mut out = Vec::new();
    let is_text = |value: &Value<'_>| matches!(value, Value::Text(_));
    for (number, value) in values.iter().enumerate() {
        if number > 0 && !is_text(value) && !is_text(&values[number - 1]) {
            out.push(b' ');
        }
        append(value, &mut out);
        bounded(&out)?;
    }
    Ok(out)
}

/// Operands with a space between each two, and a line end.
pub(super) fn print_line(values: &[Value<'_>]) -> Formatted {
    let mut out = Vec::new();
    for (number, value) in values.iter().enumerate() {
        if number > 0 {
            out.push(b' ');
        }
        append(value, &mut out);
        bounded(&out)?;
    }
    out.push(b'\n');
    Ok(out)
}

/// The value as `%v` writes it.
pub(super) fn append(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => out.extend_from_slice(text.bytes()),
        other => {
            let mut printer = Printer {
                out: std::mem::take(out),
                style: Style::default(),
            };
            printer.value(other, 'v');
            *out = printer.out;
        }
    }
}

/// `format` with its verbs filled in from `values`.
pub(super) fn printf(format: &[u8], values: &[Value<'_>]) -> Formatted {
    let mut printer = Printer {
        out: Vec::with_capacity(format.len() + 32),
        style: Style::default(),
    };
    scan::run(format, values, &mut printer)?;
    Ok(printer.out)
}

fn bounded(out: &[u8]) -> Result<(), String> {
    if out.len() > MAX_TEXT {
        Err(format!("a text of more than {MAX_TEXT} bytes"))
    } else {
        Ok(())
    }
}

/// Flags, width and precision of one directive.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one of printf's flags"
)]
struct Style {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v`: Go syntax.
    go_syntax: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The writing end: one value at a time, in the current style.
struct Printer {
    out: Vec<u8>,
    style: Style,
}

impl Printer {
    fn argument(&mut self, value: &Value<'_>, verb: char) -> Result<(), String> {
        match (verb, value) {
            ('T', Value::Nil) => self.padded(b"<nil>"),
            ('T', _) => self.string(value.type_name().as_bytes()),
            ('p', Value::Properties(_)) => {
                return Err("%p shows an address, which no rendering may depend on".to_owned());
            }
            ('b' | 'x' | 'X', Value::Float(_)) => {
                return Err(format!(
                    "%{verb} has no form for a float here; write it with %f, %g or %v"
                ));
            }
            ('v' | 'w', _) => {
                self.style.go_syntax = std::mem::take(&mut self.style.sharp);
                // The plus flag asks for field names here, which nothing has.
                self.style.plus = false;
                self.value(value, verb);
            }
            _ => self.value(value, verb),
        }
        Ok(())
    }

    fn value(&mut self, value: &Value<'_>, verb: char) {
        match (value, verb) {
            (Value::Nil, 'v') => self.padded(b"<nil>"),
            (Value::Bool(value), 't' | 'v') => self.padded(if *value { b"true" } else { b"false" }),
            (Value::Int(number), _) if is_integer_verb(verb) => {
                self.integer(*number < 0, number.unsigned_abs(), verb);
            }
            (Value::Byte(byte), 'v') if self.style.go_syntax => self.go_byte(*byte),
            (Value::Byte(byte), _) if is_integer_verb(verb) => {
                self.integer(false, u64::from(*byte), verb);
            }
            (Value::Float(value), 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => {
                self.float(*value, verb);
            }
            (Value::Text(text), 'v') if self.style.go_syntax => self.quoted(text.bytes()),
            (Value::Text(text), 'v' | 's') => self.string(text.bytes()),
            (Value::Text(text), 'q') => self.quoted(text.bytes()),
            (Value::Text(text), 'x' | 'X') => self.hexadecimal(text.bytes(), verb == 'X'),
            (Value::Properties(properties), _) if verb != 'w' => self.properties(properties, verb),
            _ => self.misfit(value, verb),
        }
    }

    /// `%!d(string=hi)`
    fn misfit(&mut self, value: &Value<'_>, verb: char) {
        self.out.extend_from_slice(format!("%!{verb}(").as_bytes());
        self.typed(value);
        self.out.push(b')');
    }

    fn typed(&mut self, value: &Value<'_>) {
        if matches!(value, Value::Nil) {
            self.out.extend_from_slice(b"<nil>");
            return;
        }
        self.out.extend_from_slice(value.type_name().as_bytes());
        self.out.push(b'=');
        self.value(value, 'v');
    }

    fn note(&mut self, verb: char, note: &str) {
        self.out
            .extend_from_slice(format!("%!{verb}({note})").as_bytes());
    }

    /// The operands that no verb asked for.
    fn extra(&mut self, values: &[Value<'_>]) {
        self.style = Style::default();
        self.out.extend_from_slice(b"%!(EXTRA ");
        for (number, value) in values.iter().enumerate() {
            if number > 0 {
                self.out.extend_from_slice(b", ");
            }
            self.typed(value);
        }
        self.out.push(b')');
    }

    fn properties(&mut self, properties: &Properties, verb: char) {
        let (open, between, close) = if self.style.go_syntax {
            ("map[string]string{", ", ", b'}')
        } else {
            ("map[", " ", b']')
        };
        self.out.extend_from_slice(open.as_bytes());
        for (number, (key, value)) in properties.iter().enumerate() {
            // One value may be padded to a megabyte; `bounded` refuses the whole after this directive.
            if self.out.len() > MAX_TEXT {
                return;
            }
            if number > 0 {
                self.out.extend_from_slice(between.as_bytes());
            }
            self.value(&Value::text(key.clone().into_bytes()), verb);
            self.out.push(b':');
            self.value(&Value::text(value.clone().into_bytes()), verb);
        }
        self.out.push(close);
    }

    /// Text padded to the width, which counts characters.
    fn padded(&mut self, text: &[u8]) {
        let missing = self
            .style
            .width
            .unwrap_or(0)
            .saturating_sub(rune_count(text));
        if self.style.minus {
            self.out.extend_from_slice(text);
            self.padding(missing);
        } else {
            self.padding(missing);
            self.out.extend_from_slice(text);
        }
    }

    fn padding(&mut self, count: usize) {
        let fill = if self.style.zero && !self.style.minus {
            b'0'
        } else {
            b' '
        };
        self.out.resize(self.out.len() + count, fill);
    }

    fn string(&mut self, text: &[u8]) {
        self.padded(self.truncated(text));
    }

    /// The precision is the greatest number of characters.
    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        match self.style.precision {
            Some(precision) => &text[..rune_offset(text, precision)],
            None => text,
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        let sharp = self.style.sharp && !self.style.go_syntax;
        if sharp && quote::fits_backquotes(text) {
            self.padded(&[b"`", text, b"`"].concat());
        } else {
            self.padded(&quote::quoted(text, self.style.plus));
        }
    }

    /// The bytes in hexadecimal; the precision is the greatest number of bytes.
    fn hexadecimal(&mut self, text: &[u8], upper: bool) {
        let text = &text[..self.style.precision.unwrap_or(text.len()).min(text.len())];
        let prefix = if upper { "0X" } else { "0x" };
        let mut digits = String::with_capacity(text.len() * 2);
        for (number, byte) in text.iter().enumerate() {
            if self.style.space && number > 0 {
                digits.push(' ');
            }
            if self.style.sharp && (self.style.space || number == 0) {
                digits.push_str(prefix);
            }
            digits.extend([byte >> 4, byte & 15].map(|nibble| hexadecimal_digit(nibble, upper)));
        }
        self.padded(digits.as_bytes());
    }

    fn go_byte(&mut self, byte: u8) {
        self.style.sharp = true;
        self.integer(false, u64::from(byte), 'x');
        self.style.sharp = false;
    }

    fn integer(&mut self, negative: bool, magnitude: u64, verb: char) {
        match verb {
            'c' => self.padded(rune(negative, magnitude).to_string().as_bytes()),
            'q' => self.padded(&quote::quoted_character(
                rune(negative, magnitude),
                self.style.plus,
            )),
            'U' => self.unicode(negative, magnitude),
            _ => self.digits(negative, magnitude, verb),
        }
    }

    /// `U+263A`, or with the sharp flag `U+263A '☺'`.
    fn unicode(&mut self, negative: bool, magnitude: u64) {
        let code = if negative {
            magnitude.wrapping_neg()
        } else {
            magnitude
        };
        let mut text = format!(
            "U+{}",
            zero_filled(
                &format!("{code:X}"),
                self.style.precision.unwrap_or(4).max(4)
            )
        );
        let character = u32::try_from(code).ok().and_then(char::from_u32);
        if let Some(character) =
            character.filter(|character| self.style.sharp && quote::is_printable(*character))
        {
            text.extend([' ', '\'', character, '\'']);
        }
        self.padded_with_spaces(text.as_bytes());
    }

    fn digits(&mut self, negative: bool, magnitude: u64, verb: char) {
        let style = self.style;
        if style.precision == Some(0) && magnitude == 0 {
            self.padded_with_spaces(b"");
            return;
        }
        let plain = match verb {
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            _ => magnitude.to_string(),
        };
        let sign = match (negative, style.plus, style.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        // %03d is %.3d with room for the sign.
        let least = match (style.precision, style.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if style.zero && !style.minus => width - sign.len().min(width),
            _ => 0,
        };
        let filled = zero_filled(&plain, least);
        let prefix = match verb {
            'b' if style.sharp => "0b",
            'x' if style.sharp => "0x",
            'X' if style.sharp => "0X",
            'O' => "0o",
            'o' if style.sharp && !filled.starts_with('0') => "0",
            _ => "",
        };
        // Go puts the leading 0 of %#o before the 0o of %O too.
        let octal = if verb == 'O' && style.sharp && !filled.starts_with('0') {
            "0"
        } else {
            ""
        };
        self.padded_with_spaces(format!("{sign}{prefix}{octal}{filled}").as_bytes());
    }

    fn padded_with_spaces(&mut self, text: &[u8]) {
        let zero = std::mem::take(&mut self.style.zero);
        self.padded(text);
        self.style.zero = zero;
    }

    fn float(&mut self, value: f64, verb: char) {
        let style = self.style;
        let mut digits = float::written(value.abs(), verb, style.precision);
        if style.sharp {
            digits = float::with_point(&digits, verb, style.precision);
        }
        let sign = match (value.is_sign_negative(), style.plus, style.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let width = style.width.unwrap_or(0);
        if !sign.is_empty() && style.zero && !style.minus && width > sign.len() + digits.len() {
            digits = zero_filled(&digits, width - sign.len());
        }
        self.padded(format!("{sign}{digits}").as_bytes());
    }
}

fn hexadecimal_digit(nibble: u8, upper: bool) -> char {
    let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    if upper {
        digit.to_ascii_uppercase()
    } else {
        digit
    }
}

fn is_integer_verb(verb: char) -> bool {
    matches!(
        verb,
        'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' | 'c' | 'q' | 'U'
    )
}

fn zero_filled(digits: &str, least: usize) -> String {
    let missing = least.saturating_sub(digits.len());
    let mut filled = "0".repeat(missing);
    filled.push_str(digits);
    filled
}

/// The character with this code, or U+FFFD.
fn rune(negative: bool, magnitude: u64) -> char {
    u32::try_from(magnitude)
        .ok()
        .filter(|_| !negative)
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Characters in `text`; a byte that belongs to none counts as one.
fn rune_count(text: &[u8]) -> usize {
    text.utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len())
        .sum()
}

/// Where the first `count` characters of `text` end.
fn rune_offset(text: &[u8], count: usize) -> usize {
    let mut left = count;
    let mut at = 0;
    for chunk in text.utf8_chunks() {
        let lengths = chunk
            .valid()
            .chars()
            .map(char::len_utf8)
            .chain(chunk.invalid().iter().map(|_| 1));
        for length in lengths {
            if left == 0 {
                return at;
            }
            left -= 1;
            at += length;
        }
    }
    at
}
