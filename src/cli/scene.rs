//! What most verbs start from: arguments and `stellate.yaml` → a [`Request`] and where its results may go.
//!
//! Raw arguments become resolved ones here and nowhere else. The configuration is read from the folder that PATH names,
//! or from `--config`; arguments win over it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::cache::CacheArgument;
use super::error::CliError;
use super::terminal::Terminal;
use super::token::TokenArguments;
use super::{problems, remote};
use crate::api_server::Connection;
use crate::config::{self, Login, Place, Resolved};
use crate::git::{Access, Credentials};
use crate::inventory::its;
use crate::model::{Diagnostic, Severity};
use crate::reconcile::{InventorySource, Pipeline, Rendering, Request, Settings};

/// The source, as it is given to most verbs.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct SourceArguments {
    /// A folder, or the URL of a git repository [default: what the configuration says, else the current folder]
    #[arg(value_name = "PATH|URL")]
    pub(super) location: Option<String>,
    /// A file or folder with the ManagedClusters and their properties [default: those in the source]
    #[arg(long, value_name = "PATH", conflicts_with = "its")]
    pub(super) inventory: Option<PathBuf>,
    #[command(flatten)]
    pub(super) its: ItsArguments,
    #[command(flatten)]
    pub(super) configuration: ConfigurationArguments,
}

/// An ITS as the inventory.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ItsArguments {
    /// Take the inventory from an ITS: its ManagedClusters, and their properties in `customization-properties`
    #[arg(long, help_heading = "ITS")]
    its: bool,
    /// The kubeconfig of the ITS [default: what the configuration says, else where kubectl looks]
    #[arg(long, value_name = "FILE", requires = "its", help_heading = "ITS")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", requires = "its", help_heading = "ITS")]
    context: Option<String>,
}

impl ItsArguments {
    /// Gives the ITS that is meant, if any; arguments win over the configuration.
    fn connection(&self, configured: Option<&Connection>) -> Option<Connection> {
        if !self.its {
            return configured.cloned();
        }
        let given = Connection {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
        };
        match configured {
            Some(configured) if given == Connection::default() => Some(configured.clone()),
            _ => Some(given),
        }
    }
}

/// Configuration, access and cache.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ConfigurationArguments {
    /// The configuration [default: stellate.yaml in PATH, if there is one]
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// Which pipeline of the configuration, when it holds several
    #[arg(long, value_name = "NAME", help_heading = "Configuration")]
    pipeline: Option<String>,
    #[command(flatten)]
    token: TokenArguments,
    /// The private key for ssh
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    ssh_key: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgument,
    /// Keep nothing between runs
    #[arg(long, help_heading = "Cache")]
    no_cache: bool,
    /// Say how long each stage took
    #[arg(long)]
    timings: bool,
}

/// What a verb works on.
pub(super) struct Scene {
    /// What to render: a work tree as it is, until told otherwise.
    pub(super) request: Request,
    /// What the configuration says, when there is one.
    pub(super) configured: Option<Resolved>,
    /// The ITS that holds the inventory, if one does.
    pub(super) its: Option<Connection>,
    /// Whether the source is on another machine.
    pub(super) remote: bool,
    /// What is to be said about the configuration.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The cache folder; none to keep nothing.
    pub(super) cache: Option<PathBuf>,
    timings: bool,
    /// The configuration's text, for snippets, and its path as it is shown.
    text: Option<(String, Vec<u8>)>,
}

impl SourceArguments {
    /// Reads the configuration, and the inventory when an ITS holds it, and puts the request together.
    ///
    /// # Errors
    /// As [`SourceArguments::scene_without_inventory`], and an ITS that cannot be read.
    pub(super) fn scene(&self) -> Result<Scene, CliError> {
        let mut scene = self.scene_without_inventory()?;
        if let Some(its) = &scene.its {
            scene.request.inventory = its_inventory(its)?;
        }
        Ok(scene)
    }

