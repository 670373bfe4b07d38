//! The local repository of a source, its remotes, and whether its work tree is as committed.
//!
//! Only reads. Whatever is fetched, built or pushed is [`crate::reconcile`]'s work.

use std::path::Path;

use git2::{Repository, StatusOptions};

use super::error::CliError;
use crate::git::{RemoteUrl, plain};

/// Finds the repository that a folder belongs to.
pub(super) fn discover(folder: &Path) -> Result<Repository, CliError> {
    Repository::discover(folder).map_err(|error| {
        let text = format!("{}: {}", folder.display(), plain(&error));
        CliError::message(text).hint(
            "a generated branch needs one: `git init` and commit, or write to a folder with --out",
        )
    })
}

/// Tells whether a folder is itself a repository without a work tree.
pub(super) fn is_bare(folder: &Path) -> bool {
    Repository::open(folder).is_ok_and(|repository| repository.is_bare())
}

/// Gives the address of a remote: its name in the repository, or an address as it is.
pub(super) fn address(
    repository: Option<&Repository>,
    remote: &str,
) -> Result<RemoteUrl, CliError> {
    let named = repository.and_then(|repository| repository.find_remote(remote).ok());
    let url = match &named {
        // git pushes to the push URL where there is one.
        Some(found) => {
            let text = |bytes: Option<&[u8]>| {
                bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            text(found.pushurl_bytes()).or_else(|| text(Some(found.url_bytes())))
        }
        None if crate::config::is_remote(remote) || Path::new(remote).exists() => {
            Some(remote.to_owned())
        }
        None => None,
    };
    let Some(url) = url else {
        let known = repository.map(remotes).unwrap_or_default();
        let hint = if known.is_empty() {
            "the repository has no remotes: give an address with --remote URL, or leave --push out"
                .to_owned()
        } else {
            format!("its remotes are: {}", known.join(", "))
        };
        return Err(CliError::message(format!("there is no remote {remote:?}")).hint(hint));
    };
    let base = repository
        .and_then(Repository::workdir)
        .unwrap_or(Path::new("."));
    Ok(RemoteUrl::parse_in(&url, base)?)
}

/// Tells whether the current folder is a work tree of the repository at an address.
pub(super) fn is_clone_of(url: &str) -> bool {
    let Ok(repository) = Repository::discover(".") else {
        return false;
    };
    let Ok(wanted) = RemoteUrl::parse_in(url, Path::new(".")) else {
        return false;
    };
    let own = repository
        .workdir()
        .and_then(|folder| RemoteUrl::parse_in(&folder.display().to_string(), Path::new(".")).ok());
    let named = remotes(&repository);
    let known = named
        .iter()
        .filter_map(|name| address(Some(&repository), name).ok());
    known.chain(own).any(|known| known.same_repository(&wanted))
}

fn remotes(repository: &Repository) -> Vec<String> {
    let names = repository.remotes();
    let names = names
        .iter()
        .flat_map(|names| names.iter().flatten().flatten());
    names.map(str::to_owned).collect()
}

/// Tells whether files below a folder differ from what is committed.
pub(super) fn is_dirty(repository: &Repository, folder: &Path) -> bool {
    let Some(root) = repository.workdir() else {
        return false;
    };
    let mut options = StatusOptions::new();
    options
        .include_untracked(true)
        .include_ignored(false)
        .exclude_submodules(true);
    let inside = folder.canonicalize().ok().zip(root.canonicalize().ok());
    let inside =
        inside.and_then(|(folder, root)| folder.strip_prefix(root).ok().map(Path::to_owned));
    if let Some(inside) = inside.filter(|inside| !inside.as_os_str().is_empty()) {
        options.pathspec(inside).disable_pathspec_match(true);
    }
    repository
        .statuses(Some(&mut options))
        .is_ok_and(|statuses| !statuses.is_empty())
}
