//! Which object is in which work of which WEC, and what each work is: pieces and the parts that stand → a layout.
//!
//! The cost follows what is distinct: objects with one text for the same WECs are added up once. Nothing is listed for each
//! object and WEC; the manifests of a work are found when it is written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::piece::{Manifest, Piece, Sum};
use super::shape::{Class, Part, Shape, slot};
use super::{MAX_OBJECTS, Settings, sha256, short_hex};
use crate::model::{ClusterName, ClusterSet, ObjectKey};
use crate::output::branch::hash::ObjectId;

/// Stands in every digest: another number rewrites all works. For changes of what a work looks like.
const FORMAT: u8 = 1;

/// What an error keeps as it is, by WEC, sorted by key.
pub type Kept = BTreeMap<usize, BTreeMap<ObjectKey, Manifest>>;

/// The works of all WECs.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    clusters: Arc<[ClusterName]>,
    pieces: Vec<Arc<Piece>>,
    kept: Kept,
    orphan: bool,
    /// The distinct shapes, with the pieces of each of their parts.
    shapes: Vec<(Shape, BTreeMap<Part, Vec<u32>>)>,
    /// For each WEC: its shape.
    shape: Vec<usize>,
    /// For each WEC: what its works are; none is empty.
    works: Vec<BTreeMap<Part, Sum>>,
}

impl Layout {
    /// Divides objects among works.
    ///
    /// `standing` gives the parts of the works that a WEC has; their objects stay where they are. Each of `kept` goes before
    /// what the pieces have for the same object.
    pub fn new(
        clusters: &Arc<[ClusterName]>,
        pieces: Vec<Arc<Piece>>,
        kept: Kept,
        standing: impl Fn(&ClusterName) -> Vec<Part>,
        settings: &Settings,
    ) -> Self {
        let mut layout = Self {
            clusters: Arc::clone(clusters),
            pieces,
            kept,
            orphan: settings.orphan,
            shapes: Vec::new(),
            shape: vec![0; clusters.len()],
            works: vec![BTreeMap::new(); clusters.len()],
        };
        let mut open: BTreeMap<Shape, ClusterSet> = BTreeMap::new();
        for (position, name) in clusters.iter().enumerate() {
            let shape = Shape::of(standing(name));
            open.entry(shape).or_default().insert(position);
        }
        while let Some((shape, members)) = open.pop_first() {
            let number = layout.divide(shape, &members);
            for position in members.iter() {
                let shape = &layout.shapes[number].0;
                match overfull(&layout.works[position], shape, settings.max_bytes) {
                    Some(finer) => {
                        open.entry(finer).or_default().insert(position);
                    }
                    None => layout.shape[position] = number,
                }
            }
        }
        layout
    }

    /// Adds up the works of some WECs with one shape; gives the shape's number.
    fn divide(&mut self, shape: Shape, members: &ClusterSet) -> usize {
        let mut parts: BTreeMap<Part, Vec<u32>> = BTreeMap::new();
        let mut shared: HashMap<(*const ClusterSet, Part), (&ClusterSet, Sum)> = HashMap::new();
        let works = &mut self.works;
        for position in members.iter() {
            works[position].clear();
        }
        for (number, piece) in (0..).zip(&self.pieces) {
            let part = shape.find(piece.class, piece.slot);
            parts.entry(part).or_default().push(number);
            for variant in &piece.variants {
                let clusters = &variant.variant.clusters;
                if let Some(sum) = variant.shared() {
                    let entry = shared.entry((Arc::as_ptr(clusters), part));
                    entry
                        .or_insert_with(|| (clusters, Sum::default()))
                        .1
                        .add(sum);
                    continue;
                }
                for (position, sum) in variant.sums() {
                    if members.contains(position) {
                        works[position].entry(part).or_default().add(sum);
                    }
                }
            }
        }
        for ((_, part), (clusters, sum)) in shared {
            for position in clusters.intersection(members).iter() {
                works[position].entry(part).or_default().add(&sum);
            }
        }
        for (&position, kept) in self
            .kept
            .iter()
            .filter(|(position, _)| members.contains(**position))
        {
            for (key, manifest) in kept {
                let part = shape.find(Class::of(key), slot(key));
                let work = works[position].entry(part).or_default();
                if let Some(sum) = find(&self.pieces, key).and_then(|piece| piece.sum(position)) {
                    work.subtract(sum);
                }
                work.add(&manifest.sum());
            }
        }
        self.shapes.push((shape, parts));
        self.shapes.len() - 1
    }

    /// The WECs, sorted by name.
    pub fn clusters(&self) -> &Arc<[ClusterName]> {
        &self.clusters
    }

    /// The pieces, sorted by key.
    pub fn pieces(&self) -> &[Arc<Piece>] {
        &self.pieces
    }

    /// Tells whether what was delivered stays when its work goes.
    pub fn orphan(&self) -> bool {
        self.orphan
    }

    /// The works of a WEC with their digests, those that others need first.
    pub fn works(&self, cluster: usize) -> impl Iterator<Item = (Part, String)> {
        let works = self.works[cluster]
            .iter()
            .filter(|(_, sum)| sum.objects > 0);
        works.map(|(&part, sum)| (part, self.digest(sum)))
    }

