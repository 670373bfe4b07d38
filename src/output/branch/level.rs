//! One level of folders over all WECs: what lies in it → the tree that each WEC gets.
//!
//! WECs with equal contents form one class. A class's tree is a copy of the first one's with some ids patched, so its
//! delta is known; a class that stood before, on the WEC that it is built for, is not made again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::column::{NONE, Spread};
use super::delta::{Delta, Filled};
use super::hash::{ObjectBuffer, ObjectId, ObjectKind};
use super::ledger::{Harvest, Ledger, NumberMap};
use super::object::{EntryMode, Tree, TreeEntry, TreeError};
use super::pack::{EntryPosition, PackSegment};
use crate::model::ClusterSet;

/// Classes that one task builds.
const CLASSES_A_TASK: usize = 128;

/// What lies in one folder, or in the folders of all WECs.
pub(super) struct Level<'a> {
    /// What the entries are.
    pub(super) mode: EntryMode,
    /// The entries by name, with the object that each WEC has there.
    pub(super) entries: Vec<(&'a str, &'a Spread)>,
    /// All WECs.
    pub(super) all: &'a Arc<ClusterSet>,
    /// How many WECs there are.
    pub(super) clusters: usize,
}

/// What stood before.
pub(super) struct FormerLevel<'a> {
    /// The entries by name.
    pub(super) entries: Vec<(&'a str, &'a Spread)>,
    /// All WECs of then.
    pub(super) all: &'a ClusterSet,
    /// The tree that each WEC had.
    pub(super) trees: &'a Spread,
    /// Where each WEC of now was then; none when they are the same.
    pub(super) positions: Option<&'a [Option<usize>]>,
}

/// Gives the tree of each WEC that has any entry, and the new trees.
pub(super) fn build_level(
    level: &Level<'_>,
    former: Option<&FormerLevel<'_>>,
    ledger: &Ledger<'_>,
) -> Result<(Spread, Harvest), TreeError> {
    let varying: Vec<usize> = (0..level.entries.len())
        .filter(|&index| level.entries[index].1.everywhere(level.all).is_none())
        .collect();
    let spreads: Vec<&Spread> = varying
        .iter()
        .map(|&index| level.entries[index].1)
        .collect();
    let (class_of, members) = partition(&spreads, level.clusters);
    let differing = former.and_then(|former| Some((former, differing(level, former)?)));
    let reused = |member: usize| {
        let (former, differing) = differing.as_ref()?;
        let then = match former.positions {
            None => Some(member),
            Some(positions) => positions[member],
        }?;
        let id = |spread: Option<&Spread>, cluster| spread.and_then(|spread| spread.id(cluster));
        let equal = differing
            .iter()
            .all(|&(before, now)| id(before, then) == id(now, member));
        equal.then(|| former.trees.id(then)).flatten()
    };
    let mut trees: Vec<Option<ObjectId>> = members.iter().map(|&member| reused(member)).collect();
    let empty = |member: usize| {
        varying.len() == level.entries.len()
            && spreads.iter().all(|spread| spread.id(member).is_none())
    };
    let missing: Vec<usize> = (0..members.len())
        .filter(|&class| trees[class].is_none() && !empty(members[class]))
        .collect();

    let built: Vec<(Vec<ObjectId>, Harvest)> = missing
        .par_chunks(CLASSES_A_TASK)
        .map(|chunk| {
            let mut builder = TreeBuilder::new(level, &varying, ledger);
            let ids = chunk.iter().map(|&class| builder.build(members[class]));
            let ids = ids.collect::<Result<_, _>>()?;
            Ok((ids, builder.finish()))
        })
        .collect::<Result<_, TreeError>>()?;
    let mut harvest = Harvest::default();
    let mut missing = missing.into_iter();
    for (ids, part) in built {
        harvest.absorb(part);
        for (id, class) in ids.into_iter().zip(missing.by_ref()) {
            trees[class] = Some(id);
        }
    }
    Ok((spread(level.all, class_of, &trees), harvest))
}

