//! A file behind a cache: records that are only ever appended, each with its length and checksum.
//!
//! ```text
//! header line, generation │ length, checksum, blob id, payload │ length, checksum, blob id, payload │ …
//! ```
//!
//! Whatever is damaged is as good as absent: reading stops there, and the next write cuts it off. Several processes may
//! use one file; writers take turns by a lock on it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use rayon::prelude::*;

use crate::model::BlobId;

/// What a file holds: another sort, or another version of Stellate, has another file.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// The first word of the file's name.
    word: &'static str,
    /// First line of the file.
    header: &'static str,
    /// Its name.
    name: &'static str,
    /// Whether records are few and large: then they are found by leaps, not by reading everything.
    large: bool,
}

/// Parsed files.
pub const PARSED: Sort = Sort {
    word: "parsed-",
    header: concat!("stellate parsed 2 ", env!("CARGO_PKG_VERSION"), "\n"),
    name: concat!("parsed-2-", env!("CARGO_PKG_VERSION"), ".bin"),
    large: false,
};

/// What was built into generated commits.
pub const BUILT: Sort = Sort {
    word: "built-",
    header: concat!("stellate built 1 ", env!("CARGO_PKG_VERSION"), "\n"),
    name: concat!("built-1-", env!("CARGO_PKG_VERSION"), ".bin"),
    large: true,
};

/// After the header line: another number whenever the file is written anew.
const GENERATION: usize = 8;

/// Length, checksum and id before each payload.
const PREFIX: usize = 4 + 4 + 20;

/// Below this size nothing is gained by writing the file anew.
const COMPACT_FROM: u64 = 1 << 20;

/// Where a payload lies in the file.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    length: u32,
    checksum: u32,
    used: bool,
}

/// The file, opened when it is first needed.
#[derive(Debug)]
pub struct Disk {
    sort: Sort,
    folder: PathBuf,
    spans: HashMap<BlobId, Span>,
    /// The generation that `spans` belong to.
    generation: [u8; GENERATION],
    /// Where the last good record ends.
    end: u64,
    loaded: bool,
}

impl Disk {
    /// Names the file's folder. Nothing is read or created yet.
    pub fn new(sort: Sort, folder: PathBuf) -> Self {
        Self {
            sort,
            folder,
            spans: HashMap::new(),
            generation: [0; GENERATION],
            end: 0,
            loaded: false,
        }
    }

    /// Tells whether a blob's record is there.
    pub fn contains(&self, blob: BlobId) -> bool {
        self.spans.contains_key(&blob)
    }

    /// Forgets a record whose payload is of no use.
    pub fn forget(&mut self, blob: BlobId) {
        self.spans.remove(&blob);
    }

    /// Tells whether a blob's record is there, and counts it as used when it is.
    pub fn uses(&mut self, blob: BlobId) -> bool {
        let span = self.spans.get_mut(&blob);
        span.map(|span| span.used = true).is_some()
    }

    /// Takes all other records for waste: the file is written anew without them when they are most of it.
    pub fn use_only(&mut self, wanted: &HashSet<BlobId>) {
        for (blob, span) in &mut self.spans {
            span.used = wanted.contains(blob);
        }
    }

    /// Gives the payloads of those `wanted` blobs that are there.
    pub fn read(&mut self, wanted: &[BlobId]) -> HashMap<BlobId, Vec<u8>> {
        let found = match (std::mem::replace(&mut self.loaded, true), self.sort.large) {
            (true, _) => Ok(self.read_some(wanted)),
            (false, true) => self.leap().map(|()| self.read_some(wanted)),
            (false, false) => self.read_all(wanted),
        };
        found.unwrap_or_default()
    }

    /// Reads the whole file, as the first question most often asks for all of it.
    fn read_all(&mut self, wanted: &[BlobId]) -> io::Result<HashMap<BlobId, Vec<u8>>> {
        let bytes = fs::read(self.path())?;
        let Some(generation) = self.generation_of(&bytes) else {
            return Ok(HashMap::new());
        };
        self.generation = generation;
        (self.spans, self.end) = scan(&bytes, self.first());
        let mut found = HashMap::new();
        for blob in wanted {
            let Some(span) = self.spans.get_mut(blob) else {
                continue;
            };
            let payload = slice(&bytes, *span).unwrap_or_default();
            if checksum(*blob, payload) == span.checksum {
                span.used = true;
                found.insert(*blob, payload.to_vec());
            } else {
                self.spans.remove(blob);
            }
        }
        Ok(found)
    }

