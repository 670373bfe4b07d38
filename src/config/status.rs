//! `spec.status`: as written, with the source's URL → which forge is told, as whom, and in which style. Pure.
//!
//! What is left out follows from the source: its host says where the API is, its path which repository it is.

use std::time::Duration;

use super::Login;
use super::resolve::Resolver;
use crate::git::{AppLogin, RemoteUrl, Scheme};
use crate::model::Diagnostic;
use crate::model::api::pipeline::{
    ForgeKind, GitHubApp, GitHubCredentials, Reports, SecretReference, Source, Status,
};

/// Who is told what became of each commit, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedStatus {
    /// The forges that are told.
    pub forges: Vec<ResolvedForge>,
    /// What the names of statuses begin with.
    pub prefix: String,
    /// Up to how many WECs each gets a status of its own.
    pub max_clusters: usize,
    /// The label by whose values WECs share a status when there are more of them.
    pub group_by: Option<String>,
    /// The URL at which people see this service, without a slash at the end.
    pub target_url: Option<String>,
    /// Whether the WECs are expected to report.
    pub reports: Reports,
    /// How long a WEC has to become healthy.
    pub deadline: Duration,
    /// Whether pull requests are told what they would change.
    pub previews: bool,
    /// What keeps a forge from being told: errors for a service, nothing to a command that only renders.
    pub problems: Vec<Diagnostic>,
}

/// One repository on one forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedForge {
    /// The forge.
    pub kind: ForgeKind,
    /// Where its API is, without a slash at the end.
    pub api: String,
    /// The repository's page.
    pub page: String,
    /// The repository: owner and name, or the path of the project.
    pub repository: String,
    /// Who posts: a token, with a user where it needs one, or a GitHub App.
    pub login: Login,
    /// The most posts in a minute, where that was said.
    pub max_per_minute: Option<u32>,
}

/// How long a WEC has when nothing is said.
const DEADLINE: Duration = Duration::from_secs(600);
const MAX_CLUSTERS: u32 = 30;

/// What stands in the configuration of any forge.
struct Written<'a> {
    key: &'static str,
    url: Option<&'a str>,
    repository: Option<&'a str>,
    max_per_minute: Option<u32>,
}

impl Resolver<'_> {
    /// Resolves the whole of it.
    pub(super) fn status(&self, status: &Status, source: &Source) -> ResolvedStatus {
        let remote = match source {
            Source::Git(git) => RemoteUrl::parse(&git.url).ok(),
            _ => None,
        };
        let remote = remote.filter(|url| url.scheme() != Scheme::Local);
        let mut forges = Vec::new();
        let mut problems = Vec::new();
        let mut add =
            |written: &Written<'_>, kind, login| match forge(written, kind, remote.as_ref(), login)
            {
                Ok(forge) => forges.push(forge),
                Err(message) => {
                    let at = self.at(&["spec".into(), "status".into(), written.key.into()]);
                    let help = "name `url` and `repository`, or read the source from the forge";
                    problems.push(
                        Diagnostic::error("UnknownRepository", message)
                            .at(at)
                            .help(help),
                    );
                }
            };
        if let Some(github) = &status.github {
            let login = match &github.credentials {
                GitHubCredentials::Token(token) => self.token(None, token),
                GitHubCredentials::App(app) => Login {
                    app: Some(self.app(app)),
                    ..Login::default()
                },
            };
            let written = Written {
                key: "github",
                url: github.url.as_deref(),
                repository: github.repository.as_deref(),
                max_per_minute: github.max_per_minute,
            };
            add(&written, ForgeKind::GitHub, login);
        }
        let plain = [
            ("gitlab", &status.gitlab, ForgeKind::GitLab),
            ("gitea", &status.gitea, ForgeKind::Gitea),
        ];
        for (key, forge, kind) in plain {
            if let Some(forge) = forge {
                let written = Written {
                    key,
                    url: forge.url.as_deref(),
                    repository: forge.repository.as_deref(),
                    max_per_minute: forge.max_per_minute,
                };
                add(&written, kind, self.token(None, &forge.token));
            }
        }
        if let Some(bitbucket) = &status.bitbucket {
            let login = self.token(bitbucket.username.clone(), &bitbucket.token);
            let written = Written {
                key: "bitbucket",
                url: bitbucket.url.as_deref(),
                repository: bitbucket.repository.as_deref(),
                max_per_minute: bitbucket.max_per_minute,
            };
            add(&written, ForgeKind::BitbucketServer, login);
        }
        let max_clusters = status.max_clusters.unwrap_or(MAX_CLUSTERS);
        let target_url = status.target_url.as_deref();
        ResolvedStatus {
            forges,
            prefix: status.context.clone().unwrap_or_else(|| "stellate".into()),
            max_clusters: max_clusters as usize,
            group_by: status.group_by.clone(),
            target_url: target_url.map(|url| url.trim_end_matches('/').to_owned()),
            reports: status.reports,
            deadline: status.deadline.map_or(DEADLINE, |deadline| deadline.0),
            previews: status.previews,
            problems,
        }
    }

    fn token(&self, username: Option<String>, token: &SecretReference) -> Login {
        Login {
            username,
            token: Some(self.secret(token)),
            ..Login::default()
        }
    }

    /// An App as it logs in.
    pub(super) fn app(&self, app: &GitHubApp) -> AppLogin {
        AppLogin {
            app_id: app.app_id.unsigned_abs(),
            installation_id: app.installation_id.map(i64::unsigned_abs),
            private_key: self.secret(&app.private_key),
        }
    }
}

