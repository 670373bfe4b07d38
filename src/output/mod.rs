//! Output: the tree that a rendering becomes, and its adapters: a folder, a generated branch, mailboxes on an ITS.
//!
//! This file and `path` are pure. Inputs are [`Rendered`](crate::transform::Rendered) texts; outputs are files in
//! `clusters/<wec>/<namespace|_cluster>/`. Nothing here decides what goes where.

pub mod branch;
pub mod folder;
pub mod mailbox;
pub mod path;
