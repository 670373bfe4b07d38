//! To come.

pub mod delta;
pub mod hash;
pub mod index;
pub mod object;
pub mod pack;

#[cfg(test)]
mod tests;
