//! A pipeline as written → what it means: checked, with paths from the file's folder. Pure.

use std::path::Path;

use super::load::place;
use super::{
    Login, NOT_USED, Place, Resolved, ResolvedBranch, ResolvedOutput, Settings, Written,
    branch_name_problem,
};
use crate::api_server::Connection;
use crate::model::api::pipeline::{
    ApiServer, BranchOutput, Interval, Inventory, Output, Pipeline, Source,
};
use crate::model::{Diagnostic, Location, PathPart, RepoPath};
use crate::yaml::Part;

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
pub(super) struct Resolver<'a> {
    pub(super) base: &'a Path,
    file: RepoPath,
    text: &'a [u8],
    document: usize,
    pub(super) found: Vec<Diagnostic>,
    /// Parts of the configuration that only the service uses.
    pub(super) unused: Vec<(&'static str, Location)>,
}

impl Resolver<'_> {
    fn pipeline(&mut self, pipeline: &Pipeline) -> Resolved {
        let spec = &pipeline.spec;
        let (place, credentials) = self.source(&spec.source);
        let git = match &spec.source {
            Source::Git(git) => Some(git),
            Source::Folder(_) | Source::Wds(_) => None,
        };
        let mut paths = git.map(|git| git.paths.clone()).unwrap_or_default();
        let mut its = None;
        match &spec.inventory {
            Some(Inventory::Its(server)) => its = Some(self.connection(server)),
            // The inventory is found by kind; its folder only has to be among those that are read.
            Some(Inventory::Files(files)) if !paths.is_empty() && !covered(&paths, &files.path) => {
                paths.push(files.path.clone());
            }
            _ => {}
        }
        self.refuse_outside(&paths);
        let status = spec.status.as_ref();
        let status = status.map(|status| self.status(status, &spec.source));
        let outputs = spec.outputs.iter().enumerate();
        let outputs =
            outputs.filter_map(|(index, output)| self.output(index, output, its.as_ref()));
        Resolved {
            name: pipeline.metadata.name.clone().unwrap_or_default(),
            place,
            revision: git.and_then(|git| git.reference.clone()),
            credentials,
            settings: Settings {
                paths,
                hydrate: spec.hydrate.clone(),
                kinds: spec.kinds.clone(),
                strict: spec.strict,
                guard: spec.guard.clone(),
            },
            outputs: outputs.collect(),
            status,
            interval: git.and_then(|git| git.interval.map(|Interval(interval)| interval)),
            waves: spec.waves.clone(),
            its,
        }
    }

    /// Where the source is, and who reads it.
    fn source(&mut self, source: &Source) -> (Option<Place>, Option<Login>) {
        match source {
            Source::Git(git) => {
                let path = ["spec", "source", "git", "credentials"];
                let login = git.credentials.as_ref();
                let login = login.and_then(|login| self.login(login, &path));
                (Some(Place::Git(self.repository(&git.url))), login)
            }
            Source::Folder(folder) => (Some(Place::Folder(self.base.join(&folder.path))), None),
            Source::Wds(_) => {
                self.not_used("source.wds", &["spec", "source", "wds"]);
                (None, None)
            }
        }
    }

    /// Refuses folders outside the source.
    fn refuse_outside(&mut self, paths: &[String]) {
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

    fn not_used(&mut self, what: &'static str, path: &[&str]) {
        let path: Vec<PathPart> = path.iter().map(|&part| part.into()).collect();
        let at = self.at(&path);
        self.unused.push((what, at));
    }

    pub(super) fn at(&self, path: &[PathPart]) -> Location {
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
            Diagnostic::warning(NOT_USED, message)
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
