//! The two streams: data on stdout, talk on stderr, each coloured only where a person sees it.
//!
//! Nothing else in the crate writes to either. Texts are made elsewhere, with [`Styles`] that may be empty. What comes from
//! outside (names of files and objects, values) may hold control characters: a terminal gets none but those of our styles.

use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{ErrorKind, IsTerminal as _, Stderr, Stdout, Write as _};

use anstyle::{AnsiColor, Style};

use super::error::CliError;

/// Standard output and standard error.
pub(super) struct Terminal {
    stdout: Stdout,
    stderr: Stderr,
    seal: u64,
    out: Styles,
    talk: Styles,
    talks_to_a_person: bool,
}

/// How parts of a text look; all empty where there is no colour, so that the text is the same without.
#[derive(Clone, Copy, Default)]
pub(super) struct Styles {
    pub(super) error: Look,
    pub(super) warning: Look,
    pub(super) note: Look,
    pub(super) good: Look,
    pub(super) added: Look,
    pub(super) removed: Look,
    pub(super) strong: Look,
    pub(super) faint: Look,
}

/// A style that is written with `{look}` and ended with `{look:#}`. Behind the escape character stands a number that
/// nobody outside can know, and that [`Terminal`] takes out again: escape characters without it are not ours.
#[derive(Clone, Copy, Default)]
pub(super) struct Look {
    style: Style,
    seal: u64,
}

impl fmt::Display for Look {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = if formatter.alternate() {
            format!("{:#}", self.style)
        } else {
            self.style.to_string()
        };
        let sealed = format!("\u{1b}{:016x}", self.seal);
        formatter.write_str(&sequence.replace('\u{1b}', &sealed))
    }
}

impl Styles {
    fn coloured(seal: u64) -> Self {
        let look = |style: Style| Look { style, seal };
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Self {
            error: look(colour(AnsiColor::Red).bold()),
            warning: look(colour(AnsiColor::Yellow).bold()),
            note: look(colour(AnsiColor::Cyan).bold()),
            good: look(colour(AnsiColor::Green)),
            added: look(colour(AnsiColor::Green)),
            removed: look(colour(AnsiColor::Red)),
            strong: look(Style::new().bold()),
            faint: look(Style::new().dimmed()),
        }
    }
}

impl Terminal {
    /// Looks at the streams, at `NO_COLOR` and its kin, and at what the user asked for.
    pub(super) fn new(choice: clap::ColorChoice) -> Self {
        let seal = RandomState::new().build_hasher().finish();
        let styles = |detected: anstream::ColorChoice| {
            let coloured = match choice {
                clap::ColorChoice::Always => true,
                clap::ColorChoice::Never => false,
                clap::ColorChoice::Auto => detected != anstream::ColorChoice::Never,
            };
            if coloured {
                Styles::coloured(seal)
            } else {
                Styles::default()
            }
        };
        Self {
            stdout: std::io::stdout(),
            stderr: std::io::stderr(),
            seal,
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

    /// Writes a text for people.
    ///
    /// # Errors
    /// A reader that went away is [`CliError::is_broken_pipe`].
    pub(super) fn show(&self, text: &str) -> Result<(), CliError> {
        self.print(harmless(text, self.seal))
    }

    /// Writes data for programs, byte for byte.
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
        let text = harmless(&without_logins(text), self.seal);
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

/// Writes out control characters, and those that turn the direction of writing, so that they do nothing; line breaks and
/// tabs stay, and what follows an escape character with the seal.
fn harmless(text: &str, seal: u64) -> String {
    let seal = format!("{seal:016x}");
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        let behind = rest.as_str();
        match letter {
            '\n' | '\t' => shown.push(letter),
            '\u{1b}' if behind.starts_with(&seal) => {
                shown.push(letter);
                rest = behind[seal.len()..].chars();
            }
            // Writing to memory does not fail.
            _ if letter.is_control() || turns(letter) => {
                let _ = write!(shown, "{}", letter.escape_unicode());
            }
            _ => shown.push(letter),
        }
    }
    shown
}

/// Writes out line breaks: a name with one in it does not begin a line of its own.
pub(super) fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r")
}

/// Tells whether a character turns the direction of writing.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    fn a_terminal_gets_no_control_characters_but_those_of_our_styles() {
        let styles = Styles::coloured(7);
        let error = styles.error;
        let text = format!("{error}a\u{1b}[2J\u{9b}1m\u{202e}b\r{error:#}\tc\n");
        assert_eq!(
            harmless(&text, 7),
            "\u{1b}[1m\u{1b}[31ma\\u{1b}[2J\\u{9b}1m\\u{202e}b\\u{d}\u{1b}[0m\tc\n"
        );
        // Without knowing the seal nobody else's are ours.
        assert!(!harmless("\u{1b}0000000000000008[31m", 7).contains('\u{1b}'));
    }

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
