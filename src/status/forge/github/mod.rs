//! GitHub and GitHub Enterprise, by octocrab: statuses, check runs and comments, with a token or as a GitHub App.
//!
//! A token is read anew before each request, so that it can be rotated. An App finds its installation by the repository, and takes a
//! token for that repository alone, which lives for an hour. What GitHub redirects because a repository was renamed is followed on
//! the same host, and said in the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use octocrab::Octocrab;
use serde_json::{Value, json};
use ureq::http::Method;

use super::answer::{Answer, Request};
use super::error::ForgeError;
use super::rest::{PAGES, following};
use super::{
    CheckRun, Conclusion, ForgeConfig, ForgeLogin, Posted, encode, encode_parts, marked,
    newest_by_name, read_secret, text,
};
use crate::git::Secret;
use crate::status::{CommitStatus, StatusState};

mod client;

pub use client::installation_token;

use client::{ask, builder, explain};

/// A token that lives less than this is not used again.
const SPARE: Duration = Duration::from_secs(300);
/// The most bytes of a text of a check run.
const TEXT: usize = 65_535;
/// How often a request is sent elsewhere.
const REDIRECTS: usize = 3;

/// A repository on GitHub.
pub struct GitHub {
    config: ForgeConfig,
    /// `/repos/OWNER/NAME`
    repository: String,
    session: Mutex<Option<Session>>,
}

/// A client with a token.
#[derive(Clone)]
struct Session {
    client: Octocrab,
    token: Secret,
    /// Until when the token lives, where that is known.
    until: Option<Timestamp>,
}

impl GitHub {
    pub(super) fn new(config: ForgeConfig) -> Self {
        Self {
            repository: format!("/repos/{}", encode_parts(&config.repository)),
            config,
            session: Mutex::new(None),
        }
    }

    pub(super) async fn list(&self, sha: &str) -> Result<Vec<Posted>, ForgeError> {
        let path = format!(
            "{}/commits/{}/statuses?per_page=100",
            self.repository,
            encode(sha)
        );
        let entries = self.pages(Request::Read { sha }, &path).await?;
        Ok(newest_by_name(entries, read_status))
    }

    pub(super) async fn post(&self, sha: &str, status: &CommitStatus) -> Result<(), ForgeError> {
        let path = format!("{}/statuses/{}", self.repository, encode(sha));
        let asked = Request::Post {
            sha,
            context: &status.context,
        };
        let body = status_body(status);
        self.create(asked, &path, &body).await
    }

    pub(super) async fn set_check(&self, sha: &str, run: &CheckRun) -> Result<(), ForgeError> {
        let ForgeLogin::App(app) = &self.config.login else {
            return Ok(());
        };
        let asked = Request::Check { sha };
        let path = format!(
            "{}/commits/{}/check-runs?check_name={}&app_id={}&filter=latest&per_page=100",
            self.repository,
            encode(sha),
            encode(&run.name),
            app.app_id
        );
        let answer = self.send(asked, Method::GET, &path, None).await?;
        let there = self.json(&answer)?;
        let runs = there["check_runs"].as_array().into_iter().flatten();
        let old = runs
            .filter(|old| old["name"] == json!(run.name))
            .find(|old| {
                // A run that has ended does not begin again: the next attempt is a run of its own.
                run.conclusion.is_some() || old["status"] != json!("completed")
            });
        let mut body = check_body(run);
        if let Some(id) = old.and_then(|old| old["id"].as_u64()) {
            let path = format!("{}/check-runs/{id}", self.repository);
            self.send(asked, Method::PATCH, &path, Some(&body)).await?;
            return Ok(());
        }
        body["head_sha"] = json!(sha);
        let path = format!("{}/check-runs", self.repository);
        self.create(asked, &path, &body).await
    }

    pub(super) async fn set_comment(
        &self,
        pull: u64,
        marker: &str,
        markdown: &str,
    ) -> Result<(), ForgeError> {
        let path = format!("{}/issues/{pull}/comments", self.repository);
        let found = self
            .pages(Request::Comment, &format!("{path}?per_page=100"))
            .await?;
        let wanted = marked(marker, markdown);
        let body = json!({"body": wanted});
        match super::comment(&found, "body", &marked(marker, "")) {
            Some((_, old)) if old == wanted => Ok(()),
            Some((id, _)) => {
                let path = format!("{}/issues/comments/{id}", self.repository);
                self.send(Request::Comment, Method::PATCH, &path, Some(&body))
                    .await?;
                Ok(())
            }
            None => self.create(Request::Comment, &path, &body).await,
        }
    }

    async fn pages(&self, asked: Request<'_>, first: &str) -> Result<Vec<Value>, ForgeError> {
        let mut all = Vec::new();
        let mut path = Some(first.to_owned());
        for _ in 0..PAGES {
            let Some(this) = path.take() else { break };
            let answer = self.send(asked, Method::GET, &this, None).await?;
            let Value::Array(page) = self.json(&answer)? else {
                return Err(self.config.place().odd("a list is missing"));
            };
            path = following(first, &answer).filter(|next| !page.is_empty() && *next != this);
            all.extend(page);
        }
        Ok(all)
    }

    /// A POST that makes something, and must say so: a redirect that turned it into a question makes nothing.
    async fn create(&self, asked: Request<'_>, path: &str, body: &Value) -> Result<(), ForgeError> {
        let answer = self.send(asked, Method::POST, path, Some(body)).await?;
        if answer.status == 201 {
            return Ok(());
        }
        let problem = format!("status {} where 201 was to come", answer.status);
        Err(self.config.place().odd(&problem))
    }

