//! Somebody else's commits on a generated branch → who wrote them, and what they did to its files. Reads only.

use std::collections::BTreeMap;

use git2::{Oid, Repository, Tree};
use jiff::Timestamp;

use crate::model::Diagnostic;
use crate::output::branch::hash::ObjectId;
use crate::status::board::ForeignCommit;

/// The most files and commits that are counted.
const COUNTED: usize = 1000;
/// The most files that are named.
const NAMED: usize = 5;

/// Describes the commits on a branch that came after the one that Stellate wrote last, by the newest of them.
pub(super) fn describe(
    repository: &Repository,
    reference: &str,
    newest: ObjectId,
    written: ObjectId,
) -> Result<ForeignCommit, git2::Error> {
    let (newest, written) = (Oid::from_bytes(&newest.0)?, Oid::from_bytes(&written.0)?);
    let commit = repository.find_commit(newest)?;
    let mut found = Found::default();
    let before = repository.find_commit(written)?.tree()?;
    compare(
        repository,
        Some(&before),
        Some(&commit.tree()?),
        "",
        &mut found,
    )?;
    let author = commit.author();
    let subject = commit.summary_bytes().unwrap_or_default();
    Ok(ForeignCommit {
        commit: newest.to_string(),
        reference: reference.to_owned(),
        author: String::from_utf8_lossy(author.name_bytes()).into_owned(),
        subject: String::from_utf8_lossy(subject).into_owned(),
        written: Timestamp::from_second(commit.time().seconds()).unwrap_or_default(),
        commits: between(repository, newest, written)?,
        files: found.files,
        changes: found.named,
        put_right: None,
    })
}

/// Says it to whoever delivers.
pub(super) fn told(foreign: &ForeignCommit, branch: &str) -> Diagnostic {
    let ForeignCommit {
        commit,
        reference,
        author,
        ..
    } = foreign;
    let message = format!(
        "somebody else committed {commit} to {reference}: {author} {}",
        foreign.what()
    );
    Diagnostic::warning("ForeignCommit", message).help(format!(
        "the next generated commit puts its tree right and keeps it reachable as a parent; write to {branch} only through \
         its source"
    ))
}

/// Counts the commits from one, along first parents, to before another.
fn between(repository: &Repository, newest: Oid, written: Oid) -> Result<usize, git2::Error> {
    let (mut number, mut next) = (0, newest);
    while next != written && number < COUNTED {
        number += 1;
        next = repository.find_commit(next)?.parent_id(0)?;
    }
    Ok(number)
}

/// The files that differ.
#[derive(Default)]
struct Found {
    files: usize,
    /// The first of them, each behind a word.
    named: Vec<String>,
}

impl Found {
    fn take(&mut self, word: &str, path: &str) {
        self.files += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{word} {path}"));
        }
    }
}

/// Compares two folders, as far as they differ and until enough was found: somebody may have removed everything.
fn compare(
    repository: &Repository,
    before: Option<&Tree<'_>>,
    after: Option<&Tree<'_>>,
    folder: &str,
    found: &mut Found,
) -> Result<(), git2::Error> {
    let mut entries: BTreeMap<Vec<u8>, [Option<(Oid, i32)>; 2]> = BTreeMap::new();
    for (side, tree) in [before, after].into_iter().enumerate() {
        for entry in tree.into_iter().flat_map(Tree::iter) {
            let both = entries.entry(entry.name_bytes().to_vec()).or_default();
            both[side] = Some((entry.id(), entry.filemode_raw()));
        }
    }
    for (name, [old, new]) in entries {
        if found.files >= COUNTED {
            return Ok(());
        }
        if old == new {
            continue;
        }
        let path = format!("{folder}{}", String::from_utf8_lossy(&name));
        let is_folder = |side: Option<(Oid, i32)>| side.is_some_and(|(_, mode)| mode == 0o040_000);
        let tree = |side: Option<(Oid, i32)>| {
            let own = side.filter(|_| is_folder(side));
            own.map(|(id, _)| repository.find_tree(id)).transpose()
        };
        let file = |side: Option<(Oid, i32)>| side.filter(|_| !is_folder(side));
        match (file(old), file(new)) {
            (None, None) => {}
            (None, Some(_)) => found.take("added", &path),
            (Some(_), None) => found.take("removed", &path),
            (Some(_), Some(_)) => found.take("changed", &path),
        }
        let (old, new) = (tree(old)?, tree(new)?);
        if old.is_some() || new.is_some() {
            compare(
                repository,
                old.as_ref(),
                new.as_ref(),
                &format!("{path}/"),
                found,
            )?;
        }
    }
    Ok(())
}
