//! Delivery: a rendering becomes a folder or commits on a generated branch, unless the guard holds it.
//!
//! ```text
//! what stands ─▶ what is kept ─▶ build ─▶ change ─▶ guard ─▶ commit, store ─▶ move references or push
//! ```
//!
//! A refused push starts over on the new tip; text is never merged. Somebody else's commit stays reachable as a parent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use git2::Repository;

use super::pipeline::{Pipeline, Timings};
use super::request::Progress;
use super::{Rendering, guard, settings, steering};
use crate::git::{Access, GitError, PushError, RemoteUrl, is_damage, plain};
use crate::model::api::pipeline::{Guard, Layout};
use crate::model::{BlobId, ClusterName, Diagnostic, Severity};
use crate::output::branch::build::{KeptFile, Statistics};
use crate::output::branch::change::Change;
use crate::output::branch::hash::ObjectId;
use crate::output::branch::lock::{Lock, LockError, LockedFile, LockedFolder, LockedOptions};
use crate::output::branch::metadata::{Provenance, SourceCommit};
use crate::output::branch::object::TreeError;
use crate::output::branch::publish::{Committer, PublishError};
use crate::output::branch::repository::RepositoryError;
use crate::output::folder::FolderError;
use crate::status::board::ForeignCommit;

mod branch;
mod contest;
mod folder;
mod foreign;
mod keep;
pub mod mailbox;
pub(super) mod stored;
mod survey;
mod waiting;

use branch::Branch;
pub use survey::Survey;
pub(super) use survey::Surveyed;

/// How often a refused push starts over.
const ATTEMPTS: usize = 5;

/// Where a rendering goes.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A folder, which then holds exactly the generated tree.
    Folder(PathBuf),
    /// A branch, or one for each WEC.
    Branch(BranchDestination),
}

/// The branch that a rendering goes to.
#[derive(Clone, Debug)]
pub struct BranchDestination {
    /// The local repository that holds the branch, or through which it is pushed.
    pub repository: PathBuf,
    /// The branch's name, without `refs/heads/`.
    pub name: String,
    /// One branch, or one for each WEC below that name.
    pub layout: Layout,
    /// The remote that is pushed to; none to move the local branch.
    pub push: Option<RemoteUrl>,
}

impl Destination {
    /// The remote that is pushed to.
    pub fn remote(&self) -> Option<&RemoteUrl> {
        match self {
            Self::Branch(branch) => branch.push.as_ref(),
            Self::Folder(_) => None,
        }
    }
}

impl BranchDestination {
    fn open(&self) -> Result<Repository, DeliverError> {
        Repository::open(&self.repository).map_err(|source| DeliverError::Open {
            path: self.repository.clone(),
            source,
        })
    }
}

/// How to deliver.
#[derive(Clone, Debug, Default)]
pub struct DeliveryOptions {
    /// Whether the guard's limits on removals are off this once.
    pub allow_removals: bool,
    /// Whether one error holds everything.
    pub strict: bool,
    /// The limits.
    pub guard: Guard,
    /// Who commits.
    pub committer: Committer,
    /// The ssh key that signs commits.
    pub signing_key: Option<PathBuf>,
    /// How remotes are reached.
    pub access: Access,
    /// What is delivered now and what later; none to deliver everything.
    pub staged: Option<Staged>,
}

/// A part of a change that goes out before the rest.
#[derive(Clone, Debug, Default)]
pub struct Staged {
    /// The WECs that keep what they have, with the wave that each belongs to.
    pub held: BTreeMap<ClusterName, String>,
    /// What changes in the end, for all WECs: the guard judges that, so that no change passes it piece by piece.
    pub whole: Change,
}

