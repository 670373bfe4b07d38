//! What each WEC gets of an object, and that a [`Transformer`] with a memory gives what one without would.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Rendered, Rules, Transformer};
use crate::inventory::{Cluster, Inventory};
use crate::model::{
    BlobId, ClusterName, ClusterSet, Diagnostic, Labels, Location, Object, ObjectKey, Origin,
    PathPart, RepoPath, Scope,
};
use crate::placement::{Placement, Plan};
use crate::source::Control;
use crate::yaml;

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

fn mk_object(value: Value) -> Object {
    let key = mk_key(&value);
    let labels = value
        .pointer("/metadata/labels")
        .map(|labels| serde_json::from_value(labels.clone()).unwrap());
    Object {
        version: "v1".into(),
        resource: format!("{}s", key.kind.to_lowercase()).into(),
        scope: if key.namespace.is_empty() {
            Scope::Cluster
        } else {
            Scope::Namespaced
        },
        labels: Arc::new(labels.unwrap_or_default()),
        origin: mk_origin(&value),
        location: Location::file(RepoPath::from(format!("{}.yaml", key.name))),
        key,
        value: Arc::new(value),
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

fn mk_control(value: Value) -> Control {
    Control {
        key: mk_key(&value),
        api_version: text(&value, "/apiVersion").into(),
        location: Location::file(RepoPath::from("rules.yaml")),
        origin: mk_origin(&value),
        value: Arc::new(value),
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
    let mut value = object.value.as_ref().clone();
    value["data"] = json!({});
    object.value = Arc::new(value);
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

#[test]
fn create_only_is_told_to_flux_on_just_those_wecs() {
    let scene = Scene {
        objects: vec![mk_config("web", &Value::Null, &json!({"a": "b"}))],
        clusters: mk_two(),
        placed: [(
            "web".to_owned(),
            ([0, 1].into_iter().collect(), [1].into_iter().collect()),
        )]
        .into(),
        ..Scene::default()
    };
    let (rendered, problems) = scene.render(&mut Transformer::default());
    assert_eq!(problems, []);
    let found = values(&rendered);
    assert_eq!(
        of(&found, "east", "web").pointer("/metadata/annotations"),
        None
    );
    let annotations = json!({"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"});
    assert_eq!(
        of(&found, "west", "web").pointer("/metadata/annotations"),
        Some(&annotations)
    );
    assert_eq!(
        rendered.objects[0].create_only.iter().collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn rules_apply_in_their_order_and_where_they_are_meant_to() {
    let removal = mk_control(json!({
        "apiVersion": "control.kubestellar.io/v1alpha1", "kind": "CustomTransform", "metadata": {"name": "no-secret"},
        "spec": {"apiGroup": "", "resource": "configmaps", "remove": ["$.data.secret"]},
    }));
    let gold = json!([{"matchLabels": {"tier": "gold"}}]);
    let scene = Scene {
        objects: vec![mk_config(
            "web",
            &Value::Null,
            &json!({"secret": "x", "a": "b"}),
        )],
        controls: vec![
            mk_transform(
                "b-later",
                &Value::Null,
                &json!({"patch": {"json": [{"op": "copy", "from": "/data/a", "path": "/data/copy"}]}}),
            ),
            mk_transform(
                "a-first",
                &gold,
                &json!({"set": [{"path": "$.data.a", "value": "gold"}]}),
            ),
            removal,
        ],
        clusters: mk_two(),
        ..Scene::default()
    };
    let (rendered, problems) = scene.render(&mut Transformer::default());
    assert_eq!(problems, []);
    let found = values(&rendered);
    assert_eq!(
        of(&found, "east", "web")["data"],
        json!({"a": "gold", "copy": "gold"})
    );
    assert_eq!(
        of(&found, "west", "web")["data"],
        json!({"a": "b", "copy": "b"})
    );
}

#[test]
fn a_patch_that_does_not_fit_holds_back_only_the_objects_that_it_does_not_fit() {
    let scene = Scene {
        objects: vec![
            mk_config("good", &Value::Null, &json!({"a": "b"})),
            mk_config("odd", &Value::Null, &json!({})),
        ],
        controls: vec![mk_transform(
            "drop-a",
            &json!([{"matchLabels": {"tier": "gold"}}]),
            &json!({"patch": {"json": [{"op": "remove", "path": "/data/a"}]}}),
        )],
        clusters: mk_two(),
        ..Scene::default()
    };
    let (rendered, problems) = scene.render(&mut Transformer::default());
    let found = texts(&rendered);
    let keys: Vec<String> = found
        .keys()
        .map(|(cluster, object)| format!("{cluster}/{object}"))
        .collect();
    assert_eq!(keys, ["east/good", "west/good", "west/odd"]);
    assert_eq!(problems[0].reason, "TransformFailed");
    assert!(
        problems[0].message.contains("drop-a"),
        "{}",
        problems[0].message
    );
}

#[test]
fn no_rule_may_turn_an_object_into_another() {
    for (path, value) in [
        ("$.metadata", json!("gone")),
        ("$.metadata.name", json!("other")),
        ("$.metadata.namespace", json!("other")),
        ("$.kind", json!("Secret")),
        ("$.apiVersion", json!("apps/v1")),
    ] {
        let scene = Scene {
            objects: vec![mk_config("web", &Value::Null, &json!({"a": "b"}))],
            controls: vec![mk_transform(
                "rename",
                &Value::Null,
                &json!({"set": [{"path": path, "value": value}]}),
            )],
            clusters: mk_two(),
            ..Scene::default()
        };
        let (rendered, problems) = scene.render(&mut Transformer::default());
        assert_eq!(rendered.objects.len(), 0, "{path}");
        assert_eq!(problems[0].reason, "TransformFailed", "{path}");
    }
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

#[test]
fn a_customizer_and_parameters_give_each_wec_its_own_words() {
    let annotations = json!({
        "edge.kubestellar.io/customizer": "per-wec",
        "edge.kubestellar.io/expand-parameters": "true",
    });
    let scene = Scene {
        objects: vec![mk_config(
            "page",
            &annotations,
            &json!({"a": "?", "b": "in %(env) env"}),
        )],
        controls: vec![mk_customizer("\"env is %(env)\"", true)],
        clusters: vec![
            mk_cluster("florin", &[("env", "prod")]),
            mk_cluster("guilder", &[("env", "prod"), ("extended", "si")]),
        ],
        ..Scene::default()
    };
    let (rendered, problems) = scene.render(&mut Transformer::default());
    assert_eq!(problems, []);
    let found = values(&rendered);
    for cluster in ["florin", "guilder"] {
        assert_eq!(
            of(&found, cluster, "page")["data"],
            json!({"a": "env is prod", "b": "in prod env"})
        );
    }
}

#[test]
fn a_parameter_or_customizer_that_is_missing_is_named() {
    let annotations = json!({"edge.kubestellar.io/customizer": "per-wec"});
    let mut scene = Scene {
        objects: vec![mk_config("page", &annotations, &json!({"a": "?"}))],
        controls: vec![mk_customizer("\"%(loc-name)\"", true)],
        clusters: vec![
            mk_cluster("florin", &[("loc-name", "florin")]),
            mk_cluster("guilder", &[]),
        ],
        ..Scene::default()
    };
    let (rendered, problems) = scene.render(&mut Transformer::default());
    assert_eq!(
        of(&values(&rendered), "florin", "page")["data"]["a"],
        "florin"
    );
    assert_eq!(
        rendered.quarantined[0].clusters.iter().collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(problems[0].reason, "ParameterFailed");
    assert!(
        problems[0].message.contains("loc-name"),
        "{}",
        problems[0].message
    );

    scene.controls.clear();
    let (rendered, problems) = scene.render(&mut Transformer::default());
    assert_eq!(
        (rendered.objects.len(), problems[0].reason),
        (0, "CustomizerMissing")
    );
}

/// What changes between two renderings.
#[derive(Clone, Debug)]
enum Edit {
    Data(u8, u8),
    Remove(u8),
    Place(u8, u8, u8),
    Cluster(u8),
    Label(u8, u8),
    Transform(u8),
    Removal,
    Customizer(u8),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0_u8..4, 0_u8..6).prop_map(|(object, data)| Edit::Data(object, data)),
        (0_u8..4).prop_map(Edit::Remove),
        (0_u8..4, any::<u8>(), any::<u8>())
            .prop_map(|(object, on, once)| Edit::Place(object, on, once)),
        (0_u8..6).prop_map(Edit::Cluster),
        (0_u8..6, 0_u8..4).prop_map(|(cluster, value)| Edit::Label(cluster, value)),
        (0_u8..5).prop_map(Edit::Transform),
        Just(Edit::Removal),
        (0_u8..3).prop_map(Edit::Customizer),
    ]
}

impl Scene {
    fn edit(&mut self, edit: &Edit) {
        let bits = |bits: u8| {
            (0..8)
                .filter(move |bit| bits >> bit & 1 == 1)
                .collect::<ClusterSet>()
        };
        let name = |object: u8| format!("cm-{object}");
        match *edit {
            Edit::Data(object, data) => {
                self.edit(&Edit::Remove(object));
                let data_of = match data {
                    0 => json!({"a": "plain"}),
                    1 => json!({"a": "{{.region}}"}),
                    2 => json!({"a": "{{.clusterName}} {{.region}}", "b": "{{.tier}}"}),
                    3 => json!({"a": "%(region)", "b": "{{.clusterName}}"}),
                    4 => json!({"a": "{{if eq .region \"r1\"}}one{{else}}other{{end}}"}),
                    _ => json!({"b": "{{"}),
                };
                let annotations = json!({
                    "control.kubestellar.io/expand-templates": if data == 0 { "false" } else { "true" },
                    "edge.kubestellar.io/expand-parameters": if data == 3 { "true" } else { "false" },
                    "edge.kubestellar.io/customizer": if object == 0 { Value::from("per-wec") } else { Value::Null },
                });
                self.objects
                    .push(mk_config(&name(object), &annotations, &data_of));
            }
            Edit::Remove(object) => self
                .objects
                .retain(|known| *known.key.name != *name(object)),
            Edit::Place(object, on, once) => {
                self.placed.insert(name(object), (bits(on), bits(once)));
            }
            Edit::Cluster(number) => {
                let name = format!("wec-{number}");
                match self
                    .clusters
                    .binary_search_by(|cluster| cluster.name.as_str().cmp(&name))
                {
                    Ok(position) => drop(self.clusters.remove(position)),
                    Err(position) => self
                        .clusters
                        .insert(position, mk_cluster(&name, &[("region", "r0")])),
                }
            }
            Edit::Label(number, value) => {
                let name = format!("wec-{number}");
                let region = format!("r{value}");
                let labels: &[(&str, &str)] = if value == 3 {
                    &[("tier", "gold")]
                } else {
                    &[("region", &region), ("tier", &region)]
                };
                for cluster in self
                    .clusters
                    .iter_mut()
                    .filter(|cluster| cluster.name.as_str() == name)
                {
                    *cluster = mk_cluster(&name, labels);
                }
            }
            Edit::Transform(number) => {
                let steps = [
                    json!({"set": [{"path": "$.data.set", "value": "{{.clusterName}}"}]}),
                    json!({"set": [{"path": "$.data.set", "value": "plain"}]}),
                    json!({"patch": {"json": [{"op": "remove", "path": "/data/b"}]}}),
                    json!({"remove": ["$.data.a"]}),
                ];
                self.controls
                    .retain(|control| &*control.key.kind != "Transform");
                if let Some(steps) = steps.get(usize::from(number)) {
                    let clusters = json!([{"matchLabels": {"region": "r1"}}]);
                    self.controls.push(mk_transform("t", &clusters, steps));
                }
            }
            Edit::Removal => {
                let before = self.controls.len();
                self.controls
                    .retain(|control| &*control.key.kind != "CustomTransform");
                if self.controls.len() == before {
                    self.controls.push(mk_control(json!({
                        "apiVersion": "control.kubestellar.io/v1alpha1", "kind": "CustomTransform",
                        "metadata": {"name": "c"},
                        "spec": {"apiGroup": "", "resource": "configmaps", "remove": ["$.data.b"]},
                    })));
                }
            }
            Edit::Customizer(number) => {
                self.controls
                    .retain(|control| &*control.key.kind != "Customizer");
                match number {
                    0 => {}
                    1 => self.controls.push(mk_customizer("\"%(region)\"", true)),
                    _ => self
                        .controls
                        .push(mk_customizer("\"{{.clusterName}}\"", false)),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_transformer_with_a_memory_gives_what_a_fresh_one_gives(
        start in prop::collection::vec(any_edit(), 4..16),
        edits in prop::collection::vec(prop::collection::vec(any_edit(), 0..3), 1..8),
    ) {
        let mut scene = Scene { clusters: (0..4).map(|number| mk_cluster(&format!("wec-{number}"), &[("region", "r1")])).collect(), ..Scene::default() };
        for edit in &start {
            scene.edit(edit);
        }
        let mut transformer = Transformer::default();
        scene.render(&mut transformer);
        for edits in &edits {
            for edit in edits {
                scene.edit(edit);
            }
            let (rendered, problems) = scene.render(&mut transformer);
            let (fresh, fresh_problems) = scene.render(&mut Transformer::default());
            prop_assert_eq!(texts(&rendered), texts(&fresh));
            prop_assert_eq!(&rendered.quarantined, &fresh.quarantined);
            prop_assert_eq!(&rendered.clusters, &fresh.clusters);
            prop_assert_eq!(problems, fresh_problems);
            let once = |rendered: &Rendered| rendered.objects.iter().map(|object| object.create_only.clone()).collect::<Vec<_>>();
            prop_assert_eq!(once(&rendered), once(&fresh));
        }
    }
}
