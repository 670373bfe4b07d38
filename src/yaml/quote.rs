//! How a string is written so that every reader gives it back: plain, in double quotes, or as a literal block.
//!
//! One string and its place → bytes. What is plain here is a string to go-yaml, to YAML 1.1 and to YAML 1.2 alike.

/// Where a scalar stands: all that its spelling depends on besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// Columns before the lines of a literal block.
    pub indent: usize,
}

/// Writes `text` as a value: behind `key: ` or `- `, without a line break at its end.
pub fn emit_string(text: &str, context: Context, out: &mut Vec<u8>) {
    if is_plain(text) {
        out.extend_from_slice(text.as_bytes());
    } else if is_literal(text) {
        literal(text, context.indent, out);
    } else {
        quoted(text, out);
    }
}

/// Writes `text` as a map key: on one line, plain or in double quotes.
pub(super) fn emit_key(text: &str, out: &mut Vec<u8>) {
    if is_plain(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        quoted(text, out);
    }
}

/// Whether `text` without quotes is the same string to every reader, as value, item and key.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    let beginning = match first {
        b'a'..=b'z' | b'A'..=b'Z' => !is_word(text),
        b'/' | b'$' => bytes.len() > 1,
        b'_' => bytes.get(1).is_some_and(u8::is_ascii_alphabetic),
        // Flags such as `--port=80` and `-v`, but nothing like `-inf` and `-nan`.
        b'-' => match &bytes[1..] {
            [b'-', letter, ..] => letter.is_ascii_alphabetic(),
            [letter, ..] => letter.is_ascii_alphabetic() && !b"iInN".contains(letter),
            [] => false,
        },
        b'0'..=b'9' => is_no_number(bytes),
        _ => false,
    };
    if !beginning || last == b' ' || last == b':' {
        return false;
    }
    let mut before = first;
    bytes.iter().skip(1).all(|&byte| {
        let fits = match byte {
            b' ' => before != b':',
            b'#' => before != b' ',
            0x21..=0x7e => true,
            _ => false,
        };
        before = byte;
        fits
    })
}

/// Words that some reader takes for a boolean, for null or for a number.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
    ];
    match text.len() {
        1..=5 => WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)),
        8 => text.eq_ignore_ascii_case("infinity"),
        _ => false,
    }
}

/// Whether what begins with a digit is a number, a date or a time to no reader: quantities such as `100m` and
/// `128Mi`, and dotted versions and addresses.
fn is_no_number(bytes: &[u8]) -> bool {
    let mut dots = 0;
    let mut dotted = true;
    let mut unit = false;
    for &byte in bytes {
        match byte {
            b'.' => dots += 1,
            b'0'..=b'9' => {}
            // Letters that no spelling of a number or a date has.
            b'g'..=b'n' | b'q'..=b's' | b'u'..=b'w' | b'G'..=b'N' | b'Q'..=b'S' | b'U'..=b'W' => {
                unit = true;
                dotted = false;
            }
            b':' => return false,
            _ => dotted = false,
        }
    }
    unit || dotted && dots >= 2 && bytes.last() != Some(&b'.')
}

/// Whether `text` can stand as a literal block: several lines, none of which a reader could mistake.
fn is_literal(text: &str) -> bool {
    let inner = text.trim_end_matches('\n');
    if !text.contains('\n') || inner.is_empty() || inner.starts_with(['\n', ' ', '\t']) {
        return false;
    }
    let blank =
        |line: &str| !line.is_empty() && line.bytes().all(|byte| matches!(byte, b' ' | b'\t'));
    !inner.split('\n').any(blank)
        && text
            .chars()
            .all(|character| matches!(character, '\n' | '\t') || is_printable(character))
}

fn literal(text: &str, indent: usize, out: &mut Vec<u8>) {
    let inner = text.trim_end_matches('\n');
    let breaks = text.len() - inner.len();
    out.extend_from_slice(match breaks {
        0 => b"|-",
        1 => b"|",
        _ => b"|+",
    });
    for line in inner.split('\n') {
        out.push(b'\n');
        if !line.is_empty() {
            pad(indent, out);
            out.extend_from_slice(line.as_bytes());
        }
    }
    // The break behind the scalar is the first of them.
    out.extend(std::iter::repeat_n(b'\n', breaks.saturating_sub(1)));
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut written = 0;
    for (offset, character) in text.char_indices() {
        let short: &[u8] = match character {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\t' => b"\\t",
            '\r' => b"\\r",
            _ if is_printable(character) => continue,
            _ => b"",
        };
        out.extend_from_slice(&text.as_bytes()[written..offset]);
        if short.is_empty() {
            escape(u32::from(character), out);
        } else {
            out.extend_from_slice(short);
        }
        written = offset + character.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[written..]);
    out.push(b'"');
}

/// Writes `\uXXXX`; what needs it lies below U+10000.
fn escape(code: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = char::from_digit(code >> shift & 15, 16).unwrap_or('0');
        out.extend_from_slice(digit.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Whether all readers take the character as it stands, and none as a line break.
fn is_printable(character: char) -> bool {
    matches!(
        character,
        ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..
    )
}

/// Writes `columns` spaces.
pub(super) fn pad(columns: usize, out: &mut Vec<u8>) {
    const SPACES: [u8; 32] = [b' '; 32];
    let mut left = columns;
    while left > 0 {
        let part = left.min(SPACES.len());
        out.extend_from_slice(&SPACES[..part]);
        left -= part;
    }
}
