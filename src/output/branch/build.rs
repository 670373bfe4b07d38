//! Builds the `clusters/` tree of the generated branch: a [`Rendered`] and what was built last → object ids and pack segments.
//!
//! The cost follows what is distinct, and what is new: equal blobs and equal folders are one object, whatever the number
//! of WECs, and what the last [`BranchState`] knows is neither filled nor hashed again. WECs with the same contents of a
//! namespace form one class; a class's tree is a copy of the first one's with some ids patched.
//!
//! Never reads a repository: what it returns as new is everything that the repository of the last state lacks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::delta::{Delta, Filled};
use super::hash::{ObjectBuffer, ObjectId, ObjectKind};
use super::object::{EntryMode, Tree, TreeEntry, TreeError};
use super::pack::PackSegment;
use crate::model::{ClusterName, ClusterSet};
use crate::output::path;
use crate::transform::{Content, Fillings, Prepared, Rendered, Segment, Variant};

/// Columns that one task builds: enough to keep a core busy, few enough to share out.
const COLUMNS_A_TASK: usize = 16;
/// Classes that one task builds.
const CLASSES_A_TASK: usize = 128;

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

/// Everything that a build leaves for the next one: ids, never contents of blobs.
///
/// Belongs to one generated commit. Building on a state whose objects the repository lacks gives a broken pack: start
/// from nothing instead.
#[derive(Clone, Debug, Default)]
pub struct BranchState {
    clusters: Arc<[ClusterName]>,
    folders: BTreeMap<String, Arc<Folder>>,
    roots: HashMap<ClusterName, (Arc<[u8]>, ObjectId)>,
    top: Option<(Arc<[u8]>, ObjectId)>,
    files: u64,
}

impl BranchState {
    /// Gives the id of a WEC's folder.
    pub fn root(&self, cluster: &str) -> Option<ObjectId> {
        self.roots.get(cluster).map(|root| root.1)
    }

    /// Walks the WECs by name.
    pub fn cluster_names(&self) -> impl Iterator<Item = &str> {
        self.clusters.iter().map(ClusterName::as_str)
    }

    /// Counts the files of objects in a WEC's folder.
    pub fn files_on(&self, cluster: &str) -> usize {
        self.listing(cluster)
            .values()
            .map(|folder| folder.1.len())
            .sum()
    }

    /// Lists a WEC's folders: each one's tree, and its files with their blobs.
    pub fn listing(
        &self,
        cluster: &str,
    ) -> BTreeMap<String, (ObjectId, BTreeMap<String, ObjectId>)> {
        let Ok(position) = self
            .clusters
            .binary_search_by(|name| name.as_str().cmp(cluster))
        else {
            return BTreeMap::new();
        };
        let folders = self.folders.iter().filter_map(|(name, folder)| {
            let tree = folder.trees[position]?;
            let files = folder
                .columns
                .iter()
                .filter_map(|column| Some((column.file.clone(), column.id(position)?)));
            Some((name.clone(), (tree, files.collect())))
        });
        folders.collect()
    }

    /// Gives the id of the `clusters/` tree.
    pub fn tree(&self) -> Option<ObjectId> {
        self.top.as_ref().map(|top| top.1)
    }
}

/// One folder name (a namespace, or `_cluster`) over all WECs.
#[derive(Debug)]
struct Folder {
    columns: Vec<Arc<Column>>,
    /// The ids of the files that are not the same everywhere → the tree's id.
    classes: HashMap<Box<[Option<ObjectId>]>, ObjectId>,
    /// For each WEC: the tree, where there is one.
    trees: Vec<Option<ObjectId>>,
    files: u64,
}

/// One file name over all WECs.
#[derive(Debug)]
struct Column {
    file: String,
    variants: Vec<(Variant, VariantIds)>,
    kept: Vec<(usize, ObjectId)>,
    ids: ColumnIds,
}

/// The blobs of one variant: one, or one for each filling.
#[derive(Clone, Debug)]
enum VariantIds {
    One(ObjectId),
    Many(Arc<[ObjectId]>),
}

/// The blob that each WEC gets.
#[derive(Debug)]
enum ColumnIds {
    /// The same for all of a set.
    Same(Arc<ClusterSet>, ObjectId),
    /// One for each WEC.
    Each(Box<[Option<ObjectId>]>),
}

