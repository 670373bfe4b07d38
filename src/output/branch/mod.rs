//! To come.

pub mod build;
pub mod change;
pub mod delta;
pub mod hash;
pub mod index;
pub mod lock;
pub mod metadata;
pub mod notes;
pub mod object;
pub mod pack;
pub mod publish;
pub mod repository;
pub mod sign;
pub mod standing;

#[cfg(test)]
mod tests;
