//! What a forge has been told when all is quiet, whatever happened on the way.

use proptest::prelude::*;

use super::*;
use crate::status::StatusState;
use crate::status::forge::Conclusion;
use crate::status::forge::budget::Limits;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A forge that keeps everything, and a clock that moves when there is nothing to do.
struct World {
    desk: Desk,
    budget: Budget,
    now: Clock,
    has: BTreeMap<String, Vec<CommitStatus>>,
    checks: Vec<CheckRun>,
    comments: BTreeMap<u64, String>,
    /// What was sent, and when.
    log: Vec<(Clock, Job)>,
}

/// How the forge answers.
#[derive(Clone, Debug)]
enum Answer {
    Good,
    /// It did it, and the answer was lost.
    Lost,
    Fails(ForgeError),
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            desk: Desk::new(Some(Cap::GITHUB)),
            budget: Budget::new(limits),
            now: Clock::ZERO,
            has: BTreeMap::new(),
            checks: Vec::new(),
            comments: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// The process ends and starts again: the forge keeps what it has.
    fn restart(&mut self) {
        self.desk = Desk::new(Some(Cap::GITHUB));
    }

    fn want(&mut self, statuses: &[(&str, StatusState)]) {
        let each = statuses.iter().map(|(name, state)| status(name, *state));
        self.desk.want(SHA, each.collect());
    }

    /// Does the next thing, or lets time pass; tells whether anything is left.
    fn step(&mut self, answer: &Answer) -> bool {
        match self.desk.next(self.now, &self.budget) {
            Next::Idle => return false,
            Next::At(until) => {
                assert!(until > self.now, "waiting for the past never ends");
                self.now = until;
            }
            Next::Do(job) => {
                if !matches!(job, Job::List { .. }) {
                    self.budget.spend(self.now);
                }
                self.log.push((self.now, job.clone()));
                let outcome = match answer {
                    Answer::Good => Ok(self.perform(&job)),
                    Answer::Lost => {
                        self.perform(&job);
                        Err(broken())
                    }
                    Answer::Fails(error) => Err(error.clone()),
                };
                self.desk.done(&job, outcome, self.now);
            }
        }
        true
    }

    fn settle(&mut self) {
        let mut steps = 0;
        while self.step(&Answer::Good) {
            steps += 1;
            assert!(steps < 100_000, "it never comes to rest");
        }
    }

    fn perform(&mut self, job: &Job) -> Vec<Posted> {
        match job {
            Job::List { sha } => {
                let mut known = Known::new();
                for status in self.has.get(sha).into_iter().flatten() {
                    let times = known.get(&status.context).map_or(0, |posted| posted.times) + 1;
                    let status = status.clone();
                    known.insert(status.context.clone(), Posted { status, times });
                }
                known.into_values().collect()
            }
            Job::Post { sha, status } => {
                self.has
                    .entry(sha.clone())
                    .or_default()
                    .push(status.clone());
                Vec::new()
            }
            Job::Check { run, .. } => {
                self.checks.push(run.clone());
                Vec::new()
            }
            Job::Comment { pull, markdown, .. } => {
                self.comments.insert(*pull, markdown.clone());
                Vec::new()
            }
        }
    }

    /// The newest of each name.
    fn shows(&self, sha: &str) -> BTreeMap<String, CommitStatus> {
        let each = self.has.get(sha).into_iter().flatten();
        each.map(|status| (status.context.clone(), status.clone()))
            .collect()
    }

    fn posts(&self) -> Vec<(&str, StatusState)> {
        let posts = self.log.iter().filter_map(|(_, job)| match job {
            Job::Post { status, .. } => Some((status.context.as_str(), status.state)),
            _ => None,
        });
        posts.collect()
    }
}

fn status(context: &str, state: StatusState) -> CommitStatus {
    CommitStatus {
        context: context.into(),
        state,
        description: format!("{state:?}"),
        target_url: None,
    }
}

fn broken() -> ForgeError {
    ForgeError::Broken {
        host: "h".into(),
        problem: "reset".into(),
    }
}

fn limited(seconds: u64) -> ForgeError {
    ForgeError::Limited {
        host: "h".into(),
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

fn forbidden() -> ForgeError {
    ForgeError::Forbidden {
        host: "h".into(),
        repository: "a/b".into(),
        needs: "checks".into(),
        message: String::new(),
    }
}

fn run(conclusion: Option<Conclusion>, title: &str) -> CheckRun {
    CheckRun {
        name: "s/shop".into(),
        conclusion,
        title: title.into(),
        summary: String::new(),
        text: String::new(),
        details_url: None,
    }
}

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
