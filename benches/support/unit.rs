//! U: the time one core needs to SHA-1 exactly the distinct objects of a generated commit, with nothing rendered or stored.
//!
//! The objects are read back from the repository, which also proves that the pack holds them: every digest is compared.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest;
use git2::{Oid, Repository};
use stellate::output::branch::hash::{ObjectId, ObjectKind};
use stellate::output::branch::object::{EntryMode, Tree};

/// Objects are gathered up to this many bytes before they are hashed.
const BATCH: usize = 32 << 20;

/// The unit, and what went into it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unit {
    /// In seconds.
    pub(crate) time: f64,
    /// Distinct blobs.
    pub(crate) blobs: u64,
    /// Distinct trees.
    pub(crate) trees: u64,
    /// Bytes of all of them.
    pub(crate) bytes: u64,
}

/// Measures the unit on the commit that a branch points to.
pub(crate) fn unit(repository: &Path, branch: &str) -> Result<Unit> {
    // libgit2 hashes what it reads, with a slower SHA-1 than ours; we compare each digest ourselves.
    git2::opts::strict_hash_verification(false);
    let repository = Repository::open_bare(repository)?;
    let commit = repository
        .find_reference(&format!("refs/heads/{branch}"))?
        .peel_to_commit()?;
    let odb = repository.odb()?;
    let mut hasher = Hasher::default();
    let mut unit = Unit::default();
    let mut seen = HashSet::from([id_of(commit.tree_id())]);
    let mut pending = vec![id_of(commit.tree_id())];
    while let Some(id) = pending.pop() {
        let object = odb.read(oid_of(id)).context("a tree is missing")?;
        let tree = Tree::parse(object.data().to_vec())?;
        unit.trees += 1;
        hasher.add(ObjectKind::Tree, id, object.data())?;
        for entry in tree.entries().filter(|entry| seen.insert(entry.id)) {
            if entry.mode == EntryMode::FOLDER {
                pending.push(entry.id);
            } else {
                unit.blobs += 1;
                let blob = odb.read(oid_of(entry.id)).context("a blob is missing")?;
                hasher.add(ObjectKind::Blob, entry.id, blob.data())?;
            }
        }
    }
    hasher.flush()?;
    unit.time = hasher.time.as_secs_f64();
    unit.bytes = hasher.bytes;
    Ok(unit)
}

#[derive(Default)]
struct Hasher {
    batch: Vec<u8>,
    objects: Vec<(Range<usize>, ObjectId)>,
    time: Duration,
    bytes: u64,
}

impl Hasher {
    fn add(&mut self, kind: ObjectKind, id: ObjectId, content: &[u8]) -> Result<()> {
        let start = self.batch.len();
        self.batch
            .extend_from_slice(format!("{} {}\0", kind.name(), content.len()).as_bytes());
        self.batch.extend_from_slice(content);
        self.objects.push((start..self.batch.len(), id));
        self.bytes += content.len() as u64;
        if self.batch.len() > BATCH {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        let start = Instant::now();
        let right = self.objects.iter().all(|(range, id)| {
            let sum = digest::digest(
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
                &self.batch[range.clone()],
            );
            sum.as_ref() == id.0
        });
        self.time += start.elapsed();
        ensure!(right, "an object's id is not that of its bytes");
        self.batch.clear();
        self.objects.clear();
        Ok(())
    }
}

fn oid_of(id: ObjectId) -> Oid {
    Oid::from_bytes(&id.0).unwrap_or(Oid::ZERO_SHA1)
}

fn id_of(id: Oid) -> ObjectId {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(id.as_bytes());
    ObjectId(bytes)
}
