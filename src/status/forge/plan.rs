//! What is wanted on a commit and what the forge has → what to post, the most important first. Pure.

use std::collections::BTreeMap;

use super::budget::Weight;
use crate::status::{CommitStatus, StatusState};

/// The newest status of its name that a forge has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: CommitStatus,
    /// How many of this name the commit has, as far as is known.
    pub times: u32,
}

/// The order in which things are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The commit as a whole has failed.
    WholeFailing,
    /// A WEC or group has failed.
    Failing,
    /// The commit as a whole.
    Whole,
    /// An end.
    End,
    /// A step on the way.
    Step,
}

/// How many statuses of one name a host keeps, and from which number on only ends are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// From here on no steps.
    pub steps: u32,
    /// From here on nothing.
    pub all: u32,
}

impl Cap {
    /// GitHub keeps 1000 of each commit and name, and refuses the next for ever.
    pub const GITHUB: Self = Self {
        steps: 900,
        all: 1000,
    };
}

/// Statuses by name.
pub type Statuses = BTreeMap<String, CommitStatus>;

/// What the forge has, by name.
pub type Known = BTreeMap<String, Posted>;

/// Gives what differs, the most important first.
pub fn plan<'a>(
    wanted: &'a Statuses,
    known: &Known,
    cap: Option<Cap>,
) -> Vec<(Rank, &'a CommitStatus)> {
    let differs = |status: &&CommitStatus| match known.get(&status.context) {
        None => true,
        Some(posted) => posted.status != **status && has_room(status, posted.times, cap),
    };
    let mut posts: Vec<_> = wanted
        .values()
        .filter(differs)
        .map(|status| (rank(status), status))
        .collect();
    posts.sort_by_key(|(rank, _)| *rank);
    posts
}

/// Closes what stays behind: steps that we told of WECs that are no longer told of, because they are gone or share a status now.
pub fn orphans(wanted: &Statuses, known: &Known) -> Vec<CommitStatus> {
    let is_ours = |context: &str| {
        let whole = context.rsplit_once('/').map(|(whole, _)| whole);
        whole.is_some_and(|whole| !is_whole(context) && wanted.contains_key(whole))
    };
    let left = known.values().filter(|posted| {
        is_ours(&posted.status.context) && !wanted.contains_key(&posted.status.context)
    });
    close(left, "no longer told of here")
}

/// Closes the steps of those names that `owns` knows.
pub fn closing(known: &Known, owns: &dyn Fn(&str) -> bool, text: &str) -> Vec<CommitStatus> {
    close(
        known.values().filter(|posted| owns(&posted.status.context)),
        text,
    )
}

fn close<'a>(posted: impl Iterator<Item = &'a Posted>, text: &str) -> Vec<CommitStatus> {
    let open = posted.filter(|posted| posted.status.state == StatusState::Pending);
    open.map(|posted| CommitStatus {
        state: StatusState::Success,
        description: text.to_owned(),
        ..posted.status.clone()
    })
    .collect()
}

/// Where a status stands in the order.
pub fn rank(status: &CommitStatus) -> Rank {
    match (status.state, is_whole(&status.context)) {
        (StatusState::Failure | StatusState::Error, true) => Rank::WholeFailing,
        (StatusState::Failure | StatusState::Error, false) => Rank::Failing,
        (_, true) => Rank::Whole,
        (StatusState::Success, false) => Rank::End,
        (StatusState::Pending, false) => Rank::Step,
    }
}

impl Rank {
    /// How much of the budget it may use.
    pub fn weight(self) -> Weight {
        match self {
            Self::WholeFailing | Self::Failing | Self::Whole => Weight::Truth,
            Self::End => Weight::End,
            Self::Step => Weight::Step,
        }
    }
}

/// `stellate/shop` speaks for the commit, `stellate/shop/berlin` for a WEC or group.
fn is_whole(context: &str) -> bool {
    context.split('/').count() <= 2
}

