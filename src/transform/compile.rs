//! Compiling: one object under the rules that apply to it → a text with holes, made once for all WECs.
//!
//! Order: clean, CustomTransforms, Transforms, customizer replacements, marks; then templates and legacy parameters become
//! holes. Never looks at a WEC's values: which rules apply and what a customizer's replacements expand to is the
//! [`FormKey`], decided by the caller.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::parameters;
use super::prepared::Prepared;
use super::rules::{Customizer, Rules, StepError};
use super::template::{Properties, Reads, Template, TemplateError};
use super::{clean, parameters::ParameterError};
use crate::model::Object;
use crate::yaml::{self, Context};

/// An object with this annotation, set to `true`, has its strings expanded as Go templates.
pub const EXPAND_TEMPLATES: &str = "control.kubestellar.io/expand-templates";
/// The legacy annotation for `%(name)` parameters.
pub const EXPAND_PARAMETERS: &str = "edge.kubestellar.io/expand-parameters";
/// The legacy annotation that names an object's Customizer.
pub const CUSTOMIZER: &str = "edge.kubestellar.io/customizer";
/// By this annotation Flux creates an object and then leaves it alone.
const FLUX_CREATE_ONLY: (&str, &str) = ("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent");

/// What makes the texts of one object differ beyond property values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormKey {
    /// The Transforms that apply, by position in [`Rules`].
    pub transforms: Vec<usize>,
    /// The customizer's replacement values, expanded.
    pub replacements: Vec<String>,
    /// Whether the object is created once and then left alone.
    pub create_only: bool,
}

/// One text of an object, with what its holes need.
#[derive(Debug)]
pub struct Form {
    /// The literal text.
    pub prepared: Arc<Prepared>,
    /// How each hole is filled.
    pub holes: Vec<HoleSource>,
    /// The properties that the holes read.
    pub reads: Reads,
}

/// How a hole is filled.
#[derive(Debug)]
pub struct HoleSource {
    /// Where the scalar stands.
    pub context: Context,
    template: Option<Arc<Template>>,
    /// The text that parameters are expanded in, when there is no template before.
    text: String,
    parameters: bool,
}

/// Why an object has no text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// A template does not parse.
    #[error("{error}")]
    Template {
        /// What the parser says.
        error: TemplateError,
        /// The string that holds it.
        text: String,
    },
    /// A step of a rule cannot be taken.
    #[error("{kind} {name:?}: {error}")]
    Step {
        /// `CustomTransform`, `Transform` or `Customizer`.
        kind: &'static str,
        /// The rule's name.
        name: String,
        /// What is wrong.
        error: StepError,
    },
    /// The annotation names a Customizer that is not there.
    #[error("there is no Customizer {0:?} in the object's namespace")]
    NoCustomizer(String),
    /// Rules have turned the object into another.
    #[error("after the rules that apply to it, its {0} is another")]
    Identity(&'static str),
    /// The object is larger than any output takes.
    #[error("the object takes more than 4 GiB")]
    TooLarge,
}

/// Why a hole could not be filled for a WEC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// A template failed.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A legacy parameter failed.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// Templates by their text: each distinct one is parsed once.
#[derive(Debug, Default)]
pub struct TemplateCache {
    parsed: Mutex<HashMap<Box<str>, Arc<Template>>>,
}

impl TemplateCache {
    fn parse(&self, text: &str) -> Result<Arc<Template>, TemplateError> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(template) = parsed.get(text) {
            return Ok(Arc::clone(template));
        }
        let template = Arc::new(Template::parse(text)?);
        parsed.insert(text.into(), Arc::clone(&template));
        Ok(template)
    }

    /// Forgets templates that no text uses any more.
    pub fn prune(&self) {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        parsed.retain(|_, template| Arc::strong_count(template) > 1);
    }
}

/// Finds the Customizer that an object's annotation names.
pub fn customizer<'a>(
    object: &Object,
    rules: &'a Rules,
) -> Result<Option<&'a Customizer>, CompileError> {
    let Some(name) = object.annotation(CUSTOMIZER) else {
        return Ok(None);
    };
    rules
        .customizer(&object.key.namespace, name)
        .map(Some)
        .ok_or_else(|| CompileError::NoCustomizer(name.to_owned()))
}

/// Makes the text of an object under the rules that `key` names.
pub fn compile(
    object: &Object,
    key: &FormKey,
    rules: &Rules,
    templates: &TemplateCache,
) -> Result<Form, CompileError> {
    let value = transformed(object, key, rules)?;
    let wants = |name| object.annotation(name) == Some("true");
    let (expand, parameters) = (wants(EXPAND_TEMPLATES), wants(EXPAND_PARAMETERS));
    let mut text = Vec::with_capacity(1024);
    let holes = yaml::emit_with_holes(
        &value,
        &mut |leaf| (expand && leaf.contains("{{")) || (parameters && leaf.contains("%(")),
        &mut text,
    );
    let mut sources = Vec::with_capacity(holes.len());
    let mut offsets = Vec::with_capacity(holes.len());
    let mut reads = Reads::Named(BTreeSet::new());
    for hole in holes {
        let template = if expand && hole.text.contains("{{") {
            let parsed = templates.parse(&hole.text);
            let parsed = parsed.map_err(|error| CompileError::Template {
                error,
                text: hole.text.clone(),
            })?;
            extend(&mut reads, parsed.properties().clone());
            Some(parsed)
        } else {
            None
        };
        if parameters {
            let named = match template {
                // What a template gives is not known before it is filled.
                Some(_) => Reads::All,
                None => Reads::Named(parameters::parameters_read(&hole.text)),
            };
            extend(&mut reads, named);
        }
        offsets.push(u32::try_from(hole.offset).map_err(|_| CompileError::TooLarge)?);
        sources.push(HoleSource {
            context: hole.context,
            template,
            text: hole.text,
            parameters,
        });
    }
    Ok(Form {
        prepared: Arc::new(Prepared {
            text: text.into(),
            holes: offsets.into(),
        }),
        holes: sources,
        reads,
    })
}

