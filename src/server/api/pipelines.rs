//! Pipelines, their commits, and what can be asked of them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::list::{Page, Part};
use super::views::{Asked, CommitItem, CommitView, Grid, PipelineView, Released};
use super::{find, views};
use crate::model::ClusterName;
use crate::placement::Explanation;
use crate::server::Backend;
use crate::server::problem::Problem;
use crate::status::Phase;
use crate::status::board::{Activity, CommitBoard, PipelineBoard};
use crate::status::state::ClusterState;
use crate::status::waves::WaveState;

pub(super) type Shown<T> = Result<Json<T>, Problem>;

/// A query that cannot be read is a problem like others.
pub(super) type Asking<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

pub(super) fn asked<T>(query: Asking<T>) -> Result<T, Problem> {
    match query {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(Problem::request(rejection.body_text())),
    }
}

/// What is to be explained.
#[derive(Deserialize)]
pub(super) struct Question {
    object: String,
    cluster: Option<String>,
}

/// How to run.
#[derive(Deserialize)]
pub(super) struct Manner {
    #[serde(default)]
    full: bool,
}

pub(super) async fn list(
    State(backend): State<Arc<dyn Backend>>,
    part: Asking<Part>,
) -> Shown<Page<PipelineView>> {
    let board = backend.board();
    let all: Vec<_> = board.pipelines.iter().collect();
    let page = asked(part)?.take(
        &all,
        true,
        |(name, _)| (*name).clone(),
        |(name, pipeline)| Ok::<_, Infallible>(PipelineView::new(name, pipeline)),
    );
    let Ok(page) = page;
    Ok(Json(page))
}

pub(super) async fn one(
    State(backend): State<Arc<dyn Backend>>,
    Path(name): Path<String>,
) -> Shown<PipelineView> {
    let board = backend.board();
    let pipeline = find::pipeline(&board, &name)?;
    Ok(Json(PipelineView::new(&name, pipeline)))
}

pub(super) async fn commits(
    State(backend): State<Arc<dyn Backend>>,
    Path(name): Path<String>,
    part: Asking<Part>,
) -> Shown<Page<CommitItem>> {
    let board = backend.board();
    let commits = find::pipeline(&board, &name)?.commits.iter();
    let all: Vec<&CommitBoard> = commits.map(AsRef::as_ref).collect();
    let page = asked(part)?.take(
        &all,
        false,
        |commit| commit.id.clone(),
        |commit| Ok::<_, Infallible>(CommitItem::new(commit)),
    );
    let Ok(page) = page;
    Ok(Json(page))
}

pub(super) async fn commit(
    State(backend): State<Arc<dyn Backend>>,
    Path((name, id)): Path<(String, String)>,
) -> Shown<CommitView> {
    let board = backend.board();
    let pipeline = find::pipeline(&board, &name)?;
    let commit = find::commit(pipeline, &id)?;
    Ok(Json(CommitView::new(commit, pipeline)))
}

/// What is to be released.
#[derive(Deserialize)]
pub(super) struct What {
    wave: Option<String>,
}

/// Only a held commit, or a wave that waits for it, and only the newest: with another one the next run has nothing to do.
pub(super) async fn release(
    State(backend): State<Arc<dyn Backend>>,
    Path((pipeline, id)): Path<(String, String)>,
    what: Asking<What>,
) -> Result<(StatusCode, Json<Released>), Problem> {
    let wave = asked(what)?.wave.filter(|wave| !wave.is_empty());
    let board = backend.board();
    let known = find::pipeline(&board, &pipeline)?;
    let commit = find::commit(known, &id)?;
    let why = match &wave {
        Some(wave) => waits(known, commit, wave),
        None => is_held(commit),
    };
    let why = why.map_err(|detail| {
        Problem::new(StatusCode::CONFLICT, "NotHeld", detail).help("there is nothing to release")
    })?;
    if !find::is_newest(known, commit) {
        let detail = "a newer commit took its place";
        return Err(Problem::new(StatusCode::CONFLICT, "NotNewest", detail)
            .help("release the newest commit, if it is held too"));
    }
    if wave.is_none() && !commit.is_releasable() {
        let detail =
            "what holds the commit is no limit on removals, and a release lifts nothing else";
        return Err(Problem::new(StatusCode::CONFLICT, "NotReleasable", detail)
            .help("mend what the commit says of itself"));
    }
    let done = match &wave {
        Some(wave) => backend.open_wave(&pipeline, &commit.id, wave),
        None => backend.release(&pipeline, &commit.id),
    };
    if !done {
        return Err(stopping());
    }
    let released = Released {
        commit: commit.id.clone(),
        wave,
        why,
        pipeline,
    };
    Ok((StatusCode::ACCEPTED, Json(released)))
}

