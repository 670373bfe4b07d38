//! A commit on its WECs: where it stands, what they got, and what it changed for them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::find;
use super::list::{Page, Part};
use super::pipelines::{Asking, Shown, apart, asked};
use super::views::{ClusterItem, ClusterView, DiffGroup, FileDiff, FileView, ObjectItem, PHASES};
use crate::model::ClusterName;
use crate::reconcile::browse::{Base, Browser, Changed, path_of};
use crate::server::Backend;
use crate::server::problem::Problem;
use crate::status::board::CommitBoard;
use crate::status::state::ClusterState;
use crate::status::{Health, ObjectReport, Phase};

/// The most files that a group of WECs shows.
const FILES: usize = 50;

/// Which WECs are asked for.
#[derive(Deserialize)]
pub(super) struct Filter {
    phase: Option<String>,
    name: Option<String>,
}

/// Which file is asked for.
#[derive(Deserialize)]
pub(super) struct File {
    path: String,
}

/// A pipeline, a commit, a WEC.
type Place = Path<(String, String, String)>;

pub(super) async fn list(
    State(backend): State<Arc<dyn Backend>>,
    Path((pipeline, id)): Path<(String, String)>,
    filter: Asking<Filter>,
    part: Asking<Part>,
) -> Shown<Page<ClusterItem>> {
    let filter = asked(filter)?;
    let phases = filter.phase.as_deref().map(phases).transpose()?;
    let board = backend.board();
    let known = find::pipeline(&board, &pipeline)?;
    let commit = find::commit(known, &id)?;
    let members = commit
        .clusters
        .iter()
        .map(|(name, state)| (name, Ok(state)));
    let excluded = commit.excluded.iter().map(|(name, why)| (name, Err(why)));
    let wanted = |(name, state): &(&ClusterName, Result<&ClusterState, &String>)| {
        let in_phase =
            |phases: &Vec<Phase>| state.is_ok_and(|state| phases.contains(&state.phase()));
        phases.as_ref().is_none_or(in_phase)
            && filter
                .name
                .as_deref()
                .is_none_or(|part| name.as_str().contains(part))
    };
    let mut all: Vec<_> = members.chain(excluded).filter(wanted).collect();
    all.sort_by_key(|(name, _)| *name);
    let page = asked(part)?.take(
        &all,
        true,
        |(name, _)| name.to_string(),
        |(name, state)| {
            Ok::<_, Infallible>(match state {
                Ok(state) => ClusterItem::new(name, state, commit, known),
                Err(why) => ClusterItem::excluded(name, why),
            })
        },
    );
    let Ok(page) = page;
    Ok(Json(page))
}

/// Reads words with commas between.
fn phases(words: &str) -> Result<Vec<Phase>, Problem> {
    let phase = |word: &str| PHASES.into_iter().find(|phase| phase.word() == word);
    let each = words.split(',').map(|word| {
        phase(word).ok_or_else(|| {
            let known = PHASES.map(Phase::word).join(", ");
            Problem::request(format!(
                "there is no phase `{word}`; phases are {known}, with commas between"
            ))
        })
    });
    each.collect()
}

pub(super) async fn one(
    State(backend): State<Arc<dyn Backend>>,
    Path((pipeline, id, name)): Place,
) -> Shown<ClusterView> {
    let board = backend.board();
    let known = find::pipeline(&board, &pipeline)?;
    let commit = find::commit(known, &id)?;
    let (name, state) = find::cluster(commit, &name)?;
    let item = ClusterItem::new(name, state, commit, known);
    Ok(Json(ClusterView::new(item, state)))
}

pub(super) async fn objects(
    State(backend): State<Arc<dyn Backend>>,
    Path((pipeline, id, name)): Place,
    part: Asking<Part>,
) -> Shown<Page<ObjectItem>> {
    let part = asked(part)?;
    let page = apart(move || {
        let board = backend.board();
        let commit = find::commit(find::pipeline(&board, &pipeline)?, &id)?;
        let (name, state) = find::cluster(commit, &name)?;
        let mut said = said_of(state);
        let sight = match Sight::new(&*backend, &pipeline, commit, Some(state)) {
            Ok(sight) => sight,
            // Without generated commits, the reports are all there is.
            Err(problem) if problem.status == StatusCode::NOT_FOUND.as_u16() => {
                let said: Vec<_> = said.into_iter().collect();
                return part.take(&said, true, by_path, |word| Ok(reported(word)));
            }
            Err(problem) => return Err(problem),
        };
        let entries = sight.browser.entries(&sight.revision, name)?;
        part.take(
            &entries,
            true,
            |entry| entry.path.clone(),
            |entry| {
                let word = said.remove(&entry.path);
                Ok(ObjectItem {
                    object: sight.browser.object(entry)?,
                    path: Some(entry.path.clone()),
                    health: word.as_ref().map(|word| word.health),
                    message: word.map(|word| word.message).unwrap_or_default(),
                })
            },
        )
    });
    Ok(Json(page.await?))
}