/// Puts the classes' trees together; a class without one has no entries.
fn spread(all: &Arc<ClusterSet>, class_of: Vec<u32>, trees: &[Option<ObjectId>]) -> Spread {
    if let [Some(id)] = trees {
        return Spread::Same(Arc::clone(all), *id);
    }
    if trees.iter().all(Option::is_some) {
        return Spread::Each {
            number: class_of.into(),
            ids: trees.iter().flatten().copied().collect(),
        };
    }
    Spread::new(class_of.into_iter().map(|class| trees[class as usize]))
}

/// Pairs entries of then and now by name, as far as they may differ; none when every WEC's tree differs.
fn differing<'a>(
    level: &Level<'a>,
    former: &FormerLevel<'a>,
) -> Option<Vec<(Option<&'a Spread>, Option<&'a Spread>)>> {
    let mut pairs: BTreeMap<&str, (Option<&Spread>, Option<&Spread>)> = former
        .entries
        .iter()
        .map(|&(name, spread)| (name, (Some(spread), None)))
        .collect();
    for &(name, spread) in &level.entries {
        pairs.entry(name).or_default().1 = Some(spread);
    }
    let mut differing = Vec::new();
    for pair in pairs.into_values() {
        let uniform = (
            pair.0.and_then(|spread| spread.everywhere(former.all)),
            pair.1.and_then(|spread| spread.everywhere(level.all)),
        );
        let same = matches!(pair, (Some(before), Some(now)) if before.is(now));
        match (uniform, pair) {
            ((Some(before), Some(now)), _) if before == now => {}
            ((Some(_), Some(_)), _)
            | ((Some(_), None), (_, None))
            | ((None, Some(_)), (None, _)) => return None,
            _ if same && former.positions.is_none() => {}
            _ => differing.push(pair),
        }
    }
    Some(differing)
}

/// Splits the WECs by what varies; gives each WEC's class, and the first member of each class, ascending.
fn partition(varying: &[&Spread], clusters: usize) -> (Vec<u32>, Vec<usize>) {
    let mut class_of = vec![0_u32; clusters];
    let mut count = usize::from(clusters > 0);
    // Entries with the same WECs or the same numbers split them in the same way.
    let mut seen = HashSet::new();
    for spread in varying {
        let address = match spread {
            Spread::Same(set, _) => Arc::as_ptr(set).addr(),
            Spread::Each { number, .. } => Arc::as_ptr(number).cast::<u32>().addr(),
        };
        if count == clusters || !seen.insert(address) {
            continue;
        }
        let mut classes: NumberMap = NumberMap::default();
        for (cluster, class) in class_of.iter_mut().enumerate() {
            let number = match spread {
                Spread::Same(set, _) => u32::from(set.contains(cluster)),
                Spread::Each { number, .. } => number[cluster],
            };
            let next = u32::try_from(classes.len()).unwrap_or(NONE);
            let pair = u64::from(*class) << 32 | u64::from(number);
            *class = *classes.entry(pair).or_insert(next);
        }
        count = classes.len();
    }
    let mut members = Vec::with_capacity(count);
    for (cluster, &class) in class_of.iter().enumerate() {
        if class as usize == members.len() {
            members.push(cluster);
        }
    }
    (class_of, members)
}

/// Makes the trees of classes: the first in full, its siblings by patching ids.
struct TreeBuilder<'a> {
    level: &'a Level<'a>,
    varying: &'a [usize],
    ledger: &'a Ledger<'a>,
    buffer: ObjectBuffer,
    delta: Delta,
    segment: PackSegment,
    harvest: Harvest,
    /// The ids of the entries that vary, and which of them are there, of the class under way.
    key: Vec<Option<ObjectId>>,
    present: Vec<bool>,
    patches: Vec<(usize, ObjectId)>,
    /// For each choice of entries that are there: the first tree.
    frames: HashMap<Box<[bool]>, Frame>,
}

