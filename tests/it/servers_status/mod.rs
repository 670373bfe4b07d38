//! Commit statuses on forges: on a real Gitea, on GitHub as its own description has it, and on doubles where a host must misbehave.

mod bad_hosts;
mod bitbucket;
mod credentials;
mod gitea;
mod github;
mod gitlab;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stellate::{
    git::{AppLogin, SecretPlace},
    model::api::pipeline::ForgeKind,
    status::{
        CommitStatus, StatusState,
        forge::{
            CheckRun, Conclusion, Forge, ForgeConfig, ForgeError, ForgeLogin, Lane, Lanes, Limits,
            Posted, Sink,
        },
    },
};
use tokio::runtime::Runtime;

use crate::support::{
    folder,
    forge::{Asked, Double, Reply},
    git::git,
    need,
    servers::{Gitea, GithubApi},
};

const TOKEN: &str = "stl_0123456789abcdefghijklmnopqrstuv";
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A file with a token in it.
fn token_file(token: &str) -> SecretPlace {
    let path = folder("token").join("token");
    fs::write(&path, format!("{token}\n")).unwrap();
    SecretPlace::File(path)
}

fn config(kind: ForgeKind, url: &str, login: ForgeLogin) -> ForgeConfig {
    let api = match kind {
        ForgeKind::Gitea => format!("{url}/api/v1"),
        ForgeKind::GitLab => format!("{url}/api/v4"),
        ForgeKind::BitbucketServer => format!("{url}/rest"),
        ForgeKind::GitHub | ForgeKind::BitbucketCloud => url.to_owned(),
    };
    ForgeConfig {
        kind,
        api,
        page: format!("{url}/acme/shop"),
        repository: "acme/shop".into(),
        reference: Some("refs/heads/main".into()),
        login,
        timeout: Duration::from_secs(10),
    }
}

fn status(context: &str, state: StatusState, description: &str) -> CommitStatus {
    CommitStatus {
        context: context.into(),
        state,
        description: description.into(),
        target_url: Some("https://stellate.example.com/#/pipelines/shop".into()),
    }
}

/// A sink without limits.
fn sink(runtime: &Runtime, config: ForgeConfig) -> Sink {
    Sink::start(config, Lane::new(Limits::NONE), runtime.handle())
}

#[track_caller]
fn settle(runtime: &Runtime, sink: &Sink) {
    let idle = runtime.block_on(sink.idle(Duration::from_secs(60)));
    assert!(idle, "{:?} {:?}", sink.counters(), sink.problem());
}

/// Name and state of what a forge has.
fn shown(posted: &[Posted]) -> BTreeMap<String, (StatusState, String)> {
    let each = posted.iter().map(|posted| {
        let status = posted.status.clone();
        (status.context, (status.state, status.description))
    });
    each.collect()
}
