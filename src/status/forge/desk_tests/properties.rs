//! Whatever happens, in whatever order, the forge shows in the end what was wanted last.

use proptest::prelude::*;

use super::*;

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Good),
        2 => Just(Answer::Lost),
        1 => Just(Answer::Fails(broken())),
        1 => Just(Answer::Fails(limited(30))),
        1 => Just(Answer::Fails(forbidden())),
        1 => Just(Answer::Fails(ForgeError::Unauthorized { host: "h".into(), message: String::new() })),
    ]
}

fn states() -> impl Strategy<Value = StatusState> {
    prop_oneof![
        Just(StatusState::Pending),
        Just(StatusState::Success),
        Just(StatusState::Failure),
        Just(StatusState::Error),
    ]
}

/// What happens to a desk.
#[derive(Clone, Debug)]
enum Event {
    Want(usize, BTreeMap<u8, StatusState>),
    Steps(Vec<Answer>),
    Restart,
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..3_usize, prop::collection::btree_map(0..4_u8, states(), 0..4)).prop_map(|(sha, states)| Event::Want(sha, states)),
        4 => prop::collection::vec(answers(), 1..8).prop_map(Event::Steps),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_forge_shows_what_was_wanted_last(events in prop::collection::vec(events(), 1..30), limit in prop::option::of(1..30_u32)) {
        let mut world = World::new(Limits { per_minute: limit, ..Limits::NONE });
        let mut wanted: BTreeMap<String, Vec<CommitStatus>> = BTreeMap::new();
        for event in events {
            match event {
                Event::Want(sha, states) => {
                    let mut statuses = vec![status("s/shop", StatusState::Success)];
                    statuses.extend(states.into_iter().map(|(wec, state)| status(&format!("s/shop/{wec}"), state)));
                    let sha = format!("{sha:040}");
                    world.desk.want(&sha, statuses.clone());
                    wanted.insert(sha, statuses);
                }
                Event::Steps(answers) => {
                    for answer in answers {
                        world.step(&answer);
                    }
                }
                // Whoever starts again wants the same again.
                Event::Restart => {
                    world.restart();
                    for (sha, statuses) in &wanted {
                        world.desk.want(sha, statuses.clone());
                    }
                }
            }
        }
        world.settle();
        prop_assert!(world.desk.problem().is_none());
        for (sha, statuses) in wanted {
            let shown = world.shows(&sha);
            for status in &statuses {
                prop_assert_eq!(shown.get(&status.context), Some(status));
            }
            let left = shown.values().filter(|shown| !statuses.iter().any(|status| status.context == shown.context));
            for status in left {
                prop_assert_ne!(status.state, StatusState::Pending, "{} was left behind", status.context);
            }
        }
        for times in world.has.values() {
            // Two in a row that say the same: then something was told twice.
            let mut last: BTreeMap<&str, &CommitStatus> = BTreeMap::new();
            for status in times {
                prop_assert_ne!(last.insert(&status.context, status), Some(status), "told twice");
            }
        }
    }
}
