//! The seam between a folder, a git tree, and those who read them: entries by path, bytes by entry.
//!
//! Paths are relative to the root of the repository (or of the folder, outside git), with `/` between their parts.

use thiserror::Error;

use crate::model::{BlobId, Diagnostic, Severity};

use super::{BrokenFile, select};

/// Something that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path from the root.
    pub path: String,
    /// The id of its bytes; for a symbolic link those of the file that it stands for.
    pub blob: BlobId,
}

/// What a tree has below a folder.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Regular files, and symbolic links to them; sorted by path.
    pub entries: Vec<TreeEntry>,
    /// What exists and cannot be read; paths from the root.
    pub broken: Vec<BrokenFile>,
    /// What is passed over and worth telling; paths from the root.
    pub findings: Vec<Diagnostic>,
    /// Whether there are symbolic links: then what is listed changes with what they lead to.
    pub links: bool,
}

impl Listing {
    /// Notes what is never entered. Where manifests are expected or were, its contents are unknown, and that is an error;
    /// beside them it is worth a warning.
    pub(super) fn pass_over(&mut self, mut finding: Diagnostic, hides_manifests: bool) {
        let Some(place) = finding.location.clone().filter(|_| hides_manifests) else {
            self.findings.push(finding);
            return;
        };
        finding.severity = Severity::Error;
        if !select::is_manifest_name(place.path.as_str()) {
            finding.message += "; manifests were here, and what was delivered from them stays";
            finding.help = finding.help.map(|help| {
                format!("{help}; to take the objects away, commit their removal before anything else comes to their place")
            });
        }
        self.broken.push(BrokenFile {
            path: place.path,
            blob: None,
            diagnostic: finding,
        });
    }

    /// Adds another listing's findings behind our own.
    pub(super) fn append(&mut self, other: &Self) {
        self.entries.extend_from_slice(&other.entries);
        self.broken.extend_from_slice(&other.broken);
        self.findings.extend_from_slice(&other.findings);
        self.links |= other.links;
    }
}

/// Which entries of a tree are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// What [`select::is_of_interest`]; nothing hidden.
    Manifests,
    /// Everything but git's own folder: what a tool may want to read.
    All,
}

impl Which {
    /// Tells whether a folder of this name is entered.
    pub(super) fn enters(self, name: &str) -> bool {
        match self {
            Self::Manifests => !name.starts_with('.'),
            Self::All => name != ".git",
        }
    }

    /// Tells whether a file of this name is listed.
    pub(super) fn lists(self, name: &str) -> bool {
        match self {
            Self::Manifests => !name.starts_with('.') && select::is_of_interest(name),
            Self::All => true,
        }
    }
}

/// Files at one moment.
pub trait Tree {
    /// Lists what is at or below `path` (from the root; empty for all).
    ///
    /// # Errors
    /// [`TreeError::Missing`] when there is nothing at `path`.
    fn list(&self, path: &str, which: Which) -> Result<Listing, TreeError>;

    /// Gives the bytes of an entry.
    ///
    /// # Errors
    /// [`TreeError::Unreadable`], also when the bytes are no longer those that were listed.
    fn read(&self, path: &str, blob: BlobId) -> Result<Vec<u8>, TreeError>;
}

/// Why a tree cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Nothing is there.
    #[error("there is no `{path}` in {tree}")]
    Missing {
        /// What was asked for.
        path: String,
        /// The folder or revision.
        tree: String,
    },
    /// It is there, and something is in the way.
    #[error("`{path}` cannot be read: {problem}")]
    Unreadable {
        /// What was asked for.
        path: String,
        /// What the system or git said.
        problem: String,
    },
    /// It is something that is never entered: a link to a folder, a submodule, folders without end.
    #[error("`{path}` is not read: {problem}")]
    Refused {
        /// What was asked for.
        path: String,
        /// Why.
        problem: String,
    },
}

impl TreeError {
    /// A fixed word in CamelCase, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "PathNotFound",
            Self::Unreadable { .. } => "Unreadable",
            Self::Refused { .. } => "PathNotFollowed",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "check the spelling of the path, and whether it was moved",
            Self::Refused { .. } => "name a folder or file of the source itself",
            Self::Unreadable { .. } => "check its permissions, and whether somebody writes it now",
        }
    }
}