    /// Reads the configuration and puts the request together.
    ///
    /// # Errors
    /// A configuration that was named and cannot be read, credentials that are not there. Mistakes inside the
    /// configuration are in [`Scene::diagnostics`].
    pub(super) fn scene_without_inventory(&self) -> Result<Scene, CliError> {
        let file = self.configuration.file(self.location.as_deref())?;
        let mut diagnostics = Vec::new();
        let mut configured = None;
        if let Some(file) = &file {
            match config::load(&file.shown, &file.text) {
                Err(found) => diagnostics = found,
                Ok(pipelines) => {
                    let written = self.configuration.choose(&pipelines, &file.shown)?;
                    let base = file.path.parent().unwrap_or(Path::new(""));
                    let (resolved, found) = config::resolve(written, base, &file.shown, &file.text);
                    diagnostics = found;
                    configured = Some(resolved);
                }
            }
        }
        let (location, revision, committed) = self.place(configured.as_ref());
        let remote = is_remote(&location);
        let settings = configured
            .as_ref()
            .map_or_else(Settings::default, |resolved| resolved.settings.clone());
        let login = configured
            .as_ref()
            .and_then(|resolved| resolved.credentials.clone());
        let configured_its = configured
            .as_ref()
            .and_then(|resolved| resolved.its.as_ref());
        let (its, inventory) = match &self.inventory {
            Some(path) => (None, InventorySource::Files(path.clone())),
            None => (self.its.connection(configured_its), InventorySource::Source),
        };
        Ok(Scene {
            request: Request {
                location,
                revision,
                committed,
                inventory,
                settings,
                access: self.configuration.access(login.as_ref())?,
            },
            configured,
            its,
            remote,
            diagnostics,
            cache: self.configuration.cache_folder(),
            timings: self.configuration.timings,
            text: file.map(|file| (file.shown, file.text)),
        })
    }

    /// Gives location, revision and whether commits rather than the work tree are read.
    fn place(&self, configured: Option<&Resolved>) -> (String, Option<String>, bool) {
        let here = || ".".to_owned();
        if let Some(location) = &self.location {
            // Without a work tree there is nothing but commits.
            return (location.clone(), None, remote::is_bare(Path::new(location)));
        }
        let place = configured.and_then(|resolved| resolved.place.clone());
        // The file stands in the work tree of the repository that it names: that work tree is meant.
        let is_here = |url: &str| self.configuration.config.is_none() && remote::is_clone_of(url);
        match place {
            Some(Place::Git(url)) if is_here(&url) => (here(), None, false),
            Some(Place::Git(url)) => {
                let revision = configured.and_then(|resolved| resolved.revision.clone());
                (url, revision, true)
            }
            Some(Place::Folder(path)) => (path.to_string_lossy().into_owned(), None, false),
            None => (here(), None, false),
        }
    }
}

/// Reads the inventory of an ITS once.
fn its_inventory(connection: &Connection) -> Result<InventorySource, CliError> {
    let known = wait_for(its::read(connection.clone()))?.map_err(|problem| {
        CliError::message(problem.message)
            .context(format!(
                "cannot read the inventory of the ITS ({connection})"
            ))
            .hint(problem.help)
    })?;
    let inventory = known.inventory.unwrap_or_default();
    Ok(InventorySource::Given(inventory, known.diagnostics))
}

/// Waits for something that an API server is asked.
pub(super) fn wait_for<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    Ok(runtime.map_err(CliError::new)?.block_on(future))
}

/// The configuration as a file.
struct File {
    path: PathBuf,
    shown: String,
    text: Vec<u8>,
}

