//! Rendering: the plan's objects as texts for groups of WECs.
//!
//! WECs that agree on the properties an object reads share one filling; nothing is rendered to find out that it is
//! equal. What was compiled and filled last time is used again while its inputs are the same: the [`Transformer`] is that
//! memory, and may be thrown away at any time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use super::compile::{self, FillError, Form, FormKey, HoleSource, TemplateCache};
use super::partition::{self, Known, Match, Partition, Partitions};
use super::problems::{Place, Problem, Problems};
use super::rules::Rules;
use super::template::{Properties, Reads, TemplateError};
use super::{Content, Fillings, Quarantined, Rendered, RenderedObject, Variant};
use crate::inventory::{Cluster, Inventory};
use crate::model::{ClusterName, ClusterSet, Diagnostic, Object, ObjectKey, Origin};
use crate::placement::{Placement, Plan};
use crate::yaml::{self, Context};

/// Renders, and remembers what it rendered.
#[derive(Debug, Default)]
pub struct Transformer {
    templates: TemplateCache,
    /// Sorted by key.
    remembered: Vec<(ObjectKey, Arc<Remembered>)>,
    inventory: Option<Arc<Inventory>>,
    clusters: Arc<[ClusterName]>,
    /// What legacy parameters see of each WEC; made when one is used.
    parameters: OnceLock<Vec<Properties>>,
    rules: Option<Arc<Rules>>,
    /// How the WECs were grouped in the last rendering.
    partitions: Known,
}

/// What is known of an object from the last time.
#[derive(Debug)]
struct Remembered {
    origin: Origin,
    fingerprint: u64,
    forms: Vec<(FormKey, Arc<Form>)>,
    placement: Arc<Placement>,
    variants: Arc<[Variant]>,
    /// Whether every WEC got its text; only then is the result used again.
    whole: bool,
    /// Whether nothing but its placement tells its WECs apart: no label, no property.
    uniform: bool,
}

/// What the last rendering had, too.
#[derive(Clone, Copy, Debug)]
struct Same {
    /// The rules.
    rules: bool,
    /// The WECs, by name; the same positions mean the same ones.
    clusters: bool,
    /// Everything that is known of them.
    inventory: bool,
}

/// What all objects of one rendering share.
struct Scene<'a> {
    inventory: &'a Inventory,
    parameters: &'a OnceLock<Vec<Properties>>,
    rules: &'a Rules,
    templates: &'a TemplateCache,
    /// For each Transform that selects WECs: which.
    transform_clusters: Vec<Option<ClusterSet>>,
    partitions: Partitions,
    /// What a template in a place gives for each group, if it gives something for all of them.
    scalars: Mutex<HashMap<ScalarsKey, Option<Arc<Fillings>>>>,
}

/// A template and a partition, by address, and the place.
type ScalarsKey = (usize, usize, Context);

/// The outcome for one object.
struct Outcome {
    remembered: Arc<Remembered>,
    failed: ClusterSet,
    diagnostics: Vec<Diagnostic>,
}

impl Transformer {
    /// Renders every placed object.
    ///
    /// `plan` and `inventory` belong together: positions of one are meant in the other. Diagnostics are sorted.
    pub fn render(
        &mut self,
        objects: &[Object],
        plan: &Plan,
        inventory: &Arc<Inventory>,
        rules: &Arc<Rules>,
    ) -> (Rendered, Vec<Diagnostic>) {
        let former = (
            self.inventory.clone().unwrap_or_default(),
            std::mem::take(&mut self.partitions),
        );
        let same = self.enter(inventory, rules);
        let inventory = self.inventory.as_ref().unwrap_or(inventory);
        let scene = Scene {
            inventory,
            parameters: &self.parameters,
            rules,
            templates: &self.templates,
            transform_clusters: rules.transform_clusters(inventory),
            partitions: Partitions::new(Arc::clone(inventory), former),
            scalars: Mutex::default(),
        };
        let outcomes: Vec<Option<Outcome>> = objects
            .par_iter()
            .zip(&plan.placements)
            .zip(self.recall(objects))
            .map(|((object, placement), last)| {
                if placement.clusters.is_empty() {
                    return None;
                }
                let last = last.filter(|last| last.origin == object.origin);
                if let Some(last) = last.filter(|last| {
                    let same_facts = same.inventory || same.clusters && last.uniform;
                    same.rules
                        && same_facts
                        && last.whole
                        && same_placement(&last.placement, placement)
                }) {
                    return Some(Outcome {
                        remembered: Arc::clone(last),
                        failed: ClusterSet::new(),
                        diagnostics: Vec::new(),
                    });
                }
                let last = last.map(AsRef::as_ref);
                Some(scene.render_object(object, placement, last))
            })
            .collect();
        self.partitions = scene.partitions.into_known();
        self.collect(objects, outcomes)
    }