impl Column {
    fn id(&self, cluster: usize) -> Option<ObjectId> {
        match &self.ids {
            ColumnIds::Same(set, id) => set.contains(cluster).then_some(*id),
            ColumnIds::Each(ids) => ids[cluster],
        }
    }
}

/// What a file name is to hold, before it is built.
struct Wanted<'a> {
    file: String,
    variants: &'a [Variant],
    kept: Vec<(usize, ObjectId)>,
}

/// New objects on their way into the pack.
#[derive(Default)]
struct Harvest {
    segments: Vec<PackSegment>,
    statistics: Statistics,
}

impl Harvest {
    fn count(&mut self, kind: ObjectKind, bytes: usize) {
        match kind {
            ObjectKind::Blob => self.statistics.blobs += 1,
            _ => self.statistics.trees += 1,
        }
        self.statistics.bytes += bytes as u64;
    }

    fn absorb(&mut self, other: Self) {
        self.segments.extend(
            other
                .segments
                .into_iter()
                .filter(|segment| segment.objects() > 0),
        );
        self.statistics.blobs += other.statistics.blobs;
        self.statistics.trees += other.statistics.trees;
        self.statistics.bytes += other.statistics.bytes;
    }
}

/// Builds the `clusters/` tree.
///
/// Objects in `known` are in the repository already and are left out of the segments, as is everything that `last` knows.
/// Two objects with the same path must have been sorted out before: the later one of `rendered.objects` is left out.
///
/// # Errors
/// When a name cannot stand in a git tree; names that Kubernetes accepts always can.
pub fn build(
    rendered: &Rendered,
    kept: &[KeptFile],
    last: Option<&BranchState>,
    known: &HashSet<ObjectId>,
) -> Result<Built, TreeError> {
    let same_clusters = last.is_some_and(|last| *last.clusters == *rendered.clusters);
    let wanted = sort_into_folders(rendered, kept);
    let folders: Vec<(String, Arc<Folder>, Harvest)> = wanted
        .into_par_iter()
        .map(|(name, files)| {
            let before = last.and_then(|last| last.folders.get(&name));
            if let Some(before) = before.filter(|before| same_clusters && before.holds(&files)) {
                return Ok((name, Arc::clone(before), Harvest::default()));
            }
            let (folder, harvest) = build_folder(
                &files,
                rendered.clusters.len(),
                before.map(AsRef::as_ref),
                known,
            )?;
            Ok((name, Arc::new(folder), harvest))
        })
        .collect::<Result<_, TreeError>>()?;

    let mut harvest = Harvest::default();
    let mut state = BranchState {
        clusters: if same_clusters {
            last.map(|last| Arc::clone(&last.clusters))
                .unwrap_or_default()
        } else {
            Arc::clone(&rendered.clusters)
        },
        ..BranchState::default()
    };
    for (name, folder, part) in folders {
        harvest.absorb(part);
        state.files += folder.files;
        state.folders.insert(name, folder);
    }
    harvest.absorb(build_roots(&mut state, last, known)?);
    harvest.statistics.files = state.files;
    let tree = state.tree().unwrap_or(ObjectId([0; 20]));
    Ok(Built {
        tree,
        segments: harvest.segments,
        state,
        statistics: harvest.statistics,
    })
}

/// Sorts objects and kept files by folder and file name.
fn sort_into_folders<'a>(
    rendered: &'a Rendered,
    kept: &[KeptFile],
) -> Vec<(String, Vec<Wanted<'a>>)> {
    let mut folders: BTreeMap<&str, BTreeMap<String, Wanted<'a>>> = BTreeMap::new();
    for object in &rendered.objects {
        let file = path::file_name(&object.key);
        let files = folders.entry(path::folder(&object.key)).or_default();
        files.entry(file.clone()).or_insert(Wanted {
            file,
            variants: &object.variants,
            kept: Vec::new(),
        });
    }
    for entry in kept {
        let files = folders.entry(&entry.folder).or_default();
        let wanted = files.entry(entry.file.clone()).or_insert(Wanted {
            file: entry.file.clone(),
            variants: &[],
            kept: Vec::new(),
        });
        wanted.kept.push((entry.cluster, entry.id));
    }
    folders
        .into_iter()
        .map(|(name, files)| (name.to_owned(), files.into_values().collect()))
        .collect()
}