/// What came of it.
#[derive(Debug)]
pub struct Delivery {
    /// Whether it went out.
    pub outcome: Outcome,
    /// Whether a release lifts what holds it: then only the guard's limits on removals do.
    pub releasable: bool,
    /// What changes, against what stood there.
    pub change: Change,
    /// How many files stay on WECs, because of an error, beside what was rendered for these.
    pub kept: BTreeMap<ClusterName, usize>,
    /// For each branch: its name, the commit that now stands for the source commit, and whether it is new.
    pub commits: Vec<(String, ObjectId, bool)>,
    /// What somebody else committed to these branches since Stellate wrote them last.
    pub foreign: Vec<ForeignCommit>,
    /// The remote that was pushed to, without credentials.
    pub pushed: Option<String>,
    /// What was built.
    pub statistics: Statistics,
    /// What was found on the way.
    pub diagnostics: Vec<Diagnostic>,
    /// How long each stage took.
    pub timings: Timings,
}

/// Whether a delivery went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did.
    Written,
    /// There was nothing to write: all is as it should be.
    Unchanged,
    /// It was held, for these reasons.
    Held(Vec<String>),
}

/// Why nothing could be delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The source is no commit, so that a generated commit could not say where it comes from.
    #[error("a generated commit needs a source commit, and the source is a folder outside git")]
    NoSourceCommit,
    /// The branch holds what people wrote.
    #[error("{0} was not generated: no commit on it is by Stellate")]
    NotGenerated(String),
    /// The repository cannot be opened.
    #[error("{}: {}", path.display(), plain(source))]
    Open {
        /// The repository.
        path: PathBuf,
        /// What libgit2 says.
        source: git2::Error,
    },
    /// A tree cannot be built.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The repository says no.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Commits cannot be made.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The remote cannot be read.
    #[error(transparent)]
    Fetch(#[from] GitError),
    /// The push was refused.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The branch kept moving while we tried.
    #[error("{0} was moved by somebody else each of {ATTEMPTS} times")]
    Contended(String),
    /// The folder cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl DeliverError {
    /// A fixed word for programs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoSourceCommit => "NoSourceCommit",
            Self::NotGenerated(_) => "NotGenerated",
            Self::Open { .. } => "RepositoryUnreadable",
            Self::Tree(_) => "InvalidPath",
            Self::Repository(RepositoryError::CheckedOut(_)) => "BranchCheckedOut",
            Self::Repository(RepositoryError::Moved { .. }) | Self::Contended(_) => "BranchMoved",
            Self::Repository(_) | Self::Publish(_) => "RepositoryUnwritable",
            Self::Fetch(error) => error.reason(),
            Self::Push(error) => error.reason(),
            Self::Folder(error) => error.reason(),
        }
    }

    /// Whether what the local repository holds is to blame: another one in its place would do.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Open { source, .. } => is_damage(source),
            Self::Repository(error) | Self::Publish(PublishError::Repository(error)) => {
                error.is_damage()
            }
            Self::Fetch(error) | Self::Push(PushError::Git(error)) => {
                matches!(error, GitError::Damaged { .. })
            }
            _ => false,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoSourceCommit => {
                Some("render a git repository, or write to a folder with --out".into())
            }
            Self::NotGenerated(_) => Some(
                "name a branch of its own: a generated branch holds nothing that people write"
                    .into(),
            ),
            Self::Repository(RepositoryError::Locked { path, .. }) => Some(format!(
                "wait for the other process; when there is none, it was killed: remove {}",
                path.display()
            )),
            Self::Repository(RepositoryError::CheckedOut(_)) => {
                Some("check out another branch there, or name another one to generate".into())
            }
            Self::Repository(RepositoryError::Notes { reference, .. })
            | Self::Publish(PublishError::Repository(RepositoryError::Notes {
                reference, ..
            })) => Some(format!(
                "remove it: git update-ref -d {reference}; the notes that are needed are written anew"
            )),
            Self::Open { .. } | Self::Repository(RepositoryError::Git { .. }) => {
                Some("check its permissions, and run `git fsck` there".into())
            }
            Self::Contended(_) => {
                Some("find out who else writes to the branch, then try again".into())
            }
            Self::Fetch(error) => Some(error.help().into()),
            Self::Push(error) => Some(error.help().into()),
            Self::Folder(error) => error.help(),
            _ => None,
        }
    }
}

