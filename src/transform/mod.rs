//! To come.

pub mod jsonpath;
pub mod parameters;
pub mod template;
