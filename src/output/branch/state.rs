//! [`BranchState`] ⇄ records of bytes: one for each folder name, called by the id of its bytes, and one that lists them.
//!
//! A folder that stayed the same keeps its record, so that what is written after a change follows the change. What is
//! read back is trusted as far as the checksums of whoever keeps the records; its shape is checked, and anything odd gives
//! nothing. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use super::build::{BranchState, Folder, HeldFolder};
use super::column::{Column, NONE, Spread, VariantIds};
use super::hash::{ObjectId, ObjectKind, object_id};
use crate::model::packed::{PackedReader, write_length, write_string};
use crate::model::{ClusterName, ClusterSet};
use crate::transform::{Content, Fillings, Prepared, Variant};

/// Bytes of an id.
const ID: usize = 20;

/// What a state is in bytes, but for its folders.
pub struct StateHead {
    clusters: Arc<[ClusterName]>,
    trees: Option<Spread>,
    held: Vec<HeldFolder>,
    top: Option<ObjectId>,
    folders: Vec<(String, ObjectId)>,
}

impl BranchState {
    /// Gives the head's bytes, and hands the folders' records with their names to `keep`, but for those that `has` knows.
    ///
    /// # Errors
    /// What `keep` says.
    pub fn write<E>(
        &self,
        has: &mut dyn FnMut(ObjectId) -> bool,
        keep: &mut dyn FnMut(ObjectId, Vec<u8>) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let mut head = Vec::new();
        write_length(&mut head, self.clusters.len());
        for cluster in self.clusters.iter() {
            write_string(&mut head, cluster.as_str());
        }
        let mut writer = Writer::default();
        write_length(&mut head, usize::from(self.trees.is_some()));
        if let Some(trees) = &self.trees {
            writer.spread(&mut head, trees);
        }
        write_held(&mut head, &self.held);
        write_length(&mut head, usize::from(self.top.is_some()));
        head.extend(self.top.iter().flat_map(|top| top.0));
        write_length(&mut head, self.folders().len());
        for (name, folder) in self.folders() {
            let known = folder.record.get().filter(|record| has(**record));
            let record = if let Some(record) = known {
                *record
            } else {
                let bytes = write_folder(folder);
                let record = object_id(ObjectKind::Blob, &[&bytes]);
                keep(record, bytes)?;
                *folder.record.get_or_init(|| record)
            };
            write_string(&mut head, name);
            head.extend_from_slice(&record.0);
        }
        Ok(head)
    }
}

impl StateHead {
    /// Reads a head.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, 0);
        let count = reader.packed.length()?;
        let mut clusters = Vec::with_capacity(count.min(reader.packed.rest()));
        for _ in 0..count {
            clusters.push(ClusterName::new(reader.packed.string()?));
        }
        if !clusters.is_sorted() {
            return None;
        }
        reader.clusters = clusters.len();
        let trees = match reader.packed.length()? {
            0 => None,
            _ => Some(reader.spread()?),
        };
        let held = reader.held()?;
        let top = match reader.packed.length()? {
            0 => None,
            _ => Some(reader.id()?),
        };
        let count = reader.packed.length()?;
        let mut folders = Vec::with_capacity(count.min(reader.packed.rest()));
        for _ in 0..count {
            folders.push((reader.packed.string()?.to_owned(), reader.id()?));
        }
        reader.packed.is_at_end().then(|| Self {
            clusters: clusters.into(),
            trees,
            held,
            top,
            folders,
        })
    }

    /// Gives the id of the `clusters/` tree.
    pub fn tree(&self) -> Option<ObjectId> {
        self.top
    }

    /// Walks the folders' records.
    pub fn records(&self) -> impl Iterator<Item = ObjectId> {
        self.folders.iter().map(|(_, record)| *record)
    }

    /// Reads a folder's record, for [`StateHead::with`].
    pub fn folder(&self, record: ObjectId, bytes: &[u8]) -> Option<ReadFolder> {
        let mut reader = Reader::new(bytes, self.clusters.len());
        let folder = reader.folder(record)?;
        let whole = reader.packed.is_at_end();
        whole.then(|| ReadFolder(Arc::new(folder)))
    }

    /// Puts the state together; none when a folder is missing.
    pub fn with(self, found: &HashMap<ObjectId, ReadFolder>) -> Option<BranchState> {
        let folders = self.folders.into_iter().map(|(name, record)| {
            let folder = found.get(&record)?;
            Some((name, Arc::clone(&folder.0)))
        });
        let folders = folders.collect::<Option<BTreeMap<_, _>>>()?;
        BranchState::from_parts(self.clusters, folders, self.trees, self.held, self.top)
    }
}

