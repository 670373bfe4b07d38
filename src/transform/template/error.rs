//! What goes wrong with a template: the message and the place, never the values that were rendered.

/// A place in a template's text. Both numbers start at 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The place of byte `offset` in `text`; an offset past the end is the end.
    pub(super) fn locate(text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// Why a template gives no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is no Go template, whatever the properties.
    #[error("template {position}: {message}")]
    Parse {
        /// What is wrong, in words.
        message: String,
        /// Where.
        position: Position,
    },
    /// A property that the template needs is not there: the commonest mistake, so it has a name.
    #[error("template {position}: missing property \"{name}\"")]
    MissingProperty {
        /// The property's name.
        name: String,
        /// Where the template asks for it.
        position: Position,
    },
    /// The template is well formed but fails with these properties, or outgrows its limits.
    #[error("template {position}: {message}")]
    Exec {
        /// What is wrong, in words.
        message: String,
        /// Where.
        position: Position,
    },
}

impl TemplateError {
    /// Whether the template fails for every cluster alike.
    pub fn is_parse(&self) -> bool {
        matches!(self, Self::Parse { .. })
    }

    /// Where in the template's text.
    pub fn position(&self) -> Position {
        match self {
            Self::Parse { position, .. }
            | Self::MissingProperty { position, .. }
            | Self::Exec { position, .. } => *position,
        }
    }
}

/// An error of the template's grammar with its byte offset, before line and column are known.
#[derive(Debug)]
pub(super) struct SyntaxFault {
    pub(super) at: usize,
    pub(super) message: String,
}

impl SyntaxFault {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    pub(super) fn located(self, text: &str) -> TemplateError {
        TemplateError::Parse {
            message: self.message,
            position: Position::locate(text, self.at),
        }
    }
}

/// An error of execution with its byte offset, before line and column are known.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) cause: Cause,
}

/// What an execution stumbled on.
#[derive(Debug)]
pub(super) enum Cause {
    Missing(String),
    Failed(String),
}

impl Fault {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            cause: Cause::Failed(message.into()),
        }
    }

    pub(super) fn missing(at: usize, name: &str) -> Self {
        Self {
            at,
            cause: Cause::Missing(name.to_owned()),
        }
    }

    pub(super) fn located(self, text: &str) -> TemplateError {
        let position = Position::locate(text, self.at);
        match self.cause {
            Cause::Missing(name) => TemplateError::MissingProperty { name, position },
            Cause::Failed(message) => TemplateError::Exec { message, position },
        }
    }
}
