//! Which files differ between two trees. Folders with equal ids are equal and never opened.

use std::cmp::Ordering;

use git2::{Oid, Repository, TreeEntry};

use crate::model::{BlobId, RepoPath};
use crate::source::select;

use super::{GitSourceError, blob_of};

/// Folders inside each other, at most; what is deeper is never read either.
const DEPTH: usize = 256;

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// Where it lies.
    pub path: RepoPath,
    /// The id of its bytes before; none when it is new.
    pub before: Option<BlobId>,
    /// The id of its bytes after; none when it is gone.
    pub after: Option<BlobId>,
}

/// Compares two trees; none where something else than plain files differs, or cannot be read.
pub(super) fn plain(repository: &Repository, from: Oid, to: Oid) -> Option<Vec<ChangedFile>> {
    let mut comparison = Comparison::new(repository);
    comparison.trees("", Some(from), Some(to)).ok()?;
    (!comparison.odd).then_some(comparison.found)
}

fn is_folder(entry: &TreeEntry<'_>) -> bool {
    entry.filemode() == 0o040_000
}

struct Comparison<'r> {
    repository: &'r Repository,
    found: Vec<ChangedFile>,
    /// How many folders the comparison is inside of.
    depth: usize,
    /// Whether something differs that is no plain file: a link, a submodule, a name that is not UTF-8.
    odd: bool,
}

/// An entry, as far as comparing needs it.
struct Entry {
    name: String,
    id: Oid,
    folder: bool,
    plain: bool,
}

impl<'r> Comparison<'r> {
    fn new(repository: &'r Repository) -> Self {
        Self {
            repository,
            found: Vec::new(),
            depth: 0,
            odd: false,
        }
    }

    fn trees(
        &mut self,
        path: &str,
        before: Option<Oid>,
        after: Option<Oid>,
    ) -> Result<(), GitSourceError> {
        if before == after {
            return Ok(());
        }
        let mut old = self.entries(before)?.into_iter().peekable();
        let mut new = self.entries(after)?.into_iter().peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => (&old.name, old.folder).cmp(&(&new.name, new.folder)),
            };
            let first = if order == Ordering::Greater {
                None
            } else {
                old.next()
            };
            let second = if order == Ordering::Less {
                None
            } else {
                new.next()
            };
            self.pair(path, first.as_ref(), second.as_ref())?;
        }
    }

    /// Compares two entries of one name and sort, or tells of the only one.
    fn pair(
        &mut self,
        path: &str,
        old: Option<&Entry>,
        new: Option<&Entry>,
    ) -> Result<(), GitSourceError> {
        let Some(either) = old.or(new) else {
            return Ok(());
        };
        let inside = select::below(path, &either.name);
        let (before, after) = (old.map(|old| old.id), new.map(|new| new.id));
        if either.folder {
            if self.depth == DEPTH {
                self.odd = true;
                return Ok(());
            }
            self.depth += 1;
            let outcome = self.trees(&inside, before, after);
            self.depth -= 1;
            return outcome;
        }
        let plain = |entry: Option<&Entry>| entry.is_none_or(|entry| entry.plain);
        let kinds = (plain(old), plain(new));
        self.odd |= kinds.0 != kinds.1 || (before != after && !kinds.0);
        if before != after {
            self.found.push(ChangedFile {
                path: inside.into(),
                before: before.map(blob_of),
                after: after.map(blob_of),
            });
        }
        Ok(())
    }

    /// The entries of a tree, sorted by name and sort.
    fn entries(&self, tree: Option<Oid>) -> Result<Vec<Entry>, GitSourceError> {
        let Some(id) = tree else {
            return Ok(Vec::new());
        };
        let tree = self.repository.find_tree(id)?;
        let all = tree.iter().map(|entry| Entry {
            name: String::from_utf8_lossy(entry.name_bytes()).into_owned(),
            id: entry.id(),
            folder: is_folder(&entry),
            plain: matches!(entry.filemode(), 0o100_644 | 0o100_755 | 0o100_664)
                && std::str::from_utf8(entry.name_bytes()).is_ok(),
        });
        let mut all: Vec<Entry> = all.collect();
        all.sort_by(|a, b| (&a.name, a.folder).cmp(&(&b.name, b.folder)));
        Ok(all)
    }
}
