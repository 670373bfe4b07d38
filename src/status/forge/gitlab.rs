//! GitLab: its commit statuses are jobs of a pipeline and have a state machine of their own.
//!
//! A status that is told its own state again answers 400, `Cannot transition status`: that is what was wanted. Two states of
//! ours, failure and error, are one of GitLab's. <https://docs.gitlab.com/api/commits/#commit-status>

use serde_json::{Value, json};
use ureq::http::Method;

use super::answer::Request;
use super::error::ForgeError;
use super::rest::{Header, Rest, following};
use super::{ForgeConfig, Posted, encode, marked, newest_by_name, text};
use crate::status::{CommitStatus, StatusState};

/// A project on GitLab.
pub struct GitLab {
    rest: Rest,
    /// `/projects/GROUP%2FNAME`
    project: String,
    reference: Option<String>,
}

impl GitLab {
    pub(super) fn new(config: ForgeConfig) -> Self {
        Self {
            rest: Rest::new(&config, Header::Bearer),
            project: format!("/projects/{}", encode(&config.repository)),
            // GitLab knows branches and tags by their short names.
            reference: config.reference.map(|name| {
                let short = name
                    .strip_prefix("refs/heads/")
                    .or(name.strip_prefix("refs/tags/"));
                short.map_or(name.clone(), str::to_owned)
            }),
        }
    }

    pub(super) async fn list(&self, sha: &str) -> Result<Vec<Posted>, ForgeError> {
        let mut path = format!(
            "{}/repository/commits/{}/statuses?per_page=100",
            self.project,
            encode(sha)
        );
        // Without it GitLab gives those of the default branch.
        if let Some(reference) = &self.reference {
            path.push_str(&format!("&ref={}", encode(reference)));
        }
        let asked = Request::Read { sha };
        let next = |answer: &_, _: &Value| following(&path, answer);
        let entries = self
            .rest
            .pages(asked, path.clone(), |page| page.as_array().cloned(), next)
            .await?;
        Ok(newest_by_name(entries, read))
    }

    pub(super) async fn post(&self, sha: &str, status: &CommitStatus) -> Result<(), ForgeError> {
        let path = format!("{}/statuses/{}", self.project, encode(sha));
        let mut body = json!({
            "state": state(status.state),
            "name": status.context,
            "description": status.description,
        });
        if let Some(url) = &status.target_url {
            body["target_url"] = json!(url);
        }
        if let Some(reference) = &self.reference {
            body["ref"] = json!(reference);
        }
        let answer = self.rest.answer(Method::POST, &path, Some(&body)).await?;
        if answer.is_good()
            || (answer.status == 400 && answer.body.contains("Cannot transition status"))
        {
            return Ok(());
        }
        let asked = Request::Post {
            sha,
            context: &status.context,
        };
        Err(self.rest.place().failure(&answer, asked))
    }

    pub(super) async fn set_comment(
        &self,
        pull: u64,
        marker: &str,
        markdown: &str,
    ) -> Result<(), ForgeError> {
        let notes = format!("{}/merge_requests/{pull}/notes", self.project);
        let first = format!("{notes}?per_page=100&sort=asc&order_by=created_at");
        let next = |answer: &_, _: &Value| following(&first, answer);
        let found = self
            .rest
            .pages(
                Request::Comment,
                first.clone(),
                |page| page.as_array().cloned(),
                next,
            )
            .await?;
        let wanted = marked(marker, markdown);
        let body = json!({"body": wanted});
        match super::comment(&found, "body", &marked(marker, "")) {
            Some((_, old)) if old == wanted => return Ok(()),
            Some((id, _)) => {
                let path = format!("{notes}/{id}");
                self.rest
                    .send(Request::Comment, Method::PUT, &path, Some(&body))
                    .await?
            }
            None => {
                self.rest
                    .send(Request::Comment, Method::POST, &notes, Some(&body))
                    .await?
            }
        };
        Ok(())
    }
}

fn state(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure | StatusState::Error => "failed",
    }
}

fn read(entry: &Value) -> Option<(u64, CommitStatus)> {
    let status = CommitStatus {
        context: text(entry, "name")?,
        state: match entry["status"].as_str()? {
            "success" | "skipped" => StatusState::Success,
            "failed" | "canceled" => StatusState::Failure,
            _ => StatusState::Pending,
        },
        description: text(entry, "description").unwrap_or_default(),
        target_url: text(entry, "target_url"),
    };
    Some((entry["id"].as_u64()?, status))
}
