//! `stellate.yaml`: text → [`Pipeline`]s as written → what they mean for a rendering. Pure; files are read by the command line.
//!
//! ```text
//! text ── load ──▶ Vec<Pipeline> (raw, strict) ── resolve ──▶ Resolved (checked, paths from the file's folder) + diagnostics
//! ```
//!
//! Everything that is wrong is found at once, with line and column. A secret is never read here: what stands in the
//! configuration is the name of a file or of an environment variable, and so it stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::api_server::Connection;
use crate::git::AppLogin;
use crate::model::api::pipeline::{
    ApiServer, BranchOutput, GitCredentials, Interval, Inventory, Layout, MailboxOutput, Output,
    Pipeline, SecretReference, Source, Wave,
};
use crate::model::api::{ApiObject as _, ReadError, read};
use crate::model::names::{NameRule, validate_name};
use crate::model::{Diagnostic, Location, PathPart, RepoPath, Severity};
use crate::yaml::{self, Limits, Part};

mod branches;
mod masking;
mod mistakes;
mod settings;
mod status;
#[cfg(test)]
mod tests;

pub use crate::git::SecretPlace;
pub use branches::{Contest, contest};
pub use masking::masked;
pub use settings::Settings;
pub use status::{ResolvedForge, ResolvedStatus};

/// The name of the file that is used when it is there.
pub const FILE: &str = "stellate.yaml";

/// A pipeline as written, and which document of the file it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Its document in the file, from 0.
    pub document: usize,
}

/// What a pipeline means for a rendering.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Its name.
    pub name: String,
    /// Where the source is; none when only a running service can read it.
    pub place: Option<Place>,
    /// The ITS that holds the inventory; none when it is in the source.
    pub its: Option<Connection>,
    /// The revision that is followed, for a git source.
    pub revision: Option<String>,
    /// How often the source is looked at without being told, where that was said.
    pub interval: Option<std::time::Duration>,
    /// Who reads the source.
    pub credentials: Option<Login>,
    /// How it is rendered.
    pub settings: Settings,
    /// Where the results go: those outputs that a command can serve.
    pub outputs: Vec<ResolvedOutput>,
    /// Who is told what became of each commit; a command tells nobody.
    pub status: Option<ResolvedStatus>,
    /// The order in which WECs get a change; only a service knows when one is healthy.
    pub waves: Vec<Wave>,
}

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A repository: a URL, or a path that was resolved.
    Git(String),
    /// A folder as it is.
    Folder(PathBuf),
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedOutput {
    /// A generated branch.
    Branch(ResolvedBranch),
    /// A folder.
    Folder(PathBuf),
    /// ManifestWorks in mailbox namespaces; only a service delivers them.
    Mailbox {
        /// The ITS.
        its: Connection,
        /// What else was said.
        output: MailboxOutput,
    },
}

/// A generated branch that results go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedBranch {
    /// Its name.
    pub name: String,
    /// How WECs share branches.
    pub layout: Layout,
    /// Whether it is pushed.
    pub push: bool,
    /// Where to; none for where the source came from.
    pub url: Option<String>,
    /// Who pushes; none for who reads.
    pub credentials: Option<Login>,
}

/// Where credentials are found when they are needed; never the secret itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The user of a token or password; the ssh user.
    pub username: Option<String>,
    /// The token or password.
    pub token: Option<SecretPlace>,
    /// The file of a private ssh key.
    pub ssh_key: Option<PathBuf>,
    /// The file of hosts that ssh trusts.
    pub known_hosts: Option<PathBuf>,
    /// A GitHub App; only a service logs in as one.
    pub app: Option<AppLogin>,
}

/// The reason of what only a running service can use.
pub const NOT_USED: &str = "NotUsed";

