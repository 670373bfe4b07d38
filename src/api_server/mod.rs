//! The way to an API server: a kubeconfig, or the pod's own account → a client; its errors → words.
//!
//! Tokens and certificates may be rotated at any time: a client that is refused reads everything anew. What is asked of the
//! server is none of this module's business. No error repeats a line of a kubeconfig or what a login plugin printed: both
//! hold secrets.

use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use kube::config::{Config, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};

mod follow;
mod objects;
mod patience;
mod renewal;
mod rights;
mod trouble;

pub use follow::{Event, Kind, Listener, Pace, Problem, follow};
pub use objects::Objects;
pub use rights::{Place, Right};
pub use trouble::Trouble;

/// How long a server may be silent before a connection counts as dead: longer than any watch without a word.
const SILENCE: Duration = Duration::from_secs(360);

/// Which API server, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// The kubeconfig; none for where kubectl looks for it, and in a pod its own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; none for its current one.
    pub context: Option<String>,
}

impl std::fmt::Display for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kubeconfig {
            Some(path) => write!(formatter, "kubeconfig {}", path.display())?,
            None => formatter.write_str("the kubeconfig that kubectl uses")?,
        }
        match &self.context {
            Some(context) => write!(formatter, ", context {context}"),
            None => Ok(()),
        }
    }
}

/// Why no API server can be asked anything.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no kubeconfig, and this is no pod.
    #[error("there is no kubeconfig, and no account of a pod")]
    Nothing(#[source] InClusterError),
    /// The kubeconfig cannot be read.
    #[error("{place} cannot be read: {error}")]
    Unreadable {
        /// Which one.
        place: Connection,
        /// Why.
        error: std::io::Error,
    },
    /// The kubeconfig is none, or names what is not there.
    #[error("{place} cannot be used: {why}")]
    Unusable {
        /// Which one.
        place: Connection,
        /// What is wrong with it.
        why: String,
    },
    /// No client can be made of what it says.
    #[error("{place} cannot be used: {}", trouble.message)]
    Client {
        /// Which one.
        place: Connection,
        /// What is wrong.
        trouble: Trouble,
    },
}

impl ConnectError {
    /// A fixed word for programs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Nothing(_) => "NoKubeconfig",
            Self::Unreadable { .. } => "UnreadableKubeconfig",
            Self::Unusable { .. } | Self::Client { .. } => "InvalidKubeconfig",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Nothing(_) => "set KUBECONFIG, or name a kubeconfig: on the command line (--kubeconfig, for a hub --hub-kubeconfig), or as `kubeconfig` in the configuration".to_owned(),
            Self::Unreadable { .. } => "look whether the file is there and may be read".to_owned(),
            Self::Unusable { place, .. } | Self::Client { place, .. } => {
                let file = place.kubeconfig.as_ref().map_or_else(String::new, |path| {
                    format!(" --kubeconfig {}", path.display())
                });
                format!("look at it with: kubectl{file} config view --minify")
            }
        }
    }
}

/// A failed connection is trouble like any other.
impl From<&ConnectError> for Trouble {
    fn from(error: &ConnectError) -> Self {
        Self {
            reason: error.reason(),
            message: error.to_string(),
            help: error.help(),
        }
    }
}

/// Makes a client. Nothing is asked of the server yet.
///
/// # Errors
/// When there is no usable kubeconfig and no account of a pod.
pub async fn connect(connection: &Connection) -> Result<Client, ConnectError> {
    connect_patiently(connection, SILENCE).await
}

/// Makes a client for which a connection is dead after this much silence.
///
/// # Errors
/// As [`connect`].
pub async fn connect_patiently(
    connection: &Connection,
    silence: Duration,
) -> Result<Client, ConnectError> {
    renewal::client(connection, silence).await
}

/// Makes a client of what the kubeconfig says now.
async fn make(connection: &Connection, silence: Duration) -> Result<Client, ConnectError> {
    let mut config = configuration(connection).await?;
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(silence);
    // Or the time that a connection lay idle would count.
    config.reset_reader_on_write = true;
    // Its waits double up to a quarter of an hour.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| ConnectError::Client {
        place: connection.clone(),
        trouble: Trouble::of(&error),
    })
}

async fn configuration(connection: &Connection) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions {
        context: connection.context.clone(),
        ..KubeConfigOptions::default()
    };
    let read = match &connection.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        Err(error) if is_absent(&error) && *connection == Connection::default() => {
            return Config::incluster().map_err(ConnectError::Nothing);
        }
        Err(error) => return Err(unusable(connection, error)),
    };
    let names_proxy = names_proxy(&kubeconfig);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| unusable(connection, error))?;
    if !names_proxy {
        // The environment's is for the world outside, and what it is not for (NO_PROXY) is not looked at where it is read.
        config.proxy_url = None;
    }
    Ok(config)
}

/// Tells whether a kubeconfig itself asks for a proxy.
fn names_proxy(kubeconfig: &Kubeconfig) -> bool {
    let mut clusters = kubeconfig.clusters.iter().flat_map(|named| &named.cluster);
    clusters.any(|cluster| cluster.proxy_url.is_some())
}

/// Whether there is no kubeconfig where kubectl would look.
fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn unusable(connection: &Connection, error: KubeconfigError) -> ConnectError {
    let place = connection.clone();
    let why = match error {
        KubeconfigError::ReadConfig(error, _) => return ConnectError::Unreadable { place, error },
        KubeconfigError::LoadContext(name) => format!("it has no context {name:?}"),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster {name:?}"),
        KubeconfigError::CurrentContextNotSet => {
            "it has no current context, and none was named".to_owned()
        }
        KubeconfigError::Parse(_) => "it is no kubeconfig in YAML".to_owned(),
        other => trouble::chain(&other),
    };
    ConnectError::Unusable { place, why }
}

#[cfg(test)]
mod tests;
