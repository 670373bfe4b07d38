//! The files of the server's own secrets, looked at again while it runs: what is rotated counts without a restart.
//!
//! What cannot be read changes nothing: the secrets that were good stay good.

use std::sync::Arc;

use super::error::CliError;
use super::run::Arguments;
use crate::git::FileStamp;
use crate::server::Tokens;
use crate::server::webhooks::Hooks;

/// The secrets that are good now, and what their files looked like when they were read.
pub(super) struct Rotation {
    tokens: Tokens,
    hooks: Arc<Hooks>,
    seen: Vec<FileStamp>,
}

impl Rotation {
    /// Begins with what was read at the start.
    pub(super) fn new(arguments: &Arguments, tokens: Tokens, hooks: Arc<Hooks>) -> Self {
        Self {
            tokens,
            hooks,
            seen: stamps(arguments),
        }
    }

    /// Reads them again when a file changed.
    pub(super) fn look(&mut self, arguments: &Arguments) {
        let now = stamps(arguments);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match self.read(arguments) {
            Ok(()) => {
                tracing::info!("the secrets of webhooks and the tokens of the API were read again");
            }
            Err(error) => tracing::error!(
                "the secrets of webhooks and the tokens of the API stay as they were: {}",
                error.summary()
            ),
        }
    }

    fn read(&self, arguments: &Arguments) -> Result<(), CliError> {
        let (tokens, doors) = (arguments.tokens()?, arguments.doors()?);
        self.hooks
            .replace(&doors)
            .map_err(|error| CliError::message(error.to_string()).hint(error.help()))?;
        self.tokens.replace(tokens);
        Ok(())
    }
}

fn stamps(arguments: &Arguments) -> Vec<FileStamp> {
    arguments
        .secret_files()
        .map(|path| FileStamp::of(path))
        .collect()
}