impl ConfigurationArguments {
    /// Finds and reads the file.
    fn file(&self, location: Option<&str>) -> Result<Option<File>, CliError> {
        let location = location.unwrap_or(".");
        let (path, shown, named) = match &self.config {
            Some(path) => (path.clone(), path.display().to_string(), true),
            None if is_remote(location) => return Ok(None),
            // Shown as the other files of the source are: relative to PATH.
            None => (
                Path::new(location).join(config::FILE),
                config::FILE.to_owned(),
                false,
            ),
        };
        match std::fs::read(&path) {
            Ok(text) => Ok(Some(File { path, shown, text })),
            Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) if !named && error.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
            Err(error) => {
                let error = anyhow::Error::new(error)
                    .context(format!("cannot read the configuration {}", path.display()));
                Err(CliError::new(error)
                    .hint("name the file with --config FILE, or leave it out: nothing needs one"))
            }
        }
    }

    fn choose<'a>(
        &self,
        pipelines: &'a [config::Written],
        file: &str,
    ) -> Result<&'a config::Written, CliError> {
        let name =
            |written: &config::Written| written.pipeline.metadata.name.clone().unwrap_or_default();
        let names = || pipelines.iter().map(name).collect::<Vec<_>>().join(", ");
        match (&self.pipeline, pipelines) {
            (Some(wanted), _) => pipelines
                .iter()
                .find(|written| name(written) == *wanted)
                .ok_or_else(|| {
                    CliError::message(format!("{file} has no pipeline {wanted:?}"))
                        .hint(format!("it has: {}", names()))
                }),
            (None, [only]) => Ok(only),
            (None, _) => Err(CliError::message(format!(
                "{file} holds {} pipelines",
                pipelines.len()
            ))
            .hint(format!("choose one with --pipeline NAME: {}", names()))),
        }
    }

    fn cache_folder(&self) -> Option<PathBuf> {
        self.cache.folder().filter(|_| !self.no_cache)
    }

    /// Puts together how remotes are reached; arguments win over the configuration.
    pub(super) fn access(&self, login: Option<&Login>) -> Result<Access, CliError> {
        let login = login.cloned().unwrap_or_default();
        let token = self.token.place().or(login.token);
        let known_hosts = login.known_hosts.map(|path| {
            let path = path.display().to_string().replace('\'', "'\\''");
            format!("ssh -o 'UserKnownHostsFile={path}'")
        });
        Ok(Access {
            credentials: Credentials {
                token: token.map(|place| place.read()).transpose()?,
                username: login.username,
                ssh_key: self.ssh_key.clone().or(login.ssh_key),
                use_helper: true,
            },
            ssh_command: known_hosts,
            ..Access::default()
        })
    }
}

impl Scene {
    /// Starts a pipeline that keeps what it parses in the cache folder.
    pub(super) fn start(&self) -> Pipeline {
        Pipeline::new(self.cache.clone())
    }

    /// Has a revision rendered, where one is given, whatever the configuration says.
    pub(super) fn at(&mut self, revision: Option<&str>) {
        if let Some(revision) = revision {
            self.request.revision = Some(revision.to_owned());
        }
    }

    /// Stops when the configuration is wrong; warns of what else is to be said about it.
    ///
    /// # Errors
    /// After all mistakes were told.
    pub(super) fn check(&self, terminal: &Terminal) -> Result<(), CliError> {
        let all: Vec<&Diagnostic> = self.diagnostics.iter().collect();
        if !all.is_empty() {
            terminal.say(&problems::text(
                &all,
                &|found| self.text_of(found),
                terminal.talk(),
            ));
        }
        if all.iter().any(|found| found.severity == Severity::Error) {
            return Err(CliError::message("the configuration cannot be used"));
        }
        Ok(())
    }

    /// Gives the configuration's text for a diagnostic about it.
    pub(super) fn text_of(&self, found: &Diagnostic) -> Option<Vec<u8>> {
        let (shown, text) = self.text.as_ref()?;
        let place = found.location.as_ref()?;
        (place.path.as_str() == shown).then(|| config::masked(text))
    }

    /// Says how long the stages took, when that was asked for.
    pub(super) fn report_timings(
        &self,
        timings: &[(&'static str, std::time::Duration)],
        terminal: &Terminal,
    ) {
        if !self.timings {
            return;
        }
        let mut table = super::table::Table::new(&["STAGE", "TIME"]).numbers(&[1]);
        for (stage, time) in timings {
            table.row([(*stage).to_owned(), super::table::duration(*time)]);
        }
        terminal.say(&table.text(terminal.talk()));
    }
}

/// Says what was found while rendering: errors and warnings in full, and how many there are.
pub(super) fn report(rendering: &Rendering, terminal: &Terminal) {
    let grave = rendering
        .diagnostics
        .iter()
        .filter(|found| found.severity > Severity::Note);
    let mut grave: Vec<&Diagnostic> = grave.collect();
    problems::by_place(&mut grave);
    if !grave.is_empty() {
        let text = problems::text(
            &grave,
            &|found| problems::source_text(rendering, found),
            terminal.talk(),
        );
        terminal.say(&format!("{text}\n"));
    }
}

/// Tells whether a location is on another machine: a URL, unless such a path exists here.
pub(super) fn is_remote(location: &str) -> bool {
    let local_url = location.starts_with("file://");
    !local_url && config::is_remote(location) && !Path::new(location).exists()
}
