//! Where results go: arguments and configuration → folders and branches, each with the way to it.

use std::path::Path;

use super::Arguments;
use crate::cli::error::CliError;
use crate::cli::remote;
use crate::cli::scene::Scene;
use crate::cli::terminal::Terminal;
use crate::config::{ResolvedBranch, ResolvedOutput, branch_name_problem};
use crate::git::{Access, RemoteUrl};
use crate::reconcile::{BranchDestination, Destination, relay};

/// A destination with the way to it.
pub(super) struct Target {
    pub(super) destination: Destination,
    pub(super) access: Access,
}

impl Arguments {
    /// Decides where the results go; nowhere means standard output.
    pub(super) fn places(
        &self,
        scene: &mut Scene,
        scratch: &Path,
        terminal: &Terminal,
    ) -> Result<Vec<Target>, CliError> {
        let access = scene.request.access.clone();
        if let Some(folder) = &self.out {
            return Ok(vec![Target {
                destination: Destination::Folder(folder.clone()),
                access,
            }]);
        }
        if let Some(name) = &self.branch {
            if let Some(problem) = branch_name_problem(name) {
                return Err(CliError::message(format!(
                    "{name:?} is no name of a branch: {problem}"
                ))
                .hint("take a name such as `generated`"));
            }
            let branch = self.branch_to(name, scene);
            return Ok(vec![self.target(scene, &branch, scratch, terminal)?]);
        }
        if self.deliver {
            return self.configured_places(scene, scratch, terminal);
        }
        Ok(Vec::new())
    }

    /// All outputs of the configuration.
    fn configured_places(
        &self,
        scene: &mut Scene,
        scratch: &Path,
        terminal: &Terminal,
    ) -> Result<Vec<Target>, CliError> {
        let outputs = scene
            .configured
            .as_ref()
            .map(|resolved| resolved.outputs.clone())
            .unwrap_or_default();
        if outputs.is_empty() {
            return Err(CliError::message("the configuration names no output that this command can write")
                .hint("add `outputs: [{branch: {name: generated}}]` to stellate.yaml, or use --branch or --out"));
        }
        let mut targets = Vec::new();
        for output in outputs {
            match output {
                ResolvedOutput::Folder(folder) => targets.push(Target {
                    destination: Destination::Folder(folder),
                    access: scene.request.access.clone(),
                }),
                ResolvedOutput::Branch(branch) => {
                    targets.push(self.target(scene, &branch, scratch, terminal)?);
                }
                ResolvedOutput::Mailbox { .. } => {
                    terminal.warn("mailboxes are left out: `stellate run` delivers into them");
                }
            }
        }
        Ok(targets)
    }

    /// The branch of --branch: what the configuration says about one of that name, and arguments that win over it.
    fn branch_to(&self, name: &str, scene: &Scene) -> ResolvedBranch {
        let outputs = scene
            .configured
            .iter()
            .flat_map(|resolved| &resolved.outputs);
        let mut branches = outputs.filter_map(|output| match output {
            ResolvedOutput::Branch(branch) if branch.name == name => Some(branch.clone()),
            _ => None,
        });
        let mut branch = branches.next().unwrap_or_else(|| ResolvedBranch {
            name: name.to_owned(),
            ..ResolvedBranch::default()
        });
        branch.push = self.push;
        if let Some(layout) = self.layout {
            branch.layout = layout.into();
        }
        if self.remote.is_some() {
            branch.url.clone_from(&self.remote);
        }
        branch
    }

    /// The way to a branch.
    fn target(
        &self,
        scene: &mut Scene,
        branch: &ResolvedBranch,
        scratch: &Path,
        terminal: &Terminal,
    ) -> Result<Target, CliError> {
        let access = match &branch.credentials {
            Some(login) => self.source.configuration.access(Some(login))?,
            None => scene.request.access.clone(),
        };
        let destination = destination(scene, branch, scratch, terminal)?;
        Ok(Target {
            destination: Destination::Branch(destination),
            access,
        })
    }
}

/// Finds the repository of a branch, and the address it is pushed to when there is one.
fn destination(
    scene: &mut Scene,
    branch: &ResolvedBranch,
    scratch: &Path,
    terminal: &Terminal,
) -> Result<BranchDestination, CliError> {
    let location = scene.request.location.clone();
    let to = |repository, push| BranchDestination {
        repository,
        name: branch.name.clone(),
        layout: branch.layout,
        push,
    };
    if scene.remote {
        let Some(remote) = pushed_to(branch, &location) else {
            return Err(CliError::message(format!(
                "the branch {} of {} can only be pushed",
                branch.name,
                redacted(&location)
            ))
            .hint("add --push, or write to a folder with --out"));
        };
        let url = remote::address(None, remote)?;
        let cache = scene.cache.as_deref().unwrap_or(scratch);
        let repository = relay::open(cache, &url)?;
        return Ok(to(repository, Some(url)));
    }
    let folder = Path::new(location.strip_prefix("file://").unwrap_or(&location));
    if !folder.exists() {
        return Err(
            CliError::message(format!("there is no folder {location}")).hint("check the path")
        );
    }
    let repository = remote::discover(folder)?;
    let push = pushed_to(branch, "origin")
        .map(|remote| remote::address(Some(&repository), remote))
        .transpose()?;
    if !scene.request.committed {
        scene.request.committed = true;
        let revision = scene.request.revision.as_deref();
        if revision.is_none() && remote::is_dirty(&repository, folder) {
            terminal.warn("a branch is rendered from HEAD: what is not committed is not in it");
        }
    }
    Ok(to(repository.path().to_owned(), push))
}

/// The remote that a branch is pushed to; `home` where none is named. None not to push.
fn pushed_to<'a>(branch: &'a ResolvedBranch, home: &'a str) -> Option<&'a str> {
    let remote = branch.url.as_deref().unwrap_or(home);
    branch.push.then_some(remote)
}

/// Writes an address without who logs in.
fn redacted(location: &str) -> String {
    RemoteUrl::parse(location).map_or_else(|_| location.to_owned(), |url| url.redacted())
}
