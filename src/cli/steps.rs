//! What transformation does to one object for one WEC, step by step, and what its templates read. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::inventory::Properties;
use crate::model::{ObjectKey, PathPart};
use crate::reconcile::Rendering;
use crate::reconcile::compare::difference;
use crate::transform::compile::{self, EXPAND_PARAMETERS, EXPAND_TEMPLATES, FormKey};
use crate::transform::parameters::{expand_parameters, parameters_read};
use crate::transform::template::{Reads, Template};
use crate::yaml;

/// What became of an object on its way to one WEC.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Way {
    /// The steps that changed something, in order.
    pub(super) steps: Vec<StepChange>,
    /// Strings that are filled in for each WEC.
    pub(super) templates: Vec<TemplateUse>,
    /// Why it cannot be rendered, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
}

/// One step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepChange {
    /// `clean`, `CustomTransform NAME`, `Transform NAME`, `Customizer NAME`, `createOnly`.
    pub(super) step: String,
    /// A unified diff of the object's YAML; empty for a step that changed nothing.
    pub(super) diff: String,
}

/// One string with templates.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TemplateUse {
    /// Where it stands in the object: `spec.rules[0].host`.
    pub(super) field: String,
    /// The string as written.
    pub(super) text: String,
    /// The properties that it reads, with the WEC's values; `None` for a property that the WEC does not have.
    pub(super) reads: BTreeMap<String, Option<String>>,
    /// Whether it may read any property.
    pub(super) reads_all: bool,
    /// What comes out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<String>,
}

/// Follows an object to the WEC at this position; `None` when the source holds no such object.
pub(super) fn follow(rendering: &Rendering, key: &ObjectKey, cluster: usize) -> Option<Way> {
    let position = rendering
        .snapshot
        .objects
        .iter()
        .position(|object| object.key == *key)?;
    let object = &rendering.snapshot.objects[position];
    let create_only = rendering
        .plan
        .placements
        .get(position)
        .is_some_and(|placement| placement.create_only.contains(cluster));
    let wec = rendering.inventory.clusters.get(cluster)?;
    let parameters = wec.parameters();
    let mut way = Way {
        steps: Vec::new(),
        templates: Vec::new(),
        failed: None,
    };
    let form = match rendering
        .rules
        .form_key(object, &wec.labels, &parameters, create_only)
    {
        Ok(form) => form,
        Err(error) => {
            way.failed = Some(error.to_string());
            FormKey {
                create_only,
                ..FormKey::default()
            }
        }
    };
    let mut value = object.value();
    let mut last = text(&value);
    let steps = &mut way.steps;
    let outcome = compile::steps(
        object,
        &form,
        &rendering.rules,
        &mut value,
        &mut |name, value| {
            let now = text(value);
            steps.push(StepChange {
                step: name.to_owned(),
                diff: difference(&last, &now).hunks,
            });
            last = now;
        },
    );
    if let Err(error) = outcome {
        way.failed.get_or_insert(error.to_string());
        return Some(way);
    }
    let wants = |name| object.annotation(name) == Some("true");
    let filler = Filler {
        templates: wants(EXPAND_TEMPLATES),
        parameters: wants(EXPAND_PARAMETERS).then_some(&parameters),
        properties: &wec.properties,
    };
    strings(&value, &mut Vec::new(), &mut |path, text| {
        let Some((used, outcome)) = filler.fill(path, text) else {
            return;
        };
        if let Err(error) = outcome {
            way.failed.get_or_insert(format!("{}: {error}", used.field));
        }
        way.templates.push(used);
    });
    Some(way)
}

/// What fills strings in for one WEC.
struct Filler<'a> {
    /// Whether the object asks for Go templates.
    templates: bool,
    /// What `%(name)` is, where the object asks for that.
    parameters: Option<&'a Properties>,
    properties: &'a Properties,
}

impl Filler<'_> {
    /// Fills a string in; `None` for one that stays as it is.
    fn fill(&self, path: &[PathPart], text: &str) -> Option<(TemplateUse, Result<(), String>)> {
        let template = self.templates && text.contains("{{");
        let parameters = self.parameters.filter(|_| text.contains("%("));
        if !template && parameters.is_none() {
            return None;
        }
        let mut used = TemplateUse {
            field: PathPart::join(path),
            text: text.to_owned(),
            reads: BTreeMap::new(),
            reads_all: false,
            result: None,
        };
        let mut result = Ok(text.to_owned());
        if template {
            result = self.expand(text, &mut used);
        }
        if let Some(parameters) = parameters {
            let names = parameters_read(text).into_iter();
            used.reads
                .extend(names.map(|name| (name.clone(), parameters.get(&name).cloned())));
            result = result.and_then(|text| {
                expand_parameters(&text, parameters).map_err(|error| error.to_string())
            });
        }
        let outcome = result.map(|text| used.result = Some(text));
        Some((used, outcome))
    }

    /// Expands a template, and notes what it reads.
    fn expand(&self, text: &str, used: &mut TemplateUse) -> Result<String, String> {
        let parsed = Template::parse(text).map_err(|error| error.to_string())?;
        match parsed.properties() {
            Reads::All => used.reads_all = true,
            Reads::Named(names) => used.reads.extend(
                names
                    .iter()
                    .map(|name| (name.clone(), self.properties.get(name).cloned())),
            ),
        }
        let rendered = parsed.render(self.properties);
        rendered.map_err(|error| error.to_string())
    }
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(&yaml::emit(value)).into_owned()
}

/// Walks all strings that are values, with the way to each.
fn strings(value: &Value, path: &mut Vec<PathPart>, see: &mut dyn FnMut(&[PathPart], &str)) {
    match value {
        Value::String(text) => see(path, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.into());
                strings(item, path, see);
                path.pop();
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                path.push(key.as_str().into());
                strings(member, path, see);
                path.pop();
            }
        }
        _ => {}
    }
}
