//! What each WEC gets of an object, and that a [`Transformer`] with a memory gives what one without would.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Rendered, Rules, Transformer};
use crate::inventory::{Cluster, Inventory};
use crate::model::{
    BlobId, ClusterName, ClusterSet, Diagnostic, Labels, Location, Manifest, Object, ObjectKey,
    Origin, PathPart, RepoPath, Scope,
};
use crate::placement::{Placement, Plan};
use crate::source::Control;
use crate::yaml;

mod properties;
mod rules;

/// An id that follows the content, as git's does.
fn mk_origin(value: &Value) -> Origin {
    let mut blob = [0; 20];
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value.to_string().as_bytes());
    blob.copy_from_slice(&digest.as_ref()[..20]);
    Origin {
        blob: BlobId(blob),
        document: 0,
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn mk_key(value: &Value) -> ObjectKey {
    let version = text(value, "/apiVersion");
    let group = version.split_once('/').map_or("", |pair| pair.0);
    ObjectKey::new(
        group,
        &text(value, "/kind"),
        &text(value, "/metadata/namespace"),
        &text(value, "/metadata/name"),
    )
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "tests build values where they need them"
)]
fn mk_object(value: Value) -> Object {
    let key = mk_key(&value);
    let read = |pointer| {
        let found = value.pointer(pointer).and_then(Value::as_object);
        let strings = found
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        Arc::new(strings.collect::<Labels>())
    };
    let (labels, annotations) = (read("/metadata/labels"), read("/metadata/annotations"));
    Object {
        version: "v1".into(),
        resource: format!("{}s", key.kind.to_lowercase()).into(),
        scope: if key.namespace.is_empty() {
            Scope::Cluster
        } else {
            Scope::Namespaced
        },
        labels,
        annotations,
        controlled: false,
        origin: mk_origin(&value),
        location: Location::file(RepoPath::from(format!("{}.yaml", key.name))),
        key,
        manifest: Manifest::new(&value),
    }
}

fn mk_config(name: &str, annotations: &Value, data: &Value) -> Object {
    mk_object(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "data": data,
    }))
}

fn mk_template(name: &str, data: &Value) -> Object {
    mk_config(
        name,
        &json!({"control.kubestellar.io/expand-templates": "true"}),
        data,
    )
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "tests build values where they need them"
)]
fn mk_control(value: Value) -> Control {
    Control {
        key: mk_key(&value),
        api_version: text(&value, "/apiVersion").into(),
        location: Location::file(RepoPath::from("rules.yaml")),
        origin: mk_origin(&value),
        manifest: Manifest::new(&value),
    }
}

fn mk_transform(name: &str, clusters: &Value, steps: &Value) -> Control {
    let mut spec = json!({"apiGroup": "", "resource": "configmaps"});
    let members = spec.as_object_mut().unwrap();
    members.extend(steps.as_object().unwrap().clone());
    if !clusters.is_null() {
        members.insert("clusterSelectors".into(), clusters.clone());
    }
    mk_control(json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1", "kind": "Transform", "metadata": {"name": name}, "spec": spec,
    }))
}

fn mk_customizer(value: &str, expand: bool) -> Control {
    mk_control(json!({
        "apiVersion": "edge.kubestellar.io/v2alpha1", "kind": "Customizer",
        "metadata": {
            "name": "per-wec", "namespace": "shop",
            "annotations": {"edge.kubestellar.io/expand-parameters": if expand { "true" } else { "false" }},
        },
        "replacements": [{"path": "$.data.a", "value": value}],
    }))
}

fn mk_cluster(name: &str, labels: &[(&str, &str)]) -> Cluster {
    let labels: Labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let mut properties = labels.clone();
    properties.retain(|key, _| crate::model::names::usable_property(key));
    properties.insert("clusterName".into(), name.into());
    Cluster {
        name: ClusterName::from(name),
        labels: Arc::new(labels),
        annotations: Arc::default(),
        properties: Arc::new(properties),
        accepted: true,
        deleting: false,
        joined: None,
        available: None,
        location: None,
    }
}

/// A source, its inventory, and where each object goes.
#[derive(Clone, Default)]
struct Scene {
    objects: Vec<Object>,
    controls: Vec<Control>,
    clusters: Vec<Cluster>,
    /// By the object's name; all WECs for one that is not here.
    placed: BTreeMap<String, (ClusterSet, ClusterSet)>,
}

