//! One object as works hold it: its texts → JSON with size and digest, each distinct text once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::shape::{Class, slot};
use super::{FRAMING, sha256};
use crate::model::{ClusterSet, Diagnostic, ObjectKey};
use crate::transform::{Content, Rendered, RenderedObject, Variant};
use crate::yaml;

/// How a work treats one of its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Created once, and then left alone.
    pub create_only: bool,
    /// Never deleted by us: a Namespace that nobody asked for, and that others may have objects in.
    pub stays: bool,
}

/// One manifest of a work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The object.
    pub key: ObjectKey,
    /// The resource: lower-case plural.
    pub resource: Arc<str>,
    /// How it is treated.
    pub mode: Mode,
    /// The object as JSON, keys sorted.
    pub json: Arc<[u8]>,
}

impl Manifest {
    /// What it adds to its work.
    pub fn sum(&self) -> Sum {
        text(&self.json, &self.resource, self.mode).sum
    }
}

/// What some manifests are together; it does not matter in which order they are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The sum of their digests.
    pub digest: [u64; 4],
    /// Their bytes as OCM counts them, or a few more.
    pub bytes: u64,
    /// Their number.
    pub objects: u32,
}

impl Sum {
    /// Adds what others are together.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.digest.iter_mut().zip(other.digest) {
            *mine = mine.wrapping_add(theirs);
        }
        self.bytes += other.bytes;
        self.objects += other.objects;
    }

    /// Takes away what was added before.
    pub fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.digest.iter_mut().zip(other.digest) {
            *mine = mine.wrapping_sub(theirs);
        }
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.objects = self.objects.saturating_sub(other.objects);
    }
}

/// An object with all its texts.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The object.
    pub key: ObjectKey,
    /// The resource: lower-case plural.
    pub resource: Arc<str>,
    /// What it is to others.
    pub class: Class,
    /// Its place among all objects of its class.
    pub slot: u32,
    /// One for each variant of the rendering.
    pub variants: Vec<PieceVariant>,
}

/// The texts of an object for some WECs.
#[derive(Clone, Debug)]
pub struct PieceVariant {
    /// As it was rendered.
    pub variant: Variant,
    /// How it is treated there.
    pub mode: Mode,
    /// One text, or one for each filling.
    texts: Vec<Text>,
}

#[derive(Clone, Debug)]
struct Text {
    sum: Sum,
    /// The JSON of a text that is the same for all WECs; the others are made again where they are needed.
    json: Option<Arc<[u8]>>,
}

impl PieceVariant {
    /// Walks the WECs with what the object adds to their works.
    pub fn sums(&self) -> impl Iterator<Item = (usize, &Sum)> {
        let choice = match &self.variant.content {
            Content::Shared(_) => None,
            Content::Filled { choice, .. } => Some(choice),
        };
        let clusters = self.variant.clusters.iter().enumerate();
        clusters.map(move |(rank, cluster)| {
            let text = choice.map_or(0, |choice| choice[rank] as usize);
            (cluster, &self.texts[text].sum)
        })
    }

    /// What the object adds to the works of all its WECs, when that is the same for all.
    pub fn shared(&self) -> Option<&Sum> {
        match &self.variant.content {
            Content::Shared(_) => self.texts.first().map(|text| &text.sum),
            Content::Filled { .. } => None,
        }
    }
}

impl Piece {
    /// Finds the variant that a WEC gets.
    pub fn variant(&self, cluster: usize) -> Option<&PieceVariant> {
        let mut variants = self.variants.iter();
        variants.find(|found| found.variant.clusters.contains(cluster))
    }

    /// What the object adds to a WEC's work.
    pub fn sum(&self, cluster: usize) -> Option<&Sum> {
        let variant = self.variant(cluster)?;
        match variant.shared() {
            Some(sum) => Some(sum),
            None => Some(variant.sums().find(|(found, _)| *found == cluster)?.1),
        }
    }

    /// Makes the manifest that a WEC gets.
    pub fn manifest(&self, cluster: usize) -> Option<Manifest> {
        let variant = self.variant(cluster)?;
        let json = if let Some(json) = &variant.texts.first()?.json {
            Arc::clone(json)
        } else {
            let mut text = Vec::new();
            variant.variant.bytes_into(cluster, &mut text);
            json(&text)?.into()
        };
        Some(Manifest {
            key: self.key.clone(),
            resource: Arc::clone(&self.resource),
            mode: variant.mode,
            json,
        })
    }
}

