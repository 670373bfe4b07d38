//! Rendering: the plan's objects as texts for groups of WECs.
//!
//! WECs that agree on the properties an object reads share one filling; nothing is rendered to find out that it is
//! equal. What was compiled and filled last time is used again while its inputs are the same: the [`Transformer`] is that
//! memory, and may be thrown away at any time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::compile::{self, CompileError, FillError, Form, FormKey, TemplateCache};
use super::rules::Rules;
use super::template::{Properties, Reads};
use super::{Content, Fillings, Quarantined, Rendered, RenderedObject, Variant};
use crate::inventory::Inventory;
use crate::model::{ClusterName, ClusterSet, Diagnostic, Object, ObjectKey, Origin};
use crate::placement::{Placement, Plan};
use crate::yaml;

/// The most WECs that one diagnostic names.
const NAMED_CLUSTERS: usize = 5;

/// Renders, and remembers what it rendered.
#[derive(Debug, Default)]
pub struct Transformer {
    templates: TemplateCache,
    remembered: HashMap<ObjectKey, Remembered>,
    inventory: Option<Arc<Inventory>>,
    clusters: Arc<[ClusterName]>,
    parameters: Arc<Vec<Properties>>,
    rules: Option<Arc<Rules>>,
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
}

/// What all objects of one rendering share.
struct Scene<'a> {
    inventory: &'a Inventory,
    parameters: &'a [Properties],
    rules: &'a Rules,
    templates: &'a TemplateCache,
    /// For each Transform that selects WECs: which.
    transform_clusters: Vec<Option<ClusterSet>>,
    partitions: Mutex<HashMap<PartitionKey, Arc<Partition>>>,
}

type PartitionKey = (Option<Vec<String>>, Arc<ClusterSet>);

/// The WECs of a set, grouped by equal values.
struct Partition {
    /// For each WEC of the set, ascending: its group.
    choice: Arc<[u32]>,
    /// One WEC of each group.
    representatives: Vec<usize>,
}

/// The outcome for one object.
struct Outcome {
    remembered: Remembered,
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
        let same_scene = self.enter(inventory, rules);
        let scene = Scene {
            inventory,
            parameters: &self.parameters,
            rules,
            templates: &self.templates,
            transform_clusters: rules.transform_clusters(inventory),
            partitions: Mutex::default(),
        };
        let known = &self.remembered;
        let outcomes: Vec<Option<Outcome>> = objects
            .par_iter()
            .zip(&plan.placements)
            .map(|(object, placement)| {
                if placement.clusters.is_empty() {
                    return None;
                }
                let last = known
                    .get(&object.key)
                    .filter(|last| last.origin == object.origin);
                if let Some(last) = last.filter(|last| {
                    same_scene && last.whole && same_placement(&last.placement, placement)
                }) {
                    return Some(Outcome {
                        remembered: last.again(),
                        failed: ClusterSet::new(),
                        diagnostics: Vec::new(),
                    });
                }
                Some(scene.render_object(object, placement, last))
            })
            .collect();
        self.collect(objects, outcomes)
    }

    /// Gives the inventory of the last rendering.
    pub fn inventory(&self) -> Option<&Arc<Inventory>> {
        self.inventory.as_ref()
    }

    /// Gives the properties and parameters that the last rendering read.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::Named(std::collections::BTreeSet::new());
        for (_, form) in self
            .remembered
            .values()
            .flat_map(|remembered| &remembered.forms)
        {
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
        self.remembered
            .get(object)
            .map_or(&[], |remembered| &remembered.forms)
    }

    /// Takes note of the inventory and the rules; tells whether they are those of the last time.
    fn enter(&mut self, inventory: &Arc<Inventory>, rules: &Arc<Rules>) -> bool {
        let same_inventory = self
            .inventory
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, inventory) || **last == **inventory);
        if !same_inventory {
            let names = inventory
                .clusters
                .iter()
                .map(|cluster| cluster.name.clone());
            self.clusters = names.collect();
            self.parameters = Arc::new(
                inventory
                    .clusters
                    .iter()
                    .map(crate::inventory::Cluster::parameters)
                    .collect(),
            );
        }
        let same_rules = self.rules.as_ref().is_some_and(|last| {
            Arc::ptr_eq(last, rules) || last.fingerprint() == rules.fingerprint()
        });
        self.inventory = Some(Arc::clone(inventory));
        self.rules = Some(Arc::clone(rules));
        same_inventory && same_rules
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
        let mut remembered = HashMap::with_capacity(objects.len());
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
            remembered.insert(object.key.clone(), outcome.remembered);
        }
        self.remembered = remembered;
        self.templates.prune();
        diagnostics.sort();
        (rendered, diagnostics)
    }
}

