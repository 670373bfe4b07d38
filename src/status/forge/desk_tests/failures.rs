//! What failed is tried again, later each time, and holds up nothing else.

use super::*;

#[test]
fn the_host_says_when_to_come_again_and_failures_wait_longer_each_time() {
    let mut world = World::new(Limits::NONE);
    world.want(&[("s/shop", StatusState::Success)]);
    world.step(&Answer::Fails(limited(90)));
    world.step(&Answer::Good);
    assert_eq!(world.now, Duration::from_secs(90));
    assert_eq!(
        world.desk.problem().map(ForgeError::reason),
        Some("RateLimited")
    );
    let mut waits = Vec::new();
    for _ in 0..12 {
        let before = world.now;
        world.step(&Answer::Fails(broken()));
        world.step(&Answer::Good);
        waits.push(world.now.saturating_sub(before).as_secs());
    }
    assert_eq!(waits[..4], [2, 4, 8, 16]);
    assert_eq!(waits[11], 300);
    world.settle();
    assert_eq!(world.shows(SHA)["s/shop"].state, StatusState::Success);
    assert_eq!(
        world.desk.counters(world.now, &world.budget).outcomes["ConnectionBroken"],
        12
    );
}

#[test]
fn what_the_host_takes_no_more_of_is_left_alone_and_nothing_else_waits_for_it() {
    let mut world = World::new(Limits::NONE);
    world.want(&[
        ("s/shop", StatusState::Success),
        ("s/shop/a", StatusState::Success),
    ]);
    world.step(&Answer::Good);
    let full = ForgeError::TooMany {
        host: "h".into(),
        sha: SHA.into(),
        context: "s/shop".into(),
    };
    world.step(&Answer::Fails(full));
    world.settle();
    world.want(&[
        ("s/shop", StatusState::Failure),
        ("s/shop/a", StatusState::Failure),
    ]);
    world.settle();
    let shown = world.shows(SHA);
    assert_eq!(shown.keys().collect::<Vec<_>>(), ["s/shop/a"]);
    assert_eq!(shown["s/shop/a"].state, StatusState::Failure);
    assert_eq!(world.now, Clock::ZERO, "nothing has waited");
}

#[test]
fn after_a_credential_was_changed_nothing_waits_for_the_next_try() {
    let mut world = World::new(Limits::NONE);
    world.want(&[("s/shop", StatusState::Success)]);
    while matches!(world.desk.next(world.now, &world.budget), Next::Do(_)) {
        world.step(&Answer::Fails(broken()));
    }
    let before = world.now;
    world.desk.retry();
    world.settle();
    assert_eq!(world.shows(SHA)["s/shop"].state, StatusState::Success);
    assert_eq!(world.now, before, "nothing has waited");
}

#[test]
fn a_commit_that_the_host_does_not_have_holds_up_no_other_and_is_given_up() {
    let mut world = World::new(Limits::NONE);
    world.want(&[("s/shop", StatusState::Success)]);
    let unknown = ForgeError::UnknownCommit {
        host: "h".into(),
        repository: "a/b".into(),
        sha: SHA.into(),
    };
    world.step(&Answer::Fails(unknown.clone()));
    let other = "f".repeat(40);
    world
        .desk
        .want(&other, vec![status("s/shop", StatusState::Success)]);
    world.step(&Answer::Good);
    world.step(&Answer::Good);
    assert_eq!(world.shows(&other).len(), 1);
    assert_eq!(world.now, Clock::ZERO);
    let mut steps = 0;
    while world.step(&Answer::Fails(unknown.clone())) {
        steps += 1;
        assert!(steps < 50, "it is never given up");
    }
    world.want(&[("s/shop", StatusState::Failure)]);
    world.settle();
    assert_eq!(world.shows(SHA).len(), 1, "asked again, it is tried again");
}

#[test]
fn a_permission_that_only_the_check_run_needs_holds_up_no_status() {
    let mut world = World::new(Limits::NONE);
    world
        .desk
        .want_check(SHA, run(Some(Conclusion::Failure), "1/2 failing"));
    world.step(&Answer::Fails(forbidden()));
    world.want(&[("s/shop", StatusState::Failure)]);
    world.settle();
    assert_eq!(
        (world.shows(SHA).len(), world.checks.len(), world.now),
        (1, 0, Clock::ZERO)
    );
    assert_eq!(
        world.desk.problem().map(ForgeError::reason),
        Some("Forbidden")
    );
    world
        .desk
        .want_check(SHA, run(Some(Conclusion::Success), "2/2 healthy"));
    world.settle();
    assert_eq!(world.checks.len(), 1);
    assert!(world.desk.problem().is_none());
}
