use proptest::prelude::*;

use super::super::Evidence;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn report(progress: Progress, health: Health) -> Observation {
    report_of("Kustomization flux-system/shop", "g1", progress, health)
}

fn report_of(reporter: &str, revision: &str, progress: Progress, health: Health) -> Observation {
    Observation::Reported(Report {
        cluster: "berlin".into(),
        reporter: reporter.into(),
        revision: Some(revision.into()),
        progress,
        health,
        message: "says so".into(),
        objects: Vec::new(),
        evidence: Evidence::Action,
        at: None,
    })
}

fn rendered() -> Observation {
    Observation::Rendered {
        objects: 3,
        quarantined: BTreeMap::new(),
    }
}

fn published(revision: &str) -> Observation {
    Observation::Published {
        revision: revision.into(),
        bytes: Bytes::New,
    }
}

fn quarantined() -> Observation {
    let key = ObjectKey::new("apps", "Deployment", "shop", "web");
    Observation::Rendered {
        objects: 3,
        quarantined: [(key, "no property `region`".to_owned())].into(),
    }
}

fn failed() -> Observation {
    Observation::Failed {
        reason: "RemoteUnreachable".into(),
        message: "the forge is away".into(),
    }
}

fn superseded() -> Observation {
    Observation::Superseded { by: "b".repeat(40) }
}

fn overdue() -> Observation {
    Observation::Overdue {
        after: "10m".into(),
    }
}

fn after(observations: &[Observation]) -> ClusterState {
    let mut state = ClusterState::new(true, at(0));
    for (second, observation) in (1..).zip(observations) {
        state.observe(observation.clone(), at(second));
    }
    state
}

#[test]
fn each_row_of_observations_ends_in_its_phase() {
    use Health as H;
    use Progress as P;
    let rows: [(&[Observation], Phase, bool); 19] = [
        (&[], Phase::Pending, false),
        (&[rendered()], Phase::Rendered, false),
        (&[rendered(), published("g1")], Phase::Published, false),
        (
            &[
                rendered(),
                published("g1"),
                report(P::Delivered, H::Unknown),
            ],
            Phase::Delivered,
            false,
        ),
        (
            &[
                rendered(),
                published("g1"),
                report(P::Applied, H::Progressing),
            ],
            Phase::Applied,
            false,
        ),
        (
            &[rendered(), published("g1"), report(P::Applied, H::Unknown)],
            Phase::Applied,
            false,
        ),
        (
            &[rendered(), published("g1"), report(P::Applied, H::Healthy)],
            Phase::Healthy,
            true,
        ),
        (
            &[
                rendered(),
                published("g1"),
                report(P::Applied, H::Suspended),
            ],
            Phase::Healthy,
            true,
        ),
        (
            &[rendered(), published("g1"), report(P::Applied, H::Degraded)],
            Phase::Degraded,
            true,
        ),
        (
            &[rendered(), published("g1"), report(P::Refused, H::Unknown)],
            Phase::Degraded,
            true,
        ),
        (
            &[rendered(), published("g1"), overdue()],
            Phase::Degraded,
            true,
        ),
        (
            &[
                rendered(),
                published("g1"),
                overdue(),
                report(P::Applied, H::Healthy),
            ],
            Phase::Healthy,
            true,
        ),
        (
            &[
                quarantined(),
                published("g1"),
                report(P::Applied, H::Healthy),
            ],
            Phase::Quarantined,
            true,
        ),
        (
            &[
                quarantined(),
                published("g1"),
                report(P::Applied, H::Degraded),
            ],
            Phase::Degraded,
            true,
        ),
        (
            &[rendered(), Observation::Held(vec!["too much goes".into()])],
            Phase::Held,
            true,
        ),
        (&[rendered(), failed()], Phase::Failed, true),
        (&[rendered(), superseded()], Phase::Superseded, true),
        (
            &[rendered(), superseded(), Observation::Begun],
            Phase::Rendered,
            false,
        ),
        (
            &[failed(), Observation::Begun, rendered(), published("g1")],
            Phase::Published,
            false,
        ),
    ];
    for (observations, phase, over) in rows {
        let state = after(observations);
        assert_eq!(
            (state.phase(), state.is_over()),
            (phase, over),
            "{observations:?}"
        );
    }
}

#[test]
fn the_worst_and_slowest_reporter_counts() {
    let healthy = report(Progress::Applied, Health::Healthy);
    let slow = report_of(
        "Application argocd/shop",
        "g1",
        Progress::Delivered,
        Health::Unknown,
    );
    let state = after(&[rendered(), published("g1"), healthy.clone(), slow.clone()]);
    assert_eq!(state.phase(), Phase::Delivered);
    let bad = report_of(
        "Application argocd/shop",
        "g1",
        Progress::Applied,
        Health::Degraded,
    );
    assert_eq!(
        after(&[rendered(), published("g1"), healthy, slow, bad]).phase(),
        Phase::Degraded
    );
}

#[test]
fn what_is_said_of_another_generated_commit_does_not_count() {
    let other = report_of(
        "Kustomization flux-system/shop",
        "g0",
        Progress::Applied,
        Health::Healthy,
    );
    assert_eq!(
        after(&[rendered(), published("g1"), other]).phase(),
        Phase::Published
    );
}

