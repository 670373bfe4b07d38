//! Previews: what a pull request would change, as a status on its head and as one comment, edited in place.
//!
//! A pull request is rendered like a commit and compared with the commit that it branched off, as forges compare texts: what its
//! base has got since is none of its doing. Nothing of it is published.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{Plan, Service, lock};
use crate::model::{ClusterName, Diagnostic, Severity};
use crate::reconcile::compare::{Changes, Kind, changes};
use crate::reconcile::guard::{self, Losses};
use crate::reconcile::{Pipeline, Rendering, Request, Silent};
use crate::status::markdown::plain;
use crate::status::summarise::shorten;
use crate::status::{CommitStatus, StatusState, summarise};

/// The most characters of a comment; GitHub takes 65,536.
const COMMENT: usize = 60_000;
/// The most lines of one difference in a comment.
const LINES: usize = 80;
/// The most previews that a pipeline remembers.
const REMEMBERED: usize = 64;

/// A pull request that wants to know what it would change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The commit at its head.
    pub head: String,
    /// The branch that it comes from.
    pub branch: String,
}

/// What a pull request would change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The pull request.
    pub number: u64,
    /// The commit at its head that was rendered.
    pub head: String,
    /// When that was.
    pub seen: Timestamp,
    /// The commit that it was compared with: where it branched off what is published.
    pub base: String,
    /// In one line.
    pub summary: String,
    /// Errors that the pull request has.
    pub errors: Vec<String>,
    /// What would change; none when it could not be rendered at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Arc<Changes>>,
}

/// Renders pull requests, apart from what is published, and remembers for the next one.
#[derive(Default)]
pub(super) struct Previewer {
    memory: Pipeline,
}

impl Previewer {
    /// Renders a pull request and compares; `request` is what the pipeline itself renders.
    pub(super) fn preview(
        &mut self,
        pull: &PullRequest,
        request: &Request,
        base: &Rendering,
        plan: &Plan,
    ) -> Preview {
        let mut preview = Preview {
            number: pull.number,
            head: pull.head.clone(),
            seen: Timestamp::now(),
            base: commit(base).unwrap_or_default(),
            summary: String::new(),
            errors: Vec::new(),
            changes: None,
        };
        match self.render(pull, request) {
            Ok(rendering) => {
                preview.head = commit(&rendering).unwrap_or(preview.head);
                let forked = self.forked(base, &rendering, request);
                let base = forked.as_ref().unwrap_or(base);
                preview.base = commit(base).unwrap_or_default();
                preview.compare(base, &rendering, plan);
            }
            Err(error) => {
                preview.summary = format!("cannot be rendered: {error}");
                preview.errors = vec![error];
            }
        }
        tracing::info!(
            pull = pull.number,
            pipeline = plan.resolved.name,
            "{}",
            preview.summary
        );
        preview
    }

    /// Renders the commit that a pull request branched off; none when that is `base` itself, or cannot be had.
    fn forked(
        &mut self,
        base: &Rendering,
        pull: &Rendering,
        request: &Request,
    ) -> Option<Rendering> {
        let (before, head) = (commit(base)?, commit(pull)?);
        let forked = forked_at(base.source.repository.as_deref()?, &before, &head)?;
        if forked == before {
            return None;
        }
        let request = Request {
            revision: Some(forked),
            ..request.clone()
        };
        self.memory.render(&request, &Silent).ok()
    }

