//! ManifestWork: what goes to one WEC, as the OCM hub has it (`work.open-cluster-management.io/v1`); the parts that come back.
//!
//! What a work holds is written as bytes and never read through these types: only metadata and status are.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Serialize};

/// A work with what its WEC's agent says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ManifestWork {
    /// Name, namespace (that of the WEC), labels, annotations.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What the agent says.
    #[serde(default)]
    pub status: ManifestWorkStatus,
}

/// What the agent says of a work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManifestWorkStatus {
    /// `Applied`, `Available`.
    pub conditions: Vec<WorkCondition>,
    /// What it says of each object.
    pub resource_status: ResourceStatus,
}

/// What the agent says of a work's objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceStatus {
    /// One for each object.
    pub manifests: Vec<ManifestStatus>,
}

/// What the agent says of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManifestStatus {
    /// Which one.
    pub resource_meta: ResourceMeta,
    /// `Applied`, `Available`, `StatusFeedbackSynced`.
    pub conditions: Vec<WorkCondition>,
    /// The fields that were asked for.
    pub status_feedback: StatusFeedback,
}

/// Names an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceMeta {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind; empty when the WEC does not know it.
    pub kind: String,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its place among the work's manifests.
    pub ordinal: i32,
}

/// The fields of an object that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusFeedback {
    /// One for each field that is there.
    pub values: Vec<FeedbackValue>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedbackValue {
    /// What it was called when it was asked for.
    pub name: String,
    /// Its value.
    pub field_value: FieldValue,
}

/// The value of a field: one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldValue {
    /// A number.
    pub integer: Option<i64>,
    /// Text.
    pub string: Option<String>,
    /// Yes or no.
    pub boolean: Option<bool>,
}

/// A condition of a work or of one of its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkCondition {
    /// What may be so.
    #[serde(rename = "type")]
    pub name: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// The generation of the work that it speaks of; 0 when it does not say.
    pub observed_generation: i64,
}

impl FieldValue {
    /// The value, whatever it is; none for what is neither number, text nor truth value.
    pub fn value(&self) -> Option<serde_json::Value> {
        let integer = self.integer.map(Into::into);
        let string = || self.string.clone().map(Into::into);
        integer
            .or_else(string)
            .or_else(|| self.boolean.map(Into::into))
    }
}

impl kube::Resource for ManifestWork {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "ManifestWork".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "work.open-cluster-management.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "manifestworks".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
