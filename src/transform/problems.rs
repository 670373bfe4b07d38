//! What goes wrong with one object on some WECs → diagnostics that name the field and the WECs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compile::{CUSTOMIZER, CompileError};
use crate::inventory::Inventory;
use crate::model::{ClusterName, ClusterSet, Diagnostic, Object, PathPart};

/// The most WECs that one diagnostic names.
const NAMED_CLUSTERS: usize = 5;

/// Equal problems of an object on several WECs, told once.
#[derive(Default)]
pub(super) struct Problems {
    found: BTreeMap<Problem, ClusterSet>,
}

/// What is wrong with an object.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    reason: &'static str,
    message: String,
    place: Place,
}

/// What of an object is wrong.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The object, or what a rule made of it.
    Whole,
    /// A field.
    Field(Vec<PathPart>),
    /// The strings that read so: which those are is only looked up for whoever reads about it.
    Text(String),
}

impl Problem {
    /// Says what is wrong where.
    pub(super) fn new(reason: &'static str, message: String, place: Place) -> Self {
        Self {
            reason,
            message,
            place,
        }
    }

    /// Says why there is no text for an object.
    pub(super) fn of(error: &CompileError) -> Self {
        let (reason, place) = match error {
            CompileError::Template { text, .. } => ("TemplateInvalid", Place::Text(text.clone())),
            CompileError::Step { .. } | CompileError::Identity(_) => {
                ("TransformFailed", Place::Whole)
            }
            CompileError::NoCustomizer(_) => {
                let path = ["metadata", "annotations", CUSTOMIZER].map(PathPart::from);
                ("CustomizerMissing", Place::Field(path.into()))
            }
            CompileError::TooLarge => ("ObjectTooLarge", Place::Whole),
        };
        Self::new(reason, error.to_string(), place)
    }
}

impl Problems {
    /// Adds a problem that these WECs have.
    pub(super) fn add(&mut self, problem: Problem, clusters: impl Iterator<Item = usize>) {
        let set = self.found.entry(problem).or_default();
        clusters.for_each(|cluster| {
            set.insert(cluster);
        });
    }

    /// Puts each problem into words.
    pub(super) fn into_diagnostics(
        self,
        object: &Object,
        inventory: &Inventory,
    ) -> Vec<Diagnostic> {
        let name = |cluster: usize| &inventory.clusters[cluster].name;
        self.found
            .into_iter()
            .map(|(problem, clusters)| {
                let reason = problem.reason;
                let (message, path) = problem.placed_in(object);
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
                let diagnostic = match path {
                    Some(path) => diagnostic.in_field(object.origin, path),
                    None => diagnostic,
                };
                match first.filter(|_| clusters.len() == 1) {
                    Some(cluster) => diagnostic.cluster(cluster.clone()),
                    None => diagnostic,
                }
            })
            .collect()
    }
}

impl Problem {
    /// Gives the message with the field's name before it, and the way to that field in the source.
    fn placed_in(self, object: &Object) -> (String, Option<Vec<PathPart>>) {
        let text = match self.place {
            Place::Whole => return (self.message, None),
            Place::Field(path) => return (self.message, Some(path)),
            Place::Text(text) => text,
        };
        let mut places = Vec::new();
        find(&object.value(), &text, &mut Vec::new(), &mut places);
        let more = match places.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more like it", count - 1),
        };
        match places.into_iter().next() {
            Some(path) => {
                let field = PathPart::join(&path);
                (format!("{field}{more}: {}", self.message), Some(path))
            }
            // A rule wrote it.
            None => (format!("{text:?}: {}", self.message), None),
        }
    }
}

/// Finds the strings in `value` that read `text`.
fn find(value: &Value, text: &str, way: &mut Vec<PathPart>, found: &mut Vec<Vec<PathPart>>) {
    let mut follow = |part: PathPart, value: &Value| {
        way.push(part);
        find(value, text, way, found);
        way.pop();
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                follow(key.as_str().into(), value);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                follow(index.into(), item);
            }
        }
        Value::String(own) if own == text => found.push(way.clone()),
        _ => {}
    }
}

fn help(reason: &str, cluster: Option<&ClusterName>) -> String {
    let cluster = cluster.map_or("<wec>", |cluster| cluster.as_str());
    match reason {
        "TemplateFailed" | "ParameterFailed" => format!(
            "give the WEC the property, as a label, an annotation or a key of ConfigMap customization-properties/{cluster}; \
             its last good output stays until then"
        ),
        "TemplateInvalid" => "correct the Go template".to_owned(),
        "CustomizerMissing" => "add the Customizer, or remove the annotation".to_owned(),
        _ => "correct the rule or the object".to_owned(),
    }
}
