//! What was parsed once is not parsed again: objects by the id of the file's bytes, in memory and on disk.
//!
//! Inputs are paths, blob ids and a way to the bytes; output is a [`ParsedBlob`] for each. The disk is a convenience:
//! it may be full, damaged, foreign or deleted at any time, and nothing but speed changes.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use rayon::prelude::*;

use crate::model::kinds::Kinds;
use crate::model::{BlobId, Diagnostic, RepoPath};

use super::git::ListingMemory;
use super::parse::{ParseError, ParsedBlob, parse};
use super::read::{ReadSource, SourceRequest};
use super::select::Selection;

mod codec;
pub mod disk;

use disk::Disk;

/// So many bytes are handed to another thread at a time.
const BATCH: usize = 256 << 10;

/// Parsed files by the id of their bytes.
#[derive(Debug)]
pub struct ParsedCache {
    memory: HashMap<BlobId, Entry>,
    disk: Option<Disk>,
    /// Counts the calls of [`ParsedCache::save`].
    round: u64,
    /// What folders of the repository held.
    pub(super) listings: ListingMemory,
    /// What was read last.
    pub(super) last: Option<LastRead>,
}

/// A source as it was read last: what is equal to it is not put together again.
#[derive(Debug)]
pub(super) struct LastRead {
    /// What was asked for.
    pub(super) request: SourceRequest,
    /// The id of the git tree that was read; none for a folder.
    pub(super) tree: Option<git2::Oid>,
    /// The manifests.
    pub(super) files: Vec<(RepoPath, BlobId)>,
    /// What was passed over by its name, and why.
    pub(super) passed: Vec<(RepoPath, &'static str)>,
    /// What was passed over and worth telling.
    pub(super) findings: Vec<Diagnostic>,
    /// What came of it.
    pub(super) read: ReadSource,
    /// Which files count.
    pub(super) selection: Selection,
    /// The kinds that are known beforehand, and those that the source defines.
    pub(super) kinds: Arc<Kinds>,
    /// Whether every file stands for itself: no tool built any, and there are no links.
    pub(super) plain: bool,
}

impl LastRead {
    /// Tells whether the same was asked for of the same place, whatever the revision.
    pub(super) fn answers(&self, request: &SourceRequest) -> bool {
        self.request.place.is_beside(&request.place)
            && self.request.paths == request.paths
            && self.request.kinds == request.kinds
            && self.request.hydrate == request.hydrate
    }
}

#[derive(Debug)]
struct Entry {
    parsed: Arc<ParsedBlob>,
    /// The round in which it was last asked for.
    used: u64,
    /// Whether the disk should get it.
    fresh: bool,
}

impl ParsedCache {
    /// Opens the cache in a folder, one folder for each source; in memory alone when there is none.
    ///
    /// Nothing is read or created yet, so this cannot fail.
    pub fn open(folder: Option<PathBuf>) -> Self {
        Self {
            memory: HashMap::new(),
            disk: folder.map(|folder| Disk::new(disk::PARSED, folder)),
            round: 0,
            listings: ListingMemory::default(),
            last: None,
        }
    }

    /// Gives the parsed form of each file, in the order of `files`.
    ///
    /// `read` is asked for the bytes that are not known yet, one after the other in the order of `files`, which should
    /// be the order of their paths: git packs are read fastest that way. Parsing goes on beside it on all cores.
    ///
    /// What cannot be read is a broken file in the result, and asked for again the next time.
    pub fn get_or_parse<E: Display>(
        &mut self,
        files: &[(RepoPath, BlobId)],
        mut read: impl FnMut(&RepoPath, BlobId) -> Result<Vec<u8>, E>,
    ) -> Vec<Arc<ParsedBlob>> {
        let mut seen = HashSet::new();
        let missing = files
            .iter()
            .filter(|(_, blob)| !self.memory.contains_key(blob));
        let mut missing: Vec<&(RepoPath, BlobId)> =
            missing.filter(|(_, blob)| seen.insert(*blob)).collect();
        if !missing.is_empty() {
            self.load(&missing);
            missing.retain(|(_, blob)| !self.memory.contains_key(blob));
        }
        let (parsed, unread) = parse_all(&missing, &mut read);
        for (blob, parsed) in parsed {
            self.remember(blob, parsed, true);
        }
        let round = self.round;
        let all = files.iter().map(|(_, blob)| {
            let entry = self.memory.get_mut(blob).map(|entry| {
                entry.used = round;
                Arc::clone(&entry.parsed)
            });
            entry
                .or_else(|| unread.get(blob).cloned())
                .unwrap_or_default()
        });
        all.collect()
    }