    /// Finds what is known of each object.
    fn recall(&self, objects: &[Object]) -> Vec<Option<&Arc<Remembered>>> {
        // Both are sorted by key, and most often nearly the same.
        let mut next = 0;
        let found = objects.iter().map(|object| {
            let is_next = self
                .remembered
                .get(next)
                .is_some_and(|(key, _)| *key == object.key);
            if !is_next {
                next = self.position(&object.key).ok()?;
            }
            next += 1;
            Some(&self.remembered[next - 1].1)
        });
        found.collect()
    }

    fn position(&self, object: &ObjectKey) -> Result<usize, usize> {
        self.remembered.binary_search_by(|(key, _)| key.cmp(object))
    }

    /// Gives the inventory of the last rendering.
    pub fn inventory(&self) -> Option<&Arc<Inventory>> {
        self.inventory.as_ref()
    }

    /// Gives the properties and parameters that the last rendering read.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::Named(std::collections::BTreeSet::new());
        let forms = self.remembered.iter().flat_map(|(_, known)| &known.forms);
        for (_, form) in forms.filter(|(_, form)| !form.holes.is_empty()) {
            compile::extend(&mut reads, form.reads.clone());
        }
        if let Some(rules) = &self.rules {
            let names = rules.customizer_reads().collect();
            compile::extend(&mut reads, Reads::Named(names));
        }
        reads
    }

    /// Gives the compiled texts of an object of the last rendering.
    pub fn forms(&self, object: &ObjectKey) -> &[(FormKey, Arc<Form>)] {
        self.position(object)
            .map_or(&[], |position| &self.remembered[position].1.forms)
    }

    /// Takes note of the inventory and the rules; tells what of them is as it was the last time.
    fn enter(&mut self, inventory: &Arc<Inventory>, rules: &Arc<Rules>) -> Same {
        let same_inventory = self
            .inventory
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, inventory) || **last == **inventory);
        let names = || inventory.clusters.iter().map(|cluster| &cluster.name);
        let same_clusters = same_inventory || self.clusters.iter().eq(names());
        if !same_clusters {
            self.clusters = names().cloned().collect();
        }
        if !same_inventory {
            self.parameters = OnceLock::new();
            self.inventory = Some(Arc::clone(inventory));
        }
        let same_rules = self.rules.as_ref().is_some_and(|last| {
            Arc::ptr_eq(last, rules) || last.fingerprint() == rules.fingerprint()
        });
        self.rules = Some(Arc::clone(rules));
        Same {
            rules: same_rules,
            clusters: same_clusters,
            inventory: same_inventory,
        }
    }

    fn collect(
        &mut self,
        objects: &[Object],
        outcomes: Vec<Option<Outcome>>,
    ) -> (Rendered, Vec<Diagnostic>) {
        let mut rendered = Rendered {
            clusters: Arc::clone(&self.clusters),
            ..Rendered::default()
        };
        let mut diagnostics = Vec::new();
        let mut remembered = Vec::with_capacity(objects.len());
        for (object, outcome) in objects.iter().zip(outcomes) {
            let Some(outcome) = outcome else { continue };
            diagnostics.extend(outcome.diagnostics);
            if !outcome.failed.is_empty() {
                let clusters = Arc::new(outcome.failed);
                rendered.quarantined.push(Quarantined {
                    key: object.key.clone(),
                    clusters,
                });
            }
            if !outcome.remembered.variants.is_empty() {
                rendered.objects.push(RenderedObject {
                    key: object.key.clone(),
                    variants: Arc::clone(&outcome.remembered.variants),
                    create_only: Arc::clone(&outcome.remembered.placement.create_only),
                });
            }
            remembered.push((object.key.clone(), outcome.remembered));
        }
        // Sorted already, as the objects of a snapshot are.
        remembered.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.remembered = remembered;
        self.templates.prune();
        diagnostics.sort();
        (rendered, diagnostics)
    }
}

