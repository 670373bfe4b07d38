//! GitHub's payloads, and Gitea's and Forgejo's, which have the same fields where we look.

use serde::Deserialize;

use super::{Event, Forge, Malformed, PullRequest, addresses, branch, change, head, push, read};

#[derive(Deserialize)]
struct PushBody {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    repository: Repository,
}

#[derive(Deserialize)]
struct DeleteBody {
    #[serde(rename = "ref")]
    reference: String,
    ref_type: String,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(rename = "clone_url")]
    clone: Option<String>,
    #[serde(rename = "ssh_url")]
    ssh: Option<String>,
    #[serde(rename = "html_url")]
    page: Option<String>,
}

#[derive(Deserialize)]
struct PullRequestBody {
    number: u64,
    pull_request: PullRequestPart,
    repository: Repository,
}

#[derive(Deserialize)]
struct PullRequestPart {
    state: String,
    head: Side,
    base: Base,
}

#[derive(Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    reference: String,
    sha: String,
}

#[derive(Deserialize)]
struct Base {
    #[serde(rename = "ref")]
    reference: String,
}

impl Repository {
    fn urls(&self) -> Result<Vec<String>, Malformed> {
        addresses([
            self.clone.as_deref(),
            self.ssh.as_deref(),
            self.page.as_deref(),
        ])
    }
}

pub(super) fn parse(
    forge: Forge,
    event: &str,
    body: &[u8],
    delivery: Option<String>,
) -> Result<Event, Malformed> {
    match event {
        "ping" => read::<serde::de::IgnoredAny>(body).map(|_| Event::Ping),
        "push" => {
            let body: PushBody = read(body)?;
            let moved = change(&body.reference, Some(&body.before), Some(&body.after))?;
            Ok(push(body.repository.urls()?, vec![moved], delivery))
        }
        // GitHub tells of a deletion by a push as well; Gitea does not.
        "delete" if forge == Forge::Gitea => {
            let body: DeleteBody = read(body)?;
            let kind = match body.ref_type.as_str() {
                "tag" => "tags",
                _ => "heads",
            };
            let gone = change(&format!("refs/{kind}/{}", body.reference), None, None)?;
            Ok(push(body.repository.urls()?, vec![gone], delivery))
        }
        "pull_request" => pull_request(&read(body)?),
        _ => Ok(Event::Ignored("neither a push nor a pull request")),
    }
}

fn pull_request(body: &PullRequestBody) -> Result<Event, Malformed> {
    let PullRequestPart {
        state,
        head: proposed,
        base,
    } = &body.pull_request;
    Ok(Event::PullRequest(PullRequest {
        urls: body.repository.urls()?,
        number: body.number,
        head: head(&proposed.sha)?,
        head_reference: branch(&proposed.reference)?,
        base_reference: branch(&base.reference)?,
        open: state == "open",
    }))
}
