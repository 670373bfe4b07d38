//! What stays in the mailboxes because of an error: unknown is not empty.

use std::collections::{BTreeMap, BTreeSet};

use super::decision::Scene;
use crate::model::{ClusterName, ObjectKey};
use crate::output::mailbox::layout::Kept;
use crate::output::mailbox::piece::Pieces;
use crate::output::mailbox::plan::Known;
use crate::output::mailbox::shape::{Class, Part, Place, slot};
use crate::output::mailbox::standing::StandingWork;

/// Collects what stays as it is, and what must be read to know that.
pub(super) struct Keeping<'a> {
    pub(super) scene: &'a Scene,
    pub(super) pieces: &'a Pieces,
    pub(super) known: Known<'a>,
    pub(super) kept: Kept,
    pub(super) reads: BTreeSet<(ClusterName, Part)>,
}

impl Keeping<'_> {
    pub(super) fn all(&mut self, differing: &BTreeSet<(ClusterName, Place)>) {
        let rendering = &self.scene.rendering;
        let refused = self
            .pieces
            .refused
            .iter()
            .map(|(key, clusters)| (key, clusters));
        for (key, clusters) in rendering.kept().chain(refused) {
            for cluster in clusters.iter() {
                self.keep(cluster, key);
            }
        }
        if rendering.is_certain() {
            return;
        }
        // While parts of the source cannot be read, whatever is not in the rendering may be in there; and while anything is
        // in doubt, a bare Namespace takes no other one's place.
        let complete = rendering.snapshot.is_complete();
        for (name, place) in differing {
            let Ok(cluster) = rendering.rendered.clusters.binary_search(name) else {
                continue;
            };
            let work = self
                .scene
                .standing
                .get(name)
                .and_then(|works| works.get(place));
            let entries = work
                .map(|work| self.known.entries(name, work))
                .unwrap_or_default();
            for key in entries.keys() {
                let unknown = !complete && !self.pieces.gives(cluster, key);
                if unknown || rendering.implies(cluster, key) {
                    self.keep(cluster, key);
                }
            }
        }
    }

    /// Keeps an object where it stands, and the Namespace that it is in: the WEC would delete everything in it otherwise.
    fn keep(&mut self, cluster: usize, key: &ObjectKey) {
        if !self.keep_one(cluster, key) || key.namespace.is_empty() {
            return;
        }
        let namespace = ObjectKey::new("", "Namespace", "", &key.namespace);
        if !self.pieces.gives(cluster, &namespace) {
            self.keep_one(cluster, &namespace);
        }
    }

    /// Tells whether the object stands.
    fn keep_one(&mut self, cluster: usize, key: &ObjectKey) -> bool {
        let name = &self.scene.rendering.rendered.clusters[cluster];
        let (class, slot) = (Class::of(key), slot(key));
        let works = self
            .scene
            .standing
            .get(name)
            .into_iter()
            .flat_map(BTreeMap::values);
        let mut holders: Vec<&StandingWork> = works
            .filter(|work| work.part.class == class && work.part.contains(slot))
            .collect();
        // Of two works, the one that the object moved to.
        holders.sort_by_key(|work| std::cmp::Reverse(work.part.bits));
        for work in holders {
            if !self.known.holds(name, work) {
                self.reads.insert((name.clone(), work.part));
            } else if let Some(manifest) = self.known.manifest(name, work, key) {
                self.kept
                    .entry(cluster)
                    .or_default()
                    .insert(key.clone(), manifest);
                return true;
            }
        }
        false
    }
}
