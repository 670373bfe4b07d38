//! Works that another writer changes again and again: how often each was put right, and when it is next. Pure.
//!
//! The first changes are put right at once: somebody edited by hand. Who goes on is no person, and two programs that each have the
//! last word would never rest: the work is then left as it is for a while, twice as long each time, and the WEC is said to lack
//! what it should have.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{ClusterName, Diagnostic};
use crate::output::mailbox::Owner;
use crate::output::mailbox::plan::ClusterPlan;
use crate::output::mailbox::shape::Place;

/// So many changes in a row are put right at once.
const AT_ONCE: u32 = 2;
/// The rest after one more; it doubles.
const REST: Duration = Duration::from_secs(2);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// A work that was left alone for so long begins anew.
const PEACE: Duration = Duration::from_secs(900);

/// The works that were changed by others, each with how it went.
#[derive(Debug, Default)]
pub(super) struct Contests(BTreeMap<(ClusterName, Place), Contest>);

#[derive(Debug)]
struct Contest {
    /// Changes in a row.
    changes: u32,
    last: Timestamp,
    /// What we had written: something new is written at once.
    digest: String,
}

impl Contest {
    fn rest(&self) -> Duration {
        match self.changes.checked_sub(AT_ONCE + 1) {
            None => Duration::ZERO,
            Some(more) => REST.saturating_mul(1 << more.min(16)).min(LONGEST_REST),
        }
    }

    fn rests(&self, now: Timestamp) -> bool {
        now < self.last + self.rest()
    }
}

impl Contests {
    /// Takes note that somebody changed a work that held this.
    pub(super) fn changed(
        &mut self,
        cluster: &ClusterName,
        place: Place,
        digest: &str,
        now: Timestamp,
    ) {
        self.0.retain(|_, contest| now < contest.last + PEACE);
        let contest = self
            .0
            .entry((cluster.clone(), place))
            .or_insert_with(|| Contest {
                changes: 0,
                last: now,
                digest: String::new(),
            });
        if contest.digest != digest {
            contest.changes = 0;
            digest.clone_into(&mut contest.digest);
        }
        contest.changes += 1;
        contest.last = now;
    }

    /// Takes out of the plans what is left alone for now; gives what there is to say of it.
    pub(super) fn rest(
        &self,
        plans: &mut Vec<ClusterPlan>,
        owner: &Owner,
        now: Timestamp,
    ) -> Vec<Diagnostic> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut said = Vec::new();
        for plan in &mut *plans {
            let cluster = plan.cluster.clone();
            plan.writes.retain(|write| {
                let contest = self.0.get(&(cluster.clone(), write.part.place()));
                let contest =
                    contest.filter(|contest| contest.digest == write.digest && contest.rests(now));
                said.extend(
                    contest.map(|contest| words(contest, &cluster, &owner.work_name(write.part))),
                );
                contest.is_none()
            });
        }
        plans.retain(|plan| !plan.writes.is_empty() || !plan.deletions.is_empty());
        said
    }
}

fn words(contest: &Contest, cluster: &ClusterName, work: &str) -> Diagnostic {
    let message = format!(
        "the work {work} was changed by another writer {} times in a row; it is put right every {} seconds at most",
        contest.changes,
        contest.rest().as_secs()
    );
    Diagnostic::error("ContestedWork", message)
        .help(format!(
            "see who writes it: kubectl get manifestwork {work} -n {cluster} -o yaml --show-managed-fields"
        ))
        .cluster(cluster.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::mailbox::plan::Write;
    use crate::output::mailbox::shape::Part;

    const PART: &str = "rest";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn part() -> Part {
        Part::from_suffix(PART).unwrap()
    }

    /// Whether a write of this would go out, and what is said.
    fn asked(contests: &Contests, digest: &str, second: i64) -> (bool, usize) {
        let write = Write {
            part: part(),
            digest: digest.to_owned(),
            over: None,
            after: Vec::new(),
        };
        let mut plans = vec![ClusterPlan {
            cluster: "c1".into(),
            position: Some(0),
            writes: vec![write],
            deletions: Vec::new(),
        }];
        let said = contests.rest(&mut plans, &Owner::new("shop"), at(second));
        (!plans.is_empty(), said.len())
    }

    fn contested(times: u32, second: i64) -> Contests {
        let mut contests = Contests::default();
        for _ in 0..times {
            contests.changed(&"c1".into(), part().place(), "a", at(second));
        }
        contests
    }

    #[test]
    fn a_hand_is_put_right_at_once_and_a_program_after_longer_and_longer_rests() {
        assert_eq!(asked(&contested(2, 100), "a", 100), (true, 0));
        for (times, rest) in [(3, 2), (4, 4), (6, 16), (40, 300)] {
            let contests = contested(times, 100);
            assert_eq!(asked(&contests, "a", 100 + rest - 1), (false, 1), "{times}");
            assert_eq!(asked(&contests, "a", 100 + rest), (true, 0), "{times}");
        }
    }

    #[test]
    fn what_is_new_is_written_at_once_and_a_quarter_of_an_hour_of_peace_is_peace() {
        let mut contests = contested(9, 100);
        assert_eq!(asked(&contests, "b", 100), (true, 0));
        contests.changed(&"c1".into(), part().place(), "a", at(1001));
        assert_eq!(asked(&contests, "a", 1001), (true, 0));
    }
}
