//! ManagedCluster: a WEC as the OCM hub knows it (`cluster.open-cluster-management.io/v1`); the parts that matter here.

use serde::Deserialize;

use super::metadata::Metadata;
use super::read::ApiObject;

/// A WEC as the hub knows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ManagedCluster {
    /// Name, labels that policies look at, annotations that templates look at.
    pub metadata: Metadata,
    /// What the hub's administrator says.
    #[serde(default)]
    pub spec: ManagedClusterSpec,
    /// What the WEC's agent says.
    #[serde(default)]
    pub status: ManagedClusterStatus,
}

/// What the hub's administrator says of a WEC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedClusterSpec {
    /// Whether the hub accepts it; none when it is not written.
    pub hub_accepts_client: Option<bool>,
}

/// What a WEC's agent says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ManagedClusterStatus {
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// A condition: something that is, is not, or may be so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Condition {
    /// What may be so.
    #[serde(rename = "type")]
    pub name: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word for programs.
    #[serde(default)]
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    pub message: String,
}

impl ApiObject for ManagedCluster {
    const GROUP: &'static str = "cluster.open-cluster-management.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "ManagedCluster";
}

impl ManagedCluster {
    /// Tells whether the WEC's agent has registered; none when nobody said.
    pub fn joined(&self) -> Option<bool> {
        self.condition("ManagedClusterJoined")
    }

    /// Tells whether the WEC's agent is heard of; none when nobody said, or the hub lost sight of it.
    pub fn available(&self) -> Option<bool> {
        self.condition("ManagedClusterConditionAvailable")
    }

    fn condition(&self, name: &str) -> Option<bool> {
        let condition = self
            .status
            .conditions
            .iter()
            .find(|condition| condition.name == name)?;
        match condition.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read::read;
    use super::*;

    #[test]
    fn an_object_from_a_hub_is_read_with_what_it_does_not_say() {
        let cluster: ManagedCluster = read(&json!({
            "apiVersion": "cluster.open-cluster-management.io/v1",
            "kind": "ManagedCluster",
            "metadata": {"name": "fra1", "uid": "7", "labels": {"env": "prod"}, "deletionTimestamp": null},
            "spec": {"hubAcceptsClient": true, "leaseDurationSeconds": 60},
            "status": {"capacity": {"cpu": "4"}, "conditions": [
                {"type": "ManagedClusterJoined", "status": "True", "lastTransitionTime": null},
                {"type": "ManagedClusterConditionAvailable", "status": "Unknown"},
            ]},
        }))
        .unwrap();
        assert_eq!(cluster.spec.hub_accepts_client, Some(true));
        assert_eq!(cluster.joined(), Some(true));
        assert_eq!(cluster.available(), None);
        assert_eq!(cluster.metadata.deletion_timestamp, None);
    }
}