/// Reads all documents of `stellate.yaml`.
///
/// # Errors
/// Everything that is wrong with the text, sorted by place; never empty.
pub fn load(path: &str, text: &[u8]) -> Result<Vec<Written>, Vec<Diagnostic>> {
    let file = RepoPath::from(path);
    let documents = yaml::load(text, &Limits::default()).map_err(|error| {
        let place = Location::at(file.clone(), error.line(), error.column());
        let found = Diagnostic::error(error.reason(), error.to_string()).at(place);
        vec![match error.help() {
            Some(help) => found.help(help),
            None => found,
        }]
    })?;
    let mut pipelines = Vec::new();
    let mut found = Vec::new();
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    for (index, document) in documents.iter().enumerate() {
        let place = |path: &[PathPart], part| place(&file, text, index, path, part);
        match mistakes::read_all(&document.value, pipeline) {
            Ok(pipeline) => {
                let name = pipeline.metadata.name.clone().unwrap_or_default();
                if let Some(first) = names.get(&name) {
                    let message = format!(
                        "a second pipeline has the name `{name}`; the first is on line {first}"
                    );
                    let at = place(&["metadata".into(), "name".into()], Part::Value);
                    found.push(
                        Diagnostic::error("DuplicatePipeline", message)
                            .at(at)
                            .help("rename one of the two"),
                    );
                }
                names.entry(name).or_insert(document.line);
                pipelines.push(Written {
                    pipeline,
                    document: index,
                });
            }
            Err(errors) => found.extend(errors.into_iter().map(|error| {
                let at = place(&error.path, Part::blamed_by(error.reason));
                masking::discreet(error, &document.value).diagnostic(at)
            })),
        }
    }
    found.extend(together(&pipelines, path, text, &found));
    if documents.is_empty() {
        found.push(
            Diagnostic::error("EmptyConfiguration", "there is no pipeline in the file")
                .at(Location::file(file))
                .help(
                    "start from what `stellate init` writes, or remove the file: nothing needs one",
                ),
        );
    }
    if found.is_empty() {
        return Ok(pipelines);
    }
    found.sort_by(|left, right| left.location.cmp(&right.location));
    Err(found)
}

/// What is wrong with the pipelines that could be read: branches that two of them write; and where the file is refused anyway, what
/// each would be refused for by itself.
fn together(
    pipelines: &[Written],
    path: &str,
    text: &[u8],
    refused: &[Diagnostic],
) -> Vec<Diagnostic> {
    // Where the file lies makes no difference between its own paths.
    let resolved: Vec<(Resolved, Vec<Diagnostic>)> = pipelines
        .iter()
        .map(|written| resolve(written, Path::new(""), path, text))
        .collect();
    let mut found = Vec::new();
    for (second, (later, _)) in resolved.iter().enumerate() {
        for (first, (earlier, _)) in resolved[..second].iter().enumerate() {
            if later.name == earlier.name {
                continue;
            }
            let Some(contest) = contest(later, earlier) else {
                continue;
            };
            let at = |pipeline: &Written, index| branch_place(pipeline, index, path, text);
            let whose = format!(
                "pipeline `{}` on line {}",
                earlier.name,
                at(&pipelines[first], contest.others_index).line
            );
            let place = at(&pipelines[second], contest.index);
            found.push(contest.diagnostic(&whose).at(place));
        }
    }
    if !refused.is_empty() || !found.is_empty() {
        let others = resolved.into_iter().flat_map(|(_, found)| found);
        found.extend(others.filter(|found| found.severity == Severity::Error));
    }
    found
}

/// Where the name of a pipeline's branch stands; `index` counts its branches.
fn branch_place(written: &Written, index: usize, path: &str, text: &[u8]) -> Location {
    let outputs = written.pipeline.spec.outputs.iter().enumerate();
    let mut branches = outputs.filter(|(_, output)| matches!(output, Output::Branch(_)));
    let output = branches.nth(index).map_or(0, |(output, _)| output);
    let name = [
        "spec".into(),
        "outputs".into(),
        output.into(),
        "branch".into(),
        "name".into(),
    ];
    place(
        &RepoPath::from(path),
        text,
        written.document,
        &name,
        Part::Value,
    )
}

