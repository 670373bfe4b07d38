//! Explain: why an object is, or is not, on a WEC; clause by clause, criterion by criterion, label by label.
//!
//! Nothing is decided here: every answer comes from the matcher and the selectors that decide, asked about one object
//! and one WEC, and the verdict from the plan itself. Data only; the words around it are the command line's.

use schemars::JsonSchema;
use serde::Serialize;

use super::Placement;
use super::matcher::{Criterion, Field, Matcher, OneObject, Test, any_of};
use super::object::{Entry, ObjectFacts};
use super::placer::Placer;
use super::policy::Standing;
use super::policy_table::{LiveStrand, PolicyEntry};
use super::report::names;
use crate::inventory::Cluster;
use crate::model::PathPart;
use crate::model::selector::{RequirementOutcome, Selector};
use crate::model::{ClusterName, Labels, Location, ObjectKey, PolicyName};

/// The most objects that are named as the reason for a Namespace.
const NEEDING: usize = 3;

/// Why one object is, or is not, on one WEC, or on any.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The object that was asked about.
    pub object: ObjectKey,
    /// The WEC that was asked about; none when it was asked about all.
    pub cluster: Option<ClusterName>,
    /// What comes out.
    pub verdict: Verdict,
    /// Why, in sentences without a full stop; the telling one first.
    pub because: Vec<String>,
    /// All WECs that get the object.
    pub destinations: Vec<ClusterName>,
    /// WECs that would get it, were there not an error: what is there stays as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_back: Vec<ClusterName>,
    /// The policy that comes nearest to selecting the object for the WEC, when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<PolicyName>,
    /// What each policy finds, sorted by name.
    pub policies: Vec<PolicyExplanation>,
}

/// What comes out for an object and a WEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It is placed there and kept up to date.
    Placed,
    /// It is created there once, and then left alone.
    CreatedOnce,
    /// It is a Namespace that nothing selects there, and objects that go there need it.
    Implied,
    /// It is placed there, and an error holds it back: what is there stays as it is.
    HeldBack,
    /// It is not placed there, and stays if it is there: a policy with faults may want it.
    Kept,
    /// No policy selects both the object and the WEC.
    NotSelected,
    /// A policy selects both, but the WEC takes no objects.
    NotADestination,
    /// No policy can select an object like this.
    Excluded,
    /// The source holds no such object.
    NoSuchObject,
    /// The inventory holds no such WEC.
    NoSuchCluster,
}

impl Verdict {
    /// Tells whether the object goes out.
    pub fn is_delivered(self) -> bool {
        matches!(self, Self::Placed | Self::CreatedOnce | Self::Implied)
    }
}

/// What one policy finds.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyExplanation {
    /// Its name.
    pub policy: PolicyName,
    /// Where a person finds it.
    pub location: Option<Location>,
    /// Which version of it decides. When that is none, what cannot be read is shown as matching.
    pub standing: Standing,
    /// Its faults.
    pub problems: Vec<String>,
    /// Whether one of its clauses selects the object.
    pub selects_object: bool,
    /// Whether one of its selectors matches the WEC; none when it was asked about all WECs.
    pub selects_cluster: Option<bool>,
    /// How many WECs its selectors match.
    pub matched_clusters: usize,
    /// The selectors over WECs; one is enough.
    pub cluster_selectors: Vec<SelectorExplanation>,
    /// The clauses; one is enough.
    pub clauses: Vec<ClauseExplanation>,
}

/// What one clause finds.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClauseExplanation {
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Whether it selects the object.
    pub satisfied: bool,
    /// Whether what it selects is created once only.
    pub create_only: bool,
    /// All six criteria; all must hold.
    pub criteria: Vec<CriterionExplanation>,
}

/// What one criterion finds.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CriterionExplanation {
    /// The field of the clause: `namespaces`.
    pub field: &'static str,
    /// What it asks for; empty when everything passes.
    pub wants: Vec<String>,
    /// What the object has.
    pub has: String,
    /// Whether it holds.
    pub satisfied: bool,
    /// For a criterion of selectors: each one; one is enough.
    pub selectors: Vec<SelectorExplanation>,
}

/// What one selector finds.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelectorExplanation {
    /// The selector as kubectl prints it.
    pub text: String,
    /// Whether it matches.
    pub satisfied: bool,
    /// Its requirements; all must hold. None when it matches everything. Empty for a WEC that was not named.
    pub requirements: Vec<RequirementOutcome>,
}

impl Explanation {
    /// Takes in that rendering holds the object back on these WECs, and why.
    pub fn hold_back(&mut self, held: Vec<ClusterName>, why: Vec<String>) {
        self.destinations.retain(|name| !held.contains(name));
        let asked = self.cluster.as_ref();
        let nowhere = asked.map_or(self.destinations.is_empty(), |name| held.contains(name));
        if nowhere {
            self.verdict = Verdict::HeldBack;
            self.because.clear();
        }
        self.because.extend(why);
        self.held_back = held;
    }

