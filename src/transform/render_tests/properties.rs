//! A Transformer with a memory gives what one without would, whatever changes in between.

use proptest::prelude::*;

use super::*;

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