/// Reads a pipeline as an API server holds it, by the same rules as a document of the file.
///
/// # Errors
/// What is wrong with it; its place is `pipelines/NAME`.
pub fn from_object(name: &str, spec: &Value) -> Result<Written, Box<Diagnostic>> {
    // What else stands in such an object is the server's own.
    let document = serde_json::json!({
        "apiVersion": format!("{}/{}", Pipeline::GROUP, Pipeline::VERSION),
        "kind": Pipeline::KIND,
        "metadata": {"name": name},
        "spec": spec,
    });
    let place = Location::file(RepoPath::new(format!("pipelines/{name}")));
    let pipeline = pipeline(&document)
        .map_err(|error| Box::new(masking::discreet(error, &document).diagnostic(place)))?;
    Ok(Written {
        pipeline,
        document: 0,
    })
}

/// Reads one document.
fn pipeline(value: &Value) -> Result<Pipeline, ReadError> {
    let pipeline: Pipeline = read(value)?;
    let name = pipeline.metadata.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        let error = ReadError::new("MissingField", "`name` is missing");
        return Err(error
            .help("every pipeline has a name")
            .under_key("metadata"));
    }
    validate_name(NameRule::Subdomain, name).map_err(|error| {
        ReadError::new("InvalidName", error.to_string())
            .help("take a name that an API server would take, such as `shop-two`")
            .under_key("name")
            .under_key("metadata")
    })?;
    Ok(pipeline)
}

/// Gives line and column of a field.
fn place(file: &RepoPath, text: &[u8], document: usize, path: &[PathPart], part: Part) -> Location {
    yaml::locate(text, document, path, part).map_or_else(
        || Location::file(file.clone()),
        |(line, column)| Location::at(file.clone(), line, column),
    )
}

/// Says what a pipeline means, and what of it a command cannot do.
///
/// `base` is the folder of the file: relative paths start there. `text` gives the diagnostics their places. An error
/// among the diagnostics means that the pipeline must not be used.
pub fn resolve(
    written: &Written,
    base: &Path,
    path: &str,
    text: &[u8],
) -> (Resolved, Vec<Diagnostic>) {
    let mut resolver = Resolver {
        base,
        file: RepoPath::from(path),
        text,
        document: written.document,
        found: Vec::new(),
        unused: Vec::new(),
    };
    let resolved = resolver.pipeline(&written.pipeline);
    resolver.report_unused();
    (resolved, resolver.found)
}

/// Collects what is wrong on the way.
struct Resolver<'a> {
    base: &'a Path,
    file: RepoPath,
    text: &'a [u8],
    document: usize,
    found: Vec<Diagnostic>,
    /// Parts of the configuration that only the service uses.
    unused: Vec<(&'static str, Location)>,
}

