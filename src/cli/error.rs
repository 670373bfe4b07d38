//! Why a command could not run: the cause, what led to it, and hints. Exit code 2.

use std::fmt::Write as _;

use super::terminal::Styles;
use crate::git::GitError;
use crate::model::Diagnostic;
use crate::reconcile::relay::RelayError;
use crate::reconcile::verify::VerifyError;
use crate::reconcile::{DeliverError, RenderError};
use crate::server::ServerError;
use crate::source::folder::FolderError;

/// Why a command could not run.
#[derive(Debug)]
pub(super) struct CliError {
    error: anyhow::Error,
    hints: Vec<String>,
    broken_pipe: bool,
}

impl CliError {
    /// Wraps an error with its causes.
    pub(super) fn new(error: impl Into<anyhow::Error>) -> Self {
        Self {
            error: error.into(),
            hints: Vec::new(),
            broken_pipe: false,
        }
    }

    /// Says what is wrong in words.
    pub(super) fn message(text: impl Into<String>) -> Self {
        Self::new(anyhow::Error::msg(text.into()))
    }

    /// Nobody reads what is written any more: `stellate … | head`.
    pub(super) fn broken_pipe() -> Self {
        Self {
            broken_pipe: true,
            ..Self::message("nobody reads the output any more")
        }
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds what to do about it, where that is known.
    pub(super) fn hint_if(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Says what was tried when it happened.
    pub(super) fn context(mut self, text: impl Into<String>) -> Self {
        self.error = self.error.context(text.into());
        self
    }

    /// Whether the reader of standard output went away, which is no error.
    pub(super) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }

    /// The error in one line, without causes and hints.
    pub(super) fn summary(&self) -> String {
        self.error.to_string()
    }

    /// Writes the error, its causes and the hints, each on a line of its own.
    pub(super) fn text(&self, styles: &Styles) -> String {
        let (error, note) = (styles.error, styles.note);
        let mut text = format!("{error}error{error:#}: {}\n", self.error);
        let mut last = self.error.to_string();
        for cause in self.error.chain().skip(1) {
            let cause = cause.to_string();
            // Many errors repeat what their cause says, or the cause says it again at length.
            if !last.contains(&cause) && !cause.contains(&last) {
                let _ = writeln!(text, "  because: {cause}");
                last = cause;
            }
        }
        for hint in &self.hints {
            let _ = writeln!(text, "{note}hint{note:#}: {hint}");
        }
        text
    }
}

impl From<RenderError> for CliError {
    fn from(error: RenderError) -> Self {
        let help = error.help();
        Self::new(error).hint_if(help)
    }
}

impl From<DeliverError> for CliError {
    fn from(error: DeliverError) -> Self {
        let help = error.help();
        Self::new(error).hint_if(help)
    }
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        let help = error.help();
        Self::new(error).hint_if(help)
    }
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> Self {
        let help = error.help();
        Self::new(error).hint(help)
    }
}

impl From<GitError> for CliError {
    fn from(error: GitError) -> Self {
        let help = error.help();
        Self::new(error).hint(help)
    }
}

impl From<FolderError> for CliError {
    fn from(error: FolderError) -> Self {
        let help = error.help();
        Self::new(error).hint(help)
    }
}

impl From<RelayError> for CliError {
    fn from(error: RelayError) -> Self {
        Self::new(error).hint(RelayError::HELP)
    }
}

/// A diagnostic that leaves nothing to do, as an error.
impl From<Diagnostic> for CliError {
    fn from(found: Diagnostic) -> Self {
        let place = found
            .location
            .as_ref()
            .map(|place| format!("{place}: "))
            .unwrap_or_default();
        Self::message(format!("{place}{}", found.message)).hint_if(found.help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_and_a_way_out() {
        let io = std::io::Error::other("disk full");
        let error = CliError::new(anyhow::Error::new(io).context("cannot write out/a"));
        assert_eq!(
            error.hint("make room").text(&Styles::default()),
            "error: cannot write out/a\n  because: disk full\nhint: make room\n"
        );
    }
}
