//! To come.

pub mod branch;
