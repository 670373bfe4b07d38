//! The chain of all stages: a request becomes a [`Rendering`], and a rendering is delivered.
//!
//! ```text
//! Request ─▶ source ─▶ inventory ─▶ placement ─▶ transform ─▶ Rendering ─▶ deliver (guard, output) ─▶ Delivery
//! ```
//!
//! A [`Pipeline`] remembers what it parsed, placed, compiled and built, so that the next rendering follows what changed.
//! Its memory may be thrown away at any time: the results are the same.

pub mod browse;
pub mod compare;
pub mod deliver;
pub mod facts;
pub mod guard;
pub mod hub;
pub mod lease;
pub mod metrics;
pub mod pipeline;
pub mod policies;
pub(crate) mod relay;
pub mod rendering;
pub mod request;
pub mod rights;
pub mod secrets;
pub mod service;
pub mod settings;
mod steering;
pub mod verify;

pub use deliver::{
    BranchDestination, DeliverError, Delivery, DeliveryOptions, Destination, Outcome, Staged,
    Survey,
};
pub use pipeline::Pipeline;
pub use rendering::{ClusterSummary, Rendering, Summary};
pub use request::{InventorySource, Progress, RenderError, Request, Settings, Silent};
pub use verify::{Verification, verify};

#[cfg(test)]
mod tests;
