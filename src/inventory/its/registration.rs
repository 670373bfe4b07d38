//! How far the registration of each WEC got: what `clusteradm` and OCM's agents have made on the ITS so far.
//!
//! For people only; an inventory needs none of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::core::PartialObjectMeta;
use serde::Serialize;

use crate::api_server::{Connection, Trouble, connect};
use crate::model::ClusterName;
use crate::model::api::{ApiObject as _, ManagedCluster};

/// How far the registration of a WEC got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// Whether its mailbox namespace is there; none when we may not look.
    pub mailbox: Option<bool>,
    /// OCM's taints, as `key=value:effect`. KubeStellar and Stellate deliver all the same.
    pub taints: Vec<String>,
}

/// Looks at all WECs of an ITS.
///
/// # Errors
/// The ManagedClusters cannot be listed. That namespaces cannot is no error: then nothing is said about mailboxes.
pub async fn registrations(
    connection: &Connection,
) -> Result<BTreeMap<ClusterName, Registration>, Trouble> {
    let client = connect(connection)
        .await
        .map_err(|error| Trouble::from(&error))?;
    let kind = GroupVersionKind::gvk(
        ManagedCluster::GROUP,
        ManagedCluster::VERSION,
        ManagedCluster::KIND,
    );
    let clusters: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let all = ListParams::default();
    let clusters = clusters
        .list(&all)
        .await
        .map_err(|error| Trouble::of(&error))?;
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client);
    let namespaces: Option<BTreeSet<String>> = match namespaces.list(&all).await {
        Ok(found) => {
            let named = found.items.into_iter();
            Some(named.filter_map(|found| found.metadata.name).collect())
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() => None,
        Err(error) => return Err(Trouble::of(&error)),
    };
    let registered = clusters.items.into_iter().map(|cluster| {
        let name = cluster.metadata.name.unwrap_or_default();
        let registration = Registration {
            mailbox: namespaces.as_ref().map(|all| all.contains(&name)),
            taints: taints(&cluster.data),
        };
        (ClusterName::new(name), registration)
    });
    Ok(registered.collect())
}

fn taints(cluster: &serde_json::Value) -> Vec<String> {
    let taints = cluster.pointer("/spec/taints");
    let taints = taints.and_then(serde_json::Value::as_array);
    let text = |taint: &serde_json::Value, member: &str| {
        taint[member].as_str().unwrap_or_default().to_owned()
    };
    let mut all: Vec<String> = taints
        .into_iter()
        .flatten()
        .map(|taint| match text(taint, "value").as_str() {
            "" => format!("{}:{}", text(taint, "key"), text(taint, "effect")),
            value => format!("{}={value}:{}", text(taint, "key"), text(taint, "effect")),
        })
        .collect();
    all.sort();
    all
}
