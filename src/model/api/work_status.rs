//! `WorkStatus`: the status of one object on one WEC, as KubeStellar's status add-on returns it (`control.kubestellar.io/v1alpha1`).

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The status of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkStatus {
    /// Its namespace is that of the WEC; its labels are those of the work that the object came with.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Which object.
    #[serde(default)]
    pub spec: WorkStatusSpec,
    /// The object's status as it is; null when it has none.
    #[serde(default)]
    pub status: Value,
}

/// Which object a status is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkStatusSpec {
    /// The object.
    pub source_ref: SourceRef,
}

/// Names an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceRef {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl kube::Resource for WorkStatus {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "WorkStatus".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "control.kubestellar.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "workstatuses".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
