//! Go's ways of making text safe for somewhere else: Go syntax (`%q`), HTML, JavaScript, URLs.

/// `text` in double quotes, as Go source; with `ascii`, nothing above U+007F stays as it is.
pub(super) fn quoted(text: &[u8], ascii: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape(character, '"', ascii, &mut out);
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
    out.push(b'"');
    out
}

/// A character in single quotes, as Go source.
pub(super) fn quoted_character(character: char, ascii: bool) -> Vec<u8> {
    let mut out = vec![b'\''];
    escape(character, '\'', ascii, &mut out);
    out.push(b'\'');
    out
}

/// Whether `text` can stand between backquotes: one line, no control characters but tab, no backquote.
pub(super) fn fits_backquotes(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        text.chars().all(|character| {
            character == '\t'
                || !(character.is_ascii_control() || matches!(character, '`' | '\u{feff}'))
        })
    })
}

fn escape(character: char, quote: char, ascii: bool, out: &mut Vec<u8>) {
    let code = u32::from(character);
    let escaped = match character {
        '\\' => "\\\\".to_owned(),
        _ if character == quote => format!("\\{quote}"),
        _ if is_printable(character) && (!ascii || character.is_ascii()) => character.to_string(),
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\x0b' => "\\v".to_owned(),
        _ if code < 0x20 || code == 0x7f => format!("\\x{code:02x}"),
        _ if code < 0x1_0000 => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    };
    out.extend_from_slice(escaped.as_bytes());
}

/// Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the plain space.
pub(super) fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return character == ' ' || character.is_ascii_graphic();
    }
    // The standard library asks the same question of all but the first character of a string.
    let mut pair = String::from("a");
    pair.push(character);
    pair.escape_debug().nth(1) == Some(character)
}

/// The five characters that HTML minds, and NUL.
pub(super) fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            _ => out.push(*byte),
        }
    }
    out
}

/// Text for the inside of a JavaScript string.
pub(super) fn javascript(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' | '\'' | '"' => out.extend([b'\\', character as u8]),
                '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                    push_unicode_escape(u32::from(character), &mut out);
                }
                _ if character.is_ascii() || is_printable(character) => {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => push_unicode_escape(u32::from(character), &mut out),
            }
        }
        // Go decodes a stray byte as U+FFFD, finds that printable, and copies the byte.
        out.extend_from_slice(chunk.invalid());
    }
    out
}

fn push_unicode_escape(code: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\u{code:04X}").as_bytes());
}

/// Text for a URL's query: a space is `+`.
pub(super) fn url_query(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    for byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            _ if byte.is_ascii_alphanumeric() => out.push(*byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}
