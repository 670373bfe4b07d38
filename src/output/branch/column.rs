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
    variants: Vec<(Variant, VariantIds)>,
    kept: Vec<(usize, ObjectId)>,
}

/// The blobs of one variant.
#[derive(Clone, Debug)]
enum VariantIds {
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
    /// What the column under way, or the former one, has written.
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
        self.seen.extend(last.iter().flat_map(|last| last.ids()));
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
                let mut former = Vec::new();
                for (variant, ids) in before {
                    if let (
                        Content::Filled {
                            prepared: p,
                            fillings: f,
                            ..
                        },
                        VariantIds::Many(many, _),
                    ) = (&variant.content, ids)
                        && same(p, prepared)
                    {
                        if same(f, fillings) {
                            return ids.clone();
                        }
                        former.push((&**f, &**many));
                    }
                }
                self.write_filled(prepared, fillings, &Former::new(former))
            }
        }
    }

    fn write_shared(&mut self, prepared: &Prepared) -> ObjectId {
        self.buffer.start().extend_from_slice(&prepared.text);
        let id = self.buffer.id(ObjectKind::Blob);
        // Two variants can turn out equal: a Transform that finds nothing to change.
        if self.seen.insert(id) && self.ledger.claim(id) {
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
        former: &Former<'_>,
    ) -> VariantIds {
        let mut position = None;
        // Different properties can give the same text: `{{len .name}}`.
        let mut distinct = true;
        let mut own = IdSet::default();
        let mut ids = Vec::with_capacity(fillings.len());
        if !former.lists.is_empty() {
            own.reserve(fillings.len());
        }
        for number in 0..fillings.len() {
            if let Some(id) = former.find(fillings, number) {
                distinct &= own.insert(id);
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
            if !self.seen.insert(id) {
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

/// The fillings of a text that were written before, with their blobs.
struct Former<'a> {
    lists: Vec<(&'a Fillings, &'a [ObjectId])>,
    /// By bytes; filled when the first filling is not where it was. Holes may share the bytes out otherwise: to be compared.
    by_bytes: std::cell::OnceCell<HashMap<&'a [u8], (usize, usize)>>,
}

impl<'a> Former<'a> {
    fn new(lists: Vec<(&'a Fillings, &'a [ObjectId])>) -> Self {
        Self {
            lists,
            by_bytes: std::cell::OnceCell::new(),
        }
    }

    /// Gives the blob of a filling that is there already, most often under the same number.
    fn find(&self, fillings: &Fillings, number: usize) -> Option<ObjectId> {
        for (former, ids) in &self.lists {
            if former.is_same(number, fillings, number) {
                return ids.get(number).copied();
            }
        }
        if self.lists.is_empty() {
            return None;
        }
        let by_bytes = self.by_bytes.get_or_init(|| {
            let lists = self.lists.iter().enumerate();
            let entries = lists.flat_map(|(list, (former, _))| {
                (0..former.len()).map(move |number| (former.bytes(number), (list, number)))
            });
            entries.collect()
        });
        let &(list, at) = by_bytes.get(fillings.bytes(number))?;
        let (former, ids) = self.lists[list];
        former
            .is_same(at, fillings, number)
            .then(|| ids.get(at).copied())
            .flatten()
    }
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
