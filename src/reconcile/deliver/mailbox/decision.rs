//! What is to be done in all mailboxes: a rendering and what stands → layout, plans and their change. Reads the works that must be known
//! for it, and writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt as _, stream};

use super::keeping::Keeping;
use super::{Mailbox, blocking};
use crate::model::{ClusterName, Diagnostic};
use crate::output::branch::change::Change;
use crate::output::mailbox::client::REQUESTS;
use crate::output::mailbox::layout::{Kept, Layout};
use crate::output::mailbox::piece::{Facts, Memory, Pieces};
use crate::output::mailbox::plan::{self, ClusterPlan, Contents, Known};
use crate::output::mailbox::shape::{Part, Place};
use crate::output::mailbox::standing::{self, Standing};
use crate::output::mailbox::{MAX_BYTES, MailboxError, Settings};
use crate::reconcile::{Rendering, steering};

/// What a delivery is decided from. Cheap to clone.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) rendering: Rendering,
    pub(super) settings: Settings,
    pub(super) standing: Arc<Standing>,
    pub(super) last: Option<Arc<Layout>>,
    /// The WECs whose works are left alone, because their wave is not open.
    pub(super) held: Arc<BTreeSet<ClusterName>>,
}

/// What is to be done.
pub(super) struct Decision {
    pub(super) layout: Layout,
    pub(super) plans: Vec<ClusterPlan>,
    pub(super) change: Change,
    pub(super) kept: BTreeMap<ClusterName, usize>,
    /// Why nothing may go out.
    pub(super) reasons: Vec<String>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

enum Round {
    Decided(Box<Decision>),
    /// These works must be read first; and all that change.
    Read(
        BTreeSet<(ClusterName, Part)>,
        BTreeSet<(ClusterName, Place)>,
    ),
}

impl Mailbox {
    /// Decides what is to be done; reads the works that must be known for it.
    pub(super) async fn decide(
        &self,
        scene: &Scene,
        mut memory: Memory,
    ) -> Result<(Decision, Memory), MailboxError> {
        let first = scene.clone();
        let (pieces, found, memory) = blocking(move || {
            let (pieces, found) = first.pieces(&mut memory);
            (Arc::new(pieces), found, memory)
        })
        .await?;
        let mut contents = Contents::new();
        let mut differing = BTreeSet::new();
        loop {
            let (scene, pieces) = (scene.clone(), Arc::clone(&pieces));
            let (round, read) = blocking(move || {
                let round = scene.round(&pieces, &contents, &differing);
                (round, contents)
            })
            .await?;
            contents = read;
            match round {
                Round::Decided(mut decision) => {
                    decision.diagnostics = found;
                    return Ok((*decision, memory));
                }
                Round::Read(wanted, changed) => {
                    differing = changed;
                    self.read(wanted, &mut contents).await?;
                }
            }
        }
    }

    async fn read(
        &self,
        wanted: BTreeSet<(ClusterName, Part)>,
        contents: &mut Contents,
    ) -> Result<(), MailboxError> {
        let reads = wanted.into_iter().map(async |(cluster, part)| {
            let work = self.mailboxes.read(&cluster, part).await?;
            // What is gone meanwhile holds nothing.
            let manifests = work.as_ref().map(standing::manifests).unwrap_or_default();
            Ok(((cluster, part.place()), manifests))
        });
        let mut reads = stream::iter(reads).buffer_unordered(REQUESTS);
        while let Some(read) = reads.next().await {
            let (place, manifests) = read?;
            contents.insert(place, manifests);
        }
        Ok(())
    }
}

impl Scene {
    fn pieces(&self, memory: &mut Memory) -> (Pieces, Vec<Diagnostic>) {
        let mut resources: BTreeMap<(Arc<str>, Arc<str>), Arc<str>> = BTreeMap::new();
        for object in &self.rendering.snapshot.objects {
            let kind = (Arc::clone(&object.key.group), Arc::clone(&object.key.kind));
            resources
                .entry(kind)
                .or_insert_with(|| Arc::clone(&object.resource));
        }
        resources.insert(("".into(), "Namespace".into()), "namespaces".into());
        let facts = Facts {
            resources: &resources,
            implied: &self.rendering.plan.implied_namespaces,
            max_bytes: self.settings.max_bytes.max(MAX_BYTES),
        };
        Pieces::new(&self.rendering.rendered, &facts, memory)
    }

