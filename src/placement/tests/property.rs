//! Placement against a naive reference, and edits against starting over.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use super::reference;
use super::*;

fn labels() -> impl Strategy<Value = Arc<Labels>> {
    let pair = (select(vec!["env", "tier"]), select(vec!["a", "b", ""]));
    vec(pair, 0..3).prop_map(|pairs| mk_labels(&pairs))
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let operator = prop_oneof![
        8 => Just("In"), 8 => Just("NotIn"), 6 => Just("Exists"), 6 => Just("DoesNotExist"), 1 => Just("Like"),
    ];
    let values = subsequence(vec!["a", "b", ""], 1..3);
    let expression =
        (select(vec!["env", "tier"]), operator, values).prop_map(|(key, operator, values)| {
            let takes_values = operator.ends_with("In");
            LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: if takes_values {
                    strings(&values)
                } else {
                    Vec::new()
                },
            }
        });
    let labels = prop_oneof![3 => Just(Arc::default()), 1 => labels()];
    (labels, vec(expression, 0..3)).prop_map(|(labels, match_expressions)| LabelSelector {
        match_labels: (*labels).clone(),
        match_expressions,
    })
}

fn names_of(all: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        2 => Just(Vec::new()),
        3 => subsequence(all, 1..=all.len()).prop_map(|names| strings(&names)),
    ]
}

