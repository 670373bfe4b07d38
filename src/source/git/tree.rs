//! The files of one commit, listed in path order, with symbolic links resolved inside the tree and nowhere else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use git2::{ObjectType, Odb, Oid, Repository};

use crate::git::plain;
use crate::model::{BlobId, Diagnostic, Location, Revision};
use crate::source::folder::unfollowed;
use crate::source::select;
use crate::source::tree::{Listing, Tree, TreeEntry, TreeError, Which};

use super::past::{self, Known};
use super::{ChangedFile, GitSourceError, blob_of, changes};

/// Links that lead to links, at most.
const LINKS: usize = 8;

/// Folders inside each other, at most.
const DEPTH: usize = 256;

/// A file that git calls a link.
pub(super) const LINK: i32 = 0o120_000;

/// A submodule.
pub(super) const SUBMODULE: i32 = 0o160_000;

/// Which of the bits of a mode tell the kind of a file.
pub(super) const KIND: i32 = 0o170_000;

/// What folders hold, by their tree and path: the folders of the next commit are mostly those of the last one.
#[derive(Debug, Default)]
pub struct ListingMemory {
    last: HashMap<(Oid, String), Arc<Listing>>,
    seen: HashMap<(Oid, String), Arc<Listing>>,
    /// What places held before a submodule or a link came there.
    past: HashMap<String, Known>,
}

/// The files of one commit.
pub struct GitTree<'r> {
    repository: &'r Repository,
    odb: Odb<'r>,
    commit: Oid,
    root: Oid,
    name: String,
    memory: RefCell<ListingMemory>,
}

impl<'r> GitTree<'r> {
    /// Opens the tree of a commit.
    pub(super) fn open(
        repository: &'r Repository,
        revision: Revision,
    ) -> Result<Self, GitSourceError> {
        let commit = repository.find_commit(Oid::from_bytes(&revision.0)?)?;
        let short: String = revision.to_string().chars().take(12).collect();
        Ok(Self {
            repository,
            odb: repository.odb()?,
            commit: commit.id(),
            root: commit.tree_id(),
            name: format!("commit {short}"),
            memory: RefCell::default(),
        })
    }

    /// Uses what was listed of the last commit.
    #[must_use]
    pub fn with_memory(mut self, memory: ListingMemory) -> Self {
        self.memory = RefCell::new(memory);
        self
    }

    /// Gives what was listed, for the next commit.
    pub fn into_memory(self) -> ListingMemory {
        let memory = self.memory.into_inner();
        ListingMemory {
            last: memory.seen,
            seen: HashMap::new(),
            past: memory.past,
        }
    }

    /// Gives what was listed before, when nothing needed listing.
    pub fn into_unused_memory(self) -> ListingMemory {
        self.memory.into_inner()
    }

    /// Gives the id of the tree at a path; equal ids are equal contents.
    pub fn id_at(&self, path: &str) -> Option<Oid> {
        if path.is_empty() {
            return Some(self.root);
        }
        let root = self.repository.find_tree(self.root).ok()?;
        root.get_path(path.as_ref()).ok().map(|entry| entry.id())
    }

    /// Compares two trees of the same repository; the paths are relative to them. None where more than plain files differ.
    pub(in crate::source) fn changes(&self, from: Oid, to: Oid) -> Option<Vec<ChangedFile>> {
        changes::plain(self.repository, from, to)
    }

    /// Lists a folder, from memory where it was listed before. What symbolic links lead to depends on the whole tree, and
    /// what a submodule hides on history, so that a folder that has any is not remembered.
    fn folder(
        &self,
        id: Oid,
        path: &str,
        which: Which,
        depth: usize,
        listing: &mut Listing,
    ) -> Result<bool, TreeError> {
        if which == Which::All {
            return self.walk(id, path, which, depth, listing);
        }
        let key = (id, path.to_owned());
        let known = {
            let memory = self.memory.borrow();
            memory
                .last
                .get(&key)
                .or_else(|| memory.seen.get(&key))
                .map(Arc::clone)
        };
        if let Some(known) = known {
            listing.append(&known);
            self.memory.borrow_mut().seen.insert(key, known);
            return Ok(true);
        }
        let mut own = Listing::default();
        let lasting = self.walk(id, path, which, depth, &mut own)?;
        listing.append(&own);
        if lasting {
            self.memory.borrow_mut().seen.insert(key, Arc::new(own));
        }
        Ok(lasting)
    }

    fn unreadable(path: &str, error: &git2::Error) -> TreeError {
        TreeError::Unreadable {
            path: path.to_owned(),
            problem: plain(error),
        }
    }

