use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::state::{Bytes, ClusterState, Observation};
use super::super::{Evidence, Health, Progress, Report};
use super::*;

fn style() -> Style {
    Style {
        prefix: "stellate".into(),
        pipeline: "shop".into(),
        max_clusters: 3,
        target_url: None,
    }
}

fn commit(healths: &[(&str, Option<Health>)]) -> CommitBoard {
    let now = Timestamp::UNIX_EPOCH;
    let published = |expects| {
        let mut state = ClusterState::new(expects, now);
        let publish = Observation::Published {
            revision: "g1".into(),
            bytes: Bytes::New,
        };
        state.observe(publish, now);
        state
    };
    let clusters = healths.iter().map(|(name, health)| {
        let mut state = published(true);
        if let Some(health) = health {
            let report = Report {
                cluster: (*name).into(),
                reporter: "Application argocd/shop".into(),
                revision: None,
                progress: Progress::Applied,
                health: *health,
                message: "<b> | it broke".into(),
                objects: Vec::new(),
                evidence: Evidence::Action,
                at: None,
            };
            state.observe(Observation::Reported(report), now);
        }
        ((*name).into(), state)
    });
    CommitBoard {
        whole: published(false),
        clusters: clusters.collect(),
        ..CommitBoard::new("0".repeat(40), now)
    }
}

#[test]
fn what_is_in_trouble_comes_first_and_its_words_are_no_markup() {
    let run = check_run(
        &commit(&[
            ("berlin", Some(Health::Healthy)),
            ("paris", Some(Health::Degraded)),
        ]),
        &style(),
    );
    assert_eq!(run.conclusion, Some(Conclusion::Failure));
    let rows: Vec<&str> = run.text.lines().skip(2).collect();
    assert_eq!(
        rows,
        [
            "| paris | degraded | 1970-01-01 00:00:00 UTC | &lt;b&gt; \\| it broke |",
            "| berlin | healthy | 1970-01-01 00:00:00 UTC |  |",
        ]
    );
}

#[test]
fn a_check_run_goes_on_while_a_wec_is_waited_for() {
    let waiting = commit(&[("berlin", None)]);
    assert_eq!(check_run(&waiting, &style()).conclusion, None);
    let mut overtaken = waiting;
    overtaken.supersede("1", &BTreeMap::new(), Timestamp::UNIX_EPOCH);
    assert_eq!(
        check_run(&overtaken, &style()).conclusion,
        Some(Conclusion::Neutral)
    );
}
