//! Delivery: a rendering becomes a folder or commits on a generated branch, unless the guard holds it.
//!
//! ```text
//! what stands ─▶ what is kept ─▶ build ─▶ change ─▶ guard ─▶ commit, store ─▶ move references or push
//! ```
//!
//! A refused push starts over on the new tip; text is never merged. Somebody else's commit stays reachable as a parent.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use git2::Repository;

use super::guard;
use super::pipeline::{Clock, Pipeline, Rendering, Timings};
use super::request::Progress;
use super::{facts, pipeline};
use crate::git::{self, Access, RefUpdate, RemoteUrl, Want, Wanted};
use crate::model::api::pipeline::{Guard, Layout};
use crate::model::{BlobId, ClusterName, Diagnostic, Revision, Severity};
use crate::output::branch::build::{self, BranchState, Built, KeptFile, Statistics};
use crate::output::branch::change::{Change, change};
use crate::output::branch::hash::{ObjectId, ObjectKind};
use crate::output::branch::lock::{Lock, LockedFile, LockedOptions};
use crate::output::branch::metadata::{NOTES_REFERENCE, Provenance, SourceCommit};
use crate::output::branch::object::{EntryMode, Tree, TreeEntry, TreeError};
use crate::output::branch::publish::{self, Commits, Committer, PublishError, Target};
use crate::output::branch::repository::{BranchRepository, Move, RepositoryError, Tip};
use crate::output::branch::sign;
use crate::output::branch::standing::StandingTree;
use crate::output::folder::{self, FolderError};
use crate::output::path;

/// How often a refused push starts over.
const ATTEMPTS: usize = 5;

/// Where a rendering goes.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A folder, which then holds exactly the generated tree.
    Folder(PathBuf),
    /// A branch, or one for each WEC.
    Branch {
        /// The local repository that holds the branch, or through which it is pushed.
        repository: PathBuf,
        /// The branch's name, without `refs/heads/`.
        name: String,
        /// One branch, or one for each WEC below that name.
        layout: Layout,
        /// The remote that is pushed to; none to move the local branch.
        push: Option<RemoteUrl>,
    },
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
}

