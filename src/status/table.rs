//! A commit of the board → a check run with the table of its WECs, in Markdown. Pure.

use super::Phase;
use super::board::CommitBoard;
use super::forge::{CheckRun, Conclusion};
use super::markdown::plain;
use super::summarise::{Style, shorten, statuses};

/// The most WECs in the table; those in trouble come first.
const ROWS: usize = 500;

/// Gives the check run of a commit.
pub fn check_run(commit: &CommitBoard, style: &Style) -> CheckRun {
    let all = statuses(commit, style);
    let whole = all.into_iter().next();
    let (title, url) = whole.map_or_else(Default::default, |status| {
        (status.description, status.target_url)
    });
    let phase = commit.phase();
    let conclusion = commit.is_over().then_some(match phase {
        Phase::Superseded => Conclusion::Neutral,
        Phase::Healthy | Phase::Published => Conclusion::Success,
        _ => Conclusion::Failure,
    });
    CheckRun {
        name: style.context(None),
        conclusion,
        title: title.clone(),
        summary: title,
        text: table(commit),
        details_url: url,
    }
}

/// One row a WEC: what is in trouble first, then by name.
fn table(commit: &CommitBoard) -> String {
    let mut rows: Vec<_> = commit.clusters.iter().collect();
    rows.sort_by_key(|(name, state)| (!is_trouble(state.phase()), *name));
    let mut text = String::from("| WEC | state | since | why |\n|---|---|---|---|\n");
    for (name, state) in rows.iter().take(ROWS) {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            plain(name.as_str()),
            state.phase().word(),
            state.since().strftime("%Y-%m-%d %H:%M:%S UTC"),
            plain(&shorten(&state.why(), 200)),
        ));
    }
    if rows.len() > ROWS {
        text.push_str(&format!("\n… and {} more\n", rows.len() - ROWS));
    }
    text
}

fn is_trouble(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Failed | Phase::Degraded | Phase::Held | Phase::Quarantined
    )
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
