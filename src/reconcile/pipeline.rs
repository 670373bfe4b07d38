//! One rendering: source, inventory, placement and transform in a row, with everything that is worth remembering.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::deliver::Surveyed;
use super::deliver::stored::StoredStates;
use super::facts::KnownFacts;
use super::rendering::{Rendering, unselected_note};
use super::request::{InventorySource, Progress, RenderError, Request, Settings};
use super::{policies, secrets, steering};
use crate::git::{RemoteUrl, Scheme};
use crate::inventory::{self, Inventory};
use crate::model::api::pipeline::Hydrate;
use crate::model::kinds::{Kinds, made_by_the_server, never_downsynced};
use crate::model::{ClusterName, ClusterSet, Diagnostic, Object, ObjectKey, Severity};
use crate::output::branch::build::{BranchState, HeldFolder, KeptFile};
use crate::output::branch::hash::{ObjectId, hex, sha256};
use crate::output::path;
use crate::placement::{Explanation, ObjectFacts, Placer, Plan, Policy};
use crate::source::hydrate::{ChartRequest, HydrateOptions};
use crate::source::{
    Control, ParsedCache, Place, ReadSource, Snapshot, SourceDescription, SourceError,
    SourceRequest, read_source,
};
use crate::transform::compile::{Form, FormKey};
use crate::transform::{
    Content, Prepared, Quarantined, Rendered, RenderedObject, Rules, Transformer, Variant,
};
use crate::yaml::{self, Part};

