//! Git's smart protocol over HTTP: an address and a service → the advertisement, then one POST per request.
//!
//! Follows redirects of the first request only, never from https to http, and never with a login that was meant for
//! another host. Certificates are checked by the platform, or against the CA file that the caller gives.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, BodyReader, Proxy, SendBody, Timeout, http};

use super::access::Access;
use super::credentials::{Login, Logins};
use super::error::{GitError, plain_text};
use super::pktline::FLUSH;
use super::transport::{AGENT, Service};
use super::url::{RemoteUrl, Scheme, redact};

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
            http::HeaderValue::try_from(format!("Basic {}", base64(pair.as_bytes()))).ok()?;
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

/// The client: timeouts, trust and proxy for one address.
fn agent(url: &RemoteUrl, access: &Access) -> Result<Agent, GitError> {
    let tls = trust(access.ca_file.as_deref())?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_resolve(Some(access.connect_timeout))
        .timeout_connect(Some(access.connect_timeout))
        .timeout_per_read(Some(access.idle_timeout))
        .timeout_per_write(Some(access.idle_timeout))
        // Some hosts and proxies let only what begins with `git/` reach the git service.
        .user_agent(format!("git/2.0 ({AGENT})"))
        .tls_config(tls)
        .proxy(proxy(url, access)?)
        .build();
    Ok(config.new_agent())
}

/// Whom to trust: those whom the platform trusts, or the certificates of a CA file.
///
/// # Errors
/// [`GitError::Credential`] when the file cannot be read or holds no certificate.
pub(crate) fn trust(ca_file: Option<&Path>) -> Result<TlsConfig, GitError> {
    let provider = match rustls::crypto::CryptoProvider::get_default() {
        Some(provider) => Arc::clone(provider),
        None => Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
    };
    let roots = match ca_file {
        None => RootCerts::PlatformVerifier,
        Some(path) => {
            let failed = |problem: String| GitError::Credential {
                origin: format!("CA file {}", path.display()),
                problem,
            };
            let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let certificates: Vec<_> = parse_pem(&bytes)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(failed("it holds no certificate in PEM form".to_owned()));
            }
            RootCerts::new_with_certs(&certificates)
        }
    };
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(roots)
        .build())
}

/// The proxy that the environment names for this address. As in other tools, this machine is never reached by proxy.
fn proxy(url: &RemoteUrl, access: &Access) -> Result<Option<Proxy>, GitError> {
    let first = |names: &[&str]| {
        let mut values = names
            .iter()
            .filter_map(|name| access.variable(name)?.into_string().ok());
        values.find(|value| !value.is_empty())
    };
    let address = match url.scheme() {
        Scheme::Https => first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
        // Upper case would let a request header of a CGI program choose the proxy.
        _ => first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
    };
    let (Some(address), false) = (address, is_loopback(url.host())) else {
        return Ok(None);
    };
    let exempt = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    if exempt
        .split(',')
        .any(|rule| is_exempt(url.host(), rule.trim()))
    {
        return Ok(None);
    }
    Proxy::new(&address)
        .map(Some)
        .map_err(|_| GitError::Unreachable {
            url: url.redacted(),
            problem: format!(
                "the environment names a proxy that is no address: {}",
                redact(&address)
            ),
        })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// One entry of `no_proxy`: `*`, a host, or a domain with or without a leading dot or `*.`.
fn is_exempt(host: &str, rule: &str) -> bool {
    let rule = rule.to_ascii_lowercase();
    let domain = rule.trim_start_matches('*').trim_start_matches('.');
    if domain.is_empty() {
        return rule == "*";
    }
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|start| start.ends_with('.'))
}

fn explain(error: &ureq::Error, url: &RemoteUrl) -> GitError {
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

fn explain_io(error: &io::Error, url: &RemoteUrl) -> GitError {
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

/// RFC 4648, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for digit in 0..4 {
            if digit <= group.len() {
                text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn base64_is_as_the_standard_says() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in table {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn exempt_hosts_are_not_proxied() {
        assert!(is_exempt("git.corp.example", ".corp.example"));
        assert!(
            is_exempt("git.corp.example", "*.corp.example")
                && is_exempt("corp.example", "corp.example")
        );
        assert!(
            is_exempt("anything", "*")
                && !is_exempt("evilcorp.example", "corp.example")
                && !is_exempt("a", "")
        );
        let mut access = Access::default();
        access
            .environment
            .insert("https_proxy".into(), "http://proxy.example:3128".into());
        access
            .environment
            .insert("no_proxy".into(), "corp.example".into());
        let proxied = |text| {
            proxy(&RemoteUrl::parse(text).expect("url"), &access)
                .expect("proxy")
                .is_some()
        };
        assert!(proxied("https://github.com/a/b"));
        assert!(!proxied("https://git.corp.example/a/b") && !proxied("https://127.0.0.1/a"));
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let access = Access {
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..Access::default()
        };
        let error =
            agent(&RemoteUrl::parse("https://h/r").expect("url"), &access).expect_err("missing");
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    }
}