    /// Takes in that these WECs get the Namespace in question for the sake of these objects. `written` tells whether the
    /// source holds it at all.
    pub fn imply(&mut self, on: Vec<ClusterName>, objects: &[ObjectKey], written: bool) {
        let needing: Vec<String> = objects
            .iter()
            .take(NEEDING)
            .map(ToString::to_string)
            .collect();
        let more = match objects.len() - needing.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (go, need, them) = match objects.len() {
            1 => ("goes", "needs", "it"),
            _ => ("go", "need", "them"),
        };
        let unselected = if written {
            "no policy selects it for there"
        } else {
            "the source does not hold it"
        };
        let why = format!(
            "{}{more} {go} there and {need} it, and {unselected}: a bare Namespace is made for {them}",
            needing.join(", ")
        );
        if self.verdict.is_delivered() {
            self.because.push(why);
        } else {
            self.verdict = Verdict::Implied;
            self.because = vec![why];
            self.nearest = None;
        }
        self.destinations.extend(on);
        self.destinations.sort();
        self.destinations.dedup();
    }
}

impl Placer {
    /// Explains an object on a WEC, or on all WECs when none is named.
    pub fn explain(&mut self, object: &ObjectKey, cluster: Option<&ClusterName>) -> Explanation {
        self.settle();
        let mut explanation = Explanation {
            object: object.clone(),
            cluster: cluster.cloned(),
            verdict: Verdict::NoSuchObject,
            because: vec![format!("the source holds no {object}")],
            destinations: Vec::new(),
            held_back: Vec::new(),
            nearest: None,
            policies: Vec::new(),
        };
        let Some(entry) = self.objects.find(object) else {
            return explanation;
        };
        let position =
            cluster.map(|name| self.clusters.binary_search_by(|known| known.name.cmp(name)));
        if let (Some(Err(_)), Some(name)) = (position, cluster) {
            explanation.verdict = Verdict::NoSuchCluster;
            explanation.because = vec![format!("the inventory holds no WEC {name}")];
            return explanation;
        }
        let position = position.and_then(Result::ok);
        let nowhere = Placement::default();
        let outcome = entry.group.and_then(|group| self.groups.outcome(group));
        let placement = outcome.map_or(&nowhere, |outcome| &*outcome.placement);
        let wec = position.map(|position| &self.clusters[position]);
        let policies = self.policies.iter();
        explanation.policies = policies
            .map(|policy| self.explain_policy(policy, &entry.facts, wec))
            .collect();
        let named = |position: usize| Some(self.clusters.get(position)?.name.clone());
        explanation.destinations = placement.clusters.iter().filter_map(named).collect();
        explanation.verdict = verdict(entry, placement, position, wec, &explanation.policies);
        if explanation.verdict == Verdict::NotSelected {
            let nearest = by_nearness(&explanation.policies, placement);
            explanation.nearest = nearest.first().map(|policy| policy.policy.clone());
            explanation.because = shortfalls(&nearest, wec);
        } else {
            explanation.because = because(&explanation, &entry.facts, wec);
        }
        explanation
    }

    fn explain_policy(
        &self,
        entry: &PolicyEntry,
        facts: &ObjectFacts,
        cluster: Option<&Cluster>,
    ) -> PolicyExplanation {
        let namespace_labels = self
            .objects
            .index
            .known_namespace_labels(&facts.key.namespace);
        let object = OneObject {
            facts,
            namespace_labels: &namespace_labels,
        };
        let strands: Vec<&LiveStrand> = entry
            .strands
            .iter()
            .filter_map(|&id| self.policies.strand(id))
            .collect();
        let mut clauses: Vec<ClauseExplanation> = strands
            .iter()
            .flat_map(|live| {
                let create_only = live.strand.modulation.create_only;
                let matchers = live.strand.matchers.iter();
                matchers.map(move |(index, matcher)| (*index, matcher, create_only))
            })
            .map(|(index, matcher, create_only)| {
                explain_clause(index, matcher, create_only, &object)
            })
            .collect();
        clauses.sort_by_key(|clause| clause.index);
        let selectors = &entry.compiled.cluster_selectors;
        let labels = cluster.map(|cluster| &*cluster.labels);
        PolicyExplanation {
            policy: entry.policy.name.clone(),
            location: entry.policy.location.clone(),
            standing: entry.standing,
            problems: entry
                .problems
                .iter()
                .map(|problem| match problem.path.as_slice() {
                    [] => problem.message.clone(),
                    path => format!("{}: {}", PathPart::join(path), problem.message),
                })
                .collect(),
            selects_object: strands.iter().any(|live| live.select(&object)),
            selects_cluster: labels.map(|labels| any_of(selectors, labels)),
            matched_clusters: entry.matched.len(),
            cluster_selectors: match labels {
                Some(labels) => explain_selectors(selectors, labels),
                None => selectors
                    .iter()
                    .map(SelectorExplanation::without_labels)
                    .collect(),
            },
            clauses,
        }
    }
}

