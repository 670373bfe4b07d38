//! What is held back until somebody releases it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantity::Limit;
use crate::model::api::ReadError;

/// What is held back. A part that is left out guards as strictly as when all of it is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.allowedSecrets) || !has(self.secrets) || self.secrets == 'refuse'",
    "message": "allowedSecrets makes exceptions from secrets: refuse",
}]))]
pub struct Guard {
    /// How many WECs may lose everything in one change.
    pub max_removed_clusters: Limit,
    /// How many objects, counted on each WEC, may go in one change.
    pub max_removed_objects: Limit,
    /// Whether Secrets may be written where the results go.
    pub secrets: SecretsRule,
    /// Secrets that may be written all the same, as namespace/name; `*` stands for any text without `/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^[-a-z0-9.*]+/[-a-z0-9.*]+$")))]
    pub allowed_secrets: Vec<String>,
}

/// Whether Secrets may be written where the results go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretsRule {
    /// A Secret with data in it is not written into git.
    #[default]
    Refuse,
    /// Secrets are objects like others.
    Allow,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            max_removed_clusters: Limit::Percent(25),
            max_removed_objects: Limit::Percent(25),
            secrets: SecretsRule::Refuse,
            allowed_secrets: Vec::new(),
        }
    }
}

impl Guard {
    /// Says what the CRD says with patterns and rules in CEL.
    pub(super) fn check(&self) -> Result<(), ReadError> {
        if !self.allowed_secrets.is_empty() && self.secrets == SecretsRule::Allow {
            let error = ReadError::new("InvalidValue", "makes exceptions from `secrets: refuse`");
            return Err(error
                .help("leave it out: all Secrets are allowed")
                .under_key("allowedSecrets"));
        }
        for (index, pattern) in self.allowed_secrets.iter().enumerate() {
            if !is_pattern(pattern) {
                let message = format!("`{pattern}` is no namespace/name");
                return Err(ReadError::new("InvalidValue", message)
                    .help("write `shop/tls-*`, where `*` stands for any text")
                    .under_index(index)
                    .under_key("allowedSecrets"));
            }
        }
        Ok(())
    }
}

fn is_pattern(pattern: &str) -> bool {
    let part = |text: &str| {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'*')
        };
        !text.is_empty() && text.bytes().all(allowed)
    };
    pattern
        .split_once('/')
        .is_some_and(|(namespace, name)| part(namespace) && part(name))
}
