//! Who we are to a remote: tokens, passwords, keys, and git's credential helper → one login at a time.
//!
//! A [`Secret`] cannot be printed by accident. Nothing here asks a person: helpers run without a terminal.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::access::Access;
use super::error::GitError;
use super::process::Process;
use super::url::RemoteUrl;

/// A value that must not be seen: `Debug` and `Display` write `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value as it is.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Reads an environment variable; surrounding white space is dropped.
    ///
    /// # Errors
    /// [`GitError::Credential`] when it is not set, is empty or holds control characters.
    pub fn from_environment(name: &str) -> Result<Self, GitError> {
        let origin = || format!("environment variable {name}");
        match std::env::var(name) {
            Ok(value) => Self::checked(&value, origin),
            Err(std::env::VarError::NotPresent) => Err(unreadable(origin(), "it is not set")),
            Err(std::env::VarError::NotUnicode(_)) => Err(unreadable(origin(), "it is not UTF-8")),
        }
    }

    /// Reads a file; surrounding white space is dropped. Read it again for each operation: tokens rotate.
    ///
    /// # Errors
    /// [`GitError::Credential`] when it cannot be read, is empty or holds control characters.
    pub fn from_file(path: &Path) -> Result<Self, GitError> {
        let origin = || format!("file {}", path.display());
        match std::fs::read_to_string(path) {
            Ok(value) => Self::checked(&value, origin),
            Err(error) => Err(unreadable(origin(), &error.to_string())),
        }
    }

    fn checked(value: &str, origin: impl Fn() -> String) -> Result<Self, GitError> {
        let value = value.trim();
        if value.is_empty() {
            return Err(unreadable(origin(), "it is empty"));
        }
        if value.chars().any(char::is_control) {
            return Err(unreadable(
                origin(),
                "it holds several lines or control characters",
            ));
        }
        Ok(Self::new(value))
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

fn unreadable(origin: String, problem: &str) -> GitError {
    GitError::Credential {
        origin,
        problem: problem.to_owned(),
    }
}

/// Where a secret is found when it is needed: read anew for each operation, so that it can be rotated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretPlace {
    /// In an environment variable.
    Environment(String),
    /// In a file.
    File(PathBuf),
}

impl SecretPlace {
    /// Reads what is there now.
    ///
    /// # Errors
    /// [`GitError::Credential`] when it cannot be read, is empty or holds control characters.
    pub fn read(&self) -> Result<Secret, GitError> {
        match self {
            Self::Environment(name) => Secret::from_environment(name),
            Self::File(path) => Secret::from_file(path),
        }
    }

    /// Reads a private key in PEM, which has several lines.
    ///
    /// # Errors
    /// [`GitError::Credential`] when it cannot be read or is no such key.
    pub fn read_key(&self) -> Result<Secret, GitError> {
        let (origin, text) = match self {
            Self::Environment(name) => (
                format!("environment variable {name}"),
                std::env::var(name).map_err(|_| "it is not set, or not UTF-8".to_owned()),
            ),
            Self::File(path) => (
                format!("file {}", path.display()),
                std::fs::read_to_string(path).map_err(|error| error.to_string()),
            ),
        };
        match text {
            Ok(key) if key.contains("PRIVATE KEY-----") => Ok(Secret::new(key)),
            Ok(_) => Err(unreadable(origin, "it holds no private key in PEM form")),
            Err(problem) => Err(unreadable(origin, &problem)),
        }
    }
}

/// What tells one state of a file from another, without reading it: a secret that was rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp(Option<(SystemTime, u64)>);

impl FileStamp {
    /// Looks at a file; that it is not there is a state like others.
    pub fn of(path: &Path) -> Self {
        let facts = std::fs::metadata(path).ok();
        Self(facts.and_then(|facts| Some((facts.modified().ok()?, facts.len()))))
    }
}

/// A GitHub App that acts on a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppLogin {
    /// The App's id.
    pub app_id: u64,
    /// Its installation's id; none for the one that the repository belongs to.
    pub installation_id: Option<u64>,
    /// Where its private key in PEM is.
    pub private_key: SecretPlace,
}

