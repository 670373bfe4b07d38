//! The way to other repositories: fetches for `source`, pushes for `output`.
//!
//! ```text
//! RemoteUrl + Access ─▶ transport ─▶ http (ureq, rustls) │ ssh (the ssh program) │ git upload-pack (local)
//!                           │
//!                           ├─▶ list_refs   what the remote has
//!                           ├─▶ fetch       wants, haves → a pack in the object database, refs moved
//!                           └─▶ push        expected ids, a pack stream → every ref moved, or none
//! ```
//!
//! git2 is built without network code, and its own transport hook cannot be called without `unsafe`; so this module
//! speaks git's protocol (version 0) itself, over one kind of byte stream for all three ways.
//!
//! It never prints, never asks a person, never merges, and no value of a credential ever enters a message.

pub mod credentials;
pub mod error;
pub mod fetch;
pub mod send;
pub mod url;

mod access;
mod advertisement;
mod copy;
mod http;
mod locks;
mod negotiation;
mod pktline;
mod process;
mod shallow;
mod ssh;
mod store;
mod transfer;
mod transport;
mod words;

#[cfg(test)]
mod tests;

pub use access::Access;
pub use copy::{is_unfinished, open_or_make, remake};
pub use credentials::{AppLogin, Credentials, FileStamp, Secret, SecretPlace};
pub use error::{GitError, PushError, Refusal};
pub use fetch::{FetchOutcome, FetchProgress, Fetched, RemoteRefs, Want, Wanted, fetch, list_refs};
pub use locks::open_all;
pub use send::{PackSource, PushOutcome, RefUpdate, push};
pub use url::{RemoteUrl, Scheme};

pub(crate) use error::plain_text;
pub(crate) use http::trust;
pub(crate) use locks::{patiently, point};
pub(crate) use words::{is_damage, plain};