/// How long each stage took, in order.
pub type Timings = Vec<(&'static str, Duration)>;

/// Remembers what was parsed, placed, compiled and built, so that the next rendering follows what changed.
#[derive(Default)]
pub struct Pipeline {
    /// The folder for what may be deleted at any time.
    cache: Option<PathBuf>,
    /// Parsed files, by source.
    parsed: HashMap<String, ParsedCache>,
    placer: Placer,
    transformer: Transformer,
    namespaces: HashMap<String, Arc<[Variant]>>,
    facts: KnownFacts,
    /// The inventory that was read last, where from, and what there was to say.
    inventory: Option<ReadInventory>,
    /// What was rendered last, and where its WECs were found.
    last: Option<(InventorySource, Rendering)>,
    /// What was built last for each destination.
    pub(super) built: HashMap<String, LastBuilt>,
    /// What was found at each destination before a delivery in parts.
    pub(super) surveyed: HashMap<String, Surveyed>,
    /// The same on disk, for the next process.
    pub(super) stored: StoredStates,
}

/// An inventory, the snapshot whose controls it was read from, and what there was to say.
type ReadInventory = (Arc<Snapshot>, Arc<Inventory>, Vec<Diagnostic>);

/// What was built for a destination, and where it stands.
pub(super) struct LastBuilt {
    /// The generated commit that holds it.
    pub(super) commit: ObjectId,
    /// What was rendered.
    pub(super) rendered: Arc<Rendered>,
    /// What was kept beside it.
    pub(super) kept: Vec<KeptFile>,
    /// The folders that stayed as they were.
    pub(super) held: Vec<HeldFolder>,
    /// What it was built into.
    pub(super) state: BranchState,
}

/// Measures stages and tells them to whoever listens.
pub(super) struct Clock<'a> {
    progress: &'a dyn Progress,
    current: Option<(&'static str, Instant)>,
    pub(super) timings: Timings,
}

impl<'a> Clock<'a> {
    pub(super) fn new(progress: &'a dyn Progress) -> Self {
        Self {
            progress,
            current: None,
            timings: Vec::new(),
        }
    }

    pub(super) fn stage(&mut self, name: &'static str) {
        self.stop();
        self.progress.stage(name);
        self.current = Some((name, Instant::now()));
    }

    pub(super) fn stop(&mut self) {
        if let Some((name, start)) = self.current.take() {
            self.timings.push((name, start.elapsed()));
        }
    }
}

impl Pipeline {
    /// Starts without memory, but for the cache of parsed files in that folder, if one is given.
    pub fn new(cache: Option<PathBuf>) -> Self {
        Self {
            stored: StoredStates::new(cache.as_deref()),
            cache,
            ..Self::default()
        }
    }

    /// Renders what is asked for.
    ///
    /// # Errors
    /// Only when there is no source or no inventory to render. What is wrong inside them is in the diagnostics.
    pub fn render(
        &mut self,
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<Rendering, RenderError> {
        let mut clock = Clock::new(progress);
        clock.stage("read");
        let source = self.read_for(request)?;
        if let Some(mut last) = self.unchanged(request, &source) {
            clock.stop();
            last.source = source.description;
            last.timings = clock.timings;
            return Ok(last);
        }
        let mut found = source.diagnostics;
        let mut inventory_complete = source.snapshot.is_complete();
        let mut unknown_rules = steering::unread(&source.snapshot);
        let inventory = match &request.inventory {
            InventorySource::Source => {
                self.inventory_in(&source.snapshot, &mut found, &mut inventory_complete)
            }
            InventorySource::Files(place) => {
                let place = Place::Folder(place.clone());
                let read = self.read(place, request).map_err(RenderError::Inventory)?;
                inventory_complete = read.snapshot.is_complete();
                unknown_rules.extend(steering::unread(&read.snapshot));
                found.extend(read.diagnostics);
                self.inventory_in(&read.snapshot, &mut found, &mut inventory_complete)
            }
            InventorySource::Given(given, diagnostics) => {
                inventory_complete = is_complete(diagnostics);
                found.extend(diagnostics.iter().cloned());
                if given.clusters.is_empty() {
                    found.push(empty_inventory("the ITS holds no ManagedCluster").help(
                        "register a WEC: clusteradm join … on it, then clusteradm accept on the ITS",
                    ));
                }
                self.known_inventory(Arc::clone(given))
            }
        };
        let rendering = self.render_snapshot(
            Input {
                source: source.description,
                snapshot: source.snapshot,
                inventory,
                inventory_complete,
                unknown_rules,
                found,
            },
            &request.settings,
            clock,
        );
        // Files may change under the same name.
        let found_again = !matches!(request.inventory, InventorySource::Files(_));
        self.last = found_again.then(|| (request.inventory.clone(), rendering.clone()));
        Ok(rendering)
    }

    /// Gives the last rendering when nothing that goes into it changed.
    fn unchanged(&self, request: &Request, source: &ReadSource) -> Option<Rendering> {
        let (inventory, last) = self.last.as_ref()?;
        let same = Arc::ptr_eq(&last.snapshot, &source.snapshot)
            && last.settings == request.settings
            && *inventory == request.inventory;
        same.then(|| last.clone())
    }

    /// Reads the source that is asked for.
    pub(super) fn read_for(&mut self, request: &Request) -> Result<ReadSource, SourceError> {
        self.read(source_place(request), request)
    }

    /// Reads a source, with what is known of it from the last time.
    fn read(&mut self, place: Place, request: &Request) -> Result<ReadSource, SourceError> {
        let key = match &place {
            Place::Folder(folder) => folder.display().to_string(),
            Place::Git { location, .. } => location.clone(),
        };
        let folder = self.cache.as_ref().map(|cache| {
            let digest = sha256(&[key.as_bytes()]);
            let name = hex(&digest[..8]);
            cache.join("parsed").join(name)
        });
        let parsed = self
            .parsed
            .entry(key)
            .or_insert_with(|| ParsedCache::open(folder));
        read_source(&source_request(place, request, self.cache.clone()), parsed)
    }

    /// Renders objects that were read already.
    pub(super) fn render_snapshot(
        &mut self,
        input: Input,
        settings: &Settings,
        mut clock: Clock<'_>,
    ) -> Rendering {
        let Input {
            source,
            snapshot,
            inventory,
            inventory_complete,
            mut unknown_rules,
            mut found,
        } = input;
        clock.stage("place");
        let (policies, more) = policies::read(&snapshot.controls);
        found.extend(more);
        let (plan, more) = self.place(&snapshot, &policies, &inventory);
        found.extend(more);
        found.extend(unselected_note(&snapshot, &plan));
        clock.stage("transform");
        let (rules, more) = Rules::read(&snapshot.controls);
        found.extend(more);
        let rules = Arc::new(rules);
        let (objects, plan, refused) =
            refuse_secrets(&snapshot.objects, plan, settings, &mut found);
        let (mut rendered, more) = self.transformer.render(objects, &plan, &inventory, &rules);
        found.extend(more);
        rendered.quarantined.extend(refused);
        self.add_namespaces(&mut rendered, &plan);
        // Where the last rendering had the same objects, it had no clashes among them.
        let last = self.last.as_ref().map(|(_, last)| &*last.rendered);
        if !last.is_some_and(|last| same_keys(last, &rendered)) {
            drop_clashes(&mut rendered, &mut found);
        }
        clock.stop();
        unknown_rules.extend(steering::refused(&snapshot.controls, &found));
        unknown_rules.sort();
        unknown_rules.dedup();
        for diagnostic in &mut found {
            if let (Some((origin, path)), Some(location)) =
                (&diagnostic.field, &diagnostic.location)
            {
                let part = Part::blamed_by(diagnostic.reason);
                diagnostic.location = Some(snapshot.locate(location, *origin, path, part));
            }
        }
        found.sort();
        found.dedup();
        let reads = self.transformer.reads();
        let facts = self.facts.used(&inventory, &policies, &rules, &reads);
        Rendering {
            source,
            snapshot,
            inventory,
            policies: policies.into(),
            plan: Arc::new(plan),
            rules,
            rendered: Arc::new(rendered),
            reads,
            facts,
            diagnostics: found,
            timings: clock.timings,
            inventory_complete,
            unknown_rules,
            settings: settings.clone(),
        }
    }

    /// Reads the WECs among control objects.
    fn inventory_in(
        &mut self,
        snapshot: &Arc<Snapshot>,
        found: &mut Vec<Diagnostic>,
        complete: &mut bool,
    ) -> Arc<Inventory> {
        let known = self
            .inventory
            .take()
            .filter(|(last, ..)| last.controls == snapshot.controls);
        let (inventory, diagnostics) = match known {
            Some((_, inventory, diagnostics)) => (inventory, diagnostics),
            None => self.read_inventory(&snapshot.controls),
        };
        self.inventory = Some((
            Arc::clone(snapshot),
            Arc::clone(&inventory),
            diagnostics.clone(),
        ));
        *complete &= is_complete(&diagnostics);
        found.extend(diagnostics);
        if inventory.clusters.is_empty() {
            found.push(
                empty_inventory("neither a ManagedCluster nor a SyncTarget was found").help(
                    "write down the inventory: kubectl get managedclusters -o yaml > inventory/clusters.yaml",
                ),
            );
        }
        inventory
    }

    fn read_inventory(&self, controls: &[Control]) -> (Arc<Inventory>, Vec<Diagnostic>) {
        let (inventory, diagnostics) = inventory::files::read(controls);
        (self.known_inventory(Arc::new(inventory)), diagnostics)
    }

    /// An equal inventory is the same one: what was rendered for it is found again by comparing pointers.
    fn known_inventory(&self, inventory: Arc<Inventory>) -> Arc<Inventory> {
        match self.transformer.inventory() {
            Some(last) if *last == inventory => Arc::clone(last),
            _ => inventory,
        }
    }

    fn place(
        &mut self,
        snapshot: &Snapshot,
        policies: &[Policy],
        inventory: &Inventory,
    ) -> (Plan, Vec<Diagnostic>) {
        let facts = snapshot.objects.iter().map(|object| {
            let reason = never_downsynced(&object.key.group, &object.resource)
                .or_else(|| made_by_the_server(&object.key));
            ObjectFacts::of(object).excluded_because(reason)
        });
        self.placer.set_inventory(inventory);
        self.placer.set_namespaces(&snapshot.namespaces);
        self.placer.set_objects(facts.collect());
        self.placer.set_policies(policies.to_vec());
        let (plan, mut diagnostics) = self.placer.plan();
        // Told already, with the field, where the policy was read.
        diagnostics.retain(|found| found.reason != "UnreadablePolicy");
        self.point_at_fields(&snapshot.controls, &mut diagnostics);
        (plan, diagnostics)
    }

    /// Placement knows the fields of its policies, and not their texts: here the two come together.
    fn point_at_fields(&self, controls: &[Control], diagnostics: &mut [Diagnostic]) {
        for (policy, problem) in self.placer.problems() {
            let control = controls.iter().find(|control| {
                *control.key.name == *policy.name.as_str()
                    && Some(&control.location) == policy.location.as_ref()
            });
            let found = diagnostics.iter_mut().find(|found| {
                found.field.is_none()
                    && found.reason == problem.reason
                    && found.policy.as_ref() == Some(&policy.name)
            });
            if let (Some(control), Some(found)) = (control, found) {
                found.object = Some(control.key.clone());
                found.field = Some((control.origin, problem.path.clone()));
            }
        }
    }

    /// Adds the bare Namespaces that namespaced objects need.
    fn add_namespaces(&mut self, rendered: &mut Rendered, plan: &Plan) {
        let mut known = HashMap::with_capacity(plan.implied_namespaces.len());
        for (name, clusters) in &plan.implied_namespaces {
            let last = self.namespaces.remove(name);
            let variants = last
                .filter(|last| last[0].clusters == *clusters)
                .unwrap_or_else(|| {
                    let value = serde_json::json!({
                        "apiVersion": "v1",
                        "kind": "Namespace",
                        "metadata": {"name": name, "annotations": never_pruned()},
                    });
                    let prepared = Prepared {
                        text: yaml::emit(&value).into(),
                        holes: [].into(),
                    };
                    [Variant {
                        clusters: Arc::clone(clusters),
                        content: Content::Shared(Arc::new(prepared)),
                    }]
                    .into()
                });
            known.insert(name.clone(), Arc::clone(&variants));
            rendered.objects.push(RenderedObject {
                key: ObjectKey::new("", "Namespace", "", name),
                variants,
                create_only: Arc::default(),
            });
        }
        self.namespaces = known;
        rendered
            .objects
            .sort_by(|left, right| left.key.cmp(&right.key));
        merge_namespaces(&mut rendered.objects);
    }

    /// Says why an object is, or is not, on a WEC; on any WEC when none is named. Concerns the last rendering.
    pub fn explain(&mut self, object: &ObjectKey, cluster: Option<&ClusterName>) -> Explanation {
        self.placer.explain(object, cluster)
    }

    /// Gives the compiled text of an object of the last rendering, with its holes.
    pub fn forms(&self, object: &ObjectKey) -> &[(FormKey, Arc<Form>)] {
        self.transformer.forms(object)
    }
}

/// What goes into a rendering, read already.
pub(super) struct Input {
    pub(super) source: SourceDescription,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) inventory: Arc<Inventory>,
    pub(super) inventory_complete: bool,
    pub(super) unknown_rules: Vec<String>,
    pub(super) found: Vec<Diagnostic>,
}

/// An error means that a WEC may be missing.
fn is_complete(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .all(|diagnostic| diagnostic.severity < Severity::Error)
}

fn empty_inventory(why: &str) -> Diagnostic {
    Diagnostic::error("EmptyInventory", format!("there is no WEC: {why}"))
}

/// Tells where the source is.
fn source_place(request: &Request) -> Place {
    let remote = request.location.starts_with("file://")
        || RemoteUrl::parse(&request.location).is_ok_and(|url| url.scheme() != Scheme::Local);
    if remote || request.committed || request.revision.is_some() {
        let location = request.location.clone();
        return Place::Git {
            location,
            revision: request.revision.clone(),
        };
    }
    Place::Folder(PathBuf::from(&request.location))
}

/// Translates the request for the source.
fn source_request(place: Place, request: &Request, cache: Option<PathBuf>) -> SourceRequest {
    let settings = &request.settings;
    let mut kinds = Kinds::builtin();
    for kind in &settings.kinds {
        // The configuration was checked; a kind that contradicts a built-in one is left out.
        drop(kinds.add(&kind.group, &kind.kind, &kind.plural, kind.scope.into()));
    }
    let mut hydrate = HydrateOptions::default();
    for item in &settings.hydrate {
        if let Hydrate::Helm(helm) = item {
            hydrate.charts.push(ChartRequest {
                path: helm.path.as_str().into(),
                release: helm.release.clone().unwrap_or_else(|| {
                    helm.path
                        .trim_end_matches('/')
                        .rsplit('/')
                        .next()
                        .unwrap_or_default()
                        .to_owned()
                }),
                namespace: helm.namespace.clone(),
                values: helm
                    .values_files
                    .iter()
                    .map(|path| path.as_str().into())
                    .collect(),
            });
        }
    }
    SourceRequest {
        paths: settings
            .paths
            .iter()
            .map(|path| path.as_str().into())
            .collect(),
        kinds,
        hydrate,
        cache,
        access: request.access.clone(),
        ..SourceRequest::new(place)
    }
}

/// Takes plain Secrets out of the plan. Where they were to go, what is there stays.
fn refuse_secrets<'a>(
    objects: &'a [Object],
    mut plan: Plan,
    settings: &Settings,
    found: &mut Vec<Diagnostic>,
) -> (&'a [Object], Plan, Vec<Quarantined>) {
    let mut refused = Vec::new();
    for (object, placement) in objects.iter().zip(&mut plan.placements) {
        if placement.clusters.is_empty() {
            continue;
        }
        if let Some(diagnostic) = secrets::refuse(object, &settings.guard) {
            found.push(diagnostic);
            let clusters = Arc::clone(&placement.clusters);
            refused.push(Quarantined {
                key: object.key.clone(),
                clusters,
            });
            let mut without = (**placement).clone();
            without.clusters = Arc::default();
            without.create_only = Arc::default();
            *placement = Arc::new(without);
        }
    }
    (objects, plan, refused)
}

