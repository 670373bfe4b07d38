//! The order in which WECs get a change.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantity::Interval;
use crate::model::api::{LabelSelector, ReadError};
use crate::model::selector::Selector;

/// The wave of the WECs that no wave selects; it comes last.
pub const REMAINING: &str = "remaining";

/// Some WECs, which get a change when all waves before have it and are healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wave {
    /// Its name; `remaining` is that of the WECs that no wave selects.
    #[schemars(
        length(max = 63),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
        extend("not" = {"enum": ["remaining"]})
    )]
    pub name: String,
    /// The WECs: those whose labels one of these selects and no wave before; `{}`: every WEC.
    #[schemars(length(min = 1))]
    pub cluster_selectors: Vec<LabelSelector>,
    /// How long all its WECs must have been healthy before the next wave begins; left out: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_success_time: Option<Interval>,
    /// How long its WECs have to become healthy before what waits for them counts as failed; left out: as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<Interval>,
    /// Whether it gets nothing new for now, and the waves behind it neither, as long as something waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// Says of all waves what the CRD says with patterns and list types, and what their selectors mean.
pub(super) fn check(waves: &[Wave]) -> Result<(), ReadError> {
    let mut names = BTreeSet::new();
    for (index, wave) in waves.iter().enumerate() {
        wave.check().map_err(|error| error.under_index(index))?;
        if !names.insert(&wave.name) {
            let message = format!("a second wave has the name `{}`", wave.name);
            let error = ReadError::new("InvalidValue", message).help("rename one of the two");
            return Err(error.under_key("name").under_index(index));
        }
    }
    Ok(())
}

impl Wave {
    fn check(&self) -> Result<(), ReadError> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..64).contains(&self.name.len()) && self.name.bytes().all(inner);
        if !fits || self.name.starts_with('-') || self.name.ends_with('-') {
            let message = format!("`{}` is no name of a wave", self.name);
            return Err(ReadError::new("InvalidValue", message)
                .help("take lower-case letters, digits and `-`, such as `canary`")
                .under_key("name"));
        }
        if self.name == REMAINING {
            let message = format!("`{REMAINING}` is the wave of the WECs that no wave selects");
            return Err(ReadError::new("InvalidValue", message)
                .help("take another name; that wave needs no entry")
                .under_key("name"));
        }
        if self.cluster_selectors.is_empty() {
            return Err(ReadError::new("InvalidValue", "a wave needs a selector")
                .help("write `clusterSelectors: [{matchLabels: {stage: canary}}]`")
                .under_key("clusterSelectors"));
        }
        for (index, raw) in self.cluster_selectors.iter().enumerate() {
            if let Err(wrong) = Selector::compile(raw) {
                let mut error = ReadError::new("InvalidSelector", wrong.message);
                error.path = wrong.path;
                return Err(error.under_index(index).under_key("clusterSelectors"));
            }
        }
        Ok(())
    }
}
