//! What keeps a run of a pipeline from its end, and panics as errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::access::AccessError;
use super::post::PostError;
use crate::git::GitError;
use crate::reconcile::relay::RelayError;
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
    #[error("the run {0}")]
    Panicked(#[from] Panicked),
    #[error(transparent)]
    Relay(#[from] RelayError),
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
            Self::Panicked(_) => Panicked::REASON,
            Self::Relay(_) => "CacheUnwritable",
        }
    }

    /// How the run ended, for metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Panicked(_) => "panicked",
            _ => "failed",
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
            Self::Panicked(_) => Some(format!(
                "{}; the pipeline forgets what it remembered and tries again",
                Panicked::HELP
            )),
            Self::Relay(_) => Some(RelayError::HELP.to_owned()),
        }
    }
}

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {message}")]
pub(super) struct Panicked {
    message: String,
}

impl Panicked {
    /// A fixed word for programs and metrics.
    pub(super) const REASON: &'static str = "Panicked";
    /// What to do about it.
    pub(super) const HELP: &'static str =
        "this is a defect of Stellate: please report it, with the log";
}

/// Takes a step; a panic in it becomes an error. Whatever the step may have left half-done is the caller's to throw away.
pub(super) fn caught<T>(step: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|payload| Panicked {
        message: words(&*payload),
    })
}

/// What was said to `panic!`.
fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("without a word").to_owned()
}
