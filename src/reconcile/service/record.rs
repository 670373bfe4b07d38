//! A rendering and its deliveries → what the board says of the commit. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{ClusterName, ObjectKey, Severity};
use crate::output::branch::change::Change;
use crate::reconcile::deliver::mailbox::MailboxDelivery;
use crate::reconcile::{Delivery, Outcome, Rendering};
use crate::status::board::{ChangeCounts, CommitBoard, Mistakes, PipelineBoard};
use crate::status::state::{Bytes, ClusterState, Observation};
use crate::status::waves::Waiting;

/// Begins a commit's entry, or goes on with the one that is there.
pub(super) fn begin(
    board: &PipelineBoard,
    rendering: &Rendering,
    now: Timestamp,
) -> Option<CommitBoard> {
    let revision = rendering.source.revision.as_ref()?;
    let id = revision.revision.to_string();
    let mut commit = board.commit(&id).cloned().unwrap_or_else(|| CommitBoard {
        subject: revision.commit.subject.clone(),
        author: revision.commit.author_name.clone(),
        written: Timestamp::from_second(revision.commit.seconds).unwrap_or(now),
        ..CommitBoard::new(id, now)
    });
    commit.observe_all(&Observation::Begun, now);
    commit.releasable.clear();
    Some(commit)
}

/// Writes down what was rendered. `expects` tells whether a WEC is expected to report.
pub(super) fn rendered(
    commit: &mut CommitBoard,
    rendering: &Rendering,
    group_by: Option<&str>,
    expects: impl Fn(&ClusterName) -> bool,
    now: Timestamp,
) {
    let summary = rendering.summary();
    let mut quarantined = quarantined(rendering);
    let mut clusters = BTreeMap::new();
    for counted in summary.clusters {
        let held = quarantined.remove(&counted.name).unwrap_or_default();
        if counted.objects == 0 && held.is_empty() {
            continue;
        }
        let known = commit.clusters.remove(&counted.name);
        let mut state = known.unwrap_or_else(|| ClusterState::new(expects(&counted.name), now));
        let observation = Observation::Rendered {
            objects: counted.objects,
            quarantined: held,
        };
        state.observe(observation, now);
        clusters.insert(counted.name, state);
    }
    commit.clusters = clusters;
    commit.excluded = excluded(rendering, &commit.clusters);
    let observation = Observation::Rendered {
        objects: summary.objects,
        quarantined: BTreeMap::new(),
    };
    commit.whole.observe(observation, now);
    commit.groups = group_by
        .map(|label| groups(rendering, label))
        .unwrap_or_default();
    commit.mistakes = mistakes(rendering);
    commit.diagnostics.clone_from(&rendering.diagnostics);
}

/// The WECs that get nothing because they are no destination.
fn excluded(
    rendering: &Rendering,
    known: &BTreeMap<ClusterName, ClusterState>,
) -> BTreeMap<ClusterName, String> {
    let clusters = rendering.inventory.clusters.iter();
    let others = clusters.filter(|cluster| !known.contains_key(&cluster.name));
    let excluded = others.filter_map(|cluster| {
        let why = cluster.why_no_destination()?;
        Some((cluster.name.clone(), why.to_owned()))
    });
    excluded.collect()
}

/// The errors that no WEC stands for: those of objects that are quarantined somewhere are told there.
fn mistakes(rendering: &Rendering) -> Option<Mistakes> {
    let told: BTreeSet<&ObjectKey> = rendering
        .rendered
        .quarantined
        .iter()
        .map(|held| &held.key)
        .collect();
    let mut own = rendering.diagnostics.iter().filter(|found| {
        found.severity == Severity::Error
            && found
                .object
                .as_ref()
                .is_none_or(|object| !told.contains(object))
    });
    let first = own.next()?.line();
    let count = 1 + own.count();
    Some(Mistakes { count, first })
}

/// The objects that could not be rendered, by WEC, with the reason.
fn quarantined(rendering: &Rendering) -> BTreeMap<ClusterName, BTreeMap<ObjectKey, String>> {
    let mut found: BTreeMap<ClusterName, BTreeMap<ObjectKey, String>> = BTreeMap::new();
    for held in &rendering.rendered.quarantined {
        for position in held.clusters.iter() {
            let Some(name) = rendering.rendered.clusters.get(position) else {
                continue;
            };
            let reason = reason(rendering, &held.key, name);
            found
                .entry(name.clone())
                .or_default()
                .insert(held.key.clone(), reason);
        }
    }
    found
}