impl Pipeline {
    /// Delivers a rendering.
    ///
    /// # Errors
    /// When the destination cannot be read or written. What the guard holds is no error, but an outcome.
    pub fn deliver(
        &mut self,
        rendering: &Rendering,
        to: &Destination,
        options: &DeliveryOptions,
        progress: &dyn Progress,
    ) -> Result<Delivery, DeliverError> {
        match to {
            Destination::Folder(path) => folder::deliver(rendering, path, options, progress),
            Destination::Branch(to) => {
                let repository = to.open()?;
                let branch = Branch::new(&repository, to, options);
                branch::deliver(self, rendering, &branch, progress)
            }
        }
    }
}

impl Delivery {
    fn new(change: Change, statistics: Statistics) -> Self {
        Self {
            outcome: Outcome::Unchanged,
            releasable: false,
            change,
            kept: BTreeMap::new(),
            commits: Vec::new(),
            foreign: Vec::new(),
            pushed: None,
            statistics,
            diagnostics: Vec::new(),
            timings: Timings::new(),
        }
    }
}

/// Tells whether errors hold everything.
fn is_strict(rendering: &Rendering, options: &DeliveryOptions) -> bool {
    let mut found = rendering.diagnostics.iter();
    options.strict && found.any(|found| found.severity == Severity::Error)
}

/// Gives the reasons for which a change is held.
fn hold(rendering: &Rendering, change: &Change, options: &DeliveryOptions) -> Vec<String> {
    let mut reasons = Vec::new();
    if is_strict(rendering, options) {
        reasons.push(format!("strict: there are {} errors", rendering.errors()));
    }
    let released = options.allow_removals
        || source_commit(rendering).is_some_and(|commit| {
            guard::is_released(&format!("{}\n\n{}", commit.subject, commit.body))
        });
    if !released {
        let judged = options
            .staged
            .as_ref()
            .map_or(change, |staged| &staged.whole);
        reasons.extend(guard::judge(judged, &options.guard));
    }
    reasons
}

/// Gives the reasons for which nothing may go out over what these locks stand beside.
fn lost<'l>(rendering: &Rendering, locks: impl Iterator<Item = &'l [u8]>) -> Vec<String> {
    // As long as everything is understood nothing can be missing, and locks need no reading.
    if rendering.is_certain() {
        return Vec::new();
    }
    let read: Result<Vec<Lock>, LockError> = locks.map(Lock::from_bytes).collect();
    match read {
        Ok(locks) => steering::lost(rendering, &locks),
        Err(error) => vec![format!(
            "something in the source cannot be read, and nor can be told what was used for what stands: {error}"
        )],
    }
}

/// Gives the facts that a rendering used.
fn lock(rendering: &Rendering, kept: &[KeptFile], held: Vec<LockedFolder>) -> Lock {
    let clusters = &rendering.rendered.clusters;
    let kept = kept.iter().map(|file| LockedFile {
        cluster: clusters[file.cluster].to_string(),
        folder: file.folder.clone(),
        file: file.file.clone(),
        blob: BlobId(file.id.0),
    });
    let options = LockedOptions {
        paths: rendering.settings.paths.clone(),
        root: rendering.source.prefix.clone(),
        settings: settings::locked(&rendering.settings),
    };
    let lock = Lock::new(options, rendering.facts.clone(), kept.collect(), held);
    lock.naming(steering::names(rendering))
}

/// Gives the commit that was rendered; none for a folder outside git.
pub(super) fn source_commit(rendering: &Rendering) -> Option<SourceCommit> {
    let revision = rendering.source.revision.as_ref()?;
    let commit = &revision.commit;
    Some(SourceCommit {
        id: revision.revision,
        author_name: commit.author_name.clone(),
        author_email: commit.author_email.clone(),
        seconds: commit.seconds,
        offset_minutes: commit.offset_minutes,
        subject: commit.subject.clone(),
        body: commit.body.clone(),
    })
}

fn provenance(rendering: &Rendering, commit: SourceCommit, lock: &Lock) -> Provenance {
    Provenance {
        repository: rendering.source.name.clone(),
        reference: rendering
            .source
            .revision
            .as_ref()
            .map(|revision| revision.reference.clone())
            .unwrap_or_default(),
        commit,
        inventory_digest: lock.inventory_digest(),
    }
}
