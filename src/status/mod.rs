//! What became of a commit: what was rendered and published, and what each WEC says, → where it stands, and in which words.
//!
//! ```text
//! rendering, delivery ─┐
//! reports of the WECs ─┼─▶ ClusterState (facets) ─▶ Phase ─▶ CommitStatus ─▶ forge
//! the clock ───────────┘
//! ```
//!
//! This file, [`health`], [`state`], `trust`, [`board`], [`waves`] and [`summarise`] are pure: time comes in as a value. [`forge`] holds the adapters that post.
//! Unreported is never healthy, and no sequence of observations leaves a commit without an end.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ClusterName, ObjectKey};

pub mod board;
pub mod forge;
pub mod health;
pub mod markdown;
pub mod observe;
pub mod state;
pub mod summarise;
pub mod table;
mod trust;
pub mod waves;

/// Where a commit stands on a WEC.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Seen, and not rendered yet.
    Pending,
    /// Rendered, and not published yet.
    Rendered,
    /// It is not published before other WECs are healthy: its wave is not open.
    Waiting,
    /// Where the WEC will find it; nothing was heard from there.
    Published,
    /// The WEC has it, and has not applied it yet.
    Delivered,
    /// Applied, and not healthy yet.
    Applied,
    /// Applied, and everything is healthy.
    Healthy,
    /// Applied or refused, and something is not healthy.
    Degraded,
    /// The guard holds it back.
    Held,
    /// Some objects could not be rendered; what was there before stays.
    Quarantined,
    /// It could not be rendered or published at all.
    Failed,
    /// Another commit took its place before it came to an end.
    Superseded,
}

/// Whether objects work.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// Everything works.
    Healthy,
    /// Nobody knows.
    #[default]
    Unknown,
    /// On its way.
    Progressing,
    /// Stopped on purpose; nothing more will happen.
    Suspended,
    /// It does not work.
    Degraded,
}

/// How far a WEC got with what it was given.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Progress {
    /// It has it.
    #[default]
    Delivered,
    /// All of it is applied.
    Applied,
    /// It refuses it, or some of it.
    Refused,
}

/// What a WEC's agent, Argo CD or Flux says about a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The WEC.
    pub cluster: ClusterName,
    /// Who says so: `Application argocd/shop-berlin`, `Kustomization flux-system/shop`, `ManifestWork berlin/shop-0`. A later report
    /// of the same reporter takes the place of the earlier one.
    pub reporter: String,
    /// The generated commit that it speaks of; none where the reporter knows of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How far the WEC got.
    pub progress: Progress,
    /// Whether it works.
    pub health: Health,
    /// One sentence; empty when there is nothing to say.
    #[serde(default)]
    pub message: String,
    /// The objects that there is something to say about, sorted by key.
    #[serde(default)]
    pub objects: Vec<ObjectReport>,
    /// How it knows.
    #[serde(default, skip_serializing_if = "Evidence::is_action")]
    pub evidence: Evidence,
    /// When the reporter saw it; none where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
}

/// How a reporter knows what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "by")]
pub enum Evidence {
    /// It applies the revision itself, and says how that went.
    #[default]
    Action,
    /// It compares the revision with what is there (Argo CD). What was refused can look the same as what was applied.
    Comparison {
        /// The generated commit that it applied last, when that came to a good end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        applied: Option<String>,
    },
}

impl Evidence {
    fn is_action(&self) -> bool {
        *self == Self::Action
    }
}

/// What is said of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// The object.
    pub object: ObjectKey,
    /// Whether it works.
    pub health: Health,
    /// One sentence; may be empty.
    #[serde(default)]
    pub message: String,
}

/// The state of a commit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    /// Something is still to come.
    Pending,
    /// All is as it should be.
    Success,
    /// Something is wrong with what was committed, or on a WEC.
    Failure,
    /// Something is wrong on the way.
    Error,
}

/// One commit status, as every forge has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatus {
    /// What tells it from the commit's other statuses: `stellate/shop`, `stellate/shop/berlin`.
    pub context: String,
    /// Its state.
    pub state: StatusState,
    /// One line of at most 140 characters.
    pub description: String,
    /// The page with the details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_url: Option<String>,
}

impl Phase {
    /// The word as people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Rendered => "rendered",
            Self::Waiting => "waiting",
            Self::Published => "published",
            Self::Delivered => "delivered",
            Self::Applied => "applied",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Held => "held",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }

    /// Tells whether somebody has to do something.
    pub fn is_trouble(self) -> bool {
        matches!(
            self,
            Self::Degraded | Self::Held | Self::Quarantined | Self::Failed
        )
    }
}
