//! Bitbucket: build statuses by key, in the cloud and on a server.
//!
//! A key has at most 40 characters: a longer context is told by its SHA-1, and its own text is the name. A status wants a URL.
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/>,
//! <https://developer.atlassian.com/server/bitbucket/rest/v803/api-group-build-status>

use aws_lc_rs::digest;
use serde_json::{Value, json};
use ureq::http::Method;

use super::answer::Request;
use super::error::ForgeError;
use super::rest::{Header, Rest};
use super::{ForgeConfig, Posted, encode, newest_by_name, text};
use crate::model::api::pipeline::ForgeKind;
use crate::status::{CommitStatus, StatusState};

/// The longest key.
const KEY: usize = 40;

/// A repository on Bitbucket.
pub struct Bitbucket {
    rest: Rest,
    is_cloud: bool,
    /// Workspace or project, and name.
    owner: String,
    name: String,
    page: String,
}

impl Bitbucket {
    pub(super) fn new(config: ForgeConfig) -> Self {
        let (owner, name) = config.repository.split_once('/').unwrap_or_default();
        Self {
            rest: Rest::new(&config, Header::Bearer),
            is_cloud: config.kind == ForgeKind::BitbucketCloud,
            owner: encode(owner),
            name: encode(name),
            page: config.page,
        }
    }

    pub(super) async fn list(&self, sha: &str) -> Result<Vec<Posted>, ForgeError> {
        let first = if self.is_cloud {
            format!("{}/statuses?pagelen=100", self.commit(sha))
        } else {
            format!("{}?limit=100", self.commit(sha))
        };
        let entries = self.values(Request::Read { sha }, first).await?;
        Ok(newest_by_name(entries, read))
    }

    pub(super) async fn post(&self, sha: &str, status: &CommitStatus) -> Result<(), ForgeError> {
        let path = if self.is_cloud {
            format!("{}/statuses/build", self.commit(sha))
        } else {
            self.commit(sha)
        };
        let body = json!({
            "key": key(&status.context),
            "name": status.context,
            "state": state(status.state),
            "description": status.description,
            "url": status.target_url.as_ref().unwrap_or(&self.page),
        });
        let asked = Request::Post {
            sha,
            context: &status.context,
        };
        self.rest
            .send(asked, Method::POST, &path, Some(&body))
            .await?;
        Ok(())
    }

    pub(super) async fn set_comment(
        &self,
        pull: u64,
        marker: &str,
        markdown: &str,
    ) -> Result<(), ForgeError> {
        let asked = Request::Comment;
        // Bitbucket shows HTML as it is; a link that nothing refers to stays unseen.
        let start = format!("[//]: # ({marker})\n\n");
        let wanted = format!("{start}{markdown}");
        let (owner, name) = (&self.owner, &self.name);
        let pull = if self.is_cloud {
            format!("/repositories/{owner}/{name}/pullrequests/{pull}")
        } else {
            format!("/api/1.0/projects/{owner}/repos/{name}/pull-requests/{pull}")
        };
        let comments = format!("{pull}/comments");
        // A server gives the comments of a whole pull request only among everything else that happened.
        let list = if self.is_cloud {
            format!("{comments}?pagelen=100")
        } else {
            format!("{pull}/activities?limit=100")
        };
        let found = self.values(asked, list).await?;
        let found: Vec<Value> = found.iter().map(comment).collect();
        let body = |version: Option<&Value>| match (self.is_cloud, version) {
            (true, _) => json!({"content": {"raw": wanted}}),
            (false, None) => json!({"text": wanted}),
            (false, Some(version)) => json!({"text": wanted, "version": version}),
        };
        match super::comment(&found, "body", &start) {
            Some((_, old)) if old == wanted => return Ok(()),
            Some((id, _)) => {
                let old = found
                    .iter()
                    .find(|comment| comment["id"].as_u64() == Some(id));
                let body = body(old.map(|old| &old["version"]));
                let path = format!("{comments}/{id}");
                self.rest
                    .send(asked, Method::PUT, &path, Some(&body))
                    .await?
            }
            None => {
                self.rest
                    .send(asked, Method::POST, &comments, Some(&body(None)))
                    .await?
            }
        };
        Ok(())
    }

