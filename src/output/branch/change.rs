//! What a build changes: the tree that stands on the branch and a [`BranchState`] → files added, removed, changed, by WEC.
//!
//! [`change_between`] does the same for two whole states, in which no WEC is held, and reads nothing.
//! WECs whose folders change in the same way share one list. Equal folders are never opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::build::BranchState;
use super::column::Spread;
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
    /// The WECs that had no folder, with the number of their files: all are new, and a list of them would be a list of
    /// everything.
    pub fresh: BTreeMap<ClusterName, u64>,
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
        let mut counts = (self.fresh.values().sum(), 0, 0);
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
        self.clusters.is_empty() && self.fresh.is_empty()
    }
}

/// Compares the `clusters/` tree that stands with what was built.
///
/// Reads the folders that change, and of WECs that change the folders that `after` does not know.
pub fn change<E>(standing: &mut StandingTree<'_, E>, after: &BranchState) -> Result<Change, E> {
    let mut change = Change::default();
    let mut shared: Shared = HashMap::new();
    let counts = after.folder_counts();
    let old = standing.clusters()?;
    for (name, &root) in old.iter() {
        let files = if after.root(name) == Some(root) {
            after.files_on(name) as u64
        } else {
            standing.count(root, &counts)?
        };
        change.count(name, files, after);
    }
    for name in old.keys().map(String::as_str).chain(after.cluster_names()) {
        let pair = (old.get(name).copied(), after.root(name));
        if pair.0 == pair.1 || change.clusters.contains_key(name) {
            continue;
        }
        if pair.0.is_none() {
            change.add_fresh(name, after);
            continue;
        }
        let files = if let Some(files) = shared.get(&pair) {
            Arc::clone(files)
        } else {
            let listed = match after.held(name) {
                Some(held) => listing(standing, held.root)?,
                None => after.listing(name),
            };
            Arc::new(compare(standing, pair.0, &listed)?)
        };
        shared.insert(pair, Arc::clone(&files));
        if !files.is_empty() {
            change.clusters.insert(name.into(), files);
        }
    }
    Ok(change)
}

/// Compares what was built before with what was built now: as [`change`], but nothing is read.
pub fn change_between(before: &BranchState, after: &BranchState) -> Change {
    let mut change = Change::default();
    for name in before.cluster_names() {
        change.count(name, before.files_on(name) as u64, after);
    }
    let folders = folder_pairs(before, after);
    let mut shared: Shared = HashMap::new();
    for name in before.cluster_names().chain(after.cluster_names()) {
        let pair = (before.root(name), after.root(name));
        if pair.0 == pair.1 || change.clusters.contains_key(name) {
            continue;
        }
        if pair.0.is_none() {
            change.add_fresh(name, after);
            continue;
        }
        let files = shared.entry(pair).or_insert_with(|| {
            let positions = (before.position(name), after.position(name));
            Arc::new(compare_built(&folders, positions))
        });
        if !files.is_empty() {
            change.clusters.insert(name.into(), Arc::clone(files));
        }
    }
    change
}

/// Changes by the WEC's folder before and after.
type Shared = HashMap<(Option<ObjectId>, Option<ObjectId>), Arc<FileChanges>>;

impl Change {
    /// Takes note of a WEC that had no folder.
    fn add_fresh(&mut self, name: &str, after: &BranchState) {
        if after.has_files(name) {
            self.fresh.insert(name.into(), after.files_on(name) as u64);
        }
    }

    /// Takes note of a WEC that had this many files.
    fn count(&mut self, name: &str, files: u64, after: &BranchState) {
        self.files_before += files;
        if files > 0 {
            self.clusters_before += 1;
            if !after.has_files(name) {
                self.emptied.push(name.into());
            }
        }
    }
}

/// A folder of then and now, with the files that may differ on any WEC.
struct FolderPair<'a> {
    name: &'a str,
    trees: (Option<&'a Spread>, Option<&'a Spread>),
    files: BTreeMap<&'a str, (Option<&'a Spread>, Option<&'a Spread>)>,
}

fn folder_pairs<'a>(before: &'a BranchState, after: &'a BranchState) -> Vec<FolderPair<'a>> {
    let same_clusters = before.same_clusters(after);
    let names: BTreeSet<&String> = before
        .folders()
        .keys()
        .chain(after.folders().keys())
        .collect();
    let pairs = names.into_iter().filter_map(|name| {
        let folders = (before.folders().get(name), after.folders().get(name));
        if let (Some(old), Some(new)) = folders
            && same_clusters
            && Arc::ptr_eq(old, new)
        {
            return None;
        }
        let mut files: BTreeMap<&str, (Option<&Spread>, Option<&Spread>)> = BTreeMap::new();
        for column in folders.0.iter().flat_map(|folder| &folder.columns) {
            files.entry(&column.file).or_default().0 = Some(&column.spread);
        }
        for column in folders.1.iter().flat_map(|folder| &folder.columns) {
            files.entry(&column.file).or_default().1 = Some(&column.spread);
        }
        files.retain(
            |_, pair| !matches!(pair, (Some(old), Some(new)) if same_clusters && old.is(new)),
        );
        let trees = (
            folders.0.map(|folder| &folder.trees),
            folders.1.map(|folder| &folder.trees),
        );
        Some(FolderPair { name, trees, files })
    });
    pairs.collect()
}

fn compare_built(
    folders: &[FolderPair<'_>],
    positions: (Option<usize>, Option<usize>),
) -> FileChanges {
    let ids = |pair: (Option<&Spread>, Option<&Spread>)| {
        let id = |spread: Option<&Spread>, position: Option<usize>| spread?.id(position?);
        (id(pair.0, positions.0), id(pair.1, positions.1))
    };
    let mut changes = FileChanges::new();
    for folder in folders {
        let trees = ids(folder.trees);
        if trees.0 == trees.1 {
            continue;
        }
        for (file, pair) in &folder.files {
            let change = match ids(*pair) {
                (None, Some(new)) => FileChange::Added(new),
                (Some(old), None) => FileChange::Removed(old),
                (Some(old), Some(new)) if old != new => FileChange::Changed(old, new),
                _ => continue,
            };
            changes.insert(format!("{}/{file}", folder.name), change);
        }
    }
    changes
}

/// A WEC's folders, as [`BranchState::listing`] gives them.
type Listing = BTreeMap<String, (ObjectId, BTreeMap<String, ObjectId>)>;

/// Reads what is in the folder of a WEC that keeps it.
fn listing<E>(standing: &mut StandingTree<'_, E>, root: Option<ObjectId>) -> Result<Listing, E> {
    let mut listing = Listing::new();
    let Some(root) = root else {
        return Ok(listing);
    };
    for (folder, &tree) in standing.folders(root)?.iter() {
        let files = BTreeMap::clone(&*standing.files(tree)?);
        listing.insert(folder.clone(), (tree, files));
    }
    Ok(listing)
}

fn compare<E>(
    standing: &mut StandingTree<'_, E>,
    root: Option<ObjectId>,
    after: &Listing,
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