    /// Writes what is new to the disk, and forgets in memory what was not asked for since the last call.
    ///
    /// The disk's refusal is a note, never an error.
    pub fn save(&mut self) -> Vec<Diagnostic> {
        let refusal = self.write();
        let round = self.round;
        self.memory.retain(|_, entry| entry.used == round);
        self.round += 1;
        refusal.into_iter().collect()
    }

    /// Forgets a file in memory.
    pub(super) fn forget(&mut self, blob: BlobId) {
        self.memory.remove(&blob);
    }

    /// Writes what is new to the disk.
    pub(super) fn write(&mut self) -> Option<Diagnostic> {
        let fresh = self.memory.iter_mut().filter(|(_, entry)| entry.fresh);
        let mut records: Vec<(BlobId, Vec<u8>)> = Vec::new();
        for (blob, entry) in fresh {
            entry.fresh = false;
            if let Some(disk) = &self.disk
                && !disk.contains(*blob)
                && let Some(payload) = codec::encode(&entry.parsed)
            {
                records.push((*blob, payload));
            }
        }
        records.sort();
        let written = self
            .disk
            .as_mut()
            .map_or(Ok(()), |disk| disk.append(&records));
        let text = format!("the cache cannot be written: {}", written.err()?);
        let help = "free some space or name another cache folder; only speed is lost";
        Some(Diagnostic::note("CacheNotWritten", text).help(help))
    }

    /// Takes what the disk has.
    fn load(&mut self, missing: &[&(RepoPath, BlobId)]) {
        let Some(disk) = &mut self.disk else { return };
        let wanted: Vec<BlobId> = missing.iter().map(|(_, blob)| *blob).collect();
        let payloads = disk.read(&wanted);
        let decoded: Vec<(BlobId, Option<ParsedBlob>)> = payloads
            .into_par_iter()
            .map(|(blob, payload)| (blob, codec::decode(&payload)))
            .collect();
        for (blob, parsed) in decoded {
            match parsed {
                Some(parsed) => self.remember(blob, parsed, false),
                None => {
                    if let Some(disk) = &mut self.disk {
                        disk.forget(blob);
                    }
                }
            }
        }
    }

    fn remember(&mut self, blob: BlobId, parsed: ParsedBlob, fresh: bool) {
        let entry = Entry {
            parsed: Arc::new(parsed),
            used: self.round,
            fresh,
        };
        self.memory.insert(blob, entry);
    }
}

/// What was parsed, and what could not be read, by blob.
type Outcome = (Vec<(BlobId, ParsedBlob)>, HashMap<BlobId, Arc<ParsedBlob>>);

/// Reads one file after the other, and parses on all cores meanwhile.
fn parse_all<E: Display>(
    missing: &[&(RepoPath, BlobId)],
    read: &mut impl FnMut(&RepoPath, BlobId) -> Result<Vec<u8>, E>,
) -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let mut unread = HashMap::new();
    rayon::in_place_scope(|scope| {
        let mut batch = Vec::new();
        let mut size = 0;
        for (position, (path, blob)) in missing.iter().enumerate() {
            match read(path, *blob) {
                Ok(bytes) => {
                    size += bytes.len();
                    batch.push((*blob, bytes));
                }
                Err(error) => {
                    unread.insert(*blob, Arc::new(unreadable(&error)));
                }
            }
            if size < BATCH && position + 1 < missing.len() {
                continue;
            }
            size = 0;
            let work = std::mem::take(&mut batch);
            let sender = sender.clone();
            scope.spawn(move |_| {
                for (blob, bytes) in work {
                    // The receiver outlives the scope.
                    drop(sender.send((blob, parse(&bytes))));
                }
            });
        }
    });
    drop(sender);
    (receiver.into_iter().collect(), unread)
}

fn unreadable(error: &impl Display) -> ParsedBlob {
    ParsedBlob::broken(vec![ParseError {
        reason: "Unreadable",
        message: format!("the file cannot be read: {error}"),
        help: Some("check the repository (`git fsck`), or the file's permissions".to_owned()),
        line: 0,
        column: 0,
    }])
}
