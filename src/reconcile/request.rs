//! What is asked for, and what can go wrong before there is a result.

use std::path::PathBuf;
use std::sync::Arc;

pub use crate::config::Settings;
use crate::git::Access;
use crate::inventory::Inventory;
use crate::model::Diagnostic;
use crate::source::SourceError;

/// What to render.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// A folder or the URL of a repository.
    pub location: String,
    /// The revision; none for a work tree as it is, or for a remote's default branch.
    pub revision: Option<String>,
    /// Whether a local repository is read as committed, at `HEAD` when no revision is named, rather than as it lies there.
    pub committed: bool,
    /// Where the WECs are found.
    pub inventory: InventorySource,
    /// What the configuration says.
    pub settings: Settings,
    /// How remotes are reached.
    pub access: Access,
}

/// Where the WECs are found.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum InventorySource {
    /// In the source, beside the policies.
    #[default]
    Source,
    /// In a file or folder of their own.
    Files(PathBuf),
    /// They are known already, and so is what is wrong with them: an error among it means that WECs may be missing, and
    /// then those keep what they have.
    Given(Arc<Inventory>, Arc<[Diagnostic]>),
}

/// Hears how far a long piece of work is.
pub trait Progress: Sync {
    /// A stage begins.
    fn stage(&self, name: &'static str);
    /// So many are done, of so many; a total of 0 is unknown.
    fn count(&self, _done: u64, _total: u64) {}
}

/// Hears nothing.
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &'static str) {}
}

/// Why there is no rendering at all.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The inventory cannot be read.
    #[error("the inventory cannot be read: {0}")]
    Inventory(#[source] SourceError),
}

impl RenderError {
    /// A fixed word for programs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Source(error) => error.reason(),
            Self::Inventory(_) => "InventoryUnreadable",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Source(error) | Self::Inventory(error) => Some(error.help()),
        }
    }
}