impl Resolver<'_> {
    fn pipeline(&mut self, pipeline: &Pipeline) -> Resolved {
        let spec = &pipeline.spec;
        let mut paths = Vec::new();
        let (place, revision, credentials) = match &spec.source {
            Source::Git(git) => {
                paths.clone_from(&git.paths);
                let login = git.credentials.as_ref();
                let login = login
                    .and_then(|login| self.login(login, &["spec", "source", "git", "credentials"]));
                (
                    Some(Place::Git(self.repository(&git.url))),
                    git.reference.clone(),
                    login,
                )
            }
            Source::Folder(folder) => (
                Some(Place::Folder(self.base.join(&folder.path))),
                None,
                None,
            ),
            Source::Wds(_) => {
                self.not_used("source.wds", &["spec", "source", "wds"]);
                (None, None, None)
            }
        };
        let mut its = None;
        match &spec.inventory {
            Some(Inventory::Its(server)) => its = Some(self.connection(server)),
            // The inventory is found by kind; its folder only has to be among those that are read.
            Some(Inventory::Files(files)) if !paths.is_empty() && !covered(&paths, &files.path) => {
                paths.push(files.path.clone());
            }
            _ => {}
        }
        for (index, path) in paths.iter().enumerate() {
            if leaves_the_source(path) {
                let message = format!("`{path}` leaves the source");
                let at = self.at(&[
                    "spec".into(),
                    "source".into(),
                    "git".into(),
                    "paths".into(),
                    index.into(),
                ]);
                let help = "name a folder relative to the root of the source";
                self.found
                    .push(Diagnostic::error("InvalidPath", message).at(at).help(help));
            }
        }
        let interval = match &spec.source {
            Source::Git(git) => git.interval.map(|Interval(interval)| interval),
            _ => None,
        };
        let status = spec.status.as_ref();
        let status = status.map(|status| self.status(status, &spec.source));
        let outputs = spec.outputs.iter().enumerate();
        Resolved {
            name: pipeline.metadata.name.clone().unwrap_or_default(),
            place,
            its: its.clone(),
            revision,
            credentials,
            settings: Settings {
                paths,
                hydrate: spec.hydrate.clone(),
                kinds: spec.kinds.clone(),
                strict: spec.strict,
                guard: spec.guard.clone(),
            },
            outputs: outputs
                .filter_map(|(index, output)| self.output(index, output, its.as_ref()))
                .collect(),
            status,
            interval,
            waves: spec.waves.clone(),
        }
    }

    fn output(
        &mut self,
        index: usize,
        output: &Output,
        inventory: Option<&Connection>,
    ) -> Option<ResolvedOutput> {
        match output {
            Output::Branch(branch) => Some(ResolvedOutput::Branch(self.branch(index, branch))),
            Output::Folder(folder) => Some(ResolvedOutput::Folder(self.base.join(&folder.path))),
            Output::Mailbox(mailbox) => {
                let its = mailbox.its.as_ref().map(|server| self.connection(server));
                let Some(its) = its.or_else(|| inventory.cloned()) else {
                    let at = self.at(&[
                        "spec".into(),
                        "outputs".into(),
                        index.into(),
                        "mailbox".into(),
                    ]);
                    let found =
                        Diagnostic::error("MissingField", "no ITS is named for the mailboxes");
                    let help = "write `mailbox: {its: {context: its1}}`, or take the inventory from an ITS, too";
                    self.found.push(found.at(at).help(help));
                    return None;
                };
                Some(ResolvedOutput::Mailbox {
                    its,
                    output: mailbox.clone(),
                })
            }
        }
    }

    fn branch(&mut self, index: usize, branch: &BranchOutput) -> ResolvedBranch {
        if let Some(problem) = branch_name_problem(&branch.name) {
            let message = format!("`{}` is no name of a branch: {problem}", branch.name);
            let at = self.at(&[
                "spec".into(),
                "outputs".into(),
                index.into(),
                "branch".into(),
                "name".into(),
            ]);
            self.found.push(
                Diagnostic::error("InvalidBranch", message)
                    .at(at)
                    .help("take a name such as `generated`"),
            );
        }
        let path = [
            "spec".into(),
            "outputs".into(),
            index.into(),
            "branch".into(),
            "credentials".into(),
        ];
        let login = branch.credentials.as_ref();
        ResolvedBranch {
            name: branch.name.clone(),
            layout: branch.layout,
            push: branch.push,
            url: branch.url.as_deref().map(|url| self.repository(url)),
            credentials: login.and_then(|login| self.login_at(login, &path)),
        }
    }

    /// A kubeconfig starts at the file's folder.
    fn connection(&self, server: &ApiServer) -> Connection {
        let kubeconfig = server.kubeconfig.as_ref();
        Connection {
            kubeconfig: kubeconfig.map(|path| self.base.join(path)),
            context: server.context.clone(),
        }
    }

    /// A URL stays as it is; a path starts at the file's folder.
    fn repository(&self, url: &str) -> String {
        if is_remote(url) {
            url.to_owned()
        } else {
            self.base.join(url).to_string_lossy().into_owned()
        }
    }

    fn login(&mut self, credentials: &GitCredentials, path: &[&str]) -> Option<Login> {
        let path: Vec<PathPart> = path.iter().map(|&part| part.into()).collect();
        self.login_at(credentials, &path)
    }

    fn login_at(&mut self, credentials: &GitCredentials, path: &[PathPart]) -> Option<Login> {
        match credentials {
            GitCredentials::Token(token) => Some(Login {
                token: Some(self.secret(token)),
                ..Login::default()
            }),
            GitCredentials::Basic(basic) => Some(Login {
                username: Some(basic.username.clone()),
                token: Some(self.secret(&basic.password)),
                ..Login::default()
            }),
            GitCredentials::Ssh(ssh) => {
                let SecretPlace::File(key) = self.secret(&ssh.key) else {
                    let message = "an ssh key is read from a file, not from a variable";
                    let help = "write the key to a file that only you can read, and name it: `key: {file: …}`";
                    self.found.push(
                        Diagnostic::error("InvalidValue", message)
                            .at(self.at(path))
                            .help(help),
                    );
                    return None;
                };
                if ssh.passphrase.is_some() {
                    let message =
                        "a passphrase is not given to ssh: the ssh program asks its agent";
                    let help = "add the key to ssh-agent, or use a deploy key without a passphrase";
                    self.found.push(
                        Diagnostic::warning(NOT_USED, message)
                            .at(self.at(path))
                            .help(help),
                    );
                }
                Some(Login {
                    ssh_key: Some(key),
                    known_hosts: ssh.known_hosts.as_ref().map(|path| self.base.join(path)),
                    ..Login::default()
                })
            }
            GitCredentials::GitHubApp(app) => {
                let at = self.at(path);
                self.unused.push(("credentials.gitHubApp", at));
                Some(Login {
                    app: Some(self.app(app)),
                    ..Login::default()
                })
            }
        }
    }

    fn secret(&self, reference: &SecretReference) -> SecretPlace {
        match reference {
            SecretReference::Env(name) => SecretPlace::Environment(name.clone()),
            SecretReference::File(path) => SecretPlace::File(self.base.join(path)),
        }
    }

    fn not_used(&mut self, what: &'static str, path: &[&str]) {
        let path: Vec<PathPart> = path.iter().map(|&part| part.into()).collect();
        let at = self.at(&path);
        self.unused.push((what, at));
    }

    fn at(&self, path: &[PathPart]) -> Location {
        place(&self.file, self.text, self.document, path, Part::Value)
    }

    /// Says in one diagnostic what only a running service can use.
    fn report_unused(&mut self) {
        let Some((_, at)) = self.unused.first().cloned() else {
            return;
        };
        let names: Vec<String> = self
            .unused
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let message = format!("not used by this command: {}", names.join(", "));
        self.found.push(
            Diagnostic::warning("NotUsed", message)
                .at(at)
                .help("a command reads git or a folder and writes a branch or a folder; give PATH and --inventory where they are missing"),
        );
    }
}

