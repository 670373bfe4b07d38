//! Builds the `clusters/` tree of the generated branch: a [`Rendered`] and what was built last → object ids and pack segments.
//!
//! ```text
//! files of one name (column) ─▶ folders (level) ─▶ WECs' folders (level) ─▶ clusters/
//! ```
//!
//! The cost follows what is distinct, and what is new: equal blobs and equal folders are one object, whatever the number
//! of WECs, and what the last [`BranchState`] knows is neither filled nor hashed again.
//!
//! Never reads a repository: what it returns as new is everything that the repository of the last state lacks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::column::{Column, ColumnBuilder, NONE, Spread, Wanted};
use super::hash::{ObjectId, ObjectKind, object_id};
use super::ledger::{Harvest, Ledger};
use super::level::{FormerLevel, Level, build_level};
use super::object::{EntryMode, Tree, TreeEntry, TreeError};
use super::pack::PackSegment;
use crate::model::{ClusterName, ClusterSet};
use crate::output::path;
use crate::transform::Rendered;

/// Columns that one task builds: enough to keep a core busy, few enough to share out.
const COLUMNS_A_TASK: usize = 16;

/// A file that stays as it was on some WECs, because its object could not be rendered there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// The WEC, by position in `Rendered::clusters`.
    pub cluster: usize,
    /// The folder below the WEC's.
    pub folder: String,
    /// The file's name.
    pub file: String,
    /// Its blob, present in the repository.
    pub id: ObjectId,
}

/// The folder of a WEC that stays as it is, whatever was rendered for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFolder {
    /// The WEC, by position in `Rendered::clusters`.
    pub cluster: usize,
    /// Its tree, present in the repository; none for a WEC that has no folder, and gets none.
    pub root: Option<ObjectId>,
    /// How many files of objects are in it.
    pub files: u64,
}

/// What is built: the root of `clusters/`, and the objects that the repository lacks.
pub struct Built {
    /// The tree that holds a folder for each WEC.
    pub tree: ObjectId,
    /// The new objects, deltas behind their bases.
    pub segments: Vec<PackSegment>,
    /// What the next build starts from.
    pub state: BranchState,
    /// What it took.
    pub statistics: Statistics,
}

/// What a build produced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Files in the whole tree.
    pub files: u64,
    /// New blobs.
    pub blobs: u64,
    /// New trees.
    pub trees: u64,
    /// Bytes of the new blobs and trees in full.
    pub bytes: u64,
}

/// Everything that a build leaves for the next one: the ids of what was built, and the texts that it was built from,
/// which it shares with whoever rendered them.
///
/// Belongs to one generated commit. Building on a state whose objects the repository lacks gives a broken pack: start
/// from nothing instead.
#[derive(Clone, Debug, Default)]
pub struct BranchState {
    pub(super) clusters: Arc<[ClusterName]>,
    /// All WECs, as a set.
    all: Arc<ClusterSet>,
    /// By name.
    folders: BTreeMap<String, Arc<Folder>>,
    /// What each WEC has of `folders`; none for a WEC without objects.
    pub(super) trees: Option<Spread>,
    /// The folder of each WEC; none for one that is held and has none.
    roots: Arc<[Option<ObjectId>]>,
    /// The WECs whose folders stay as they are, by position; nothing of them is in `folders`.
    pub(super) held: Vec<HeldFolder>,
    pub(super) top: Option<ObjectId>,
}

/// One folder name (a namespace, or `_cluster`) over all WECs.
#[derive(Debug)]
pub(super) struct Folder {
    /// By file name.
    pub(super) columns: Vec<Arc<Column>>,
    /// The tree of each WEC that has any of the files.
    pub(super) trees: Spread,
    /// How many files each of these trees holds.
    pub(super) counts: Vec<u32>,
    /// The record that holds this folder in bytes, once it was written.
    pub(super) record: OnceLock<ObjectId>,
}

impl BranchState {
    /// Puts a state together from what was written of it; none when the folder above the WECs' does not come out the same.
    pub(super) fn from_parts(
        clusters: Arc<[ClusterName]>,
        folders: BTreeMap<String, Arc<Folder>>,
        trees: Option<Spread>,
        held: Vec<HeldFolder>,
        top: Option<ObjectId>,
    ) -> Option<Self> {
        let roots = match &trees {
            Some(trees) => roots(clusters.len(), trees, &held, keep_tree().ok()?.1),
            None => Arc::default(),
        };
        let built = top_tree(&clusters, &roots).ok()?.1;
        let same = top.is_none_or(|top| top == built);
        same.then(|| Self {
            all: Arc::new(ClusterSet::all(clusters.len())),
            clusters,
            folders,
            trees,
            roots,
            held,
            top,
        })
    }