fn same_placement(left: &Arc<Placement>, right: &Arc<Placement>) -> bool {
    if Arc::ptr_eq(left, right) {
        return true;
    }
    let same = |a: &Arc<ClusterSet>, b: &Arc<ClusterSet>| Arc::ptr_eq(a, b) || a == b;
    same(&left.clusters, &right.clusters) && same(&left.create_only, &right.create_only)
}

impl Scene<'_> {
    fn render_object(
        &self,
        object: &Object,
        placement: &Arc<Placement>,
        last: Option<&Remembered>,
    ) -> Outcome {
        let fingerprint = self.rules.fingerprint_for(object);
        let known = last.filter(|last| last.fingerprint == fingerprint);
        let mut forms = Vec::new();
        let mut variants = Vec::new();
        let mut failed = ClusterSet::new();
        let mut problems = Problems::default();
        for (clusters, key) in self.split(object, placement, &mut problems, &mut failed) {
            let before = known.and_then(|last| last.forms.iter().find(|form| form.0 == key));
            let form = match before {
                Some((_, form)) => Ok(Arc::clone(form)),
                None => compile::compile(object, &key, self.rules, self.templates).map(Arc::new),
            };
            match form {
                Ok(form) => {
                    let (variant, lost) = self.fill(&form, clusters, known, &mut problems);
                    failed.union_with(&lost);
                    variants.extend(variant);
                    forms.push((key, form));
                }
                Err(error) => {
                    problems.add(Problem::of(&error), clusters.iter());
                    failed.union_with(&clusters);
                }
            }
        }
        let filled = forms.iter().any(|(_, form)| !form.holes.is_empty());
        Outcome {
            remembered: Arc::new(Remembered {
                origin: object.origin,
                fingerprint,
                uniform: !filled && !self.tells_apart(object),
                forms,
                placement: Arc::clone(placement),
                variants: variants.into(),
                whole: failed.is_empty(),
            }),
            failed,
            diagnostics: problems.into_diagnostics(object, self.inventory),
        }
    }

    fn parameters(&self, cluster: usize) -> &Properties {
        let all = || self.inventory.clusters.iter().map(Cluster::parameters);
        &self.parameters.get_or_init(|| all().collect())[cluster]
    }

    /// Tells whether a rule looks at labels or parameters of WECs to decide what happens to the object.
    fn tells_apart(&self, object: &Object) -> bool {
        let selected = |index: usize| self.transform_clusters[index].is_some();
        self.rules.transforms_for(object).any(selected)
            || !matches!(compile::customizer(object, self.rules), Ok(None))
    }

    /// Splits the object's WECs by what makes its texts differ beyond property values. Mostly all stay together.
    fn split(
        &self,
        object: &Object,
        placement: &Placement,
        problems: &mut Problems,
        failed: &mut ClusterSet,
    ) -> Vec<(Arc<ClusterSet>, FormKey)> {
        let mut parts = vec![(Arc::clone(&placement.clusters), FormKey::default())];
        if !placement.create_only.is_empty() {
            divide(&mut parts, &placement.create_only, |key| {
                key.create_only = true;
            });
        }
        for index in self.rules.transforms_for(object) {
            match &self.transform_clusters[index] {
                None => parts
                    .iter_mut()
                    .for_each(|(_, key)| key.transforms.push(index)),
                Some(clusters) => divide(&mut parts, clusters, |key| key.transforms.push(index)),
            }
        }
        match compile::customizer(object, self.rules) {
            Ok(None) => parts,
            Ok(Some(customizer)) => {
                let mut split: BTreeMap<FormKey, ClusterSet> = BTreeMap::new();
                for (clusters, key) in parts {
                    for cluster in clusters.iter() {
                        match customizer.expand(self.parameters(cluster)) {
                            Ok(replacements) => {
                                let key = FormKey {
                                    replacements,
                                    ..key.clone()
                                };
                                split.entry(key).or_default().insert(cluster);
                            }
                            Err(error) => {
                                let text = format!("Customizer {:?}: {error}", customizer.name);
                                let problem = Problem::new("ParameterFailed", text, Place::Whole);
                                problems.add(problem, std::iter::once(cluster));
                                failed.insert(cluster);
                            }
                        }
                    }
                }
                split
                    .into_iter()
                    .map(|(key, clusters)| (Arc::new(clusters), key))
                    .collect()
            }
            Err(error) => {
                problems.add(Problem::of(&error), placement.clusters.iter());
                failed.union_with(&placement.clusters);
                Vec::new()
            }
        }
    }

    /// Fills the holes of a text for each group of WECs. Gives the WECs for which that fails.
    fn fill(
        &self,
        form: &Arc<Form>,
        clusters: Arc<ClusterSet>,
        last: Option<&Remembered>,
        problems: &mut Problems,
    ) -> (Option<Variant>, ClusterSet) {
        if form.holes.is_empty() {
            let content = Content::Shared(Arc::clone(&form.prepared));
            return (Some(Variant { clusters, content }), ClusterSet::new());
        }
        let partition = self.partitions.of(&form.reads, &clusters);
        if let Some(content) = last.and_then(|last| again(form, &partition, last)) {
            return (Some(Variant { clusters, content }), ClusterSet::new());
        }
        let former = last.and_then(|last| self.former(form, &partition, last));
        let shared = former
            .is_none()
            .then(|| self.filled_alike(form, &partition));
        if let Some(fillings) = shared.flatten() {
            let content = Content::Filled {
                prepared: Arc::clone(&form.prepared),
                choice: Arc::clone(&partition.choice),
                fillings: Arc::new(fillings),
            };
            return (Some(Variant { clusters, content }), ClusterSet::new());
        }
        let mut fillings = Fillings::new(form.holes.len());
        let mut new_number: Vec<Option<u32>> = Vec::with_capacity(partition.representatives.len());
        let mut texts = Vec::with_capacity(form.holes.len());
        let mut good = 0;
        let mut groups = partition.representatives.iter().enumerate();
        while let Some((group, &cluster)) = groups.next() {
            if let Some((former, matched)) = &former
                && let Some(first) = matched[group]
            {
                let run = partition::run(&matched[group..]);
                let first = first as usize;
                fillings.extend_from(former, first..first + run);
                new_number.extend((good..).map(Some).take(run));
                good += u32::try_from(run).unwrap_or(u32::MAX);
                groups.by_ref().take(run - 1).for_each(drop);
                continue;
            }
            texts.clear();
            let properties = &self.inventory.clusters[cluster].properties;
            let filled = form.holes.iter().try_for_each(|hole| {
                let text = hole.fill(properties, || self.parameters(cluster));
                texts.push(text.map_err(|error| (error, hole.source()))?);
                Ok::<(), (FillError, &str)>(())
            });
            match filled {
                Ok(()) => {
                    for (hole, text) in form.holes.iter().zip(&texts) {
                        fillings.push(|out| yaml::emit_string(text, hole.context, out));
                    }
                    new_number.push(Some(good));
                    good += 1;
                }
                Err((error, source)) => {
                    let members = clusters.iter().zip(partition.choice.iter());
                    let members = members
                        .filter(|(_, choice)| **choice as usize == group)
                        .map(|(cluster, _)| cluster);
                    let place = Place::Text(source.to_owned());
                    let problem = Problem::new("TemplateFailed", error.to_string(), place);
                    problems.add(problem, members);
                    new_number.push(None);
                }
            }
        }
        let prepared = Arc::clone(&form.prepared);
        let fillings = Arc::new(fillings);
        if new_number.iter().all(Option::is_some) {
            let choice = Arc::clone(&partition.choice);
            let content = Content::Filled {
                prepared,
                choice,
                fillings,
            };
            return (Some(Variant { clusters, content }), ClusterSet::new());
        }
        let (mut kept, mut lost, mut choice) = (ClusterSet::new(), ClusterSet::new(), Vec::new());
        for (cluster, group) in clusters.iter().zip(partition.choice.iter()) {
            match new_number[*group as usize] {
                Some(number) => {
                    kept.insert(cluster);
                    choice.push(number);
                }
                None => {
                    lost.insert(cluster);
                }
            }
        }
        let variant = (!kept.is_empty()).then(|| Variant {
            clusters: Arc::new(kept),
            content: Content::Filled {
                prepared,
                choice: choice.into(),
                fillings,
            },
        });
        (variant, lost)
    }

    /// Fills the holes of a text whose templates other texts have, too: each is expanded once for them all.
    fn filled_alike(&self, form: &Form, partition: &Arc<Partition>) -> Option<Fillings> {
        let columns = form.holes.iter().map(|hole| self.scalars(hole, partition));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let mut fillings = Fillings::new(columns.len());
        for group in 0..partition.representatives.len() {
            for column in &columns {
                fillings.push(|out| out.extend_from_slice(column.get(group, 0)));
            }
        }
        Some(fillings)
    }

    /// Expands a template for each group of WECs; none when that fails for any.
    fn scalars(&self, hole: &HoleSource, partition: &Arc<Partition>) -> Option<Arc<Fillings>> {
        let template = hole.shared_template()?;
        let address = Arc::as_ptr(template).addr();
        let key = (address, Arc::as_ptr(partition).addr(), hole.context);
        let known = || self.scalars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scalars) = known().get(&key) {
            return scalars.clone();
        }
        let mut scalars = Fillings::new(1);
        let expanded = partition.representatives.iter().try_for_each(|&cluster| {
            let text = template.render(&self.inventory.clusters[cluster].properties)?;
            scalars.push(|out| yaml::emit_string(&text, hole.context, out));
            Ok::<(), TemplateError>(())
        });
        let scalars = expanded.is_ok().then(|| Arc::new(scalars));
        known().insert(key, scalars.clone());
        scalars
    }

    /// Finds what the holes were filled with last time, and which filling is right for which group of now.
    fn former(
        &self,
        form: &Arc<Form>,
        now: &Arc<Partition>,
        last: &Remembered,
    ) -> Option<(Arc<Fillings>, Arc<Match>)> {
        // Where some WECs got no text, fillings are not numbered like groups.
        let variants = last.variants.iter().filter(|_| last.whole);
        for variant in variants {
            let Content::Filled {
                prepared,
                choice,
                fillings,
            } = &variant.content
            else {
                continue;
            };
            let then = self.partitions.former(choice);
            if let Some(then) = then.filter(|_| Arc::ptr_eq(prepared, &form.prepared)) {
                return Some((Arc::clone(fillings), self.partitions.matched(then, now)));
            }
        }
        None
    }
}

