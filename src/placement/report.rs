//! What placement has to say about its input: faulty policies, policies without effect, WECs passed over, conflicts.

use std::collections::BTreeMap;

use super::bitmap::Bitmap;
use super::group::Conflict;
use super::placer::Placer;
use super::policy::Standing;
use super::policy_table::PolicyEntry;
use crate::inventory::Cluster;
use crate::model::selector::Answer as _;
use crate::model::{Diagnostic, ObjectKey, PolicyName};

impl Placer {
    /// Gives all diagnostics for what is settled: policies by name, then WECs by name, then conflicts.
    pub(super) fn report(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for entry in self.policies.iter() {
            let problems = entry.problems.iter();
            diagnostics.extend(problems.map(|problem| problem.diagnostic(&entry.policy)));
            if entry.standing != Standing::Unknown {
                diagnostics.extend(self.without_clusters(entry));
                diagnostics.extend(self.without_objects(entry));
            }
        }
        diagnostics.extend(self.passed_over());
        if self.groups.has_conflicts() {
            self.report_conflicts(&mut diagnostics);
        }
        diagnostics
    }

    fn without_clusters(&self, entry: &PolicyEntry) -> Option<Diagnostic> {
        if !entry.matched.is_empty() {
            return None;
        }
        let diagnostic = if entry.compiled.cluster_selectors.is_empty() {
            warning(
                entry,
                "SelectsNoCluster",
                "clusterSelectors is empty, which selects no WEC",
            )
            .help("add a selector; '{}' selects every WEC")
        } else {
            let message = format!(
                "none of the {} WECs has labels that clusterSelectors match",
                self.clusters.len()
            );
            warning(entry, "SelectsNoCluster", message)
                .help("compare the selectors with the labels of the ManagedClusters")
        };
        Some(diagnostic)
    }

    fn without_objects(&self, entry: &PolicyEntry) -> Option<Diagnostic> {
        let selects_nothing = entry
            .strands
            .iter()
            .filter_map(|&strand| self.policies.strand(strand))
            .all(|strand| !strand.selects_any());
        selects_nothing.then(|| {
            let message = if entry.strands.is_empty() {
                "downsync is empty, which selects no object"
            } else {
                "no object matches a clause of downsync"
            };
            warning(entry, "SelectsNoObject", message)
                .help("ask `stellate explain` about an object that it should select")
        })
    }

    /// Says which WECs that policies select are no destinations, or are not there to take what they get.
    fn passed_over(&self) -> Vec<Diagnostic> {
        let mut troubled = Bitmap::default();
        for (position, cluster) in (0..).zip(&self.clusters) {
            if !cluster.is_destination() || cluster.available == Some(false) {
                troubled.insert(position);
            }
        }
        let mut selected: BTreeMap<u32, usize> = BTreeMap::new();
        if !troubled.is_empty() {
            for entry in self.policies.iter() {
                let mut both = troubled.clone();
                both.and(&entry.matched);
                for position in both.iter() {
                    *selected.entry(position).or_default() += 1;
                }
            }
        }
        let known = selected.into_iter();
        known
            .filter_map(|(position, count)| Some((self.clusters.get(position as usize)?, count)))
            .map(|(cluster, count)| trouble(cluster, count))
            .collect()
    }

    /// Says each conflict once for the policies that have it, with the first object and the number of the others.
    fn report_conflicts(&self, diagnostics: &mut Vec<Diagnostic>) {
        type Parties<'a> = (&'a [PolicyName], &'a [PolicyName]);
        let mut conflicts: BTreeMap<Parties<'_>, (&ObjectKey, &Conflict, usize)> = BTreeMap::new();
        for entry in self.objects.iter() {
            let outcome = entry.group.and_then(|group| self.groups.outcome(group));
            let Some(conflict) = outcome.and_then(|outcome| outcome.conflict.as_deref()) else {
                continue;
            };
            conflicts
                .entry((&conflict.create_only, &conflict.updated))
                .or_insert((&entry.facts.key, conflict, 0))
                .2 += 1;
        }
        for ((create_only, updated), (object, conflict, count)) in conflicts {
            let first = conflict.clusters.iter().next();
            let example = first.and_then(|position| self.clusters.get(position));
            let place = example.map_or_else(String::new, |cluster| format!(" on {}", cluster.name));
            let others = match count - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = format!(
                "{object}{others}: created once and then left alone for {}, kept up to date for {}{place}; it is created once",
                names(create_only),
                names(updated),
            );
            let mut diagnostic = Diagnostic::warning("CreateOnlyConflict", message)
                .help("set createOnly alike in these policies, or let only one of them select the object there")
                .object(object.clone());
            diagnostic.policy = create_only.first().cloned();
            diagnostic.cluster = example.map(|cluster| cluster.name.clone());
            let policy = self
                .policies
                .iter()
                .find(|entry| Some(&entry.policy.name) == create_only.first());
            diagnostic.location = policy.and_then(|entry| entry.policy.location.clone());
            diagnostics.push(diagnostic);
        }
    }
}

/// Says what is the matter with a WEC that `count` policies select.
fn trouble(cluster: &Cluster, count: usize) -> Diagnostic {
    let name = &cluster.name;
    let mut diagnostic = if let Some(why) = cluster.why_no_destination() {
        let policies = if count == 1 { "policy" } else { "policies" };
        let message = format!("WEC {name} {why}; {count} {policies} would place objects there");
        Diagnostic::warning("NotADestination", message).help(
            "accept it on the hub (hubAcceptsClient: true), or leave it out of clusterSelectors",
        )
    } else {
        let message = format!("WEC {name} is not available; it catches up when it is back");
        Diagnostic::note("Unavailable", message)
    };
    diagnostic.location.clone_from(&cluster.location);
    diagnostic.cluster(name.clone())
}

fn warning(entry: &PolicyEntry, reason: &'static str, message: impl Into<String>) -> Diagnostic {
    let mut diagnostic = Diagnostic::warning(reason, message).policy(entry.policy.name.clone());
    diagnostic.location.clone_from(&entry.policy.location);
    diagnostic
}

/// Lists names as people do: `a`, `a and b`, `a, b and c`.
pub(super) fn names(names: &[PolicyName]) -> String {
    match names {
        [] => String::new(),
        [only] => only.to_string(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(PolicyName::as_str).collect();
            format!("{} and {last}", first.join(", "))
        }
    }
}
