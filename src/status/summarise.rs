//! A commit of the board → its commit statuses: one in all, one for each WEC or group of WECs. Pure.
//!
//! Descriptions fit 140 characters (GitHub refuses longer ones), name the WECs that fail, and never call unreported healthy.

use std::collections::BTreeMap;

use super::board::{CommitBoard, Mistakes};
use super::state::{ClusterState, short};
use super::{CommitStatus, Phase, StatusState};
use crate::model::ClusterName;

/// The most characters of a description.
pub const DESCRIPTION: usize = 140;

/// What is told, and under which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// What the contexts begin with: `stellate`, or what tells two services on one repository apart.
    pub prefix: String,
    /// The pipeline.
    pub pipeline: String,
    /// Up to how many WECs each gets a status of its own.
    pub max_clusters: usize,
    /// The URL at which people see this service, without a slash at the end.
    pub target_url: Option<String>,
}

/// Gives the statuses of a commit: the one in all first, then by context.
pub fn statuses(commit: &CommitBoard, style: &Style) -> Vec<CommitStatus> {
    let mut statuses = vec![whole(commit, style)];
    if commit.clusters.len() <= style.max_clusters {
        let each = commit.clusters.iter().map(|(name, state)| {
            let (status, description) = of_cluster(state);
            style.status(commit, Some(name.as_str()), status, &description)
        });
        statuses.extend(each);
    } else {
        let mut groups: BTreeMap<&str, Vec<(&ClusterName, &ClusterState)>> = BTreeMap::new();
        for (name, state) in &commit.clusters {
            if let Some(group) = commit.groups.get(name) {
                groups.entry(group).or_default().push((name, state));
            }
        }
        let each = groups.into_iter().map(|(group, members)| {
            let (status, description) = of_many(&members);
            style.of_group(commit, group, status, &description)
        });
        statuses.extend(each);
    }
    statuses
}

/// The status in all.
fn whole(commit: &CommitBoard, style: &Style) -> CommitStatus {
    let (state, mut description) = in_all(commit);
    if commit.phase() == Phase::Held && !commit.releasable.is_empty() {
        description.push_str("; if that is meant: stellate release ");
        description.push_str(&style.pipeline);
        description.push_str(" latest");
    }
    style.status(commit, None, state, &description)
}

/// Puts a commit into words: its own end, else its WECs, else the mistakes of its source.
pub fn in_all(commit: &CommitBoard) -> (StatusState, String) {
    let said = match commit.whole.phase() {
        Phase::Published | Phase::Quarantined if !commit.clusters.is_empty() => {
            let members: Vec<_> = commit.clusters.iter().collect();
            of_many(&members)
        }
        Phase::Published => (
            StatusState::Success,
            "published; there is no WEC to report".into(),
        ),
        _ => return of_cluster(&commit.whole),
    };
    match (&said.0, &commit.mistakes) {
        (StatusState::Success | StatusState::Pending, Some(Mistakes { count, first })) => {
            let errors = match count {
                1 => "1 error".to_owned(),
                many => format!("{many} errors"),
            };
            let text = format!("{errors}, the rest is published: {first}");
            (StatusState::Failure, text)
        }
        _ => said,
    }
}

/// Puts one state into words.
fn of_cluster(state: &ClusterState) -> (StatusState, String) {
    let phase = state.phase();
    let status = match phase {
        Phase::Healthy | Phase::Superseded => StatusState::Success,
        Phase::Published if state.is_over() => StatusState::Success,
        Phase::Degraded | Phase::Held | Phase::Quarantined => StatusState::Failure,
        Phase::Failed => StatusState::Error,
        Phase::Waiting if state.waiting().is_some_and(|waiting| waiting.overdue) => {
            StatusState::Failure
        }
        Phase::Pending
        | Phase::Rendered
        | Phase::Waiting
        | Phase::Published
        | Phase::Delivered
        | Phase::Applied => StatusState::Pending,
    };
    let mut text = phase.word().to_owned();
    if let (Phase::Published, Some(revision)) = (phase, state.revision()) {
        text = format!("published as {}", short(revision));
    }
    let why = state.why();
    let separator = match phase {
        _ if why.is_empty() => "",
        Phase::Superseded => " ",
        Phase::Published => "; ",
        _ => ": ",
    };
    (status, format!("{text}{separator}{why}"))
}

