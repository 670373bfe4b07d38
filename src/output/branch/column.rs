//! One file name over all WECs: its texts → blobs, and which WEC gets which.
//!
//! Texts that the former column had are neither filled nor hashed again, even when their WECs or their numbers moved.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::delta::{Delta, Filled};
use super::hash::{ObjectBuffer, ObjectId, ObjectKind};
use super::ledger::{Harvest, IdMap, IdSet, Ledger};
use super::pack::PackSegment;
use crate::model::ClusterSet;
use crate::transform::{Content, Fillings, Prepared, Variant};

/// What a file name is to hold, before it is built.
pub(super) struct Wanted<'a> {
    /// The file's name.
    pub(super) file: String,
    /// Its texts.
    pub(super) variants: &'a [Variant],
    /// The WECs, by position, on which it stays as it was.
    pub(super) kept: Vec<(usize, ObjectId)>,
}

/// One file name over all WECs.
#[derive(Debug)]
pub(super) struct Column {
    /// The file's name.
    pub(super) file: String,
    /// The blob that each WEC gets.
    pub(super) spread: Spread,
    pub(super) variants: Vec<(Variant, VariantIds)>,
    pub(super) kept: Vec<(usize, ObjectId)>,
}

/// The blobs of one variant.
#[derive(Clone, Debug)]
pub(super) enum VariantIds {
    One(ObjectId),
    /// One for each filling, and whether no two are equal.
    Many(Arc<[ObjectId]>, bool),
}

/// The object that each WEC gets.
#[derive(Clone, Debug)]
pub(super) enum Spread {
    /// The same for all of a set, and none for the others.
    Same(Arc<ClusterSet>, ObjectId),
    /// For each WEC the number of one of `ids`, which are all different; [`NONE`] for no object.
    Each {
        /// One number for each WEC. Columns whose templates read the same properties share it.
        number: Arc<[u32]>,
        /// The ids.
        ids: Arc<[ObjectId]>,
    },
}

/// The number of a WEC that gets no object.
pub(super) const NONE: u32 = u32::MAX;

impl Spread {
    /// Puts together what each WEC gets.
    pub(super) fn new(each: impl Iterator<Item = Option<ObjectId>>) -> Self {
        let mut ids = Vec::new();
        let mut numbers = IdMap::default();
        let number = each.map(|id| match id {
            None => NONE,
            Some(id) => *numbers.entry(id).or_insert_with(|| {
                ids.push(id);
                u32::try_from(ids.len() - 1).unwrap_or(NONE)
            }),
        });
        let number = number.collect();
        Self::Each {
            number,
            ids: ids.into(),
        }
    }

    /// Gives the object of the WEC at this position.
    pub(super) fn id(&self, cluster: usize) -> Option<ObjectId> {
        match self {
            Self::Same(set, id) => set.contains(cluster).then_some(*id),
            Self::Each { number, ids } => ids.get(*number.get(cluster)? as usize).copied(),
        }
    }

    /// Gives the object that all WECs get.
    pub(super) fn everywhere(&self, all: &ClusterSet) -> Option<ObjectId> {
        match self {
            Self::Same(set, id) => (**set == *all).then_some(*id),
            Self::Each { .. } => None,
        }
    }

    /// Tells whether both are one and the same; when not, they may still be equal.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Same(set, id), Self::Same(other_set, other_id)) => {
                id == other_id && same(set, other_set)
            }
            (
                Self::Each { number, ids },
                Self::Each {
                    number: other_number,
                    ids: other_ids,
                },
            ) => Arc::ptr_eq(number, other_number) && Arc::ptr_eq(ids, other_ids),
            _ => false,
        }
    }
}

