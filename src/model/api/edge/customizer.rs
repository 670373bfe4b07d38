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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::api::read;

    #[test]
    fn replacements_stand_beside_the_metadata_and_are_text() {
        let mut value = json!({
            "apiVersion": "edge.kubestellar.io/v2alpha1",
            "kind": "Customizer",
            "metadata": {"namespace": "commonstuff", "name": "c"},
            "replacements": [{"path": "$.spec.replicas", "value": "3"}],
        });
        let customizer: Customizer = read(&value).unwrap();
        assert_eq!(customizer.replacements[0].value, "3");
        value["replacements"][0]["value"] = json!(3);
        let error = read::<Customizer>(&value).unwrap_err();
        assert_eq!(
            error.to_string(),
            "replacements[0].value: expected text, found the number 3"
        );
    }
}
