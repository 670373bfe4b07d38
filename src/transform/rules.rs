//! The rules that change objects: CustomTransforms, Transforms and legacy Customizers, read from a source's control objects.
//!
//! In: control objects; out: [`Rules`] with diagnostics. A rule that cannot be read is left out as a whole or in part, as
//! KubeStellar does, and said so. Paths and selectors are parsed once, here.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::compile::{EXPAND_PARAMETERS, FormKey};
use super::jsonpath::RemovalPath;
use super::parameters::{self, ParameterError};
use super::template::Properties;
use crate::inventory::Inventory;
use crate::model::api::{self, ReadError};
use crate::model::selector::Selector;
use crate::model::{ClusterSet, Diagnostic, Object};
use crate::source::Control;

/// All rules of a source.
#[derive(Debug, Default)]
pub struct Rules {
    removals: Vec<Removal>,
    /// Transforms, sorted by name: the order in which they apply.
    pub transforms: Vec<TransformRule>,
    customizers: BTreeMap<(String, String), Customizer>,
    fingerprint: u64,
}

/// What a CustomTransform removes.
#[derive(Debug)]
pub struct Removal {
    /// The CustomTransform's name.
    pub name: String,
    group: String,
    resource: String,
    /// What is removed from each object.
    pub paths: Vec<RemovalPath>,
    fingerprint: u64,
}

/// A Transform: steps for some objects on some WECs.
#[derive(Debug)]
pub struct TransformRule {
    /// The Transform's name.
    pub name: String,
    group: String,
    resource: String,
    namespaces: Vec<String>,
    names: Vec<String>,
    object_selectors: Vec<Selector>,
    cluster_selectors: Vec<Selector>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    fingerprint: u64,
}

/// One step of a Transform.
#[derive(Debug)]
pub enum Step {
    /// Removes what a path finds.
    Remove(RemovalPath),
    /// Puts a value at a path, whose last member need not be there.
    Set(Vec<String>, Value),
    /// RFC 6902.
    JsonPatch(json_patch::Patch),
    /// RFC 7386.
    MergePatch(Value),
}

/// Why a step cannot be taken on an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A JSON Patch does not fit the object.
    #[error("JSON patch: {0}")]
    Patch(String),
    /// There is nothing that a value could be put into.
    #[error("set: there is no {0}")]
    NoParent(String),
    /// A Customizer's replacement fails.
    #[error(transparent)]
    Replacement(#[from] parameters::ReplacementError),
}

/// A legacy Customizer.
#[derive(Debug)]
pub struct Customizer {
    /// Its name.
    pub name: String,
    expand: bool,
    /// What it replaces, in order.
    pub replacements: Vec<Replacement>,
    fingerprint: u64,
}

/// A replacement as written.
#[derive(Debug)]
pub struct Replacement {
    path: String,
    value: String,
}

impl Rules {
    /// Reads the rules among control objects, in any order.
    pub fn read(controls: &[Control]) -> (Self, Vec<Diagnostic>) {
        let mut rules = Self::default();
        let mut diagnostics = Vec::new();
        for control in controls {
            let read = match (&*control.key.group, &*control.key.kind) {
                ("control.kubestellar.io", "CustomTransform") => {
                    rules.add_removal(control, &mut diagnostics)
                }
                ("gitops.kubestellar.io", "Transform") => {
                    rules.add_transform(control, &mut diagnostics)
                }
                ("edge.kubestellar.io", "Customizer") => rules.add_customizer(control),
                _ => Ok(()),
            };
            if let Err(error) = read {
                diagnostics.push(diagnostic(control, error));
            }
        }
        rules
            .removals
            .sort_by(|left, right| left.name.cmp(&right.name));
        rules
            .transforms
            .sort_by(|left, right| left.name.cmp(&right.name));
        let mut hasher = DefaultHasher::new();
        rules
            .removals
            .iter()
            .for_each(|rule| rule.fingerprint.hash(&mut hasher));
        rules
            .transforms
            .iter()
            .for_each(|rule| rule.fingerprint.hash(&mut hasher));
        for (key, rule) in &rules.customizers {
            (key, rule.fingerprint).hash(&mut hasher);
        }
        rules.fingerprint = hasher.finish();
        rules.warn_of_shared_resources(&mut diagnostics);
        (rules, diagnostics)
    }