impl Folder {
    /// Tells whether building these files would give this folder again. Compares by address before it compares bytes.
    fn holds(&self, files: &[Wanted<'_>]) -> bool {
        self.columns.len() == files.len()
            && self
                .columns
                .iter()
                .zip(files)
                .all(|(column, wanted)| column.holds(wanted))
    }
}

impl Column {
    fn holds(&self, wanted: &Wanted<'_>) -> bool {
        self.file == wanted.file
            && self.kept == wanted.kept
            && self.variants.len() == wanted.variants.len()
            && self
                .variants
                .iter()
                .zip(wanted.variants)
                .all(|((before, _), variant)| {
                    same(&before.clusters, &variant.clusters)
                        && same_content(&before.content, &variant.content)
                })
    }
}

fn same<T: PartialEq + ?Sized>(left: &Arc<T>, right: &Arc<T>) -> bool {
    Arc::ptr_eq(left, right) || left == right
}

fn same_content(left: &Content, right: &Content) -> bool {
    match (left, right) {
        (Content::Shared(left), Content::Shared(right)) => same(left, right),
        (
            Content::Filled {
                prepared,
                choice,
                fillings,
            },
            Content::Filled {
                prepared: p,
                choice: c,
                fillings: f,
            },
        ) => same(prepared, p) && same(choice, c) && same(fillings, f),
        _ => false,
    }
}

/// Builds one folder for all WECs.
fn build_folder(
    files: &[Wanted<'_>],
    clusters: usize,
    last: Option<&Folder>,
    known: &HashSet<ObjectId>,
) -> Result<(Folder, Harvest), TreeError> {
    let before: HashMap<&str, &Arc<Column>> = last
        .iter()
        .flat_map(|last| last.columns.iter())
        .map(|column| (column.file.as_str(), column))
        .collect();
    let parts: Vec<(Vec<Arc<Column>>, Harvest)> = files
        .par_chunks(COLUMNS_A_TASK)
        .map(|chunk| {
            let mut builder = ColumnBuilder::new(known);
            let columns = chunk
                .iter()
                .map(|wanted| builder.build(wanted, clusters, before.get(wanted.file.as_str())))
                .collect();
            (columns, builder.finish())
        })
        .collect();
    let mut harvest = Harvest::default();
    let mut columns = Vec::with_capacity(files.len());
    for (part, found) in parts {
        columns.extend(part);
        harvest.absorb(found);
    }
    let (folder, trees) = build_classes(columns, clusters, last, known)?;
    harvest.absorb(trees);
    Ok((folder, harvest))
}

/// Makes the blobs of columns, with buffers that serve them all.
struct ColumnBuilder<'a> {
    known: &'a HashSet<ObjectId>,
    buffer: ObjectBuffer,
    base: Vec<u8>,
    base_holes: Vec<std::ops::Range<usize>>,
    holes: Vec<std::ops::Range<usize>>,
    delta: Delta,
    segment: PackSegment,
    harvest: Harvest,
}

impl<'a> ColumnBuilder<'a> {
    fn new(known: &'a HashSet<ObjectId>) -> Self {
        Self {
            known,
            buffer: ObjectBuffer::new(),
            base: Vec::new(),
            base_holes: Vec::new(),
            holes: Vec::new(),
            delta: Delta::new(),
            segment: PackSegment::new(),
            harvest: Harvest::default(),
        }
    }

    fn build(
        &mut self,
        wanted: &Wanted<'_>,
        clusters: usize,
        last: Option<&&Arc<Column>>,
    ) -> Arc<Column> {
        let variants: Vec<(Variant, VariantIds)> = wanted
            .variants
            .iter()
            .map(|variant| (variant.clone(), self.variant_ids(&variant.content, last)))
            .collect();
        let ids = match &variants[..] {
            [(variant, VariantIds::One(id))] if wanted.kept.is_empty() => {
                ColumnIds::Same(Arc::clone(&variant.clusters), *id)
            }
            _ => ColumnIds::Each(spread(&variants, &wanted.kept, clusters)),
        };
        Arc::new(Column {
            file: wanted.file.clone(),
            variants,
            kept: wanted.kept.clone(),
            ids,
        })
    }

