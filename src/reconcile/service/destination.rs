//! Where the outputs of a pipeline go: its configuration → repositories, branches, folders and mailboxes.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use git2::Repository;

use super::fault::RunError;
use super::post::Post;
use super::{Plan, lock};
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
                    repository: make_relay(&relay(cache, &target))?,
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
                    Some(target) => Some(relay(cache, &target)),
                    None => plan.url()?.local_path().map(Path::to_owned),
                }
            }
        })
}

/// The repository in the cache through which a remote's branches are pushed.
fn relay(cache: &Path, url: &RemoteUrl) -> PathBuf {
    let safe = |letter: char| {
        if letter.is_ascii_alphanumeric() || letter == '.' {
            letter
        } else {
            '-'
        }
    };
    let name: String = url.redacted().chars().map(safe).collect();
    cache.join("relay").join(name)
}

fn make_relay(path: &Path) -> Result<PathBuf, RunError> {
    /// Pipelines on one remote share a relay, and a repository that is half made is neither there nor away.
    static MAKING: Mutex<()> = Mutex::new(());
    let _turn = lock(&MAKING);
    let made = Repository::open_bare(path).or_else(|_| Repository::init_bare(path));
    made.map(|_| path.to_owned())
        .map_err(|source| RunError::Relay {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_that_begin_together_on_one_remote_make_its_relay_once() {
        let folder = tempfile::tempdir().expect("a folder");
        for round in 0..20 {
            let path = folder.path().join(format!("relay/{round}"));
            let made: Vec<Result<PathBuf, String>> = std::thread::scope(|scope| {
                let make = || make_relay(&path).map_err(|error| error.to_string());
                let all: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
                all.into_iter()
                    .map(|one| one.join().expect("no panic"))
                    .collect()
            });
            assert!(made.iter().all(Result::is_ok), "{made:?}");
        }
    }
}