    /// Forges keep the head of a pull request under one of these names.
    fn render(&mut self, pull: &PullRequest, request: &Request) -> Result<Rendering, String> {
        let names = [
            format!("refs/pull/{}/head", pull.number),
            format!("refs/merge-requests/{}/head", pull.number),
            format!("refs/heads/{}", pull.branch),
        ];
        let mut last = String::new();
        for name in names {
            let request = Request {
                revision: Some(name),
                ..request.clone()
            };
            match self.memory.render(&request, &Silent) {
                Ok(rendering) => return Ok(rendering),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }
}

/// Gives the commit that was rendered.
fn commit(rendering: &Rendering) -> Option<String> {
    let found = rendering.source.revision.as_ref()?;
    Some(found.revision.to_string())
}

/// Finds the newest commit that both have.
fn forked_at(repository: &Path, base: &str, head: &str) -> Option<String> {
    let repository = git2::Repository::open(repository).ok()?;
    let id = |text| git2::Oid::from_str(text).ok();
    let found = repository.merge_base(id(base)?, id(head)?).ok()?;
    Some(found.to_string())
}

impl Preview {
    /// Says what comes of a pull request: its own errors, what changes, and whether the guard would hold that.
    fn compare(&mut self, base: &Rendering, pull: &Rendering, plan: &Plan) {
        // Mistakes that are there already are not the pull request's.
        let is_new = |found: &&Diagnostic| {
            let same = |known: &Diagnostic| {
                known.reason == found.reason
                    && known.message == found.message
                    && known.object == found.object
                    && known.cluster == found.cluster
            };
            found.severity == Severity::Error && !base.diagnostics.iter().any(same)
        };
        self.errors = pull
            .diagnostics
            .iter()
            .filter(is_new)
            .map(Diagnostic::line)
            .collect();
        let changes = changes(base, pull);
        let mut parts = Vec::new();
        match self.errors.len() {
            0 => {}
            1 => parts.push("1 error".to_owned()),
            many => parts.push(format!("{many} errors")),
        }
        if changes.is_empty() {
            parts.push("changes nothing on any WEC".to_owned());
        } else {
            parts.push(format!("would change: {}", changes.summary()));
        }
        let released = pull.source.revision.as_ref().is_some_and(|found| {
            guard::is_released(&format!(
                "{}\n\n{}",
                found.commit.subject, found.commit.body
            ))
        });
        if !released {
            let held =
                guard::judge_losses(&losses(base, pull, &changes), &plan.resolved.settings.guard);
            parts.extend(held.iter().map(|reason| format!("would be held: {reason}")));
            self.errors.extend(held);
        }
        self.summary = parts.join("; ");
        self.changes = Some(Arc::new(changes));
    }

    /// The status on the pull request's head.
    pub(super) fn status(&self, plan: &Plan) -> CommitStatus {
        let state = match (self.errors.is_empty(), &self.changes) {
            (true, _) => StatusState::Success,
            (false, Some(_)) => StatusState::Failure,
            (false, None) => StatusState::Error,
        };
        CommitStatus {
            context: plan.style.context(Some("preview")),
            state,
            description: shorten(&self.summary, summarise::DESCRIPTION),
            target_url: plan.style.target_url.as_ref().map(|base| {
                format!(
                    "{base}/#/pipelines/{}/pulls/{}",
                    plan.style.pipeline, self.number
                )
            }),
        }
    }

    /// The comment: each difference once, with the WECs that have it.
    pub(super) fn comment(&self, plan: &Plan) -> String {
        let mut text = format!(
            "### Stellate: `{}`\n\nAt {}, compared with {}: **{}**\n",
            plan.resolved.name,
            crate::status::state::short(&self.head),
            crate::status::state::short(&self.base),
            plain(&self.summary),
        );
        for error in self.errors.iter().take(20) {
            text.push_str(&format!("\n- {}", plain(error)));
        }
        if !self.errors.is_empty() {
            text.push('\n');
        }
        let objects = self.changes.iter().flat_map(|changes| &changes.objects);
        let total = self
            .changes
            .as_ref()
            .map_or(0, |changes| changes.objects.len());
        for (shown, change) in objects.enumerate() {
            let names: Vec<&str> = change
                .clusters
                .iter()
                .take(8)
                .map(crate::model::ClusterName::as_str)
                .collect();
            let more = match change.clusters.len() - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let secret = change.object.group.is_empty() && &*change.object.kind == "Secret";
            let diff = if secret {
                "(what a Secret holds is not shown)"
            } else {
                &change.diff
            };
            let lines: Vec<&str> = diff.lines().collect();
            let cut = if lines.len() > LINES { "\n…" } else { "" };
            let fence = fence(diff);
            let entry = format!(
                "\n<details><summary>{} {} on {} WEC(s): {}{more}</summary>\n\n{fence}diff\n{}{cut}\n{fence}\n</details>\n",
                plain(&change.object.to_string()),
                if change.change == Kind::Kept {
                    "kept as it is"
                } else {
                    change.change.word()
                },
                change.clusters.len(),
                plain(&names.join(", ")),
                lines[..lines.len().min(LINES)].join("\n"),
            );
            if text.chars().count() + entry.chars().count() > COMMENT {
                text.push_str(&format!("\n… and {} more differences\n", total - shown));
                break;
            }
            text.push_str(&entry);
        }
        text
    }
}

/// What the guard looks at, before anything is built.
fn losses(base: &Rendering, pull: &Rendering, changes: &Changes) -> Losses {
    let counted = |rendering: &Rendering| -> BTreeMap<ClusterName, usize> {
        let clusters = rendering.summary().clusters.into_iter();
        let clusters =
            clusters.map(|counted| (counted.name, counted.objects + counted.quarantined));
        clusters.filter(|(_, objects)| *objects > 0).collect()
    };
    let (before, after) = (counted(base), counted(pull));
    let removed = changes
        .objects
        .iter()
        .filter(|change| change.change == Kind::Removed);
    Losses {
        emptied: before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .cloned()
            .collect(),
        clusters_before: before.len(),
        removed: removed.map(|change| change.clusters.len()).sum(),
        files_before: before.values().sum(),
    }
}

/// A fence longer than any run of back-ticks in the text.
fn fence(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for letter in text.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(3.max(longest + 1))
}

impl Service {
    /// Asks a pipeline what a pull request would change.
    pub fn pull_request(&self, pipeline: &str, pull: PullRequest) -> bool {
        self.order(pipeline, |orders| orders.preview(pull))
    }

    /// Gives what a pull request would change, as it was rendered last.
    pub fn preview(&self, pipeline: &str, number: u64) -> Option<Preview> {
        lock(&self.running)
            .get(pipeline)?
            .previews
            .get(&number)
            .cloned()
    }

    /// What pull requests would change, by number; those that were rendered last.
    pub fn previews(&self, pipeline: &str) -> Vec<Preview> {
        let running = lock(&self.running);
        let previews = running.get(pipeline).map(|running| &running.previews);
        previews
            .into_iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    /// Keeps a preview, and tells the sinks.
    pub(super) fn previewed(&self, pipeline: &str, preview: Preview) {
        let mut running = lock(&self.running);
        let Some(running) = running.get_mut(pipeline) else {
            return;
        };
        let status = preview.status(&running.plan);
        let marker = format!("stellate {}", running.plan.style.context(None));
        let comment = preview.comment(&running.plan);
        for sink in &running.sinks {
            sink.want(&preview.head, vec![status.clone()]);
            sink.comment(preview.number, &marker, comment.clone());
        }
        running.previews.insert(preview.number, preview);
        while running.previews.len() > REMEMBERED {
            running.previews.pop_first();
        }
        self.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_with_fences_stays_inside_its_own() {
        assert_eq!(fence("a ```` b"), "`````");
        assert_eq!(fence("plain"), "```");
    }
}
