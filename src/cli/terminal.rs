//! The two streams: data on stdout, talk on stderr, each coloured only where a person sees it.
//!
//! Nothing else in the crate writes to either. Texts are made elsewhere, with [`Styles`] that may be empty.

use std::io::{ErrorKind, IsTerminal as _, Stderr, Stdout, Write as _};

use anstyle::{AnsiColor, Style};

use super::error::CliError;

/// Standard output and standard error.
pub(super) struct Terminal {
    stdout: Stdout,
    stderr: Stderr,
    out: Styles,
    talk: Styles,
    talks_to_a_person: bool,
}

/// How parts of a text look; all empty where there is no colour, so that the text is the same without.
#[derive(Clone, Copy, Default)]
pub(super) struct Styles {
    pub(super) error: Style,
    pub(super) warning: Style,
    pub(super) note: Style,
    pub(super) good: Style,
    pub(super) added: Style,
    pub(super) removed: Style,
    pub(super) strong: Style,
    pub(super) faint: Style,
}

impl Styles {
    fn coloured() -> Self {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Self {
            error: colour(AnsiColor::Red).bold(),
            warning: colour(AnsiColor::Yellow).bold(),
            note: colour(AnsiColor::Cyan).bold(),
            good: colour(AnsiColor::Green),
            added: colour(AnsiColor::Green),
            removed: colour(AnsiColor::Red),
            strong: Style::new().bold(),
            faint: Style::new().dimmed(),
        }
    }
}

impl Terminal {
    /// Looks at the streams, at `NO_COLOR` and its kin, and at what the user asked for.
    pub(super) fn new(choice: clap::ColorChoice) -> Self {
        let styles = |detected: anstream::ColorChoice| {
            let coloured = match choice {
                clap::ColorChoice::Always => true,
                clap::ColorChoice::Never => false,
                clap::ColorChoice::Auto => detected != anstream::ColorChoice::Never,
            };
            if coloured {
                Styles::coloured()
            } else {
                Styles::default()
            }
        };
        Self {
            stdout: std::io::stdout(),
            stderr: std::io::stderr(),
            out: styles(anstream::AutoStream::choice(&std::io::stdout())),
            talk: styles(anstream::AutoStream::choice(&std::io::stderr())),
            talks_to_a_person: std::io::stderr().is_terminal(),
        }
    }

    /// The styles of standard output.
    pub(super) fn out(&self) -> &Styles {
        &self.out
    }

    /// The styles of standard error.
    pub(super) fn talk(&self) -> &Styles {
        &self.talk
    }

    /// Whether somebody may be looking at standard error.
    pub(super) fn talks_to_a_person(&self) -> bool {
        self.talks_to_a_person
    }

    /// Writes data.
    ///
    /// # Errors
    /// A reader that went away is [`CliError::is_broken_pipe`].
    pub(super) fn print(&self, data: impl AsRef<[u8]>) -> Result<(), CliError> {
        let mut out = self.stdout.lock();
        let written = out.write_all(data.as_ref()).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => CliError::broken_pipe(),
            _ => {
                CliError::new(anyhow::Error::new(error).context("cannot write to standard output"))
            }
        })
    }

    /// Talks. Whether anybody listens changes nothing.
    pub(super) fn say(&self, text: &str) {
        let mut talk = self.stderr.lock();
        let line = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let _heard = write!(talk, "{text}{line}").and_then(|()| talk.flush());
    }

    /// Warns in one line.
    pub(super) fn warn(&self, text: &str) {
        let warning = self.talk.warning;
        self.say(&format!("{warning}warning{warning:#}: {text}"));
    }
}