pub(super) async fn file(
    State(backend): State<Arc<dyn Backend>>,
    Path((pipeline, id, name)): Place,
    file: Asking<File>,
) -> Shown<FileView> {
    let File { path } = asked(file)?;
    let view = apart(move || {
        let board = backend.board();
        let commit = find::commit(find::pipeline(&board, &pipeline)?, &id)?;
        let (name, state) = find::cluster(commit, &name)?;
        let sight = Sight::new(&*backend, &pipeline, commit, Some(state))?;
        let entries = sight.browser.entries(&sight.revision, name)?;
        let entry = entries
            .iter()
            .find(|entry| entry.path == path)
            .ok_or_else(|| Problem::missing("NoSuchFile", format!("the WEC has no file {path}")))?;
        let content = sight.browser.text(entry)?;
        Ok(FileView { path, content })
    });
    Ok(Json(view.await?))
}

pub(super) async fn diff(
    State(backend): State<Arc<dyn Backend>>,
    Path((pipeline, id, name)): Place,
    part: Asking<Part>,
) -> Shown<Page<FileDiff>> {
    let part = asked(part)?;
    let page = apart(move || {
        let board = backend.board();
        let known = find::pipeline(&board, &pipeline)?;
        let commit = find::commit(known, &id)?;
        let (name, state) = find::cluster(commit, &name)?;
        let sight = Sight::new(&*backend, &pipeline, commit, Some(state))?;
        let before = find::older(known, commit)
            .and_then(|older| older.clusters.get(name))
            .and_then(ClusterState::revision);
        let base = sight.base(before);
        let changes = sight.browser.changes(&sight.revision, base, name)?;
        part.take(
            &changes,
            true,
            |changed| changed.path.clone(),
            |changed| sight.file_diff(changed),
        )
    });
    Ok(Json(page.await?))
}

pub(super) async fn groups(
    State(backend): State<Arc<dyn Backend>>,
    Path((pipeline, id)): Path<(String, String)>,
    part: Asking<Part>,
) -> Shown<Page<DiffGroup>> {
    let part = asked(part)?;
    let page = apart(move || {
        let board = backend.board();
        let known = find::pipeline(&board, &pipeline)?;
        let commit = find::commit(known, &id)?;
        let sight = Sight::new(&*backend, &pipeline, commit, None)?;
        let before = find::older(known, commit).and_then(|older| older.generated.as_deref());
        let groups = sight.browser.groups(&sight.revision, sight.base(before))?;
        part.take(
            &groups,
            true,
            |(clusters, _)| {
                clusters
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            },
            |(clusters, changes)| {
                let shown = changes.iter().take(FILES);
                Ok(DiffGroup {
                    clusters: clusters.clone(),
                    total: changes.len(),
                    files: shown
                        .map(|changed| sight.file_diff(changed))
                        .collect::<Result<_, Problem>>()?,
                })
            },
        )
    });
    Ok(Json(page.await?))
}

/// A generated commit, ready to be looked into.
struct Sight {
    browser: Browser,
    revision: String,
}

impl Sight {
    /// For a WEC it is the commit that holds its files, else the one that stands for the source commit.
    fn new(
        backend: &dyn Backend,
        pipeline: &str,
        commit: &CommitBoard,
        state: Option<&ClusterState>,
    ) -> Result<Self, Problem> {
        let path = backend.repository(pipeline).ok_or_else(|| {
            Problem::missing(
                "NoGeneratedCommits",
                format!("pipeline {pipeline} writes no generated branch"),
            )
        })?;
        let browser = Browser::open(&path)?;
        let own = state.and_then(ClusterState::revision);
        let candidates = [own, commit.generated.as_deref()];
        let revision = candidates
            .into_iter()
            .flatten()
            .find(|revision| browser.holds(revision))
            .map(ToOwned::to_owned);
        let revision = revision.ok_or_else(|| match &commit.generated {
            Some(generated) => Problem::missing(
                "NoSuchCommit",
                format!("generated commit {generated} is not here"),
            ),
            None => Problem::missing("NotPublished", "nothing was published for this commit"),
        })?;
        Ok(Self { browser, revision })
    }

    /// What to compare with, when the commit before has `before`.
    fn base(&self, before: Option<&str>) -> Base {
        if before == Some(self.revision.as_str()) {
            Base::Same
        } else {
            Base::Parent
        }
    }

    fn file_diff(&self, changed: &Changed) -> Result<FileDiff, Problem> {
        Ok(FileDiff {
            path: changed.path.clone(),
            change: changed.change,
            content: self.browser.difference(changed)?,
        })
    }
}

/// What the reporters say of each object, by its path; of several words the worst.
fn said_of(state: &ClusterState) -> BTreeMap<String, ObjectReport> {
    let mut said: BTreeMap<String, ObjectReport> = BTreeMap::new();
    for report in state.object_reports() {
        let path = path_of(&report.object);
        match said.get(&path) {
            Some(known) if gravity(known.health) >= gravity(report.health) => {}
            _ => drop(said.insert(path, report.clone())),
        }
    }
    said
}

/// How much a word matters: that something is wrong most, that nobody knows least.
fn gravity(health: Health) -> u8 {
    match health {
        Health::Unknown => 0,
        Health::Healthy => 1,
        Health::Suspended => 2,
        Health::Progressing => 3,
        Health::Degraded => 4,
    }
}

fn by_path((path, _): &(String, ObjectReport)) -> String {
    path.clone()
}

fn reported((_, word): &(String, ObjectReport)) -> ObjectItem {
    ObjectItem {
        object: Some(word.object.clone()),
        path: None,
        health: Some(word.health),
        message: word.message.clone(),
    }
}
