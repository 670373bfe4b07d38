//! Policies as placement takes them, and their compilation: from selectors as written to matchers, with what is wrong.
//!
//! A BindingPolicy and a legacy EdgePlacement both become a [`Policy`]; whoever assembles the input does that.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::matcher::{Criterion, Field, Matcher, Test};
use crate::model::PathPart;
use crate::model::api::DownsyncClause;
use crate::model::api::label_selector::LabelSelector;
use crate::model::selector::Selector;
use crate::model::{Diagnostic, Location, PolicyName};

/// What goes where, as written. Policies are told apart by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// Where a person finds it.
    pub location: Option<Location>,
    /// Which WECs: those that one of these matches. None at all when empty.
    pub cluster_selectors: Vec<LabelSelector>,
    /// Which objects: those that one of these selects.
    pub clauses: Vec<DownsyncClause>,
    /// Why nothing above could be read, when the policy exists and its text makes no sense.
    pub unreadable: Option<String>,
}

/// A fault of a policy, with the field that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    /// A fixed word: `InvalidSelector`, `ClauseSelectsAll`, `UnreadablePolicy`.
    pub reason: &'static str,
    /// The way to the field from the top of a BindingPolicy; empty when it is the policy as a whole.
    pub path: Vec<PathPart>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
}

/// Where the answer for a policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// From the policy itself.
    Good,
    /// It has faults: nobody can say what it selects.
    Unknown,
}

/// A policy, ready to decide.
///
/// When its standing is [`Standing::Unknown`], it holds everything that what is written could mean: what cannot be read
/// is taken to match. What it then selects is never placed, and never removed.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledPolicy {
    /// Where the answer comes from.
    pub standing: Standing,
    /// Which WECs: those that one of these matches.
    pub cluster_selectors: Vec<Selector>,
    /// The clauses, by what they do to the objects they select; each modulation once.
    pub(super) strands: Vec<Strand>,
}

/// The clauses of a policy that treat their objects alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Strand {
    pub(super) modulation: Modulation,
    /// With the clause's place in the policy.
    pub(super) matchers: Vec<(usize, Matcher)>,
}

/// How selected objects are delivered, and whose status comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Modulation {
    pub(super) create_only: bool,
    pub(super) status_collectors: BTreeSet<String>,
    pub(super) want_singleton_reported_state: bool,
    pub(super) want_multi_wec_reported_state: bool,
}

/// Compiles a policy. Any problem makes its standing [`Standing::Unknown`].
pub fn compile(policy: &Policy) -> (CompiledPolicy, Vec<PolicyProblem>) {
    let mut problems = Vec::new();
    let spec = PathPart::from("spec");
    let mut cluster_selectors = compile_selectors(
        &policy.cluster_selectors,
        &[spec.clone(), "clusterSelectors".into()],
        &mut problems,
    );
    let mut strands: Vec<Strand> = Vec::new();
    let mut add = |modulation, index, matcher| match strands
        .iter_mut()
        .find(|strand| strand.modulation == modulation)
    {
        Some(strand) => strand.matchers.push((index, matcher)),
        None => strands.push(Strand {
            modulation,
            matchers: vec![(index, matcher)],
        }),
    };
    for (index, clause) in policy.clauses.iter().enumerate() {
        let path = [spec.clone(), "downsync".into(), index.into()];
        let matcher = compile_clause(clause, &path, &mut problems);
        add(Modulation::of(clause), index, matcher);
    }
    if let Some(message) = &policy.unreadable {
        problems.push(PolicyProblem {
            reason: "UnreadablePolicy",
            path: Vec::new(),
            message: message.clone(),
            help: "until it can be read, nothing that it may have placed is removed",
        });
        cluster_selectors = vec![Selector::default()];
        add(Modulation::default(), 0, Matcher::default());
    }
    let standing = if problems.is_empty() {
        Standing::Good
    } else {
        Standing::Unknown
    };
    let compiled = CompiledPolicy {
        standing,
        cluster_selectors,
        strands,
    };
    (compiled, problems)
}

