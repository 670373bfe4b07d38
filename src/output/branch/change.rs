//! What a build changes: the tree that stands on the branch and a [`BranchState`] → files added, removed, changed, by WEC.
//!
//! WECs whose folders change in the same way share one list. Equal folders are never opened.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::build::BranchState;
use super::hash::ObjectId;
use super::standing::StandingTree;
use crate::model::ClusterName;

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileChange {
    /// It is new.
    Added(ObjectId),
    /// It goes.
    Removed(ObjectId),
    /// Its bytes change.
    Changed(ObjectId, ObjectId),
}

/// Files by their path below the WEC's folder.
pub type FileChanges = BTreeMap<String, FileChange>;

/// What a build changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The WECs whose folders change.
    pub clusters: BTreeMap<ClusterName, Arc<FileChanges>>,
    /// WECs that had objects and have none any more.
    pub emptied: Vec<ClusterName>,
    /// WECs that had objects before.
    pub clusters_before: usize,
    /// Files before.
    pub files_before: u64,
}

impl Change {
    /// Counts files that are added, removed and changed, over all WECs.
    pub fn counts(&self) -> (u64, u64, u64) {
        let mut counts = (0, 0, 0);
        for change in self.clusters.values().flat_map(|files| files.values()) {
            match change {
                FileChange::Added(_) => counts.0 += 1,
                FileChange::Removed(_) => counts.1 += 1,
                FileChange::Changed(..) => counts.2 += 1,
            }
        }
        counts
    }

    /// Tells whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }
}

/// Compares the `clusters/` tree that stands with what was built.
pub fn change<E>(standing: &mut StandingTree<'_, E>, after: &BranchState) -> Result<Change, E> {
    let mut change = Change::default();
    let mut shared: HashMap<(Option<ObjectId>, Option<ObjectId>), Arc<FileChanges>> =
        HashMap::new();
    let old = standing.clusters()?;
    for (name, &root) in old.iter() {
        let files = standing.count(root)?;
        change.files_before += files;
        if files > 0 {
            change.clusters_before += 1;
            if after.files_on(name) == 0 {
                change.emptied.push(name.as_str().into());
            }
        }
    }
    for name in old.keys().map(String::as_str).chain(after.cluster_names()) {
        let pair = (old.get(name).copied(), after.root(name));
        if pair.0 == pair.1 || change.clusters.contains_key(name) {
            continue;
        }
        let files = match shared.get(&pair) {
            Some(files) => Arc::clone(files),
            None => Arc::new(compare(standing, pair.0, &after.listing(name))?),
        };
        shared.insert(pair, Arc::clone(&files));
        if !files.is_empty() {
            change.clusters.insert(name.into(), files);
        }
    }
    Ok(change)
}

fn compare<E>(
    standing: &mut StandingTree<'_, E>,
    root: Option<ObjectId>,
    after: &BTreeMap<String, (ObjectId, BTreeMap<String, ObjectId>)>,
) -> Result<FileChanges, E> {
    let before = root
        .map(|root| standing.folders(root))
        .transpose()?
        .unwrap_or_default();
    let mut changes = FileChanges::new();
    for (folder, &tree) in before.iter() {
        let new = after.get(folder);
        if new.is_some_and(|new| new.0 == tree) {
            continue;
        }
        for (file, &id) in standing.files(tree)?.iter() {
            let change = match new.and_then(|new| new.1.get(file)) {
                None => FileChange::Removed(id),
                Some(&now) if now != id => FileChange::Changed(id, now),
                Some(_) => continue,
            };
            changes.insert(format!("{folder}/{file}"), change);
        }
    }
    for (folder, (_, files)) in after {
        let old = before
            .get(folder)
            .map(|&tree| standing.files(tree))
            .transpose()?;
        for (file, &id) in files {
            if old.as_ref().is_none_or(|old| !old.contains_key(file)) {
                changes.insert(format!("{folder}/{file}"), FileChange::Added(id));
            }
        }
    }
    Ok(changes)
}