fn reason(rendering: &Rendering, object: &ObjectKey, cluster: &ClusterName) -> String {
    let errors = rendering
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error && found.object.as_ref() == Some(object));
    let best = errors.min_by_key(|found| match &found.cluster {
        Some(own) if own == cluster => 0,
        None => 1,
        Some(_) => 2,
    });
    best.map_or_else(
        || "it cannot be rendered".to_owned(),
        |found| found.message.clone(),
    )
}

fn groups(rendering: &Rendering, label: &str) -> BTreeMap<ClusterName, String> {
    let clusters = rendering.inventory.clusters.iter();
    let grouped = clusters.filter_map(|cluster| {
        let value = cluster.labels.get(label)?;
        Some((cluster.name.clone(), value.clone()))
    });
    grouped.collect()
}

/// Writes down what became of a delivery to a branch. WECs that are `held` have not got it; those in `given` got the same in this run
/// by another delivery, and are joined by those that got it by this one.
pub(super) fn delivered(
    commit: &mut CommitBoard,
    before: &[Arc<CommitBoard>],
    delivery: &Delivery,
    held: &BTreeMap<ClusterName, Waiting>,
    given: &mut BTreeSet<ClusterName>,
    now: Timestamp,
) {
    keep(commit, &delivery.kept);
    commit.find_foreign(&delivery.foreign);
    if let Outcome::Held(reasons) = &delivery.outcome {
        commit.observe_all(&Observation::Held(reasons.clone()), now);
        return;
    }
    let touched = touched(&delivery.change);
    // A later run of the same commit that finds nothing to do does not undo what the first one did.
    if given.is_empty() && (delivery.outcome == Outcome::Written || commit.change.is_none()) {
        commit.change = Some(counts(commit, &delivery.change));
    }
    let whole = delivery.commits.first().map(|(_, id, _)| id.to_string());
    if let [(_, id, _)] = &delivery.commits[..] {
        commit.generated = Some(id.to_string());
    }
    let revision = whole.unwrap_or_default();
    let own = Observation::Published {
        revision: revision.clone(),
        bytes: Bytes::Same(Box::new(commit.whole.clone())),
    };
    commit.whole.observe(own, now);
    let open = commit
        .clusters
        .iter_mut()
        .filter(|(name, _)| !held.contains_key(*name));
    for (name, state) in open {
        // With one branch for each WEC, its own commit counts.
        let suffix = format!("/{name}");
        let own = delivery
            .commits
            .iter()
            .find(|(reference, _, _)| reference.ends_with(&suffix));
        let revision = own.map_or_else(|| revision.clone(), |(_, id, _)| id.to_string());
        let bytes = if touched.contains(name) && !given.contains(name) {
            Bytes::New
        } else {
            same_bytes(state, name, before)
        };
        // A folder has no commit that a report could name.
        let has_one = state.revision().is_some_and(|known| !known.is_empty());
        if revision.is_empty() && has_one && bytes != Bytes::New {
            continue;
        }
        let observation = Observation::Published { revision, bytes };
        state.observe(observation, now);
    }
    given.extend(touched.into_iter().cloned());
}

/// Takes in how many objects stay as they were; with several outputs, where most do.
fn keep(commit: &mut CommitBoard, kept: &BTreeMap<ClusterName, usize>) {
    for (name, state) in &mut commit.clusters {
        let here = kept.get(name).copied().unwrap_or(0);
        state.keep(state.kept().max(here));
    }
}

/// The WECs that a change concerns.
fn touched(change: &Change) -> BTreeSet<&ClusterName> {
    change.clusters.keys().chain(change.fresh.keys()).collect()
}

/// Counts what a delivery changed. While WECs wait, it is the next part of what the commit changes.
fn counts(commit: &CommitBoard, change: &Change) -> ChangeCounts {
    let (added, removed, changed) = change.counts();
    let is_part = commit
        .clusters
        .values()
        .any(|state| state.waiting().is_some());
    let before = commit.change.filter(|_| is_part).unwrap_or_default();
    ChangeCounts {
        added: before.added + added,
        removed: before.removed + removed,
        changed: before.changed + changed,
        clusters: before.clusters + touched(change).len(),
    }
}

/// What holds for bytes that the WEC has already: its own state when it was published before, else that of the newest commit that was.
fn same_bytes(state: &ClusterState, name: &ClusterName, before: &[Arc<CommitBoard>]) -> Bytes {
    let earlier = before.iter().filter_map(|commit| commit.clusters.get(name));
    let mut states = std::iter::once(state).chain(earlier);
    let published = states.find(|state| state.revision().is_some());
    published.map_or(Bytes::Old, |state| Bytes::Same(Box::new(state.clone())))
}

