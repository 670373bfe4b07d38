//! Delivery into mailboxes: a rendering → ManifestWorks on an ITS, as few writes as works that change.
//!
//! ```text
//! list once ─▶ pieces ─▶ what is kept ─▶ layout ─▶ plan ─▶ change ─▶ guard ─▶ writes, WEC by WEC ─▶ deletions
//!                            ▲── works that change are read where nobody remembers them ──┘
//! ```
//!
//! What stands is remembered, so that a repeated delivery asks nothing of the server. One WEC whose mailbox is missing or
//! refuses is reported, and holds up nobody else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::OnceCell;

use super::contest::Contests;
use super::{DeliveryOptions, Outcome, Survey, hold, is_strict};
use crate::model::{ClusterName, Diagnostic, ObjectKey};
use crate::output::branch::change::Change;
use crate::output::mailbox::client::{Mailboxes, REQUESTS};
use crate::output::mailbox::layout::{Kept, Layout};
use crate::output::mailbox::piece::{Facts, Memory, Pieces};
use crate::output::mailbox::plan::{self, ClusterPlan, Contents, Known, Write};
use crate::output::mailbox::shape::{Class, Part, Place, slot};
use crate::output::mailbox::standing::{self, Standing, StandingWork};
use crate::output::mailbox::{Body, MAX_BYTES, MailboxError, Owner, Settings, body};
use crate::reconcile::{Rendering, steering};

/// The most requests under way for one WEC.
const REQUESTS_PER_CLUSTER: usize = 4;

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
        if !decided.plans.is_empty() {
            let results = self.carry_out(&layout, decided.plans).await;
            for result in results {
                self.record(result, &mut standing, &mut given, &mut delivery);
            }
        }
        if delivery.written + delivery.deleted > 0 {
            delivery.outcome = Outcome::Written;
        }
        delivery.clusters = given;
        delivery.diagnostics.sort();
        delivery.waiting.sort();
        self.standing = Some(standing);
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

    /// Decides what is to be done; reads the works that must be known for it.
    async fn decide(
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

    async fn carry_out(&self, layout: &Arc<Layout>, plans: Vec<ClusterPlan>) -> Vec<ClusterResult> {
        let bodies = Bodies::new(layout, self.owner(), &plans);
        let all = plans
            .into_iter()
            .map(|plan| self.carry_out_one(plan, &bodies));
        stream::iter(all).buffer_unordered(REQUESTS).collect().await
    }

    /// Does what is to be done in one WEC's mailbox.
    async fn carry_out_one(&self, plan: ClusterPlan, bodies: &Bodies) -> ClusterResult {
        let mut result = ClusterResult::new(&plan);
        let (later, now): (Vec<Write>, Vec<Write>) = plan
            .writes
            .iter()
            .cloned()
            .partition(|write| !write.after.is_empty());
        let (first, rest): (Vec<Write>, Vec<Write>) = now
            .into_iter()
            .partition(|write| write.part.class == Class::First);
        for writes in [first, rest] {
            let writes = writes
                .into_iter()
                .map(|write| self.write(&plan, write, bodies));
            let mut writes = stream::iter(writes).buffer_unordered(REQUESTS_PER_CLUSTER);
            while let Some(written) = writes.next().await {
                result.take(written);
                if result.is_lost() {
                    return result;
                }
            }
        }
        for write in later {
            match self.are_applied(&plan.cluster, &write.after).await {
                Ok(true) => {
                    let written = self.write(&plan, write, bodies).await;
                    result.take(written);
                }
                Ok(false) => result.waiting.push(write.part),
                Err(error) => result.problems.push(error),
            }
        }
        // An object may move from a work that goes into one that could not be written.
        if !result.problems.is_empty() {
            return result;
        }
        for deletion in &plan.deletions {
            let done = match self.are_applied(&plan.cluster, &deletion.after).await {
                Ok(true) => {
                    self.mailboxes
                        .delete(&plan.cluster, deletion.part, &deletion.uid)
                        .await
                }
                Ok(false) => {
                    result.waiting.push(deletion.part);
                    continue;
                }
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => result.deleted.push(deletion.part.place()),
                Err(error) => result.problems.push(error),
            }
        }
        result
    }

    async fn write(
        &self,
        plan: &ClusterPlan,
        write: Write,
        bodies: &Bodies,
    ) -> Result<StandingWork, MailboxError> {
        let written = match bodies.get(plan, &write).await {
            Ok(body) => {
                self.mailboxes
                    .apply(&plan.cluster, write.part, &body, write.is_new)
                    .await
            }
            Err(error) => Err(error),
        };
        bodies.done(&write);
        written
    }

    /// Tells whether a WEC has applied these works as they stand.
    async fn are_applied(
        &self,
        cluster: &ClusterName,
        parts: &[Part],
    ) -> Result<bool, MailboxError> {
        for &part in parts {
            let Some(work) = self.mailboxes.read(cluster, part).await? else {
                return Ok(false);
            };
            let conditions = work["status"]["conditions"].as_array();
            let applied = conditions.into_iter().flatten().any(|condition| {
                condition["type"] == "Applied"
                    && condition["status"] == "True"
                    && condition["observedGeneration"] == work["metadata"]["generation"]
            });
            if !applied {
                return Ok(false);
            }
        }
        Ok(true)
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

/// What a delivery is decided from. Cheap to clone.
#[derive(Clone)]
struct Scene {
    rendering: Rendering,
    settings: Settings,
    standing: Arc<Standing>,
    last: Option<Arc<Layout>>,
    /// The WECs whose works are left alone, because their wave is not open.
    held: Arc<BTreeSet<ClusterName>>,
}

/// What is to be done.
struct Decision {
    layout: Layout,
    plans: Vec<ClusterPlan>,
    change: Change,
    /// Why nothing may go out.
    reasons: Vec<String>,
    diagnostics: Vec<Diagnostic>,
}

enum Round {
    Decided(Box<Decision>),
    /// These works must be read first; and all that change.
    Read(
        BTreeSet<(ClusterName, Part)>,
        BTreeSet<(ClusterName, Place)>,
    ),
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
            for part in writes.chain(plan.deletions.iter().map(|deletion| deletion.part)) {
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
            diagnostics: Vec::new(),
        }))
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

/// Collects what stays as it is because of an error: unknown is not empty.
struct Keeping<'a> {
    scene: &'a Scene,
    pieces: &'a Pieces,
    known: Known<'a>,
    kept: Kept,
    reads: BTreeSet<(ClusterName, Part)>,
}