/// Gives the object as it is before templates, for people to look at.
pub fn transformed(object: &Object, key: &FormKey, rules: &Rules) -> Result<Value, CompileError> {
    let mut value = object.value();
    steps(object, key, rules, &mut value, &mut |_, _| {})?;
    Ok(value)
}

/// Takes each step on `value`; `seen` is told the name of each and what the value is then. `stellate explain` listens.
pub fn steps(
    object: &Object,
    key: &FormKey,
    rules: &Rules,
    value: &mut Value,
    seen: &mut dyn FnMut(&str, &Value),
) -> Result<(), CompileError> {
    let names_namespace = value.pointer("/metadata/namespace").is_some();
    clean::clean(value, &object.key.group, &object.key.kind);
    seen("clean", value);
    for removal in rules.removals(&object.key.group, &object.resource) {
        for path in &removal.paths {
            path.remove_from(value);
        }
        seen(&format!("CustomTransform {}", removal.name), value);
    }
    for &index in &key.transforms {
        let Some(rule) = rules.transforms.get(index) else {
            continue;
        };
        for step in &rule.steps {
            step.apply(value).map_err(|error| CompileError::Step {
                kind: "Transform",
                name: rule.name.clone(),
                error,
            })?;
        }
        seen(&format!("Transform {}", rule.name), value);
    }
    if let Some(customizer) = customizer(object, rules)? {
        for (replacement, text) in customizer.replacements.iter().zip(&key.replacements) {
            replacement
                .apply(text, value)
                .map_err(|error| CompileError::Step {
                    kind: "Customizer",
                    name: customizer.name.clone(),
                    error,
                })?;
        }
        seen(&format!("Customizer {}", customizer.name), value);
    }
    if key.create_only {
        annotate(value, FLUX_CREATE_ONLY);
        seen("createOnly", value);
    }
    if !names_namespace {
        name_namespace(object, value);
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        clean::drop_emptied(metadata);
    }
    check_identity(object, value)
}

/// Writes down the namespace that the object lives in by default.
fn name_namespace(object: &Object, value: &mut Value) {
    if !object.key.namespace.is_empty()
        && let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("namespace".to_owned(), json!(&*object.key.namespace));
    }
}

/// Refuses what would be delivered under a name that is not its own.
fn check_identity(object: &Object, value: &Value) -> Result<(), CompileError> {
    let key = &object.key;
    let text = |pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let api_version = text("/apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    for (what, found, wanted) in [
        ("API group", group, &key.group),
        ("kind", text("/kind"), &key.kind),
        ("namespace", text("/metadata/namespace"), &key.namespace),
        ("name", text("/metadata/name"), &key.name),
    ] {
        // A namespace that is written in a cluster-scoped object means nothing.
        let meaningless = what == "namespace" && wanted.is_empty();
        if found != &**wanted && !meaningless {
            return Err(CompileError::Identity(what));
        }
    }
    Ok(())
}

fn annotate(value: &mut Value, (name, text): (&str, &str)) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if annotations.is_null() {
            *annotations = json!({});
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(name.to_owned(), json!(text));
        }
    }
}

impl HoleSource {
    /// Gives the text that goes into the hole for a WEC with these properties and legacy parameters.
    pub fn fill<'p>(
        &self,
        properties: &Properties,
        parameters: impl FnOnce() -> &'p Properties,
    ) -> Result<String, FillError> {
        let text = match &self.template {
            Some(template) => template.render(properties)?,
            None => self.text.clone(),
        };
        if self.parameters {
            return Ok(parameters::expand_parameters(&text, parameters())?);
        }
        Ok(text)
    }

    /// Gives the template when it is all that the hole's text depends on, and other holes have it, too.
    pub fn shared_template(&self) -> Option<&Arc<Template>> {
        // The cache of templates has it, and this hole.
        let own = 2;
        self.template
            .as_ref()
            .filter(|template| !self.parameters && Arc::strong_count(template) > own)
    }

    /// Gives the string as it is written in the source.
    pub fn source(&self) -> &str {
        &self.text
    }
}

/// Unites what two texts read.
pub fn extend(reads: &mut Reads, more: Reads) {
    match (&mut *reads, more) {
        (Reads::All, _) => {}
        (_, Reads::All) => *reads = Reads::All,
        (Reads::Named(names), Reads::Named(more)) => names.extend(more),
    }
}