/// WECs whose wave is not open have in the new generated commit what they had before: what they say of it is about that.
pub(super) fn stays(
    board: &mut PipelineBoard,
    held: &BTreeMap<ClusterName, Waiting>,
    generated: &str,
    now: Timestamp,
) {
    for name in held.keys() {
        let mut stands = board.commits.iter_mut().filter(|commit| {
            let state = commit.clusters.get(name);
            state.is_some_and(|state| state.revision().is_some())
        });
        let Some(commit) = stands.next() else {
            continue;
        };
        if let Some(state) = Arc::make_mut(commit).clusters.get_mut(name) {
            let published = Observation::Published {
                revision: generated.to_owned(),
                bytes: Bytes::Same(Box::new(state.clone())),
            };
            state.observe(published, now);
        }
    }
}

/// Writes down what WECs have now, over all outputs, and which ones wait. Tells whether that is news.
pub(super) fn staged(
    commit: &mut CommitBoard,
    contents: &BTreeMap<ClusterName, String>,
    held: &BTreeMap<ClusterName, Waiting>,
    now: Timestamp,
) -> bool {
    let mut news = false;
    for (name, state) in &mut commit.clusters {
        match (held.get(name), contents.get(name)) {
            (Some(waiting), _) => news |= state.observe(Observation::Waiting(waiting.clone()), now),
            (None, Some(content)) if state.revision().is_some() => state.hold(content, now),
            _ => {}
        }
    }
    news
}

/// Writes down what became of a delivery into mailboxes. `first` tells whether nothing else was delivered before it in this run.
pub(super) fn posted(
    commit: &mut CommitBoard,
    before: &[Arc<CommitBoard>],
    delivery: &MailboxDelivery,
    first: bool,
    now: Timestamp,
) {
    keep(commit, &delivery.kept);
    if let Outcome::Held(reasons) = &delivery.outcome {
        commit.observe_all(&Observation::Held(reasons.clone()), now);
        return;
    }
    let touched = touched(&delivery.change);
    if first && (delivery.outcome == Outcome::Written || commit.change.is_none()) {
        commit.change = Some(counts(commit, &delivery.change));
    }
    let whole = Observation::Published {
        revision: commit.id.clone(),
        bytes: Bytes::Same(Box::new(commit.whole.clone())),
    };
    commit.whole.observe(whole, now);
    for (name, state) in &mut commit.clusters {
        let failed = delivery.diagnostics.iter().find(|found| {
            found.severity == Severity::Error && found.cluster.as_ref() == Some(name)
        });
        if let Some(found) = failed {
            let message = match &found.help {
                Some(help) => format!("{}: {help}", found.message),
                None => found.message.clone(),
            };
            let reason = found.reason.to_owned();
            state.observe(Observation::Failed { reason, message }, now);
        } else if let Some(given) = delivery.clusters.get(name) {
            state.expect_report();
            let bytes = if first && touched.contains(name) {
                Bytes::New
            } else if first {
                same_bytes(state, name, before)
            } else {
                Bytes::Same(Box::new(state.clone()))
            };
            let observation = Observation::Published {
                revision: given.revision.clone(),
                bytes,
            };
            state.observe(observation, now);
        }
    }
}

/// Every older commit that has not come to an end is overtaken by the one that was published, but for WECs that wait for that. Gives
/// their ids.
pub(super) fn supersede(
    board: &mut PipelineBoard,
    by: &str,
    held: &BTreeMap<ClusterName, Waiting>,
    now: Timestamp,
) -> Vec<String> {
    let mut touched = Vec::new();
    for commit in &mut board.commits {
        if commit.id != by && !commit.is_over() && Arc::make_mut(commit).supersede(by, held, now) {
            touched.push(commit.id.clone());
        }
    }
    touched
}

/// What has not come to an end does so now: nobody is left to say more of it. Gives the ids of the commits that this concerns.
pub(super) fn withdraw(board: &mut PipelineBoard, now: Timestamp) -> Vec<String> {
    let removed = Observation::Failed {
        reason: "PipelineRemoved".to_owned(),
        message: "the pipeline was removed; what was delivered stays".to_owned(),
    };
    let mut touched = Vec::new();
    for commit in &mut board.commits {
        if commit.is_over() {
            continue;
        }
        let commit = Arc::make_mut(commit);
        let states = std::iter::once(&mut commit.whole).chain(commit.clusters.values_mut());
        for state in states.filter(|state| !state.is_over()) {
            state.observe(removed.clone(), now);
        }
        touched.push(commit.id.clone());
    }
    touched
}

/// The entry of a commit that was pushed and overtaken before anybody looked at it.
pub(super) fn overtaken(id: &str, by: &str, now: Timestamp) -> CommitBoard {
    let mut whole = ClusterState::new(false, now);
    whole.observe(Observation::Superseded { by: by.to_owned() }, now);
    CommitBoard {
        whole,
        ..CommitBoard::new(id, now)
    }
}