/// A folder that was read back.
pub struct ReadFolder(Arc<Folder>);

fn write_held(bytes: &mut Vec<u8>, held: &[HeldFolder]) {
    write_length(bytes, held.len());
    for folder in held {
        write_length(bytes, folder.cluster);
        bytes.extend_from_slice(&folder.files.to_le_bytes());
        write_length(bytes, usize::from(folder.root.is_some()));
        bytes.extend(folder.root.iter().flat_map(|root| root.0));
    }
}

fn write_folder(folder: &Folder) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::default();
    writer.spread(&mut bytes, &folder.trees);
    write_numbers(&mut bytes, &folder.counts);
    write_length(&mut bytes, folder.columns.len());
    for column in &folder.columns {
        writer.column(&mut bytes, column);
    }
    bytes
}

/// Writes what is shared once: a list or set that was written before is its number.
#[derive(Default)]
struct Writer {
    sets: HashMap<usize, usize>,
    numbers: HashMap<usize, usize>,
    ids: HashMap<usize, usize>,
}

impl Writer {
    fn column(&mut self, bytes: &mut Vec<u8>, column: &Column) {
        write_string(bytes, &column.file);
        self.spread(bytes, &column.spread);
        write_length(bytes, column.variants.len());
        for (variant, ids) in &column.variants {
            self.set(bytes, &variant.clusters);
            match (&variant.content, ids) {
                (Content::Shared(prepared), VariantIds::One(id)) => {
                    bytes.push(0);
                    write_prepared(bytes, prepared);
                    bytes.extend_from_slice(&id.0);
                }
                (content, ids) => {
                    bytes.push(1);
                    self.filled(bytes, content, ids);
                }
            }
        }
        write_length(bytes, column.kept.len());
        for (cluster, id) in &column.kept {
            write_length(bytes, *cluster);
            bytes.extend_from_slice(&id.0);
        }
    }

    fn filled(&mut self, bytes: &mut Vec<u8>, content: &Content, ids: &VariantIds) {
        let (
            Content::Filled {
                prepared,
                choice,
                fillings,
            },
            VariantIds::Many(ids, distinct),
        ) = (content, ids)
        else {
            // Shared texts have one blob, filled ones a list: whatever else there is does not read back.
            return;
        };
        write_prepared(bytes, prepared);
        self.numbers(bytes, choice);
        let (scalars, ends) = fillings.parts();
        write_length(bytes, scalars.len());
        bytes.extend_from_slice(scalars);
        write_numbers(bytes, ends);
        self.ids(bytes, ids);
        bytes.push(u8::from(*distinct));
    }

    fn spread(&mut self, bytes: &mut Vec<u8>, spread: &Spread) {
        match spread {
            Spread::Same(set, id) => {
                bytes.push(0);
                self.set(bytes, set);
                bytes.extend_from_slice(&id.0);
            }
            Spread::Each { number, ids } => {
                bytes.push(1);
                self.numbers(bytes, number);
                self.ids(bytes, ids);
            }
        }
    }