    /// Gives the id of a WEC's folder.
    pub fn root(&self, cluster: &str) -> Option<ObjectId> {
        *self.roots.get(self.position(cluster)?)?
    }

    /// Gives a WEC's folder when it stays as it is.
    pub fn held(&self, cluster: &str) -> Option<&HeldFolder> {
        let position = self.position(cluster)?;
        let found = self
            .held
            .binary_search_by_key(&position, |held| held.cluster);
        found.ok().map(|found| &self.held[found])
    }

    /// Tells whether some WEC's folder stays as it is: then this state does not know what is in all of them.
    pub fn is_partial(&self) -> bool {
        !self.held.is_empty()
    }

    /// Walks the WECs by name.
    pub fn cluster_names(&self) -> impl Iterator<Item = &str> {
        self.clusters.iter().map(ClusterName::as_str)
    }

    /// Counts the files of objects in a WEC's folder.
    pub fn files_on(&self, cluster: &str) -> usize {
        if let Some(held) = self.held(cluster) {
            return usize::try_from(held.files).unwrap_or(usize::MAX);
        }
        let position = self.position(cluster);
        position.map_or(0, |position| {
            let folders = self.folders.values();
            folders.map(|folder| folder.count(position) as usize).sum()
        })
    }

    /// Tells whether a WEC gets any object.
    pub fn has_files(&self, cluster: &str) -> bool {
        if let Some(held) = self.held(cluster) {
            return held.files > 0;
        }
        let Some(position) = self.position(cluster) else {
            return false;
        };
        let trees = self.trees.as_ref();
        trees.is_some_and(|trees| trees.id(position).is_some())
    }

    /// Tells whether both are about the same WECs.
    pub(super) fn same_clusters(&self, other: &Self) -> bool {
        self.clusters == other.clusters
    }

    /// Lists a WEC's folders: each one's tree, and its files with their blobs. Of one that is held, nothing is known.
    pub fn listing(
        &self,
        cluster: &str,
    ) -> BTreeMap<String, (ObjectId, BTreeMap<String, ObjectId>)> {
        let Some(position) = self.position(cluster) else {
            return BTreeMap::new();
        };
        let folders = self.folders.iter().filter_map(|(name, folder)| {
            let tree = folder.trees.id(position)?;
            let files = folder.files(position);
            let files = files.map(|(file, id)| (file.to_owned(), id)).collect();
            Some((name.clone(), (tree, files)))
        });
        folders.collect()
    }

    /// Gives the id of the `clusters/` tree.
    pub fn tree(&self) -> Option<ObjectId> {
        self.top
    }

    /// Counts the files of each distinct folder.
    pub fn folder_counts(&self) -> HashMap<ObjectId, u64> {
        let folders = self.folders.values();
        let counts = folders.flat_map(|folder| {
            let ids = match &folder.trees {
                Spread::Same(_, id) => std::slice::from_ref(id),
                Spread::Each { ids, .. } => ids,
            };
            ids.iter()
                .copied()
                .zip(folder.counts.iter().map(|&count| u64::from(count)))
        });
        counts.collect()
    }

    /// Finds a WEC.
    pub(super) fn position(&self, cluster: &str) -> Option<usize> {
        self.clusters
            .binary_search_by(|name| name.as_str().cmp(cluster))
            .ok()
    }

    /// Walks the folders by name.
    pub(super) fn folders(&self) -> &BTreeMap<String, Arc<Folder>> {
        &self.folders
    }

    /// Counts the files in the whole tree.
    fn files(&self) -> u64 {
        let folders: u64 = self
            .folders
            .values()
            .map(|folder| match &folder.trees {
                Spread::Same(set, _) => set.len() as u64 * u64::from(folder.counts[0]),
                Spread::Each { number, .. } => number
                    .iter()
                    .filter_map(|&number| folder.counts.get(number as usize))
                    .map(|&count| u64::from(count))
                    .sum(),
            })
            .sum();
        let kept = match &self.trees {
            None | Some(Spread::Same(..)) => 0,
            Some(Spread::Each { number, .. }) => {
                number.iter().filter(|&&number| number == NONE).count()
            }
        };
        let held: u64 = self.held.iter().map(|held| held.files).sum();
        folders + held + kept.saturating_sub(self.held.len()) as u64
    }
}