/// A tree that siblings are patched from.
struct Frame {
    tree: Tree,
    /// Where it lies; none when it was there before.
    position: Option<EntryPosition>,
    /// For each varying entry that is there: its place in the key and its index in the tree.
    varying: Vec<(usize, usize)>,
    holes: Vec<Range<usize>>,
}

impl<'a> TreeBuilder<'a> {
    fn new(level: &'a Level<'a>, varying: &'a [usize], ledger: &'a Ledger<'a>) -> Self {
        Self {
            level,
            varying,
            ledger,
            buffer: ObjectBuffer::new(),
            delta: Delta::new(),
            segment: PackSegment::new(),
            harvest: Harvest::default(),
            key: Vec::new(),
            present: Vec::new(),
            patches: Vec::new(),
            frames: HashMap::new(),
        }
    }

    /// Gives the id of the tree of this WEC, which has at least one entry.
    fn build(&mut self, cluster: usize) -> Result<ObjectId, TreeError> {
        let entries = &self.level.entries;
        let ids = self
            .varying
            .iter()
            .map(|&index| entries[index].1.id(cluster));
        self.key.clear();
        self.key.extend(ids);
        self.present.clear();
        self.present.extend(self.key.iter().map(Option::is_some));
        let Some(frame) = self.frames.get_mut(&self.present[..]) else {
            let frame = self.first(cluster)?;
            return Ok(self.add_first(frame));
        };
        let patches = frame.varying.iter();
        self.patches.clear();
        self.patches
            .extend(patches.filter_map(|&(place, index)| Some((index, self.key[place]?))));
        frame.tree.patch_into(&self.patches, self.buffer.start());
        let id = self.buffer.id(ObjectKind::Tree);
        if !self.ledger.claim(id) {
            return Ok(id);
        }
        let content = self.buffer.content();
        self.harvest.count(ObjectKind::Tree, content.len());
        let Some(base) = frame.position else {
            // The frame itself was there already: this is the first that can be a base.
            frame.position = Some(self.segment.add_full(ObjectKind::Tree, id, content));
            frame.tree = Tree::parse(content.to_vec())?;
            return Ok(id);
        };
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
            .add_sibling(ObjectKind::Tree, id, content, base, &self.delta);
        Ok(id)
    }

    /// Lays out the first tree with these entries.
    fn first(&self, cluster: usize) -> Result<Frame, TreeError> {
        let mut entries: Vec<TreeEntry<'_>> = self
            .level
            .entries
            .iter()
            .filter_map(|(name, spread)| {
                Some(TreeEntry {
                    mode: self.level.mode,
                    name: name.as_bytes(),
                    id: spread.id(cluster)?,
                })
            })
            .collect();
        let tree = Tree::new(&mut entries)?;
        let index_of: HashMap<&[u8], usize> = tree
            .entries()
            .enumerate()
            .map(|(index, entry)| (entry.name, index))
            .collect();
        let mut varying = Vec::with_capacity(self.varying.len());
        for (place, &entry) in self.varying.iter().enumerate() {
            let index = index_of.get(self.level.entries[entry].0.as_bytes());
            varying.extend(index.map(|index| (place, *index)));
        }
        varying.sort_unstable_by_key(|&(_, index)| index);
        let holes = varying
            .iter()
            .filter_map(|&(_, index)| tree.id_range(index));
        Ok(Frame {
            position: None,
            holes: holes.collect(),
            varying,
            tree,
        })
    }

    fn add_first(&mut self, mut frame: Frame) -> ObjectId {
        let bytes = frame.tree.as_bytes();
        self.buffer.start().extend_from_slice(bytes);
        let id = self.buffer.id(ObjectKind::Tree);
        if self.ledger.claim(id) {
            frame.position = Some(self.segment.add_full(ObjectKind::Tree, id, bytes));
            self.harvest.count(ObjectKind::Tree, bytes.len());
        }
        self.frames.insert(self.present[..].into(), frame);
        id
    }

    fn finish(self) -> Harvest {
        self.harvest.with(self.segment)
    }
}
