//! EdgePlacement: the BindingPolicy of the first API.

use serde::Deserialize;

use crate::model::api::binding_policy::WrittenClause;
use crate::model::api::{ApiObject, BindingPolicySpec, DownsyncClause, LabelSelector, Metadata};

/// What goes where: objects that a test selects go to each WEC whose Location a selector selects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EdgePlacement {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// What goes where; absent: nothing goes anywhere.
    #[serde(default)]
    pub spec: EdgePlacementSpec,
}

/// What goes where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EdgePlacementSpec {
    /// The WECs: those whose Location's labels one of these selects.
    #[serde(default)]
    pub location_selectors: Vec<LabelSelector>,
    /// The objects: those that one of these selects.
    #[serde(default)]
    pub downsync: Vec<ObjectTest>,
    /// Whether the status of the objects comes back from the one WEC that has them.
    #[serde(default)]
    pub want_singleton_reported_state: bool,
    /// Objects that WECs make and the source wants to see. Read; not delivered.
    #[serde(default)]
    pub upsync: Vec<UpsyncSet>,
}

/// Criteria that an object must meet all of; they mean what they mean in a [`DownsyncClause`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenTest")]
pub struct ObjectTest(pub DownsyncClause);

/// A test before it is known whether it has a criterion at all.
#[derive(Deserialize)]
#[serde(rename = "ObjectTest", rename_all = "camelCase", deny_unknown_fields)]
struct WrittenTest {
    api_group: Option<String>,
    resources: Option<Vec<String>>,
    namespaces: Option<Vec<String>>,
    namespace_selectors: Option<Vec<LabelSelector>>,
    /// This version's name for what is called `objectSelectors` since.
    #[serde(alias = "labelSelectors")]
    object_selectors: Option<Vec<LabelSelector>>,
    object_names: Option<Vec<String>>,
}

/// Objects of a WEC that the source wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpsyncSet {
    /// Their API group; `""` is the core group.
    #[serde(default)]
    pub api_group: String,
    /// Their lower-case plurals.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Their namespaces.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Their names; `*` stands for any.
    #[serde(default)]
    pub names: Vec<String>,
}

impl ApiObject for EdgePlacement {
    const GROUP: &'static str = super::GROUP;
    const VERSION: &'static str = super::VERSION;
    const KIND: &'static str = "EdgePlacement";
}

impl EdgePlacementSpec {
    /// Says the same as a BindingPolicy does; `upsync` has no counterpart there and is left behind.
    pub fn into_binding_policy_spec(self) -> BindingPolicySpec {
        let singleton = self.want_singleton_reported_state;
        BindingPolicySpec {
            cluster_selectors: self.location_selectors,
            downsync: self
                .downsync
                .into_iter()
                .map(|ObjectTest(clause)| DownsyncClause {
                    want_singleton_reported_state: singleton,
                    ..clause
                })
                .collect(),
        }
    }
}

impl TryFrom<WrittenTest> for ObjectTest {
    type Error = &'static str;

    fn try_from(written: WrittenTest) -> Result<Self, Self::Error> {
        let clause = WrittenClause {
            api_group: written.api_group,
            resources: written.resources,
            namespaces: written.namespaces,
            namespace_selectors: written.namespace_selectors,
            object_selectors: written.object_selectors,
            object_names: written.object_names,
            ..WrittenClause::default()
        };
        DownsyncClause::try_from(clause).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::api::read;

    #[test]
    fn an_edge_placement_says_what_a_binding_policy_says() {
        let placement: EdgePlacement = read(&json!({
            "apiVersion": "edge.kubestellar.io/v2alpha1",
            "kind": "EdgePlacement",
            "metadata": {"name": "edge-placement-c"},
            "spec": {
                "locationSelectors": [{"matchLabels": {"env": "prod"}}],
                "downsync": [{"apiGroup": "apps", "resources": ["replicasets"], "namespaces": ["commonstuff"]}],
                "wantSingletonReportedState": true,
                "upsync": [{"apiGroup": "group2.test", "resources": ["cogs"], "names": ["william"]}],
            },
        }))
        .unwrap();
        assert_eq!(placement.spec.upsync[0].names, ["william"]);
        let spec = placement.spec.into_binding_policy_spec();
        assert_eq!(spec.cluster_selectors[0].match_labels["env"], "prod");
        assert_eq!(spec.downsync[0].api_group.as_deref(), Some("apps"));
        assert!(spec.downsync[0].want_singleton_reported_state);
    }

    #[test]
    fn modulation_of_the_later_api_is_not_understood_here() {
        let error = read::<EdgePlacement>(&json!({
            "apiVersion": "edge.kubestellar.io/v2alpha1",
            "kind": "EdgePlacement",
            "metadata": {"name": "p"},
            "spec": {"downsync": [{"apiGroup": "apps", "createOnly": true}]},
        }))
        .unwrap_err();
        assert_eq!(error.path_text(), "spec.downsync[0].createOnly");
    }
}