    fn set(&mut self, bytes: &mut Vec<u8>, set: &Arc<ClusterSet>) {
        if is_new(&mut self.sets, Arc::as_ptr(set).addr(), bytes) {
            write_length(bytes, set.words().len());
            bytes.extend(set.words().iter().flat_map(|word| word.to_le_bytes()));
        }
    }

    fn numbers(&mut self, bytes: &mut Vec<u8>, numbers: &Arc<[u32]>) {
        if is_new(
            &mut self.numbers,
            Arc::as_ptr(numbers).cast::<u32>().addr(),
            bytes,
        ) {
            write_numbers(bytes, numbers);
        }
    }

    fn ids(&mut self, bytes: &mut Vec<u8>, ids: &Arc<[ObjectId]>) {
        if is_new(
            &mut self.ids,
            Arc::as_ptr(ids).cast::<ObjectId>().addr(),
            bytes,
        ) {
            write_length(bytes, ids.len());
            bytes.extend(ids.iter().flat_map(|id| id.0));
        }
    }
}

/// Writes the number of something that lies at an address; tells whether it is to be written behind.
fn is_new(known: &mut HashMap<usize, usize>, address: usize, bytes: &mut Vec<u8>) -> bool {
    let next = known.len();
    let number = *known.entry(address).or_insert(next);
    write_length(bytes, number);
    number == next
}

fn write_prepared(bytes: &mut Vec<u8>, prepared: &Prepared) {
    write_length(bytes, prepared.text.len());
    bytes.extend_from_slice(&prepared.text);
    write_numbers(bytes, &prepared.holes);
}

fn write_numbers(bytes: &mut Vec<u8>, numbers: &[u32]) {
    write_length(bytes, numbers.len());
    bytes.reserve(4 * numbers.len());
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
}

