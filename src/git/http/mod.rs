//! Git's smart protocol over HTTP: an address and a service → the advertisement, then one POST per request.
//!
//! Follows redirects of the first request only, never from https to http, and never with a login that was meant for
//! another host. Certificates are checked by the platform, or against the CA file that the caller gives.

use std::io::{self, Read};

use ureq::{Agent, Body, BodyReader, SendBody, http};

use super::access::Access;
use super::credentials::{Login, Logins};
use super::error::{GitError, plain_text};
use super::pktline::FLUSH;
use super::transport::Service;
use super::url::{RemoteUrl, Scheme, redact};
use crate::model::base64;

mod agent;
mod trouble;

pub(crate) use agent::trust;

use agent::agent;
use trouble::{explain, explain_io};

/// A body up to this size is sent with its length and can be sent again; a larger one is streamed in chunks.
const WHOLE: u64 = 1024 * 1024;

const MAX_REDIRECTS: usize = 5;

type Response = http::Response<Body>;

/// A conversation with one repository over HTTP.
pub(crate) struct HttpSession {
    agent: Agent,
    url: RemoteUrl,
    service: Service,
    logins: Logins,
    login: Option<Login>,
    answer: Option<BodyReader<'static>>,
}

/// What goes out in one round.
enum Outgoing<'a> {
    Advertisement,
    Whole(&'a [u8]),
}

impl HttpSession {
    /// Asks for the advertisement, logging in when asked to; it is then read from `self`.
    ///
    /// # Errors
    /// Any [`GitError`] of a connection.
    pub(crate) fn open(
        url: &RemoteUrl,
        access: &Access,
        service: Service,
    ) -> Result<Self, GitError> {
        let agent = agent(url, access)?;
        let logins = Logins::new(url, access);
        let mut session = Self {
            agent,
            url: url.clone(),
            service,
            logins,
            login: None,
            answer: None,
        };
        // Over plain http the first request goes without: it may be redirected to https.
        if url.scheme() == Scheme::Https {
            session.login = session.logins.token();
        }
        for _ in 0..=MAX_REDIRECTS {
            let response = session.round(&Outgoing::Advertisement)?;
            if response.status().is_redirection() {
                session.follow(&response, access)?;
                continue;
            }
            session.accept(response, "advertisement")?;
            return Ok(session);
        }
        Err(GitError::Redirected {
            url: url.redacted(),
            target: "one address after another".to_owned(),
        })
    }

    /// Sends one request; its answer is read from `self`.
    ///
    /// # Errors
    /// Any [`GitError`] of a connection.
    pub(crate) fn post(&mut self, body: &mut dyn Read) -> Result<(), GitError> {
        self.answer = None;
        let mut start = Vec::new();
        let broken = |error: io::Error| GitError::Broken {
            url: self.url.redacted(),
            problem: error.to_string(),
        };
        body.take(WHOLE).read_to_end(&mut start).map_err(broken)?;
        let mut rest = Vec::new();
        body.take(1).read_to_end(&mut rest).map_err(broken)?;
        let response = if rest.is_empty() {
            self.round(&Outgoing::Whole(&start))?
        } else {
            // What is streamed cannot be sent twice, so the login is settled with an empty request first.
            if self.login.is_none() {
                let probe = self.round(&Outgoing::Whole(FLUSH))?;
                if !probe.status().is_success() {
                    return Err(self.refused(probe));
                }
            }
            let mut stream = start.chain(&rest[..]).chain(body);
            let sent = self.prepare_post().send(SendBody::from_reader(&mut stream));
            sent.map_err(|error| explain(&error, &self.url))?
        };
        self.accept(response, "result")
    }

    /// One request and its response; after 401 again with the next login, until there is none.
    fn round(&mut self, outgoing: &Outgoing<'_>) -> Result<Response, GitError> {
        loop {
            let sent = match outgoing {
                Outgoing::Advertisement => {
                    let address = format!(
                        "{}/info/refs?service=git-{}",
                        address(&self.url),
                        self.service.name()
                    );
                    let request = self
                        .agent
                        .get(address)
                        .header("Accept", "*/*")
                        .header("Pragma", "no-cache");
                    match self.authorization() {
                        Some(value) => request.header("Authorization", value).call(),
                        None => request.call(),
                    }
                }
                Outgoing::Whole(bytes) => self.prepare_post().send(*bytes),
            };
            let response = sent.map_err(|error| explain(&error, &self.url))?;
            let status = response.status();
            if status != http::StatusCode::UNAUTHORIZED {
                if let Some(login) = self.login.as_ref().filter(|_| status.is_success()) {
                    self.logins.report(true, login);
                }
                return Ok(response);
            }
            if let Some(login) = self.login.take() {
                self.logins.report(false, &login);
            }
            self.login = self.logins.next()?;
            if self.login.is_none() {
                return Err(GitError::Unauthorized {
                    url: self.url.redacted(),
                    tried: self.logins.tried(),
                });
            }
        }
    }