/// Finds API, page and repository of a forge.
fn forge(
    written: &Written<'_>,
    kind: ForgeKind,
    remote: Option<&RemoteUrl>,
    login: Login,
) -> Result<ResolvedForge, String> {
    let unknown = |what: &str| {
        format!(
            "{what} of `status.{}` is not known from the source",
            written.key
        )
    };
    let given = written.url.map(|url| url.trim_end_matches('/'));
    let host = match (given, remote) {
        (Some(url), _) => web_host(url),
        (None, Some(remote)) => origin(remote),
        (None, None) => return Err(unknown("the host")),
    };
    let kind = match kind {
        ForgeKind::BitbucketServer if is_cloud(&host) => ForgeKind::BitbucketCloud,
        kind => kind,
    };
    let repository = match (written.repository, remote) {
        (Some(path), _) => path.to_owned(),
        (None, Some(remote)) => {
            repository(kind, &host, remote).ok_or_else(|| unknown("the repository"))?
        }
        (None, None) => return Err(unknown("the repository")),
    };
    let page = match (kind, repository.split_once('/')) {
        (ForgeKind::BitbucketCloud, _) => format!("https://bitbucket.org/{repository}"),
        (ForgeKind::BitbucketServer, Some((project, name))) => {
            format!("{host}/projects/{project}/repos/{name}")
        }
        _ => format!("{host}/{repository}"),
    };
    Ok(ResolvedForge {
        kind,
        api: api(kind, given, &host),
        page,
        repository,
        login,
        max_per_minute: written.max_per_minute,
    })
}

/// Where the API of a host is.
fn api(kind: ForgeKind, given: Option<&str>, host: &str) -> String {
    match kind {
        ForgeKind::GitHub => match (given, host.split_once("://")) {
            (_, Some((_, "github.com"))) => "https://api.github.com".into(),
            (Some(url), _) if url != host => url.into(),
            (_, Some((scheme, name))) if name.ends_with(".ghe.com") => {
                format!("{scheme}://api.{name}")
            }
            // The URL of an API may be any, a test's for example; what is only a host of https is Enterprise's.
            (Some(url), _) if !url.starts_with("https://") => url.into(),
            _ => format!("{host}/api/v3"),
        },
        ForgeKind::GitLab => format!("{host}/api/v4"),
        ForgeKind::Gitea => format!("{host}/api/v1"),
        ForgeKind::BitbucketCloud => "https://api.bitbucket.org/2.0".into(),
        ForgeKind::BitbucketServer => format!("{host}/rest"),
    }
}

/// The URL that people see, of a URL that may be that of the API.
fn web_host(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let ends = ["/api/v3", "/api/v4", "/api/v1", "/rest", "/2.0"];
    let host = ends.iter().find_map(|end| url.strip_suffix(end));
    match host.unwrap_or(url) {
        "https://api.github.com" => "https://github.com".into(),
        "https://api.bitbucket.org" => "https://bitbucket.org".into(),
        host => match host.strip_prefix("https://api.") {
            Some(name) if name.ends_with(".ghe.com") => format!("https://{name}"),
            _ => host.to_owned(),
        },
    }
}

/// Scheme, host and port at which a browser finds the host of a repository.
fn origin(remote: &RemoteUrl) -> String {
    let host = match remote.host() {
        // GitHub and GitLab take ssh over port 443 under names of their own.
        "ssh.github.com" => "github.com",
        "altssh.gitlab.com" => "gitlab.com",
        "altssh.bitbucket.org" => "bitbucket.org",
        host => host,
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    match (remote.scheme(), remote.port()) {
        (Scheme::Http, None) => format!("http://{host}"),
        (Scheme::Http, Some(port)) => format!("http://{host}:{port}"),
        (Scheme::Https, Some(port)) => format!("https://{host}:{port}"),
        // The port of ssh says nothing about that of the page.
        _ => format!("https://{host}"),
    }
}

fn is_cloud(host: &str) -> bool {
    host == "https://bitbucket.org"
}

/// Owner and name as the repository's URL has them.
fn repository(kind: ForgeKind, host: &str, remote: &RemoteUrl) -> Option<String> {
    let mut path = remote.path().trim_matches('/');
    path = path.strip_suffix(".git").unwrap_or(path);
    // A forge that does not live at the root of its host.
    let below = host
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'));
    if let Some((_, root)) = below {
        path = path.strip_prefix(root).unwrap_or(path).trim_matches('/');
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (kind, &parts[..]) {
        (ForgeKind::GitLab, [_, _, ..]) => Some(parts.join("/")),
        (_, [.., owner, name]) => Some(format!("{owner}/{name}")),
        _ => None,
    }
}
