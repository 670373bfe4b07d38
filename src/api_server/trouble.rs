//! What an API server, or the way to it, has against a request: one word, one sentence, and a way out. Pure.

use kube::core::Status;

/// What is wrong between us and an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A fixed word for programs and metrics.
    pub reason: &'static str,
    /// What is wrong, for people: one sentence, lower-case start, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Trouble {
    /// Puts an error into words.
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::said(status),
            // What a login plugin printed may hold a token.
            kube::Error::Auth(_) => Self::new(
                "LoginFailed",
                "the kubeconfig's login (plugin, token file or provider) gave no credentials",
                "try it by hand: kubectl auth whoami",
            ),
            kube::Error::SerdeError(error) => Self::new(
                "Unintelligible",
                format!("the API server's answer cannot be read: {error}"),
                "look whether a proxy stands between; it may have answered in the server's place",
            ),
            other => Self::new(
                "Unreachable",
                format!("the API server cannot be reached: {}", chain(other)),
                "look whether it runs and whether the kubeconfig's address and certificate are its own",
            ),
        }
    }

    /// Puts into words what the server answered.
    pub fn said(status: &Status) -> Self {
        let said = || {
            let message = status.message.trim();
            if message.is_empty() {
                format!("the API server answered {} {}", status.code, status.reason)
            } else {
                message.to_owned()
            }
        };
        match status.code {
            401 => Self::new(
                "Unauthorized",
                "the API server does not accept the credentials",
                "renew the token or certificate; it is read again at the next attempt",
            ),
            // The server's sentence names who may not do what, and where.
            403 => Self::new(
                "Forbidden",
                said(),
                "give this account what it needs; `stellate rbac` prints it",
            ),
            404 => Self::new(
                "NotServed",
                said(),
                "look whether this is the right API server, and whether its CustomResourceDefinitions are installed",
            ),
            code @ (429 | 500..) => Self::new(
                "ServerFailed",
                format!("the API server answered {code}: {}", said()),
                "nothing to do here but wait; it is asked again",
            ),
            code => Self::new(
                "Refused",
                format!("the API server answered {code}: {}", said()),
                "look at what the API server logs about it",
            ),
        }
    }

    fn new(reason: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// Gives an error with its causes in one line; what a cause repeats is said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