/// What keeps Argo CD and Flux from pruning an implied Namespace: others may have objects in it.
fn never_pruned() -> serde_json::Value {
    serde_json::json!({
        "argocd.argoproj.io/sync-options": "Prune=false",
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
    })
}

/// An implied Namespace and a delivered one of the same name go to different WECs: they become variants of one object.
fn merge_namespaces(objects: &mut Vec<RenderedObject>) {
    objects.dedup_by(|later, earlier| {
        if later.key != earlier.key {
            return false;
        }
        earlier.variants = earlier
            .variants
            .iter()
            .chain(later.variants.iter())
            .cloned()
            .collect();
        if earlier.create_only.is_empty() {
            earlier.create_only = Arc::clone(&later.create_only);
        }
        true
    });
}

/// Tells whether both hold the same objects, whatever their texts.
fn same_keys(one: &Rendered, other: &Rendered) -> bool {
    let mut pairs = one.objects.iter().zip(&other.objects);
    one.objects.len() == other.objects.len() && pairs.all(|(one, other)| one.key == other.key)
}

/// Two objects with one path: both are held back, so that neither takes the file from the other, and said so.
fn drop_clashes(rendered: &mut Rendered, found: &mut Vec<Diagnostic>) {
    let place = |key: &ObjectKey| (path::folder(key).to_owned(), path::file_name(key));
    let mut owners: HashMap<(String, String), ObjectKey> =
        HashMap::with_capacity(rendered.objects.len());
    let mut clashing: BTreeMap<ObjectKey, ObjectKey> = BTreeMap::new();
    for object in &rendered.objects {
        if let Some(first) = owners.insert(place(&object.key), object.key.clone()) {
            clashing.insert(object.key.clone(), first.clone());
            clashing.insert(first, object.key.clone());
        }
    }
    if clashing.is_empty() {
        return;
    }
    rendered.objects.retain(|object| {
        let Some(other) = clashing.get(&object.key) else {
            return true;
        };
        let (folder, file) = place(&object.key);
        found.push(
            Diagnostic::error(
                "PathClash",
                format!("its file {folder}/{file} would be that of {other}, too"),
            )
            .object(object.key.clone())
            .help("rename one of the two objects; until then neither is delivered anew"),
        );
        let mut clusters = ClusterSet::default();
        for variant in object.variants.iter() {
            clusters.union_with(&variant.clusters);
        }
        rendered.quarantined.push(Quarantined {
            key: object.key.clone(),
            clusters: Arc::new(clusters),
        });
        false
    });
}
