//! Bitbucket's payloads. Cloud says `repo:push` and `pullrequest:…`, Data Center `repo:refs_changed` and `pr:…`; their fields have nothing
//! in common. Both tell of several references in one push, and all of them are read.

use serde::Deserialize;

use super::{
    Event, Malformed, PullRequest, RefChange, addresses, branch, change, full_name, head, push,
    read,
};

const IGNORED: Event = Event::Ignored("neither a push nor a pull request");

pub(super) fn parse(
    event: &str,
    body: &[u8],
    delivery: Option<String>,
) -> Result<Event, Malformed> {
    match event {
        "diagnostics:ping" => read::<serde::de::IgnoredAny>(body).map(|_| Event::Ping),
        "repo:push" => cloud_push(body, delivery),
        "repo:refs_changed" => center_push(body, delivery),
        "pullrequest:created"
        | "pullrequest:updated"
        | "pullrequest:fulfilled"
        | "pullrequest:rejected" => cloud_pull_request(&read(body)?),
        "pr:opened"
        | "pr:from_ref_updated"
        | "pr:modified"
        | "pr:merged"
        | "pr:declined"
        | "pr:deleted" => center_pull_request(&read(body)?, event != "pr:deleted"),
        _ => Ok(IGNORED),
    }
}

// Cloud.

#[derive(Deserialize)]
struct CloudPush {
    push: CloudChanges,
    repository: CloudRepository,
}

#[derive(Deserialize)]
struct CloudChanges {
    #[serde(deserialize_with = "super::changes")]
    changes: Vec<CloudChange>,
}

#[derive(Deserialize)]
struct CloudChange {
    old: Option<CloudReference>,
    new: Option<CloudReference>,
}

#[derive(Deserialize)]
struct CloudReference {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    target: CloudCommit,
}

#[derive(Deserialize)]
struct CloudCommit {
    hash: String,
}

#[derive(Deserialize)]
struct CloudRepository {
    full_name: String,
    links: CloudLinks,
}

#[derive(Deserialize)]
struct CloudLinks {
    html: Link,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct CloudPullRequestBody {
    pullrequest: CloudPullRequest,
    repository: CloudRepository,
}

#[derive(Deserialize)]
struct CloudPullRequest {
    id: u64,
    state: String,
    source: CloudSide,
    destination: CloudSide,
}

#[derive(Deserialize)]
struct CloudSide {
    branch: CloudBranch,
    commit: Option<CloudCommit>,
}

#[derive(Deserialize)]
struct CloudBranch {
    name: String,
}

impl CloudRepository {
    /// The page's address, which git takes as well, and the one for ssh, which the payload leaves out.
    fn urls(&self) -> Result<Vec<String>, Malformed> {
        let page = &self.links.html.href;
        let host = page.split_once("://").map(|(_, rest)| rest);
        let host = host.and_then(|rest| rest.split(['/', ':', '?', '#']).next());
        let ssh = host.map(|host| format!("git@{host}:{}.git", self.full_name));
        addresses([Some(page.as_str()), ssh.as_deref()])
    }
}

impl CloudReference {
    fn full_name(&self) -> Result<String, Malformed> {
        match self.kind.as_str() {
            "tag" => full_name(&format!("refs/tags/{}", self.name)),
            _ => branch(&self.name),
        }
    }
}

fn cloud_push(body: &[u8], delivery: Option<String>) -> Result<Event, Malformed> {
    let body: CloudPush = read(body)?;
    let mut moved = Vec::new();
    for one in &body.push.changes {
        let Some(reference) = one.new.as_ref().or(one.old.as_ref()) else {
            return Err(Malformed::new("a change has neither `old` nor `new`"));
        };
        let id =
            |side: &'_ Option<CloudReference>| side.as_ref().map(|side| side.target.hash.clone());
        let (before, after) = (id(&one.old), id(&one.new));
        moved.push(change(
            &reference.full_name()?,
            before.as_deref(),
            after.as_deref(),
        )?);
    }
    Ok(push(body.repository.urls()?, moved, delivery))
}

fn cloud_pull_request(body: &CloudPullRequestBody) -> Result<Event, Malformed> {
    let request = &body.pullrequest;
    let commit = request.source.commit.as_ref();
    let commit = commit.ok_or_else(|| Malformed::new("the source of the pull request is gone"))?;
    Ok(Event::PullRequest(PullRequest {
        urls: body.repository.urls()?,
        number: request.id,
        head: head(&commit.hash)?,
        head_reference: branch(&request.source.branch.name)?,
        base_reference: branch(&request.destination.branch.name)?,
        open: request.state == "OPEN",
    }))
}

// Data Center.

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CenterPush {
    #[serde(deserialize_with = "super::changes")]
    changes: Vec<CenterChange>,
    repository: CenterRepository,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CenterChange {
    ref_id: String,
    from_hash: String,
    to_hash: String,
}

#[derive(Deserialize)]
struct CenterRepository {
    links: CenterLinks,
}

#[derive(Deserialize)]
struct CenterLinks {
    clone: Vec<Link>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CenterPullRequestBody {
    pull_request: CenterPullRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CenterPullRequest {
    id: u64,
    state: String,
    from_ref: CenterFrom,
    to_ref: CenterTo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CenterFrom {
    id: String,
    latest_commit: String,
}

#[derive(Deserialize)]
struct CenterTo {
    id: String,
    repository: CenterRepository,
}

impl CenterRepository {
    fn urls(&self) -> Result<Vec<String>, Malformed> {
        /// A repository is cloned by HTTP and by ssh; more is nonsense.
        const MOST_LINKS: usize = 16;
        let links = self.links.clone.iter().take(MOST_LINKS);
        addresses(links.map(|link| Some(link.href.as_str())))
    }
}

fn center_push(body: &[u8], delivery: Option<String>) -> Result<Event, Malformed> {
    let body: CenterPush = read(body)?;
    let moved: Result<Vec<RefChange>, _> = body
        .changes
        .iter()
        .map(|one| change(&one.ref_id, Some(&one.from_hash), Some(&one.to_hash)))
        .collect();
    Ok(push(body.repository.urls()?, moved?, delivery))
}

fn center_pull_request(body: &CenterPullRequestBody, exists: bool) -> Result<Event, Malformed> {
    let request = &body.pull_request;
    Ok(Event::PullRequest(PullRequest {
        urls: request.to_ref.repository.urls()?,
        number: request.id,
        head: head(&request.from_ref.latest_commit)?,
        head_reference: full_name(&request.from_ref.id)?,
        base_reference: full_name(&request.to_ref.id)?,
        open: exists && request.state == "OPEN",
    }))
}