    /// Gives the blob ids of a text; writes those that the last column does not know.
    fn variant_ids(&mut self, content: &Content, last: Option<&&Arc<Column>>) -> VariantIds {
        let before = last.iter().flat_map(|column| column.variants.iter());
        match content {
            Content::Shared(prepared) => {
                for (variant, ids) in before {
                    if let (Content::Shared(text), VariantIds::One(id)) = (&variant.content, ids)
                        && same(text, prepared)
                    {
                        return VariantIds::One(*id);
                    }
                }
                VariantIds::One(self.write_shared(prepared))
            }
            Content::Filled {
                prepared, fillings, ..
            } => {
                let mut known = HashMap::new();
                for (variant, ids) in before {
                    if let (
                        Content::Filled {
                            prepared: p,
                            fillings: f,
                            ..
                        },
                        VariantIds::Many(m),
                    ) = (&variant.content, ids)
                        && same(p, prepared)
                    {
                        if same(f, fillings) {
                            return ids.clone();
                        }
                        known.extend((0..f.len()).map(|number| (f.scalars(number), m[number])));
                    }
                }
                VariantIds::Many(self.write_filled(prepared, fillings, &known))
            }
        }
    }

    fn write_shared(&mut self, prepared: &Prepared) -> ObjectId {
        self.buffer.start().extend_from_slice(&prepared.text);
        let id = self.buffer.id(ObjectKind::Blob);
        if !self.known.contains(&id) {
            self.segment.add_full(ObjectKind::Blob, id, &prepared.text);
            self.harvest.count(ObjectKind::Blob, prepared.text.len());
        }
        id
    }

    /// Writes the first new filling in full, and the others as what differs from it.
    fn write_filled(
        &mut self,
        prepared: &Prepared,
        fillings: &Fillings,
        before: &HashMap<Box<[&[u8]]>, ObjectId>,
    ) -> Arc<[ObjectId]> {
        let mut position = None;
        // Different properties can give the same text: `{{len .name}}`.
        let mut seen: HashSet<ObjectId> = before.values().copied().collect();
        let mut ids = Vec::with_capacity(fillings.len());
        for number in 0..fillings.len() {
            if !before.is_empty()
                && let Some(id) = before.get(&fillings.scalars(number))
            {
                ids.push(*id);
                continue;
            }
            fill(
                prepared,
                fillings,
                number,
                self.buffer.start(),
                &mut self.holes,
            );
            let id = self.buffer.id(ObjectKind::Blob);
            ids.push(id);
            if self.known.contains(&id) || !seen.insert(id) {
                continue;
            }
            let content = self.buffer.content();
            self.harvest.count(ObjectKind::Blob, content.len());
            if let Some(base) = position {
                self.delta.sibling(
                    Filled {
                        text: &self.base,
                        holes: &self.base_holes,
                    },
                    Filled {
                        text: content,
                        holes: &self.holes,
                    },
                );
                self.segment
                    .add_sibling(ObjectKind::Blob, id, content, base, &self.delta);
            } else {
                position = Some(self.segment.add_full(ObjectKind::Blob, id, content));
                self.base.clear();
                self.base.extend_from_slice(content);
                std::mem::swap(&mut self.base_holes, &mut self.holes);
            }
        }
        ids.into()
    }

