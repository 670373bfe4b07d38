//! Where the outputs of a pipeline go: its configuration → repositories, branches, folders and mailboxes.

use std::path::{Path, PathBuf};

use super::fault::RunError;
use super::post::Post;
use super::{Plan, relay};
use crate::config::{Login, ResolvedOutput};
use crate::git::{RemoteUrl, Scheme};
use crate::reconcile::{DeliverError, Destination};

/// Where an output goes, and as whom; none for mailboxes, which are no place on disk or in git.
pub(super) fn destination<'a>(
    plan: &'a Plan,
    output: &'a ResolvedOutput,
    cache: &Path,
) -> Result<Option<(Destination, Option<&'a Login>)>, RunError> {
    let reader = plan.resolved.credentials.as_ref();
    Ok(Some(match output {
        ResolvedOutput::Mailbox { .. } => return Ok(None),
        ResolvedOutput::Folder(path) => (Destination::Folder(path.clone()), reader),
        ResolvedOutput::Branch {
            name,
            layout,
            push,
            url,
            credentials,
        } => {
            let home = plan.url().filter(|home| home.scheme() != Scheme::Local);
            let target = match url {
                Some(url) => Some(RemoteUrl::parse(url)?),
                None => home,
            };
            let source = plan.url();
            let source = source.as_ref().and_then(RemoteUrl::local_path);
            let destination = match (target.filter(|_| *push), source) {
                (None, Some(path)) => Destination::Branch {
                    repository: path.to_owned(),
                    name: name.clone(),
                    layout: *layout,
                    push: None,
                },
                (Some(target), _) => Destination::Branch {
                    repository: relay::open(cache, &target)?,
                    name: name.clone(),
                    layout: *layout,
                    push: Some(target),
                },
                (None, None) => return Err(DeliverError::NoSourceCommit.into()),
            };
            (destination, credentials.as_ref().or(reader))
        }
    }))
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
    plan.resolved
        .outputs
        .iter()
        .find_map(|output| match output {
            ResolvedOutput::Folder(_) | ResolvedOutput::Mailbox { .. } => None,
            ResolvedOutput::Branch { push, url, .. } => {
                let target = match url {
                    Some(url) => RemoteUrl::parse(url).ok(),
                    None => plan.url().filter(|home| home.scheme() != Scheme::Local),
                };
                match target.filter(|_| *push) {
                    Some(target) => Some(relay::folder(cache, &target)),
                    None => plan.url()?.local_path().map(Path::to_owned),
                }
            }
        })
}
