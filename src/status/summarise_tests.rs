use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::state::{Bytes, Observation};
use super::super::{Evidence, Health, Phase, Progress, Report};
use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn style() -> Style {
    Style {
        prefix: "stellate".into(),
        pipeline: "shop".into(),
        max_clusters: 3,
        target_url: Some("https://stellate.example.com".into()),
    }
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn commit(clusters: &[(&str, Option<Health>)]) -> CommitBoard {
    let published = |expects| {
        let mut state = ClusterState::new(expects, now());
        let rendered = Observation::Rendered {
            objects: 1,
            quarantined: BTreeMap::new(),
        };
        state.observe(rendered, now());
        let published = Observation::Published {
            revision: "feedbeef00feedbeef00".into(),
            bytes: Bytes::New,
        };
        state.observe(published, now());
        state
    };
    let clusters = clusters.iter().map(|(name, health)| {
        let mut state = published(true);
        if let Some(health) = health {
            let report = Report {
                cluster: (*name).into(),
                reporter: "Kustomization flux-system/shop".into(),
                revision: None,
                progress: Progress::Applied,
                health: *health,
                message: "Deployment shop/web: ImagePullBackOff".into(),
                objects: Vec::new(),
                evidence: Evidence::Action,
                at: None,
            };
            state.observe(Observation::Reported(report), now());
        }
        ((*name).into(), state)
    });
    CommitBoard {
        whole: published(false),
        clusters: clusters.collect(),
        ..CommitBoard::new(COMMIT, now())
    }
}

fn lines(commit: &CommitBoard) -> Vec<String> {
    let statuses = statuses(commit, &style());
    let line = |status: &CommitStatus| {
        format!(
            "{} {:?} {}",
            status.context, status.state, status.description
        )
    };
    statuses.iter().map(line).collect()
}

#[test]
fn one_in_all_and_one_for_each_wec() {
    let commit = commit(&[
        ("berlin", Some(Health::Healthy)),
        ("paris", Some(Health::Degraded)),
        ("rome", None),
    ]);
    assert_eq!(
        lines(&commit),
        [
            "stellate/shop Failure 1/3 failing: paris (Deployment shop/web: ImagePullBackOff)",
            "stellate/shop/berlin Success healthy",
            "stellate/shop/paris Failure degraded: Deployment shop/web: ImagePullBackOff",
            "stellate/shop/rome Pending published as feedbeef00; no report from the WEC yet",
        ]
    );
}

#[test]
fn what_is_waited_for_is_counted() {
    let waiting = commit(&[("berlin", Some(Health::Healthy)), ("rome", None)]);
    assert_eq!(
        lines(&waiting)[0],
        "stellate/shop Pending 1/2 healthy, waiting for 1"
    );
    let done = commit(&[
        ("berlin", Some(Health::Healthy)),
        ("rome", Some(Health::Healthy)),
    ]);
    assert_eq!(lines(&done)[0], "stellate/shop Success 2 WECs healthy");
}

#[test]
fn beyond_the_limit_wecs_share_a_status_by_group() {
    let names = ["a", "b", "c", "d"];
    let mut commit = commit(&names.map(|name| (name, Some(Health::Healthy))));
    assert_eq!(
        lines(&commit).len(),
        1,
        "without groups only the one in all is left"
    );
    commit.groups = names
        .map(|name| (name.into(), if name < "c" { "eu" } else { "us" }.into()))
        .into();
    assert_eq!(
        lines(&commit),
        [
            "stellate/shop Success 4 WECs healthy",
            "stellate/shop/eu Success 2 WECs healthy",
            "stellate/shop/us Success 2 WECs healthy",
        ]
    );
}

#[test]
fn an_overtaken_commit_says_by_which_one() {
    let mut commit = commit(&[("rome", None)]);
    let by = Observation::Superseded {
        by: "fedcba9876543210".into(),
    };
    commit.whole = ClusterState::new(false, now());
    commit.observe_all(&by, now());
    assert_eq!(
        lines(&commit),
        [
            "stellate/shop Success superseded by fedcba9876",
            "stellate/shop/rome Success superseded by fedcba9876",
        ]
    );
}

#[test]
fn a_status_links_to_the_page_of_what_it_is_about() {
    let statuses = statuses(&commit(&[("rome", None)]), &style());
    assert_eq!(
        statuses[1].target_url.as_deref(),
        Some(
            "https://stellate.example.com/#/pipelines/shop/commits/0123456789abcdef0123456789abcdef01234567/clusters/rome"
        )
    );
}

#[test]
fn as_many_failing_wecs_are_named_as_fit() {
    let names: Vec<String> = (0..1000)
        .map(|number| format!("edge-{number:04}"))
        .collect();
    let clusters: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), Some(Health::Degraded)))
        .collect();
    let line = &statuses(&commit(&clusters), &style())[0].description;
    assert_eq!(
        line,
        "1000/1000 failing: edge-0000, edge-0001, edge-0002, edge-0003, edge-0004, edge-0005, edge-0006, +993 (Deployment shop/web: ImagePullBackOff)"
    );
}

proptest! {
    #[test]
    fn no_description_is_too_long_and_none_holds_a_line_break(
        names in prop::collection::btree_set("[a-z]{1,80}", 1..50),
    ) {
        let clusters: Vec<_> = names.iter().map(|name| (name.as_str(), Some(Health::Degraded))).collect();
        for status in statuses(&commit(&clusters), &style()) {
            prop_assert!(status.description.chars().count() <= DESCRIPTION);
            prop_assert!(!status.description.contains('\n'));
        }
    }
}

#[test]
fn a_mistake_that_no_wec_stands_for_fails_the_commit_and_not_its_wecs() {
    let mut commit = commit(&[("fra1", Some(Health::Healthy)), ("iad1", None)]);
    commit.mistakes = Some(Mistakes {
        count: 2,
        first: "workloads/shop/extra.yaml:3:1: the file is not YAML".into(),
    });
    let told = statuses(&commit, &style());
    assert_eq!(told[0].state, StatusState::Failure);
    assert_eq!(
        told[0].description,
        "2 errors, the rest is published: workloads/shop/extra.yaml:3:1: the file is not YAML"
    );
    assert_eq!(told[1].state, StatusState::Success, "{told:?}");
    assert_eq!(commit.phase(), Phase::Quarantined);
    commit.supersede("0123456789", &BTreeMap::new(), now());
    assert_eq!(commit.phase(), Phase::Superseded);
    assert_eq!(statuses(&commit, &style())[0].state, StatusState::Success);
}

#[test]
fn the_status_of_a_group_leads_to_the_commit() {
    let mut commit = commit(&[("fra1", None), ("iad1", None)]);
    commit.groups = [("fra1".into(), "europe".into())].into();
    let style = Style {
        max_clusters: 1,
        ..style()
    };
    let told = statuses(&commit, &style);
    assert!(told[1].context.ends_with("/europe"), "{told:?}");
    assert_eq!(told[1].target_url, told[0].target_url);
}

#[test]
fn what_a_release_lets_go_says_so() {
    let mut commit = commit(&[("fra1", None)]);
    let reasons = vec!["166 of 331 objects would be removed".to_owned()];
    commit.observe_all(&Observation::Held(reasons.clone()), now());
    let said = |commit: &CommitBoard| statuses(commit, &style())[0].description.clone();
    assert_eq!(said(&commit), "held: 166 of 331 objects would be removed");
    commit.releasable = reasons;
    assert_eq!(
        said(&commit),
        "held: 166 of 331 objects would be removed; if that is meant: stellate release shop latest"
    );
}
