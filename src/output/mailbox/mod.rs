//! Mailboxes: texts become ManifestWorks in the mailbox namespaces of an ITS, as few writes as there are works that change.
//!
//! ```text
//! Rendered ─▶ piece: JSON, size, digest ─▶ layout: which work (shape), digest of each work ─▶ plan: against what stands ─▶ writes
//!                                                        works as they stand ─▶ standing ──────┘                  │
//!                                                                                    client: list, apply, delete ◀┘
//! ```
//!
//! All but [`client`] is pure. Nothing here decides what goes where, and a work that is not our own is never touched.

pub mod client;
mod error;
pub mod feedback;
pub mod layout;
mod owner;
pub mod piece;
pub mod plan;
pub mod shape;
pub mod standing;
mod work;

#[cfg(test)]
mod tests;

use crate::model::api::pipeline::MailboxOutput;

pub use error::MailboxError;
pub use owner::Owner;
pub use work::{Body, body};

/// The most bytes of manifests in one work unless told otherwise. An edit writes the whole work that an object is in, and what an
/// API server has to do for that grows faster than the work: one of 50 objects takes it some 15 ms, one of 450 half a second.
pub const WORK_BYTES: usize = 64 << 10;

/// The most bytes of one object, which has a work of its own then: OCM refuses works above 500 KiB.
pub const MAX_BYTES: usize = 460 << 10;

/// The most objects in one work. Each also has an entry in the work's settings and one in its status, together some
/// 1.2 KB, and etcd takes no object above 1.5 MB.
pub const MAX_OBJECTS: usize = 500;

/// What a manifest takes in OCM's count beside its bytes, which are those of the protobuf message: a tag and a length, twice.
const FRAMING: usize = 16;

/// The annotation with the digest of all that a work holds.
pub const DIGEST: &str = "gitops.kubestellar.io/content-digest";
/// The annotation that says which part of all objects a work holds: the first bits of their slots.
pub const PART: &str = "gitops.kubestellar.io/part";
/// The annotation with the number of a work's objects.
pub const OBJECTS: &str = "gitops.kubestellar.io/objects";
/// The label, and the annotation with the whole name, of the pipeline that a work belongs to.
pub const PIPELINE: &str = "gitops.kubestellar.io/pipeline";

/// What a pipeline says about its mailboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most bytes of manifests in one work of several objects.
    pub max_bytes: usize,
    /// Whether what was delivered stays on the WEC when its work goes, or when it leaves its work.
    pub orphan: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: WORK_BYTES,
            orphan: false,
        }
    }
}

impl From<&MailboxOutput> for Settings {
    fn from(output: &MailboxOutput) -> Self {
        let max_bytes = output.max_bytes.map(|bytes| bytes.0);
        Self {
            max_bytes: max_bytes.map_or(WORK_BYTES, |bytes| {
                usize::try_from(bytes).unwrap_or(usize::MAX)
            }),
            orphan: output.orphan,
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}

/// The first twenty bytes of a digest, in hexadecimal digits.
fn short_hex(digest: &[u8]) -> String {
    crate::source::hexadecimal(&digest[..20])
}
