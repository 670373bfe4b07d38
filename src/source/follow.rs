//! The way that most changes take: some files of a commit differ from the last one that was read, and only these are read.
//!
//! Gives nothing where more than the changed files' own objects may change: then everything is listed and assembled, which
//! comes to the same.

use std::collections::HashSet;
use std::sync::Arc;

use git2::Oid;

use super::assemble::assemble;
use super::cache::{LastRead, ParsedCache};
use super::git::{ChangedFile, GitTree, ResolvedRevision};
use super::read::{ReadSource, SourceRequest};
use super::select::{self, Verdict};
use super::tree::Tree as _;
use super::{Control, Snapshot, SourceFile};
use crate::model::{BlobId, Diagnostic, Object, ObjectKey, RepoPath};

/// More changed files than this are as quickly read with all others.
const LIMIT: usize = 1000;

/// Reads what changed since the last time; `id` is the tree at `prefix`.
pub(super) fn follow(
    tree: &GitTree<'_>,
    id: Oid,
    prefix: &str,
    revision: &ResolvedRevision,
    request: &SourceRequest,
    cache: &mut ParsedCache,
) -> Option<ReadSource> {
    let last = cache.last.take_if(|last| is_plain(last, request))?;
    let followed = step(tree, id, prefix, &last, cache);
    let Some((snapshot, diagnostics, files)) = followed else {
        cache.last = Some(last);
        return None;
    };
    let mut read = ReadSource {
        snapshot,
        diagnostics,
        ..last.read
    };
    read.description.revision = Some(revision.clone());
    read.description.files = files.len();
    cache.last = Some(LastRead {
        tree: Some(id),
        files,
        read: read.clone(),
        ..last
    });
    Some(read)
}

/// Whether every file of the last time stands for itself: nothing was built by tools, links or is in any doubt.
fn is_plain(last: &LastRead, request: &SourceRequest) -> bool {
    let mut told = last.read.diagnostics.iter();
    last.plain
        && last.answers(request)
        && last.read.snapshot.is_complete()
        && told.all(|found| found.reason == "NotRead")
}

/// What came of a step: the snapshot, what is to be said about it, and the files.
type Step = (Arc<Snapshot>, Vec<Diagnostic>, Vec<(RepoPath, BlobId)>);

fn step(
    tree: &GitTree<'_>,
    id: Oid,
    prefix: &str,
    last: &LastRead,
    cache: &mut ParsedCache,
) -> Option<Step> {
    let changes = wanted(tree.changes(last.tree?, id)?, last)?;
    if changes.is_empty() {
        let read = &last.read;
        return Some((
            Arc::clone(&read.snapshot),
            read.diagnostics.clone(),
            last.files.clone(),
        ));
    }
    let after: Vec<_> = changes
        .iter()
        .filter_map(|change| Some((change.path.clone(), change.after?)))
        .collect();
    let parsed = cache.get_or_parse(&after, |path, blob| {
        tree.read(&select::below(prefix, path.as_str()), blob)
    });
    let files = after.iter().zip(parsed).map(|((path, blob), parsed)| {
        let (path, blob) = (path.clone(), *blob);
        SourceFile {
            path,
            blob,
            parsed,
            namespace: None,
        }
    });
    let files: Vec<SourceFile> = files.collect();
    let (new, findings) = assemble(&files, &last.kinds);
    let clean = findings.is_empty() && new.is_complete() && new.skipped.is_empty();
    let paths: HashSet<&RepoPath> = changes.iter().map(|change| &change.path).collect();
    if !clean || is_mentioned(&last.read, &paths) {
        return None;
    }
    let old = &last.read.snapshot;
    let snapshot = Snapshot {
        objects: replaced(&old.objects, new.objects, &paths)?,
        controls: replaced(&old.controls, new.controls, &paths)?,
        namespaces: old.namespaces.clone(),
        skipped: old.skipped.clone(),
        texts: old.texts.clone(),
        ..Snapshot::default()
    };
    let mut diagnostics = last.read.diagnostics.clone();
    diagnostics.extend(cache.write());
    for change in &changes {
        change
            .before
            .into_iter()
            .for_each(|blob| cache.forget(blob));
    }
    let mut files = last.files.clone();
    for change in &changes {
        let at = files.binary_search_by(|(path, _)| path.cmp(&change.path));
        match (at, change.after) {
            (Ok(at), Some(blob)) => files[at].1 = blob,
            (Ok(at), None) => drop(files.remove(at)),
            (Err(at), Some(blob)) => files.insert(at, (change.path.clone(), blob)),
            (Err(_), None) => return None,
        }
    }
    Some((Arc::new(snapshot), diagnostics, files))
}

/// Gives the changes that concern manifests; none when there are others that count, or too many.
fn wanted(changes: Vec<ChangedFile>, last: &LastRead) -> Option<Vec<ChangedFile>> {
    let mut wanted = Vec::new();
    for change in changes {
        let path = change.path.as_str();
        // That nothing is left of a folder that was asked for is an error, which others find.
        let gone = change.after.is_none() && !last.request.paths.is_empty();
        match last.selection.judge(path) {
            Verdict::Manifest if gone => return None,
            Verdict::Manifest => wanted.push(change),
            Verdict::Ignore if select::is_hidden(path) || !select::is_of_interest(path) => {}
            Verdict::Ignore | Verdict::Skip(_) => return None,
        }
    }
    (wanted.len() <= LIMIT).then_some(wanted)
}

/// Whether something was told of one of these files.
fn is_mentioned(read: &ReadSource, paths: &HashSet<&RepoPath>) -> bool {
    let mut told = read.diagnostics.iter();
    let mut skipped = read.snapshot.skipped.iter();
    skipped.any(|(path, _)| paths.contains(path))
        || told.any(|found| {
            let location = found.location.as_ref();
            location.is_none_or(|location| paths.contains(&location.path))
        })
}

/// What is sorted in a snapshot.
trait Entry: Clone {
    fn key(&self) -> &ObjectKey;
    fn path(&self) -> &RepoPath;
}

impl Entry for Object {
    fn key(&self) -> &ObjectKey {
        &self.key
    }
    fn path(&self) -> &RepoPath {
        &self.location.path
    }
}

impl Entry for Control {
    fn key(&self) -> &ObjectKey {
        &self.key
    }
    fn path(&self) -> &RepoPath {
        &self.location.path
    }
}

/// Puts new entries in place of those that came from these files; none when a key would be there twice, or when what
/// changes says something about others: a Namespace its labels, a definition its kind.
fn replaced<T: Entry>(old: &[T], new: Vec<T>, paths: &HashSet<&RepoPath>) -> Option<Vec<T>> {
    let steers = |entry: &T| {
        let kind = &*entry.key().kind;
        kind == "Namespace" || kind == "CustomResourceDefinition"
    };
    if new.iter().any(steers) {
        return None;
    }
    let mut all = Vec::with_capacity(old.len() + new.len());
    let mut new = new.into_iter().peekable();
    for entry in old {
        if paths.contains(entry.path()) {
            if steers(entry) {
                return None;
            }
            continue;
        }
        while let Some(next) = new.next_if(|next| next.key() < entry.key()) {
            all.push(next);
        }
        if new.peek().is_some_and(|next| next.key() == entry.key()) {
            return None;
        }
        all.push(entry.clone());
    }
    all.extend(new);
    Some(all)
}