/// What came of it.
#[derive(Debug)]
pub struct Delivery {
    /// Whether it went out.
    pub outcome: Outcome,
    /// What changes, against what stood there.
    pub change: Change,
    /// For each branch: its name, the commit that now stands for the source commit, and whether it is new.
    pub commits: Vec<(String, ObjectId, bool)>,
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
    /// The repository cannot be opened.
    #[error("{}: {}", path.display(), source.message())]
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
    Fetch(#[from] git::GitError),
    /// The push was refused.
    #[error(transparent)]
    Push(#[from] git::PushError),
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

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoSourceCommit => {
                Some("render a git repository, or write to a folder with --out".into())
            }
            Self::Repository(RepositoryError::CheckedOut(_)) => {
                Some("check out another branch, or name another one with --branch".into())
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

/// What stands at the destination, and how to read it.
struct Stand {
    tips: BTreeMap<String, Tip>,
    notes: Option<ObjectId>,
    clusters: Option<ObjectId>,
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
            Destination::Folder(folder) => {
                self.deliver_folder(rendering, folder, options, progress)
            }
            Destination::Branch {
                repository,
                name,
                layout,
                push,
            } => {
                let opened = Repository::open(repository).map_err(|source| DeliverError::Open {
                    path: repository.clone(),
                    source,
                })?;
                let branch = Branch {
                    repository: &opened,
                    name,
                    layout: *layout,
                    push: push.as_ref(),
                    options,
                };
                self.deliver_branch(rendering, &branch, progress)
            }
        }
    }

    fn deliver_folder(
        &mut self,
        rendering: &Rendering,
        folder: &std::path::Path,
        options: &DeliveryOptions,
        progress: &dyn Progress,
    ) -> Result<Delivery, DeliverError> {
        let mut clock = Clock::new(progress);
        clock.stage("build");
        let standing = folder::standing(folder)?;
        let mut read = |id| Ok::<Tree, FolderError>(standing.trees[&id].clone());
        let mut tree = StandingTree::new(standing.clusters, &mut read);
        let (kept, mut reasons) = kept_files(rendering, &mut tree)?;
        let built = build::build(&rendering.rendered, &kept, None, &HashSet::new())?;
        let change = change(&mut tree, &built.state)?;
        let lock = lock(rendering, &kept).to_bytes();
        let mut delivery = Delivery::new(change, built.statistics);
        reasons.extend(hold(rendering, &delivery.change, options));
        if !reasons.is_empty() {
            delivery.outcome = Outcome::Held(reasons);
        } else if !delivery.change.is_empty() || standing.clusters != Some(built.tree) {
            clock.stage("write");
            write_folder(rendering, folder, &built.state, &kept, &lock)?;
            delivery.outcome = Outcome::Written;
        }
        clock.stop();
        delivery.timings = clock.timings;
        Ok(delivery)
    }

    fn deliver_branch(
        &mut self,
        rendering: &Rendering,
        branch: &Branch<'_>,
        progress: &dyn Progress,
    ) -> Result<Delivery, DeliverError> {
        let mut clock = Clock::new(progress);
        for _ in 0..ATTEMPTS {
            match self.attempt(rendering, branch, &mut clock) {
                Err(DeliverError::Push(error)) if error.is_moved() => {}
                Err(DeliverError::Repository(RepositoryError::Moved { .. })) => {}
                Ok(mut delivery) => {
                    clock.stop();
                    delivery.timings = clock.timings;
                    return Ok(delivery);
                }
                Err(error) => return Err(error),
            }
        }
        Err(DeliverError::Contended(branch.name.to_owned()))
    }

    fn attempt(
        &mut self,
        rendering: &Rendering,
        branch: &Branch<'_>,
        clock: &mut Clock<'_>,
    ) -> Result<Delivery, DeliverError> {
        let commit = source_commit(rendering).ok_or(DeliverError::NoSourceCommit)?;
        clock.stage(if branch.push.is_some() {
            "fetch"
        } else {
            "look"
        });
        let repository = BranchRepository::new(branch.repository);
        let stand = branch.stand(&repository)?;
        clock.stage("build");
        let mut read = |id| repository.tree(id);
        let mut tree = StandingTree::new(stand.clusters, &mut read);
        let (kept, mut reasons) = kept_files(rendering, &mut tree)?;
        let (built, change) = self.build(rendering, branch, &stand, &kept, &mut tree)?;
        let mut delivery = Delivery::new(change, built.statistics);
        delivery.diagnostics.extend(foreign(branch, &stand));
        reasons.extend(hold(rendering, &delivery.change, branch.options));
        if !reasons.is_empty() {
            delivery.outcome = Outcome::Held(reasons);
            return Ok(delivery);
        }
        clock.stage("commit");
        let lock = lock(rendering, &kept);
        let provenance = provenance(rendering, commit, &lock);
        let Built {
            segments,
            state,
            tree: root,
            ..
        } = built;
        let (targets, mut extra) = branch.targets(&stand, root, &state, lock)?;
        let signer = branch.options.signing_key.as_deref().map(sign::ssh);
        let commits = publish::commit(
            &targets,
            stand.notes,
            &repository,
            &provenance,
            &branch.options.committer,
            signer.as_deref(),
        )?;
        delivery.commits = targets
            .iter()
            .zip(&commits.results)
            .map(|(target, &(id, new))| (target.reference.clone(), id, new))
            .collect();
        if !commits.moves.is_empty() {
            extra.extend(segments);
            branch.publish(&repository, extra, commits, clock)?;
            delivery.outcome = Outcome::Written;
        }
        delivery.pushed = branch.push.map(RemoteUrl::redacted);
        if let [(_, id, _)] = &delivery.commits[..] {
            self.built.insert(branch.key(), (*id, state));
        }
        Ok(delivery)
    }

    /// Builds on what was built last when that is what stands, else on what can be read from the repository.
    fn build(
        &mut self,
        rendering: &Rendering,
        branch: &Branch<'_>,
        stand: &Stand,
        kept: &[KeptFile],
        tree: &mut StandingTree<'_, RepositoryError>,
    ) -> Result<(Built, Change), DeliverError> {
        let repository = BranchRepository::new(branch.repository);
        let tip = stand.tips.values().next().map(|tip| tip.commit);
        let last = self
            .built
            .get(&branch.key())
            .filter(|(commit, _)| Some(*commit) == tip);
        let known = match (last, stand.clusters) {
            (None, Some(clusters)) => repository.reachable(clusters)?,
            _ => HashSet::new(),
        };
        let last = last.map(|(_, state)| state);
        let built = build::build(&rendering.rendered, kept, last, &known)?;
        let change = change(tree, &built.state)?;
        Ok((built, change))
    }
}

impl Delivery {
    fn new(change: Change, statistics: Statistics) -> Self {
        Self {
            outcome: Outcome::Unchanged,
            change,
            commits: Vec::new(),
            pushed: None,
            statistics,
            diagnostics: Vec::new(),
            timings: Timings::new(),
        }
    }
}

/// A generated branch, or the branches of all WECs.
struct Branch<'a> {
    repository: &'a Repository,
    name: &'a str,
    layout: Layout,
    push: Option<&'a RemoteUrl>,
    options: &'a DeliveryOptions,
}

impl Branch<'_> {
    /// What tells this destination from others.
    fn key(&self) -> String {
        let remote = self.push.map(RemoteUrl::redacted).unwrap_or_default();
        format!(
            "{}\n{}\n{remote}",
            self.repository.path().display(),
            self.name
        )
    }

