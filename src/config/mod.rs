//! `stellate.yaml`: text → [`Pipeline`]s as written → what they mean for a rendering. Pure; files are read by the command line.
//!
//! ```text
//! text ── load ──▶ Vec<Pipeline> (raw, strict) ── resolve ──▶ Resolved (checked, paths from the file's folder) + diagnostics
//! ```
//!
//! Everything that is wrong is found at once, with line and column. A secret is never read here: what stands in the
//! configuration is the name of a file or of an environment variable, and so it stays.

use std::path::PathBuf;

use crate::api_server::Connection;
use crate::git::AppLogin;
use crate::model::api::ApiObject as _;
use crate::model::api::pipeline::{Layout, MailboxOutput, Pipeline, Wave};

mod branch_name;
mod branches;
mod load;
mod login;
mod masking;
mod mistakes;
mod resolve;
mod settings;
mod status;
#[cfg(test)]
mod tests;

pub use crate::git::SecretPlace;
pub use branch_name::branch_name_problem;
pub use branches::{Contest, contest};
pub use load::{from_object, load};
pub use masking::masked;
pub use resolve::{is_remote, resolve};
pub use settings::Settings;
pub use status::{ResolvedForge, ResolvedStatus};

/// The name of the file that is used when it is there.
pub const FILE: &str = "stellate.yaml";

/// A pipeline as written, and which document of the file it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Its document in the file, from 0.
    pub document: usize,
}

/// What a pipeline means for a rendering.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Its name.
    pub name: String,
    /// Where the source is; none when only a running service can read it.
    pub place: Option<Place>,
    /// The ITS that holds the inventory; none when it is in the source.
    pub its: Option<Connection>,
    /// The revision that is followed, for a git source.
    pub revision: Option<String>,
    /// How often the source is looked at without being told, where that was said.
    pub interval: Option<std::time::Duration>,
    /// Who reads the source.
    pub credentials: Option<Login>,
    /// How it is rendered.
    pub settings: Settings,
    /// Where the results go: those outputs that a command can serve.
    pub outputs: Vec<ResolvedOutput>,
    /// Who is told what became of each commit; a command tells nobody.
    pub status: Option<ResolvedStatus>,
    /// The order in which WECs get a change; only a service knows when one is healthy.
    pub waves: Vec<Wave>,
}

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A repository: a URL, or a path that was resolved.
    Git(String),
    /// A folder as it is.
    Folder(PathBuf),
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedOutput {
    /// A generated branch.
    Branch(ResolvedBranch),
    /// A folder.
    Folder(PathBuf),
    /// ManifestWorks in mailbox namespaces; only a service delivers them.
    Mailbox {
        /// The ITS.
        its: Connection,
        /// What else was said.
        output: MailboxOutput,
    },
}

/// A generated branch that results go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedBranch {
    /// Its name.
    pub name: String,
    /// How WECs share branches.
    pub layout: Layout,
    /// Whether it is pushed.
    pub push: bool,
    /// Where to; none for where the source came from.
    pub url: Option<String>,
    /// Who pushes; none for who reads.
    pub credentials: Option<Login>,
}

/// Where credentials are found when they are needed; never the secret itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The user of a token or password; the ssh user.
    pub username: Option<String>,
    /// The token or password.
    pub token: Option<SecretPlace>,
    /// The file of a private ssh key.
    pub ssh_key: Option<PathBuf>,
    /// The file of hosts that ssh trusts.
    pub known_hosts: Option<PathBuf>,
    /// A GitHub App; only a service logs in as one.
    pub app: Option<AppLogin>,
}

/// The reason of what only a running service can use.
pub const NOT_USED: &str = "NotUsed";

/// The group and kind of the configuration's documents, as a person writes them.
pub fn header() -> String {
    format!(
        "apiVersion: {}/{}\nkind: {}\n",
        Pipeline::GROUP,
        Pipeline::VERSION,
        Pipeline::KIND
    )
}
