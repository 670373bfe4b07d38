//! Where a shallow history ends: the repository's `shallow` file, read before a fetch and written after it.

use std::collections::BTreeSet;
use std::io::{self, Write as _};

use git2::{Oid, Repository};

use super::error::GitError;

/// The commits at which a shallow history ends: the repository's `shallow` file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// As it is to be.
    pub(crate) commits: BTreeSet<Oid>,
    /// As it was read.
    before: BTreeSet<Oid>,
}

impl Boundary {
    pub(crate) fn load(repository: &Repository) -> Result<Self, GitError> {
        let text = match std::fs::read_to_string(repository.commondir().join("shallow")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(GitError::Damaged {
                    problem: "the shallow file is no text".to_owned(),
                });
            }
            Err(error) => {
                return Err(GitError::Local {
                    problem: format!("the shallow file: {error}"),
                });
            }
        };
        let commits: BTreeSet<Oid> = text
            .lines()
            .filter_map(|line| Oid::from_str(line.trim()).ok())
            .collect();
        Ok(Self {
            before: commits.clone(),
            commits,
        })
    }

    /// Writes the file, whole or not at all, when it changed.
    pub(crate) fn store(&self, repository: &Repository) -> Result<(), GitError> {
        if self.commits == self.before {
            return Ok(());
        }
        let text = self
            .commits
            .iter()
            .fold(String::new(), |text, id| text + &id.to_string() + "\n");
        let folder = repository.commondir();
        let write = || -> io::Result<()> {
            if text.is_empty() {
                return std::fs::remove_file(folder.join("shallow"));
            }
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(folder.join("shallow"))
                .map(drop)
                .map_err(|error| error.error)
        };
        write().map_err(|error| GitError::Local {
            problem: format!("the shallow file: {error}"),
        })
    }
}
