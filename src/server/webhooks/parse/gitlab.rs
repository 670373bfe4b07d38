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
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    web_url: Option<String>,
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
            self.git_http_url.as_deref(),
            self.git_ssh_url.as_deref(),
            self.web_url.as_deref(),
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
    push(body.project.urls()?, vec![moved], delivery)
}

fn several(body: &[u8], delivery: Option<String>) -> Result<Event, Malformed> {
    let body: UpdateBody = read(body)?;
    let moved: Result<Vec<RefChange>, _> = body
        .changes
        .iter()
        .map(|one| change(&one.reference, Some(&one.before), Some(&one.after)))
        .collect();
    push(body.project.urls()?, moved?, delivery)
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
