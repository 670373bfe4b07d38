//! Properties of the whole chain: what does not matter changes nothing, and what is remembered changes no result.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::Config};
use stellate::reconcile::Outcome;

use crate::support::{
    self,
    site::{GENERATED, SMALL, Site, unguarded},
};

/// The documents of [`SMALL`], in order.
fn documents() -> Vec<String> {
    let documents = SMALL.iter().flat_map(|(_, text)| text.split("---\n"));
    documents.map(str::to_owned).collect()
}

fn clusters_tree(site: &Site) -> String {
    site.repository
        .git(&["rev-parse", &format!("{GENERATED}:clusters")])
}

/// A source in whose parts anything may change: each number chooses a variant of one file.
#[derive(Clone, Debug, Default)]
struct State(BTreeMap<Part, u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Object(u8),
    Policy(u8),
    Cluster(u8),
    Properties(u8),
    Transform(u8),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => (0..6_u8).prop_map(Part::Object),
        2 => (0..3_u8).prop_map(Part::Policy),
        2 => (0..4_u8).prop_map(Part::Cluster),
        1 => (0..4_u8).prop_map(Part::Properties),
        1 => (0..2_u8).prop_map(Part::Transform),
    ]
}

/// Edits: a part and its new variant; 0 removes it.
fn edits() -> impl Strategy<Value = Vec<Vec<(Part, u8)>>> {
    let one = (part(), prop_oneof![1 => Just(0_u8), 4 => 1..5_u8]);
    prop::collection::vec(prop::collection::vec(one, 1..4), 1..5)
}

impl State {
    fn begin() -> Self {
        let objects = (0..6).map(Part::Object);
        let policies = (0..3).map(Part::Policy);
        let clusters = (0..3).map(Part::Cluster);
        Self(
            objects
                .chain(policies)
                .chain(clusters)
                .map(|part| (part, 1))
                .collect(),
        )
    }

    fn apply(&mut self, edits: &[(Part, u8)]) {
        for &(part, variant) in edits {
            match variant {
                // Without any WEC the delivery would be held.
                0 if part == Part::Cluster(0) => {}
                0 => drop(self.0.remove(&part)),
                _ => drop(self.0.insert(part, variant)),
            }
        }
    }

    fn files(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|(part, variant)| file(*part, *variant))
            .collect()
    }
}

