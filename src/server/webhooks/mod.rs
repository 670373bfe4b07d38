//! What forges and the agents of WECs send over HTTP → pushes, pull requests and reports in an [`Inbox`].
//!
//! ```text
//! request ─▶ media type, door ─▶ what the headers prove ─▶ body, bounded ─▶ signature ─▶ seen before? ─▶ parse ─▶ Inbox
//!            415, 404            401                       408, 413, 503    401          202             400      202, 503
//! ```
//!
//! [`verify`], [`parse`], [`reports`] and [`addresses`] are pure: bytes, headers and the time come in as values. [`Hooks`] holds the
//! secrets, the budget of bytes and what was delivered before; [`router`] is the thin part. A payload only ever wakes
//! something up: no list of files in it is believed, no address in it is called, and nothing is parsed before it is verified.

pub mod addresses;
mod body;
mod counters;
mod deliveries;
mod hooks;
pub mod parse;
pub mod reports;
mod router;
pub mod verify;

pub use addresses::Addresses;
pub use counters::{Counter, Outcome};
pub use hooks::{Door, Doors, Hooks, HooksError, Inbox, Limits, Taken};
pub use parse::{Event, Malformed, PullRequest, Push, RefChange};
pub use router::router;
pub use verify::{Forge, Guard, SecretError, Sender};
