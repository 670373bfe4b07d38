//! How the server may be reached: where it listens, who may ask, and which combinations are refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::git::Secret;

/// How the server may be reached.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where it listens; loopback unless told otherwise.
    pub listen: SocketAddr,
    /// The bearer tokens, each of which is enough; several while they are rotated.
    pub tokens: Tokens,
    /// TLS, with or without client certificates.
    pub tls: Option<TlsFiles>,
    /// Whether profiles are served.
    pub profiling: bool,
    /// Whether everybody may ask for everything.
    pub insecure: bool,
}

/// The bearer tokens that are good now. Clones share them: what is replaced in one is replaced in all.
#[derive(Clone, Default)]
pub struct Tokens(Arc<RwLock<Arc<[Secret]>>>);

impl Tokens {
    /// Starts with these.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self(Arc::new(RwLock::new(secrets.into())))
    }

    /// Puts others in their place. None at all is refused: it would let everybody in.
    pub fn replace(&self, secrets: Vec<Secret>) {
        if !secrets.is_empty() {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = secrets.into();
        }
    }

    /// Those that are good now.
    pub(super) fn current(&self) -> Arc<[Secret]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} tokens", self.current().len())
    }
}

/// The files of TLS, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, with the chain behind it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whose client certificates are as good as a token.
    pub client_ca: Option<PathBuf>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Anybody could ask for everything.
    #[error("{0} can be reached from other machines, and nothing says who may ask")]
    Open(SocketAddr),
    /// A file of TLS cannot be used.
    #[error("cannot use {}: {why}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl ServerError {
    /// A fixed word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Open(_) => "ServerIsOpen",
            Self::Tls { .. } => "TlsUnusable",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Open(_) => {
                "give it a token or a client CA, let it listen on 127.0.0.1, or say that it is meant to be insecure"
            }
            Self::Tls { .. } => {
                "name PEM files: --tls-cert has the chain of certificates, --tls-key the private key of the first, --client-ca authorities"
            }
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8383),
            tokens: Tokens::default(),
            tls: None,
            profiling: false,
            insecure: false,
        }
    }
}

impl ServerOptions {
    /// Refuses what would let anybody ask for everything.
    ///
    /// # Errors
    /// [`ServerError::Open`].
    pub fn check(&self) -> Result<(), ServerError> {
        if self.is_open() && !self.insecure && !self.listen.ip().is_loopback() {
            return Err(ServerError::Open(self.listen));
        }
        Ok(())
    }

    /// Whether nothing says who may ask.
    pub(super) fn is_open(&self) -> bool {
        let certificates = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        self.tokens.current().is_empty() && !certificates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_may_be_open() {
        let loopback = ServerOptions::default();
        assert!(loopback.check().is_ok());
        let everywhere = ServerOptions {
            listen: "0.0.0.0:8383".parse().unwrap(),
            ..ServerOptions::default()
        };
        let refused = everywhere.check().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "0.0.0.0:8383 can be reached from other machines, and nothing says who may ask"
        );
        let tls = |client_ca: Option<&str>| ServerOptions {
            tls: Some(TlsFiles {
                certificate: "tls.crt".into(),
                key: "tls.key".into(),
                client_ca: client_ca.map(Into::into),
            }),
            ..everywhere.clone()
        };
        assert!(tls(None).check().is_err(), "TLS alone says who we are");
        assert!(tls(Some("ca.crt")).check().is_ok());
        for closed in [
            ServerOptions {
                tokens: Tokens::new(vec![Secret::new("t")]),
                ..everywhere.clone()
            },
            ServerOptions {
                insecure: true,
                ..everywhere.clone()
            },
        ] {
            assert!(closed.check().is_ok());
        }
    }

    #[test]
    fn no_tokens_at_all_take_the_place_of_none() {
        let options = ServerOptions {
            tokens: Tokens::new(vec![Secret::new("old")]),
            ..ServerOptions::default()
        };
        options.tokens.replace(Vec::new());
        assert!(!options.is_open());
    }

    #[test]
    fn tokens_are_not_printed() {
        let options = ServerOptions {
            tokens: Tokens::new(vec![Secret::new("hush")]),
            ..ServerOptions::default()
        };
        assert!(!format!("{options:?}").contains("hush"));
    }
}
