//! A Gitea forge with one administrator, `stella`: pushes over HTTP, webhooks to loopback, commit statuses.

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use serde_json::{Value, json};

use super::{
    Missing, Server, Shared, base64, built_servers, free_port, program, require, secret,
    until_ready,
};
use crate::support::{git::hermetic, http};

/// A running forge. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Gitea {
    folder: PathBuf,
    port: u16,
    token: String,
    processes: Vec<Server>,
}

impl Gitea {
    /// A forge of the test's own, without repositories.
    pub(crate) fn start() -> Result<Self, Missing> {
        const SERVER: &str = "Gitea";
        require(SERVER, &["gitea"])?;
        let (folder, port) = (crate::support::folder("gitea"), free_port());
        let mut gitea = Self {
            folder,
            port,
            token: String::new(),
            processes: Vec::new(),
        };
        gitea.write_configuration();
        let mut servers = vec![Server::start("gitea", &gitea.folder, &gitea.command())];
        until_ready(SERVER, &mut servers, || {
            http::ready(port, "/api/v1/version")
        })?;
        gitea.processes = servers;
        gitea.token = gitea.sign_up().map_err(|why| Missing {
            server: SERVER,
            why,
            built: true,
        })?;
        Ok(gitea)
    }

    /// The forge that all tests of this process share, each with repositories of its own.
    pub(crate) fn shared() -> Result<Arc<Self>, Missing> {
        static SHARED: Shared<Gitea> = Shared::new();
        SHARED.get(Self::start)
    }

    /// The administrator's token, good for the API and as a password for git.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes the empty, public repository `stella/NAME` and gives its address, which everybody may fetch from.
    pub(crate) fn repository(&self, name: &str) -> String {
        let wanted = json!({"name": name, "private": false, "default_branch": "main"});
        let (status, answer) = self.api("POST", "/user/repos", Some(&wanted));
        assert_eq!(status, 201, "{answer}");
        format!("{}/stella/{name}.git", self.url())
    }

    /// The same address with the administrator's credentials in it, to push to.
    pub(crate) fn with_credentials(&self, repository: &str) -> String {
        repository.replacen("http://", &format!("http://stella:{}@", self.token), 1)
    }

    /// One call of the API (`path` after `/api/v1`): status code, and body as JSON (or as a string where it is none).
    pub(crate) fn api(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let authorization = format!("Authorization: token {}", self.token);
        let headers = [authorization.as_str(), "Content-Type: application/json"];
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = http::request(
            self.port,
            method,
            &format!("/api/v1{path}"),
            &headers,
            &body,
        )
        .unwrap();
        let body = serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body));
        (answer.status, body)
    }

    /// Makes the administrator, who is whoever signs up first, and gives a token of theirs.
    fn sign_up(&self) -> Result<String, String> {
        let password = secret();
        let form = format!(
            "user_name=stella&email=stella@example.com&password={password}&retype={password}"
        );
        let headers = ["Content-Type: application/x-www-form-urlencoded"];
        let answer = http::request(self.port, "POST", "/user/sign_up", &headers, &form)?;
        if answer.status != 303 && answer.status != 302 {
            return Err(format!("signing up: {} {}", answer.status, answer.body));
        }
        let credentials = base64(format!("stella:{password}").as_bytes());
        let authorization = format!("Authorization: Basic {credentials}");
        let headers = [authorization.as_str(), "Content-Type: application/json"];
        let wanted = json!({"name": "tests", "scopes": ["all"]}).to_string();
        let path = "/api/v1/users/stella/tokens";
        let answer = http::request(self.port, "POST", path, &headers, &wanted)?;
        let token: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        token["sha1"].as_str().map(str::to_owned).ok_or(answer.body)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program("gitea"));
        hermetic(&mut command)
            .env("HOME", &self.folder)
            .arg("web")
            .arg("--config")
            .arg(self.folder.join("app.ini"));
        // Gitea keeps a git configuration of its own, in its HOME.
        command.env_remove("GIT_CONFIG_GLOBAL");
        command
    }

    fn write_configuration(&self) {
        let (folder, port, key) = (self.folder.display(), self.port, secret());
        let share = built_servers().join("share/gitea");
        let user = Command::new("id").arg("-un").output().expect("id").stdout;
        let (share, user) = (share.display(), String::from_utf8_lossy(&user).into_owned());
        let text = format!(
            "RUN_USER = {user}
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {folder}
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {share}
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
[security]
PASSWORD_HASH_ALGO = pbkdf2$1000$50
INSTALL_LOCK = true
SECRET_KEY = {key}
[webhook]
ALLOWED_HOST_LIST = loopback
[log]
MODE = console
LEVEL = Info
[indexer]
ISSUE_INDEXER_TYPE = db
[queue]
TYPE = channel
"
        );
        fs::write(self.folder.join("app.ini"), text).unwrap();
    }
}
