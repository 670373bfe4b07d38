//! BindingPolicy: what goes where, as KubeStellar 0.30 serves it (`control.kubestellar.io/v1alpha1`).

use serde::Deserialize;

use super::label_selector::LabelSelector;
use super::metadata::Metadata;
use super::read::ApiObject;

/// What goes where: objects that a clause selects go to each WEC that a cluster selector selects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BindingPolicy {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// What goes where; absent: nothing goes anywhere.
    #[serde(default)]
    pub spec: BindingPolicySpec,
}

impl ApiObject for BindingPolicy {
    const GROUP: &'static str = "control.kubestellar.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "BindingPolicy";
}

/// What goes where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindingPolicySpec {
    /// The WECs: those whose labels one of these selects. None here: no WEC; `{}`: every WEC.
    #[serde(default)]
    pub cluster_selectors: Vec<LabelSelector>,
    /// The objects: those that one of these clauses selects. None here: no object.
    #[serde(default)]
    pub downsync: Vec<DownsyncClause>,
}

/// One clause: criteria that an object must meet all of, and how the objects that do are delivered.
///
/// An empty list is no criterion; `*` as a member of `resources`, `namespaces` or `object_names` stands for any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenClause")]
pub struct DownsyncClause {
    /// The object's API group, exactly; `""` is the core group, none is any group. There is no `*` here.
    pub api_group: Option<String>,
    /// Lower-case plurals, one of which the object's resource is.
    pub resources: Vec<String>,
    /// Namespaces, one of which the object lives in; a cluster-scoped object lives in `""`.
    pub namespaces: Vec<String>,
    /// Selectors, one of which selects the labels of the object's Namespace.
    pub namespace_selectors: Vec<LabelSelector>,
    /// Selectors, one of which selects the object's labels.
    pub object_selectors: Vec<LabelSelector>,
    /// Names, one of which the object has.
    pub object_names: Vec<String>,
    /// Whether the object is created on the WEC and then left alone.
    pub create_only: bool,
    /// The StatusCollectors that look at the object.
    pub status_collectors: Vec<String>,
    /// Whether the object's status comes back from the one WEC that has it.
    pub want_singleton_reported_state: bool,
    /// Whether the object's status comes back as one, made from those of several WECs.
    pub want_multi_wec_reported_state: bool,
}

/// A clause before it is known whether it has a criterion at all: presence counts there, even of an empty list.
#[derive(Default, Deserialize)]
#[serde(
    rename = "DownsyncClause",
    rename_all = "camelCase",
    deny_unknown_fields
)]
pub(super) struct WrittenClause {
    pub(super) api_group: Option<String>,
    pub(super) resources: Option<Vec<String>>,
    pub(super) namespaces: Option<Vec<String>>,
    pub(super) namespace_selectors: Option<Vec<LabelSelector>>,
    pub(super) object_selectors: Option<Vec<LabelSelector>>,
    pub(super) object_names: Option<Vec<String>>,
    #[serde(default)]
    pub(super) create_only: bool,
    #[serde(default)]
    pub(super) status_collectors: Vec<String>,
    #[serde(default)]
    pub(super) want_singleton_reported_state: bool,
    #[serde(default, rename = "wantMultiWECReportedState")]
    pub(super) want_multi_wec_reported_state: bool,
}

/// What KubeStellar's CRD says with `anyOf: required` of each clause.
const NO_CRITERION: &str = "the clause has no criterion: it needs one of `apiGroup`, `resources`, `namespaces`, \
     `namespaceSelectors`, `objectSelectors`, `objectNames`";

impl TryFrom<WrittenClause> for DownsyncClause {
    type Error = &'static str;

