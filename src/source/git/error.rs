//! Why a repository cannot be a source, in words that name the way out.

use thiserror::Error;

use crate::git::GitError;
use crate::source::TreeError;

/// Why a repository, or a revision of it, cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitSourceError {
    /// There is no repository at or above a local path.
    #[error("`{path}` cannot be read as a git repository: {problem}")]
    NotARepository {
        /// The path as given.
        path: String,
        /// What git said.
        problem: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{repository} has no revision `{revision}`")]
    UnknownRevision {
        /// The repository, redacted.
        repository: String,
        /// The revision as given.
        revision: String,
        /// Branches and tags with names like it.
        suggestions: Vec<String>,
    },
    /// The repository has no commit yet.
    #[error("{repository} has no commit yet")]
    Empty {
        /// The repository, redacted.
        repository: String,
    },
    /// The remote cannot be read: network, login, address.
    #[error(transparent)]
    Remote(#[from] GitError),
    /// The folder for copies of remote repositories cannot be used.
    #[error("the cache folder `{path}` cannot be used: {problem}")]
    Cache {
        /// The folder.
        path: String,
        /// What the system or git said.
        problem: String,
    },
    /// A file or folder of the revision cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The repository itself is damaged.
    #[error("the repository cannot be read: {problem}")]
    Damaged {
        /// What git said.
        problem: String,
    },
}

impl GitSourceError {
    /// A fixed word in CamelCase, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotARepository { .. } => "NotARepository",
            Self::UnknownRevision { .. } => "UnknownRevision",
            Self::Empty { .. } => "EmptyRepository",
            Self::Remote(error) => error.reason(),
            Self::Cache { .. } => "CacheUnusable",
            Self::Tree(error) => error.reason(),
            Self::Damaged { .. } => "RepositoryDamaged",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NotARepository { .. } => {
                "run `git init` there, or render the folder as it is, without a revision".to_owned()
            }
            Self::UnknownRevision { suggestions, .. } if !suggestions.is_empty() => {
                format!("did you mean {}?", suggestions.join(" or "))
            }
            Self::UnknownRevision { .. } => {
                "name a branch, a tag or a commit; `git fetch` first when it is elsewhere"
                    .to_owned()
            }
            Self::Empty { .. } => "commit something first".to_owned(),
            Self::Remote(error) => error.help().to_owned(),
            Self::Cache { .. } => {
                "free some space, or name another cache folder; it may be deleted at any time"
                    .to_owned()
            }
            Self::Tree(error) => error.help().to_owned(),
            Self::Damaged { .. } => "run `git fsck` there, or clone it again".to_owned(),
        }
    }
}

impl From<git2::Error> for GitSourceError {
    fn from(error: git2::Error) -> Self {
        if crate::git::is_damage(&error) {
            let problem = crate::git::plain(&error);
            return Self::Damaged { problem };
        }
        Self::Remote(error.into())
    }
}