fn file(part: Part, variant: u8) -> (String, String) {
    match part {
        Part::Object(number) => {
            let data = match variant {
                1 => "a: \"1\"".to_owned(),
                2 => "a: \"{{ .clusterName }} {{ .env }}\"".to_owned(),
                3 => "a: \"{{ .color }}\"\n  b: plain".to_owned(),
                _ => format!("a: \"{variant}\"\n  c: gone"),
            };
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: o{number}\n  namespace: n{}\n  labels: {{tier: t{variant}}}\n  annotations: {{control.kubestellar.io/expand-templates: \"true\"}}\ndata:\n  {data}\n",
                number % 2
            );
            (format!("workloads/o{number}.yaml"), text)
        }
        Part::Policy(number) => {
            let (clusters, clause) = match variant {
                1 => ("{}", format!("objectNames: [o{number}, o{}]", number + 3)),
                2 => ("{matchLabels: {env: prod}}", "namespaces: [n0]".to_owned()),
                3 => (
                    "{matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}",
                    "objectSelectors: [{matchLabels: {tier: t1}}]".to_owned(),
                ),
                // Nobody can read this one.
                _ => (
                    "{matchExpressions: [{key: env, operator: Nowhere}]}",
                    "namespaces: [n1]".to_owned(),
                ),
            };
            let text = format!(
                "apiVersion: control.kubestellar.io/v1alpha1\nkind: BindingPolicy\nmetadata: {{name: p{number}}}\nspec:\n  clusterSelectors: [{clusters}]\n  downsync:\n  - {clause}\n"
            );
            (format!("policies/p{number}.yaml"), text)
        }
        Part::Cluster(number) => {
            let labels = ["env: prod", "env: test", "env: prod, color: red", "size: s"];
            let text = format!(
                "apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata: {{name: c{number}, labels: {{{}}}}}\nspec: {{hubAcceptsClient: true}}\n",
                labels[usize::from(variant) - 1]
            );
            (format!("inventory/c{number}.yaml"), text)
        }
        Part::Properties(number) => {
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}, namespace: customization-properties}}\ndata: {{color: blue{variant}}}\n"
            );
            (format!("inventory/p{number}.yaml"), text)
        }
        Part::Transform(number) => {
            let remove = ["$.data.c", "$.metadata.labels", "$.data.b", "$.data.nosuch"];
            let resource = ["configmaps", "services"][usize::from(number)];
            let text = format!(
                "apiVersion: control.kubestellar.io/v1alpha1\nkind: CustomTransform\nmetadata: {{name: t{number}}}\nspec: {{apiGroup: \"\", resource: {resource}, remove: [\"{}\"]}}\n",
                remove[usize::from(variant) - 1]
            );
            (format!("policies/t{number}.yaml"), text)
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 8, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_files_that_objects_are_in_do_not_matter(
        order in Just((0..documents().len()).collect::<Vec<_>>()).prop_shuffle(),
        homes in prop::collection::vec(0..5_usize, documents().len()),
    ) {
        let documents = documents();
        let mut files: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (place, &document) in order.iter().enumerate() {
            let name = ["all.yaml", "z/b.yml", "a/b/c.yaml", "0.yaml", "policies/x.yaml"][homes[place]];
            files.entry(name.to_owned()).or_default().push(&documents[document]);
        }
        let files: Vec<(String, String)> = files.into_iter().map(|(name, parts)| (name, parts.join("---\n"))).collect();
        let mut site = Site::small("order");
        let tree = clusters_tree(&site);
        let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
        site.repository.commit("Elsewhere", &borrowed);
        let tip = site.tip();
        site.deliver();
        prop_assert_eq!(site.tip(), tip, "the branch stays");
        site.repository.git(&["update-ref", "-d", "refs/heads/generated"]);
        site.restart();
        site.deliver();
        prop_assert_eq!(clusters_tree(&site), tree);
    }

    #[test]
    fn what_is_remembered_changes_no_result(steps in edits()) {
        let mut state = State::begin();
        let mut warm = Site::empty("warm");
        warm.options = unguarded();
        let mut stored = Site::empty("stored");
        stored.options = unguarded();
        let mut cold = Site::empty("cold");
        cold.options = unguarded();
        for step in std::iter::once(&Vec::new()).chain(&steps) {
            state.apply(step);
            let files = state.files();
            let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
            for site in [&mut warm, &mut stored, &mut cold] {
                site.repository.commit("Step", &borrowed);
            }
            stored.reopen();
            cold.restart();
            let outcomes = [warm.deliver().1, stored.deliver().1, cold.deliver().1];
            prop_assert!(!matches!(outcomes[0].outcome, Outcome::Held(_)), "{:?}", outcomes[0].outcome);
            for (outcome, site) in [(&outcomes[1], &stored), (&outcomes[2], &cold)] {
                prop_assert_eq!(&outcomes[0].outcome, &outcome.outcome);
                prop_assert_eq!(&outcomes[0].change, &outcome.change);
                prop_assert_eq!(clusters_tree(&warm), clusters_tree(site));
            }
            let verified = warm.verify(GENERATED);
            prop_assert!(verified.differences.is_empty(), "{:?}", verified.differences);
        }
        warm.expect_sound();
        stored.expect_sound();
        cold.expect_sound();
    }
}

#[test]
fn the_same_commit_rendered_twice_gives_the_same_commit_id() {
    let mut site = Site::small("twice");
    let tip = site.tip();
    for name in ["refs/heads/generated", "refs/notes/hydrator.metadata"] {
        site.repository.git(&["update-ref", "-d", name]);
    }
    site.restart();
    site.deliver();
    assert_eq!(site.tip(), tip);
}

#[test]
fn what_no_wec_sees_leaves_the_branch_and_moves_the_note() {
    let mut site = Site::small("irrelevant");
    let tip = site.tip();
    let inventory = SMALL[0].1.replace("region: us,", "region: us, rack: r7,");
    for (path, text) in [
        ("README.md", "hello\n"),
        ("docs/values.yaml", "a: b\n"),
        ("inventory.yaml", &inventory),
        (
            "workloads/elsewhere.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: nowhere}\n",
        ),
    ] {
        let source = site.change(&[(path, text)]);
        let (_, delivery) = site.deliver();
        assert!(delivery.change.is_empty(), "{path}");
        assert_eq!(site.tip(), tip, "{path}");
        assert!(site.noted().contains(&source), "{path}");
        assert_eq!(site.verify(GENERATED).differences, [""; 0]);
    }
    support::git::git(
        site.repository.path(),
        &["fsck", "--strict", "--no-dangling"],
    );
}
