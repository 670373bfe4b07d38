//! Delivery into mailboxes: a rendering → ManifestWorks on an ITS, as few writes as works that change.
//!
//! ```text
//! list once ─▶ pieces ─▶ what is kept ─▶ layout ─▶ plan ─▶ change ─▶ guard ─▶ writes, WEC by WEC ─▶ deletions
//!                            ▲── works that change are read where nobody remembers them ──┘
//! ```
//!
//! What stands is remembered, so that a repeated delivery asks nothing of the server. One WEC whose mailbox is missing or
//! refuses is reported, and holds up nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;

use super::contest::Contests;
use super::{DeliveryOptions, Outcome, Survey, hold, is_strict};
use crate::model::{ClusterName, Diagnostic};
use crate::output::branch::change::Change;
use crate::output::mailbox::client::Mailboxes;
use crate::output::mailbox::layout::Layout;
use crate::output::mailbox::piece::Memory;
use crate::output::mailbox::shape::Place;
use crate::output::mailbox::standing::{Standing, StandingWork};
use crate::output::mailbox::{MailboxError, Owner, Settings};
use crate::reconcile::Rendering;

mod bodies;
mod decision;
mod keeping;
mod writing;

use decision::{Decision, Scene};
use writing::ClusterResult;

/// The mailboxes of one pipeline, with what is known of them.
pub struct Mailbox {
    mailboxes: Mailboxes,
    settings: Settings,
    /// What stands; none when that is to be asked.
    standing: Option<Standing>,
    /// What was delivered last.
    last: Option<Arc<Layout>>,
    memory: Memory,
    contests: Contests,
}

/// What came of a delivery.
#[derive(Debug)]
pub struct MailboxDelivery {
    /// Whether it went out.
    pub outcome: Outcome,
    /// Whether a release lifts what holds it: then only the guard's limits on removals do.
    pub releasable: bool,
    /// What changes, against what stood there.
    pub change: Change,
    /// How many objects stay on WECs, because of an error, beside what was rendered for these.
    pub kept: BTreeMap<ClusterName, usize>,
    /// The WECs that have, or are about to get, all that is theirs, and what they then hold.
    pub clusters: BTreeMap<ClusterName, Given>,
    /// Works that are written when a WEC has applied others, to which objects move; deliver again when it has.
    pub waiting: Vec<(ClusterName, String)>,
    /// The WECs that the ITS did not let have all that is theirs, with the reasons; deliver again in a while.
    pub failed: BTreeSet<(ClusterName, &'static str)>,
    /// Works that were written.
    pub written: usize,
    /// Works that were deleted.
    pub deleted: usize,
    /// What was found on the way, WEC by WEC.
    pub diagnostics: Vec<Diagnostic>,
}

/// What a WEC was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// One digest over all its works: reports of the same digest speak of this.
    pub revision: String,
    /// How many works.
    pub works: usize,
}

/// A work as a watch sees it; none where it is gone.
pub type Sighting = (ClusterName, Place, Option<StandingWork>);

impl Mailbox {
    /// Takes the ITS and the name of the pipeline; sends nothing yet.
    pub fn new(client: Client, pipeline: &str, settings: Settings) -> Self {
        Self {
            mailboxes: Mailboxes::new(client, Owner::new(pipeline)),
            settings,
            standing: None,
            last: None,
            memory: Memory::default(),
            contests: Contests::default(),
        }
    }

    /// Whose works these are.
    pub fn owner(&self) -> &Owner {
        self.mailboxes.owner()
    }

    /// Takes in what a watch saw; tells whether it is not as it was left, so that a delivery puts it right.
    pub fn see(&mut self, (cluster, place, seen): &Sighting) -> bool {
        let Some(standing) = &mut self.standing else {
            return false;
        };
        let works = standing.entry(cluster.clone()).or_default();
        let known = works.get(place);
        let differs = match (known, seen) {
            (None, None) => false,
            (Some(known), Some(seen)) => {
                let older = known.uid == seen.uid && seen.generation < known.generation;
                !older
                    && (known.digest != seen.digest
                        || known.deleting != seen.deleting
                        || known.uid != seen.uid)
            }
            _ => true,
        };
        if differs {
            if let Some(known) = known.filter(|known| !known.digest.is_empty()) {
                let now = Timestamp::now();
                self.contests.changed(cluster, *place, &known.digest, now);
            }
            match seen {
                Some(seen) => drop(works.insert(*place, seen.clone())),
                None => drop(works.remove(place)),
            }
        }
        if let (false, Some(known), Some(seen)) = (differs, works.get_mut(place), seen)
            && seen.generation >= known.generation
        {
            // Its WEC has said something.
            known.version.clone_from(&seen.version);
        }
        if works.is_empty() {
            standing.remove(cluster);
        }
        differs
    }

