//! GitHub's REST API as GitHub's own description of it has it: Prism answers from its examples, and refuses with 422 what breaks it.

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use super::{
    Missing, Server, Shared, built_servers, free_port, program, require, until_ready,
};
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

    /// A real payload of a webhook: `push/payload.json` for example.
    pub(crate) fn webhook(path: &str) -> Result<String, Missing> {
        const SERVER: &str = "@octokit/webhooks-examples";
        require(SERVER, &["github"])?;
        let folder = "share/github/node_modules/@octokit/webhooks-examples/payload-examples/api.github.com";
        let path = built_servers().join(folder).join(path);
        fs::read_to_string(&path).map_err(|error| Missing {
            server: SERVER,
            why: format!("{}: {error}", path.display()),
            built: true,
        })
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
            http::ready(port, "/repos/acme/shop")
        })?;
        Ok(Self {
            port,
            log: folder.join("prism.log"),
            _process: servers.remove(0),
        })
    }
}