/// Reads what [`Writer`] wrote.
struct Reader<'b> {
    packed: PackedReader<'b>,
    /// How many WECs there are.
    clusters: usize,
    sets: Vec<Arc<ClusterSet>>,
    numbers: Vec<Arc<[u32]>>,
    ids: Vec<Arc<[ObjectId]>>,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8], clusters: usize) -> Self {
        Self {
            packed: PackedReader::new(bytes),
            clusters,
            sets: Vec::new(),
            numbers: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn held(&mut self) -> Option<Vec<HeldFolder>> {
        let count = self.packed.length()?;
        let mut held: Vec<HeldFolder> = Vec::with_capacity(count.min(self.clusters));
        for _ in 0..count {
            let cluster = self.packed.length()?;
            let files = u64::from_le_bytes(self.packed.array()?);
            let root = match self.packed.length()? {
                0 => None,
                _ => Some(self.id()?),
            };
            let follows = held.last().is_none_or(|last| last.cluster < cluster);
            if cluster >= self.clusters || !follows {
                return None;
            }
            held.push(HeldFolder {
                cluster,
                root,
                files,
            });
        }
        Some(held)
    }

    fn folder(&mut self, record: ObjectId) -> Option<Folder> {
        let trees = self.spread()?;
        let counts = self.raw_numbers()?;
        let distinct = match &trees {
            Spread::Same(..) => 1,
            Spread::Each { ids, .. } => ids.len(),
        };
        if counts.len() != distinct {
            return None;
        }
        let count = self.packed.length()?;
        let mut columns = Vec::with_capacity(count.min(self.packed.rest()));
        for _ in 0..count {
            columns.push(Arc::new(self.column()?));
        }
        Some(Folder {
            columns,
            trees,
            counts,
            record: OnceLock::from(record),
        })
    }

    fn column(&mut self) -> Option<Column> {
        let file = self.packed.string()?.to_owned();
        let spread = self.spread()?;
        let count = self.packed.length()?;
        let mut variants = Vec::with_capacity(count.min(self.packed.rest()));
        for _ in 0..count {
            variants.push(self.variant()?);
        }
        let count = self.packed.length()?;
        let mut kept = Vec::with_capacity(count.min(self.packed.rest()));
        for _ in 0..count {
            kept.push((self.packed.length()?, self.id()?));
        }
        Some(Column {
            file,
            spread,
            variants,
            kept,
        })
    }

    fn variant(&mut self) -> Option<(Variant, VariantIds)> {
        let clusters = self.set()?;
        let filled = self.packed.array::<1>()? != [0];
        let prepared = Arc::new(self.prepared()?);
        if !filled {
            let content = Content::Shared(prepared);
            let id = self.id()?;
            return Some((Variant { clusters, content }, VariantIds::One(id)));
        }
        let choice = self.numbers()?;
        let length = self.packed.length()?;
        let scalars = self.packed.take(length)?.to_vec();
        let ends = self.raw_numbers()?;
        let fillings = Fillings::from_parts(prepared.holes.len(), scalars, ends)?;
        let ids = self.ids()?;
        let distinct = self.packed.array::<1>()? != [0];
        let fits = ids.len() == fillings.len()
            && choice.len() == clusters.len()
            && choice.iter().all(|&number| (number as usize) < ids.len());
        fits.then(|| {
            let content = Content::Filled {
                prepared,
                choice,
                fillings: Arc::new(fillings),
            };
            let ids = VariantIds::Many(ids, distinct);
            (Variant { clusters, content }, ids)
        })
    }

    fn prepared(&mut self) -> Option<Prepared> {
        let length = self.packed.length()?;
        let text: Box<[u8]> = self.packed.take(length)?.into();
        let holes = self.raw_numbers()?;
        let inside = holes.is_sorted() && holes.last().is_none_or(|&last| last as usize <= length);
        inside.then(|| Prepared {
            text,
            holes: holes.into(),
        })
    }

    fn spread(&mut self) -> Option<Spread> {
        if self.packed.array::<1>()? == [0] {
            return Some(Spread::Same(self.set()?, self.id()?));
        }
        let (number, ids) = (self.numbers()?, self.ids()?);
        let known = |&number: &u32| number == NONE || (number as usize) < ids.len();
        let fits = number.len() == self.clusters && number.iter().all(known);
        fits.then_some(Spread::Each { number, ids })
    }

    fn set(&mut self) -> Option<Arc<ClusterSet>> {
        let number = self.packed.length()?;
        if number == self.sets.len() {
            let count = self.packed.length()?;
            let raw = self.packed.take(count.checked_mul(8)?)?;
            let words = raw.as_chunks::<8>().0.iter();
            let set = ClusterSet::from_words(words.map(|word| u64::from_le_bytes(*word)).collect());
            let inside = set.words().len() <= self.clusters.div_ceil(64);
            self.sets.push(inside.then(|| Arc::new(set))?);
        }
        self.sets.get(number).map(Arc::clone)
    }

    fn numbers(&mut self) -> Option<Arc<[u32]>> {
        let number = self.packed.length()?;
        if number == self.numbers.len() {
            let numbers = self.raw_numbers()?;
            self.numbers.push(numbers.into());
        }
        self.numbers.get(number).map(Arc::clone)
    }

    fn raw_numbers(&mut self) -> Option<Vec<u32>> {
        let count = self.packed.length()?;
        let raw = self.packed.take(count.checked_mul(4)?)?;
        let numbers = raw.as_chunks::<4>().0.iter();
        Some(numbers.map(|number| u32::from_le_bytes(*number)).collect())
    }

    fn ids(&mut self) -> Option<Arc<[ObjectId]>> {
        let number = self.packed.length()?;
        if number == self.ids.len() {
            let count = self.packed.length()?;
            let raw = self.packed.take(count.checked_mul(ID)?)?;
            let ids = raw.as_chunks::<ID>().0.iter();
            self.ids.push(ids.map(|id| ObjectId(*id)).collect());
        }
        self.ids.get(number).map(Arc::clone)
    }

    fn id(&mut self) -> Option<ObjectId> {
        self.packed.array().map(ObjectId)
    }
}