/// Compiles a clause's criteria; one that cannot be read lets everything pass, and is a problem.
fn compile_clause(
    clause: &DownsyncClause,
    path: &[PathPart],
    problems: &mut Vec<PolicyProblem>,
) -> Matcher {
    let known = problems.len();
    let mut selectors = |field: &'static str, raw: &[LabelSelector]| {
        let mut path = path.to_vec();
        path.push(field.into());
        let selectors = compile_selectors(raw, &path, problems);
        let any = selectors.is_empty() || selectors.iter().any(Selector::is_empty);
        (!any).then_some(selectors)
    };
    let object = selectors("objectSelectors", &clause.object_selectors);
    let namespace = selectors("namespaceSelectors", &clause.namespace_selectors);
    let group = match &clause.api_group {
        Some(group) => Test::OneOf(Field::Group, vec![group.clone()]),
        None => Test::Any,
    };
    let criteria = [
        ("resources", one_of(Field::Resource, &clause.resources)),
        ("namespaces", one_of(Field::Namespace, &clause.namespaces)),
        ("objectNames", one_of(Field::Name, &clause.object_names)),
        ("apiGroup", group),
        ("objectSelectors", object.map_or(Test::Any, Test::Object)),
        (
            "namespaceSelectors",
            namespace.map_or(Test::Any, Test::Namespace),
        ),
    ]
    .map(|(field, test)| Criterion { field, test });
    let selects_all = criteria.iter().all(|criterion| criterion.test == Test::Any);
    if selects_all && problems.len() == known {
        problems.push(PolicyProblem {
                reason: "ClauseSelectsAll",
                path: path.to_vec(),
                message: "this clause selects every object: none of its criteria tells objects apart"
                    .to_owned(),
                help: "name a group, resources, namespaces, names or labels; '*', '{}' and empty lists let everything pass",
            });
    }
    Matcher {
        criteria: criteria.into(),
    }
}

impl Strand {
    /// Walks the clauses.
    pub(super) fn matchers(&self) -> impl Iterator<Item = &Matcher> {
        self.matchers.iter().map(|(_, matcher)| matcher)
    }
}

impl Modulation {
    fn of(clause: &DownsyncClause) -> Self {
        Self {
            create_only: clause.create_only,
            status_collectors: clause.status_collectors.iter().cloned().collect(),
            want_singleton_reported_state: clause.want_singleton_reported_state,
            want_multi_wec_reported_state: clause.want_multi_wec_reported_state,
        }
    }

    /// Merges two modulations of one object: whatever one of them asks for.
    pub(super) fn merge(&mut self, other: &Self) {
        self.create_only |= other.create_only;
        self.status_collectors
            .extend(other.status_collectors.iter().cloned());
        self.want_singleton_reported_state |= other.want_singleton_reported_state;
        self.want_multi_wec_reported_state |= other.want_multi_wec_reported_state;
    }
}

impl PolicyProblem {
    /// Says the problem of `policy` at the policy's place; a caller who finds the line of `path` sets that instead.
    pub fn diagnostic(&self, policy: &Policy) -> Diagnostic {
        let message = if self.path.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", PathPart::join(&self.path), self.message)
        };
        let mut diagnostic = Diagnostic::error(self.reason, message)
            .help(self.help)
            .policy(policy.name.clone());
        diagnostic.location.clone_from(&policy.location);
        diagnostic
    }
}

/// Compiles a list of selectors; one that cannot be read becomes the one that matches everything, and a problem.
fn compile_selectors(
    raw: &[LabelSelector],
    path: &[PathPart],
    problems: &mut Vec<PolicyProblem>,
) -> Vec<Selector> {
    raw.iter()
        .enumerate()
        .map(|(index, selector)| {
            Selector::compile(selector).unwrap_or_else(|error| {
                let mut path = path.to_vec();
                path.push(index.into());
                path.extend(error.path);
                problems.push(PolicyProblem {
                    reason: "InvalidSelector",
                    path,
                    message: error.message,
                    help: "until the selector is valid, the last good answer of this policy stays",
                });
                Selector::default()
            })
        })
        .collect()
}

/// Compiles a list of literal values, where `*` and the empty list let everything pass.
fn one_of(field: Field, values: &[String]) -> Test {
    if values.is_empty() || values.iter().any(|value| value == "*") {
        return Test::Any;
    }
    let mut values = values.to_vec();
    values.sort();
    values.dedup();
    Test::OneOf(field, values)
}
