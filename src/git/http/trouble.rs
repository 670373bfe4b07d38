//! What the client says went wrong → a [`GitError`] that a person understands.

use std::io;

use ureq::Timeout;

use crate::git::error::{GitError, plain_text};
use crate::git::url::RemoteUrl;

/// The error of a request that got no answer.
pub(super) fn explain(error: &ureq::Error, url: &RemoteUrl) -> GitError {
    let redacted = url.redacted();
    match error {
        ureq::Error::HostNotFound => GitError::Unreachable {
            url: redacted,
            problem: format!("the name {} does not resolve", url.host()),
        },
        ureq::Error::ConnectionFailed => GitError::Unreachable {
            url: redacted,
            problem: "nobody accepts a connection".to_owned(),
        },
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => GitError::Timeout {
            url: redacted,
            problem: "no connection".to_owned(),
        },
        ureq::Error::Timeout(_) => GitError::Timeout {
            url: redacted,
            problem: "silence on the connection".to_owned(),
        },
        ureq::Error::Rustls(error) => GitError::Untrusted {
            url: redacted,
            problem: plain_text(&error.to_string(), 300),
        },
        ureq::Error::Tls(problem) => GitError::Untrusted {
            url: redacted,
            problem: (*problem).to_owned(),
        },
        ureq::Error::Io(error) => explain_io(error, url),
        ureq::Error::ConnectProxyFailed(problem) => GitError::Unreachable {
            url: redacted,
            problem: format!("the proxy refused: {}", plain_text(problem, 200)),
        },
        ureq::Error::InvalidProxyUrl => GitError::Unreachable {
            url: redacted,
            problem: "the proxy's address is not understood".to_owned(),
        },
        error => GitError::Protocol {
            url: redacted,
            problem: plain_text(&error.to_string(), 300),
        },
    }
}

/// The error of an answer that broke off.
pub(super) fn explain_io(error: &io::Error, url: &RemoteUrl) -> GitError {
    let (url, problem) = (url.redacted(), plain_text(&error.to_string(), 300));
    if error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
    {
        return GitError::Untrusted { url, problem };
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => GitError::Unreachable { url, problem },
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => GitError::Timeout { url, problem },
        _ => GitError::Broken { url, problem },
    }
}
