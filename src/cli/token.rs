//! The token of whoever asks: `--token-env` or `--token-file` → where it is found.

use std::path::PathBuf;

use clap::Args;

use crate::git::SecretPlace;

/// A token, by where it is found: on the command line other users of the machine would see it.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct TokenArguments {
    /// The environment variable that holds the token to log in with, over HTTP(S)
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "token_file",
        help_heading = "Access"
    )]
    token_env: Option<String>,
    /// The file that holds the token to log in with, over HTTP(S)
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    token_file: Option<PathBuf>,
}

impl TokenArguments {
    /// Gives where the token is found, when there is one.
    pub(super) fn place(&self) -> Option<SecretPlace> {
        match (&self.token_env, &self.token_file) {
            (Some(name), _) => Some(SecretPlace::Environment(name.clone())),
            (None, Some(path)) => Some(SecretPlace::File(path.clone())),
            (None, None) => None,
        }
    }
}