fn has_room(status: &CommitStatus, times: u32, cap: Option<Cap>) -> bool {
    cap.is_none_or(|cap| match status.state {
        StatusState::Pending => times < cap.steps,
        _ => times < cap.all,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(context: &str, state: StatusState) -> CommitStatus {
        CommitStatus {
            context: context.into(),
            state,
            description: "text".into(),
            target_url: None,
        }
    }

    fn wanted(statuses: &[(&str, StatusState)]) -> Statuses {
        let each = statuses
            .iter()
            .map(|(context, state)| ((*context).to_owned(), status(context, *state)));
        each.collect()
    }

    fn known(statuses: &[(&str, StatusState, u32)]) -> Known {
        let each = statuses.iter().map(|(context, state, times)| {
            let posted = Posted {
                status: status(context, *state),
                times: *times,
            };
            ((*context).to_owned(), posted)
        });
        each.collect()
    }

    #[test]
    fn what_fails_is_told_first_then_the_whole_then_ends_then_steps() {
        let wanted = wanted(&[
            ("s/shop/a", StatusState::Pending),
            ("s/shop/b", StatusState::Success),
            ("s/shop/c", StatusState::Failure),
            ("s/shop", StatusState::Failure),
            ("s/web", StatusState::Pending),
        ]);
        let order: Vec<&str> = plan(&wanted, &Known::new(), None)
            .into_iter()
            .map(|(_, status)| status.context.as_str())
            .collect();
        assert_eq!(
            order,
            ["s/shop", "s/shop/c", "s/web", "s/shop/b", "s/shop/a"]
        );
    }

    #[test]
    fn what_the_forge_has_is_not_told_again() {
        let wanted = wanted(&[
            ("s/shop", StatusState::Success),
            ("s/shop/a", StatusState::Pending),
        ]);
        let mut known = known(&[
            ("s/shop", StatusState::Success, 4),
            ("s/shop/a", StatusState::Pending, 1),
        ]);
        assert_eq!(plan(&wanted, &known, None), []);
        for change in ["description", "url", "state"] {
            let posted = &mut known.get_mut("s/shop").unwrap().status;
            *posted = status("s/shop", StatusState::Success);
            match change {
                "description" => posted.description = "other".into(),
                "url" => posted.target_url = Some("https://x".into()),
                _ => posted.state = StatusState::Pending,
            }
            assert_eq!(plan(&wanted, &known, None).len(), 1, "{change}");
        }
    }

    #[test]
    fn near_the_hosts_limit_only_ends_are_told_and_at_the_limit_nothing() {
        let step = wanted(&[("s/shop", StatusState::Pending)]);
        let end = wanted(&[("s/shop", StatusState::Success)]);
        let told = |wanted: &Statuses, times| {
            let known = known(&[("s/shop", StatusState::Error, times)]);
            !plan(wanted, &known, Some(Cap::GITHUB)).is_empty()
        };
        assert!(told(&step, 899) && !told(&step, 900));
        assert!(told(&end, 999) && !told(&end, 1000));
    }

    #[test]
    fn a_step_of_a_wec_that_is_gone_is_closed_and_nothing_of_others_is_touched() {
        let wanted = wanted(&[
            ("s/shop", StatusState::Success),
            ("s/shop/a", StatusState::Success),
        ]);
        let known = known(&[
            ("s/shop/a", StatusState::Pending, 1),
            ("s/shop/gone", StatusState::Pending, 1),
            ("s/shop/done", StatusState::Failure, 1),
            ("s/other/a", StatusState::Pending, 1),
            ("ci/build", StatusState::Pending, 1),
        ]);
        let closed = orphans(&wanted, &known);
        assert_eq!(closed.len(), 1);
        assert_eq!(
            (&*closed[0].context, closed[0].state),
            ("s/shop/gone", StatusState::Success)
        );
    }

    #[test]
    fn only_our_steps_are_closed() {
        let known = known(&[
            ("s/shop", StatusState::Pending, 1),
            ("s/shop/a", StatusState::Success, 1),
            ("ci/build", StatusState::Pending, 1),
        ]);
        let closed = closing(
            &known,
            &|context| context.starts_with("s/shop"),
            "superseded",
        );
        assert_eq!(closed.len(), 1);
        assert_eq!(
            (&*closed[0].context, &*closed[0].description),
            ("s/shop", "superseded")
        );
    }
}