    fn reference(&self, cluster: Option<&str>) -> String {
        match cluster {
            None => format!("refs/heads/{}", self.name),
            Some(cluster) => format!("refs/heads/{}/{cluster}", self.name),
        }
    }

    /// Where a remote's reference is kept here.
    fn tracking(&self, reference: &str) -> String {
        let rest = reference.strip_prefix("refs/").unwrap_or(reference);
        format!("refs/stellate/remote/{rest}")
    }

    /// Reads what stands, from the remote when there is one.
    fn stand(&self, repository: &BranchRepository<'_>) -> Result<Stand, DeliverError> {
        let (branches, notes) = match self.push {
            Some(url) => self.fetch(url)?,
            None => {
                let names = self.local_names(repository)?;
                (names, repository.resolve(NOTES_REFERENCE)?)
            }
        };
        let mut tips = BTreeMap::new();
        for (reference, id) in branches {
            tips.insert(reference, repository.tip(id, notes)?);
        }
        let clusters = match self.layout {
            Layout::Directories => tips.values().next().and_then(|tip| tip.clusters),
            Layout::Branches => self.united(repository, &tips)?,
        };
        Ok(Stand {
            tips,
            notes,
            clusters,
        })
    }

    fn local_names(
        &self,
        repository: &BranchRepository<'_>,
    ) -> Result<BTreeMap<String, ObjectId>, DeliverError> {
        match self.layout {
            Layout::Directories => {
                let reference = self.reference(None);
                let id = repository.resolve(&reference)?;
                Ok(id.map(|id| (reference, id)).into_iter().collect())
            }
            Layout::Branches => Ok(repository.resolve_all(&self.reference(Some("")))?),
        }
    }

