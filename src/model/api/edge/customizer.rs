//! Customizer: replacements in the objects that name it.

use serde::Deserialize;

use crate::model::api::{ApiObject, Metadata};

/// Replacements for the objects of its namespace that are annotated `edge.kubestellar.io/customizer: <its name>`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Customizer {
    /// Name, namespace, annotations.
    pub metadata: Metadata,
    /// What is replaced, in order.
    #[serde(default)]
    pub replacements: Vec<Replacement>,
}

/// One replacement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// JSONPath of what is replaced, as written; a number is the position in a list.
    pub path: String,
    /// The new value as JSON text, after its parameters `%(name)` are filled in.
    pub value: String,
}

impl ApiObject for Customizer {
    const GROUP: &'static str = super::GROUP;
    const VERSION: &'static str = super::VERSION;
    const KIND: &'static str = "Customizer";
}
