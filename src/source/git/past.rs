//! What a place held before something came there that cannot be read: a repository's history → held this or not.
//!
//! A submodule, or a link to a folder, where manifests were hides objects rather than deletes them; beside them it is
//! nobody's business. A file of which no word is left may have held what others depend on. History tells, in every process
//! alike, as far as it is here.

use git2::{ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult};

use crate::source::select;

use super::tree::{KIND, LINK, SUBMODULE};

/// Commits that are looked at, at most.
const COMMITS: usize = 4096;

/// Commits that are looked at for the versions of one file, at most.
const VERSIONS: usize = 1024;

/// What was found out about a place, and from which commit on.
pub(super) type Known = (Oid, bool);

/// Tells whether `path` held manifests before what is there now; a place that was empty in between did not.
///
/// Follows first parents from `start`, as far as they are here.
pub(in crate::source) fn held_manifests(
    repository: &Repository,
    start: Oid,
    path: &str,
    known: Option<Known>,
) -> bool {
    let mut next = repository.find_commit(start).ok();
    for _ in 0..COMMITS {
        let Some(commit) = next else { return false };
        if let Some((_, held)) = known.filter(|(at, _)| *at == commit.id()) {
            return held;
        }
        let entry = commit.tree().and_then(|tree| tree.get_path(path.as_ref()));
        let Ok(entry) = entry else { return false };
        match entry.filemode() & KIND {
            LINK | SUBMODULE => {}
            _ if entry.kind() == Some(ObjectType::Tree) => {
                return has_manifests(repository, entry.id());
            }
            _ => return select::is_manifest_name(path),
        }
        next = commit.parent(0).ok();
    }
    false
}

/// Tells whether a version of the file at `path` is such; a file that was not there in between is another one.
///
/// Follows first parents from `start`, as far as they are here.
pub(in crate::source) fn any_version(
    repository: &Repository,
    start: Oid,
    path: &str,
    is_such: &dyn Fn(&[u8]) -> bool,
) -> bool {
    let mut next = repository.find_commit(start).ok();
    let mut last = None;
    for _ in 0..VERSIONS {
        let Some(commit) = next else { return false };
        let entry = commit.tree().and_then(|tree| tree.get_path(path.as_ref()));
        let Ok(entry) = entry else { return false };
        if last != Some(entry.id()) {
            last = Some(entry.id());
            let blob = repository.find_blob(entry.id());
            if blob.is_ok_and(|blob| is_such(blob.content())) {
                return true;
            }
        }
        next = commit.parent(0).ok();
    }
    false
}

/// Tells whether a folder has anything below it that may be a manifest.
fn has_manifests(repository: &Repository, id: Oid) -> bool {
    let mut found = false;
    let Ok(tree) = repository.find_tree(id) else {
        return false;
    };
    let walked = tree.walk(TreeWalkMode::PreOrder, |_, entry| {
        let name = String::from_utf8_lossy(entry.name_bytes());
        if name.starts_with('.') {
            return TreeWalkResult::Skip;
        }
        found |= entry.kind() == Some(ObjectType::Blob) && select::is_manifest_name(&name);
        if found {
            TreeWalkResult::Abort
        } else {
            TreeWalkResult::Ok
        }
    });
    // Stopping early is an error to libgit2.
    drop(walked);
    found
}