/// Why a commit is held; else that it is not.
fn is_held(commit: &CommitBoard) -> Result<String, String> {
    match commit.phase() {
        Phase::Held => Ok(commit.releasable.join("; ")),
        phase => Err(format!("the commit is {}, not held", phase.word())),
    }
}

/// Why a wave waits for a commit; else that it does not, or not for what a release lifts.
fn waits(known: &PipelineBoard, commit: &CommitBoard, wave: &str) -> Result<String, String> {
    let found = known.rollout.as_ref().and_then(|rollout| {
        let mut waves = rollout.waves.iter();
        waves.find(|known| known.name == wave)
    });
    match found.map(|found| found.state) {
        None => return Err(format!("there is no wave {wave} with WECs")),
        Some(WaveState::Paused) => {
            return Err(format!(
                "wave {wave} is paused by the configuration, and goes on there"
            ));
        }
        Some(_) => {}
    }
    let mut waiting = commit.clusters.values().filter_map(ClusterState::waiting);
    let waiting = waiting.find(|waiting| waiting.wave == wave);
    waiting
        .map(|waiting| waiting.why.clone())
        .ok_or_else(|| format!("no WEC of wave {wave} waits for the commit"))
}

pub(super) async fn grid(
    State(backend): State<Arc<dyn Backend>>,
    Path(name): Path<String>,
    part: Asking<Part>,
) -> Shown<views::Grid> {
    let board = backend.board();
    let pipeline = find::pipeline(&board, &name)?;
    Ok(Json(Grid::new(pipeline, asked(part)?.limit())))
}

pub(super) async fn explain(
    State(backend): State<Arc<dyn Backend>>,
    Path(name): Path<String>,
    question: Asking<Question>,
) -> Shown<Explanation> {
    find::pipeline(&backend.board(), &name)?;
    let question = asked(question)?;
    let object = find::object(&question.object)?;
    let cluster = question.cluster.filter(|cluster| !cluster.is_empty());
    let cluster = cluster.map(ClusterName::from);
    let explained = apart(move || Ok(backend.explain(&name, &object, cluster.as_ref()))).await?;
    explained.map(Json).ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "NotRendered",
            "nothing has been rendered since the start",
        )
    })
}

pub(super) async fn sync(
    State(backend): State<Arc<dyn Backend>>,
    Path(pipeline): Path<String>,
    manner: Asking<Manner>,
) -> Result<(StatusCode, Json<Asked>), Problem> {
    let Manner { full } = asked(manner)?;
    let board = backend.board();
    if let Activity::Standby { holder } = &find::pipeline(&board, &pipeline)?.activity {
        return Err(stands_by(holder.as_deref()));
    }
    if !backend.sync(&pipeline, full) {
        return Err(stopping());
    }
    Ok((StatusCode::ACCEPTED, Json(Asked { pipeline, full })))
}

/// Only the replica that has the lease can do anything.
fn stands_by(holder: Option<&str>) -> Problem {
    let detail = match holder {
        Some(holder) => format!("another replica serves the pipeline: {holder}"),
        None => "the pipeline is not served here".to_owned(),
    };
    Problem::new(StatusCode::CONFLICT, "StandsBy", detail).help("ask the replica that serves it")
}

fn stopping() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Stopping",
        "the service takes no more requests for runs",
    )
}

/// Does what blocks where blocking is allowed.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Failed",
            "the answer could not be worked out",
        ))
    })
}
