//! How far a report is believed, given what is known of the bytes that it speaks of. Pure.
//!
//! Argo CD says `Synced` when a comparison finds no difference. With server-side diff it finds none where the WEC refuses the new
//! bytes, because what was refused never gets into what is compared. So `Synced` counts only together with a finished sync of those bytes;
//! unless they are as old as anybody remembers, because then there may have been nothing to sync.

use super::{Evidence, Health, Progress, Report};

/// What is said of a comparison that nothing was applied for.
const UNPROVEN: &str = "Argo CD sees no difference, but has not finished a sync of this commit; when that stays so, sync the Application";

/// What a report counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credited<'a> {
    pub(super) progress: Progress,
    pub(super) health: Health,
    pub(super) message: &'a str,
}

/// Weighs a report of bytes that these generated commits hold. `new` tells whether they are known to have come with the first of them.
pub(super) fn credit<'a>(report: &'a Report, revisions: &[String], new: bool) -> Credited<'a> {
    let said = Credited {
        progress: report.progress,
        health: report.health,
        message: &report.message,
    };
    let Evidence::Comparison { applied } = &report.evidence else {
        return said;
    };
    let proven = applied
        .as_ref()
        .is_some_and(|applied| revisions.contains(applied));
    // What is bad is bad, whatever it was applied from.
    if proven || !new || said.progress != Progress::Applied || said.health == Health::Degraded {
        return said;
    }
    Credited {
        progress: Progress::Delivered,
        health: Health::Progressing,
        message: UNPROVEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(progress: Progress, health: Health, evidence: Evidence) -> Report {
        Report {
            cluster: "berlin".into(),
            reporter: "Application argocd/shop".into(),
            revision: Some("b".into()),
            progress,
            health,
            message: String::new(),
            objects: Vec::new(),
            evidence,
            at: None,
        }
    }

    #[test]
    fn a_comparison_counts_only_with_a_finished_sync_of_the_same_bytes() {
        use Health::{Degraded, Healthy, Progressing};
        use Progress::{Applied, Delivered, Refused};
        let after = |commit: &str| Evidence::Comparison {
            applied: Some(commit.to_owned()),
        };
        let never = || Evidence::Comparison { applied: None };
        let held = ["a".to_owned(), "b".to_owned()];
        let table = [
            // What it says, whether the bytes are new, what it counts for.
            (Applied, Healthy, Evidence::Action, true, (Applied, Healthy)),
            (Applied, Healthy, after("b"), true, (Applied, Healthy)),
            (Applied, Healthy, after("a"), true, (Applied, Healthy)),
            (Applied, Healthy, after("0"), true, (Delivered, Progressing)),
            (Applied, Healthy, never(), true, (Delivered, Progressing)),
            (
                Applied,
                Progressing,
                never(),
                true,
                (Delivered, Progressing),
            ),
            (Applied, Healthy, after("0"), false, (Applied, Healthy)),
            (Applied, Healthy, never(), false, (Applied, Healthy)),
            (Applied, Degraded, after("0"), true, (Applied, Degraded)),
            (Refused, Healthy, never(), true, (Refused, Healthy)),
            (Delivered, Healthy, never(), true, (Delivered, Healthy)),
        ];
        for (progress, health, evidence, new, wanted) in table {
            let report = said(progress, health, evidence);
            let credited = credit(&report, &held, new);
            assert_eq!((credited.progress, credited.health), wanted, "{report:?}");
        }
    }

    #[test]
    fn a_comparison_that_does_not_count_says_what_is_missing() {
        let report = said(
            Progress::Applied,
            Health::Healthy,
            Evidence::Comparison { applied: None },
        );
        let credited = credit(&report, &["b".to_owned()], true);
        assert!(credited.message.contains("not finished a sync"));
    }
}