    fn finish(mut self) -> Harvest {
        self.harvest.segments.push(self.segment);
        self.harvest
    }
}

/// Appends a filled text to `out` and notes where the fillings lie in it.
fn fill(
    prepared: &Prepared,
    fillings: &Fillings,
    number: usize,
    out: &mut Vec<u8>,
    holes: &mut Vec<std::ops::Range<usize>>,
) {
    let start = out.len();
    holes.clear();
    for segment in prepared.segments(fillings, number) {
        match segment {
            Segment::Literal(bytes) => out.extend_from_slice(bytes),
            Segment::Filled(_, bytes) => {
                let from = out.len() - start;
                out.extend_from_slice(bytes);
                holes.push(from..from + bytes.len());
            }
        }
    }
}

/// Lays out the blob of each WEC.
fn spread(
    variants: &[(Variant, VariantIds)],
    kept: &[(usize, ObjectId)],
    clusters: usize,
) -> Box<[Option<ObjectId>]> {
    let mut each = vec![None; clusters];
    for (variant, ids) in variants {
        match (ids, &variant.content) {
            (VariantIds::Many(ids), Content::Filled { choice, .. }) => {
                for (cluster, number) in variant.clusters.iter().zip(choice.iter()) {
                    each[cluster] = ids.get(*number as usize).copied();
                }
            }
            (VariantIds::One(id), _) => {
                variant
                    .clusters
                    .iter()
                    .for_each(|cluster| each[cluster] = Some(*id));
            }
            (VariantIds::Many(_), Content::Shared(_)) => {}
        }
    }
    for (cluster, id) in kept {
        each[*cluster] = Some(*id);
    }
    each.into()
}

/// Finds the WECs with equal contents of a folder, and builds one tree for each class of them.
fn build_classes(
    columns: Vec<Arc<Column>>,
    clusters: usize,
    last: Option<&Folder>,
    known: &HashSet<ObjectId>,
) -> Result<(Folder, Harvest), TreeError> {
    let everywhere = ClusterSet::all(clusters);
    let varying: Vec<usize> = (0..columns.len())
        .filter(
            |&index| !matches!(&columns[index].ids, ColumnIds::Same(set, _) if **set == everywhere),
        )
        .collect();
    let (class_of, members) = partition(&columns, &varying, clusters);
    let keys: Vec<Box<[Option<ObjectId>]>> = members
        .iter()
        .map(|&cluster| {
            varying
                .iter()
                .map(|&index| columns[index].id(cluster))
                .collect()
        })
        .collect();
    let last = last.filter(|last| same_frame(last, &columns, &varying, clusters));
    let missing: Vec<usize> = (0..keys.len())
        .filter(|&class| last.is_none_or(|last| !last.classes.contains_key(&keys[class])))
        .collect();

    let built: Vec<(Vec<Option<ObjectId>>, Harvest)> = missing
        .par_chunks(CLASSES_A_TASK)
        .map(|chunk| {
            let mut builder = TreeBuilder::new(&columns, &varying, known);
            let ids = chunk
                .iter()
                .map(|&class| builder.build(&keys[class]))
                .collect::<Result<_, _>>()?;
            Ok((ids, builder.finish()))
        })
        .collect::<Result<_, TreeError>>()?;

    let mut harvest = Harvest::default();
    let mut trees: Vec<Option<ObjectId>> = vec![None; keys.len()];
    let mut missing = missing.into_iter();
    for (ids, part) in built {
        harvest.absorb(part);
        for (id, class) in ids.into_iter().zip(missing.by_ref()) {
            trees[class] = id;
        }
    }
    if let Some(last) = last {
        for (tree, key) in trees.iter_mut().zip(&keys) {
            *tree = tree.or_else(|| last.classes.get(key).copied());
        }
    }
    let files = columns
        .iter()
        .map(|column| match &column.ids {
            ColumnIds::Same(set, _) => set.len() as u64,
            ColumnIds::Each(ids) => ids.iter().flatten().count() as u64,
        })
        .sum();
    let folder = Folder {
        trees: class_of
            .iter()
            .map(|&class| trees[class as usize])
            .collect(),
        classes: keys
            .into_iter()
            .zip(trees)
            .filter_map(|(key, tree)| tree.map(|tree| (key, tree)))
            .collect(),
        columns,
        files,
    };
    Ok((folder, harvest))
}

/// Tells whether a class's key means the same tree as in the last folder: the same files vary, and the others are equal.
fn same_frame(last: &Folder, columns: &[Arc<Column>], varying: &[usize], clusters: usize) -> bool {
    let everywhere_then = ClusterSet::all(last.trees.len());
    let everywhere_now = ClusterSet::all(clusters);
    last.columns.len() == columns.len()
        && last
            .columns
            .iter()
            .zip(columns)
            .enumerate()
            .all(|(index, (before, now))| {
                let uniform = |column: &Column, everywhere: &ClusterSet| match &column.ids {
                    ColumnIds::Same(set, id) if **set == *everywhere => Some(*id),
                    _ => None,
                };
                before.file == now.file
                    && uniform(before, &everywhere_then)
                        == uniform(now, &everywhere_now).filter(|_| !varying.contains(&index))
            })
}

/// Splits the WECs by the files that vary; gives each WEC's class, and one member of each class.
fn partition(
    columns: &[Arc<Column>],
    varying: &[usize],
    clusters: usize,
) -> (Vec<u32>, Vec<usize>) {
    let mut class_of = vec![0_u32; clusters];
    let mut seen: Vec<&Arc<ClusterSet>> = Vec::new();
    for &index in varying {
        if let ColumnIds::Same(set, _) = &columns[index].ids {
            // Files with the same WECs split them in the same way.
            if seen.iter().any(|other| Arc::ptr_eq(other, set)) {
                continue;
            }
            seen.push(set);
        }
        let mut classes: HashMap<(u32, Option<ObjectId>), u32> = HashMap::new();
        for (cluster, class) in class_of.iter_mut().enumerate() {
            let next = u32::try_from(classes.len()).unwrap_or(u32::MAX);
            *class = *classes
                .entry((*class, columns[index].id(cluster)))
                .or_insert(next);
        }
    }
    let mut members = Vec::new();
    for (cluster, &class) in class_of.iter().enumerate() {
        if class as usize == members.len() {
            members.push(cluster);
        }
    }
    (class_of, members)
}

/// Makes the trees of classes: the first in full, its siblings by patching ids.
struct TreeBuilder<'a> {
    columns: &'a [Arc<Column>],
    varying: &'a [usize],
    known: &'a HashSet<ObjectId>,
    buffer: ObjectBuffer,
    delta: Delta,
    segment: PackSegment,
    harvest: Harvest,
    /// For each set of files that are there: the first tree, where it lies, and where its varying ids lie.
    frames: HashMap<Box<[bool]>, Frame>,
}

