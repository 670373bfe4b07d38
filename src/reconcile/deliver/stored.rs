//! What was built into generated commits, kept beside the cache on disk, so that the next process goes on from there.
//!
//! May be deleted at any time. Whatever is wrong with it is as good as absence: then everything is built anew, to the same
//! bytes.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::model::{BlobId, Diagnostic};
use crate::output::branch::build::BranchState;
use crate::output::branch::hash::{ObjectId, hex, sha256};
use crate::output::branch::state::StateHead;
use crate::source::cache::disk::{BUILT, Disk};

/// So many bytes are handed to the disk at a time.
const BATCH: usize = 8 << 20;

/// The files, one for each destination.
#[derive(Default)]
pub(in crate::reconcile) struct StoredStates {
    folder: Option<PathBuf>,
    files: HashMap<String, Disk>,
}

impl StoredStates {
    /// Keeps them below the cache's folder; nowhere when there is none.
    pub(in crate::reconcile) fn new(cache: Option<&Path>) -> Self {
        Self {
            folder: cache.map(|cache| cache.join("built")),
            files: HashMap::new(),
        }
    }

    /// Reads what was built into a commit, whose `clusters/` tree is known.
    pub(super) fn read(
        &mut self,
        destination: &str,
        commit: ObjectId,
        clusters: ObjectId,
    ) -> Option<BranchState> {
        let file = self.file(destination)?;
        let key = BlobId(commit.0);
        let head = file.read(&[key]).remove(&key)?;
        let head = StateHead::read(&head).filter(|head| head.tree() == Some(clusters))?;
        let records: Vec<BlobId> = head.records().map(|record| BlobId(record.0)).collect();
        let folders: HashMap<_, _> = file
            .read(&records)
            .into_par_iter()
            .filter_map(|(record, bytes)| {
                let record = ObjectId(record.0);
                Some((record, head.folder(record, &bytes)?))
            })
            .collect();
        head.with(&folders)
    }

    /// Writes what was built into a commit; the disk's refusal is a note, never an error.
    pub(super) fn write(
        &mut self,
        destination: &str,
        commit: ObjectId,
        state: &BranchState,
    ) -> Option<Diagnostic> {
        let file = self.file(destination)?;
        let error = write(file, commit, state).err()?;
        let text = format!("what was built cannot be kept for the next process: {error}");
        let help = "free some space or name another cache folder; only speed is lost";
        Some(Diagnostic::note("CacheNotWritten", text).help(help))
    }

    fn file(&mut self, destination: &str) -> Option<&mut Disk> {
        let name = hex(&sha256(&[destination.as_bytes()])[..8]);
        let folder = self.folder.as_ref()?.join(name);
        let files = self.files.entry(destination.to_owned());
        Some(files.or_insert_with(|| Disk::new(BUILT, folder)))
    }
}

fn write(file: &mut Disk, commit: ObjectId, state: &BranchState) -> io::Result<()> {
    let key = BlobId(commit.0);
    if file.contains(key) {
        return Ok(());
    }
    let file = RefCell::new(file);
    let (mut batch, mut size) = (Vec::new(), 0);
    let mut has = |record: ObjectId| file.borrow_mut().uses(BlobId(record.0));
    let head = state.write(&mut has, &mut |record, bytes| {
        size += bytes.len();
        batch.push((BlobId(record.0), bytes));
        if size < BATCH {
            return Ok(());
        }
        size = 0;
        file.borrow_mut().append(&std::mem::take(&mut batch))
    })?;
    let file = file.into_inner();
    let used: HashSet<BlobId> = StateHead::read(&head)
        .iter()
        .flat_map(StateHead::records)
        .map(|record| BlobId(record.0))
        .chain([key])
        .collect();
    batch.push((key, head));
    file.use_only(&used);
    file.append(&batch)
}
