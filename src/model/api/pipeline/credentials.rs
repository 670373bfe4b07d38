//! Credentials by reference: the name of a file or of an environment variable, never the secret itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a secret is found when it is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SecretReference {
    /// In the environment variable of this name.
    Env(#[schemars(length(min = 1))] String),
    /// In the file of this path, read anew each time so that it can be rotated.
    File(#[schemars(length(min = 1))] String),
}

/// How a git host is told who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GitCredentials {
    /// A token over HTTPS.
    Token(SecretReference),
    /// A name and a password over HTTPS.
    Basic(BasicCredentials),
    /// A key over ssh.
    Ssh(SshCredentials),
    /// An installation of a GitHub App.
    #[serde(rename = "githubApp")]
    GitHubApp(GitHubApp),
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicCredentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretReference,
}

/// A key, and the hosts that are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SshCredentials {
    /// The private key.
    pub key: SecretReference,
    /// The passphrase of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<SecretReference>,
    /// Path of the file of known hosts; left out: the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
}

/// An installation of a GitHub App.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitHubApp {
    /// The App's id.
    #[schemars(range(min = 1))]
    pub app_id: i64,
    /// The installation's id; left out: that of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub installation_id: Option<i64>,
    /// The App's private key in PEM.
    pub private_key: SecretReference,
}
