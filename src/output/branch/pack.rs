//! Packs: objects and deltas → a pack of version 2 and its index, as fast as bytes can be hashed.
//!
//! A [`PackSegment`] is a run of entries that stands on its own: a delta names its base by distance, and the base is
//! in the same segment. So segments are filled independently, one a thread, and [`assemble`] joins them in their order.
//! Payloads are *stored*, not deflated: deflating costs ten times what hashing does, and deltas leave little to gain.
//!
//! ```text
//! pack    = "PACK" version count · entry… · SHA-1 of all before
//! entry   = kind and length · for a delta: distance to the base · zlib stream
//! ```
//!
//! The format is git's (`Documentation/gitformat-pack.txt`; zlib and stored blocks: RFC 1950 and RFC 1951).
//! Never searches for deltas, never looks whether an object is there already, never opens a file.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};

use super::delta::{Delta, low_byte};
use super::hash::{ObjectId, ObjectKind, RunningSha1, object_id};
use super::index::{DuplicateObject, IndexEntry, UnsealedIndex};

/// The code of an entry that is a delta against an entry before it.
const OFFSET_DELTA: u8 = 6;
/// The most bytes before an entry's payload: ten each for length and distance.
const HEADER_LIMIT: usize = 20;
/// The most bytes in one stored block.
const BLOCK_LIMIT: usize = 0xffff;
/// Sizes of the pieces in which a segment grows: small for few objects, never copied for many.
const FIRST_CHUNK: usize = 32 * 1024;
const GREATEST_CHUNK: usize = 1024 * 1024;

/// Why a pack could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The format counts objects in 32 bits.
    #[error("a pack holds at most 4294967295 objects, not {0}")]
    TooManyObjects(usize),
    /// An object was added twice; the pack that was written is of no use.
    #[error(transparent)]
    Duplicate(#[from] DuplicateObject),
    /// The pack could not be written to where it should go.
    #[error("the pack could not be written: {0}")]
    Write(#[from] io::Error),
}

/// What [`assemble`] made.
#[derive(Clone, Debug)]
pub struct FinishedPack {
    /// The SHA-1 at the pack's end, by which git names `pack-<checksum>.pack` and `.idx`.
    pub checksum: ObjectId,
    /// How many objects the pack holds.
    pub objects: u32,
    /// Bytes of the whole pack.
    pub length: u64,
    /// The bytes of the pack's index.
    pub index: Vec<u8>,
}

/// Writes a pack that holds all segments, in their order, to `out`, and makes its index meanwhile.
///
/// A segment's memory is given back as soon as it is written. Nothing is buffered and `out` is not flushed. A
/// [`PackError::Duplicate`] comes after the bytes have been written.
pub fn assemble(
    segments: Vec<PackSegment>,
    out: &mut (dyn Write + Send),
) -> Result<FinishedPack, PackError> {
    let count = segments.iter().map(|segment| segment.entries.len()).sum();
    let objects = u32::try_from(count).map_err(|_| PackError::TooManyObjects(count))?;
    let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
    header[8..].copy_from_slice(&objects.to_be_bytes());

    let mut entries = Vec::with_capacity(count);
    let mut bodies = Vec::with_capacity(segments.len());
    let mut length = header.len() as u64;
    for segment in segments {
        let start = length;
        let shifted = |entry: IndexEntry| IndexEntry {
            offset: entry.offset + start,
            ..entry
        };
        entries.extend(segment.entries.into_iter().map(shifted));
        bodies.push(segment.chunks);
        length += segment.length;
    }
    let chunks = bodies.into_iter().flatten();
    let (written, index) = rayon::join(
        || write_pack(&header, chunks, out),
        || UnsealedIndex::new(entries),
    );
    let checksum = written?;
    Ok(FinishedPack {
        checksum,
        objects,
        length: length + 20,
        index: index?.seal(checksum),
    })
}

fn write_pack(
    header: &[u8],
    chunks: impl Iterator<Item = Vec<u8>>,
    out: &mut dyn Write,
) -> io::Result<ObjectId> {
    let mut sum = RunningSha1::new();
    sum.update(header);
    out.write_all(header)?;
    for chunk in chunks {
        sum.update(&chunk);
        out.write_all(&chunk)?;
    }
    let checksum = sum.finish();
    out.write_all(&checksum.0)?;
    Ok(checksum)
}

/// Where an entry starts in its segment: what a delta in the same segment names its base by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryPosition(u64);

/// When objects that stand in full are deflated. By default none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// Objects of this many bytes and more are deflated; shorter ones are stored.
    pub at_least: usize,
    /// 1 (fast) to 9 (small).
    pub level: u32,
}