impl Column {
    /// Tells whether building this would give this column again. Compares by address before it compares bytes.
    pub(super) fn holds(&self, wanted: &Wanted<'_>) -> bool {
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

    fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.variants.iter().flat_map(|(_, ids)| match ids {
            VariantIds::One(id) => std::slice::from_ref(id).iter().copied(),
            VariantIds::Many(ids, _) => ids.iter().copied(),
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

/// Makes the blobs of columns, with buffers that serve them all.
pub(super) struct ColumnBuilder<'a> {
    ledger: &'a Ledger<'a>,
    all: &'a ClusterSet,
    clusters: usize,
    buffer: ObjectBuffer,
    base: Vec<u8>,
    base_holes: Vec<Range<usize>>,
    holes: Vec<Range<usize>>,
    delta: Delta,
    segment: PackSegment,
    harvest: Harvest,
    /// What the column under way, or the former one, has written; filled when the first new blob comes.
    seen: IdSet,
}

impl<'a> ColumnBuilder<'a> {
    /// Builds for this many WECs; `all` is the set of them.
    pub(super) fn new(ledger: &'a Ledger<'a>, all: &'a ClusterSet, clusters: usize) -> Self {
        Self {
            ledger,
            all,
            clusters,
            buffer: ObjectBuffer::new(),
            base: Vec::new(),
            base_holes: Vec::new(),
            holes: Vec::new(),
            delta: Delta::new(),
            segment: PackSegment::new(),
            harvest: Harvest::default(),
            seen: IdSet::default(),
        }
    }

    /// Builds one column; what `last` has is not made again.
    pub(super) fn build(&mut self, wanted: &Wanted<'_>, last: Option<&Column>) -> Column {
        self.seen.clear();
        let variants: Vec<(Variant, VariantIds)> = wanted
            .variants
            .iter()
            .map(|variant| (variant.clone(), self.variant_ids(&variant.content, last)))
            .collect();
        Column {
            file: wanted.file.clone(),
            spread: self.spread(&variants, &wanted.kept),
            variants,
            kept: wanted.kept.clone(),
        }
    }

    /// Gives the new objects.
    pub(super) fn finish(self) -> Harvest {
        self.harvest.with(self.segment)
    }

    /// Gives the blob ids of a text; writes those that the last column does not know.
    fn variant_ids(&mut self, content: &Content, last: Option<&Column>) -> VariantIds {
        let before = last.into_iter().flat_map(|column| &column.variants);
        match content {
            Content::Shared(prepared) => {
                for (variant, ids) in before {
                    if let (Content::Shared(text), VariantIds::One(id)) = (&variant.content, ids)
                        && same(text, prepared)
                    {
                        return VariantIds::One(*id);
                    }
                }
                VariantIds::One(self.write_shared(prepared, last))
            }
            Content::Filled {
                prepared, fillings, ..
            } => {
                let mut former = Vec::new();
                for (variant, ids) in before {
                    if let (
                        Content::Filled {
                            prepared: p,
                            fillings: f,
                            ..
                        },
                        VariantIds::Many(many, distinct),
                    ) = (&variant.content, ids)
                        && same(p, prepared)
                    {
                        if same(f, fillings) {
                            return ids.clone();
                        }
                        former.push((&**f, &**many, *distinct));
                    }
                }
                self.write_filled(prepared, fillings, Former::new(former), last)
            }
        }
    }

    /// Tells whether neither this column nor the former one has a blob, and takes note of it.
    fn is_new(&mut self, id: ObjectId, last: Option<&Column>) -> bool {
        if self.seen.is_empty() {
            self.seen.extend(last.into_iter().flat_map(Column::ids));
        }
        self.seen.insert(id)
    }

    fn write_shared(&mut self, prepared: &Prepared, last: Option<&Column>) -> ObjectId {
        self.buffer.start().extend_from_slice(&prepared.text);
        let id = self.buffer.id(ObjectKind::Blob);
        // Two variants can turn out equal: a Transform that finds nothing to change.
        if self.is_new(id, last) && self.ledger.claim(id) {
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
        mut former: Former<'_>,
        last: Option<&Column>,
    ) -> VariantIds {
        let mut position = None;
        // Different properties can give the same text: `{{len .name}}`.
        let mut distinct = true;
        let mut ids = Vec::with_capacity(fillings.len());
        for number in 0..fillings.len() {
            if let Some(id) = former.find(fillings, number) {
                ids.push(id);
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
            if !self.is_new(id, last) {
                distinct = false;
                continue;
            }
            if !self.ledger.claim(id) {
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
        distinct &= former.in_order || all_differ(&ids);
        VariantIds::Many(ids.into(), distinct)
    }

    /// Lays out the blob of each WEC.
    fn spread(&self, variants: &[(Variant, VariantIds)], kept: &[(usize, ObjectId)]) -> Spread {
        if let ([(variant, ids)], []) = (variants, kept) {
            match (ids, &variant.content) {
                (VariantIds::One(id), _) => {
                    return Spread::Same(Arc::clone(&variant.clusters), *id);
                }
                (VariantIds::Many(ids, true), Content::Filled { choice, .. })
                    if *variant.clusters == *self.all && choice.len() == self.clusters =>
                {
                    return Spread::Each {
                        number: Arc::clone(choice),
                        ids: Arc::clone(ids),
                    };
                }
                _ => {}
            }
        }
        let mut each = vec![None; self.clusters];
        for (variant, ids) in variants {
            match (ids, &variant.content) {
                (VariantIds::Many(ids, _), Content::Filled { choice, .. }) => {
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
                (VariantIds::Many(..), Content::Shared(_)) => {}
            }
        }
        for (cluster, id) in kept {
            each[*cluster] = Some(*id);
        }
        Spread::new(each.into_iter())
    }
}

/// The fillings of a text that were written before, with their blobs, and whether these are all different.
struct Former<'a> {
    lists: Vec<(&'a Fillings, &'a [ObjectId], bool)>,
    /// The list, and the number in it, that most likely comes next.
    next: (usize, usize),
    /// Whether everything that was found came from one list of different blobs, each behind the one before.
    in_order: bool,
    /// How many were looked for in vain.
    missed: usize,
    /// By bytes; filled when many were missed. Holes may share the bytes out otherwise: to be compared.
    by_bytes: HashMap<&'a [u8], (usize, usize)>,
}

/// So many texts are sooner hashed again than all are sorted by their bytes. Small tests are to come to the sorting, too.
const FEW: usize = if cfg!(test) { 2 } else { 16 };

impl<'a> Former<'a> {
    fn new(lists: Vec<(&'a Fillings, &'a [ObjectId], bool)>) -> Self {
        Self {
            in_order: lists.first().is_none_or(|list| list.2),
            lists,
            next: (0, 0),
            missed: 0,
            by_bytes: HashMap::new(),
        }
    }

    /// Gives the blob of a filling that is there already. Where few were added or taken out, the others follow each other.
    /// Some that are there are not found; then their texts are hashed again.
    fn find(&mut self, fillings: &Fillings, number: usize) -> Option<ObjectId> {
        let (list, next) = self.next;
        let likely = [(list, next), (list, number), (list, next + 1)];
        let is_it = |&(list, at): &(usize, usize)| {
            let former = self.lists.get(list);
            former.is_some_and(|former| former.0.is_same(at, fillings, number))
        };
        let found = likely
            .into_iter()
            .find(is_it)
            .or_else(|| self.search(fillings, number).filter(is_it));
        let Some((list, at)) = found else {
            self.missed += 1;
            if self.missed == FEW {
                self.sort();
            }
            return None;
        };
        self.in_order &= list == 0 && at >= self.next.1;
        self.next = (list, at + 1);
        self.lists[list].1.get(at).copied()
    }

    fn search(&self, fillings: &Fillings, number: usize) -> Option<(usize, usize)> {
        self.by_bytes.get(fillings.bytes(number)).copied()
    }

    fn sort(&mut self) {
        for (list, (former, ..)) in self.lists.iter().enumerate() {
            let numbers = 0..former.len();
            self.by_bytes
                .extend(numbers.map(|number| (former.bytes(number), (list, number))));
        }
    }
}

fn all_differ(ids: &[ObjectId]) -> bool {
    let mut seen = IdSet::default();
    seen.reserve(ids.len());
    ids.iter().all(|id| seen.insert(*id))
}

/// Appends a filled text to `out` and notes where the fillings lie in it.
fn fill(
    prepared: &Prepared,
    fillings: &Fillings,
    number: usize,
    out: &mut Vec<u8>,
    holes: &mut Vec<Range<usize>>,
) {
    let start = out.len();
    holes.clear();
    let mut from = 0;
    for (hole, &at) in prepared.holes.iter().enumerate() {
        out.extend_from_slice(&prepared.text[from..at as usize]);
        from = at as usize;
        let filled = out.len() - start;
        out.extend_from_slice(fillings.get(number, hole));
        holes.push(filled..out.len() - start);
    }
    out.extend_from_slice(&prepared.text[from..]);
}