/// What may be tried on a remote. The default tries nothing but what the address and the ssh program bring.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// A token for HTTP, sent at once over https and on demand over http.
    pub token: Option<Secret>,
    /// The user that goes with the token; `x-access-token` when absent. For ssh: the user when the address has none.
    pub username: Option<String>,
    /// A private key for ssh, which then is the only one that is tried.
    pub ssh_key: Option<PathBuf>,
    /// Whether to ask the user's git credential helper when a remote wants a login and nothing else fits.
    pub use_helper: bool,
}

impl Credentials {
    /// A token alone.
    pub fn with_token(token: Secret) -> Self {
        Self {
            token: Some(token),
            ..Self::default()
        }
    }
}

/// One user and password for HTTP, and where they come from.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: Secret,
    pub(crate) password: Secret,
    pub(crate) origin: Origin,
}

/// Where a login comes from; messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Token,
    Address,
    Helper,
}

impl Origin {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Token => "the token",
            Self::Address => "the login in the address",
            Self::Helper => "git's credential helper",
        }
    }
}

/// The logins for one remote, the most explicit first; the helper is asked only when its turn comes.
pub(crate) struct Logins {
    url: RemoteUrl,
    access: Access,
    tried: Vec<Origin>,
}

impl Logins {
    pub(crate) fn new(url: &RemoteUrl, access: &Access) -> Self {
        Self {
            url: url.clone(),
            access: access.clone(),
            tried: Vec::new(),
        }
    }

    /// Goes on for an address that another host redirected to: what was meant for the first host is not for this one.
    pub(crate) fn forget_for(&mut self, url: &RemoteUrl) {
        self.access.credentials.token = None;
        self.access.credentials.username = None;
        self.url = url.clone();
        self.tried.retain(|origin| *origin != Origin::Helper);
    }

    /// The token alone, for a first request that need not wait to be asked.
    pub(crate) fn token(&mut self) -> Option<Login> {
        let token = self.access.credentials.token.clone()?;
        if self.tried.contains(&Origin::Token) {
            return None;
        }
        self.tried.push(Origin::Token);
        let name = self.access.credentials.username.clone().map(Secret::new);
        let user = name
            .or_else(|| self.url.user().cloned())
            .unwrap_or_else(|| Secret::new("x-access-token"));
        Some(Login {
            user,
            password: token,
            origin: Origin::Token,
        })
    }

    /// The next login that was not tried yet.
    ///
    /// # Errors
    /// [`GitError::Program`] when the helper cannot be run.
    pub(crate) fn next(&mut self) -> Result<Option<Login>, GitError> {
        if let Some(login) = self.token() {
            return Ok(Some(login));
        }
        if !self.tried.contains(&Origin::Address)
            && let Some(user) = self.url.user()
            // A user alone is a token in the habit of some hosts, unless a helper knows its password.
            && (self.url.password().is_some() || !self.access.credentials.use_helper)
        {
            self.tried.push(Origin::Address);
            let password = self
                .url
                .password()
                .cloned()
                .unwrap_or_else(|| Secret::new(""));
            return Ok(Some(Login {
                user: user.clone(),
                password,
                origin: Origin::Address,
            }));
        }
        if self.access.credentials.use_helper && !self.tried.contains(&Origin::Helper) {
            self.tried.push(Origin::Helper);
            return ask_helper(&self.url, &self.access);
        }
        Ok(None)
    }

    /// Tells the helper whether its login worked, so that it keeps or forgets it.
    pub(crate) fn report(&self, worked: bool, login: &Login) {
        if login.origin != Origin::Helper {
            return;
        }
        let mut note = describe(&self.url);
        for (key, value) in [("username", &login.user), ("password", &login.password)] {
            note.extend([key, "=", value.expose(), "\n"]);
        }
        // The helper's memory is its own business: a failure here changes nothing for this operation.
        drop(run_helper(
            if worked { "approve" } else { "reject" },
            &note,
            &self.url,
            &self.access,
        ));
    }