/// A run of pack entries that stands on its own, in any pack, at any place.
///
/// Memory is the entries' bytes, and 32 bytes an entry. The caller sees to it that no object is added twice.
#[derive(Default)]
pub struct PackSegment {
    /// The entries' bytes; no entry lies in two chunks.
    chunks: Vec<Vec<u8>>,
    /// Bytes in all chunks.
    length: u64,
    entries: Vec<IndexEntry>,
    deflater: Option<Deflater>,
}

impl PackSegment {
    /// Gives a segment without entries that stores all payloads.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a segment without entries that deflates large objects.
    pub fn with_deflate(deflate: Deflate) -> Self {
        Self {
            deflater: Some(Deflater::new(deflate)),
            ..Self::default()
        }
    }

    /// Gives the number of entries.
    pub fn objects(&self) -> usize {
        self.entries.len()
    }

    /// Gives the ids of the entries, in their order.
    pub(super) fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.entries.iter().map(|entry| entry.id)
    }

    /// Gives the bytes of all entries, as they will stand in the pack.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds an object in full. `id` is the object's; it is not checked.
    pub fn add_full(&mut self, kind: ObjectKind, id: ObjectId, content: &[u8]) -> EntryPosition {
        let code = match kind {
            ObjectKind::Commit => 1,
            ObjectKind::Tree => 2,
            ObjectKind::Blob => 3,
            ObjectKind::Tag => 4,
        };
        let mut deflater = self.deflater.take();
        let deflated = deflater
            .as_mut()
            .and_then(|deflater| deflater.deflate(content));
        let chunk = self.room(deflated.map_or(stored_length(content.len()), <[u8]>::len));
        let start = chunk.len();
        push_entry_header(chunk, code, content.len());
        match deflated {
            Some(stream) => chunk.extend_from_slice(stream),
            None => push_stored(chunk, content),
        }
        self.deflater = deflater;
        self.end_entry(id, start)
    }

    /// Adds an object as a delta against an entry of this segment, which may itself be a delta.
    ///
    /// Neither `id` nor that `delta` fits the base is checked.
    ///
    /// # Panics
    /// When `base` is no position of this segment because it lies behind its end.
    pub fn add_delta(&mut self, id: ObjectId, base: EntryPosition, delta: &Delta) -> EntryPosition {
        let payload = delta.as_bytes();
        let distance = self
            .length
            .checked_sub(base.0)
            .filter(|distance| *distance > 0);
        let distance = distance.expect("a delta follows its base in the same segment");
        debug_assert!(
            self.entries
                .binary_search_by_key(&base.0, |entry| entry.offset)
                .is_ok()
        );
        let chunk = self.room(stored_length(payload.len()));
        let start = chunk.len();
        push_entry_header(chunk, OFFSET_DELTA, payload.len());
        push_distance(chunk, distance);
        push_stored(chunk, payload);
        self.end_entry(id, start)
    }

    /// Adds an object as a delta when that is shorter, else in full. `content` is the delta's result.
    pub fn add_sibling(
        &mut self,
        kind: ObjectKind,
        id: ObjectId,
        content: &[u8],
        base: EntryPosition,
        delta: &Delta,
    ) -> EntryPosition {
        // The distance to the base takes three or four bytes.
        if delta.as_bytes().len() + 4 < content.len() {
            self.add_delta(id, base, delta)
        } else {
            self.add_full(kind, id, content)
        }
    }

    /// Gives a chunk that takes an entry whose zlib stream has this many bytes without growing.
    fn room(&mut self, stream_length: usize) -> &mut Vec<u8> {
        let needed = HEADER_LIMIT + stream_length;
        let fits = self
            .chunks
            .last()
            .is_some_and(|chunk| chunk.capacity() - chunk.len() >= needed);
        if !fits {
            let size = self
                .chunks
                .last()
                .map_or(FIRST_CHUNK, |chunk| 2 * chunk.capacity());
            self.chunks
                .push(Vec::with_capacity(size.min(GREATEST_CHUNK).max(needed)));
        }
        let last = self.chunks.len() - 1;
        &mut self.chunks[last]
    }

    /// Notes the entry that was written to the last chunk from `start` on.
    fn end_entry(&mut self, id: ObjectId, start: usize) -> EntryPosition {
        let bytes = self.chunks.last().map_or(&[][..], |chunk| &chunk[start..]);
        let position = EntryPosition(self.length);
        self.entries.push(IndexEntry {
            offset: self.length,
            checksum: crc32fast::hash(bytes),
            id,
        });
        self.length += bytes.len() as u64;
        position
    }
}

