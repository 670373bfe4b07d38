//! Verification: a generated commit is rendered again from its trailers and its lock, and compared tree by tree.
//!
//! Nothing is written. What the commit keeps from before an error is taken as given, and counted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use git2::Repository;

use super::deliver::source_commit;
use super::pipeline::{Clock, Input, Pipeline};
use super::request::{InventorySource, Progress, RenderError, Request};
use super::{Rendering, facts, settings};
use crate::git::Access;
use crate::model::Revision;
use crate::output::branch::build::{self, HeldFolder, KeptFile};
use crate::output::branch::change::{Change, FileChange, change};
use crate::output::branch::hash::{ObjectId, ObjectKind, object_id};
use crate::output::branch::lock::{Lock, LockError};
use crate::output::branch::metadata::{HYDRATOR_METADATA, Provenance, Trailers, hydrator_metadata};
use crate::output::branch::object::{Tree, TreeError};
use crate::output::branch::repository::{BranchRepository, LOCK, RepositoryError};
use crate::output::branch::standing::StandingTree;
use crate::output::path::CLUSTERS;

/// What came of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The generated commit.
    pub commit: ObjectId,
    /// What its trailers say.
    pub trailers: Trailers,
    /// Files that differ, with what is wrong with each; empty when every byte is right.
    pub differences: Vec<String>,
    /// Files compared.
    pub files: u64,
    /// Files that were kept from before an error, and are taken as given.
    pub kept: usize,
    /// WECs that waited for their wave: their folders were compared with the earlier generated commits that they were kept from.
    pub held: usize,
}

/// Why a commit cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The repository or the revision is not there.
    #[error("{}", crate::git::plain(.0))]
    Git(#[from] git2::Error),
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Stellate did not write it.
    #[error("commit {0} has no trailers by Stellate")]
    Foreign(ObjectId),
    /// It has no lock.
    #[error("commit {0} has no stellate.lock")]
    NoLock(ObjectId),
    /// Its lock cannot be read.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its options cannot be read.
    #[error("the options in stellate.lock cannot be read: {0}")]
    Options(#[from] serde_json::Error),
    /// The source cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A tree cannot be built.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl VerifyError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Render(error) => error.help(),
            Self::Git(_) => Some(
                "name a generated commit or branch, in the repository that PATH names".into(),
            ),
            Self::Foreign(_) | Self::NoLock(_) => {
                Some("only commits that Stellate wrote can be rendered again".into())
            }
            Self::Lock(_) | Self::Options(_) => Some(
                "it was changed by hand, or a newer version wrote it: verify with the version that `Rendered-By` of the commit names".into(),
            ),
            Self::Repository(_) => Some("run `git fsck` in the repository".into()),
            Self::Tree(_) => None,
        }
    }
}

/// Renders a generated commit again and compares.
///
/// `repository` holds the generated commit; the source commit is taken from `source` (a path or URL), or from the same
/// repository when there is none.
pub fn verify(
    pipeline: &mut Pipeline,
    repository: &Path,
    revision: &str,
    source: Option<&str>,
    access: &Access,
    progress: &dyn Progress,
) -> Result<Verification, VerifyError> {
    let opened = Repository::discover(repository)?;
    let found = opened.revparse_single(revision)?.peel_to_commit()?;
    let commit = ObjectId(found.id().as_bytes().try_into().unwrap_or_default());
    let branch = BranchRepository::new(&opened);
    let tip = branch.tip(commit, None)?;
    let trailers = tip.trailers.ok_or(VerifyError::Foreign(commit))?;
    let lock = Lock::from_bytes(&tip.lock.ok_or(VerifyError::NoLock(commit))?)?;

    let request = Request {
        location: location(&opened, source, &lock.options.root),
        revision: Some(trailers.commit.to_string()),
        committed: true,
        inventory: InventorySource::Source,
        settings: settings::read(&lock.options)?,
        access: access.clone(),
    };
    let rendering = pipeline.render_locked(&request, &lock, progress)?;

    let clusters = rendering.rendered.clusters.iter().enumerate();
    let position: Positions<'_> = clusters
        .map(|(position, name)| (name.as_str(), position))
        .collect();
    let kept = kept(&lock, &position);
    let mut differences = Vec::new();
    let held = held(&opened, commit, &lock, &position, &mut differences)?;
    let part = rendering
        .rendered
        .without(&held.iter().map(|held| held.cluster).collect());
    let built = build::build_beside(&part, &kept, &held, None, &HashSet::new())?;
    if tip.clusters != Some(built.tree) {
        let mut read = |id| branch.tree(id);
        let mut standing = StandingTree::new(tip.clusters, &mut read);
        in_clusters(&change(&mut standing, &built.state)?, &mut differences);
    }
    let root = branch.tree(ObjectId(
        found.tree_id().as_bytes().try_into().unwrap_or_default(),
    ))?;
    beside_clusters(&root, &rendering, &trailers, &mut differences);
    if trailers.inventory_digest != lock.inventory_digest() {
        differences.push("stellate.lock does not have the digest that the commit names".to_owned());
    }
    Ok(Verification {
        commit,
        trailers,
        differences,
        files: built.statistics.files,
        kept: kept.len(),
        held: held.len(),
    })
}

/// Where the WECs of a rendering are in its inventory.
type Positions<'a> = BTreeMap<&'a str, usize>;

/// Where the source is: in the folder of the repository that the lock names, unless another source is given.
fn location(repository: &Repository, source: Option<&str>, folder: &str) -> String {
    let here = repository.workdir().unwrap_or_else(|| repository.path());
    let here = here.display().to_string();
    match source {
        Some(source) => source.to_owned(),
        None if folder.is_empty() => here,
        None => format!("{}/{folder}", here.trim_end_matches('/')),
    }
}