impl Folder {
    /// Counts the files that a WEC has.
    pub(super) fn count(&self, position: usize) -> u32 {
        match &self.trees {
            Spread::Same(set, _) if set.contains(position) => self.counts[0],
            Spread::Same(..) => 0,
            Spread::Each { number, .. } => {
                let count = self.counts.get(number[position] as usize);
                count.copied().unwrap_or_default()
            }
        }
    }

    /// Walks the files that a WEC has, by name.
    pub(super) fn files(&self, position: usize) -> impl Iterator<Item = (&str, ObjectId)> {
        let columns = self.columns.iter();
        columns.filter_map(move |column| Some((column.file.as_str(), column.spread.id(position)?)))
    }

    /// Tells whether building these files would give this folder again.
    fn holds(&self, files: &[Wanted<'_>]) -> bool {
        self.columns.len() == files.len()
            && self
                .columns
                .iter()
                .zip(files)
                .all(|(column, wanted)| column.holds(wanted))
    }
}

/// Builds the `clusters/` tree.
///
/// Objects in `known` are in the repository already and are left out of the segments, as is everything that stays where
/// `last` had it. No object is twice in the segments.
/// Two objects with the same path must have been sorted out before: the later one of `rendered.objects` is left out.
///
/// # Errors
/// When a name cannot stand in a git tree; names that Kubernetes accepts always can.
#[expect(
    clippy::implicit_hasher,
    reason = "one kind of set, and it is most often empty"
)]
pub fn build(
    rendered: &Rendered,
    kept: &[KeptFile],
    last: Option<&BranchState>,
    known: &HashSet<ObjectId>,
) -> Result<Built, TreeError> {
    build_beside(rendered, kept, &[], last, known)
}

/// As [`build`], but the folders of some WECs, sorted by position, stay as they are; nothing may be rendered or kept for these.
///
/// # Errors
/// As [`build`].
#[expect(
    clippy::implicit_hasher,
    reason = "one kind of set, and it is most often empty"
)]
pub fn build_beside(
    rendered: &Rendered,
    kept: &[KeptFile],
    held: &[HeldFolder],
    last: Option<&BranchState>,
    known: &HashSet<ObjectId>,
) -> Result<Built, TreeError> {
    let built = Build::new(rendered, last, &Ledger::hopeful(known)).run(rendered, kept, held)?;
    if !built.1.may_repeat() {
        return Ok(built.0.with(built.1));
    }
    // Different objects have different texts, so this hardly ever happens; but a pack with an object twice is refused.
    let built = Build::new(rendered, last, &Ledger::strict(known)).run(rendered, kept, held)?;
    Ok(built.0.with(built.1))
}

impl BranchState {
    fn with(self, mut harvest: Harvest) -> Built {
        harvest.statistics.files = self.files();
        Built {
            tree: self.top.unwrap_or_default(),
            segments: harvest.segments,
            statistics: harvest.statistics,
            state: self,
        }
    }
}

/// The folder of each WEC, the one above them, and what is new of it.
type Top = (Arc<[Option<ObjectId>]>, ObjectId, Harvest);

/// What all parts of one build share.
struct Build<'a> {
    clusters: Arc<[ClusterName]>,
    all: Arc<ClusterSet>,
    last: Option<&'a BranchState>,
    /// Where each WEC was in `last`; none when they are the same.
    positions: Option<Vec<Option<usize>>>,
    ledger: &'a Ledger<'a>,
}

impl<'a> Build<'a> {
    fn new(rendered: &Rendered, last: Option<&'a BranchState>, ledger: &'a Ledger<'a>) -> Self {
        let same = last.filter(|last| *last.clusters == *rendered.clusters);
        let names = rendered.clusters.iter();
        Self {
            clusters: Arc::clone(same.map_or(&rendered.clusters, |last| &last.clusters)),
            all: same.map_or_else(
                || Arc::new(ClusterSet::all(rendered.clusters.len())),
                |last| Arc::clone(&last.all),
            ),
            last,
            positions: last
                .filter(|_| same.is_none())
                .map(|last| names.map(|name| last.position(name.as_str())).collect()),
            ledger,
        }
    }