fn explain_clause(
    index: usize,
    matcher: &Matcher,
    create_only: bool,
    object: &OneObject<'_>,
) -> ClauseExplanation {
    ClauseExplanation {
        index,
        satisfied: matcher.select(object),
        create_only,
        criteria: matcher
            .criteria
            .iter()
            .map(|criterion| explain_criterion(criterion, object))
            .collect(),
    }
}

fn explain_criterion(criterion: &Criterion, object: &OneObject<'_>) -> CriterionExplanation {
    let facts = object.facts;
    let texts = |selectors: &[Selector]| selectors.iter().map(selector_text).collect();
    let (wants, selectors) = match &criterion.test {
        Test::Any => (Vec::new(), Vec::new()),
        Test::OneOf(_, values) => (values.clone(), Vec::new()),
        Test::Object(selectors) => (
            texts(selectors),
            explain_selectors(selectors, &facts.labels),
        ),
        Test::Namespace(selectors) if facts.is_namespaced() => (
            texts(selectors),
            explain_selectors(selectors, object.namespace_labels),
        ),
        Test::Namespace(selectors) => (texts(selectors), Vec::new()),
    };
    let value = |field: Field| field.value(facts).to_string();
    let has = match criterion.field {
        "resources" => value(Field::Resource),
        "namespaces" => value(Field::Namespace),
        "objectNames" => value(Field::Name),
        "apiGroup" => value(Field::Group),
        "objectSelectors" => labels_text(&facts.labels),
        _ if facts.is_namespaced() => labels_text(object.namespace_labels),
        _ => "cluster-scoped".to_owned(),
    };
    CriterionExplanation {
        field: criterion.field,
        wants,
        has,
        satisfied: criterion.test.select(object),
        selectors,
    }
}

fn explain_selectors(selectors: &[Selector], labels: &Labels) -> Vec<SelectorExplanation> {
    let explain = |selector: &Selector| SelectorExplanation {
        text: selector_text(selector),
        satisfied: selector.matches(labels),
        requirements: selector.evaluate(labels),
    };
    selectors.iter().map(explain).collect()
}

/// Writes a selector as kubectl does, but for the one that matches everything: that is written as in a manifest.
fn selector_text(selector: &Selector) -> String {
    if selector.is_empty() {
        return "{}".to_owned();
    }
    selector.to_string()
}

impl SelectorExplanation {
    /// For a selector over WECs when no WEC was named.
    fn without_labels(selector: &Selector) -> Self {
        Self {
            text: selector_text(selector),
            satisfied: selector.is_empty(),
            requirements: Vec::new(),
        }
    }
}

/// Reads the verdict off the plan.
fn verdict(
    entry: &Entry,
    placement: &Placement,
    position: Option<usize>,
    cluster: Option<&Cluster>,
    policies: &[PolicyExplanation],
) -> Verdict {
    let within = |set: &crate::model::ClusterSet| match position {
        Some(position) => set.contains(position),
        None => !set.is_empty(),
    };
    if entry.facts.excluded.is_some() {
        return Verdict::Excluded;
    }
    if within(&placement.clusters) {
        let everywhere = position.is_some() || placement.create_only == placement.clusters;
        return if everywhere && within(&placement.create_only) {
            Verdict::CreatedOnce
        } else {
            Verdict::Placed
        };
    }
    if within(&placement.kept) {
        return Verdict::Kept;
    }
    let wanted = policies
        .iter()
        .any(|policy| policy.selects_object && policy.selects_cluster == Some(true));
    if wanted && cluster.is_some_and(|cluster| !cluster.is_destination()) {
        Verdict::NotADestination
    } else {
        Verdict::NotSelected
    }
}