/// Puts the states of several WECs into one line: what fails comes first, by name.
fn of_many(members: &[(&ClusterName, &ClusterState)]) -> (StatusState, String) {
    let total = members.len();
    let in_phase = |wanted: &[Phase]| -> Vec<(&ClusterName, &ClusterState)> {
        let fits = members
            .iter()
            .filter(|(_, state)| wanted.contains(&state.phase()));
        fits.copied().collect()
    };
    let bad = in_phase(&[
        Phase::Failed,
        Phase::Degraded,
        Phase::Held,
        Phase::Quarantined,
    ]);
    if let Some((_, first)) = bad.first() {
        let status = if bad.iter().all(|(_, state)| state.phase() == Phase::Failed) {
            StatusState::Error
        } else {
            StatusState::Failure
        };
        let names: Vec<&str> = bad.iter().map(|(name, _)| name.as_str()).collect();
        return (status, failing(&names, total, first));
    }
    let waiting = in_phase(&[Phase::Waiting]);
    let late = waiting
        .iter()
        .find_map(|(_, state)| state.waiting().filter(|waiting| waiting.overdue));
    if let Some(late) = late {
        return (
            StatusState::Failure,
            format!("{}; {} wait", late.why, wecs(waiting.len())),
        );
    }
    let healthy = in_phase(&[Phase::Healthy]).len();
    let open = members.iter().filter(|(_, state)| !state.is_over()).count();
    let silent = in_phase(&[Phase::Published])
        .iter()
        .filter(|(_, state)| state.is_over())
        .count();
    if let Some(first) = waiting.first().and_then(|(_, state)| state.waiting()) {
        let number = waiting.len();
        let text = format!(
            "{healthy}/{total} healthy, {number} not open yet: {}",
            first.why
        );
        return (StatusState::Pending, text);
    }
    if open > 0 {
        let text = format!("{healthy}/{total} healthy, waiting for {open}");
        return (StatusState::Pending, text);
    }
    let superseded = in_phase(&[Phase::Superseded]).len();
    let mut parts = Vec::new();
    if healthy == total {
        parts.push(format!("{} healthy", wecs(total)));
    } else {
        if healthy > 0 {
            parts.push(format!("{healthy}/{total} healthy"));
        }
        if silent > 0 {
            parts.push(format!(
                "published for {}; nobody reports from there",
                wecs(silent)
            ));
        }
        if superseded > 0 {
            parts.push(format!("superseded on {}", wecs(superseded)));
        }
    }
    (StatusState::Success, parts.join(", "))
}

/// `3/40 failing: c12, c31, c7 (Deployment.apps shop/web: ImagePullBackOff)`, with as many names as fit.
fn failing(names: &[&str], total: usize, first: &ClusterState) -> String {
    let why = match first.why().as_str() {
        "" => first.phase().word().to_owned(),
        why => why.to_owned(),
    };
    let head = format!("{}/{total} failing: ", names.len());
    let reason = shorten(&why, 60);
    let room = DESCRIPTION - head.chars().count() - reason.chars().count() - " ()".len();
    let mut list = String::new();
    for (index, name) in names.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let rest = names.len() - index - 1;
        let tail = if rest == 0 {
            0
        } else {
            ", +".len() + rest.to_string().len()
        };
        let length = list.chars().count() + separator.len() + name.chars().count() + tail;
        if index > 0 && length > room {
            list.push_str(&format!(", +{}", names.len() - index));
            break;
        }
        list.push_str(separator);
        list.push_str(name);
    }
    format!("{head}{list} ({reason})")
}

fn wecs(number: usize) -> String {
    if number == 1 {
        "1 WEC".into()
    } else {
        format!("{number} WECs")
    }
}

/// Cuts a text to so many characters, on one line.
pub fn shorten(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
    if line.chars().count() <= most {
        return line;
    }
    let cut: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

impl Style {
    /// The context of a commit's status: in all, or of a WEC or group.
    pub fn context(&self, member: Option<&str>) -> String {
        match member {
            None => format!("{}/{}", self.prefix, self.pipeline),
            Some(member) => format!("{}/{}/{member}", self.prefix, self.pipeline),
        }
    }

    /// Tells whether a context is one of this pipeline's.
    pub fn owns(&self, context: &str) -> bool {
        let whole = self.context(None);
        context
            .strip_prefix(&whole)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// A group has no page of its own: its status leads to the commit.
    fn of_group(
        &self,
        commit: &CommitBoard,
        group: &str,
        state: StatusState,
        description: &str,
    ) -> CommitStatus {
        CommitStatus {
            context: self.context(Some(group)),
            ..self.status(commit, None, state, description)
        }
    }

    fn status(
        &self,
        commit: &CommitBoard,
        member: Option<&str>,
        state: StatusState,
        description: &str,
    ) -> CommitStatus {
        let page = |base: &String| {
            let commit = format!("{base}/#/pipelines/{}/commits/{}", self.pipeline, commit.id);
            match member {
                None => commit,
                Some(member) => format!("{commit}/clusters/{member}"),
            }
        };
        CommitStatus {
            context: self.context(member),
            state,
            description: shorten(description, DESCRIPTION),
            target_url: self.target_url.as_ref().map(page),
        }
    }
}

#[cfg(test)]
#[path = "summarise_tests.rs"]
mod tests;
