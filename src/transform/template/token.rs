//! Template text → tokens, as Go's text/template cuts it.
//!
//! Gives every token with its byte offset, or the first offence. Trim markers have done their work and comments
//! are gone when this is through. Never looks at what the tokens mean together.

use super::error::SyntaxFault;

/// What a token is. Spaces inside actions are tokens: `.a .b` is two operands, `.a.b` one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Open,
    Close,
    Space,
    Comma,
    Assign,
    Declare,
    Pipe,
    LeftParen,
    RightParen,
    Dot,
    Field,
    Variable,
    Identifier,
    Keyword,
    Bool,
    Nil,
    Char,
    Number,
    Quoted,
    Raw,
    /// Printable ASCII that has no meaning in an action; the parser refuses it where it stands.
    Stray,
    End,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    pub(super) at: usize,
}

const KEYWORDS: [&str; 10] = [
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
];

/// Cuts `text` into tokens, the last of which is always [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SyntaxFault> {
    let mut lexer = Lexer {
        text,
        at: 0,
        depth: 0,
        tokens: Vec::new(),
    };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Open parentheses in the current action.
    depth: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t> {
    fn run(&mut self) -> Result<(), SyntaxFault> {
        while let Some(distance) = self.rest().find("{{") {
            let open = self.at + distance;
            let inside = &self.text[open + 2..];
            let trims = starts_trimmed(inside);
            let literal = &self.text[self.at..open];
            self.literal(if trims {
                literal.trim_end_matches(is_space)
            } else {
                literal
            });
            self.at = open + 2 + if trims { 2 } else { 0 };
            if self.rest().starts_with("/*") {
                self.comment()?;
            } else {
                self.tokens.push(Token {
                    kind: Kind::Open,
                    text: "{{",
                    at: open,
                });
                self.action()?;
            }
        }
        self.literal(self.rest());
        self.tokens.push(Token {
            kind: Kind::End,
            text: "",
            at: self.text.len(),
        });
        Ok(())
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn literal(&mut self, text: &'t str) {
        if !text.is_empty() {
            self.tokens.push(Token {
                kind: Kind::Text,
                text,
                at: self.at,
            });
        }
    }

    /// Emits `length` bytes as one token.
    fn emit(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token {
            kind,
            text: &self.rest()[..length],
            at: self.at,
        });
        self.at += length;
    }

    fn comment(&mut self) -> Result<(), SyntaxFault> {
        let start = self.at;
        let Some(end) = self.rest().find("*/") else {
            return Err(SyntaxFault::new(start, "unclosed comment"));
        };
        self.at += end + 2;
        if !self.close() {
            return Err(SyntaxFault::new(
                start,
                "a comment must fill its action: nothing may follow */ but }}",
            ));
        }
        Ok(())
    }

    /// Consumes `}}` or ` -}}`, with the white space after the latter, if it is next.
    fn close(&mut self) -> bool {
        let rest = self.rest();
        if rest.starts_with("}}") {
            self.at += 2;
            return true;
        }
        let trimmed = rest.starts_with(is_space) && rest[1..].starts_with("-}}");
        if trimmed {
            let after = &rest[4..];
            self.at += 4 + (after.len() - after.trim_start_matches(is_space).len());
        }
        trimmed
    }

    fn action(&mut self) -> Result<(), SyntaxFault> {
        self.depth = 0;
        let opened = self.at;
        loop {
            let at = self.at;
            if self.close() {
                if self.depth > 0 {
                    return Err(SyntaxFault::new(at, "unclosed left parenthesis"));
                }
                self.tokens.push(Token {
                    kind: Kind::Close,
                    text: "}}",
                    at,
                });
                return Ok(());
            }
            let Some(first) = self.rest().chars().next() else {
                return Err(SyntaxFault::new(opened, "unclosed action: }} is missing"));
            };
            self.inside(first)?;
        }
    }

    /// One token inside an action.
    fn inside(&mut self, first: char) -> Result<(), SyntaxFault> {
        let rest = self.rest();
        match first {
            _ if is_space(first) => self.space(),
            '=' => self.emit(Kind::Assign, 1),
            ':' if rest[1..].starts_with('=') => self.emit(Kind::Declare, 2),
            ':' => return Err(SyntaxFault::new(self.at, "expected :=")),
            '|' => self.emit(Kind::Pipe, 1),
            ',' => self.emit(Kind::Comma, 1),
            '"' => self.delimited(Kind::Quoted, '"', "unterminated quoted string")?,
            '\'' => self.delimited(Kind::Char, '\'', "unterminated character constant")?,
            '`' => self.raw()?,
            '$' => self.name(Kind::Variable)?,
            '.' if !rest[1..].starts_with(|next: char| next.is_ascii_digit()) && rest.len() > 1 => {
                self.name(Kind::Field)?;
            }
            '.' | '+' | '-' | '0'..='9' => self.number()?,
            '(' => {
                self.depth += 1;
                self.emit(Kind::LeftParen, 1);
            }
            ')' if self.depth == 0 => {
                return Err(SyntaxFault::new(self.at, "unexpected right parenthesis"));
            }
            ')' => {
                self.depth -= 1;
                self.emit(Kind::RightParen, 1);
            }
            _ if is_word(first) => self.word()?,
            _ if first.is_ascii_graphic() => self.emit(Kind::Stray, 1),
            _ => {
                return Err(SyntaxFault::new(
                    self.at,
                    format!("unrecognized character {first:?} in action"),
                ));
            }
        }
        Ok(())
    }

    /// A run of white space, without the one space that belongs to a trim marker.
    fn space(&mut self) {
        let rest = self.rest();
        let mut length = rest.len() - rest.trim_start_matches(is_space).len();
        if rest[length..].starts_with("-}}") {
            length -= 1;
        }
        // A lone space before the marker was taken by `close`, so something is left.
        self.emit(Kind::Space, length);
    }

    fn delimited(
        &mut self,
        kind: Kind,
        quote: char,
        unterminated: &str,
    ) -> Result<(), SyntaxFault> {
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '\n' => break,
                '\\' if !matches!(characters.next(), Some((_, escaped)) if escaped != '\n') => {
                    break;
                }
                _ if character == quote => {
                    self.emit(kind, offset + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(SyntaxFault::new(self.at, unterminated))
    }

    fn raw(&mut self) -> Result<(), SyntaxFault> {
        match self.rest()[1..].find('`') {
            Some(length) => {
                self.emit(Kind::Raw, length + 2);
                Ok(())
            }
            None => Err(SyntaxFault::new(self.at, "unterminated raw quoted string")),
        }
    }

    /// `.name`, `$name`, or the sign alone.
    fn name(&mut self, kind: Kind) -> Result<(), SyntaxFault> {
        let after = &self.rest()[1..];
        let length = after.len() - after.trim_start_matches(is_word).len();
        self.terminated(1 + length)?;
        match kind {
            Kind::Field if length == 0 => self.emit(Kind::Dot, 1),
            _ => self.emit(kind, 1 + length),
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), SyntaxFault> {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches(is_word).len();
        self.terminated(length)?;
        let kind = match &rest[..length] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.emit(kind, length);
        Ok(())
    }

    /// A name must be followed by something that cannot belong to it.
    fn terminated(&self, length: usize) -> Result<(), SyntaxFault> {
        let after = &self.rest()[length..];
        match after.chars().next() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => Ok(()),
            Some(next) if is_space(next) || after.starts_with("}}") => Ok(()),
            Some(next) => Err(SyntaxFault::new(
                self.at + length,
                format!("bad character {next:?}"),
            )),
        }
    }

    fn number(&mut self) -> Result<(), SyntaxFault> {
        let rest = self.rest();
        let length = scan_number(rest);
        let next = rest[length..].chars().next();
        if next.is_some_and(|next| is_word(next) || next == '+' || next == '-') {
            return Err(SyntaxFault::new(self.at, "bad number syntax"));
        }
        self.emit(Kind::Number, length);
        Ok(())
    }
}

/// How many bytes at the start of `text` look like a number; whether they are one is decided later.
fn scan_number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let (radix, exponents): (u32, &[u8]) = match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'0'), Some(b'x' | b'X')) => (16, b"pP"),
        (Some(b'0'), Some(b'o' | b'O')) => (8, b""),
        (Some(b'0'), Some(b'b' | b'B')) => (2, b""),
        _ => (10, b"eE"),
    };
    at += if radix == 10 { 0 } else { 2 };
    at += digit_run(&text[at..], radix);
    if bytes.get(at) == Some(&b'.') {
        at += 1 + digit_run(&text[at + 1..], radix);
    }
    if bytes.get(at).is_some_and(|byte| exponents.contains(byte)) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at += digit_run(&text[at..], 10);
    }
    at
}

fn digit_run(text: &str, radix: u32) -> usize {
    text.find(|digit: char| !(digit.is_digit(radix) || digit == '_'))
        .unwrap_or(text.len())
}

fn starts_trimmed(inside: &str) -> bool {
    inside.starts_with('-') && inside[1..].starts_with(is_space)
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// A letter, a digit or `_`, as in Go's identifiers.
pub(super) fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}