    /// Sends a request, to where GitHub says that the repository is now.
    async fn send(
        &self,
        asked: Request<'_>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let place = self.config.place();
        let session = self.session().await?;
        let mut path = path.to_owned();
        let mut redirects = 0;
        loop {
            let client = &session.client;
            let mut answer = ask(client, &place, self.config.timeout, &method, &path, body).await?;
            answer.forget(&session.token);
            if answer.is_good() {
                return Ok(answer);
            }
            if answer.status == 401 {
                // What GitHub does not know any more is asked for anew the next time.
                *self.held() = None;
            }
            let is_redirect = matches!(answer.status, 301 | 302 | 307 | 308);
            let target = answer.location.as_deref().filter(|_| is_redirect);
            match target.and_then(|target| self.below_the_api(target)) {
                Some(target) if redirects < REDIRECTS => {
                    tracing::warn!(
                        host = place.host,
                        repository = place.repository,
                        "the repository was renamed: correct its name in the configuration"
                    );
                    redirects += 1;
                    path = target;
                }
                _ => return Err(place.failure(&answer, asked)),
            }
        }
    }

    /// The path of a URL on the same API; none elsewhere, where our token has no business.
    fn below_the_api(&self, target: &str) -> Option<String> {
        let path = target.strip_prefix(&self.config.api)?;
        path.starts_with('/').then(|| path.to_owned())
    }

    fn json(&self, answer: &Answer) -> Result<Value, ForgeError> {
        let body = serde_json::from_str(&answer.body);
        body.map_err(|_| self.config.place().odd("the body is no JSON"))
    }

    async fn session(&self) -> Result<Session, ForgeError> {
        let held = self.held().clone();
        let (token, until) = match &self.config.login {
            ForgeLogin::Token(secret) | ForgeLogin::User(_, secret) => {
                let token = read_secret(self.config.place(), secret.clone(), false).await?;
                if let Some(held) = held.filter(|held| held.token == token) {
                    return Ok(held);
                }
                (token, None)
            }
            ForgeLogin::App(app) => {
                let lives = |until: Timestamp| {
                    until.duration_since(Timestamp::now()) > SPARE.try_into().unwrap_or_default()
                };
                if let Some(held) = held.filter(|held| held.until.is_some_and(lives)) {
                    return Ok(held);
                }
                let (token, until) =
                    installation_token(app, &self.config.api, &self.config.repository).await?;
                (token, Some(until))
            }
        };
        let place = self.config.place();
        let builder = builder(&self.config.api, &place, self.config.timeout)?;
        let client = builder.personal_token(token.expose()).build();
        let session = Session {
            client: client.map_err(|error| explain(&error, &place))?,
            token,
            until,
        };
        *self.held() = Some(session.clone());
        Ok(session)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A status as GitHub and Gitea take it.
pub(super) fn status_body(status: &CommitStatus) -> Value {
    let state = match status.state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Error => "error",
    };
    let mut body = json!({
        "state": state,
        "context": status.context,
        "description": status.description,
    });
    if let Some(url) = &status.target_url {
        body["target_url"] = json!(url);
    }
    body
}

/// A status as GitHub and Gitea give it; Gitea calls the state `status`.
pub(super) fn read_status(entry: &Value) -> Option<(u64, CommitStatus)> {
    let state = entry.get("state").or_else(|| entry.get("status"))?;
    let status = CommitStatus {
        context: text(entry, "context")?,
        state: match state.as_str()? {
            "success" | "skipped" => StatusState::Success,
            "failure" | "warning" => StatusState::Failure,
            "error" => StatusState::Error,
            _ => StatusState::Pending,
        },
        description: text(entry, "description").unwrap_or_default(),
        target_url: text(entry, "target_url"),
    };
    Some((entry["id"].as_u64()?, status))
}

fn check_body(run: &CheckRun) -> Value {
    let mut body = json!({
        "name": run.name,
        "output": {
            "title": run.title,
            "summary": cut(&run.summary),
            "text": cut(&run.text),
        },
    });
    match run.conclusion {
        None => body["status"] = json!("in_progress"),
        Some(conclusion) => {
            body["status"] = json!("completed");
            body["conclusion"] = json!(match conclusion {
                Conclusion::Success => "success",
                Conclusion::Failure => "failure",
                Conclusion::Neutral => "neutral",
            });
        }
    }
    if let Some(url) = &run.details_url {
        body["details_url"] = json!(url);
    }
    body
}

/// As much as GitHub takes, in whole lines.
fn cut(text: &str) -> String {
    const REST: &str = "\n\n…";
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let mut end = TEXT - REST.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let end = text[..end].rfind('\n').unwrap_or(end);
    format!("{}{REST}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_cut_at_the_end_of_a_line() {
        let line = "| berlin | healthy — since ten minutes |\n";
        let cut = cut(&line.repeat(3000));
        assert!(cut.len() <= TEXT && cut.len() > TEXT - 100);
        assert!(cut.ends_with("|\n\n…"), "{}", &cut[cut.len() - 20..]);
        assert_eq!(super::cut(line), line);
    }

    #[test]
    fn a_check_run_that_goes_on_has_no_conclusion() {
        let mut run = CheckRun {
            name: "stellate/shop".into(),
            conclusion: None,
            title: "1/2 healthy".into(),
            summary: String::new(),
            text: String::new(),
            details_url: None,
        };
        assert_eq!(check_body(&run)["status"], "in_progress");
        assert!(check_body(&run).get("conclusion").is_none());
        run.conclusion = Some(Conclusion::Failure);
        assert_eq!(check_body(&run)["conclusion"], "failure");
    }
}