    /// What was tried so far, in words.
    pub(crate) fn tried(&self) -> String {
        if self.tried.is_empty() {
            return "no credentials".to_owned();
        }
        self.tried
            .iter()
            .map(|origin| origin.words())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Asks `git credential fill`; no answer is no login, not an error.
fn ask_helper(url: &RemoteUrl, access: &Access) -> Result<Option<Login>, GitError> {
    let mut question = describe(url);
    let user = access
        .credentials
        .username
        .as_deref()
        .or_else(|| url.user().map(Secret::expose));
    if let Some(user) = user.filter(|user| !user.contains(char::is_control)) {
        question.extend(["username=", user, "\n"]);
    }
    let Some(answer) = run_helper("fill", &question, url, access)? else {
        return Ok(None);
    };
    let value = |name: &str| {
        answer
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    Ok(match (value("username"), value("password")) {
        (Some(user), Some(password)) => Some(Login {
            user: Secret::new(user),
            password: Secret::new(password),
            origin: Origin::Helper,
        }),
        _ => None,
    })
}

fn describe(url: &RemoteUrl) -> String {
    let scheme = if url.scheme() == super::url::Scheme::Http {
        "http"
    } else {
        "https"
    };
    format!(
        "protocol={scheme}\nhost={}\npath={}\n",
        url.authority(),
        url.path().trim_start_matches('/')
    )
}

/// Runs `git credential <verb>`; `None` when it fails, which is its way of saying that it knows nothing.
fn run_helper(
    verb: &str,
    input: &str,
    url: &RemoteUrl,
    access: &Access,
) -> Result<Option<String>, GitError> {
    let mut command = super::process::git(access);
    command.args(["credential", verb]);
    let mut process = Process::start(
        "git credential",
        command,
        &url.redacted(),
        access.idle_timeout,
    )?;
    let talk = process
        .send(format!("{input}\n").as_bytes())
        .and_then(|()| {
            process.close_input()?;
            process.read_all(64 * 1024)
        });
    let answer = match talk {
        Ok(answer) => answer,
        Err(error @ GitError::Timeout { .. }) => return Err(error),
        Err(_) => return Ok(None),
    };
    Ok(process
        .finish()?
        .success()
        .then(|| String::from_utf8_lossy(&answer).into_owned()))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_secret_is_never_written() {
        let credentials = Credentials::with_token(Secret::new("hunter2"));
        let text = format!(
            "{credentials:?} {} {:#?}",
            Secret::new("hunter2"),
            Access::from(credentials.clone())
        );
        assert!(!text.contains("hunter2") && text.contains("***"), "{text}");
    }

    #[test]
    fn a_token_file_is_trimmed_and_must_hold_one_line() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "abc\n").expect("write");
        assert_eq!(Secret::from_file(&file).expect("token").expose(), "abc");
        std::fs::write(&file, "a\nb").expect("write");
        let error = Secret::from_file(&file).expect_err("two lines");
        assert_eq!(error.reason(), "CredentialUnreadable");
        std::fs::write(&file, " \n").expect("write");
        assert!(
            Secret::from_file(&file)
                .expect_err("empty")
                .to_string()
                .contains("empty")
        );
        assert!(Secret::from_environment("STELLATE_TEST_NO_SUCH_VARIABLE").is_err());
    }

    #[test]
    fn the_most_explicit_login_is_tried_first() {
        let url = RemoteUrl::parse("https://bob:pass@host/r").expect("url");
        let access = Access::from(Credentials::with_token(Secret::new("tok")));
        let mut logins = Logins::new(&url, &access);
        assert_eq!(logins.tried(), "no credentials");
        let first = logins.next().expect("no helper").expect("token");
        assert_eq!(
            (first.user.expose(), first.password.expose()),
            ("bob", "tok")
        );
        let second = logins.next().expect("no helper").expect("address");
        assert_eq!(
            (second.user.expose(), second.password.expose()),
            ("bob", "pass")
        );
        assert!(logins.next().expect("no helper").is_none());
        assert_eq!(logins.tried(), "the token, the login in the address");
    }
}