/// Divides each part into the WECs outside `clusters` and those inside, whose key is changed.
fn divide(
    parts: &mut Vec<(Arc<ClusterSet>, FormKey)>,
    clusters: &ClusterSet,
    mut change: impl FnMut(&mut FormKey),
) {
    let mut divided = Vec::with_capacity(parts.len());
    for (set, mut key) in parts.drain(..) {
        let inside = set.intersection(clusters);
        if inside.is_empty() {
            divided.push((set, key));
        } else if inside == *set {
            change(&mut key);
            divided.push((set, key));
        } else {
            divided.push((Arc::new(set.difference(clusters)), key.clone()));
            change(&mut key);
            divided.push((Arc::new(inside), key));
        }
    }
    *parts = divided;
}

/// Gives the text of last time when neither it nor the values that go into it have changed: only some rule has.
fn again(form: &Arc<Form>, partition: &Partition, last: &Remembered) -> Option<Content> {
    let contents = last
        .variants
        .iter()
        .filter(|_| last.whole)
        .map(|variant| &variant.content);
    // Groups are kept as long as the values are the same.
    let mut same = contents.filter(|content| {
        matches!(content, Content::Filled { prepared, choice, .. }
            if Arc::ptr_eq(prepared, &form.prepared) && Arc::ptr_eq(choice, &partition.choice))
    });
    same.next().cloned()
}