    fn run(
        self,
        rendered: &Rendered,
        kept: &[KeptFile],
        held: &[HeldFolder],
    ) -> Result<(BranchState, Harvest), TreeError> {
        let wanted = sort_into_folders(rendered, kept);
        let folders: Vec<(String, Arc<Folder>, Harvest)> = wanted
            .into_par_iter()
            .map(|(name, files)| {
                let before = self.last.and_then(|last| last.folders.get(&name));
                let (folder, harvest) = match before {
                    Some(before) if self.positions.is_none() && before.holds(&files) => {
                        (Arc::clone(before), Harvest::default())
                    }
                    _ => self.folder(&files, before.map(AsRef::as_ref))?,
                };
                Ok((name, folder, harvest))
            })
            .collect::<Result<_, TreeError>>()?;
        let mut harvest = Harvest::default();
        let mut by_name = BTreeMap::new();
        for (name, folder, part) in folders {
            harvest.absorb(part);
            by_name.insert(name, folder);
        }
        let (trees, part) = self.trees(&by_name)?;
        harvest.absorb(part);
        let (roots, top, part) = self.top(&trees, held)?;
        harvest.absorb(part);
        let state = BranchState {
            clusters: self.clusters,
            all: self.all,
            folders: by_name,
            trees: Some(trees),
            roots,
            held: held.to_vec(),
            top: Some(top),
        };
        Ok((state, harvest))
    }

    /// Builds one folder for all WECs.
    fn folder(
        &self,
        files: &[Wanted<'_>],
        last: Option<&Folder>,
    ) -> Result<(Arc<Folder>, Harvest), TreeError> {
        let before: HashMap<&str, &Arc<Column>> = last
            .iter()
            .flat_map(|last| &last.columns)
            .map(|column| (column.file.as_str(), column))
            .collect();
        let parts: Vec<(Vec<Arc<Column>>, Harvest)> = files
            .par_chunks(COLUMNS_A_TASK)
            .map(|chunk| {
                let mut builder = ColumnBuilder::new(self.ledger, &self.all, self.clusters.len());
                let columns = chunk.iter().map(|wanted| {
                    let before = before.get(wanted.file.as_str()).copied();
                    match before {
                        Some(before) if self.positions.is_none() && before.holds(wanted) => {
                            Arc::clone(before)
                        }
                        _ => Arc::new(builder.build(wanted, before.map(AsRef::as_ref))),
                    }
                });
                (columns.collect(), builder.finish())
            })
            .collect();
        let mut harvest = Harvest::default();
        let mut columns = Vec::with_capacity(files.len());
        for (part, found) in parts {
            columns.extend(part);
            harvest.absorb(found);
        }
        let former = self.last.zip(last).map(|(state, folder)| FormerLevel {
            entries: entries(&folder.columns),
            all: &state.all,
            trees: &folder.trees,
            positions: self.positions.as_deref(),
        });
        let level = self.level(EntryMode::FILE, entries(&columns));
        let (trees, part) = build_level(&level, former.as_ref(), self.ledger)?;
        harvest.absorb(part);
        let counts = count(&columns, &trees, &self.all);
        let folder = Folder {
            columns,
            trees,
            counts,
            record: OnceLock::new(),
        };
        Ok((Arc::new(folder), harvest))
    }

    /// Builds the folders of all WECs that have any objects.
    fn trees(
        &self,
        folders: &BTreeMap<String, Arc<Folder>>,
    ) -> Result<(Spread, Harvest), TreeError> {
        let former = self.last.and_then(|last| {
            Some(FormerLevel {
                entries: trees_of(&last.folders),
                all: &last.all,
                trees: last.trees.as_ref()?,
                positions: self.positions.as_deref(),
            })
        });
        let level = self.level(EntryMode::FOLDER, trees_of(folders));
        build_level(&level, former.as_ref(), self.ledger)
    }

    /// Gives the folder of each WEC, builds the one of WECs without objects, and the folder above them all.
    fn top(&self, trees: &Spread, held: &[HeldFolder]) -> Result<Top, TreeError> {
        let (keep, keep_id) = keep_tree()?;
        let roots = roots(self.clusters.len(), trees, held, keep_id);
        let (top, top_id) = top_tree(&self.clusters, &roots)?;

        let (mut harvest, mut segment) = (Harvest::default(), PackSegment::new());
        let mut write = |kind, id, bytes: &[u8]| {
            if self.ledger.claim(id) {
                segment.add_full(kind, id, bytes);
                harvest.count(kind, bytes.len());
            }
        };
        let keep_root = Some(keep_id);
        if roots.contains(&keep_root)
            && !self
                .last
                .is_some_and(|last| last.roots.contains(&keep_root))
        {
            write(ObjectKind::Blob, object_id(ObjectKind::Blob, &[]), &[]);
            write(ObjectKind::Tree, keep_id, keep.as_bytes());
        }
        if self.last.is_none_or(|last| last.top != Some(top_id)) {
            write(ObjectKind::Tree, top_id, top.as_bytes());
        }
        Ok((roots, top_id, harvest.with(segment)))
    }

    fn level<'b>(&'b self, mode: EntryMode, entries: Vec<(&'b str, &'b Spread)>) -> Level<'b> {
        Level {
            mode,
            entries,
            all: &self.all,
            clusters: self.clusters.len(),
        }
    }
}

