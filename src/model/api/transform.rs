//! Transform: changes to objects on their way, beyond what KubeStellar's CustomTransform can say
//! (`gitops.kubestellar.io/v1alpha1`).

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::label_selector::LabelSelector;
use super::read::{ApiObject, ReadError};

/// Changes to the objects of one group and resource, in the order `remove`, `set`, `patch`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gitops.kubestellar.io",
    version = "v1alpha1",
    kind = "Transform",
    plural = "transforms",
    derive = "PartialEq",
    doc = "Changes to objects on their way to the WECs."
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.remove) || has(self.set) || has(self.patch)",
    "message": "one of remove, set, patch is needed",
}]))]
pub struct TransformSpec {
    /// API group of the objects; "" is the core group.
    pub api_group: String,
    /// Lower-case plural of the objects.
    #[schemars(length(min = 1))]
    pub resource: String,
    /// Namespaces, one of which the object lives in; left out: any.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub namespaces: Vec<String>,
    /// Names, one of which the object has; left out: any.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub object_names: Vec<String>,
    /// Selectors, one of which selects the object's labels; left out: any labels.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub object_selectors: Vec<LabelSelector>,
    /// Selectors, one of which selects the WEC's labels; left out: every WEC.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub cluster_selectors: Vec<LabelSelector>,
    /// JSONPaths of what is removed.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub remove: Vec<String>,
    /// Values that are put in their places.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub set: Vec<Setting>,
    /// A patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// JSONPath of the place.
    #[schemars(length(min = 1))]
    pub path: String,
    /// The value, of any type.
    #[schemars(schema_with = "any_value")]
    pub value: Value,
}

/// A patch of one sort, or both in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.json) || has(self.merge)",
    "message": "one of json, merge is needed",
}]))]
pub struct Patch {
    /// A JSON Patch (RFC 6902).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_items"
    )]
    #[schemars(length(min = 1))]
    pub json: Vec<PatchOperation>,
    /// A JSON Merge Patch (RFC 7396): null removes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_mapping")]
    pub merge: Option<serde_json::Map<String, Value>>,
}

/// One operation of a JSON Patch; serialised, it is the standard's own form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
// CEL cannot see `value`, which has any type: what it would say is said with `not (A and not B)`.
#[schemars(extend(
    "allOf" = [{"not": {
        "properties": {"op": {"enum": ["add", "replace", "test"]}},
        "not": {"required": ["value"]},
    }}],
    "x-kubernetes-validations" = [{
        "rule": "!(self.op in ['move', 'copy']) || has(self.from)",
        "message": "move and copy need from",
    }],
))]
pub struct PatchOperation {
    /// What is done.
    pub op: PatchVerb,
    /// JSON Pointer of the place.
    #[schemars(regex(pattern = "^(/.*)?$"))]
    pub path: String,
    /// JSON Pointer of where the value comes from, for `move` and `copy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(/.*)?$"))]
    pub from: Option<String>,
    /// The value for `add`, `replace` and `test`, of any type; null is a value.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "written_value"
    )]
    #[schemars(schema_with = "any_value")]
    pub value: Option<Value>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PatchVerb {
    /// Puts a value where none is, or into a list.
    Add,
    /// Takes a value away.
    Remove,
    /// Puts a value in place of another.
    Replace,
    /// Takes a value from one place to another.
    Move,
    /// Puts a value of one place into another too.
    Copy,
    /// Fails unless the value is as given.
    Test,
}

impl ApiObject for Transform {
    const GROUP: &'static str = "gitops.kubestellar.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Transform";

    fn check(&self) -> Result<(), ReadError> {
        self.spec.check().map_err(|error| error.under_key("spec"))
    }
}

impl TransformSpec {
    /// Says what the CRD says with rules in CEL.
    fn check(&self) -> Result<(), ReadError> {
        let Some(patch) = &self.patch else {
            return if self.remove.is_empty() && self.set.is_empty() {
                Err(needs("one of `remove`, `set`, `patch` is needed"))
            } else {
                Ok(())
            };
        };
        if patch.json.is_empty() && patch.merge.is_none() {
            return Err(needs("one of `json`, `merge` is needed").under_key("patch"));
        }
        for (index, operation) in patch.json.iter().enumerate() {
            operation.check().map_err(|error| {
                error
                    .under_index(index)
                    .under_key("json")
                    .under_key("patch")
            })?;
        }
        Ok(())
    }
}

impl PatchOperation {
    fn check(&self) -> Result<(), ReadError> {
        let missing = match self.op {
            PatchVerb::Add | PatchVerb::Replace | PatchVerb::Test if self.value.is_none() => {
                "value"
            }
            PatchVerb::Move | PatchVerb::Copy if self.from.is_none() => "from",
            _ => return Ok(()),
        };
        Err(needs(&format!("this operation needs `{missing}`")))
    }
}

fn needs(message: &str) -> ReadError {
    ReadError::new("MissingField", message)
}

/// Reads a list that has something in it: an empty one might mean everything or nothing.
pub(super) fn some_items<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let items = Vec::deserialize(deserializer)?;
    if items.is_empty() {
        return Err(serde::de::Error::custom(
            "is empty: leave it out, or name something",
        ));
    }
    Ok(items)
}

/// Reads a value that is written, be it null.
fn written_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn any_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true, "nullable": true})
}

fn any_mapping(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read::read;
    use super::*;

    fn transform(spec: &Value) -> Result<Transform, ReadError> {
        read(&json!({
            "apiVersion": "gitops.kubestellar.io/v1alpha1",
            "kind": "Transform",
            "metadata": {"name": "t", "creationTimestamp": null},
            "spec": spec,
        }))
    }

    #[test]
    fn all_three_sorts_of_change_are_read_with_null_as_a_value() {
        let transform = transform(&json!({
            "apiGroup": "apps",
            "resource": "deployments",
            "clusterSelectors": [{"matchLabels": {"tier": "edge"}}],
            "remove": ["$.spec.paused"],
            "set": [{"path": "$.spec.replicas", "value": 1}],
            "patch": {
                "json": [{"op": "add", "path": "/spec/x", "value": null}],
                "merge": {"metadata": {"annotations": {"a": null}}},
            },
        }))
        .unwrap();
        assert_eq!(transform.metadata.name.as_deref(), Some("t"));
        assert_eq!(transform.spec.set[0].value, json!(1));
        let patch = transform.spec.patch.unwrap();
        assert_eq!(patch.json[0].value, Some(Value::Null));
        assert_eq!(
            json!(patch.json),
            json!([{"op": "add", "path": "/spec/x", "value": null}])
        );
        assert_eq!(
            json!(patch.merge)["metadata"]["annotations"]["a"],
            Value::Null
        );
    }

    #[test]
    fn a_transform_must_change_something_and_select_something() {
        let wrong = |spec| transform(&spec).unwrap_err().to_string();
        assert_eq!(
            wrong(json!({"apiGroup": "", "resource": "secrets"})),
            "spec: one of `remove`, `set`, `patch` is needed"
        );
        assert_eq!(
            wrong(
                json!({"apiGroup": "", "resource": "secrets", "remove": ["$.data"], "clusterSelectors": []})
            ),
            "spec.clusterSelectors: is empty: leave it out, or name something"
        );
        assert_eq!(
            wrong(
                json!({"apiGroup": "", "resource": "secrets", "patch": {"json": [{"op": "move", "path": "/a"}]}})
            ),
            "spec.patch.json[0]: this operation needs `from`"
        );
    }
}
