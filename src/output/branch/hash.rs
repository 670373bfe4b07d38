//! Names of git objects: kind and bytes → the SHA-1 that git gives them.
//!
//! An object's id is the SHA-1 of `<kind> <length>\0` and its content. Hashing is most of what writing a generated
//! branch costs, so content that is rendered for hashing is rendered into an [`ObjectBuffer`]: it keeps room for the
//! header before the content, and both are hashed in one pass without a copy or an allocation.
//!
//! Never reads or writes a repository.

use std::fmt;

use aws_lc_rs::digest;

/// The longest header: `commit `, the twenty digits of the greatest length, and a NUL; rounded up.
const HEADROOM: usize = 32;

/// Up to this many bytes, copying the parts together is cheaper than the two allocations of a hash in steps.
const COPY_LIMIT: usize = 16 * 1024;

/// What a git object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// A tree: one folder.
    Tree,
    /// A blob: the bytes of one file.
    Blob,
    /// An annotated tag.
    Tag,
}

impl ObjectKind {
    /// Gives the word that stands in an object's header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

/// The id of a git object of any kind: twenty bytes of SHA-1.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub [u8; 20]);

/// Written as forty hexadecimal digits.
impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Content on its way to becoming a git object, with room before it for the header.
///
/// One buffer serves any number of objects, one after the other.
///
/// ```
/// use stellate::output::branch::hash::{ObjectBuffer, ObjectKind};
///
/// let mut buffer = ObjectBuffer::new();
/// buffer.start().extend_from_slice(b"hello\n");
/// assert_eq!(buffer.id(ObjectKind::Blob).to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
/// assert_eq!(buffer.content(), b"hello\n");
/// ```
#[derive(Clone, Debug)]
pub struct ObjectBuffer {
    bytes: Vec<u8>,
}

impl Default for ObjectBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl ObjectBuffer {
    /// The position in [`ObjectBuffer::start`]'s vector at which the content begins.
    pub const CONTENT_START: usize = HEADROOM;

    /// Gives an empty buffer.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; HEADROOM],
        }
    }

    /// Forgets the former content and gives the vector to append the new one to.
    ///
    /// The vector is not empty: its first [`ObjectBuffer::CONTENT_START`] bytes belong to the header and stay.
    pub fn start(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        self.bytes.resize(HEADROOM, 0);
        &mut self.bytes
    }

    /// Gives the content.
    pub fn content(&self) -> &[u8] {
        self.bytes.get(HEADROOM..).unwrap_or_default()
    }

    /// Gives the id of the content as an object of this kind.
    pub fn id(&mut self, kind: ObjectKind) -> ObjectId {
        let length = self.bytes.len().saturating_sub(HEADROOM);
        match self.bytes.first_chunk_mut() {
            Some(room) => {
                let start = write_header(room, kind, length);
                sha1(&self.bytes[start..])
            }
            None => object_id(kind, &[]),
        }
    }
}

/// Gives the id of the object whose content is `parts`, one after the other.
///
/// For content that lies in memory already; what is rendered to be hashed goes through an [`ObjectBuffer`].
pub fn object_id(kind: ObjectKind, parts: &[&[u8]]) -> ObjectId {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut room = [0; HEADROOM];
    let start = write_header(&mut room, kind, length);
    if length <= COPY_LIMIT {
        let mut whole = Vec::with_capacity(HEADROOM + length);
        whole.extend_from_slice(&room[start..]);
        for part in parts {
            whole.extend_from_slice(part);
        }
        return sha1(&whole);
    }
    let mut running = RunningSha1::new();
    running.update(&room[start..]);
    for part in parts {
        running.update(part);
    }
    running.finish()
}

/// Gives the SHA-256 of `parts`, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut sum = [0; 32];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

/// Writes bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

/// A SHA-1 in steps, for the trailers of packs and indexes.
pub(super) struct RunningSha1(digest::Context);

impl RunningSha1 {
    /// Starts with nothing.
    pub(super) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Gives the sum of all bytes taken.
    pub(super) fn finish(self) -> ObjectId {
        to_id(self.0.finish())
    }
}

fn sha1(bytes: &[u8]) -> ObjectId {
    to_id(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes))
}

fn to_id(sum: digest::Digest) -> ObjectId {
    let mut id = ObjectId::default();
    id.0.copy_from_slice(sum.as_ref());
    id
}

/// Writes an object's header to the end of `room`, so that it touches the content behind, and gives where it starts.
fn write_header(room: &mut [u8; HEADROOM], kind: ObjectKind, length: usize) -> usize {
    let mut start = HEADROOM - 1;
    room[start] = 0;
    let mut rest = length;
    loop {
        start -= 1;
        room[start] = b"0123456789"[rest % 10];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    start -= 1;
    room[start] = b' ';
    let name = kind.name().as_bytes();
    room[start - name.len()..start].copy_from_slice(name);
    start - name.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_that_git_gives() {
        let empty_blob = object_id(ObjectKind::Blob, &[]);
        assert_eq!(
            empty_blob.to_string(),
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
        );
        let empty_tree = object_id(ObjectKind::Tree, &[b""]);
        assert_eq!(
            empty_tree.to_string(),
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        );
    }

    #[test]
    fn parts_buffer_and_steps_agree_at_every_length() {
        let text: Vec<u8> = (0..=255).cycle().take(3 * COPY_LIMIT).collect();
        let mut buffer = ObjectBuffer::new();
        for length in [
            0,
            1,
            9,
            10,
            55,
            64,
            100,
            1_400,
            COPY_LIMIT - 1,
            COPY_LIMIT,
            COPY_LIMIT + 1,
            40_000,
        ] {
            let content = &text[..length];
            let (left, right) = content.split_at(length / 3);
            let git2_id = git2::Oid::hash_object(git2::ObjectType::Commit, content)
                .unwrap()
                .to_string();
            assert_eq!(
                object_id(ObjectKind::Commit, &[left, right]).to_string(),
                git2_id
            );
            buffer.start().extend_from_slice(content);
            assert_eq!(buffer.id(ObjectKind::Commit).to_string(), git2_id);
            assert_eq!(buffer.content(), content);
        }
    }

    #[test]
    fn sha256_is_the_usual_one() {
        let sum = sha256(&[b"hello,", b" world"]);
        assert_eq!(sum[..4], [0x09, 0xca, 0x7e, 0x4e]);
    }
}