    fn add_removal(
        &mut self,
        control: &Control,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<(), ReadError> {
        let read: api::CustomTransform = api::read(&control.value())?;
        let mut paths = Vec::new();
        for (index, text) in read.spec.remove.iter().enumerate() {
            match RemovalPath::parse(text) {
                Ok(path) => paths.push(path),
                Err(error) => {
                    let error = ReadError::new("InvalidJsonPath", format!("{text:?}: {error}"))
                        .help("correct it: until then nothing is delivered over what stands");
                    let error = error
                        .under_index(index)
                        .under_key("remove")
                        .under_key("spec");
                    diagnostics.push(diagnostic(control, error));
                }
            }
        }
        self.removals.push(Removal {
            name: read.metadata.name.clone(),
            group: read.spec.api_group,
            resource: read.spec.resource,
            paths,
            fingerprint: fingerprint(control),
        });
        Ok(())
    }

    fn add_transform(
        &mut self,
        control: &Control,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<(), ReadError> {
        let read: api::Transform = api::read(&control.value())?;
        let spec = read.spec;
        let mut steps = Vec::new();
        for (index, text) in spec.remove.iter().enumerate() {
            let path = RemovalPath::parse(text).map_err(|error| {
                ReadError::new("InvalidJsonPath", format!("{text:?}: {error}"))
                    .under_index(index)
                    .under_key("remove")
                    .under_key("spec")
            })?;
            steps.push(Step::Remove(path));
        }
        for (index, set) in spec.set.into_iter().enumerate() {
            let path = parameters::parts(&set.path).map_err(|offset| {
                let message = format!("{:?} is malformed at byte {offset}", set.path);
                ReadError::new("InvalidJsonPath", message)
                    .help("write $ followed by .name, [\"name\"] or [number]")
                    .under_key("path")
                    .under_index(index)
                    .under_key("set")
                    .under_key("spec")
            })?;
            steps.push(Step::Set(path, set.value));
        }
        if let Some(patch) = spec.patch {
            if !patch.json.is_empty() {
                let operations = serde_json::to_value(&patch.json).unwrap_or_default();
                let patch = serde_json::from_value(operations).map_err(|error| {
                    ReadError::new("InvalidPatch", error.to_string())
                        .under_key("json")
                        .under_key("patch")
                        .under_key("spec")
                })?;
                steps.push(Step::JsonPatch(patch));
            }
            steps.extend(
                patch
                    .merge
                    .map(|merge| Step::MergePatch(Value::Object(merge))),
            );
        }
        if steps.is_empty() {
            diagnostics.push(diagnostic(
                control,
                ReadError::new("EmptyTransform", "it has neither remove, set nor patch")
                    .under_key("spec"),
            ));
        }
        self.transforms.push(TransformRule {
            name: control.key.name.to_string(),
            group: spec.api_group,
            resource: spec.resource,
            namespaces: spec.namespaces,
            names: spec.object_names,
            object_selectors: compile(&spec.object_selectors, "objectSelectors")?,
            cluster_selectors: compile(&spec.cluster_selectors, "clusterSelectors")?,
            steps,
            fingerprint: fingerprint(control),
        });
        Ok(())
    }

    fn add_customizer(&mut self, control: &Control) -> Result<(), ReadError> {
        let read: api::edge::Customizer = api::read(&control.value())?;
        let expand = control
            .value()
            .pointer("/metadata/annotations")
            .and_then(|annotations| annotations.get(EXPAND_PARAMETERS)?.as_str())
            == Some("true");
        let key = (
            control.key.namespace.to_string(),
            read.metadata.name.clone(),
        );
        let replacements = read
            .replacements
            .into_iter()
            .map(|replacement| Replacement {
                path: replacement.path,
                value: replacement.value,
            })
            .collect();
        let fingerprint = fingerprint(control);
        let name = key.1.clone();
        self.customizers.insert(
            key,
            Customizer {
                name,
                expand,
                replacements,
                fingerprint,
            },
        );
        Ok(())
    }

    /// Says when several CustomTransforms concern one resource: all apply, as in KubeStellar.
    fn warn_of_shared_resources(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut by_resource: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for removal in &self.removals {
            let key = (removal.group.as_str(), removal.resource.as_str());
            by_resource.entry(key).or_default().push(&removal.name);
        }
        for ((group, resource), names) in by_resource {
            if names.len() > 1 {
                let group = if group.is_empty() {
                    "the core group"
                } else {
                    group
                };
                diagnostics.push(Diagnostic::note(
                    "SharedCustomTransform",
                    format!(
                        "{} CustomTransforms concern {resource} of {group}, and all apply: {}",
                        names.len(),
                        names.join(", ")
                    ),
                ));
            }
        }
    }

    /// Names all rules, each with its kind.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let removals = self.removals.iter();
        let transforms = self.transforms.iter();
        let customizers = self.customizers.keys();
        removals
            .map(|rule| format!("CustomTransform {}", rule.name))
            .chain(transforms.map(|rule| format!("Transform {}", rule.name)))
            .chain(customizers.map(|(namespace, name)| format!("Customizer {namespace}/{name}")))
    }

    /// Walks the CustomTransforms for a resource, by name.
    pub fn removals<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
    ) -> impl Iterator<Item = &'a Removal> {
        self.removals
            .iter()
            .filter(move |removal| removal.group == group && removal.resource == resource)
    }

    /// Walks the positions of the Transforms for an object, whatever the WEC.
    pub fn transforms_for<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = usize> + 'a {
        let concerned = move |rule: &TransformRule| rule.concerns(object);
        (0..self.transforms.len()).filter(move |&index| concerned(&self.transforms[index]))
    }

    /// For each Transform: the WECs that it selects; none when it concerns all.
    pub fn transform_clusters(&self, inventory: &Inventory) -> Vec<Option<ClusterSet>> {
        self.transforms
            .iter()
            .map(|rule| {
                (!rule.cluster_selectors.is_empty()).then(|| {
                    let clusters = inventory.clusters.iter().enumerate();
                    clusters
                        .filter(|(_, cluster)| {
                            rule.cluster_selectors
                                .iter()
                                .any(|selector| selector.matches(&cluster.labels))
                        })
                        .map(|(position, _)| position)
                        .collect()
                })
            })
            .collect()
    }

    /// Gives the keys of WEC labels that Transforms look at.
    pub fn cluster_label_keys(&self) -> impl Iterator<Item = &str> {
        self.transforms
            .iter()
            .flat_map(|rule| &rule.cluster_selectors)
            .flat_map(Selector::requirements)
            .map(crate::model::selector::Requirement::key)
    }

    /// Finds a Customizer.
    pub fn customizer(&self, namespace: &str, name: &str) -> Option<&Customizer> {
        self.customizers
            .get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Walks the names of the parameters that Customizers read.
    pub fn customizer_reads(&self) -> impl Iterator<Item = String> {
        self.customizers.values().flat_map(Customizer::reads)
    }

    /// Gives the form of an object for the WEC at this position.
    pub fn form_key(
        &self,
        object: &Object,
        labels: &crate::model::Labels,
        parameters: &Properties,
        create_only: bool,
    ) -> Result<FormKey, ParameterError> {
        let transforms = self.transforms_for(object).filter(|&index| {
            let selectors = &self.transforms[index].cluster_selectors;
            selectors.is_empty() || selectors.iter().any(|selector| selector.matches(labels))
        });
        let customizer = object
            .annotation(super::compile::CUSTOMIZER)
            .and_then(|name| self.customizer(&object.key.namespace, name));
        let replacements = customizer
            .map(|customizer| customizer.expand(parameters))
            .transpose()?;
        Ok(FormKey {
            transforms: transforms.collect(),
            replacements: replacements.unwrap_or_default(),
            create_only,
        })
    }

    /// A number that changes when any rule changes.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// A number that changes when a rule for this object changes.
    pub fn fingerprint_for(&self, object: &Object) -> u64 {
        let mut hasher = DefaultHasher::new();
        for removal in self.removals(&object.key.group, &object.resource) {
            removal.fingerprint.hash(&mut hasher);
        }
        for index in self.transforms_for(object) {
            (index, self.transforms[index].fingerprint).hash(&mut hasher);
        }
        if let Some(name) = object.annotation(super::compile::CUSTOMIZER) {
            let customizer = self.customizer(&object.key.namespace, name);
            customizer
                .map(|customizer| customizer.fingerprint)
                .hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl TransformRule {
    fn concerns(&self, object: &Object) -> bool {
        let among = |list: &[String], text: &str| {
            list.is_empty() || list.iter().any(|item| item == text || item == "*")
        };
        self.group == *object.key.group
            && self.resource == *object.resource
            && among(&self.namespaces, &object.key.namespace)
            && among(&self.names, &object.key.name)
            && (self.object_selectors.is_empty()
                || self
                    .object_selectors
                    .iter()
                    .any(|selector| selector.matches(&object.labels)))
    }
}

impl Step {
    /// Takes the step on an object.
    pub fn apply(&self, object: &mut Value) -> Result<(), StepError> {
        match self {
            Self::Remove(path) => {
                path.remove_from(object);
                Ok(())
            }
            Self::Set(path, value) => set(object, path, value),
            Self::JsonPatch(patch) => json_patch::patch(object, patch)
                .map_err(|error| StepError::Patch(error.to_string())),
            Self::MergePatch(patch) => {
                json_patch::merge(object, patch);
                Ok(())
            }
        }
    }
}

/// Puts a value at a path. Missing maps on the way are made; list items are not.
fn set(object: &mut Value, path: &[String], value: &Value) -> Result<(), StepError> {
    let mut place = object;
    for (depth, part) in path.iter().enumerate() {
        let missing = || StepError::NoParent(format!("$.{}", path[..=depth].join(".")));
        if place.is_null() {
            *place = Value::Object(serde_json::Map::new());
        }
        place = match place {
            Value::Object(map) => map.entry(part.as_str()).or_insert(Value::Null),
            Value::Array(list) => {
                let index = parameters::item_number(part).ok_or_else(missing)?;
                list.get_mut(index).ok_or_else(missing)?
            }
            _ => return Err(missing()),
        };
    }
    *place = value.clone();
    Ok(())
}

impl Customizer {
    /// Gives the replacement values for a WEC, parameters expanded when the Customizer asks for it.
    pub fn expand(&self, values: &Properties) -> Result<Vec<String>, ParameterError> {
        let expanded = self.replacements.iter().map(|replacement| {
            if self.expand {
                parameters::expand_parameters(&replacement.value, values)
            } else {
                Ok(replacement.value.clone())
            }
        });
        expanded.collect()
    }

    /// Walks the names of the parameters that the replacements read.
    pub fn reads(&self) -> impl Iterator<Item = String> {
        let read = self.replacements.iter().filter(|_| self.expand);
        read.flat_map(|replacement| parameters::parameters_read(&replacement.value))
    }
}

impl Replacement {
    /// Puts the expanded value in its place.
    pub fn apply(&self, expanded: &str, object: &mut Value) -> Result<(), StepError> {
        parameters::Replacement::parse(&self.path, expanded)?.apply_to(object)?;
        Ok(())
    }
}

fn compile(raw: &[api::LabelSelector], field: &str) -> Result<Vec<Selector>, ReadError> {
    let compiled = raw.iter().enumerate().map(|(index, raw)| {
        Selector::compile(raw).map_err(|error| {
            let mut read = ReadError::new("InvalidSelector", error.message);
            read.path = error.path;
            read.under_index(index).under_key(field).under_key("spec")
        })
    });
    compiled.collect()
}

fn diagnostic(control: &Control, error: ReadError) -> Diagnostic {
    let path = error.path.clone();
    error
        .diagnostic(control.location.clone())
        .object(control.key.clone())
        .in_field(control.origin, path)
}

fn fingerprint(control: &Control) -> u64 {
    let mut hasher = DefaultHasher::new();
    control.key.hash(&mut hasher);
    control.origin.hash(&mut hasher);
    hasher.finish()
}
