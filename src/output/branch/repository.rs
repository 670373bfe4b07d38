//! The repository that holds the generated branch: what stands there, and how a new commit gets in.
//!
//! Adapter over git2. Reads the tip with what it says of itself, stores a pack whole, moves references by
//! compare-and-swap. Never touches a work tree and never runs a merge.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, Repository};

use super::hash::ObjectId;
use super::ledger::IdSet;
use super::metadata::{self, Trailers};
use super::object::{EntryMode, Tree};
use super::pack::{FinishedPack, PackError, PackSegment, assemble};
use crate::git::{is_damage, patiently, plain};
use crate::model::Revision;
use crate::output::path;

/// The file at the root of the generated tree that holds the inventory facts that were used.
pub const LOCK: &str = "stellate.lock";

/// Why the repository could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// libgit2 says no.
    #[error("git repository {}: {}", path.display(), plain(source))]
    Git {
        /// The repository.
        path: PathBuf,
        /// What libgit2 says.
        source: git2::Error,
    },
    /// What should hold notes is something else.
    #[error("{reference} in git repository {} holds no notes: {}", path.display(), plain(source))]
    Notes {
        /// The reference.
        reference: &'static str,
        /// The repository.
        path: PathBuf,
        /// What libgit2 says.
        source: git2::Error,
    },
    /// A pack could not be made.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A file of the object database could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A tree that is there is no tree.
    #[error("object {0} is not what it should be")]
    Corrupt(ObjectId),
    /// Somebody else moved the reference meanwhile.
    #[error("{reference} was moved by somebody else: expected {}, found {}", or_none(*expected), or_none(*found))]
    Moved {
        /// The reference.
        reference: String,
        /// Where it was expected; none for a reference that should not be there yet.
        expected: Option<ObjectId>,
        /// Where it is.
        found: Option<ObjectId>,
    },
    /// Another process holds the reference, or died while it did.
    #[error("{reference} is locked by another process")]
    Locked {
        /// The reference.
        reference: String,
        /// The file that locks it.
        path: PathBuf,
    },
    /// The branch is checked out in a work tree, whose files would then lie.
    #[error("branch {0} is checked out in a work tree")]
    CheckedOut(String),
}

impl RepositoryError {
    /// Whether what the repository holds is to blame: another one in its place would do.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Git { source, .. } => is_damage(source),
            Self::Corrupt(_) => true,
            _ => false,
        }
    }
}

/// The tip of a generated branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The commit.
    pub commit: ObjectId,
    /// What its trailers say; none when somebody else wrote it.
    pub trailers: Option<Trailers>,
    /// The tree `clusters/`, where there is one.
    pub clusters: Option<ObjectId>,
    /// The bytes of `stellate.lock`, where there is one.
    pub lock: Option<Vec<u8>>,
    /// The source commit that it stands for by now: what its note says, else `hydrator.metadata`.
    pub source: Option<Revision>,
    /// Whether a note says so: a process that was killed may have moved the branch and not the notes.
    pub noted: bool,
}

/// A reference to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The full name: `refs/heads/generated`.
    pub reference: String,
    /// Where it must be; none when it must not exist.
    pub from: Option<ObjectId>,
    /// Where it goes.
    pub to: ObjectId,
}

/// The repository of a generated branch.
pub struct BranchRepository<'a> {
    repository: &'a Repository,
}

impl<'a> BranchRepository<'a> {
    /// Uses an open repository.
    pub fn new(repository: &'a Repository) -> Self {
        Self { repository }
    }

