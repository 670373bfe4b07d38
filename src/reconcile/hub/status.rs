//! Where a pipeline stands → the status of its object. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::Diagnostic;
use crate::model::api::pipeline::{Condition, PipelineStatus};
use crate::status::board::{CommitBoard, PipelineBoard};
use crate::status::summarise::{Style, shorten, statuses};
use crate::status::{Phase, StatusState};

/// About how many characters a condition's message has at most; an API server takes 32,768.
const MESSAGE: usize = 4_000;

/// The phases, the worst first.
const WORST_FIRST: [Phase; 12] = [
    Phase::Failed,
    Phase::Degraded,
    Phase::Quarantined,
    Phase::Held,
    Phase::Pending,
    Phase::Rendered,
    Phase::Waiting,
    Phase::Published,
    Phase::Delivered,
    Phase::Applied,
    Phase::Healthy,
    Phase::Superseded,
];

/// Gives the status of a pipeline that runs this generation of its spec.
///
/// A condition that says what it said before keeps its time.
pub fn status(
    board: &PipelineBoard,
    generation: i64,
    before: &PipelineStatus,
    now: Timestamp,
) -> PipelineStatus {
    let newest = board.commits.front();
    let clusters = newest.map_or_else(BTreeMap::new, |commit| count(commit));
    let ready = newest.map_or_else(
        || Claim::unknown("Pending", "no commit was rendered yet"),
        |commit| ready(commit),
    );
    let stalled = match &board.problem {
        None => Claim::new("False", "Working", ""),
        Some(problem) => Claim::new(
            "True",
            &problem.reason,
            &with_help(&problem.message, problem.help.as_deref()),
        ),
    };
    PipelineStatus {
        observed_generation: Some(generation),
        conditions: vec![
            ready.condition("Ready", generation, before, now),
            stalled.condition("Stalled", generation, before, now),
        ],
        source_commit: newest.map(|commit| commit.id.clone()),
        generated_commit: newest.and_then(|commit| commit.generated.clone()),
        summary: summary(&clusters),
        clusters,
    }
}

/// Gives the status of a pipeline whose spec cannot be used, for all of these reasons; what it said of its last commit stays.
pub fn refused(
    found: &[Diagnostic],
    generation: i64,
    before: &PipelineStatus,
    now: Timestamp,
) -> PipelineStatus {
    let message = together(found);
    let reason = found.first().map_or("Refused", |found| found.reason);
    let stalled = Claim::new("True", reason, &message);
    let ready = Claim::new("False", reason, &message);
    PipelineStatus {
        observed_generation: Some(generation),
        conditions: vec![
            ready.condition("Ready", generation, before, now),
            stalled.condition("Stalled", generation, before, now),
        ],
        ..before.clone()
    }
}

/// Puts all that was found into one message: numbered when it is more than one thing, and no longer than people read.
fn together(found: &[Diagnostic]) -> String {
    let each = found
        .iter()
        .map(|found| with_help(&found.message, found.help.as_deref()));
    if found.len() == 1 {
        return each.map(|one| shorten(&one, MESSAGE)).collect();
    }
    let mut message = format!("{} errors:", found.len());
    for (index, one) in each.enumerate() {
        let room = MESSAGE.saturating_sub(message.chars().count());
        if index > 0 && one.chars().count() > room {
            message.push_str(&format!(" … and {} more", found.len() - index));
            break;
        }
        message.push_str(&format!(" ({}) {}", index + 1, shorten(&one, room)));
    }
    message
}

/// What a condition says.
struct Claim {
    status: &'static str,
    reason: String,
    message: String,
}

impl Claim {
    fn new(status: &'static str, reason: &str, message: &str) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    fn unknown(reason: &str, message: &str) -> Self {
        Self::new("Unknown", reason, message)
    }

    fn condition(
        self,
        name: &str,
        generation: i64,
        before: &PipelineStatus,
        now: Timestamp,
    ) -> Condition {
        let since = before
            .condition(name)
            .filter(|last| last.status == self.status)
            .map_or_else(
                // Whole seconds, as Kubernetes writes them.
                || now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                |last| last.last_transition_time.clone(),
            );
        Condition {
            name: name.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason,
            message: self.message,
            last_transition_time: since,
            observed_generation: Some(generation),
        }
    }
}

/// Whether the newest commit is where it should be, in the words of its commit status.
fn ready(commit: &CommitBoard) -> Claim {
    let style = Style {
        prefix: String::new(),
        pipeline: String::new(),
        max_clusters: 0,
        target_url: None,
    };
    let phase = word(commit.phase());
    match statuses(commit, &style).first() {
        Some(whole) => {
            let status = match whole.state {
                StatusState::Success => "True",
                StatusState::Pending => "Unknown",
                StatusState::Failure | StatusState::Error => "False",
            };
            Claim::new(status, &phase, &whole.description)
        }
        None => Claim::unknown(&phase, ""),
    }
}

/// Counts the WECs in each phase.
fn count(commit: &CommitBoard) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for state in commit.clusters.values() {
        *counts.entry(state.phase().word().to_owned()).or_insert(0) += 1;
    }
    counts
}

fn summary(clusters: &BTreeMap<String, i64>) -> String {
    let parts = WORST_FIRST.iter().filter_map(|phase| {
        let count = clusters.get(phase.word())?;
        Some(format!("{count} {}", phase.word()))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// A phase as a condition's reason.
fn word(phase: Phase) -> String {
    let word = phase.word();
    word[..1].to_uppercase() + &word[1..]
}

fn with_help(message: &str, help: Option<&str>) -> String {
    match help {
        Some(help) => format!("{message}; {help}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(found: &[Diagnostic]) -> String {
        let status = refused(found, 1, &PipelineStatus::default(), Timestamp::UNIX_EPOCH);
        let stalled = status.condition("Stalled").expect("a condition");
        assert_eq!(stalled.reason, found[0].reason);
        stalled.message.clone()
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let one = Diagnostic::error("UnknownField", "unknown field `a`").help("write `b`");
        let other = Diagnostic::error("WrongType", "`c` is no number");
        assert_eq!(
            told(std::slice::from_ref(&one)),
            "unknown field `a`; write `b`"
        );
        assert_eq!(
            told(&[one, other]),
            "2 errors: (1) unknown field `a`; write `b` (2) `c` is no number"
        );
    }

    #[test]
    fn a_message_says_how_much_it_leaves_out() {
        let long = Diagnostic::error("WrongType", "x".repeat(1_500));
        let message = told(&vec![long; 50]);
        assert!(message.starts_with("50 errors: (1) xxx"), "{message}");
        assert!(message.ends_with(" … and 48 more"), "{message}");
        let endless = Diagnostic::error("WrongType", "x".repeat(100_000));
        assert_eq!(told(&[endless]).chars().count(), MESSAGE);
    }
}