/// The pieces of the last rendering, so that what did not change is not made again. May be thrown away at any time.
#[derive(Debug, Default)]
pub struct Memory(HashMap<ObjectKey, (Arc<[Variant]>, Arc<Piece>)>);

/// What works are made of.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// Sorted by key.
    pub pieces: Vec<Arc<Piece>>,
    /// What cannot be in any work, and where: its last good state stays.
    pub refused: Vec<(ObjectKey, Arc<ClusterSet>)>,
}

/// What the rendering does not say of its objects.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The resource of each kind, by group and kind.
    pub resources: &'a BTreeMap<(Arc<str>, Arc<str>), Arc<str>>,
    /// The Namespaces that nobody asked for, and where.
    pub implied: &'a BTreeMap<String, Arc<ClusterSet>>,
    /// The most bytes of manifests in one work.
    pub max_bytes: usize,
}

impl Pieces {
    /// Tells whether a WEC gets an object.
    pub fn gives(&self, cluster: usize, key: &ObjectKey) -> bool {
        let found = self.pieces.binary_search_by(|piece| piece.key.cmp(key));
        found.is_ok_and(|position| self.pieces[position].variant(cluster).is_some())
    }

    /// Makes the pieces of all objects.
    pub fn new(
        rendered: &Rendered,
        facts: &Facts<'_>,
        memory: &mut Memory,
    ) -> (Self, Vec<Diagnostic>) {
        let mut former = std::mem::take(&mut memory.0);
        let mut pieces = Self::default();
        let mut found = Vec::new();
        for object in &rendered.objects {
            let modes = modes(object, facts);
            let known = former.remove(&object.key).filter(|(variants, piece)| {
                let same = piece
                    .variants
                    .iter()
                    .map(|variant| variant.mode)
                    .eq(modes.iter().copied());
                same && Arc::ptr_eq(variants, &object.variants)
            });
            let piece =
                match known {
                    Some((_, piece)) => piece,
                    None => match piece(object, &modes, facts) {
                        Ok(piece) => Arc::new(piece),
                        Err(diagnostic) => {
                            found.push(*diagnostic);
                            pieces.refused.extend(object.variants.iter().map(|variant| {
                                (object.key.clone(), Arc::clone(&variant.clusters))
                            }));
                            continue;
                        }
                    },
                };
            memory.0.insert(
                object.key.clone(),
                (Arc::clone(&object.variants), Arc::clone(&piece)),
            );
            match fitting(&piece, facts.max_bytes) {
                Fit::All => pieces.pieces.push(piece),
                Fit::Without(clusters, bytes, rest) => {
                    found.push(too_large(
                        &piece.key,
                        clusters.len(),
                        bytes,
                        facts.max_bytes,
                    ));
                    pieces.refused.push((piece.key.clone(), Arc::new(clusters)));
                    pieces.pieces.push(Arc::new(rest));
                }
            }
        }
        (pieces, found)
    }
}

fn modes(object: &RenderedObject, facts: &Facts<'_>) -> Vec<Mode> {
    let is_namespace = object.key.group.is_empty() && &*object.key.kind == "Namespace";
    let implied = facts
        .implied
        .get(&*object.key.name)
        .filter(|_| is_namespace);
    let mode = |variant: &Variant| {
        let first = variant.clusters.iter().next();
        let is_in = |set: &ClusterSet| first.is_some_and(|first| set.contains(first));
        Mode {
            create_only: is_in(&object.create_only),
            stays: implied.is_some_and(|clusters| is_in(clusters)),
        }
    };
    object.variants.iter().map(mode).collect()
}