    fn commit(&self, sha: &str) -> String {
        let (owner, name, sha) = (&self.owner, &self.name, encode(sha));
        if self.is_cloud {
            format!("/repositories/{owner}/{name}/commit/{sha}")
        } else {
            format!("/build-status/1.0/commits/{sha}")
        }
    }

    /// Reads all pages: the cloud names the next one, a server the number of its first entry.
    async fn values(&self, asked: Request<'_>, first: String) -> Result<Vec<Value>, ForgeError> {
        let next = |_: &_, page: &Value| match page["nextPageStart"].as_u64() {
            Some(start) if page["isLastPage"] == json!(false) => {
                Some(format!("{first}&start={start}"))
            }
            _ => text(page, "next"),
        };
        let entries = |page: &Value| page["values"].as_array().cloned();
        self.rest.pages(asked, first.clone(), entries, next).await
    }
}

/// A comment of either kind, under the same names.
fn comment(entry: &Value) -> Value {
    let comment = entry.get("comment").unwrap_or(entry);
    let body = comment.get("text").unwrap_or(&comment["content"]["raw"]);
    let is_there = comment["deleted"] != json!(true);
    json!({"id": comment["id"], "version": comment["version"], "body": if is_there { body.clone() } else { Value::Null }})
}

fn state(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending => "INPROGRESS",
        StatusState::Success => "SUCCESSFUL",
        StatusState::Failure | StatusState::Error => "FAILED",
    }
}

fn read(entry: &Value) -> Option<(u64, CommitStatus)> {
    let key_there = text(entry, "key")?;
    let name = text(entry, "name").filter(|name| key(name) == key_there);
    let status = CommitStatus {
        context: name.unwrap_or(key_there),
        state: match entry["state"].as_str()? {
            "SUCCESSFUL" => StatusState::Success,
            "INPROGRESS" => StatusState::Pending,
            _ => StatusState::Failure,
        },
        description: text(entry, "description").unwrap_or_default(),
        target_url: text(entry, "url"),
    };
    Some((0, status))
}

/// The context itself, or its SHA-1 in hexadecimal where it is too long: what is cut could be that of two.
fn key(context: &str) -> String {
    if context.len() <= KEY {
        return context.to_owned();
    }
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, context.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_context_is_told_by_its_hash_and_found_again_by_its_name() {
        let long = "stellate/a-pipeline-with-a-long-name/a-wec-with-one-too";
        assert_eq!(key("stellate/shop/berlin"), "stellate/shop/berlin");
        assert_eq!(key(long).len(), KEY);
        assert_ne!(key(long), key(&format!("{long}2")));
        let entry =
            json!({"key": key(long), "name": long, "state": "INPROGRESS", "url": "https://x"});
        let (_, status) = read(&entry).unwrap();
        assert_eq!(
            (&*status.context, status.state),
            (long, StatusState::Pending)
        );
        let theirs =
            json!({"key": "build-7", "name": "Build 7", "state": "STOPPED", "url": "https://x"});
        assert_eq!(read(&theirs).unwrap().1.context, "build-7");
    }

    #[test]
    fn comments_of_both_kinds_are_read_alike() {
        let cloud = comment(&json!({"id": 7, "content": {"raw": "text"}, "deleted": false}));
        assert_eq!((&cloud["id"], &cloud["body"]), (&json!(7), &json!("text")));
        let server = comment(
            &json!({"action": "COMMENTED", "comment": {"id": 8, "version": 2, "text": "text"}}),
        );
        assert_eq!(
            (&server["version"], &server["body"]),
            (&json!(2), &json!("text"))
        );
        assert_eq!(
            comment(&json!({"id": 9, "content": {"raw": "x"}, "deleted": true}))["body"],
            Value::Null
        );
    }
}