    /// Gives the commit that a reference points to; none when it does not exist.
    pub fn resolve(&self, reference: &str) -> Result<Option<ObjectId>, RepositoryError> {
        match self.repository.refname_to_id(reference) {
            Ok(id) => Ok(Some(from_oid(id))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Finds the last commit that Stellate wrote, from a commit on along first parents; none when there is none.
    pub fn last_written(&self, commit: ObjectId) -> Result<Option<ObjectId>, RepositoryError> {
        let mut next = Some(to_oid(commit));
        while let Some(id) = next {
            let found = self
                .repository
                .find_commit(id)
                .map_err(|error| self.error(error))?;
            if metadata::trailers(&String::from_utf8_lossy(found.message_bytes())).is_some() {
                return Ok(Some(from_oid(id)));
            }
            next = found.parent_id(0).ok();
        }
        Ok(None)
    }

    /// Gives every reference whose name begins with `prefix`, and where it points.
    pub fn resolve_all(
        &self,
        prefix: &str,
    ) -> Result<std::collections::BTreeMap<String, ObjectId>, RepositoryError> {
        let references = self
            .repository
            .references_glob(&format!("{prefix}*"))
            .map_err(|error| self.error(error))?;
        let mut found = std::collections::BTreeMap::new();
        for reference in references {
            let reference = reference.map_err(|error| self.error(error))?;
            if let (Ok(name), Some(id)) = (reference.name(), reference.target()) {
                found.insert(name.to_owned(), from_oid(id));
            }
        }
        Ok(found)
    }

    /// Reads a generated commit and what it says of itself.
    pub fn tip(&self, commit: ObjectId, notes: Option<ObjectId>) -> Result<Tip, RepositoryError> {
        let found = self
            .repository
            .find_commit(to_oid(commit))
            .map_err(|error| self.error(error))?;
        let tree = found.tree().map_err(|error| self.error(error))?;
        let blob = |name: &str| {
            let object = tree.get_name(name)?.to_object(self.repository).ok()?;
            object.as_blob().map(|blob| blob.content().to_vec())
        };
        let clusters = tree
            .get_name(path::CLUSTERS)
            .filter(|entry| entry.kind() == Some(ObjectType::Tree))
            .map(|entry| from_oid(entry.id()));
        let noted = notes.and_then(|notes| self.note(notes, commit));
        Ok(Tip {
            commit,
            trailers: metadata::trailers(&String::from_utf8_lossy(found.message_bytes())),
            clusters,
            lock: blob(LOCK),
            noted: noted.is_some(),
            source: noted
                .or_else(|| blob(metadata::HYDRATOR_METADATA))
                .and_then(|text| metadata::dry_sha(&text)),
        })
    }

    /// Gives the ids of a tree and of everything below it, without reading a blob.
    pub fn reachable(&self, tree: ObjectId) -> Result<HashSet<ObjectId>, RepositoryError> {
        let odb = self.repository.odb().map_err(|error| self.error(error))?;
        // Most entries are met thousands of times.
        let mut found = IdSet::default();
        found.insert(tree);
        let mut pending = vec![tree];
        while let Some(id) = pending.pop() {
            let object = odb.read(to_oid(id)).map_err(|error| self.error(error))?;
            let tree =
                Tree::parse(object.data().to_vec()).map_err(|_| RepositoryError::Corrupt(id))?;
            for entry in tree.entries() {
                if found.insert(entry.id) && entry.mode == EntryMode::FOLDER {
                    pending.push(entry.id);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Finds the blob at a path below a tree.
    pub fn blob_at(&self, tree: ObjectId, path: &str) -> Option<ObjectId> {
        let tree = self.repository.find_tree(to_oid(tree)).ok()?;
        let entry = tree.get_path(Path::new(path)).ok()?;
        (entry.kind() == Some(ObjectType::Blob)).then(|| from_oid(entry.id()))
    }

    /// Reads a blob.
    pub fn blob(&self, id: ObjectId) -> Result<Vec<u8>, RepositoryError> {
        let blob = self
            .repository
            .find_blob(to_oid(id))
            .map_err(|error| self.error(error))?;
        Ok(blob.content().to_vec())
    }

    /// Reads a tree; an absent one is an empty one.
    pub fn tree(&self, id: ObjectId) -> Result<Tree, RepositoryError> {
        let odb = self.repository.odb().map_err(|error| self.error(error))?;
        let object = odb.read(to_oid(id)).map_err(|error| self.error(error))?;
        Tree::parse(object.data().to_vec()).map_err(|_| RepositoryError::Corrupt(id))
    }

    /// Gives the text of the note on a commit. Notes lie flat or in folders of two digits.
    fn note(&self, notes: ObjectId, commit: ObjectId) -> Option<Vec<u8>> {
        let tree = self
            .repository
            .find_commit(to_oid(notes))
            .ok()?
            .tree()
            .ok()?;
        let name = commit.to_string();
        let entry = tree
            .get_path(Path::new(&name))
            .or_else(|_| tree.get_path(&Path::new(&name[..2]).join(&name[2..])));
        let blob = self.repository.find_blob(entry.ok()?.id()).ok()?;
        Some(blob.content().to_vec())
    }

    /// Gives the root tree of a notes commit.
    pub fn notes_tree(&self, notes: ObjectId) -> Result<Tree, RepositoryError> {
        let found = self.repository.find_commit(to_oid(notes));
        let found = found.map_err(|source| RepositoryError::Notes {
            reference: metadata::NOTES_REFERENCE,
            path: self.repository.path().to_owned(),
            source,
        })?;
        self.tree(from_oid(found.tree_id()))
    }

    /// Stores objects as one pack: whole, or not at all. Gives the pack's file for pushing; none when there is nothing.
    ///
    /// The index becomes visible last, so that a killed process leaves at most a file that `git gc` clears away.
    pub fn store(
        &self,
        segments: Vec<PackSegment>,
    ) -> Result<Option<(PathBuf, FinishedPack)>, RepositoryError> {
        if segments.iter().all(|segment| segment.objects() == 0) {
            return Ok(None);
        }
        let folder = self.repository.commondir().join("objects").join("pack");
        let failed = |source| RepositoryError::Write {
            path: folder.clone(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut file = tempfile::Builder::new()
            .prefix("tmp_pack_stellate_")
            .tempfile_in(&folder)
            .map_err(failed)?;
        let finished = {
            let mut buffered = std::io::BufWriter::with_capacity(1 << 20, file.as_file_mut());
            let finished = assemble(segments, &mut buffered)?;
            buffered.flush().map_err(failed)?;
            finished
        };
        let name = folder.join(format!("pack-{}", finished.checksum));
        let (pack, index) = (name.with_extension("pack"), name.with_extension("idx"));
        if !index.exists() {
            let mut index_file = tempfile::Builder::new()
                .prefix("tmp_idx_stellate_")
                .tempfile_in(&folder)
                .map_err(failed)?;
            index_file.write_all(&finished.index).map_err(failed)?;
            for file in [file.as_file(), index_file.as_file()] {
                file.sync_data().map_err(failed)?;
                make_read_only(file).map_err(failed)?;
            }
            file.persist(&pack).map_err(|error| failed(error.error))?;
            index_file
                .persist(&index)
                .map_err(|error| failed(error.error))?;
        }
        let odb = self.repository.odb().map_err(|error| self.error(error))?;
        odb.refresh().map_err(|error| self.error(error))?;
        Ok(Some((pack, finished)))
    }

    /// Moves references by compare-and-swap: all of them or none.
    ///
    /// # Errors
    /// [`RepositoryError::Moved`] when one is not where it should be; [`RepositoryError::CheckedOut`] for a branch whose
    /// files lie in a work tree.
    pub fn move_references(&self, moves: &[Move], reason: &str) -> Result<(), RepositoryError> {
        for change in moves {
            self.refuse_checked_out(&change.reference)?;
        }
        let mut transaction = self
            .repository
            .transaction()
            .map_err(|error| self.error(error))?;
        for change in moves {
            patiently(|| transaction.lock_ref(&change.reference)).map_err(|error| {
                if error.code() == ErrorCode::Locked {
                    RepositoryError::Locked {
                        reference: change.reference.clone(),
                        path: self
                            .repository
                            .commondir()
                            .join(format!("{}.lock", change.reference)),
                    }
                } else {
                    self.error(error)
                }
            })?;
            let found = self.resolve(&change.reference)?;
            if found != change.from {
                let (reference, expected) = (change.reference.clone(), change.from);
                return Err(RepositoryError::Moved {
                    reference,
                    expected,
                    found,
                });
            }
        }
        let signature = git2::Signature::now("Stellate", "stellate@localhost")
            .map_err(|error| self.error(error))?;
        for change in moves {
            transaction
                .set_target(
                    &change.reference,
                    to_oid(change.to),
                    Some(&signature),
                    reason,
                )
                .map_err(|error| self.error(error))?;
        }
        transaction.commit().map_err(|error| self.error(error))
    }

    /// Points a reference of our own at a commit, wherever it was.
    pub fn remember(&self, reference: &str, commit: ObjectId) -> Result<(), RepositoryError> {
        self.repository
            .reference(reference, to_oid(commit), true, "stellate: published")
            .map(drop)
            .map_err(|error| self.error(error))
    }

    /// Tells whether a commit is another one's child, or child's child, however far; false where one of them is not here.
    pub fn descends(&self, commit: ObjectId, from: ObjectId) -> bool {
        self.repository
            .graph_descendant_of(to_oid(commit), to_oid(from))
            .unwrap_or_default()
    }

    fn refuse_checked_out(&self, reference: &str) -> Result<(), RepositoryError> {
        if self.repository.is_bare() {
            return Ok(());
        }
        let common = self.repository.commondir();
        let linked = std::fs::read_dir(common.join("worktrees"))
            .into_iter()
            .flatten()
            .flatten();
        let heads = std::iter::once(common.join("HEAD"))
            .chain(linked.map(|worktree| worktree.path().join("HEAD")));
        for head in heads {
            let text = std::fs::read_to_string(head).unwrap_or_default();
            if text.strip_prefix("ref:").map(str::trim) == Some(reference) {
                return Err(RepositoryError::CheckedOut(reference.to_owned()));
            }
        }
        Ok(())
    }

    fn error(&self, source: git2::Error) -> RepositoryError {
        RepositoryError::Git {
            path: self.repository.path().to_owned(),
            source,
        }
    }
}

fn make_read_only(file: &std::fs::File) -> std::io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o444);
    #[cfg(not(unix))]
    permissions.set_readonly(true);
    file.set_permissions(permissions)
}

fn to_oid(id: ObjectId) -> Oid {
    // Twenty bytes are always an id.
    Oid::from_bytes(&id.0).unwrap_or(Oid::ZERO_SHA1)
}

fn from_oid(id: Oid) -> ObjectId {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(id.as_bytes());
    ObjectId(bytes)
}

fn or_none(id: Option<ObjectId>) -> String {
    id.map_or_else(|| "nothing".to_owned(), |id| id.to_string())
}