    fn prepare_post(&self) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        let name = self.service.name();
        let request = self
            .agent
            .post(format!("{}/git-{name}", address(&self.url)))
            .header("Content-Type", format!("application/x-git-{name}-request"))
            .header("Accept", format!("application/x-git-{name}-result"));
        match self.authorization() {
            Some(value) => request.header("Authorization", value),
            None => request,
        }
    }

    fn authorization(&self) -> Option<http::HeaderValue> {
        let login = self.login.as_ref()?;
        let pair = format!("{}:{}", login.user.expose(), login.password.expose());
        let mut value =
            http::HeaderValue::try_from(format!("Basic {}", base64::encode(pair.as_bytes())))
                .ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes the new address, and leaves behind what was meant for the old host.
    fn follow(&mut self, response: &Response, access: &Access) -> Result<(), GitError> {
        let location = response
            .headers()
            .get("Location")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let refused = || GitError::Redirected {
            url: self.url.redacted(),
            target: redact(location),
        };
        let absolute = if location.starts_with('/') && !location.starts_with("//") {
            format!(
                "{}://{}{location}",
                scheme_name(&self.url),
                self.url.authority()
            )
        } else {
            location.to_owned()
        };
        let tail = format!("/info/refs?service=git-{}", self.service.name());
        let target = absolute
            .strip_suffix(&tail)
            .and_then(|base| RemoteUrl::parse(base).ok())
            .ok_or_else(refused)?;
        let safe = match target.scheme() {
            Scheme::Https => true,
            Scheme::Http => self.url.scheme() == Scheme::Http,
            Scheme::Ssh | Scheme::Local => false,
        };
        if !safe {
            return Err(refused());
        }
        // The step from http to https on the default ports of one host stays with that host.
        let same_host = target.host() == self.url.host() && target.port() == self.url.port();
        if !same_host {
            self.login = None;
            self.logins.forget_for(&target);
        } else if target.scheme() == Scheme::Https && self.login.is_none() {
            self.login = self.logins.token();
        }
        self.agent = agent(&target, access)?;
        self.url = target;
        Ok(())
    }

    /// Keeps a good answer's body for reading; anything else becomes an error.
    fn accept(&mut self, response: Response, kind: &str) -> Result<(), GitError> {
        if response.status() != http::StatusCode::OK {
            return Err(self.refused(response));
        }
        let wanted = format!("application/x-git-{}-{kind}", self.service.name());
        let found = content_type(&response);
        if found != wanted {
            let problem = format!("it sent {:?} instead of {wanted}", plain_text(&found, 60));
            return Err(GitError::Protocol {
                url: self.url.redacted(),
                problem,
            });
        }
        self.answer = Some(
            response
                .into_body()
                .into_with_config()
                .limit(u64::MAX)
                .reader(),
        );
        Ok(())
    }

    /// The error behind a status that is not 200.
    fn refused(&self, response: Response) -> GitError {
        let (url, tried, status) = (self.url.redacted(), self.logins.tried(), response.status());
        let said = self.said(response);
        match status.as_u16() {
            401 => GitError::Unauthorized { url, tried },
            403 => {
                let message = if said.is_empty() {
                    said
                } else {
                    format!(": {said}")
                };
                GitError::Forbidden {
                    url,
                    tried,
                    message,
                }
            }
            404 | 410 => GitError::NotFound { url, tried },
            408 | 504 => GitError::Timeout {
                url,
                problem: format!("HTTP status {status}"),
            },
            413 => GitError::Remote {
                url,
                message: "the push is larger than it accepts (HTTP 413)".to_owned(),
            },
            429 | 500..=599 => GitError::Broken {
                url,
                problem: format!("HTTP status {status} {said}").trim_end().to_owned(),
            },
            _ => GitError::Protocol {
                url,
                problem: format!("HTTP status {status} {said}").trim_end().to_owned(),
            },
        }
    }

    /// The words of a refusal, when they are for people; with any credential that they may repeat taken out.
    fn said(&self, response: Response) -> String {
        if !content_type(&response).starts_with("text/plain") {
            return String::new();
        }
        let mut bytes = Vec::new();
        let mut body = response.into_body().into_with_config().limit(2048).reader();
        // A body that ends early still says what it says.
        drop(body.read_to_end(&mut bytes));
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(login) = &self.login {
            for secret in [login.password.expose(), login.user.expose()] {
                if secret.len() > 3 {
                    text = text.replace(secret, "***");
                }
            }
        }
        plain_text(&text, 400)
    }

    /// The error behind a failed read of an answer.
    pub(crate) fn explain(&self, error: &io::Error) -> GitError {
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<ureq::Error>())
        {
            Some(inner) => explain(inner, &self.url),
            None => explain_io(error, &self.url),
        }
    }
}

impl Read for HttpSession {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.answer
            .as_mut()
            .map_or(Ok(0), |answer| answer.read(buffer))
    }
}

fn content_type(response: &Response) -> String {
    let value = response
        .headers()
        .get("Content-Type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    value
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase()
}

/// The address without login and without trailing slash.
fn address(url: &RemoteUrl) -> String {
    format!(
        "{}://{}{}",
        scheme_name(url),
        url.authority(),
        url.path().trim_end_matches('/')
    )
}

fn scheme_name(url: &RemoteUrl) -> &'static str {
    if url.scheme() == Scheme::Http {
        "http"
    } else {
        "https"
    }
}