/// Says in sentences what decided.
fn because(
    explanation: &Explanation,
    facts: &ObjectFacts,
    cluster: Option<&Cluster>,
) -> Vec<String> {
    let there = cluster.map_or_else(String::new, |cluster| format!(" for {}", cluster.name));
    let by = |want: &dyn Fn(&PolicyExplanation) -> bool| {
        let policies = explanation.policies.iter().filter(|policy| {
            policy.selects_object && policy.selects_cluster != Some(false) && want(policy)
        });
        let list: Vec<PolicyName> = policies.map(|policy| policy.policy.clone()).collect();
        names(&list)
    };
    let known = |policy: &PolicyExplanation| policy.standing != Standing::Unknown;
    let unknown = |policy: &PolicyExplanation| policy.standing == Standing::Unknown;
    match explanation.verdict {
        Verdict::Placed => vec![format!("{} selects it{there}", by(&known))],
        Verdict::CreatedOnce => vec![format!("{} selects it{there}, with createOnly", by(&known))],
        Verdict::Kept => vec![format!(
            "{} has faults and may want it{there}: what is there stays",
            by(&unknown)
        )],
        Verdict::Excluded => vec![format!(
            "{} is never delivered: {}",
            facts.key,
            facts.excluded.unwrap_or_default()
        )],
        Verdict::NotADestination => {
            let why = cluster
                .and_then(Cluster::why_no_destination)
                .unwrap_or_default();
            vec![format!("the WEC {why}")]
        }
        // What rendering adds, and what is told before anything is looked up.
        Verdict::NotSelected
        | Verdict::Implied
        | Verdict::HeldBack
        | Verdict::NoSuchObject
        | Verdict::NoSuchCluster => explanation.because.clone(),
    }
}

/// Sorts the policies that do not put the object on the WEC: first the one that comes nearest to it.
fn by_nearness<'p>(
    policies: &'p [PolicyExplanation],
    placement: &Placement,
) -> Vec<&'p PolicyExplanation> {
    let mut sorted: Vec<&PolicyExplanation> = policies.iter().collect();
    sorted.sort_by_key(|policy| {
        // A policy that has half of it right is most likely the one that was meant.
        let selects = policy.selects_object || placement.policies.contains(&policy.policy);
        let missed = if selects {
            nearest_selector(policy).map_or(0, missed_requirements)
        } else {
            let clause = nearest_clause(policy);
            clause.map_or(usize::MAX, |clause| missed_criteria(clause).count())
        };
        (!selects, policy.selects_cluster == Some(false), missed)
    });
    sorted
}

fn shortfalls(policies: &[&PolicyExplanation], cluster: Option<&Cluster>) -> Vec<String> {
    if policies.is_empty() {
        return vec!["there are no policies".to_owned()];
    }
    let all = policies.iter();
    all.map(|policy| shortfall(policy, cluster)).collect()
}

/// Says what one policy lacks to put the object on the WEC.
fn shortfall(policy: &PolicyExplanation, cluster: Option<&Cluster>) -> String {
    let name = &policy.policy;
    if policy.selects_object {
        return match (nearest_selector(policy), cluster) {
            (None, _) => {
                format!("{name} selects the object, but no WEC: its clusterSelectors are empty")
            }
            (Some(_), None) if policy.matched_clusters == 0 => {
                format!("{name} selects the object, but no WEC has labels that it wants")
            }
            (Some(_), None) => format!("{name} selects the object, but no WEC that takes objects"),
            (Some(selector), Some(cluster)) => {
                let wec = &cluster.name;
                format!(
                    "{name} selects the object, but not {wec}: {}",
                    missing(selector)
                )
            }
        };
    }
    let Some(nearest) = nearest_clause(policy) else {
        return format!("{name} selects no object: its downsync is empty");
    };
    let missed: Vec<String> = missed_criteria(nearest)
        .map(|criterion| {
            let wants = criterion.wants.join(" | ");
            format!(
                "{} wants {wants:?}, the object has {:?}",
                criterion.field, criterion.has
            )
        })
        .collect();
    format!(
        "{name} does not select the object: in clause {}, {}",
        nearest.index,
        missed.join("; ")
    )
}

/// Says which labels of a WEC are not those that a selector wants.
fn missing(selector: &SelectorExplanation) -> String {
    let missed = selector.requirements.iter().filter(|one| !one.satisfied);
    let texts = missed.map(|one| match &one.actual {
        Some(value) => format!("it wants {}, and the label is {value:?}", one.text),
        None => format!("it wants {}, and there is no such label", one.text),
    });
    texts.collect::<Vec<_>>().join("; ")
}

fn nearest_selector(policy: &PolicyExplanation) -> Option<&SelectorExplanation> {
    let selectors = policy.cluster_selectors.iter();
    selectors.min_by_key(|selector| missed_requirements(selector))
}

fn missed_requirements(selector: &SelectorExplanation) -> usize {
    let requirements = selector.requirements.iter();
    requirements.filter(|one| !one.satisfied).count()
}

fn nearest_clause(policy: &PolicyExplanation) -> Option<&ClauseExplanation> {
    let clauses = policy.clauses.iter();
    clauses.min_by_key(|clause| missed_criteria(clause).count())
}

fn missed_criteria(clause: &ClauseExplanation) -> impl Iterator<Item = &CriterionExplanation> {
    clause.criteria.iter().filter(|one| !one.satisfied)
}

/// Writes labels as kubectl does.
fn labels_text(labels: &Labels) -> String {
    if labels.is_empty() {
        return "no labels".to_owned();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}