/// A tree that siblings are patched from.
struct Frame {
    tree: Tree,
    position: super::pack::EntryPosition,
    /// For each varying file that is there: its place in the key and its index in the tree.
    varying: Vec<(usize, usize)>,
    holes: Vec<std::ops::Range<usize>>,
}

impl<'a> TreeBuilder<'a> {
    fn new(columns: &'a [Arc<Column>], varying: &'a [usize], known: &'a HashSet<ObjectId>) -> Self {
        Self {
            columns,
            varying,
            known,
            buffer: ObjectBuffer::new(),
            delta: Delta::new(),
            segment: PackSegment::new(),
            harvest: Harvest::default(),
            frames: HashMap::new(),
        }
    }

    /// Gives the tree's id; none for a folder without files.
    fn build(&mut self, key: &[Option<ObjectId>]) -> Result<Option<ObjectId>, TreeError> {
        if self.varying.len() == self.columns.len() && key.iter().all(Option::is_none) {
            return Ok(None);
        }
        let present: Box<[bool]> = key.iter().map(Option::is_some).collect();
        let Some(frame) = self.frames.get(&present) else {
            return self.build_first(key, present).map(Some);
        };
        let patches: Vec<(usize, ObjectId)> = frame
            .varying
            .iter()
            .filter_map(|&(place, index)| key[place].map(|id| (index, id)))
            .collect();
        frame.tree.patch_into(&patches, self.buffer.start());
        let id = self.buffer.id(ObjectKind::Tree);
        if self.known.contains(&id) {
            return Ok(Some(id));
        }
        let content = self.buffer.content();
        self.delta.sibling(
            Filled {
                text: frame.tree.as_bytes(),
                holes: &frame.holes,
            },
            Filled {
                text: content,
                holes: &frame.holes,
            },
        );
        self.segment
            .add_sibling(ObjectKind::Tree, id, content, frame.position, &self.delta);
        self.harvest.count(ObjectKind::Tree, content.len());
        Ok(Some(id))
    }

    fn build_first(
        &mut self,
        key: &[Option<ObjectId>],
        present: Box<[bool]>,
    ) -> Result<ObjectId, TreeError> {
        let place_of: HashMap<usize, usize> = self
            .varying
            .iter()
            .enumerate()
            .map(|(place, &index)| (index, place))
            .collect();
        let mut entries = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter().enumerate() {
            let id = match (place_of.get(&index), &column.ids) {
                (Some(&place), _) => key[place],
                (None, ColumnIds::Same(_, id)) => Some(*id),
                (None, ColumnIds::Each(_)) => None,
            };
            if let Some(id) = id {
                let name = column.file.as_bytes();
                entries.push(TreeEntry {
                    mode: EntryMode::FILE,
                    name,
                    id,
                });
            }
        }
        let tree = Tree::new(&mut entries)?;
        let index_of: HashMap<&[u8], usize> = tree
            .entries()
            .enumerate()
            .map(|(index, entry)| (entry.name, index))
            .collect();
        let varying: Vec<(usize, usize)> = self
            .varying
            .iter()
            .enumerate()
            .filter_map(|(place, &column)| {
                let index = index_of.get(self.columns[column].file.as_bytes())?;
                Some((place, *index))
            })
            .collect();
        let mut holes: Vec<_> = varying
            .iter()
            .filter_map(|&(_, index)| tree.id_range(index))
            .collect();
        holes.sort_by_key(|range| range.start);
        self.buffer.start().extend_from_slice(tree.as_bytes());
        let id = self.buffer.id(ObjectKind::Tree);
        let position = self.segment.add_full(ObjectKind::Tree, id, tree.as_bytes());
        self.harvest.count(ObjectKind::Tree, tree.as_bytes().len());
        self.frames.insert(
            present,
            Frame {
                tree,
                position,
                varying,
                holes,
            },
        );
        Ok(id)
    }