impl Remembered {
    fn again(&self) -> Self {
        Self {
            origin: self.origin,
            fingerprint: self.fingerprint,
            forms: self.forms.clone(),
            placement: Arc::clone(&self.placement),
            variants: Arc::clone(&self.variants),
            whole: self.whole,
        }
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
                    let (variant, lost) = self.fill(&form, clusters, &mut problems);
                    failed.union_with(&lost);
                    variants.extend(variant);
                    forms.push((key, form));
                }
                Err(error) => {
                    problems.add(reason(&error), error.to_string(), clusters.iter());
                    failed.union_with(&clusters);
                }
            }
        }
        Outcome {
            remembered: Remembered {
                origin: object.origin,
                fingerprint,
                forms,
                placement: Arc::clone(placement),
                variants: variants.into(),
                whole: failed.is_empty(),
            },
            failed,
            diagnostics: problems.into_diagnostics(object, self.inventory),
        }
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
                key.create_only = true
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
                        match customizer.expand(&self.parameters[cluster]) {
                            Ok(replacements) => {
                                let key = FormKey {
                                    replacements,
                                    ..key.clone()
                                };
                                split.entry(key).or_default().insert(cluster);
                            }
                            Err(error) => {
                                let text = format!("Customizer {:?}: {error}", customizer.name);
                                problems.add("ParameterFailed", text, std::iter::once(cluster));
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
                problems.add(reason(&error), error.to_string(), placement.clusters.iter());
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
        problems: &mut Problems,
    ) -> (Option<Variant>, ClusterSet) {
        if form.holes.is_empty() {
            let content = Content::Shared(Arc::clone(&form.prepared));
            return (Some(Variant { clusters, content }), ClusterSet::new());
        }
        let partition = self.partition(&form.reads, &clusters);
        let mut fillings = Fillings::new(form.holes.len());
        let mut new_number: Vec<Option<u32>> = Vec::with_capacity(partition.representatives.len());
        let mut texts = Vec::with_capacity(form.holes.len());
        let mut good = 0;
        for (group, &cluster) in partition.representatives.iter().enumerate() {
            texts.clear();
            let properties = &self.inventory.clusters[cluster].properties;
            let parameters = &self.parameters[cluster];
            let filled = form.holes.iter().try_for_each(|hole| {
                texts.push(hole.fill(properties, parameters)?);
                Ok::<(), FillError>(())
            });
            match filled {
                Ok(()) => {
                    for (hole, text) in form.holes.iter().zip(&texts) {
                        fillings.push(|out| yaml::emit_string(text, hole.context, out));
                    }
                    new_number.push(Some(good));
                    good += 1;
                }
                Err(error) => {
                    let members = clusters.iter().zip(partition.choice.iter());
                    let members = members
                        .filter(|(_, choice)| **choice as usize == group)
                        .map(|(cluster, _)| cluster);
                    problems.add("TemplateFailed", error.to_string(), members);
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

    /// Groups the WECs of a set by the values of what is read; asked for the same again, gives the same.
    fn partition(&self, reads: &Reads, clusters: &Arc<ClusterSet>) -> Arc<Partition> {
        let names = match reads {
            Reads::Named(names) => Some(names.iter().cloned().collect::<Vec<_>>()),
            Reads::All => None,
        };
        let mut partitions = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = (names, Arc::clone(clusters));
        if let Some(partition) = partitions.get(&key) {
            return Arc::clone(partition);
        }
        let partition = Arc::new(self.group(key.0.as_deref(), clusters));
        partitions.insert(key, Arc::clone(&partition));
        partition
    }

    fn group(&self, names: Option<&[String]>, clusters: &ClusterSet) -> Partition {
        let mut groups: HashMap<Vec<(&str, &str)>, u32> = HashMap::new();
        let mut representatives = Vec::new();
        let choice = clusters.iter().map(|cluster| {
            let parameters = &self.parameters[cluster];
            let values: Vec<(&str, &str)> = match names {
                Some(names) => names
                    .iter()
                    .filter_map(|name| Some((name.as_str(), parameters.get(name)?.as_str())))
                    .collect(),
                None => parameters
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect(),
            };
            *groups.entry(values).or_insert_with(|| {
                representatives.push(cluster);
                u32::try_from(representatives.len() - 1).unwrap_or(u32::MAX)
            })
        });
        Partition {
            choice: choice.collect(),
            representatives,
        }
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

fn reason(error: &CompileError) -> &'static str {
    match error {
        CompileError::Template { .. } => "TemplateInvalid",
        CompileError::Step { .. } | CompileError::Identity(_) => "TransformFailed",
        CompileError::NoCustomizer(_) => "CustomizerMissing",
        CompileError::TooLarge => "ObjectTooLarge",
    }
}

/// Equal problems of an object on several WECs, told once.
#[derive(Default)]
struct Problems {
    found: BTreeMap<(&'static str, String), ClusterSet>,
}

impl Problems {
    fn add(
        &mut self,
        reason: &'static str,
        message: String,
        clusters: impl Iterator<Item = usize>,
    ) {
        let set = self.found.entry((reason, message)).or_default();
        clusters.for_each(|cluster| {
            set.insert(cluster);
        });
    }

    fn into_diagnostics(self, object: &Object, inventory: &Inventory) -> Vec<Diagnostic> {
        let name = |cluster: usize| &inventory.clusters[cluster].name;
        self.found
            .into_iter()
            .map(|((reason, message), clusters)| {
                let first = clusters.iter().next().map(name);
                let text = if clusters.len() > 1 {
                    let named: Vec<&str> = clusters
                        .iter()
                        .take(NAMED_CLUSTERS)
                        .map(|cluster| name(cluster).as_str())
                        .collect();
                    let more = clusters.len() - named.len();
                    let more = if more > 0 {
                        format!(" and {more} more")
                    } else {
                        String::new()
                    };
                    format!(
                        "{message} (on {} WECs: {}{more})",
                        clusters.len(),
                        named.join(", ")
                    )
                } else {
                    message
                };
                let help = help(reason, first);
                let diagnostic = Diagnostic::error(reason, text)
                    .at(object.location.clone())
                    .object(object.key.clone())
                    .help(help);
                match first.filter(|_| clusters.len() == 1) {
                    Some(cluster) => diagnostic.cluster(cluster.clone()),
                    None => diagnostic,
                }
            })
            .collect()
    }
}

fn help(reason: &str, cluster: Option<&ClusterName>) -> String {
    let cluster = cluster.map_or("<wec>", |cluster| cluster.as_str());
    let what = match reason {
        "TemplateFailed" | "ParameterFailed" => format!(
            "give the WEC the property, as a label, an annotation or a key of ConfigMap customization-properties/{cluster}; \
             its last good output stays until then"
        ),
        "TemplateInvalid" => "correct the Go template".to_owned(),
        "CustomizerMissing" => "add the Customizer, or remove the annotation".to_owned(),
        _ => "correct the rule or the object".to_owned(),
    };
    what
}