    /// Finds all records, by their lengths.
    fn leap(&mut self) -> io::Result<()> {
        let mut file = File::open(self.path())?;
        let length = file.metadata()?.len();
        let mut head = vec![0; self.first()];
        file.read_exact(&mut head)?;
        let Some(generation) = self.generation_of(&head) else {
            return Ok(());
        };
        self.generation = generation;
        self.end = u64::try_from(self.first()).unwrap_or_default();
        let mut prefix = [0; PREFIX];
        while file.read_exact(&mut prefix).is_ok() {
            let Some((blob, span)) = read_prefix(&prefix, self.end) else {
                break;
            };
            let next = span.start + u64::from(span.length);
            if next > length {
                break;
            }
            self.spans.insert(blob, span);
            self.end = file.seek(SeekFrom::Start(next))?;
        }
        Ok(())
    }

    /// Reads single records.
    fn read_some(&mut self, wanted: &[BlobId]) -> HashMap<BlobId, Vec<u8>> {
        let mut found = HashMap::new();
        let known = wanted
            .iter()
            .filter_map(|blob| Some((*blob, *self.spans.get(blob)?)));
        let known: Vec<(BlobId, Span)> = known.collect();
        let path = self.path();
        let payloads: Vec<Option<Vec<u8>>> = known
            .par_iter()
            .map_init(
                || File::open(&path).ok(),
                |file, (blob, span)| read_record(file.as_mut()?, *blob, *span),
            )
            .collect();
        for ((blob, span), payload) in known.into_iter().zip(payloads) {
            match payload {
                Some(payload) => {
                    self.spans.insert(blob, Span { used: true, ..span });
                    found.insert(blob, payload);
                }
                None => self.forget(blob),
            }
        }
        found
    }

    /// Appends records; writes the file anew when most of it is no longer asked for.
    pub fn append(&mut self, records: &[(BlobId, Vec<u8>)]) -> io::Result<()> {
        if records.is_empty() && !self.wastes() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // Sources may hold Secrets: what is kept of them is nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(self.path())?;
        // Released when the file is closed.
        file.lock()?;
        self.catch_up(&mut file)?;
        let mut bytes = Vec::new();
        for (blob, payload) in records {
            if self.spans.contains_key(blob) {
                continue;
            }
            self.record(&mut bytes, *blob, payload)?;
        }
        file.set_len(self.end)?;
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(&bytes)?;
        self.end += u64::try_from(bytes.len()).unwrap_or_default();
        self.loaded = true;
        if self.wastes() {
            self.compact(&mut file)?;
        }
        Ok(())
    }

