//! What can be wrong with a YAML text: kind, place, and a way out.
//!
//! Never holds the text itself, only the keys and scalars that a message names.

use std::fmt;

use thiserror::Error;

/// Why a text was refused, and where. One error concerns the whole text: nothing of it is used.
///
/// Printed without its place, which belongs to [`crate::model::Location`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// What is wrong.
    pub kind: YamlErrorKind,
    /// Line, from 1; 0 when the text as a whole is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 when only the line is known.
    pub column: u32,
    pub(super) help: Option<&'static str>,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum YamlErrorKind {
    /// A byte sequence that is no UTF-8.
    #[error("the file is not UTF-8: invalid byte at offset {offset}")]
    NotUtf8 {
        /// Offset of the first invalid byte, from 0.
        offset: usize,
    },
    /// A byte-order mark or zero bytes of UTF-16.
    #[error("the file is UTF-16; only UTF-8 is read")]
    Utf16,
    /// A character that no YAML text may contain.
    #[error("control character U+{code:04X} is not allowed")]
    ControlCharacter {
        /// The character's code point.
        code: u32,
    },
    /// The parser's own complaint.
    #[error("{message}")]
    Syntax {
        /// The complaint, in lower case.
        message: String,
    },
    /// One map holds a key twice.
    #[error("key `{key}` is given twice: on line {first} and on line {second}")]
    DuplicateKey {
        /// The key as a string.
        key: String,
        /// Line of the first occurrence, from 1.
        first: u32,
        /// Line of the second occurrence, from 1.
        second: u32,
    },
    /// A key that cannot become a string: null, a list, a map, a number beyond 2^63 - 1.
    #[error("a map key cannot be {found}")]
    UnsupportedKey {
        /// What was found, with its article.
        found: &'static str,
    },
    /// NaN or an infinity, which JSON cannot hold.
    #[error("`{text}` is not a finite number, which JSON cannot hold")]
    NotFinite {
        /// The scalar as written.
        text: String,
    },
    /// A scalar that its tag does not fit.
    #[error("`{text}` is no {tag}")]
    BadTag {
        /// The tag in its short form, `!!int`.
        tag: String,
        /// The scalar as written.
        text: String,
    },
    /// A `<<` whose value is neither a map nor a list of maps.
    #[error("`<<` needs a map or a list of maps")]
    BadMerge,
    /// An alias inside the node that it stands for.
    #[error("an alias stands for a node that contains it")]
    RecursiveAlias,
    /// More bytes than [`super::Limits::bytes`].
    #[error("the file has {bytes} bytes; at most {limit} are read")]
    TooLarge {
        /// Size of the text.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Deeper than [`super::Limits::depth`].
    #[error("lists and maps are nested more than {limit} levels deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More nodes than [`super::Limits::nodes`], those made by aliases included.
    #[error("the file has more than {limit} nodes, those made by aliases included")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
    /// More aliases than [`super::Limits::aliases`].
    #[error("the file has more than {limit} aliases")]
    TooManyAliases {
        /// The limit.
        limit: usize,
    },
    /// Aliases that repeat more text than [`super::Limits::bytes`].
    #[error("aliases repeat more than {limit} bytes of text")]
    AliasesTooLarge {
        /// The limit.
        limit: usize,
    },
}

impl YamlError {
    pub(super) fn new(kind: YamlErrorKind, line: u32, column: u32) -> Self {
        Self {
            kind,
            line,
            column,
            help: None,
        }
    }

    /// Line, from 1; 0 when the text as a whole is meant.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Column in characters, from 1; 0 when only the line is known.
    pub fn column(&self) -> u32 {
        self.column
    }

    /// A fixed word in CamelCase, for [`crate::model::Diagnostic::reason`].
    pub fn reason(&self) -> &'static str {
        match self.kind {
            YamlErrorKind::NotUtf8 { .. } => "NotUtf8",
            YamlErrorKind::Utf16 => "Utf16",
            YamlErrorKind::ControlCharacter { .. } => "ControlCharacter",
            YamlErrorKind::Syntax { .. } => "InvalidYaml",
            YamlErrorKind::DuplicateKey { .. } => "DuplicateKey",
            YamlErrorKind::UnsupportedKey { .. } => "UnsupportedKey",
            YamlErrorKind::NotFinite { .. } => "NotFinite",
            YamlErrorKind::BadTag { .. } => "BadTag",
            YamlErrorKind::BadMerge => "BadMerge",
            YamlErrorKind::RecursiveAlias => "RecursiveAlias",
            YamlErrorKind::TooLarge { .. } => "FileTooLarge",
            YamlErrorKind::TooDeep { .. } => "NestingTooDeep",
            YamlErrorKind::TooManyNodes { .. } => "TooManyNodes",
            YamlErrorKind::TooManyAliases { .. } => "TooManyAliases",
            YamlErrorKind::AliasesTooLarge { .. } => "AliasesTooLarge",
        }
    }

    /// What to do about it, where something general can be said.
    pub fn help(&self) -> Option<&'static str> {
        self.help.or(match self.kind {
            YamlErrorKind::NotUtf8 { .. } | YamlErrorKind::Utf16 => Some("save the file as UTF-8"),
            YamlErrorKind::DuplicateKey { .. } => {
                Some("remove one of the two; kubectl would silently use the last")
            }
            YamlErrorKind::Syntax { .. } => {
                Some("look at the indentation, and for a bracket or quote that is not closed; the slip may be on a line above")
            }
            YamlErrorKind::UnsupportedKey { .. } => Some("quote the key"),
            YamlErrorKind::NotFinite { .. } => Some("quote it if a string is meant"),
            YamlErrorKind::TooLarge { .. } | YamlErrorKind::TooManyNodes { .. } => {
                Some("split the file")
            }
            YamlErrorKind::TooManyAliases { .. } | YamlErrorKind::AliasesTooLarge { .. } => {
                Some("write the repeated parts out, or split the file")
            }
            _ => None,
        })
    }

    /// Adds the help that only the text around the error can tell: templates and tabs.
    pub(super) fn explained_by(mut self, text: &str) -> Self {
        let number = usize::try_from(self.line).unwrap_or(0);
        let Some(line) = number
            .checked_sub(1)
            .and_then(|index| text.lines().nth(index))
        else {
            return self;
        };
        let about_shape = matches!(
            self.kind,
            YamlErrorKind::Syntax { .. } | YamlErrorKind::UnsupportedKey { .. }
        );
        // The parser often notices a broken line only on the next one.
        let before = number
            .checked_sub(2)
            .and_then(|index| text.lines().nth(index))
            .unwrap_or("");
        if about_shape && [line, before].iter().any(|near| near.contains("{{")) {
            self.help = Some("quote a value that contains a template: \"{{ .name }}\"");
        } else if about_shape && [line, before].iter().any(|near| indented_by_tab(near)) {
            self.help = Some("indent with spaces; YAML allows no tabs there");
        }
        self
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, formatter)
    }
}

impl std::error::Error for YamlError {}

fn indented_by_tab(line: &str) -> bool {
    line.bytes()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .any(|byte| byte == b'\t')
}