    fn finish(mut self) -> Harvest {
        self.harvest.segments.push(self.segment);
        self.harvest
    }
}

/// Builds the folder of each WEC and the folder above them.
fn build_roots(
    state: &mut BranchState,
    last: Option<&BranchState>,
    known: &HashSet<ObjectId>,
) -> Result<Harvest, TreeError> {
    let mut roots = RootBuilder {
        known,
        buffer: ObjectBuffer::new(),
        segment: PackSegment::new(),
        harvest: Harvest::default(),
        written: HashMap::new(),
    };
    let folders: Vec<(&str, &Arc<Folder>)> = state
        .folders
        .iter()
        .map(|(name, folder)| (name.as_str(), folder))
        .collect();
    let mut found = HashMap::with_capacity(state.clusters.len());
    let mut keep = None;
    let mut files = 0;
    for (position, cluster) in state.clusters.iter().enumerate() {
        let mut entries: Vec<TreeEntry<'_>> = folders
            .iter()
            .filter_map(|(name, folder)| {
                let id = folder.trees[position]?;
                Some(TreeEntry {
                    mode: EntryMode::FOLDER,
                    name: name.as_bytes(),
                    id,
                })
            })
            .collect();
        if entries.is_empty() {
            files += 1;
            let id = *keep.get_or_insert_with(|| roots.write(ObjectKind::Blob, &[]));
            entries.push(TreeEntry {
                mode: EntryMode::FILE,
                name: path::KEEP.as_bytes(),
                id,
            });
        }
        let tree = Tree::new(&mut entries)?;
        let before = last.and_then(|last| last.roots.get(cluster));
        let root = roots.reuse_or_write(before, tree.as_bytes());
        found.insert(cluster.clone(), root);
    }
    let mut entries: Vec<TreeEntry<'_>> = found
        .iter()
        .map(|(cluster, root)| TreeEntry {
            mode: EntryMode::FOLDER,
            name: cluster.as_str().as_bytes(),
            id: root.1,
        })
        .collect();
    let top = Tree::new(&mut entries)?;
    let before = last.and_then(|last| last.top.as_ref());
    state.top = Some(roots.reuse_or_write(before, top.as_bytes()));
    state.roots = found;
    state.files += files;
    roots.harvest.segments.push(roots.segment);
    Ok(roots.harvest)
}

/// Writes the few trees above the folders, each distinct one once.
struct RootBuilder<'a> {
    known: &'a HashSet<ObjectId>,
    buffer: ObjectBuffer,
    segment: PackSegment,
    harvest: Harvest,
    written: HashMap<ObjectId, Arc<[u8]>>,
}

impl RootBuilder<'_> {
    fn reuse_or_write(
        &mut self,
        before: Option<&(Arc<[u8]>, ObjectId)>,
        bytes: &[u8],
    ) -> (Arc<[u8]>, ObjectId) {
        if let Some(before) = before.filter(|before| *before.0 == *bytes) {
            return before.clone();
        }
        let id = self.write(ObjectKind::Tree, bytes);
        (Arc::clone(&self.written[&id]), id)
    }

    fn write(&mut self, kind: ObjectKind, bytes: &[u8]) -> ObjectId {
        self.buffer.start().extend_from_slice(bytes);
        let id = self.buffer.id(kind);
        if !self.written.contains_key(&id) {
            self.written.insert(id, bytes.into());
            if !self.known.contains(&id) {
                self.segment.add_full(kind, id, bytes);
                self.harvest.count(kind, bytes.len());
            }
        }
        id
    }
}