    /// Reads what others appended since, and finds the end of the last good record.
    fn catch_up(&mut self, file: &mut File) -> io::Result<()> {
        let mut head = Vec::with_capacity(self.first());
        let first = u64::try_from(self.first()).unwrap_or_default();
        (&mut *file).take(first).read_to_end(&mut head)?;
        let Some(generation) = self.generation_of(&head) else {
            // Empty, or nothing of ours: begun anew.
            self.spans.clear();
            let head = self.new_generation();
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&head)?;
            self.end = first;
            return Ok(());
        };
        if generation != self.generation || file.metadata()?.len() < self.end {
            // Written anew by another process, or cut: nothing known is where it was.
            self.spans.clear();
            self.generation = generation;
            self.end = first;
        }
        file.seek(SeekFrom::Start(self.end))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let (spans, length) = scan(&tail, 0);
        for (blob, span) in spans {
            let start = self.end + span.start;
            self.spans.insert(blob, Span { start, ..span });
        }
        self.end += length;
        Ok(())
    }

    /// Adds a record to `bytes`, which will stand at the file's end.
    fn record(&mut self, bytes: &mut Vec<u8>, blob: BlobId, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let checksum = checksum(blob, payload);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&blob.0);
        let start = self.end + u64::try_from(bytes.len()).unwrap_or_default();
        bytes.extend_from_slice(payload);
        let span = Span {
            start,
            length,
            checksum,
            used: true,
        };
        self.spans.insert(blob, span);
        Ok(())
    }

    /// Tells whether more than half of the file is of no use to anybody who asked this process.
    fn wastes(&self) -> bool {
        let used = self.spans.values().filter(|span| span.used);
        let used: u64 = used.map(|span| u64::from(span.length)).sum();
        self.end > COMPACT_FROM && used < self.end / 2
    }

    /// Writes the used records to a new file that takes the old one's place at once.
    fn compact(&mut self, file: &mut File) -> io::Result<()> {
        let mut used: Vec<(BlobId, Span)> = self.spans.drain().collect();
        used.retain(|(_, span)| span.used);
        used.sort_by_key(|(_, span)| span.start);
        let mut bytes = self.new_generation();
        self.end = 0;
        for (blob, span) in used {
            if let Some(payload) = read_record(file, blob, span) {
                self.record(&mut bytes, blob, &payload)?;
            }
        }
        self.end = u64::try_from(bytes.len()).unwrap_or_default();
        let mut fresh = tempfile::NamedTempFile::new_in(&self.folder)?;
        fresh.write_all(&bytes)?;
        fresh.persist(self.path())?;
        self.remove_others();
        Ok(())
    }

    /// Begins a new generation; gives the head of its file.
    fn new_generation(&mut self) -> Vec<u8> {
        self.generation = RandomState::new().hash_one(self.sort.name).to_le_bytes();
        [self.sort.header.as_bytes(), &self.generation].concat()
    }

    fn path(&self) -> PathBuf {
        self.folder.join(self.sort.name)
    }

    /// Where the first record begins.
    fn first(&self) -> usize {
        self.sort.header.len() + GENERATION
    }

    /// Reads the generation; none in a file that is not ours.
    fn generation_of(&self, bytes: &[u8]) -> Option<[u8; GENERATION]> {
        let rest = bytes.strip_prefix(self.sort.header.as_bytes())?;
        rest.first_chunk().copied()
    }

    /// Removes what other versions of Stellate left. A running one goes on without.
    fn remove_others(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = name.starts_with(self.sort.word) && name.ends_with(".bin");
            if ours && name != self.sort.name {
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

/// Finds all records from `start` on, and where the last good one ends. Checksums are looked at when a record is used.
fn scan(bytes: &[u8], start: usize) -> (HashMap<BlobId, Span>, u64) {
    let mut spans = HashMap::new();
    let mut position = start;
    while let Some(span) = record_at(bytes, position) {
        let (blob, span, next) = span;
        spans.insert(blob, span);
        position = next;
    }
    (spans, u64::try_from(position).unwrap_or_default())
}

/// Reads a record's prefix; none when the record is not there as a whole.
fn record_at(bytes: &[u8], position: usize) -> Option<(BlobId, Span, usize)> {
    let prefix = bytes.get(position..)?.first_chunk()?;
    let (blob, span) = read_prefix(prefix, u64::try_from(position).ok()?)?;
    let next = (position + PREFIX).checked_add(usize::try_from(span.length).ok()?)?;
    (next <= bytes.len()).then_some((blob, span, next))
}

/// Reads what stands before a payload, at a position in the file.
fn read_prefix(prefix: &[u8; PREFIX], position: u64) -> Option<(BlobId, Span)> {
    let (length, rest) = prefix.split_first_chunk()?;
    let (checksum, blob) = rest.split_first_chunk()?;
    let span = Span {
        start: position + u64::try_from(PREFIX).ok()?,
        length: u32::from_le_bytes(*length),
        checksum: u32::from_le_bytes(*checksum),
        used: false,
    };
    Some((BlobId(blob.try_into().ok()?), span))
}

fn slice(bytes: &[u8], span: Span) -> Option<&[u8]> {
    let start = usize::try_from(span.start).ok()?;
    bytes.get(start..start + usize::try_from(span.length).ok()?)
}

fn read_record(file: &mut File, blob: BlobId, span: Span) -> Option<Vec<u8>> {
    let mut payload = vec![0; usize::try_from(span.length).ok()?];
    file.seek(SeekFrom::Start(span.start)).ok()?;
    file.read_exact(&mut payload).ok()?;
    (checksum(blob, &payload) == span.checksum).then_some(payload)
}

fn checksum(blob: BlobId, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&blob.0);
    hasher.update(payload);
    hasher.finalize()
}