    /// The digest of one work of a WEC; none when it has no such work.
    pub fn work(&self, cluster: usize, part: Part) -> Option<String> {
        let sum = self.works[cluster]
            .get(&part)
            .filter(|sum| sum.objects > 0)?;
        Some(self.digest(sum))
    }

    /// The part of a WEC's works that an object is in, or would be.
    pub fn part(&self, cluster: usize, key: &ObjectKey) -> Part {
        let (shape, _) = &self.shapes[self.shape[cluster]];
        shape.find(Class::of(key), slot(key))
    }

    /// Counts the objects of a WEC.
    pub fn objects(&self, cluster: usize) -> u64 {
        let works = self.works[cluster].values();
        works.map(|sum| u64::from(sum.objects)).sum()
    }

    /// Gives the bytes of manifests in a WEC's work, as OCM counts them.
    pub fn bytes(&self, cluster: usize, part: Part) -> u64 {
        self.works[cluster].get(&part).map_or(0, |sum| sum.bytes)
    }

    /// Makes the manifest of one object of a WEC.
    pub fn manifest(&self, cluster: usize, key: &ObjectKey) -> Option<Manifest> {
        let kept = self.kept.get(&cluster).and_then(|kept| kept.get(key));
        kept.cloned()
            .or_else(|| find(&self.pieces, key)?.manifest(cluster))
    }

    /// Makes the manifests of one work, sorted by key.
    pub fn manifests(&self, cluster: usize, part: Part) -> Vec<Manifest> {
        let pieces = self.pieces_of(cluster, part);
        let fresh = pieces.filter_map(|piece| piece.manifest(cluster));
        let mut manifests: Vec<Manifest> = fresh.collect();
        manifests.extend(self.kept_in(cluster, part).cloned());
        manifests.sort_by(|left, right| left.key.cmp(&right.key));
        manifests
    }

    /// Gives the objects of one work with a digest of each, sorted by key.
    pub fn entries(&self, cluster: usize, part: Part) -> BTreeMap<ObjectKey, ObjectId> {
        let pieces = self.pieces_of(cluster, part);
        let mut entries: BTreeMap<ObjectKey, ObjectId> = pieces
            .filter_map(|piece| Some((piece.key.clone(), id(piece.sum(cluster)?))))
            .collect();
        let kept = self.kept_in(cluster, part);
        entries.extend(kept.map(|manifest| (manifest.key.clone(), id(&manifest.sum()))));
        entries
    }

    /// What a WEC gives: one digest over all its works.
    pub fn revision(&self, cluster: usize, name: impl Fn(Part) -> String) -> String {
        revision(
            self.works(cluster)
                .map(|(part, digest)| (name(part), digest)),
        )
    }

    fn pieces_of(&self, cluster: usize, part: Part) -> impl Iterator<Item = &Arc<Piece>> {
        let (_, parts) = &self.shapes[self.shape[cluster]];
        let numbers = parts.get(&part).into_iter().flatten();
        let kept = self.kept.get(&cluster);
        numbers
            .filter_map(|&number| self.pieces.get(number as usize))
            .filter(move |piece| kept.is_none_or(|kept| !kept.contains_key(&piece.key)))
    }

    fn kept_in(&self, cluster: usize, part: Part) -> impl Iterator<Item = &Manifest> {
        let kept = self
            .kept
            .get(&cluster)
            .into_iter()
            .flat_map(BTreeMap::values);
        kept.filter(move |kept| self.part(cluster, &kept.key) == part)
    }

    fn digest(&self, sum: &Sum) -> String {
        let mut bytes = vec![FORMAT, u8::from(self.orphan)];
        bytes.extend(sum.objects.to_be_bytes());
        bytes.extend(sum.digest.iter().flat_map(|word| word.to_be_bytes()));
        short_hex(&sha256(&bytes))
    }
}

/// One digest over all works of a WEC, by name and digest; however they are sorted.
pub fn revision(works: impl Iterator<Item = (String, String)>) -> String {
    let mut lines: Vec<String> = works
        .map(|(name, digest)| format!("{name} {digest}\n"))
        .collect();
    lines.sort_unstable();
    short_hex(&sha256(lines.concat().as_bytes()))
}

/// Gives the digest of one manifest.
pub fn id(sum: &Sum) -> ObjectId {
    let mut id = [0; 20];
    let bytes = sum.digest.iter().flat_map(|word| word.to_be_bytes());
    for (place, byte) in id.iter_mut().zip(bytes) {
        *place = byte;
    }
    ObjectId(id)
}

fn find<'p>(pieces: &'p [Arc<Piece>], key: &ObjectKey) -> Option<&'p Arc<Piece>> {
    let position = pieces.binary_search_by(|piece| piece.key.cmp(key)).ok()?;
    pieces.get(position)
}

/// The shape with every full part split; none when no part is full.
fn overfull(works: &BTreeMap<Part, Sum>, shape: &Shape, max_bytes: usize) -> Option<Shape> {
    let mut finer = None;
    for (&part, sum) in works {
        let full = sum.bytes > max_bytes as u64 || sum.objects as usize > MAX_OBJECTS;
        if full && sum.objects > 1 {
            let mut split = finer.clone().unwrap_or_else(|| shape.clone());
            if split.split(part) {
                finer = Some(split);
            }
        }
    }
    finer
}
