//! Gitea and Forgejo: statuses as GitHub has them, under `/api/v1`.

use serde_json::{Value, json};
use ureq::http::Method;

use super::answer::Request;
use super::error::ForgeError;
use super::rest::{Header, Rest, following};
use super::{ForgeConfig, Posted, encode, encode_parts, github, marked, newest_by_name};
use crate::status::CommitStatus;

/// A repository on Gitea or Forgejo.
pub struct Gitea {
    rest: Rest,
    /// `/repos/OWNER/NAME`
    repository: String,
}

impl Gitea {
    pub(super) fn new(config: &ForgeConfig) -> Self {
        Self {
            rest: Rest::new(config, Header::Token),
            repository: format!("/repos/{}", encode_parts(&config.repository)),
        }
    }

    pub(super) async fn list(&self, sha: &str) -> Result<Vec<Posted>, ForgeError> {
        let path = format!(
            "{}/commits/{}/statuses?limit=50&page=1",
            self.repository,
            encode(sha)
        );
        let next = |answer: &_, _: &Value| following(&path, answer);
        let entries = self
            .rest
            .pages(
                Request::Read { sha },
                path.clone(),
                |page| page.as_array().cloned(),
                next,
            )
            .await?;
        Ok(newest_by_name(entries, github::read_status))
    }

    pub(super) async fn post(&self, sha: &str, status: &CommitStatus) -> Result<(), ForgeError> {
        let path = format!("{}/statuses/{}", self.repository, encode(sha));
        let asked = Request::Post {
            sha,
            context: &status.context,
        };
        let body = github::status_body(status);
        let posted = self
            .rest
            .send(asked, Method::POST, &path, Some(&body))
            .await;
        match posted {
            // Gitea calls it a failure of its own when it does not have the commit.
            Err(error @ ForgeError::Unavailable { .. }) => match self.find(sha).await {
                Err(unknown @ ForgeError::UnknownCommit { .. }) => Err(unknown),
                _ => Err(error),
            },
            posted => posted.map(|_| ()),
        }
    }

    /// Whether the commit is there.
    async fn find(&self, sha: &str) -> Result<(), ForgeError> {
        let path = format!("{}/git/commits/{}", self.repository, encode(sha));
        let answer = self.rest.answer(Method::GET, &path, None).await?;
        let place = self.rest.place();
        match answer.status {
            404 => Err(ForgeError::UnknownCommit {
                host: place.host.clone(),
                repository: place.repository.clone(),
                sha: sha.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) async fn set_comment(
        &self,
        pull: u64,
        marker: &str,
        markdown: &str,
    ) -> Result<(), ForgeError> {
        let asked = Request::Comment;
        let path = format!("{}/issues/{pull}/comments", self.repository);
        let next = |answer: &_, _: &Value| following(&path, answer);
        let found = self
            .rest
            .pages(asked, path.clone(), |page| page.as_array().cloned(), next)
            .await?;
        let wanted = marked(marker, markdown);
        let body = json!({"body": wanted});
        match super::comment(&found, "body", &marked(marker, "")) {
            Some((_, old)) if old == wanted => return Ok(()),
            Some((id, _)) => {
                let path = format!("{}/issues/comments/{id}", self.repository);
                self.rest
                    .send(asked, Method::PATCH, &path, Some(&body))
                    .await?
            }
            None => {
                self.rest
                    .send(asked, Method::POST, &path, Some(&body))
                    .await?
            }
        };
        Ok(())
    }
}
