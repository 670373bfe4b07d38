//! The guard: how much a change may remove before somebody must say that it is meant. Pure.

use crate::model::ClusterName;
use crate::model::api::pipeline::Guard;
use crate::output::branch::change::Change;

/// A source commit whose message has this trailer, with any value, may remove as much as it does.
pub const RELEASE_TRAILER: &str = "Stellate-Allow-Removals";

/// What a change takes away.
pub struct Losses {
    /// The WECs that lose everything, sorted.
    pub emptied: Vec<ClusterName>,
    /// The WECs that had anything.
    pub clusters_before: usize,
    /// Objects that go, over all WECs.
    pub removed: usize,
    /// Objects that were there, over all WECs.
    pub files_before: usize,
}

/// Gives the reasons for which a change is held; none when it may go out.
pub fn judge(change: &Change, guard: &Guard) -> Vec<String> {
    let number = |count| usize::try_from(count).unwrap_or(usize::MAX);
    let losses = Losses {
        emptied: change.emptied.clone(),
        clusters_before: change.clusters_before,
        removed: number(change.counts().1),
        files_before: number(change.files_before),
    };
    judge_losses(&losses, guard)
}

/// As [`judge`], of what is only counted yet.
///
/// One WEC and one object may always go, whatever the shares say.
pub fn judge_losses(losses: &Losses, guard: &Guard) -> Vec<String> {
    let mut reasons = Vec::new();
    let emptied = losses.emptied.len();
    let most = guard.max_removed_clusters.of(losses.clusters_before).max(1);
    if emptied > most {
        let named: Vec<&str> = losses
            .emptied
            .iter()
            .take(5)
            .map(ClusterName::as_str)
            .collect();
        let more = if emptied > named.len() { ", …" } else { "" };
        reasons.push(format!(
            "{emptied} of {} WECs would lose everything ({}{more}); the guard lets {most} go",
            losses.clusters_before,
            named.join(", "),
        ));
    }
    let (removed, before) = (losses.removed, losses.files_before);
    let most = guard.max_removed_objects.of(before).max(1);
    if removed > most {
        reasons.push(format!(
            "{removed} of {before} objects would be removed, over all WECs; the guard lets {most} go"
        ));
    }
    reasons
}

/// Tells whether a commit message releases what its commit removes.
pub fn is_released(message: &str) -> bool {
    let last_paragraph = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last_paragraph.lines().any(|line| {
        line.strip_prefix(RELEASE_TRAILER)
            .and_then(|rest| rest.strip_prefix(':'))
            .is_some_and(|value| !matches!(value.trim(), "" | "no" | "false"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::model::api::pipeline::Limit;
    use crate::output::branch::change::FileChange;
    use crate::output::branch::hash::ObjectId;

    fn change(removed: usize, before: u64) -> Change {
        let files: BTreeMap<String, FileChange> = (0..removed)
            .map(|number| (number.to_string(), FileChange::Removed(ObjectId([0; 20]))))
            .collect();
        Change {
            clusters: [("c".into(), Arc::new(files))].into(),
            emptied: Vec::new(),
            fresh: BTreeMap::new(),
            clusters_before: 4,
            files_before: before,
        }
    }

    #[test]
    fn a_quarter_may_go_and_more_may_not() {
        let guard = Guard::default();
        assert!(judge(&change(25, 100), &guard).is_empty());
        assert_eq!(judge(&change(26, 100), &guard).len(), 1);
        assert!(
            judge(&change(1, 2), &guard).is_empty(),
            "one object may always go"
        );
        let strict = Guard {
            max_removed_objects: Limit::Count(3),
            ..Guard::default()
        };
        assert!(judge(&change(3, 100), &strict).is_empty());
        assert_eq!(judge(&change(4, 100), &strict).len(), 1);
    }

    #[test]
    fn wecs_that_would_be_emptied_are_named() {
        let mut emptied = change(0, 100);
        emptied.emptied = vec!["a".into(), "b".into()];
        let reasons = judge(&emptied, &Guard::default());
        assert_eq!(
            reasons,
            ["2 of 4 WECs would lose everything (a, b); the guard lets 1 go"]
        );
    }

    #[test]
    fn only_a_trailer_releases() {
        assert!(is_released(
            "Drop the old shop\n\nStellate-Allow-Removals: yes\nSigned-off-by: A\n"
        ));
        assert!(!is_released(
            "Stellate-Allow-Removals: yes\n\nthis is the body\n"
        ));
        assert!(!is_released("x\n\nStellate-Allow-Removals: no\n"));
    }
}
