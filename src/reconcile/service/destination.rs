//! Where the outputs of a pipeline go: its configuration → repositories, branches, folders and mailboxes.

use std::path::{Path, PathBuf};

use super::Plan;
use super::fault::RunError;
use super::post::Post;
use crate::config::{Login, ResolvedBranch, ResolvedOutput};
use crate::git::{RemoteUrl, Scheme};
use crate::reconcile::relay;
use crate::reconcile::{BranchDestination, DeliverError, Destination};

/// Where an output goes, and as whom; none for mailboxes, which are no place on disk or in git.
pub(super) fn destination<'a>(
    plan: &'a Plan,
    output: &'a ResolvedOutput,
    cache: &Path,
) -> Result<Option<(Destination, Option<&'a Login>)>, RunError> {
    let reader = plan.resolved.credentials.as_ref();
    Ok(match output {
        ResolvedOutput::Mailbox { .. } => None,
        ResolvedOutput::Folder(path) => Some((Destination::Folder(path.clone()), reader)),
        ResolvedOutput::Branch(branch) => {
            let remote = remote(plan, branch)?;
            let repository = match &remote {
                Some(remote) => relay::open(cache, remote)?,
                None => source_repository(plan).ok_or(DeliverError::NoSourceCommit)?,
            };
            let destination = Destination::Branch(BranchDestination {
                repository,
                name: branch.name.clone(),
                layout: branch.layout,
                push: remote,
            });
            Some((destination, branch.credentials.as_ref().or(reader)))
        }
    })
}

/// The mailboxes among the outputs, in their order.
pub(super) fn posts(plan: &Plan) -> Vec<Post> {
    let outputs = plan.resolved.outputs.iter();
    let mailboxes = outputs.filter_map(|output| match output {
        ResolvedOutput::Mailbox { its, output } => Some(Post::new(its, output)),
        _ => None,
    });
    mailboxes.collect()
}

/// Gives the repository that holds the generated commits of a pipeline's first branch.
pub(super) fn repository(plan: &Plan, cache: &Path) -> Option<PathBuf> {
    let outputs = plan.resolved.outputs.iter();
    let mut branches = outputs.filter_map(|output| match output {
        ResolvedOutput::Branch(branch) => Some(branch),
        ResolvedOutput::Folder(_) | ResolvedOutput::Mailbox { .. } => None,
    });
    branches.find_map(|branch| match remote(plan, branch).ok()? {
        Some(remote) => Some(relay::folder(cache, &remote)),
        None => source_repository(plan),
    })
}

/// The remote that a branch is pushed to; none where it stays in the repository that the source is read from.
fn remote(plan: &Plan, branch: &ResolvedBranch) -> Result<Option<RemoteUrl>, RunError> {
    match &branch.url {
        _ if !branch.push => Ok(None),
        Some(url) => Ok(Some(RemoteUrl::parse(url)?)),
        None => Ok(plan.url().filter(|home| home.scheme() != Scheme::Local)),
    }
}

/// The source's repository, when it is on this machine.
fn source_repository(plan: &Plan) -> Option<PathBuf> {
    plan.url()?.local_path().map(Path::to_owned)
}