/// The files that were kept from before an error.
fn kept(lock: &Lock, position: &Positions<'_>) -> Vec<KeptFile> {
    let files = lock.kept.iter().filter_map(|file| {
        Some(KeptFile {
            cluster: *position.get(file.cluster.as_str())?,
            folder: file.folder.clone(),
            file: file.file.clone(),
            id: ObjectId(file.blob.0),
        })
    });
    files.collect()
}

/// Says which files of the WECs differ, given that something does.
fn in_clusters(found: &Change, differences: &mut Vec<String>) {
    let missing = found.fresh.keys();
    differences
        .extend(missing.map(|cluster| format!("{CLUSTERS}/{cluster}/ is missing in the commit")));
    for (cluster, files) in &found.clusters {
        differences.extend(files.iter().map(|(file, change)| {
            let what = match change {
                FileChange::Added(_) => "is missing in the commit",
                FileChange::Removed(_) => "should not be in the commit",
                FileChange::Changed(..) => "has other bytes in the commit",
            };
            format!("{CLUSTERS}/{cluster}/{file} {what}")
        }));
    }
    if differences.is_empty() {
        differences.push(format!(
            "{CLUSTERS}/ has another tree than its files should have"
        ));
    }
}

/// Says what differs at the root of the commit.
fn beside_clusters(
    root: &Tree,
    rendering: &Rendering,
    trailers: &Trailers,
    differences: &mut Vec<String>,
) {
    let ours = [CLUSTERS, HYDRATOR_METADATA, LOCK].map(str::as_bytes);
    let foreign = root.entries().filter(|entry| !ours.contains(&entry.name));
    differences.extend(foreign.map(|entry| {
        let name = String::from_utf8_lossy(entry.name);
        format!("{name} should not be in the commit")
    }));
    let Some(source) = source_commit(rendering) else {
        return;
    };
    let provenance = Provenance {
        repository: trailers.repository.clone(),
        reference: trailers.reference.clone(),
        commit: source,
        inventory_digest: trailers.inventory_digest.clone(),
    };
    let wanted = object_id(ObjectKind::Blob, &[&hydrator_metadata(&provenance)]);
    let mut entries = root.entries();
    if !entries.any(|entry| entry.name == HYDRATOR_METADATA.as_bytes() && entry.id == wanted) {
        differences.push(format!("{HYDRATOR_METADATA} has other bytes in the commit"));
    }
}

/// Finds the folders of WECs that waited for their wave in the generated commits that they were kept from.
fn held(
    repository: &Repository,
    commit: ObjectId,
    lock: &Lock,
    position: &Positions<'_>,
    differences: &mut Vec<String>,
) -> Result<Vec<HeldFolder>, VerifyError> {
    let mut folders = Vec::new();
    let mut earlier: BTreeMap<Revision, Option<ObjectId>> = BTreeMap::new();
    for held in &lock.held {
        let Some(&cluster) = position.get(held.cluster.as_str()) else {
            differences.push(format!(
                "stellate.lock holds {}, which is no WEC of it",
                held.cluster
            ));
            continue;
        };
        let mut folder = HeldFolder {
            cluster,
            root: None,
            files: 0,
        };
        if let Some(from) = held.generated {
            let clusters = match earlier.get(&from) {
                Some(clusters) => *clusters,
                None => written_before(repository, commit, from)?,
            };
            earlier.insert(from, clusters);
            let branch = BranchRepository::new(repository);
            let mut read = |id| branch.tree(id);
            let mut tree = StandingTree::new(clusters, &mut read);
            folder.root = tree.clusters()?.get(&held.cluster).copied();
            match folder.root {
                Some(root) => folder.files = tree.count(root, &HashMap::new())?,
                None => differences.push(format!(
                    "clusters/{}/ is not in {from}, an earlier generated commit that it is said to be kept from",
                    held.cluster
                )),
            }
        }
        folders.push(folder);
    }
    folders.sort_by_key(|folder| folder.cluster);
    folders.dedup_by_key(|folder| folder.cluster);
    Ok(folders)
}

/// Gives the `clusters/` tree of an earlier commit by Stellate; none when there is no such commit.
fn written_before(
    repository: &Repository,
    commit: ObjectId,
    earlier: Revision,
) -> Result<Option<ObjectId>, VerifyError> {
    let oid = |id: &[u8; 20]| git2::Oid::from_bytes(id);
    let (here, there) = (oid(&commit.0)?, oid(&earlier.0)?);
    let is_before = repository.graph_descendant_of(here, there);
    if !is_before.unwrap_or(false) {
        return Ok(None);
    }
    let tip = BranchRepository::new(repository).tip(ObjectId(earlier.0), None)?;
    Ok(tip.clusters.filter(|_| tip.trailers.is_some()))
}

impl Pipeline {
    /// Renders with the inventory of a lock.
    fn render_locked(
        &mut self,
        request: &Request,
        lock: &Lock,
        progress: &dyn Progress,
    ) -> Result<Rendering, RenderError> {
        let mut clock = Clock::new(progress);
        clock.stage("read");
        let source = self.read_for(request)?;
        let input = Input {
            source: source.description,
            snapshot: source.snapshot,
            inventory: Arc::new(facts::inventory(&lock.clusters)),
            inventory_complete: true,
            unknown_rules: Vec::new(),
            found: source.diagnostics,
        };
        Ok(self.render_snapshot(input, &request.settings, clock))
    }
}
