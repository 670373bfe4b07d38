//! One request to a REST API, blocking, by ureq: method, path and body → an [`Answer`], or why there was none.
//!
//! Follows no redirect: none of these APIs redirects a request that is right. The connection is kept for the next request.

use std::time::Duration;

use serde_json::Value;
use ureq::{Agent, http};

use super::answer::{Answer, Place, Request};
use super::error::ForgeError;
use super::{ForgeConfig, ForgeLogin, read_secret};
use crate::git::{Secret, trust};
use crate::model::base64;

/// The most of an answer that is read.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The most pages of a list that are read.
pub(super) const PAGES: usize = 200;

/// A client of one API.
#[derive(Clone)]
pub(super) struct Rest {
    agent: Result<Agent, String>,
    api: String,
    place: Place,
    login: ForgeLogin,
    /// What GitLab calls the header of its tokens.
    header: Header,
}

/// How a token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: token …`, which old versions of Gitea want.
    Token,
}

impl Rest {
    pub(super) fn new(config: &ForgeConfig, header: Header) -> Self {
        Self {
            agent: agent(config.timeout),
            api: config.api.clone(),
            place: config.place(),
            login: config.login.clone(),
            header,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Sends a request; an answer that is no success is a failure.
    pub(super) async fn send(
        &self,
        asked: Request<'_>,
        method: http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let answer = self.answer(method, path, body).await?;
        if answer.is_good() {
            Ok(answer)
        } else {
            Err(self.place.failure(&answer, asked))
        }
    }

    /// Sends a request and gives the answer whatever it is. `path` begins with a slash, or is a whole URL of the same API.
    pub(super) async fn answer(
        &self,
        method: http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let (login, token) = self.authorization().await?;
        let url = if path.starts_with('/') {
            format!("{}{path}", self.api)
        } else if path.starts_with(&format!("{}/", self.api)) {
            path.to_owned()
        } else {
            return Err(self
                .place
                .odd("it sends us to another host for the next page"));
        };
        let agent = self
            .agent
            .clone()
            .map_err(|problem| self.place.odd(&problem))?;
        let body = body.map(Value::to_string);
        let place = self.place.clone();
        let send = move || {
            let mut answer = send(&agent, &place, method, &url, &login, body)?;
            answer.forget(&token);
            Ok(answer)
        };
        match tokio::task::spawn_blocking(send).await {
            Ok(answer) => answer,
            Err(error) => Err(self.place.odd(&error.to_string())),
        }
    }

    /// Reads pages until there is none after them; `next` finds the way from one page to the next.
    pub(super) async fn pages(
        &self,
        asked: Request<'_>,
        first: String,
        entries: impl Fn(&Value) -> Option<Vec<Value>>,
        next: impl Fn(&Answer, &Value) -> Option<String>,
    ) -> Result<Vec<Value>, ForgeError> {
        let mut all = Vec::new();
        let mut path = Some(first);
        for _ in 0..PAGES {
            let Some(this) = path.take() else { break };
            let answer = self.send(asked, http::Method::GET, &this, None).await?;
            let page = self.json(&answer)?;
            let found = entries(&page).ok_or_else(|| self.place.odd("a list is missing"))?;
            // An empty page is the last, and so is one that names itself as the next, whatever they say.
            path = next(&answer, &page).filter(|next| !found.is_empty() && *next != this);
            all.extend(found);
        }
        Ok(all)
    }

    /// The body as JSON.
    pub(super) fn json(&self, answer: &Answer) -> Result<Value, ForgeError> {
        serde_json::from_str(&answer.body).map_err(|_| self.place.odd("the body is no JSON"))
    }

    /// The header's value, and the token in it.
    async fn authorization(&self) -> Result<(Secret, Secret), ForgeError> {
        let (user, place) = match &self.login {
            ForgeLogin::Token(place) => (None, place),
            ForgeLogin::User(user, place) => (Some(user), place),
            ForgeLogin::App(_) => {
                return Err(ForgeError::Credential {
                    host: self.place.host.clone(),
                    problem: "only GitHub has Apps".into(),
                });
            }
        };
        let token = read_secret(self.place.clone(), place.clone(), false).await?;
        let value = match (user, self.header) {
            (Some(user), _) => {
                let both = format!("{user}:{}", token.expose());
                format!("Basic {}", base64::encode(both.as_bytes()))
            }
            (None, Header::Bearer) => format!("Bearer {}", token.expose()),
            (None, Header::Token) => format!("token {}", token.expose()),
        };
        Ok((Secret::new(value), token))
    }
}

fn agent(timeout: Duration) -> Result<Agent, String> {
    let tls = trust(None).map_err(|error| error.to_string())?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        .user_agent(concat!("stellate/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build();
    Ok(config.new_agent())
}

fn send(
    agent: &Agent,
    place: &Place,
    method: http::Method,
    url: &str,
    login: &Secret,
    body: Option<String>,
) -> Result<Answer, ForgeError> {
    let request = http::Request::builder()
        .method(method)
        .uri(url)
        .header("Accept", "application/json")
        .header("Authorization", login.expose());
    let sent = match body {
        None => request.body(()).map(|request| agent.run(request)),
        Some(body) => request
            .header("Content-Type", "application/json")
            .body(body)
            .map(|request| agent.run(request)),
    };
    // Neither a wrong URL nor a wrong header is repeated: the header holds the token.
    let response =
        sent.map_err(|_| place.odd("the request cannot be written: check the URL and the token"))?;
    let mut response = response.map_err(|error| explain(&error, place))?;
    let mut answer = Answer::from_headers(response.status().as_u16(), now(), |name| {
        response.headers().get(name)?.to_str().ok()
    });
    let body = response
        .body_mut()
        .with_config()
        .limit(LONGEST)
        .read_to_string();
    answer.body = body.map_err(|error| explain(&error, place))?;
    Ok(answer)
}

/// Seconds since 1970, as hosts give the end of a limit.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The same list from where a page says that the next one is: only its query counts, because a host behind a proxy may not
/// know its own name.
pub(super) fn following(path: &str, answer: &Answer) -> Option<String> {
    let (_, query) = answer.next.as_deref()?.split_once('?')?;
    let path = path.split('?').next().unwrap_or(path);
    Some(format!("{path}?{query}"))
}

/// Says why there was no answer.
fn explain(error: &ureq::Error, place: &Place) -> ForgeError {
    let host = place.host.clone();
    match error {
        ureq::Error::Timeout(_) => ForgeError::Timeout { host },
        ureq::Error::HostNotFound => ForgeError::Unreachable {
            host,
            problem: "no such host".into(),
        },
        ureq::Error::ConnectionFailed => ForgeError::Unreachable {
            host,
            problem: "no connection".into(),
        },
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            ForgeError::Unreachable {
                host,
                problem: "connection refused".into(),
            }
        }
        // What the resolver says has no kind of its own.
        ureq::Error::Io(error) if error.to_string().contains("lookup address") => {
            ForgeError::Unreachable {
                host,
                problem: "no such host".into(),
            }
        }
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => ForgeError::Unreachable {
            host,
            problem: error.to_string(),
        },
        error => ForgeError::Broken {
            host,
            problem: error.to_string(),
        },
    }
}
