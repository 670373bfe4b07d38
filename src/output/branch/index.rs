//! The index of a pack: ids, checksums and offsets of its entries → the bytes of the `.idx` file, version 2.
//!
//! The bytes are those that `git index-pack` writes for the same pack (`Documentation/gitformat-pack.txt`). Since the
//! pack's own checksum stands at the very end, everything before it can be made while the pack is being written.
//!
//! Never reads a pack.

use rayon::slice::ParallelSliceMut as _;

use super::hash::{ObjectId, RunningSha1};

const SIGNATURE: [u8; 8] = [0xff, b't', b'O', b'c', 0, 0, 0, 2];
/// The first offset that needs the table of long offsets; in the short table this bit says so.
const LONG_OFFSET: u32 = 0x8000_0000;

/// Two entries of a pack hold the same object, which git refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object {0} was added to the pack twice")]
pub struct DuplicateObject(pub ObjectId);

/// Where an entry lies in a pack. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Bytes from the start of the pack (in a segment: of the segment) to the entry.
    pub offset: u64,
    /// CRC-32 of the entry as it stands in the pack.
    pub checksum: u32,
    /// The object.
    pub id: ObjectId,
}

impl IndexEntry {
    /// Gives the first eight bytes of the id, to compare by before the rest is looked at.
    fn prefix(&self) -> u64 {
        self.id
            .0
            .first_chunk()
            .map_or(0, |prefix| u64::from_be_bytes(*prefix))
    }
}

/// An index that lacks only the checksum of its pack.
pub struct UnsealedIndex {
    bytes: Vec<u8>,
    sum: RunningSha1,
}

impl UnsealedIndex {
    /// Sorts the entries (on all cores when there are many) and writes the tables.
    pub fn new(mut entries: Vec<IndexEntry>) -> Result<Self, DuplicateObject> {
        entries.par_sort_unstable_by(|left, right| {
            left.prefix()
                .cmp(&right.prefix())
                .then_with(|| left.id.cmp(&right.id))
        });
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(DuplicateObject(pair[0].id));
        }
        let bytes = write_tables(&entries);
        let mut sum = RunningSha1::new();
        sum.update(&bytes);
        Ok(Self { bytes, sum })
    }

    /// Gives the whole index of the pack with this checksum (the pack's last twenty bytes).
    pub fn seal(mut self, pack_checksum: ObjectId) -> Vec<u8> {
        self.sum.update(&pack_checksum.0);
        self.bytes.extend_from_slice(&pack_checksum.0);
        self.bytes.extend_from_slice(&self.sum.finish().0);
        self.bytes
    }
}

/// Writes everything before the two trailing checksums; `entries` are sorted.
fn write_tables(entries: &[IndexEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + 256 * 4 + entries.len() * 28 + 40);
    bytes.extend_from_slice(&SIGNATURE);
    let mut counts = [0_u32; 256];
    for entry in entries {
        counts[usize::from(entry.id.0[0])] += 1;
    }
    let mut total = 0;
    for count in counts {
        total += count;
        bytes.extend_from_slice(&total.to_be_bytes());
    }
    for entry in entries {
        bytes.extend_from_slice(&entry.id.0);
    }
    for entry in entries {
        bytes.extend_from_slice(&entry.checksum.to_be_bytes());
    }
    write_offsets(entries, &mut bytes);
    bytes
}

/// Writes the table of 31-bit offsets, and behind it the one for those that are longer.
fn write_offsets(entries: &[IndexEntry], bytes: &mut Vec<u8>) {
    let mut long_offsets = Vec::new();
    let mut long_count = 0;
    for entry in entries {
        let short = u32::try_from(entry.offset)
            .ok()
            .filter(|offset| *offset < LONG_OFFSET);
        let written = short.unwrap_or_else(|| {
            long_offsets.extend_from_slice(&entry.offset.to_be_bytes());
            long_count += 1;
            LONG_OFFSET | (long_count - 1)
        });
        bytes.extend_from_slice(&written.to_be_bytes());
    }
    bytes.extend_from_slice(&long_offsets);
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn entry(first: u8, last: u8, offset: u64) -> IndexEntry {
        let mut id = ObjectId::default();
        (id.0[0], id.0[19]) = (first, last);
        IndexEntry {
            offset,
            checksum: u32::from(last) + 0xabcd_0000,
            id,
        }
    }

    #[test]
    fn git_finds_every_object_even_beyond_two_gigabytes() {
        let entries = [
            entry(255, 1, 12),
            entry(7, 2, 0x7fff_ffff),
            entry(7, 1, 0x8000_0000),
            entry(0, 9, 0x12_3456_789a),
        ];
        let bytes = UnsealedIndex::new(entries.to_vec())
            .unwrap()
            .seal(ObjectId([5; 20]));
        let mut git = Command::new("git")
            .arg("show-index")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin.take().unwrap().write_all(&bytes).unwrap();
        let shown = String::from_utf8(git.wait_with_output().unwrap().stdout).unwrap();
        let mut wanted: Vec<_> = entries.to_vec();
        wanted.sort_by_key(|entry| entry.id);
        let lines = wanted
            .iter()
            .map(|e| format!("{} {} ({:08x})\n", e.offset, e.id, e.checksum));
        assert_eq!(shown, lines.collect::<String>());
    }

    #[test]
    fn an_object_that_was_added_twice_is_named() {
        let twice = vec![entry(3, 4, 12), entry(1, 1, 50), entry(3, 4, 90)];
        let error = UnsealedIndex::new(twice).err().unwrap();
        assert!(
            error
                .to_string()
                .contains("0300000000000000000000000000000000000004")
        );
    }
}