/// Adds objects in full, each distinct one once: for the few beside the many.
#[derive(Default)]
pub struct ObjectWriter {
    segment: PackSegment,
    written: std::collections::HashSet<ObjectId>,
}

impl ObjectWriter {
    /// Adds an object unless it is there, and gives its id.
    pub fn add(&mut self, kind: ObjectKind, content: &[u8]) -> ObjectId {
        let id = object_id(kind, &[content]);
        if self.written.insert(id) {
            self.segment.add_full(kind, id, content);
        }
        id
    }

    /// Gives the entries.
    pub fn into_segment(self) -> PackSegment {
        self.segment
    }
}

/// Writes an entry's kind and the length of its content, lowest bits first: four beside the kind, then seven a byte.
fn push_entry_header(bytes: &mut Vec<u8>, code: u8, length: usize) {
    let mut byte = code << 4 | (low_byte(length) & 0x0f);
    let mut rest = length >> 4;
    while rest > 0 {
        bytes.push(byte | 0x80);
        byte = low_byte(rest) & 0x7f;
        rest >>= 7;
    }
    bytes.push(byte);
}

/// Writes the distance to a base: highest bits first, and one is taken off before each further byte.
fn push_distance(bytes: &mut Vec<u8>, distance: u64) {
    let mut groups = [0; 10];
    let mut first = groups.len() - 1;
    let mut rest = distance;
    groups[first] = rest.to_le_bytes()[0] & 0x7f;
    while rest >= 0x80 {
        rest = (rest >> 7) - 1;
        first -= 1;
        groups[first] = 0x80 | (rest.to_le_bytes()[0] & 0x7f);
    }
    bytes.extend_from_slice(&groups[first..]);
}

/// Gives the length of what [`push_stored`] writes.
fn stored_length(length: usize) -> usize {
    2 + 5 * length.div_ceil(BLOCK_LIMIT).max(1) + length + 4
}

/// Writes a zlib stream of stored blocks.
fn push_stored(bytes: &mut Vec<u8>, content: &[u8]) {
    bytes.extend_from_slice(&[0x78, 0x01]);
    let mut rest = content;
    loop {
        let (block, later) = rest.split_at(rest.len().min(BLOCK_LIMIT));
        let [low, high, ..] = block.len().to_le_bytes();
        bytes.extend_from_slice(&[u8::from(later.is_empty()), low, high, !low, !high]);
        bytes.extend_from_slice(block);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    bytes.extend_from_slice(&adler2::adler32_slice(content).to_be_bytes());
}

/// Deflates objects one after the other, in memory that stays.
struct Deflater {
    at_least: usize,
    state: Compress,
    stream: Vec<u8>,
}

impl Deflater {
    fn new(deflate: Deflate) -> Self {
        let state = Compress::new(Compression::new(deflate.level.clamp(1, 9)), true);
        Self {
            at_least: deflate.at_least,
            state,
            stream: Vec::new(),
        }
    }

    /// Gives the content's zlib stream; `None` when it is to be stored, or would not be shorter.
    fn deflate(&mut self, content: &[u8]) -> Option<&[u8]> {
        if content.len() < self.at_least {
            return None;
        }
        self.state.reset();
        self.stream.clear();
        self.stream.reserve(content.len());
        let status = self
            .state
            .compress_vec(content, &mut self.stream, FlushCompress::Finish);
        let shorter = self.stream.len() < stored_length(content.len());
        (matches!(status, Ok(Status::StreamEnd)) && shorter).then_some(&self.stream)
    }
}