fn clause() -> impl Strategy<Value = Clause> {
    let what = (
        option::of(select(vec!["", "apps"])),
        names_of(&["configmaps", "deployments", "namespaces", "*"]),
        names_of(&["n1", "n2", "", "*"]),
        names_of(&["x", "n1", "*"]),
        vec(selector(), 0..2),
        vec(selector(), 0..3),
    );
    let how = (
        any::<bool>(),
        names_of(&["s", "t"]),
        any::<bool>(),
        any::<bool>(),
    );
    (what, how).prop_map(|(what, how)| Clause {
        api_group: what.0.map(ToOwned::to_owned),
        resources: what.1,
        namespaces: what.2,
        object_names: what.3,
        object_selectors: what.4,
        namespace_selectors: what.5,
        create_only: how.0,
        status_collectors: how.1,
        want_singleton_reported_state: how.2,
        want_multi_wec_reported_state: how.3,
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let parts = (vec(selector(), 0..3), vec(clause(), 0..3));
    let unreadable = prop_oneof![20 => Just(None), 1 => Just(Some("no sense".to_owned()))];
    let name = select(vec!["p", "q", "r", "s"]);
    (name, parts, unreadable).prop_map(|(name, (cluster_selectors, clauses), unreadable)| Policy {
        cluster_selectors,
        unreadable,
        ..mk_policy(name, clauses)
    })
}

fn object() -> impl Strategy<Value = ObjectFacts> {
    let path = select(vec![
        "/configmaps/ConfigMap/n1/x",
        "/configmaps/ConfigMap/n1/y",
        "/configmaps/ConfigMap/n2/x",
        "apps/deployments/Deployment/n1/x",
        "apps/deployments/Deployment/n2/y",
        "/namespaces/Namespace//n1",
        "/namespaces/Namespace//n2",
        "example.com/things/Thing//x",
    ]);
    let excluded = prop_oneof![9 => Just(None), 1 => Just(Some("is excluded"))];
    (path, labels(), excluded).prop_map(|(path, labels, excluded)| ObjectFacts {
        labels,
        excluded,
        ..mk_object(path, &[])
    })
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let name = select(vec!["c1", "c2", "c3", "c4", "c5"]);
    (name, labels(), 0..10u8).prop_map(|(name, labels, state)| Cluster {
        labels,
        accepted: state != 0,
        deleting: state == 1,
        available: (state == 2).then_some(false),
        ..mk_cluster(name, &[])
    })
}

#[derive(Clone, Debug)]
enum Edit {
    Object(ObjectFacts),
    NoObject(Index),
    Objects(Vec<ObjectFacts>),
    Namespace(&'static str, Option<Arc<Labels>>),
    Policy(Policy),
    NoPolicy(Index),
    Policies(Vec<Policy>),
    Cluster(Cluster),
    NoCluster(Index),
    Clusters(Vec<Cluster>),
    Plan,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => object().prop_map(Edit::Object),
        2 => any::<Index>().prop_map(Edit::NoObject),
        1 => vec(object(), 0..8).prop_map(Edit::Objects),
        3 => (select(vec!["n1", "n2"]), option::of(labels())).prop_map(|(name, labels)| Edit::Namespace(name, labels)),
        6 => policy().prop_map(Edit::Policy),
        2 => any::<Index>().prop_map(Edit::NoPolicy),
        1 => vec(policy(), 0..4).prop_map(Edit::Policies),
        6 => cluster().prop_map(Edit::Cluster),
        2 => any::<Index>().prop_map(Edit::NoCluster),
        1 => vec(cluster(), 0..5).prop_map(Edit::Clusters),
        6 => Just(Edit::Plan),
    ]
}

/// What is there after some edits.
#[derive(Clone, Debug, Default)]
struct State {
    objects: BTreeMap<ObjectKey, ObjectFacts>,
    namespaces: BTreeMap<String, Arc<Labels>>,
    policies: BTreeMap<PolicyName, Policy>,
    clusters: BTreeMap<ClusterName, Cluster>,
}

fn pick<K: Clone, V>(map: &BTreeMap<K, V>, index: Index) -> Option<K> {
    (!map.is_empty())
        .then(|| map.keys().nth(index.index(map.len())).cloned())
        .flatten()
}

impl State {
    fn objects(&self) -> Vec<ObjectFacts> {
        self.objects.values().cloned().collect()
    }

    fn policies(&self) -> Vec<Policy> {
        self.policies.values().cloned().collect()
    }

    fn inventory(&self) -> Inventory {
        mk_inventory(self.clusters.values().cloned().collect())
    }

    fn place(&self) -> (Plan, Vec<Diagnostic>) {
        place(
            self.objects(),
            &self.namespaces,
            self.policies(),
            &self.inventory(),
        )
    }

    fn apply(&mut self, edit: Edit, placer: &mut Placer) {
        match edit {
            Edit::Object(facts) => {
                self.objects.insert(facts.key.clone(), facts.clone());
                placer.upsert_object(facts);
            }
            Edit::NoObject(index) => {
                if let Some(key) = pick(&self.objects, index) {
                    self.objects.remove(&key);
                    placer.remove_object(&key);
                }
            }
            Edit::Objects(objects) => {
                self.objects = objects
                    .into_iter()
                    .map(|facts| (facts.key.clone(), facts))
                    .collect();
                placer.set_objects(self.objects().into_iter().rev().collect());
            }
            Edit::Namespace(name, labels) => {
                match labels.clone() {
                    Some(labels) => self.namespaces.insert(name.to_owned(), labels),
                    None => self.namespaces.remove(name),
                };
                placer.set_namespace_labels(name, labels);
            }
            Edit::Policy(policy) => {
                self.policies.insert(policy.name.clone(), policy.clone());
                placer.upsert_policy(policy);
            }
            Edit::NoPolicy(index) => {
                if let Some(name) = pick(&self.policies, index) {
                    self.policies.remove(&name);
                    placer.remove_policy(&name);
                }
            }
            Edit::Policies(policies) => {
                self.policies = policies
                    .iter()
                    .map(|policy| (policy.name.clone(), policy.clone()))
                    .collect();
                placer.set_policies(policies);
            }
            Edit::Cluster(cluster) => {
                self.clusters.insert(cluster.name.clone(), cluster.clone());
                placer.upsert_cluster(cluster);
            }
            Edit::NoCluster(index) => {
                if let Some(name) = pick(&self.clusters, index) {
                    self.clusters.remove(&name);
                    placer.remove_cluster(&name);
                }
            }
            Edit::Clusters(clusters) => {
                self.clusters = clusters
                    .into_iter()
                    .map(|cluster| (cluster.name.clone(), cluster))
                    .collect();
                placer.set_inventory(&self.inventory());
            }
            Edit::Plan => drop(placer.plan()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_way_there_gives_the_plan_of_starting_over(edits in vec(edit(), 1..40)) {
        let mut placer = Placer::new();
        let mut state = State::default();
        for edit in edits {
            state.apply(edit, &mut placer);
        }
        prop_assert_eq!(placer.plan(), state.place());
    }

    #[test]
    fn the_plan_is_that_of_the_naive_reference_and_explanations_agree_with_it(edits in vec(edit(), 10..60)) {
        let mut placer = Placer::new();
        let mut state = State::default();
        for edit in edits {
            state.apply(edit, &mut placer);
        }
        let (plan, _) = state.place();
        let wanted = reference::answer(&state.objects(), &state.namespaces, &state.policies(), &state.inventory());
        prop_assert_eq!(&reference::read(&plan, &state.objects(), &state.inventory()), &wanted);
        for (key, wanted) in &wanted.objects {
            for (name, cluster) in &state.clusters {
                let explanation = placer.explain(key, Some(name));
                let is_there = wanted.clusters.contains(name.as_str());
                let verdict = explanation.verdict;
                prop_assert_eq!(is_there, matches!(verdict, Verdict::Placed | Verdict::CreatedOnce), "{:?}", explanation);
                prop_assert_eq!(wanted.create_only.contains(name.as_str()), verdict == Verdict::CreatedOnce);
                prop_assert_eq!(wanted.kept.contains(name.as_str()), verdict == Verdict::Kept);
                prop_assert!(verdict != Verdict::NotADestination || !cluster.is_destination());
                prop_assert_eq!(state.objects[key].excluded.is_some(), verdict == Verdict::Excluded);
                let selecting = explanation.policies.iter().filter(|policy| {
                    policy.selects_object && policy.standing != Standing::Unknown
                });
                let selecting: Vec<&str> = selecting.map(|policy| policy.policy.as_str()).collect();
                if verdict != Verdict::Excluded {
                    prop_assert_eq!(selecting, wanted.policies.iter().collect::<Vec<_>>());
                }
                for policy in &explanation.policies {
                    for clause in &policy.clauses {
                        let all = clause.criteria.iter().all(|criterion| criterion.satisfied);
                        prop_assert_eq!(clause.satisfied, all, "a clause is its criteria, all of them");
                    }
                }
            }
        }
    }
}