    /// Lists the tree `id`, which lies at `path`; tells whether that depends on nothing else.
    fn walk(
        &self,
        id: Oid,
        path: &str,
        which: Which,
        depth: usize,
        listing: &mut Listing,
    ) -> Result<bool, TreeError> {
        let mut lasting = true;
        let tree = self.repository.find_tree(id);
        let tree = tree.map_err(|error| Self::unreadable(path, &error))?;
        for entry in &tree {
            let Ok(name) = std::str::from_utf8(entry.name_bytes()) else {
                let text = format!(
                    "the name `{}` is not UTF-8",
                    String::from_utf8_lossy(entry.name_bytes())
                );
                let finding = Diagnostic::warning("NameNotUtf8", text)
                    .help("rename the file")
                    .at(Location::file(path.into()));
                listing.findings.push(finding);
                continue;
            };
            let inside = select::below(path, name);
            lasting &= self.item(
                &inside,
                name,
                entry.filemode(),
                entry.id(),
                (which, depth),
                listing,
            )?;
        }
        Ok(lasting)
    }

    /// Lists one entry of a tree; tells whether that depends on nothing else.
    fn item(
        &self,
        path: &str,
        name: &str,
        mode: i32,
        id: Oid,
        (which, depth): (Which, usize),
        listing: &mut Listing,
    ) -> Result<bool, TreeError> {
        match mode & KIND {
            _ if !which.enters(name) => {}
            0o040_000 if depth == 0 => {
                return Err(TreeError::Refused {
                    path: path.to_owned(),
                    problem: "folders are nested too deep".to_owned(),
                });
            }
            0o040_000 => return self.folder(id, path, which, depth - 1, listing),
            SUBMODULE => {
                let text = "a submodule: its files belong to another repository and are not read";
                let finding = Diagnostic::warning("Submodule", text)
                    .help("give that repository a pipeline of its own, or copy its files")
                    .at(Location::file(path.into()));
                listing.pass_over(finding, self.held_manifests(path));
                return Ok(false);
            }
            LINK => {
                listing.links = true;
                self.link(path, id, which, listing);
                return Ok(false);
            }
            _ if which.lists(name) => listing.entries.push(TreeEntry {
                path: path.to_owned(),
                blob: blob_of(id),
            }),
            _ => {}
        }
        Ok(true)
    }

    /// Lists a symbolic link as the file that it leads to.
    fn link(&self, path: &str, id: Oid, which: Which, listing: &mut Listing) {
        match self.follow(path, id) {
            Ok(blob) if which.lists(path.rsplit('/').next().unwrap_or(path)) => {
                listing.entries.push(TreeEntry {
                    path: path.to_owned(),
                    blob: blob_of(blob),
                });
            }
            Ok(_) => {}
            Err(text) => {
                listing.pass_over(unfollowed(path, text), self.held_manifests(path));
            }
        }
    }

    /// Tells whether a place held manifests before something came there that is not entered.
    fn held_manifests(&self, path: &str) -> bool {
        if select::is_manifest_name(path) {
            return true;
        }
        let known = self.memory.borrow().past.get(path).copied();
        let held = past::held_manifests(self.repository, self.commit, path, known);
        let mut memory = self.memory.borrow_mut();
        memory.past.insert(path.to_owned(), (self.commit, held));
        held
    }

    /// Finds the blob that a link leads to, by the tree alone.
    fn follow(&self, path: &str, id: Oid) -> Result<Oid, &'static str> {
        const NOWHERE: &str = "the symbolic link leads nowhere";
        let root = self.repository.find_tree(self.root).map_err(|_| NOWHERE)?;
        let (mut place, mut id) = (path.to_owned(), id);
        for _ in 0..LINKS {
            let link = self.repository.find_blob(id).map_err(|_| NOWHERE)?;
            let target = std::str::from_utf8(link.content()).map_err(|_| NOWHERE)?;
            place = select::join(select::parent(&place), target)
                .ok_or("a symbolic link that leads out of the source is not followed")?;
            let entry = root.get_path(place.as_ref()).map_err(|_| NOWHERE)?;
            match entry.filemode() & KIND {
                LINK => id = entry.id(),
                0o100_000 => return Ok(entry.id()),
                _ => return Err("a symbolic link to a folder is not followed"),
            }
        }
        Err("symbolic links lead to each other")
    }
}

impl Tree for GitTree<'_> {
    fn list(&self, path: &str, which: Which) -> Result<Listing, TreeError> {
        let mut listing = Listing::default();
        if path.is_empty() {
            self.walk(self.root, path, which, DEPTH, &mut listing)?;
            return Ok(listing);
        }
        let missing = |_| TreeError::Missing {
            path: path.to_owned(),
            tree: self.name.clone(),
        };
        let root = self.repository.find_tree(self.root);
        let root = root.map_err(|error| Self::unreadable(path, &error))?;
        let entry = root.get_path(path.as_ref()).map_err(missing)?;
        let name = path.rsplit('/').next().unwrap_or(path);
        self.item(
            path,
            name,
            entry.filemode(),
            entry.id(),
            (which, DEPTH),
            &mut listing,
        )?;
        Ok(listing)
    }

    fn read(&self, path: &str, blob: BlobId) -> Result<Vec<u8>, TreeError> {
        let read = Oid::from_bytes(&blob.0).and_then(|id| self.odb.read(id));
        let object = read.map_err(|error| Self::unreadable(path, &error))?;
        if object.kind() != ObjectType::Blob {
            return Err(TreeError::Unreadable {
                path: path.to_owned(),
                problem: "it is no file".to_owned(),
            });
        }
        Ok(object.data().to_vec())
    }
}