    fn fetch(
        &self,
        url: &RemoteUrl,
    ) -> Result<(BTreeMap<String, ObjectId>, Option<ObjectId>), DeliverError> {
        let wanted = |reference: &str| {
            Wanted::new(Want::Reference(reference.to_owned()))
                .into_ref(self.tracking(reference))
                .if_present()
        };
        let mut names = vec![NOTES_REFERENCE.to_owned()];
        match self.layout {
            Layout::Directories => names.push(self.reference(None)),
            Layout::Branches => {
                let prefix = self.reference(Some(""));
                let refs = git::list_refs(url, &self.options.access)?.refs;
                names.extend(refs.into_keys().filter(|name| name.starts_with(&prefix)));
            }
        }
        let wanted: Vec<Wanted> = names.iter().map(|name| wanted(name)).collect();
        let access = &self.options.access;
        let outcome = git::fetch(self.repository, url, &wanted, access, None, &mut |_| {})?;
        let mut found: BTreeMap<String, ObjectId> = names
            .into_iter()
            .zip(outcome.fetched)
            .filter_map(|(name, fetched)| Some((name, ObjectId(fetched?.commit.0))))
            .collect();
        let notes = found.remove(NOTES_REFERENCE);
        Ok((found, notes))
    }

    /// Puts the branches of all WECs together, as one tree that was never written.
    fn united(
        &self,
        repository: &BranchRepository<'_>,
        tips: &BTreeMap<String, Tip>,
    ) -> Result<Option<ObjectId>, DeliverError> {
        let mut found: BTreeMap<Vec<u8>, ObjectId> = BTreeMap::new();
        for tip in tips.values() {
            let Some(clusters) = tip.clusters else {
                continue;
            };
            for entry in repository.tree(clusters)?.entries() {
                found.insert(entry.name.to_vec(), entry.id);
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        let mut objects = crate::output::branch::pack::ObjectWriter::default();
        let tree = clusters_tree(found.iter().map(|(name, id)| (name.as_slice(), *id)))?;
        let id = objects.add(ObjectKind::Tree, tree.as_bytes());
        repository.store(vec![objects.into_segment()])?;
        Ok(Some(id))
    }

    /// Decides what goes onto each branch.
    fn targets(
        &self,
        stand: &Stand,
        root: ObjectId,
        state: &BranchState,
        lock: Lock,
    ) -> Result<(Vec<Target>, Vec<crate::output::branch::pack::PackSegment>), DeliverError> {
        if self.layout == Layout::Directories {
            let reference = self.reference(None);
            let tip = stand.tips.get(&reference).cloned();
            return Ok((
                vec![Target {
                    reference,
                    tip,
                    clusters: root,
                    lock,
                }],
                Vec::new(),
            ));
        }
        let mut objects = crate::output::branch::pack::ObjectWriter::default();
        let mut targets = Vec::new();
        for name in state.cluster_names() {
            let Some(folder) = state.root(name) else {
                continue;
            };
            let tree = clusters_tree(std::iter::once((name.as_bytes(), folder)))?;
            let reference = self.reference(Some(name));
            targets.push(Target {
                tip: stand.tips.get(&reference).cloned(),
                reference,
                clusters: objects.add(ObjectKind::Tree, tree.as_bytes()),
                lock: lock.of(name),
            });
        }
        Ok((targets, vec![objects.into_segment()]))
    }

    /// Stores the pack, and moves references here or on the remote.
    fn publish(
        &self,
        repository: &BranchRepository<'_>,
        segments: Vec<crate::output::branch::pack::PackSegment>,
        commits: Commits,
        clock: &mut Clock<'_>,
    ) -> Result<(), DeliverError> {
        let Commits { objects, moves, .. } = commits;
        let stored = publish::store(repository, segments, objects)?;
        let Some(url) = self.push else {
            repository.move_references(&moves, "stellate: render")?;
            return Ok(());
        };
        clock.stage("push");
        let revision = |id: ObjectId| Revision(id.0);
        let updates: Vec<RefUpdate> = moves
            .iter()
            .map(|change| {
                let old = change.from.map(revision);
                RefUpdate::new(change.reference.clone(), old, Some(revision(change.to)))
            })
            .collect();
        git::push(url, &self.options.access, &updates, |_| match &stored {
            Some((pack, _)) => std::fs::File::open(pack)
                .map(|file| Some(Box::new(file) as Box<dyn std::io::Read + Send>)),
            None => Ok(None),
        })?;
        let moves: Vec<Move> = moves
            .into_iter()
            .map(|change| Move {
                reference: self.tracking(&change.reference),
                ..change
            })
            .collect();
        // The remote has moved: that our copy of its references could not follow is no failure, the next fetch mends it.
        drop(repository.move_references(&moves, "stellate: push"));
        Ok(())
    }
}

fn clusters_tree<'t>(
    folders: impl Iterator<Item = (&'t [u8], ObjectId)>,
) -> Result<Tree, TreeError> {
    let mut entries: Vec<TreeEntry<'_>> = folders
        .map(|(name, id)| TreeEntry {
            mode: EntryMode::FOLDER,
            name,
            id,
        })
        .collect();
    Tree::new(&mut entries)
}

/// Finds the files that stay as they are because of an error, and the reasons for which nothing may go out at all.
fn kept_files<E>(
    rendering: &Rendering,
    standing: &mut StandingTree<'_, E>,
) -> Result<(Vec<KeptFile>, Vec<String>), E> {
    let clusters = &rendering.rendered.clusters;
    let mut kept: BTreeMap<(usize, String, String), ObjectId> = BTreeMap::new();
    for (key, set) in rendering.kept() {
        let (folder, file) = (path::folder(key), path::file_name(key));
        for cluster in set.iter() {
            if let Some(id) = standing.file(clusters[cluster].as_str(), folder, &file)? {
                kept.insert((cluster, folder.to_owned(), file.clone()), id);
            }
        }
    }
    let mut reasons = Vec::new();
    let known: HashSet<&str> = clusters.iter().map(ClusterName::as_str).collect();
    let stand = standing.clusters()?;
    if !rendering.inventory_complete || clusters.is_empty() {
        let missing: Vec<&str> = stand
            .keys()
            .map(String::as_str)
            .filter(|name| !known.contains(name))
            .collect();
        if !missing.is_empty() {
            let named = missing
                .iter()
                .take(5)
                .copied()
                .collect::<Vec<_>>()
                .join(", ");
            reasons.push(format!(
                "the inventory is not known in full, and {} WECs that have objects are not in it ({named})",
                missing.len()
            ));
        }
    }
    if !rendering.snapshot.is_complete() {
        keep_unknown(rendering, standing, &mut kept)?;
    }
    let kept = kept
        .into_iter()
        .map(|((cluster, folder, file), id)| KeptFile {
            cluster,
            folder,
            file,
            id,
        })
        .collect();
    Ok((kept, reasons))
}

/// While parts of the source cannot be read, whatever is not in the rendering may be in there, and stays.
fn keep_unknown<E>(
    rendering: &Rendering,
    standing: &mut StandingTree<'_, E>,
    kept: &mut BTreeMap<(usize, String, String), ObjectId>,
) -> Result<(), E> {
    let unusable: HashSet<(String, String)> = rendering
        .snapshot
        .unusable
        .iter()
        .map(|key| (path::folder(key).to_owned(), path::file_name(key)))
        .collect();
    let all = !rendering.snapshot.broken.is_empty();
    let stand = standing.clusters()?;
    let mut rendered: Vec<HashSet<(&str, String)>> =
        vec![HashSet::new(); rendering.rendered.clusters.len()];
    for object in &rendering.rendered.objects {
        let file = path::file_name(&object.key);
        for cluster in object
            .variants
            .iter()
            .flat_map(|variant| variant.clusters.iter())
        {
            rendered[cluster].insert((path::folder(&object.key), file.clone()));
        }
    }
    for (cluster, name) in rendering.rendered.clusters.iter().enumerate() {
        let Some(&root) = stand.get(name.as_str()) else {
            continue;
        };
        for (folder, &tree) in standing.folders(root)?.iter() {
            for (file, &id) in standing.files(tree)?.iter() {
                let concerned = all || unusable.contains(&(folder.clone(), file.clone()));
                if concerned && !rendered[cluster].contains(&(folder.as_str(), file.clone())) {
                    kept.insert((cluster, folder.clone(), file.clone()), id);
                }
            }
        }
    }
    Ok(())
}

/// Gives the reasons for which a change is held.
fn hold(rendering: &Rendering, change: &Change, options: &DeliveryOptions) -> Vec<String> {
    let mut reasons = Vec::new();
    if options.strict {
        let errors = rendering
            .diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error);
        let count = errors.count();
        if count > 0 {
            reasons.push(format!("strict: there are {count} errors"));
        }
    }
    let released = options.allow_removals
        || source_commit(rendering).is_some_and(|commit| {
            guard::is_released(&format!("{}\n\n{}", commit.subject, commit.body))
        });
    if !released {
        reasons.extend(guard::judge(change, &options.guard));
    }
    reasons
}

/// Says when somebody else committed to a generated branch.
fn foreign(branch: &Branch<'_>, stand: &Stand) -> Vec<Diagnostic> {
    let others = stand.tips.iter().filter(|(_, tip)| tip.trailers.is_none());
    others
        .map(|(reference, tip)| {
            Diagnostic::warning(
                "ForeignCommit",
                format!("somebody else committed {} to {reference}", tip.commit),
            )
            .help(format!(
                "the next generated commit puts its tree right and keeps it reachable as a parent; write to {} only \
                 through its source",
                branch.name
            ))
        })
        .collect()
}

/// Gives the facts that a rendering used.
pub(super) fn lock(rendering: &Rendering, kept: &[KeptFile]) -> Lock {
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
        settings: pipeline::locked_settings(&rendering.settings),
    };
    Lock::new(options, facts::used(rendering), kept.collect())
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

/// Writes the whole tree; files that stay equal are linked, not written.
fn write_folder(
    rendering: &Rendering,
    folder: &std::path::Path,
    state: &BranchState,
    kept: &[KeptFile],
    lock: &[u8],
) -> Result<(), FolderError> {
    let rendered = &rendering.rendered;
    let mut files = vec![folder::File {
        path: crate::output::branch::repository::LOCK.to_owned(),
        content: Some(lock.to_vec()),
    }];
    let metadata = source_commit(rendering).map(|commit| {
        let lock = Lock::default();
        crate::output::branch::metadata::hydrator_metadata(&provenance(rendering, commit, &lock))
    });
    files.extend(metadata.map(|content| folder::File {
        path: crate::output::branch::metadata::HYDRATOR_METADATA.to_owned(),
        content: Some(content),
    }));
    let kept: HashSet<(usize, &str, &str)> = kept
        .iter()
        .map(|file| (file.cluster, file.folder.as_str(), file.file.as_str()))
        .collect();
    let below = |cluster: usize, rest: &str| {
        format!("{}/{}/{rest}", path::CLUSTERS, rendered.clusters[cluster])
    };
    for &(cluster, inner, file) in &kept {
        files.push(folder::File {
            path: below(cluster, &format!("{inner}/{file}")),
            content: None,
        });
    }
    for (cluster, name) in rendered.clusters.iter().enumerate() {
        if state.files_on(name.as_str()) == 0 {
            files.push(folder::File {
                path: below(cluster, path::KEEP),
                content: Some(Vec::new()),
            });
        }
    }
    for object in &rendered.objects {
        let (inner, file) = (path::folder(&object.key), path::file_name(&object.key));
        for variant in object.variants.iter() {
            for cluster in variant.clusters.iter() {
                if kept.contains(&(cluster, inner, file.as_str())) {
                    continue;
                }
                let mut text = Vec::new();
                variant.bytes_into(cluster, &mut text);
                let path = below(cluster, &format!("{inner}/{file}"));
                files.push(folder::File {
                    path,
                    content: Some(text),
                });
            }
        }
    }
    folder::write(folder, files.into_iter())
}
