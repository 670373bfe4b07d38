//! What the benches share: a made-up fleet, the clock, the unit that figures are given in, and the table at the end.
//!
//! Everything is generated from a fixed seed, so that figures can be compared from commit to commit.
#![allow(dead_code, reason = "each bench uses its share")]

pub(crate) mod cases;
pub(crate) mod corpus;
pub(crate) mod manifest;
pub(crate) mod measure;
pub(crate) mod options;
pub(crate) mod policy;
pub(crate) mod repository;
pub(crate) mod table;
pub(crate) mod unit;
pub(crate) mod wec;

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
