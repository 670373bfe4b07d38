//! GitHub's REST API as GitHub's own description of it has it: Prism answers from its examples, and refuses with 422 what breaks it.

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use serde_json::Value;

use super::{Missing, Server, Shared, built_servers, free_port, program, require, until_ready};
use crate::support::{git::hermetic, http};

/// A running API. It keeps nothing: what it gives back are the examples of the description. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct GithubApi {
    port: u16,
    log: PathBuf,
    _process: Server,
}

impl GithubApi {
    /// The API that all tests of this process share.
    pub(crate) fn shared() -> Result<Arc<Self>, Missing> {
        static SHARED: Shared<GithubApi> = Shared::new();
        SHARED.get(Self::start)
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was asked and what was wrong with it, so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Real payloads of a webhook, of the event `push` for example.
    pub(crate) fn webhooks(event: &str) -> Result<Vec<Value>, Missing> {
        const SERVER: &str = "@octokit/webhooks-examples";
        require(SERVER, &["github"])?;
        let package = "share/github/node_modules/@octokit/webhooks-examples";
        let path = built_servers()
            .join(package)
            .join("api.github.com/index.json");
        let text = fs::read_to_string(&path).unwrap();
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        let found = events.into_iter().find(|found| found["name"] == event);
        let found = found.unwrap_or_else(|| panic!("no examples of {event}"));
        Ok(found["examples"].as_array().unwrap().clone())
    }

    fn start() -> Result<Self, Missing> {
        const SERVER: &str = "GitHub's API (Prism)";
        require(SERVER, &["github"])?;
        let (folder, port) = (crate::support::folder("github"), free_port());
        let description = built_servers().join("share/github/api.json");
        let mut command = Command::new(program("prism"));
        hermetic(&mut command)
            .args(["mock", "--errors", "--host", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .arg(description);
        let mut servers = vec![Server::start("prism", &folder, &command)];
        until_ready(SERVER, &mut servers, || {
            http::ready(port, "/repos/acme/shop/commits/main/statuses")
        })?;
        Ok(Self {
            port,
            log: folder.join("prism.log"),
            _process: servers.remove(0),
        })
    }
}
