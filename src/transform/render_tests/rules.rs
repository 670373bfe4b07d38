//! What rules make of an object: CustomTransforms, Transforms and Customizers, in their order and on their WECs.

use super::*;

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

#[test]
fn what_looks_at_no_wec_is_not_rendered_again_when_a_wec_changes() {
    let plain = mk_config("plain", &json!({}), &json!({"a": "1"}));
    let filled = mk_template("filled", &json!({"a": "{{.region}}"}));
    let selected = mk_control(json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1", "kind": "Transform", "metadata": {"name": "golden"},
        "spec": {
            "apiGroup": "apps", "resource": "deployments", "clusterSelectors": [{"matchLabels": {"tier": "gold"}}],
            "set": [{"path": "$.spec.replicas", "value": 3}],
        },
    }));
    let counted = mk_object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "counted", "namespace": "shop"},
        "spec": {"replicas": 1},
    }));
    let mut scene = Scene {
        objects: vec![plain, filled, counted],
        controls: vec![selected],
        clusters: mk_two(),
        ..Scene::default()
    };
    let mut transformer = Transformer::default();
    let (before, problems) = scene.render(&mut transformer);
    assert_eq!(problems, []);
    scene.clusters = vec![
        mk_cluster("east", &[("region", "eu")]),
        mk_cluster("west", &[("region", "asia"), ("tier", "gold")]),
    ];
    let (after, problems) = scene.render(&mut transformer);
    assert_eq!(problems, []);
    assert_eq!(
        values(&after),
        values(&scene.render(&mut Transformer::default()).0)
    );
    let same: Vec<(&str, bool)> = before
        .objects
        .iter()
        .zip(&after.objects)
        .map(|(one, other)| (&*one.key.name, Arc::ptr_eq(&one.variants, &other.variants)))
        .collect();
    assert_eq!(
        same,
        [("filled", false), ("plain", true), ("counted", false)]
    );
}
