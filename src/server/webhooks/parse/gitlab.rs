//! GitLab's payloads: of projects and groups, and of the whole instance ("System Hook"), where the body names the event.

use serde::Deserialize;

use super::{
    Event, Malformed, PullRequest, RefChange, addresses, branch, change, head, push, read,
};

#[derive(Deserialize)]
struct Kind {
    object_kind: Option<String>,
    event_name: Option<String>,
}

#[derive(Deserialize)]
struct PushBody {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    project: Project,
}

#[derive(Deserialize)]
struct UpdateBody {
    #[serde(deserialize_with = "super::changes")]
    changes: Vec<Change>,
    project: Project,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
}

#[derive(Deserialize)]
struct Project {
    #[serde(rename = "git_http_url")]
    http: Option<String>,
    #[serde(rename = "git_ssh_url")]
    ssh: Option<String>,
    #[serde(rename = "web_url")]
    page: Option<String>,
}

#[derive(Deserialize)]
struct MergeRequestBody {
    project: Project,
    object_attributes: MergeRequest,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    state: String,
    source_branch: String,
    target_branch: String,
    last_commit: Commit,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
}

impl Project {
    fn urls(&self) -> Result<Vec<String>, Malformed> {
        addresses([
            self.http.as_deref(),
            self.ssh.as_deref(),
            self.page.as_deref(),
        ])
    }
}

pub(super) fn parse(
    event: &str,
    body: &[u8],
    delivery: Option<String>,
) -> Result<Event, Malformed> {
    match event {
        "Push Hook" | "Tag Push Hook" => one(body, delivery),
        "Merge Request Hook" => merge_request(&read(body)?),
        "System Hook" => {
            let kind: Kind = read(body)?;
            match kind.object_kind.or(kind.event_name).as_deref() {
                Some("push" | "tag_push") => one(body, delivery),
                Some("merge_request") => merge_request(&read(body)?),
                Some("repository_update") => several(body, delivery),
                _ => Ok(IGNORED),
            }
        }
        _ => Ok(IGNORED),
    }
}

const IGNORED: Event = Event::Ignored("neither a push nor a merge request");

fn one(body: &[u8], delivery: Option<String>) -> Result<Event, Malformed> {
    let body: PushBody = read(body)?;
    let moved = change(&body.reference, Some(&body.before), Some(&body.after))?;
    Ok(push(body.project.urls()?, vec![moved], delivery))
}

fn several(body: &[u8], delivery: Option<String>) -> Result<Event, Malformed> {
    let body: UpdateBody = read(body)?;
    let moved: Result<Vec<RefChange>, _> = body
        .changes
        .iter()
        .map(|one| change(&one.reference, Some(&one.before), Some(&one.after)))
        .collect();
    Ok(push(body.project.urls()?, moved?, delivery))
}

fn merge_request(body: &MergeRequestBody) -> Result<Event, Malformed> {
    let request = &body.object_attributes;
    Ok(Event::PullRequest(PullRequest {
        urls: body.project.urls()?,
        number: request.iid,
        head: head(&request.last_commit.id)?,
        head_reference: branch(&request.source_branch)?,
        base_reference: branch(&request.target_branch)?,
        open: request.state == "opened",
    }))
}