    fn try_from(written: WrittenClause) -> Result<Self, Self::Error> {
        let criterion = written.api_group.is_some()
            || written.resources.is_some()
            || written.namespaces.is_some()
            || written.namespace_selectors.is_some()
            || written.object_selectors.is_some()
            || written.object_names.is_some();
        if !criterion {
            return Err(NO_CRITERION);
        }
        Ok(Self {
            api_group: written.api_group,
            resources: written.resources.unwrap_or_default(),
            namespaces: written.namespaces.unwrap_or_default(),
            namespace_selectors: written.namespace_selectors.unwrap_or_default(),
            object_selectors: written.object_selectors.unwrap_or_default(),
            object_names: written.object_names.unwrap_or_default(),
            create_only: written.create_only,
            status_collectors: written.status_collectors,
            want_singleton_reported_state: written.want_singleton_reported_state,
            want_multi_wec_reported_state: written.want_multi_wec_reported_state,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::read::read;
    use super::*;
    use crate::model::PathPart;

    fn policy(spec: &Value) -> Value {
        json!({
            "apiVersion": "control.kubestellar.io/v1alpha1",
            "kind": "BindingPolicy",
            "metadata": {"name": "web", "creationTimestamp": null},
            "spec": spec,
            "status": {"observedGeneration": 3},
        })
    }

    #[test]
    fn a_policy_is_read_whole() {
        let value = policy(&json!({
            "clusterSelectors": [{}, {"matchLabels": {"env": "prod"}}],
            "downsync": [{
                "apiGroup": "",
                "resources": ["configmaps"],
                "namespaceSelectors": [{"matchExpressions": [{"key": "team", "operator": "Exists"}]}],
                "createOnly": true,
                "statusCollectors": ["replicas"],
                "wantMultiWECReportedState": true,
            }],
        }));
        let policy: BindingPolicy = read(&value).unwrap();
        assert_eq!(policy.metadata.name, "web");
        assert_eq!(policy.spec.cluster_selectors[0], LabelSelector::default());
        let clause = &policy.spec.downsync[0];
        assert_eq!(clause.api_group.as_deref(), Some(""));
        assert_eq!(clause.resources, ["configmaps"]);
        assert_eq!(
            clause.namespace_selectors[0].match_expressions[0].operator,
            "Exists"
        );
        assert!(clause.create_only && clause.want_multi_wec_reported_state);
        assert!(!clause.want_singleton_reported_state);
    }

    #[test]
    fn a_clause_needs_a_criterion_though_an_empty_one_will_do() {
        let value = policy(&json!({"downsync": [{"resources": []}, {"createOnly": true}]}));
        let error = read::<BindingPolicy>(&value).unwrap_err();
        assert_eq!(error.path_text(), "spec.downsync[1]");
        assert!(error.message.contains("no criterion"));
        let enough = policy(&json!({"downsync": [{"resources": []}]}));
        assert!(read::<BindingPolicy>(&enough).is_ok());
    }

    #[test]
    fn a_mistyped_field_is_named_with_the_right_one() {
        let value =
            policy(&json!({"downsync": [{"apiGroup": "apps", "resource": ["deployments"]}]}));
        let error = read::<BindingPolicy>(&value).unwrap_err();
        assert_eq!(
            error.path,
            [
                PathPart::Key("spec".into()),
                PathPart::Key("downsync".into()),
                PathPart::Index(0),
                PathPart::Key("resource".into()),
            ]
        );
        assert_eq!(error.help.as_deref(), Some("did you mean `resources`?"));
    }

    #[test]
    fn a_group_without_a_value_is_no_group_at_all() {
        let error =
            read::<BindingPolicy>(&policy(&json!({"downsync": [{"apiGroup": null}]}))).unwrap_err();
        assert_eq!(error.to_string(), "spec.downsync[0].apiGroup: has no value");
    }

    #[test]
    fn a_boolean_label_value_is_refused_with_the_way_out() {
        let value = policy(&json!({"clusterSelectors": [{"matchLabels": {"extended": true}}]}));
        let error = read::<BindingPolicy>(&value).unwrap_err();
        assert_eq!(
            error.to_string(),
            "spec.clusterSelectors[0].matchLabels.extended: expected text, found the boolean true"
        );
        assert_eq!(error.help.as_deref(), Some("put the value in quotes"));
    }

    #[test]
    fn what_stands_beside_the_spec_is_known_too() {
        let mut value = policy(&json!({}));
        value["spce"] = json!({});
        let error = read::<BindingPolicy>(&value).unwrap_err();
        assert_eq!(error.path_text(), "spce");
        assert_eq!(error.help.as_deref(), Some("did you mean `spec`?"));
        value["apiVersion"] = json!("control.kubestellar.io/v2");
        let error = read::<BindingPolicy>(&value).unwrap_err();
        assert_eq!(error.path_text(), "apiVersion");
        assert_eq!(
            error.help.as_deref(),
            Some("write `apiVersion: control.kubestellar.io/v1alpha1`")
        );
    }
}