impl Scene {
    fn render(&self, transformer: &mut Transformer) -> (Rendered, Vec<Diagnostic>) {
        let mut objects = self.objects.clone();
        objects.sort_by(|left, right| left.key.cmp(&right.key));
        let all = ClusterSet::all(self.clusters.len());
        let placements = objects.iter().map(|object| {
            let (clusters, create_only) = self
                .placed
                .get(&*object.key.name)
                .cloned()
                .unwrap_or((all.clone(), ClusterSet::new()));
            let clusters = clusters.intersection(&all);
            Arc::new(Placement {
                create_only: Arc::new(create_only.intersection(&clusters)),
                clusters: Arc::new(clusters),
                ..Placement::default()
            })
        });
        let plan = Plan {
            placements: placements.collect(),
            ..Plan::default()
        };
        let inventory = Arc::new(Inventory {
            clusters: self.clusters.clone(),
        });
        let (rules, problems) = Rules::read(&self.controls);
        assert_eq!(problems, []);
        transformer.render(&objects, &plan, &inventory, &Arc::new(rules))
    }
}

/// What each WEC gets, read back: by WEC and object name.
fn texts(rendered: &Rendered) -> BTreeMap<(String, String), String> {
    let mut texts = BTreeMap::new();
    for object in &rendered.objects {
        for variant in object.variants.iter() {
            for cluster in variant.clusters.iter() {
                let mut bytes = Vec::new();
                variant.bytes_into(cluster, &mut bytes);
                let key = (
                    rendered.clusters[cluster].to_string(),
                    object.key.name.to_string(),
                );
                let twice = texts.insert(key, String::from_utf8(bytes).unwrap());
                assert_eq!(twice, None, "variants overlap");
            }
        }
    }
    texts
}

fn values(rendered: &Rendered) -> BTreeMap<(String, String), Value> {
    let read = |text: String| {
        yaml::load(text.as_bytes(), &yaml::Limits::default())
            .unwrap()
            .into_iter()
            .next()
            .unwrap()
            .value
    };
    texts(rendered)
        .into_iter()
        .map(|(key, text)| (key, read(text)))
        .collect()
}

fn of<'a, T>(found: &'a BTreeMap<(String, String), T>, cluster: &str, object: &str) -> &'a T {
    &found[&(cluster.to_owned(), object.to_owned())]
}

fn mk_two() -> Vec<Cluster> {
    vec![
        mk_cluster("east", &[("region", "eu"), ("tier", "gold")]),
        mk_cluster("west", &[("region", "us")]),
    ]
}

#[test]
fn a_template_is_filled_as_if_the_object_had_been_written_for_the_wec() {
    let awkward = "yes: {{.region}}\n\t# {{.clusterName}}";
    let scene = Scene {
        objects: vec![mk_template(
            "web",
            &json!({"a": "{{.region}}", "b": awkward, "c": "plain {{", "on": "{{len .region}}"}),
        )],
        clusters: mk_two(),
        ..Scene::default()
    };
    let mut broken = scene.clone();
    let (rendered, problems) = scene.render(&mut Transformer::default());
    // `plain {{` is no template at all, so the object is held back whole.
    assert_eq!(rendered.objects.len(), 0);
    assert_eq!(problems[0].reason, "TemplateInvalid");

    broken.objects = vec![mk_template(
        "web",
        &json!({"a": "{{.region}}", "b": awkward, "on": "{{len .region}}"}),
    )];
    let (rendered, problems) = broken.render(&mut Transformer::default());
    assert_eq!(problems, []);
    let texts = texts(&rendered);
    for (cluster, region) in [("east", "eu"), ("west", "us")] {
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "web", "namespace": "shop",
                "annotations": {"control.kubestellar.io/expand-templates": "true"},
            },
            "data": {"a": region, "b": format!("yes: {region}\n\t# {cluster}"), "on": "2"},
        });
        let mut bytes = Vec::new();
        yaml::emit_into(&wanted, &mut bytes);
        assert_eq!(
            *of(&texts, cluster, "web"),
            String::from_utf8(bytes).unwrap()
        );
    }
}

