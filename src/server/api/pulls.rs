//! Pull requests: what was rendered of one → what it would change, each difference once with the WECs that have it.
//!
//! Bounded, and nothing of a Secret's is given out.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::find;
use super::list::{Page, Part};
use super::pipelines::{Asking, Shown, asked};
use crate::model::{ClusterName, ObjectKey};
use crate::reconcile::browse::Text;
use crate::reconcile::compare::{Changes, Kind, ObjectChange};
use crate::reconcile::service::Preview;
use crate::server::Backend;
use crate::server::problem::Problem;

/// The most errors of an answer.
const ERRORS: usize = 200;

/// The most differences of an answer.
const DIFFERENCES: usize = 100;

/// What a pull request would change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullView {
    /// Its number.
    pub number: u64,
    /// The commit at its head that was rendered.
    pub head: String,
    /// When that was.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub seen: Timestamp,
    /// The published commit that it was compared with.
    pub base: String,
    /// In one line.
    pub summary: String,
    /// Errors that it has; at most 200.
    pub errors: Vec<String>,
    /// How many errors there are in all.
    pub errors_total: usize,
    /// What would change; left out when it could not be rendered at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<PullChanges>,
}

/// A pull request, in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullItem {
    /// Its number.
    pub number: u64,
    /// The commit at its head that was rendered.
    pub head: String,
    /// When that was.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub seen: Timestamp,
    /// What it would change, in one line.
    pub summary: String,
    /// How many errors it has.
    pub errors_total: usize,
}

/// What would change on which WECs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullChanges {
    /// WECs that are new in the inventory.
    pub added_clusters: Vec<ClusterName>,
    /// WECs that are no longer in it.
    pub removed_clusters: Vec<ClusterName>,
    /// The differences, sorted by object; at most 100.
    pub objects: Vec<PullChange>,
    /// How many differences there are in all.
    pub total: usize,
}

/// One difference.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullChange {
    /// The object.
    pub object: ObjectKey,
    /// Its file below the folder of each WEC.
    pub path: String,
    /// What would happen to it.
    pub change: Fate,
    /// The WECs that have this very difference, by name.
    pub clusters: Vec<ClusterName>,
    /// Lines that are new.
    pub lines_added: usize,
    /// Lines that go.
    pub lines_removed: usize,
    /// The difference, unified; of one WEC where their contexts differ.
    #[serde(flatten)]
    pub content: Text,
}

/// What would happen to an object.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It is new.
    Added,
    /// It is different.
    Changed,
    /// It goes.
    Removed,
    /// It cannot be rendered, and stays as it is.
    Kept,
}

pub(super) async fn list(
    State(backend): State<Arc<dyn Backend>>,
    Path(pipeline): Path<String>,
    part: Asking<Part>,
) -> Shown<Page<PullItem>> {
    find::pipeline(&backend.board(), &pipeline)?;
    let mut all = backend.previews(&pipeline);
    all.reverse();
    let page = asked(part)?.take(
        &all,
        false,
        |preview| preview.number.to_string(),
        |preview| Ok::<_, Infallible>(PullItem::new(preview)),
    );
    let Ok(page) = page;
    Ok(Json(page))
}

pub(super) async fn one(
    State(backend): State<Arc<dyn Backend>>,
    Path((pipeline, number)): Path<(String, String)>,
) -> Shown<PullView> {
    find::pipeline(&backend.board(), &pipeline)?;
    let preview = number.parse().ok();
    let preview = preview.and_then(|number| backend.preview(&pipeline, number));
    let preview = preview.ok_or_else(|| {
        let detail = format!("pull request {number} has not been rendered");
        Problem::missing("NoSuchPull", detail)
            .help("the forge's webhook asks for it; push to the pull request again when it is open")
    })?;
    Ok(Json(PullView::new(&preview)))
}

impl PullItem {
    /// Puts what was rendered into one line of a list.
    pub fn new(preview: &Preview) -> Self {
        Self {
            number: preview.number,
            head: preview.head.clone(),
            seen: preview.seen,
            summary: preview.summary.clone(),
            errors_total: preview.errors.len(),
        }
    }
}

impl PullView {
    /// Puts what was rendered into what is told.
    pub fn new(preview: &Preview) -> Self {
        let errors = preview.errors.iter().take(ERRORS);
        Self {
            number: preview.number,
            head: preview.head.clone(),
            seen: preview.seen,
            base: preview.base.clone(),
            summary: preview.summary.clone(),
            errors: errors.cloned().collect(),
            errors_total: preview.errors.len(),
            changes: preview.changes.as_deref().map(PullChanges::new),
        }
    }
}

impl PullChanges {
    fn new(changes: &Changes) -> Self {
        let first = changes.objects.iter().take(DIFFERENCES);
        Self {
            added_clusters: changes.added_clusters.clone(),
            removed_clusters: changes.removed_clusters.clone(),
            objects: first.map(PullChange::new).collect(),
            total: changes.objects.len(),
        }
    }
}

impl PullChange {
    fn new(change: &ObjectChange) -> Self {
        Self {
            object: change.object.clone(),
            path: change.path.clone(),
            change: change.change.into(),
            clusters: change.clusters.clone(),
            lines_added: change.lines_added,
            lines_removed: change.lines_removed,
            content: Text::of(&change.path, change.diff.as_bytes()),
        }
    }
}

impl From<Kind> for Fate {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Added => Self::Added,
            Kind::Changed => Self::Changed,
            Kind::Removed => Self::Removed,
            Kind::Kept => Self::Kept,
        }
    }
}