impl Keeping<'_> {
    fn all(&mut self, differing: &BTreeSet<(ClusterName, Place)>) {
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

/// What came of one WEC's plan.
struct ClusterResult {
    cluster: ClusterName,
    written: Vec<StandingWork>,
    deleted: Vec<Place>,
    waiting: Vec<Part>,
    problems: Vec<MailboxError>,
}

impl ClusterResult {
    fn new(plan: &ClusterPlan) -> Self {
        Self {
            cluster: plan.cluster.clone(),
            written: Vec::new(),
            deleted: Vec::new(),
            waiting: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn take(&mut self, written: Result<StandingWork, MailboxError>) {
        match written {
            Ok(work) => self.written.push(work),
            Err(error) => self.problems.push(error),
        }
    }

    fn is_lost(&self) -> bool {
        self.problems.iter().any(MailboxError::concerns_the_mailbox)
    }
}

/// The bytes of the works that are written: each made when the first WEC needs it, and dropped after the last.
struct Bodies {
    layout: Arc<Layout>,
    owner: Owner,
    open: Mutex<HashMap<(Part, String), Shared>>,
}

/// How many WECs still need it, and the bytes once they are made.
type Shared = (usize, Arc<OnceCell<Body>>);

impl Bodies {
    fn new(layout: &Arc<Layout>, owner: &Owner, plans: &[ClusterPlan]) -> Self {
        let mut open: HashMap<(Part, String), Shared> = HashMap::new();
        for write in plans.iter().flat_map(|plan| &plan.writes) {
            open.entry((write.part, write.digest.clone()))
                .or_default()
                .0 += 1;
        }
        Self {
            layout: Arc::clone(layout),
            owner: owner.clone(),
            open: Mutex::new(open),
        }
    }

    async fn get(&self, plan: &ClusterPlan, write: &Write) -> Result<Body, MailboxError> {
        let key = (write.part, write.digest.clone());
        let cell = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&open.entry(key).or_default().1)
        };
        let make = async || {
            let (layout, owner) = (Arc::clone(&self.layout), self.owner.clone());
            let (position, part, digest) = (
                plan.position.unwrap_or_default(),
                write.part,
                write.digest.clone(),
            );
            blocking(move || {
                let manifests = layout.manifests(position, part);
                body(&owner, part, &digest, layout.orphan(), &manifests)
            })
            .await
        };
        cell.get_or_try_init(make).await.cloned()
    }

    fn done(&self, write: &Write) {
        let key = (write.part, write.digest.clone());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((left, _)) = open.get_mut(&key) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                open.remove(&key);
            }
        }
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