/// Gives the folder of a WEC without objects.
fn keep_tree() -> Result<(Tree, ObjectId), TreeError> {
    let mut keep = [TreeEntry {
        mode: EntryMode::FILE,
        name: path::KEEP.as_bytes(),
        id: object_id(ObjectKind::Blob, &[]),
    }];
    Ok(named(Tree::new(&mut keep)?))
}

/// Gives the folder of each WEC.
fn roots(
    clusters: usize,
    trees: &Spread,
    held: &[HeldFolder],
    keep: ObjectId,
) -> Arc<[Option<ObjectId>]> {
    let mut roots: Vec<Option<ObjectId>> = (0..clusters)
        .map(|cluster| Some(trees.id(cluster).unwrap_or(keep)))
        .collect();
    for folder in held {
        roots[folder.cluster] = folder.root;
    }
    roots.into()
}

/// Gives the folder above those of the WECs.
fn top_tree(
    clusters: &[ClusterName],
    roots: &[Option<ObjectId>],
) -> Result<(Tree, ObjectId), TreeError> {
    let entries = clusters.iter().zip(roots);
    let mut entries: Vec<TreeEntry<'_>> = entries
        .filter_map(|(cluster, id)| {
            Some(TreeEntry {
                mode: EntryMode::FOLDER,
                name: cluster.as_str().as_bytes(),
                id: (*id)?,
            })
        })
        .collect();
    Ok(named(Tree::new(&mut entries)?))
}

fn named(tree: Tree) -> (Tree, ObjectId) {
    let id = object_id(ObjectKind::Tree, &[tree.as_bytes()]);
    (tree, id)
}

fn entries(columns: &[Arc<Column>]) -> Vec<(&str, &Spread)> {
    let columns = columns.iter();
    columns
        .map(|column| (column.file.as_str(), &column.spread))
        .collect()
}

fn trees_of(folders: &BTreeMap<String, Arc<Folder>>) -> Vec<(&str, &Spread)> {
    folders
        .iter()
        .map(|(name, folder)| (name.as_str(), &folder.trees))
        .collect()
}

/// Counts the files in each of these trees.
fn count(columns: &[Arc<Column>], trees: &Spread, all: &ClusterSet) -> Vec<u32> {
    let (varying, uniform): (Vec<&Arc<Column>>, Vec<_>) = columns
        .iter()
        .partition(|column| column.spread.everywhere(all).is_none());
    let on = |cluster: usize| {
        let there = varying
            .iter()
            .filter(|column| column.spread.id(cluster).is_some());
        u32::try_from(uniform.len() + there.count()).unwrap_or(u32::MAX)
    };
    match trees {
        Spread::Same(set, _) => vec![set.iter().next().map_or(0, on)],
        Spread::Each { number, ids } => {
            let mut counts = vec![None; ids.len()];
            for (cluster, &number) in number.iter().enumerate() {
                if let Some(count @ None) = counts.get_mut(number as usize) {
                    *count = Some(on(cluster));
                }
            }
            counts.into_iter().map(Option::unwrap_or_default).collect()
        }
    }
}

/// Sorts objects and kept files by folder and file name.
fn sort_into_folders<'a>(
    rendered: &'a Rendered,
    kept: &[KeptFile],
) -> Vec<(String, Vec<Wanted<'a>>)> {
    let mut folders: BTreeMap<&str, Vec<Wanted<'a>>> = BTreeMap::new();
    for object in &rendered.objects {
        let files = folders.entry(path::folder(&object.key)).or_default();
        files.push(Wanted {
            file: path::file_name(&object.key),
            variants: &object.variants,
            kept: Vec::new(),
        });
    }
    for entry in kept {
        let files = folders.entry(&entry.folder).or_default();
        files.push(Wanted {
            file: entry.file.clone(),
            variants: &[],
            kept: vec![(entry.cluster, entry.id)],
        });
    }
    let merged = folders.into_iter().map(|(name, mut files)| {
        files.sort_by(|one, other| one.file.cmp(&other.file));
        files.dedup_by(|later, earlier| {
            let same = later.file == earlier.file;
            if same {
                earlier.kept.append(&mut later.kept);
            }
            same
        });
        (name.to_owned(), files)
    });
    merged.collect()
}
