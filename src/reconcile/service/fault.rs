//! What keeps a run of a pipeline from its end.

use std::path::PathBuf;

use super::access::AccessError;
use super::post::PostError;
use crate::git::GitError;
use crate::reconcile::{DeliverError, RenderError};

/// What keeps a run from its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("the inventory is not known yet: {message}")]
    NoInventory {
        reason: &'static str,
        message: String,
        help: String,
    },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Address(#[from] GitError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    #[error(transparent)]
    Post(#[from] PostError),
    #[error("the lease was lost: another replica may deliver")]
    LeaseLost,
    #[error("cannot make {}: {}", path.display(), source.message())]
    Relay { path: PathBuf, source: git2::Error },
}

impl RunError {
    /// A fixed word for programs and metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoInventory { reason, .. } => reason,
            Self::Access(error) => error.reason(),
            Self::Address(error) => error.reason(),
            Self::Render(error) => error.reason(),
            Self::Deliver(error) => error.reason(),
            Self::Post(error) => error.reason(),
            Self::LeaseLost => "LeaseLost",
            Self::Relay { .. } => "CacheUnwritable",
        }
    }

    /// What to do about it.
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::NoInventory { help, .. } => Some(help.clone()),
            Self::Access(error) => error.help().map(str::to_owned),
            Self::Address(error) => Some(error.help().to_owned()),
            Self::Render(error) => error.help(),
            Self::Deliver(error) => error.help(),
            Self::Post(error) => Some(error.help()),
            Self::LeaseLost => None,
            Self::Relay { .. } => Some("choose another folder with --cache-dir".to_owned()),
        }
    }
}