fn piece(
    object: &RenderedObject,
    modes: &[Mode],
    facts: &Facts<'_>,
) -> Result<Piece, Box<Diagnostic>> {
    let key = &object.key;
    let failed = |message: String, help: &str| {
        let diagnostic = Diagnostic::error("UndeliverableObject", message);
        Box::new(diagnostic.object(key.clone()).help(help))
    };
    let kind = (Arc::clone(&key.group), Arc::clone(&key.kind));
    let Some(resource) = facts.resources.get(&kind) else {
        return Err(failed(
            format!(
                "the resource of {} is not known, and a mailbox cannot name it without",
                key.kind
            ),
            "name the kind under `kinds` in the pipeline",
        ));
    };
    let unreadable = || {
        failed(
            "its text does not read back".to_owned(),
            "this is a mistake in Stellate: please report it with the object",
        )
    };
    let mut variants = Vec::with_capacity(object.variants.len());
    for (variant, &mode) in object.variants.iter().zip(modes) {
        let texts = match &variant.content {
            Content::Shared(prepared) => {
                let json: Arc<[u8]> = json(&prepared.text).ok_or_else(unreadable)?.into();
                let mut text = text(&json, resource, mode);
                text.json = Some(json);
                vec![text]
            }
            Content::Filled {
                prepared, fillings, ..
            } => {
                let filled = (0..fillings.len()).map(|number| {
                    let mut bytes = Vec::new();
                    prepared.fill_into(fillings, number, &mut bytes);
                    Some(text(&json(&bytes)?, resource, mode))
                });
                filled.collect::<Option<Vec<_>>>().ok_or_else(unreadable)?
            }
        };
        variants.push(PieceVariant {
            variant: variant.clone(),
            mode,
            texts,
        });
    }
    Ok(Piece {
        key: key.clone(),
        resource: Arc::clone(resource),
        class: Class::of(key),
        slot: slot(key),
        variants,
    })
}

/// A manifest as JSON with sorted keys; none for what is no single document.
fn json(text: &[u8]) -> Option<Vec<u8>> {
    let documents = yaml::load(text, &yaml::Limits::default()).ok()?;
    let [document] = &documents[..] else {
        return None;
    };
    serde_json::to_vec(&document.value).ok()
}

fn text(json: &[u8], resource: &str, mode: Mode) -> Text {
    let mut marked = Vec::with_capacity(json.len() + resource.len() + 2);
    marked.extend_from_slice(json);
    marked.extend_from_slice(resource.as_bytes());
    marked.extend([u8::from(mode.create_only), u8::from(mode.stays)]);
    let digest = sha256(&marked);
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest.chunks_exact(8)) {
        *word = bytes
            .iter()
            .fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    Text {
        sum: Sum {
            digest: words,
            bytes: (json.len() + FRAMING) as u64,
            objects: 1,
        },
        json: None,
    }
}

/// Whether an object fits into a work, on which WECs.
enum Fit {
    All,
    /// Not on these WECs, where it has so many bytes; the rest is the object on the others.
    Without(ClusterSet, u64, Piece),
}

fn fitting(piece: &Piece, max_bytes: usize) -> Fit {
    let most = max_bytes as u64;
    let texts = piece.variants.iter().flat_map(|variant| &variant.texts);
    let largest = texts.map(|text| text.sum.bytes).max().unwrap_or(0);
    if largest <= most {
        return Fit::All;
    }
    let too_large: ClusterSet = piece
        .variants
        .iter()
        .flat_map(PieceVariant::sums)
        .filter(|(_, sum)| sum.bytes > most)
        .map(|(cluster, _)| cluster)
        .collect();
    let mut rest = piece.clone();
    for variant in &mut rest.variants {
        variant.leave_out(&too_large);
    }
    rest.variants
        .retain(|variant| !variant.variant.clusters.is_empty());
    Fit::Without(too_large, largest, rest)
}

impl PieceVariant {
    fn leave_out(&mut self, clusters: &ClusterSet) {
        let mine = Arc::clone(&self.variant.clusters);
        if let Content::Filled { choice, .. } = &mut self.variant.content {
            let stay = mine.iter().zip(choice.iter());
            *choice = stay
                .filter(|(cluster, _)| !clusters.contains(*cluster))
                .map(|(_, &choice)| choice)
                .collect();
        }
        self.variant.clusters = Arc::new(mine.difference(clusters));
    }
}

fn too_large(key: &ObjectKey, clusters: usize, bytes: u64, most: usize) -> Diagnostic {
    Diagnostic::error(
        "ObjectTooLarge",
        format!(
            "it has {bytes} bytes, and a ManifestWork takes {most}: {clusters} WECs keep what they have of it"
        ),
    )
    .object(key.clone())
    .help("divide it into several objects, or deliver it by a generated branch; OCM's hub sets the limit")
}