    /// Makes the mailboxes hold what was rendered, and nothing else of this pipeline's.
    ///
    /// # Errors
    /// When the ITS cannot be asked what stands, or what a work holds that is about to change. What concerns one WEC is among
    /// the diagnostics, and what the guard holds is an outcome.
    pub async fn deliver(
        &mut self,
        rendering: &Rendering,
        options: &DeliveryOptions,
    ) -> Result<MailboxDelivery, MailboxError> {
        let staged = options.staged.as_ref();
        let held = staged.map(|staged| staged.held.keys().cloned().collect());
        let (scene, mut decided) = self.look(rendering, held.unwrap_or_default()).await?;
        let layout = Arc::new(decided.layout);
        let mut delivery = MailboxDelivery {
            outcome: Outcome::Unchanged,
            releasable: decided.reasons.is_empty() && !is_strict(rendering, options),
            change: decided.change,
            kept: decided.kept,
            clusters: BTreeMap::new(),
            waiting: Vec::new(),
            failed: BTreeSet::new(),
            written: 0,
            deleted: 0,
            diagnostics: decided.diagnostics,
        };
        let mut reasons = decided.reasons;
        reasons.extend(hold(rendering, &delivery.change, options));
        let Scene {
            standing,
            held: scene_held,
            ..
        } = scene;
        let mut standing = Arc::unwrap_or_clone(standing);
        if !reasons.is_empty() {
            delivery.outcome = Outcome::Held(reasons);
            self.standing = Some(standing);
            return Ok(delivery);
        }
        let mut given = given(&layout, self.owner());
        given.retain(|name, _| !scene_held.contains(name));
        let now = Timestamp::now();
        for found in self.contests.rest(&mut decided.plans, self.owner(), now) {
            delivery.fail(found, &mut given);
        }
        let mut is_outdated = false;
        if !decided.plans.is_empty() {
            let results = self.carry_out(&layout, decided.plans).await;
            for result in results {
                is_outdated |= result.problems.iter().any(MailboxError::is_outdated);
                self.record(result, &mut standing, &mut given, &mut delivery);
            }
        }
        if delivery.written + delivery.deleted > 0 {
            delivery.outcome = Outcome::Written;
        }
        delivery.clusters = given;
        delivery.diagnostics.sort();
        delivery.waiting.sort();
        // What somebody changed behind our back is asked for anew.
        self.standing = Some(standing).filter(|_| !is_outdated);
        self.last = Some(layout);
        Ok(delivery)
    }

    /// Looks at what a delivery to all WECs would change.
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub async fn survey(&mut self, rendering: &Rendering) -> Result<Survey, MailboxError> {
        let (scene, decided) = self.look(rendering, BTreeSet::new()).await?;
        self.standing = Some(Arc::unwrap_or_clone(scene.standing));
        let known = decided
            .plans
            .into_iter()
            .filter(|plan| plan.position.is_some());
        let given = given(&decided.layout, self.owner()).into_iter();
        Ok(Survey {
            pending: known.map(|plan| plan.cluster).collect(),
            contents: given.map(|(name, given)| (name, given.revision)).collect(),
            change: decided.change,
        })
    }

    /// Asks what stands, where that is not known, and decides what is to be done for all WECs but those that are held.
    async fn look(
        &mut self,
        rendering: &Rendering,
        held: BTreeSet<ClusterName>,
    ) -> Result<(Scene, Decision), MailboxError> {
        let standing = match self.standing.take() {
            Some(standing) => standing,
            None => self.mailboxes.list().await?,
        };
        let scene = Scene {
            rendering: rendering.clone(),
            settings: self.settings,
            standing: Arc::new(standing),
            last: self.last.clone(),
            held: Arc::new(held),
        };
        let memory = std::mem::take(&mut self.memory);
        let (decided, memory) = self.decide(&scene, memory).await?;
        self.memory = memory;
        Ok((scene, decided))
    }

    fn record(
        &self,
        result: ClusterResult,
        standing: &mut Standing,
        given: &mut BTreeMap<ClusterName, Given>,
        delivery: &mut MailboxDelivery,
    ) {
        delivery.written += result.written.len();
        delivery.deleted += result.deleted.len();
        let works = standing.entry(result.cluster.clone()).or_default();
        for work in result.written {
            works.insert(work.part.place(), work);
        }
        for place in result.deleted {
            // It stands until the WEC has let go of its objects, and is seen to be gone by the watch, or the next start.
            works.remove(&place);
        }
        if works.is_empty() {
            standing.remove(&result.cluster);
        }
        for part in result.waiting {
            let name = self.owner().work_name(part);
            delivery.waiting.push((result.cluster.clone(), name));
        }
        for problem in &result.problems {
            delivery.fail(problem.diagnostic(&result.cluster), given);
        }
    }
}

impl MailboxDelivery {
    /// Takes note of what keeps a WEC from what is its.
    fn fail(&mut self, found: Diagnostic, given: &mut BTreeMap<ClusterName, Given>) {
        if let Some(cluster) = &found.cluster {
            given.remove(cluster);
            self.failed.insert((cluster.clone(), found.reason));
        }
        self.diagnostics.push(found);
    }
}

fn given(layout: &Layout, owner: &Owner) -> BTreeMap<ClusterName, Given> {
    let clusters = layout.clusters().iter().enumerate();
    clusters
        .map(|(position, name)| {
            let given = Given {
                revision: layout.revision(position, |part| owner.work_name(part)),
                works: layout.works(position).count(),
            };
            (name.clone(), given)
        })
        .collect()
}

/// Runs what takes long where it holds up no other task.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, MailboxError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| MailboxError::Unavailable(format!("a task was ended: {error}")))
}