/// Tells whether an address is a URL or `host:path` rather than a path on this machine.
pub fn is_remote(text: &str) -> bool {
    if text.contains("://") {
        return true;
    }
    let host = text.split_once(':').map(|(host, _)| host);
    // One letter before the colon is a drive; a slash before it makes it a path.
    host.is_some_and(|host| host.len() > 1 && !host.contains(['/', '\\']))
}

/// Whether reading `paths` reads `path` too.
fn covered(paths: &[String], path: &str) -> bool {
    let normal = |path: &str| {
        let parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let path = normal(path);
    paths.iter().any(|root| path.starts_with(&normal(root)))
}

fn leaves_the_source(path: &str) -> bool {
    path.starts_with('/') || path.split('/').any(|part| part == "..")
}

/// Says what git has against the name of a branch.
pub fn branch_name_problem(name: &str) -> Option<&'static str> {
    let forbidden = |letter: char| {
        letter.is_control() || matches!(letter, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    if name.is_empty() {
        Some("it is empty")
    } else if matches!(name, "HEAD" | "@") {
        Some("git means something else by it")
    } else if name.contains(forbidden) || name.contains("..") || name.contains("@{") {
        Some("it has characters that git does not allow")
    } else if name.starts_with(['-', '/']) || name.ends_with(['/', '.']) || name.contains("//") {
        Some("it begins or ends with characters that git does not allow there")
    } else if name.split('/').any(|part| {
        part.starts_with('.')
            || std::path::Path::new(part)
                .extension()
                .is_some_and(|extension| extension == "lock")
    }) {
        Some("no part of it may begin with a dot or end in `.lock`")
    } else if name.starts_with("refs/") {
        Some("it is given without `refs/heads/`")
    } else {
        None
    }
}

/// The group and kind of the configuration's documents, as a person writes them.
pub fn header() -> String {
    format!(
        "apiVersion: {}/{}\nkind: {}\n",
        Pipeline::GROUP,
        Pipeline::VERSION,
        Pipeline::KIND
    )
}
