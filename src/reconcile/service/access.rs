//! Where credentials are → how remotes are reached, read anew each time, because tokens rotate.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;

use super::lock;
use crate::config::Login;
use crate::git::{Access, AppLogin, Credentials, GitError, RemoteUrl, Secret};
use crate::status::forge::ForgeError;
use crate::status::forge::github::installation_token;

/// A token is asked for anew so long before it ends.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);
/// The user that GitHub wants beside an App's token.
const APP_USER: &str = "x-access-token";

/// The keys to remotes: reads credentials, and holds the tokens of GitHub Apps, which live for an hour.
pub(super) struct Keys {
    runtime: Handle,
    tokens: Mutex<BTreeMap<(AppLogin, String), (Secret, Timestamp)>>,
}

/// Why a remote cannot be reached as who we are.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    /// A credential cannot be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// GitHub gives no token.
    #[error(transparent)]
    App(#[from] ForgeError),
}

impl AccessError {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Git(error) => error.reason(),
            Self::App(error) => error.reason(),
        }
    }

    pub(super) fn help(&self) -> Option<&'static str> {
        match self {
            Self::Git(error) => Some(error.help()),
            Self::App(error) => error.help(),
        }
    }
}

impl Keys {
    /// Starts without tokens; they are asked for on that runtime.
    pub(super) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            tokens: Mutex::default(),
        }
    }

    /// Reads the credentials of a login for a remote. Must not be called on the runtime.
    pub(super) fn access(
        &self,
        login: Option<&Login>,
        remote: Option<&RemoteUrl>,
    ) -> Result<Access, AccessError> {
        let login = login.cloned().unwrap_or_default();
        let known_hosts = login.known_hosts.as_ref().map(|path| {
            let path = path.display().to_string().replace('\'', "'\\''");
            format!("ssh -o 'UserKnownHostsFile={path}'")
        });
        let (token, username) = if let (Some(app), Some(remote)) = (&login.app, remote) {
            (Some(self.token(app, remote)?), Some(APP_USER.to_owned()))
        } else {
            let token = login.token.as_ref().map(crate::git::SecretPlace::read);
            (token.transpose()?, login.username)
        };
        Ok(Access {
            credentials: Credentials {
                token,
                username,
                ssh_key: login.ssh_key,
                use_helper: true,
            },
            ssh_command: known_hosts,
            ..Access::default()
        })
    }

    /// Gives the token of an App for a repository; a new one when the last one ends soon.
    fn token(&self, app: &AppLogin, remote: &RemoteUrl) -> Result<Secret, ForgeError> {
        let path = remote.path().trim_matches('/');
        let repository = path.strip_suffix(".git").unwrap_or(path).to_owned();
        let key = (app.clone(), repository.clone());
        if let Some((token, until)) = lock(&self.tokens).get(&key)
            && Timestamp::now() + MARGIN < *until
        {
            return Ok(token.clone());
        }
        let api = match remote.host() {
            "github.com" => "https://api.github.com".to_owned(),
            host => format!("https://{host}/api/v3"),
        };
        let asked = self
            .runtime
            .block_on(installation_token(app, &api, &repository))?;
        lock(&self.tokens).insert(key, asked.clone());
        Ok(asked.0)
    }
}
