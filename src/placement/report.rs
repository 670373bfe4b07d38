//! What placement has to say about its input: faulty policies, policies without effect, WECs passed over, conflicts.

use std::collections::BTreeMap;

use super::group::Conflict;
use super::placer::Placer;
use super::policy::Standing;
use super::policy_table::PolicyEntry;
use crate::inventory::Cluster;
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
        for (position, cluster) in (0..).zip(&self.clusters) {
            diagnostics.extend(self.passed_over(position, cluster));
        }
        self.report_conflicts(&mut diagnostics);
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
            .all(|strand| strand.objects.is_empty());
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

    /// Says that a WEC which policies select is no destination, or is not there to take what it gets.
    fn passed_over(&self, position: u32, cluster: &Cluster) -> Option<Diagnostic> {
        let is_destination = self.is_destination(position);
        if is_destination && cluster.available != Some(false) {
            return None;
        }
        let selecting = self.policies.iter();
        let count = selecting
            .filter(|entry| entry.matched.contains(position))
            .count();
        if count == 0 {
            return None;
        }
        let policies = if count == 1 { "policy" } else { "policies" };
        let by = format!("{count} {policies} would place objects there");
        let mut diagnostic = if let Some(why) = why_no_destination(cluster) {
            Diagnostic::warning("NotADestination", format!("WEC {} {why}; {by}", cluster.name))
                .help("accept it on the hub (hubAcceptsClient: true), or leave it out of clusterSelectors")
        } else {
            Diagnostic::note(
                "Unavailable",
                format!(
                    "WEC {} is not available; it catches up when it is back",
                    cluster.name
                ),
            )
        };
        diagnostic.location.clone_from(&cluster.location);
        Some(diagnostic.cluster(cluster.name.clone()))
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

/// Says why a WEC is no destination, as the end of a sentence; none when it is one.
pub(super) fn why_no_destination(cluster: &Cluster) -> Option<&'static str> {
    if cluster.is_destination() {
        None
    } else if cluster.deleting {
        Some("is being deleted")
    } else {
        Some("is not accepted by the hub")
    }
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
