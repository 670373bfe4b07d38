//! Memory, and what a host takes in a minute and an hour.

use super::*;

#[test]
fn the_memory_is_bounded_and_the_newest_commit_is_never_the_one_that_goes() {
    let mut world = World::new(Limits::NONE);
    for number in 0..2000 {
        let sha = format!("{number:040x}");
        world
            .desk
            .want(&sha, vec![status("s/shop", StatusState::Success)]);
    }
    assert_eq!(world.desk.commits.len(), COMMITS);
    world.settle();
    assert_eq!(world.shows(&format!("{:040x}", 1999)).len(), 1);
}

/// 1,000 WECs, each with a status of its own, become healthy over twenty minutes, and one fails.
#[test]
fn a_thousand_wecs_stay_inside_githubs_limits_and_the_whole_is_told_within_two_seconds() {
    let mut world = World::new(Limits::GITHUB);
    let mut changes: Vec<(Clock, String)> = Vec::new();
    for round in 0..=240_u32 {
        let at = Duration::from_secs(u64::from(round) * 5);
        while world.now < at {
            let stays = match world.desk.next(world.now, &world.budget) {
                Next::Do(_) => false,
                Next::At(until) => until > at,
                Next::Idle => true,
            };
            if stays {
                world.now = at;
            } else {
                world.step(&Answer::Good);
            }
        }
        let healthy = round * 1000 / 240;
        let mut statuses: Vec<CommitStatus> = (0..1000)
            .map(|wec| {
                let state = match wec {
                    777 if round > 100 => StatusState::Failure,
                    _ if wec < healthy => StatusState::Success,
                    _ => StatusState::Pending,
                };
                status(&format!("s/shop/wec{wec:04}"), state)
            })
            .collect();
        // Every thirtieth second the whole says something else.
        let text = format!("{}/1000 healthy", healthy / 25 * 25);
        let whole = CommitStatus {
            description: text.clone(),
            ..status(
                "s/shop",
                if round > 100 {
                    StatusState::Failure
                } else {
                    StatusState::Pending
                },
            )
        };
        statuses.push(whole);
        if changes.last().is_none_or(|(_, last)| *last != text) {
            changes.push((world.now, text));
        }
        world.desk.want(SHA, statuses);
    }
    for _ in 0..600 {
        world.step(&Answer::Good);
    }

    let sent: Vec<(Clock, &CommitStatus)> = world
        .log
        .iter()
        .filter_map(|(at, job)| match job {
            Job::Post { status, .. } => Some((*at, status)),
            _ => None,
        })
        .collect();
    for (index, (start, _)) in sent.iter().enumerate() {
        let within = |window: u64| {
            let end = *start + Duration::from_secs(window);
            sent[index..].iter().filter(|(at, _)| *at < end).count()
        };
        assert!(
            within(60) <= 80,
            "{} in the minute from {start:?}",
            within(60)
        );
        assert!(
            within(3600) <= 500,
            "{} in the hour from {start:?}",
            within(3600)
        );
    }
    assert_eq!(sent[0].1.context, "s/shop", "the whole comes first");
    for (changed, text) in &changes {
        let told = sent
            .iter()
            .find(|(_, status)| status.context == "s/shop" && status.description == *text);
        let (told, _) = told.unwrap_or_else(|| panic!("nobody was told: {text}"));
        assert!(
            told.saturating_sub(*changed) <= Duration::from_secs(2),
            "{text}: {changed:?}, told {told:?}"
        );
    }
    let failing = sent.iter().find(|(_, status)| {
        status.context == "s/shop/wec0777" && status.state == StatusState::Failure
    });
    assert!(
        failing.is_some_and(|(at, _)| *at <= Duration::from_secs(508)),
        "{failing:?}"
    );
}
