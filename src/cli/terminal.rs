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
        let text = without_logins(text);
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

/// Hides logins in whatever looks like an address, and tokens in its query: a text that was not understood as an address
/// may still be one.
pub(super) fn without_logins(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        hidden.push_str(before);
        let end = after
            .find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`'))
            .unwrap_or(after.len());
        let (address, behind) = after.split_at(end);
        let address = match address.rfind('@') {
            Some(login) => format!("***{}", &address[login..]),
            None => address.to_owned(),
        };
        match address.find("token=") {
            Some(token) => hidden.push_str(&format!("{}token=***", &address[..token])),
            None => hidden.push_str(&address),
        }
        rest = behind;
    }
    hidden.push_str(rest);
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_login_reaches_the_screen_whatever_was_mistyped() {
        for text in [
            "ssh://user:s3cr3t@127.0.0.1:1/x cannot be read",
            "url: \"https://user:p/s3cr3t@h/x\", bogus",
            "https://h/x?access_token=s3cr3t gone",
            "ftp://s3cr3t@h",
        ] {
            assert!(!without_logins(text).contains("s3cr3t"), "{text}");
        }
        assert_eq!(
            without_logins("see https://example.com/a b"),
            "see https://example.com/a b"
        );
    }
}
