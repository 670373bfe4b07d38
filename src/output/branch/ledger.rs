//! What of a build is to be written: each object once, and none that the repository has.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use rayon::slice::ParallelSliceMut as _;

use super::build::Statistics;
use super::hash::{ObjectId, ObjectKind};
use super::pack::PackSegment;

/// A set of ids, which need no hashing: they are hashes.
pub(super) type IdSet = HashSet<ObjectId, BuildHasherDefault<IdHasher>>;
/// A map by ids.
pub(super) type IdMap<T> = HashMap<ObjectId, T, BuildHasherDefault<IdHasher>>;

/// A map by numbers that nobody chooses to do harm.
pub(super) type NumberMap = HashMap<u64, u32, BuildHasherDefault<NumberHasher>>;

/// Spreads the bits of one number.
#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The odd number next to 2^64 divided by the golden ratio.
        let spread = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Takes the first eight bytes of an id as its hash.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .first_chunk()
            .map_or(0, |first| u64::from_le_bytes(*first));
    }

    /// The length of an id tells nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Knows which objects need not be written.
pub(super) struct Ledger<'a> {
    known: &'a HashSet<ObjectId>,
    claimed: Option<Mutex<IdSet>>,
}

impl<'a> Ledger<'a> {
    /// Leaves out what is known. That different files or folders are equal is not expected, and not looked for.
    pub(super) fn hopeful(known: &'a HashSet<ObjectId>) -> Self {
        Self {
            known,
            claimed: None,
        }
    }

    /// Leaves out what is known and what was written before, wherever.
    pub(super) fn strict(known: &'a HashSet<ObjectId>) -> Self {
        Self {
            known,
            claimed: Some(Mutex::default()),
        }
    }

    /// Tells whether the caller is to write this object.
    pub(super) fn claim(&self, id: ObjectId) -> bool {
        !self.known.contains(&id)
            && self.claimed.as_ref().is_none_or(|claimed| {
                let mut claimed = claimed.lock().unwrap_or_else(PoisonError::into_inner);
                claimed.insert(id)
            })
    }
}

/// New objects on their way into the pack.
#[derive(Default)]
pub(super) struct Harvest {
    /// The objects.
    pub(super) segments: Vec<PackSegment>,
    /// What they are; `files` is left alone.
    pub(super) statistics: Statistics,
}

impl Harvest {
    /// Counts a new object.
    pub(super) fn count(&mut self, kind: ObjectKind, bytes: usize) {
        match kind {
            ObjectKind::Blob => self.statistics.blobs += 1,
            _ => self.statistics.trees += 1,
        }
        self.statistics.bytes += bytes as u64;
    }

    /// Adds a segment unless it is empty.
    pub(super) fn with(mut self, segment: PackSegment) -> Self {
        if segment.objects() > 0 {
            self.segments.push(segment);
        }
        self
    }

    /// Adds what another task made.
    pub(super) fn absorb(&mut self, other: Self) {
        self.segments.extend(other.segments);
        self.statistics.blobs += other.statistics.blobs;
        self.statistics.trees += other.statistics.trees;
        self.statistics.bytes += other.statistics.bytes;
    }

    /// Tells whether an object may be there twice: certainly when it is, and by chance once in ten million packs.
    pub(super) fn may_repeat(&self) -> bool {
        let ids = self.segments.iter().flat_map(PackSegment::ids);
        let mut starts: Vec<u64> = ids
            .map(|id| {
                id.0.first_chunk()
                    .map_or(0, |first| u64::from_le_bytes(*first))
            })
            .collect();
        starts.par_sort_unstable();
        starts.windows(2).any(|pair| pair[0] == pair[1])
    }
}