    /// Decides, or says what must be read for it. `differing` are the works that would change as far as was known before.
    fn round(
        &self,
        pieces: &Pieces,
        contents: &Contents,
        differing: &BTreeSet<(ClusterName, Place)>,
    ) -> Round {
        let known = Known {
            last: self.last.as_deref(),
            next: None,
            read: contents,
        };
        let mut keeping = Keeping {
            scene: self,
            pieces,
            known,
            kept: Kept::new(),
            reads: BTreeSet::new(),
        };
        keeping.all(differing);
        let Keeping {
            kept, mut reads, ..
        } = keeping;
        let beside = self.beside(pieces, &kept);
        let standing = |name: &ClusterName| {
            let works = self
                .standing
                .get(name)
                .into_iter()
                .flat_map(BTreeMap::values);
            works.map(|work| work.part).collect()
        };
        let clusters = &self.rendering.rendered.clusters;
        let layout = Layout::new(
            clusters,
            pieces.pieces.clone(),
            kept,
            standing,
            &self.settings,
        );
        let mut plans = plan::plan(&layout, &self.standing);
        plans.retain(|plan| !self.held.contains(&plan.cluster));
        let known = Known {
            next: Some(&layout),
            ..known
        };
        let mut changed = BTreeSet::new();
        for plan in &plans {
            let writes = plan.writes.iter().map(|write| write.part);
            for part in writes.chain(plan.deletions.iter().map(|deletion| deletion.work.part)) {
                let work = self
                    .standing
                    .get(&plan.cluster)
                    .and_then(|works| works.get(&part.place()));
                let Some(work) = work else { continue };
                changed.insert((plan.cluster.clone(), part.place()));
                if !known.holds(&plan.cluster, work) {
                    reads.insert((plan.cluster.clone(), part));
                }
            }
        }
        let more_to_keep = !self.rendering.is_certain() && !changed.is_subset(differing);
        if !reads.is_empty() || more_to_keep {
            changed.extend(differing.iter().cloned());
            return Round::Read(reads, changed);
        }
        let mut change = plan::change(&layout, &self.standing, &plans, &known);
        change.emptied.retain(|name| !self.held.contains(name));
        Round::Decided(Box::new(Decision {
            reasons: self.reasons(),
            layout,
            plans,
            change,
            kept: beside,
            diagnostics: Vec::new(),
        }))
    }

    /// Counts what stays on each WEC beside what was rendered for it.
    fn beside(&self, pieces: &Pieces, kept: &Kept) -> BTreeMap<ClusterName, usize> {
        let counted = kept.iter().filter_map(|(&cluster, manifests)| {
            let keys = manifests.keys();
            let beside = keys.filter(|key| !pieces.gives(cluster, key)).count();
            let name = self.rendering.rendered.clusters.get(cluster)?;
            (beside > 0).then(|| (name.clone(), beside))
        });
        counted.collect()
    }

    /// Why nothing may go out at all.
    fn reasons(&self) -> Vec<String> {
        let clusters = &self.rendering.rendered.clusters;
        let mut reasons = Vec::new();
        let missing: Vec<&str> = self
            .standing
            .keys()
            .filter(|name| clusters.binary_search(name).is_err())
            .map(ClusterName::as_str)
            .collect();
        if !missing.is_empty() && (!self.rendering.inventory_complete || clusters.is_empty()) {
            reasons.push(format!(
                "the inventory is not known in full, and {} WECs that have objects are not in it ({})",
                missing.len(),
                missing[..missing.len().min(5)].join(", ")
            ));
        }
        if !self.standing.is_empty() {
            reasons.extend(steering::doubts(&self.rendering));
        }
        reasons
    }
}
