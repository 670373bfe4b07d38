//! How a remote is to be reached: credentials, patience, trust, and the environment of the programs that help.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Credentials;

/// Everything beside the address that a connection needs. The default suits a person at a terminal.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who we are to the remote.
    pub credentials: Credentials,
    /// Longest wait for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Longest silence of the remote on an open stream.
    pub idle_timeout: Duration,
    /// Certificates (PEM) of the authorities to trust for https, in place of the system's, as git's `http.sslCAInfo`.
    pub ca_file: Option<PathBuf>,
    /// The ssh command line; `None`: `GIT_SSH_COMMAND`, then the user's `core.sshCommand`, then `ssh`.
    pub ssh_command: Option<String>,
    /// Variables for the programs that are run (git, ssh), on top of this process's own.
    pub environment: BTreeMap<OsString, OsString>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            credentials: Credentials::default(),
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            ca_file: None,
            ssh_command: None,
            environment: BTreeMap::new(),
        }
    }
}

impl From<Credentials> for Access {
    fn from(credentials: Credentials) -> Self {
        Self {
            credentials,
            ..Self::default()
        }
    }
}

impl Access {
    /// A variable as the programs will see it: ours first, then this process's.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        self.environment
            .get(OsStr::new(name))
            .cloned()
            .or_else(|| std::env::var_os(name))
    }
}