#[test]
fn wecs_with_equal_values_of_what_is_read_share_one_text() {
    let mut scene = Scene {
        objects: vec![
            mk_template("web", &json!({"a": "{{.region}}"})),
            mk_config("plain", &Value::Null, &json!({"a": "{{.region}}"})),
        ],
        clusters: (0..6)
            .map(|number| {
                mk_cluster(
                    &format!("wec-{number}"),
                    &[("region", ["eu", "us"][number % 2])],
                )
            })
            .collect(),
        ..Scene::default()
    };
    let fillings = |scene: &Scene| {
        let (rendered, _) = scene.render(&mut Transformer::default());
        let contents = rendered
            .objects
            .iter()
            .map(|object| match &object.variants[0].content {
                super::Content::Shared(_) => 0,
                super::Content::Filled { fillings, .. } => fillings.len(),
            });
        contents.collect::<Vec<_>>()
    };
    // Without the annotation braces mean nothing.
    assert_eq!(fillings(&scene), [0, 2]);
    scene.objects[0] = mk_template("web", &json!({"a": "{{.region}}", "b": "{{.clusterName}}"}));
    assert_eq!(fillings(&scene), [0, 6]);
}

#[test]
fn a_missing_property_holds_the_object_back_on_just_those_wecs() {
    let scene = Scene {
        objects: vec![mk_template("web", &json!({"tier": "{{.tier}}"}))],
        clusters: mk_two(),
        ..Scene::default()
    };
    let (rendered, problems) = scene.render(&mut Transformer::default());
    assert_eq!(
        of(&values(&rendered), "east", "web")["data"]["tier"],
        "gold"
    );
    assert_eq!(texts(&rendered).len(), 1);
    assert_eq!(rendered.quarantined.len(), 1);
    assert_eq!(
        rendered.quarantined[0].clusters.iter().collect::<Vec<_>>(),
        [1]
    );
    let problem = &problems[0];
    assert_eq!(problem.reason, "TemplateFailed");
    assert_eq!(problem.cluster, Some(ClusterName::from("west")));
    assert!(problem.message.contains("tier"), "{}", problem.message);
    assert!(
        problem
            .help
            .as_deref()
            .unwrap()
            .contains("customization-properties/west")
    );
}

#[test]
fn a_template_that_fails_is_told_with_its_field() {
    let value = json!({"containers": "[]", "a": "{{.tier}}", "b": "{{.tier}}"});
    let mut object = mk_template("web", &value);
    let path = ["data", "a"].map(PathPart::from);
    let scene = Scene {
        objects: vec![object.clone()],
        clusters: mk_two(),
        ..Scene::default()
    };
    let (_, problems) = scene.render(&mut Transformer::default());
    let message = "data.a and 1 more like it: template 1:3: missing property \"tier\"";
    assert_eq!(problems[0].message, message);
    assert_eq!(problems[0].field, Some((object.origin, path.to_vec())));

    // What a rule wrote is not in the source.
    let mut value = object.value();
    value["data"] = json!({});
    object.manifest = Manifest::new(&value);
    let scene = Scene {
        objects: vec![object],
        clusters: mk_two(),
        controls: vec![mk_transform(
            "late",
            &Value::Null,
            &json!({"set": [{"path": "$.data.a", "value": "{{.tier}}"}]}),
        )],
        ..Scene::default()
    };
    let (_, problems) = scene.render(&mut Transformer::default());
    assert!(problems[0].message.starts_with("\"{{.tier}}\": template"));
    assert_eq!(problems[0].field, None);
}

#[test]
fn a_problem_on_many_wecs_is_told_once_and_names_some() {
    let scene = Scene {
        objects: vec![mk_template("web", &json!({"tier": "{{.tier}}"}))],
        clusters: (0..8)
            .map(|number| mk_cluster(&format!("wec-{number}"), &[]))
            .collect(),
        ..Scene::default()
    };
    let (rendered, problems) = scene.render(&mut Transformer::default());
    assert_eq!(rendered.objects.len(), 0);
    assert_eq!(problems.len(), 1);
    let message = &problems[0].message;
    assert!(
        message.ends_with("(on 8 WECs: wec-0, wec-1, wec-2, wec-3, wec-4 and 3 more)"),
        "{message}"
    );
    assert_eq!(problems[0].cluster, None);
}