#[test]
fn a_wec_whose_bytes_did_not_change_stands_where_it_stood() {
    let before = after(&[
        rendered(),
        published("g1"),
        report(Progress::Applied, Health::Healthy),
    ]);
    let same = Observation::Published {
        revision: "g2".into(),
        bytes: Bytes::Same(Box::new(before)),
    };
    let mut state = after(&[rendered(), same]);
    assert_eq!(state.phase(), Phase::Healthy);
    assert_eq!(state.revision(), Some("g2"));
    // The WEC may still speak of the commit that it got the bytes with.
    state.observe(report(Progress::Applied, Health::Degraded), at(9));
    assert_eq!(state.phase(), Phase::Degraded);
}

#[test]
fn a_comparison_is_believed_when_its_bytes_were_applied_or_are_older_than_memory() {
    let compared = |applied: &str| {
        Observation::Reported(Report {
            cluster: "berlin".into(),
            reporter: "Application argocd/shop".into(),
            revision: Some("g2".into()),
            progress: Progress::Applied,
            health: Health::Healthy,
            message: String::new(),
            objects: Vec::new(),
            evidence: Evidence::Comparison {
                applied: Some(applied.into()),
            },
            at: None,
        })
    };
    let mut state = after(&[rendered(), published("g2"), compared("g1")]);
    assert_eq!(state.phase(), Phase::Delivered);
    assert!(!state.is_over());
    assert!(
        state.why().contains("not finished a sync"),
        "{}",
        state.why()
    );
    state.observe(compared("g2"), at(9));
    assert_eq!(state.phase(), Phase::Healthy);

    let old = Observation::Published {
        revision: "g2".into(),
        bytes: Bytes::Old,
    };
    let state = after(&[rendered(), old, compared("g1")]);
    assert_eq!(state.phase(), Phase::Healthy);
}

#[test]
fn a_wec_from_which_nobody_reports_ends_published_and_is_never_called_healthy() {
    let mut state = ClusterState::new(false, at(0));
    state.observe(rendered(), at(1));
    state.observe(published("g1"), at(2));
    assert!(state.is_over());
    assert_eq!(state.phase(), Phase::Published);
    assert_eq!(state.why(), "nobody reports from the WEC");
    state.observe(report(Progress::Delivered, Health::Unknown), at(3));
    assert!(!state.is_over(), "once it spoke, its end is waited for");
}

#[test]
fn what_came_to_an_end_is_not_superseded() {
    let state = after(&[
        rendered(),
        published("g1"),
        report(Progress::Applied, Health::Degraded),
        superseded(),
    ]);
    assert_eq!(state.phase(), Phase::Degraded);
}

#[test]
fn since_tells_when_the_phase_began() {
    let mut state = after(&[rendered(), published("g1")]);
    assert_eq!(state.since(), at(2));
    assert!(!state.observe(published("g1"), at(7)), "nothing changed");
    assert_eq!(state.since(), at(2));
}

fn observation() -> impl Strategy<Value = Observation> {
    let progress = prop_oneof![
        Just(Progress::Delivered),
        Just(Progress::Applied),
        Just(Progress::Refused)
    ];
    let health = prop_oneof![
        Just(Health::Healthy),
        Just(Health::Unknown),
        Just(Health::Progressing),
        Just(Health::Suspended),
        Just(Health::Degraded)
    ];
    let reports = (progress, health, "[ab]", "g[12]")
        .prop_map(|(progress, health, who, revision)| report_of(&who, &revision, progress, health));
    prop_oneof![
        Just(Observation::Begun),
        Just(rendered()),
        Just(quarantined()),
        Just(Observation::Held(vec!["too much goes".into()])),
        Just(published("g1")),
        Just(published("g2")),
        Just(failed()),
        Just(overdue()),
        Just(superseded()),
        reports,
    ]
}

proptest! {
    /// Whatever was seen: a commit that is published and whose time runs out, or that is overtaken, or that fails, is over.
    #[test]
    fn no_sequence_of_observations_leaves_a_commit_without_an_end(
        observations in prop::collection::vec(observation(), 0..20),
        expects in any::<bool>(),
    ) {
        let mut state = ClusterState::new(expects, at(0));
        for (second, observation) in (1..).zip(observations) {
            state.observe(observation, at(second));
        }
        let mut late = state.clone();
        late.observe(published("g3"), at(100));
        late.observe(overdue(), at(101));
        prop_assert!(late.is_over(), "{:?}", late);
        let mut lost = state.clone();
        lost.observe(failed(), at(100));
        prop_assert!(lost.is_over());
        let mut overtaken = state;
        overtaken.observe(superseded(), at(100));
        prop_assert!(overtaken.is_over());
    }

    /// Healthy is said only when every reporter says so, and at least one does.
    #[test]
    fn unreported_is_never_healthy(observations in prop::collection::vec(observation(), 0..20)) {
        let state = after(&observations);
        if state.phase() == Phase::Healthy {
            let words: Vec<_> = state.reports().map(|report| (report.progress, report.health)).collect();
            prop_assert!(!words.is_empty());
            prop_assert!(words.iter().all(|word| matches!(word, (Progress::Applied, Health::Healthy | Health::Suspended))));
        }
    }

    /// A state that is written down and read again is the same state.
    #[test]
    fn a_state_survives_being_written_down(observations in prop::collection::vec(observation(), 0..10)) {
        let state = after(&observations);
        let text = serde_json::to_string(&state).expect("it can be written");
        let again: ClusterState = serde_json::from_str(&text).expect("it can be read");
        prop_assert_eq!(state, again);
    }
}
