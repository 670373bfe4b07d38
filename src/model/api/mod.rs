//! The API objects that steer Stellate, as serde types.
//!
//! Pure data: nothing here reads a file or talks to a server.

pub mod label_selector;

pub use label_selector::{LabelSelector, LabelSelectorRequirement};
