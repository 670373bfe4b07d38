//! What is told: each change once, the last word only, and nothing that the forge knows already.

use super::*;

#[test]
fn a_state_that_nobody_saw_is_never_told() {
    let mut world = World::new(Limits::NONE);
    world.want(&[
        ("s/shop", StatusState::Pending),
        ("s/shop/a", StatusState::Pending),
    ]);
    world.want(&[
        ("s/shop", StatusState::Success),
        ("s/shop/a", StatusState::Success),
    ]);
    world.settle();
    assert_eq!(
        world.posts(),
        [
            ("s/shop", StatusState::Success),
            ("s/shop/a", StatusState::Success)
        ]
    );
    world.want(&[
        ("s/shop", StatusState::Success),
        ("s/shop/a", StatusState::Success),
    ]);
    world.settle();
    assert_eq!(world.posts().len(), 2, "nothing has changed");
}

#[test]
fn a_new_process_reads_first_and_posts_nothing_twice() {
    let mut world = World::new(Limits::NONE);
    let wanted = [
        ("s/shop", StatusState::Pending),
        ("s/shop/a", StatusState::Success),
    ];
    world.want(&wanted);
    world.settle();
    world.log.clear();
    world.restart();
    world.want(&wanted);
    world.settle();
    let jobs: Vec<&Job> = world.log.iter().map(|(_, job)| job).collect();
    assert_eq!(jobs, [&Job::List { sha: SHA.into() }]);
}

#[test]
fn an_answer_that_was_lost_is_looked_up_before_anything_is_sent_again() {
    let mut world = World::new(Limits::NONE);
    world.want(&[("s/shop", StatusState::Success)]);
    world.step(&Answer::Good);
    world.step(&Answer::Lost);
    world.settle();
    assert_eq!(world.posts().len(), 1);
    assert!(world.desk.problem().is_none(), "it was read since");
}

#[test]
fn a_commit_that_was_left_pending_is_closed_and_others_names_are_not() {
    let mut world = World::new(Limits::NONE);
    let left = ["s/shop", "s/shop/a", "ci/build"].map(|name| status(name, StatusState::Pending));
    world.has.insert(SHA.into(), left.to_vec());
    world
        .has
        .get_mut(SHA)
        .unwrap()
        .push(status("s/shop/b", StatusState::Failure));
    world.desk.close(
        SHA,
        Box::new(|name| name.starts_with("s/shop")),
        "superseded by 89abcde",
    );
    world.settle();
    let shown = world.shows(SHA);
    let states = |name: &str| (shown[name].state, shown[name].description.clone());
    assert_eq!(
        states("s/shop"),
        (StatusState::Success, "superseded by 89abcde".into())
    );
    assert_eq!(
        states("s/shop/a"),
        (StatusState::Success, "superseded by 89abcde".into())
    );
    assert_eq!(states("s/shop/b").0, StatusState::Failure);
    assert_eq!(states("ci/build").0, StatusState::Pending);
}

#[test]
fn a_check_run_is_not_written_at_every_step_but_at_once_when_it_ends() {
    let mut world = World::new(Limits::NONE);
    for number in 0..50 {
        world
            .desk
            .want_check(SHA, run(None, &format!("{number}/50 healthy")));
        world.step(&Answer::Good);
    }
    world.settle();
    let before = world.now;
    world
        .desk
        .want_check(SHA, run(Some(Conclusion::Success), "50 WECs healthy"));
    world.settle();
    assert_eq!(world.now, before);
    let times: Vec<Clock> = world.log.iter().map(|(at, _)| *at).collect();
    let steps = &times[..times.len() - 1];
    assert!(
        steps
            .windows(2)
            .all(|pair| pair[1].saturating_sub(pair[0]) >= CHECK_EVERY),
        "{times:?}"
    );
    assert_eq!(world.checks.last().unwrap().title, "50 WECs healthy");
}

#[test]
fn a_comment_is_written_when_it_changes() {
    let mut world = World::new(Limits::NONE);
    for text in ["one", "one", "two"] {
        world.desk.want_comment(7, "stellate shop", text.into());
        world.settle();
    }
    assert_eq!((world.log.len(), &*world.comments[&7]), (2, "two"));
}
