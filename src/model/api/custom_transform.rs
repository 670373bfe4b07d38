//! CustomTransform: what is removed from every object of a resource (`control.kubestellar.io/v1alpha1`).

use serde::Deserialize;

use super::metadata::Metadata;
use super::read::ApiObject;

/// Removals that concern every object of one group and resource, whatever policy selects it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CustomTransform {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// What is removed from what.
    pub spec: CustomTransformSpec,
}

impl ApiObject for CustomTransform {
    const GROUP: &'static str = "control.kubestellar.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "CustomTransform";
}

/// What is removed from what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomTransformSpec {
    /// API group of the objects; `""` is the core group.
    pub api_group: String,
    /// Lower-case plural of the objects.
    pub resource: String,
    /// JSONPaths, as written, of what is removed.
    #[serde(default)]
    pub remove: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read::read;
    use super::*;

    #[test]
    fn group_and_resource_are_needed() {
        let mut value = json!({
            "apiVersion": "control.kubestellar.io/v1alpha1",
            "kind": "CustomTransform",
            "metadata": {"name": "drop"},
            "spec": {"apiGroup": "batch", "remove": ["$.spec.suspend"]},
        });
        let error = read::<CustomTransform>(&value).unwrap_err();
        assert_eq!(error.to_string(), "spec: `resource` is missing");
        value["spec"]["resource"] = json!("jobs");
        let transform: CustomTransform = read(&value).unwrap();
        assert_eq!(transform.spec.remove, ["$.spec.suspend"]);
    }
}
