//! KubeStellar's path grammar: `$`, then `.name` or `["string"]`, nothing else. Text → the names, or the offence.
//!
//! From its observed behaviour: names start with a letter, `_` or anything beyond ASCII; strings are JavaScript's.

use super::JsonPathError;

/// The names of a path; none for `$`.
pub(super) fn read(text: &str) -> Result<Vec<String>, JsonPathError> {
    let mut members = Members { text, at: 0 };
    if !members.accept('$') {
        return Err(JsonPathError::at(0, "a path starts with $"));
    }
    let mut names = Vec::new();
    while members.at < text.len() {
        names.push(members.segment()?);
    }
    Ok(names)
}

/// What is left to read.
struct Members<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Members<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn segment(&mut self) -> Result<String, JsonPathError> {
        if self.accept('.') {
            return self.name();
        }
        if !self.accept('[') {
            return Err(JsonPathError::at(self.at, "expected .name or [\"name\"]"));
        }
        if !self.accept('"') {
            return Err(JsonPathError::at(
                self.at,
                "expected a string in double quotes",
            ));
        }
        let name = self.string()?;
        if !self.accept(']') {
            return Err(JsonPathError::at(self.at, "expected ]"));
        }
        Ok(name)
    }

    fn name(&mut self) -> Result<String, JsonPathError> {
        let rest = self.rest();
        let starts = |character: char| {
            character.is_ascii_alphabetic() || character == '_' || !character.is_ascii()
        };
        if !rest.starts_with(starts) {
            return Err(JsonPathError::at(self.at, "expected a name"));
        }
        let length = rest.find(|character: char| !starts(character) && !character.is_ascii_digit());
        let name = &rest[..length.unwrap_or(rest.len())];
        self.at += name.len();
        Ok(name.to_owned())
    }

    /// The rest of a JavaScript string literal after its opening quote. JavaScript counts in UTF-16, so that two
    /// escapes may make one character, and half of such a pair makes U+FFFD.
    fn string(&mut self) -> Result<String, JsonPathError> {
        let mut units = Vec::new();
        loop {
            let at = self.at;
            match self.next() {
                None => return Err(JsonPathError::at(at, "the string does not end")),
                Some('"') => break,
                Some('\n' | '\r') => {
                    return Err(JsonPathError::at(
                        at,
                        "a string cannot contain a line break",
                    ));
                }
                Some('\\') => self.escape(at, &mut units)?,
                Some(character) => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
            }
        }
        Ok(String::from_utf16_lossy(&units))
    }

    fn escape(&mut self, at: usize, units: &mut Vec<u16>) -> Result<(), JsonPathError> {
        let malformed = || JsonPathError::at(at, "malformed escape");
        let unit = match self.next().ok_or_else(malformed)? {
            'b' => 8,
            't' => 9,
            'n' => 10,
            'v' => 11,
            'f' => 12,
            'r' => 13,
            'x' => self.hexadecimal(2).ok_or_else(malformed)?,
            'u' if self.accept('{') => {
                let digits = self
                    .rest()
                    .split_once('}')
                    .map(|(digits, _)| digits)
                    .ok_or_else(malformed)?;
                let code = code_point(digits).ok_or_else(malformed)?;
                self.at += digits.len() + 1;
                match char::from_u32(code) {
                    Some(character) => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
                    None => units.push(u16::try_from(code).map_err(|_| malformed())?),
                }
                return Ok(());
            }
            'u' => self.hexadecimal(4).ok_or_else(malformed)?,
            digit @ '0'..='7' => self.octal(digit),
            // A backslash at the end of a line continues the string on the next one.
            '\r' => {
                self.accept('\n');
                return Ok(());
            }
            '\n' | '\u{2028}' | '\u{2029}' => return Ok(()),
            other => {
                units.extend_from_slice(other.encode_utf16(&mut [0; 2]));
                return Ok(());
            }
        };
        units.push(unit);
        Ok(())
    }

    fn hexadecimal(&mut self, length: usize) -> Option<u16> {
        let digits = self.rest().get(..length)?;
        let unit = u16::try_from(code_point(digits)?).ok()?;
        self.at += length;
        Some(unit)
    }

    /// At most three digits, at most 255: `\101`, `\7`, `\0`.
    fn octal(&mut self, first: char) -> u16 {
        let longest = if first <= '3' { 3 } else { 2 };
        let more = self
            .rest()
            .bytes()
            .take(longest - 1)
            .take_while(|byte| matches!(byte, b'0'..=b'7'))
            .count();
        // The first digit is one byte before this.
        let digits = &self.text[self.at - 1..self.at + more];
        self.at += more;
        u16::from_str_radix(digits, 8).unwrap_or(0)
    }
}

/// Hexadecimal digits, at least one, up to the last code point.
fn code_point(digits: &str) -> Option<u32> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16)
        .ok()
        .filter(|_| all_digits)?;
    (code <= u32::from(char::MAX)).then_some(code)
}
