//! The repositories in the cache folder through which remotes are pushed to: an address → a repository that can be used.
//!
//! They hold nothing that the remote does not hold: one that is damaged is made anew, and fetched again.

use std::path::{Path, PathBuf};

use crate::git::{self, GitError, RemoteUrl};

/// Where they are, below the cache folder.
const FOLDER: &str = "relay";

/// Why one cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}: {problem}", path.display())]
pub(crate) struct RelayError {
    path: PathBuf,
    problem: String,
}

impl RelayError {
    /// What to do about it.
    pub(crate) const HELP: &'static str =
        "check space and permissions, or choose another folder with --cache-dir";
}

/// The repository through which a remote's branches are pushed.
pub(crate) fn folder(cache: &Path, url: &RemoteUrl) -> PathBuf {
    let safe = |letter: char| {
        if letter.is_ascii_alphanumeric() || letter == '.' {
            letter
        } else {
            '-'
        }
    };
    let name: String = url.redacted().chars().map(safe).collect();
    cache.join(FOLDER).join(name)
}

/// Gives that repository, made when there is none that can be opened.
pub(crate) fn open(cache: &Path, url: &RemoteUrl) -> Result<PathBuf, RelayError> {
    let path = folder(cache, url);
    let opened = git::open_or_make(&path).map(drop);
    opened.map_err(|error| unusable(&path, error))?;
    Ok(path)
}

/// Makes one anew that turned out to be damaged.
pub(crate) fn remake(path: &Path) -> Result<(), RelayError> {
    let made = git::remake(path).map(drop);
    made.map_err(|error| unusable(path, error))
}

/// Takes away what a process that was killed left in them. For a service that starts: no other uses the folder, and as long as no
/// pipeline runs nobody holds a lock there.
pub(crate) fn tidy(cache: &Path) {
    let entries = std::fs::read_dir(cache.join(FOLDER)).into_iter().flatten();
    for path in entries.flatten().map(|entry| entry.path()) {
        let unfinished = path.file_name().is_some_and(git::is_unfinished);
        let tidied = if unfinished {
            std::fs::remove_dir_all(&path)
        } else {
            git::open_all(&path)
        };
        if let Err(error) = tidied {
            tracing::warn!(path = %path.display(), "cannot be tidied up: {error}");
        }
    }
}

fn unusable(path: &Path, error: GitError) -> RelayError {
    let problem = match error {
        GitError::Local { problem } => problem,
        other => other.to_string(),
    };
    RelayError {
        path: path.to_owned(),
        problem,
    }
}
