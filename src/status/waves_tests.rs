use proptest::prelude::*;

use super::*;
use crate::model::api::LabelSelector;

fn wave(name: &str, success: u64) -> Wave {
    let labels = [("stage".to_owned(), name.to_owned())].into();
    Wave {
        name: name.to_owned(),
        cluster_selectors: vec![LabelSelector {
            match_labels: labels,
            ..LabelSelector::default()
        }],
        min_success_time: Some(Interval(Duration::from_secs(success))),
        progress_deadline: None,
        paused: false,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn site(wave: usize, pending: bool, condition: Condition) -> Site {
    Site {
        wave,
        pending,
        condition,
    }
}

fn healthy(since: i64) -> Condition {
    Condition::Healthy(at(since))
}

fn ailing(why: &str) -> Condition {
    Condition::Ailing {
        why: why.to_owned(),
        given: Some(at(0)),
    }
}

/// Sites by name: the first letter sorts them.
fn sites(all: &[(&str, Site)]) -> BTreeMap<ClusterName, Site> {
    let named = all
        .iter()
        .map(|(name, site)| (ClusterName::from(*name), site.clone()));
    named.collect()
}

fn decide(waves: &[Wave], all: &[(&str, Site)], now: i64) -> Rollout {
    Waves::new(waves).decide(&sites(all), &BTreeSet::new(), at(now))
}

fn states(rollout: &Rollout) -> Vec<WaveState> {
    rollout.waves.iter().map(|wave| wave.state).collect()
}

fn held(rollout: &Rollout) -> Vec<&str> {
    rollout.held.keys().map(ClusterName::as_str).collect()
}

#[test]
fn a_wec_belongs_to_the_first_wave_that_selects_it_and_else_to_the_last() {
    let mut all = wave("all", 0);
    all.cluster_selectors[0].match_labels.clear();
    let waves = Waves::new(&[wave("a", 0), wave("b", 0)]);
    let labels = |stage: &str| Labels::from([("stage".to_owned(), stage.to_owned())]);
    assert_eq!(
        ["a", "b", "c"].map(|stage| waves.of(&labels(stage))),
        [0, 1, 2]
    );
    assert_eq!(Waves::new(&[all, wave("a", 0)]).of(&labels("a")), 0);
}

#[test]
fn whoever_has_what_is_wanted_and_is_healthy_lets_the_next_wave_begin() {
    use WaveState::{Done, Held, Open, Settling};
    let waves = [wave("a", 10), wave("b", 0)];
    let table = [
        // The first wave is to get something: the others wait.
        (site(0, true, healthy(0)), 100, vec![Open, Held], vec!["p"]),
        // It has it, and nobody knows how it is.
        (
            site(0, false, ailing("unknown")),
            100,
            vec![Open, Held],
            vec!["p"],
        ),
        // It is healthy, but not for long enough.
        (
            site(0, false, healthy(95)),
            100,
            vec![Settling, Held],
            vec!["p"],
        ),
        (site(0, false, healthy(90)), 100, vec![Done, Open], vec![]),
        // There is nothing on it that could be wrong; but what is there has to go first.
        (
            site(0, false, Condition::Empty),
            0,
            vec![Done, Open],
            vec![],
        ),
        (
            site(0, true, Condition::Empty),
            0,
            vec![Open, Held],
            vec!["p"],
        ),
    ];
    for (first, now, wanted, waiting) in table {
        let all = [("b", first.clone()), ("p", site(1, true, healthy(0)))];
        let rollout = decide(&waves, &all, now);
        assert_eq!(states(&rollout), wanted, "{first:?}");
        assert_eq!(held(&rollout), waiting, "{first:?}");
    }
}

#[test]
fn the_moment_at_which_time_alone_opens_a_wave_is_known() {
    let all = [
        ("b", site(0, false, healthy(95))),
        ("c", site(0, false, healthy(97))),
        ("p", site(1, true, healthy(0))),
    ];
    let waves = [wave("a", 10), wave("b", 0)];
    let rollout = decide(&waves, &all, 100);
    assert_eq!(rollout.next, Some(at(107)));
    assert_eq!(rollout.waves[0].until, Some(at(107)));
    assert!(held(&decide(&waves, &all, 107)).is_empty());
}

#[test]
fn a_wec_that_is_degraded_holds_all_later_waves_by_name() {
    let all = [
        ("b", site(0, false, healthy(0))),
        ("c", site(0, false, ailing("degraded: no image"))),
        ("p", site(1, true, healthy(0))),
        ("q", site(2, true, Condition::Empty)),
        ("r", site(2, false, ailing("unknown"))),
    ];
    let rollout = decide(&[wave("a", 0), wave("b", 0)], &all, 100);
    assert_eq!(held(&rollout), ["p", "q"], "and r is to get nothing");
    for waiting in rollout.held.values() {
        assert_eq!(waiting.why, "wave a is not healthy: c (degraded: no image)");
    }
    assert_eq!(rollout.held[&ClusterName::from("q")].wave, "remaining");
    assert!(rollout.awaits(&"b".into(), false) && rollout.awaits(&"c".into(), false));
    assert!(!rollout.awaits(&"p".into(), true));
}

#[test]
fn a_wave_without_wecs_is_passed_over() {
    let all = [("p", site(1, true, healthy(0)))];
    let rollout = decide(&[wave("a", 0), wave("b", 0)], &all, 0);
    assert_eq!(states(&rollout), [WaveState::Open]);
    assert!(rollout.held.is_empty());
}

#[test]
fn a_paused_wave_holds_what_waits_for_it_and_what_is_behind_it() {
    let mut paused = wave("a", 0);
    paused.paused = true;
    let waiting = [
        ("b", site(0, true, healthy(0))),
        ("p", site(1, true, healthy(0))),
    ];
    let rollout = decide(&[paused.clone()], &waiting, 9);
    assert_eq!(states(&rollout), [WaveState::Paused, WaveState::Held]);
    assert_eq!(held(&rollout), ["b", "p"]);
    // Nothing waits for it: then it stops nobody.
    let through = [
        ("b", site(0, false, healthy(0))),
        ("p", site(1, true, healthy(0))),
    ];
    assert!(held(&decide(&[paused], &through, 9)).is_empty());
}

#[test]
fn a_wave_that_is_opened_by_hand_takes_none_behind_it_along() {
    let all = [
        ("b", site(0, false, ailing("x"))),
        ("p", site(1, true, healthy(0))),
        ("q", site(2, true, healthy(0))),
    ];
    let waves = Waves::new(&[wave("a", 0), wave("b", 0)]);
    let opened = ["b".to_owned()].into();
    let rollout = waves.decide(&sites(&all), &opened, at(9));
    assert_eq!(held(&rollout), ["q"]);
}

#[test]
fn a_wave_that_takes_too_long_is_said_by_name_and_by_whom() {
    let mut late = wave("a", 0);
    late.progress_deadline = Some(Interval(Duration::from_secs(60)));
    let all = [
        ("b", site(0, false, ailing("applied"))),
        ("p", site(1, true, healthy(0))),
    ];
    let early = decide(&[late.clone()], &all, 59);
    assert_eq!(
        (states(&early)[0], early.next),
        (WaveState::Open, Some(at(60)))
    );
    let rollout = decide(&[late], &all, 60);
    assert_eq!(states(&rollout)[0], WaveState::Overdue);
    let waiting = &rollout.held[&ClusterName::from("p")];
    assert!(waiting.overdue);
    assert_eq!(
        waiting.why,
        "wave a did not become healthy within 1m: b (applied)"
    );
}

fn any_site(waves: usize) -> impl Strategy<Value = Site> {
    let condition = prop_oneof![
        Just(Condition::Empty),
        (0_i64..100).prop_map(healthy),
        Just(ailing("x")),
    ];
    (0..=waves, any::<bool>(), condition).prop_map(|(wave, pending, condition)| Site {
        wave,
        pending,
        condition,
    })
}

proptest! {
    #[test]
    fn nobody_gets_anything_while_a_wec_of_an_earlier_wave_is_not_healthy(
        all in prop::collection::vec(any_site(3), 0..12),
        success in 0_u64..50,
        now in 0_i64..150,
    ) {
        let waves = Waves::new(&[wave("a", success), wave("b", success), wave("c", success)]);
        let sites: BTreeMap<ClusterName, Site> = all
            .into_iter()
            .enumerate()
            .map(|(number, site)| (ClusterName::from(format!("c{number}").as_str()), site))
            .collect();
        let rollout = waves.decide(&sites, &BTreeSet::new(), at(now));
        for (name, site) in sites.iter().filter(|(_, site)| site.pending) {
            let bad = |earlier: &Site| {
                let well = match earlier.condition {
                    Condition::Empty => true,
                    Condition::Healthy(since) => after(since, Duration::from_secs(success)) <= at(now),
                    Condition::Ailing { .. } => false,
                };
                earlier.wave < site.wave && (earlier.pending || !well)
            };
            prop_assert_eq!(rollout.held.contains_key(name), sites.values().any(bad), "{} {:?}", name, site);
        }
        for name in rollout.held.keys() {
            prop_assert!(sites[name].pending, "only who is to get something waits");
        }
        // Who waits for time alone is told when to look again: not before it matters, and when it does.
        let by_time = rollout.waves.iter().all(|wave| wave.state != WaveState::Open);
        if by_time && !rollout.held.is_empty() {
            let next = rollout.next.expect("a time");
            prop_assert!(next > at(now));
            let then = waves.decide(&sites, &BTreeSet::new(), next);
            prop_assert_ne!(then.waves, rollout.waves);
            let before = waves.decide(&sites, &BTreeSet::new(), at(next.as_second() - 1));
            prop_assert_eq!(before.held.keys().collect::<Vec<_>>(), rollout.held.keys().collect::<Vec<_>>());
        }
    }

    #[test]
    fn in_the_end_everybody_gets_everything(all in prop::collection::vec(any_site(3), 0..12), success in 0_u64..50) {
        let waves = Waves::new(&[wave("a", success), wave("b", success), wave("c", success)]);
        let mut sites: BTreeMap<ClusterName, Site> = all
            .into_iter()
            .enumerate()
            .map(|(number, site)| (ClusterName::from(format!("c{number}").as_str()), site))
            .collect();
        let mut now = 100;
        for _ in 0..=4 {
            let rollout = waves.decide(&sites, &BTreeSet::new(), at(now));
            for (name, site) in &mut sites {
                site.pending &= rollout.held.contains_key(name);
                // All become healthy, and stay so.
                if !matches!(site.condition, Condition::Healthy(_)) {
                    site.condition = healthy(now);
                }
            }
            now += 50;
        }
        prop_assert!(sites.values().all(|site| !site.pending));
    }
}
