//! Delivery onto generated branches: here, or on a remote by an atomic push.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use git2::Repository;

use super::foreign;
use super::keep::{beside, kept_files};
use super::survey::{Survey, Surveyed};
use super::waiting::Held;
use super::{
    ATTEMPTS, BranchDestination, DeliverError, Delivery, DeliveryOptions, Outcome, hold, is_strict,
    lock, lost, provenance, source_commit,
};
use crate::git::{self, RefUpdate, RemoteUrl, Want, Wanted};
use crate::model::api::pipeline::Layout;
use crate::model::{Diagnostic, Revision};
use crate::output::branch::build::{self, BranchState, Built, KeptFile, Statistics};
use crate::output::branch::change::{Change, change, change_between};
use crate::output::branch::hash::{ObjectId, ObjectKind, object_id};
use crate::output::branch::lock::Lock;
use crate::output::branch::metadata::NOTES_REFERENCE;
use crate::output::branch::object::{EntryMode, Tree, TreeEntry, TreeError};
use crate::output::branch::pack::{ObjectWriter, PackSegment};
use crate::output::branch::publish::{self, Commits, Target};
use crate::output::branch::repository::{BranchRepository, Move, RepositoryError, Tip};
use crate::output::branch::sign;
use crate::output::branch::standing::StandingTree;
use crate::reconcile::Rendering;
use crate::reconcile::pipeline::{Clock, LastBuilt, Pipeline};
use crate::reconcile::request::Progress;
use crate::status::board::ForeignCommit;

/// A generated branch, or the branches of all WECs.
pub(super) struct Branch<'a> {
    repository: &'a Repository,
    name: &'a str,
    layout: Layout,
    push: Option<&'a RemoteUrl>,
    options: &'a DeliveryOptions,
}

/// What stands at the destination, and how to read it.
struct Stand {
    tips: BTreeMap<String, Tip>,
    /// Where the references themselves are; a branch may stand only where it was published.
    from: BTreeMap<String, ObjectId>,
    notes: Option<ObjectId>,
    clusters: Option<ObjectId>,
    /// What Stellate itself wrote last: only that counts as good.
    good: Option<ObjectId>,
    /// The commit that holds it, where there is one for all WECs.
    written: Option<Tip>,
    /// The branches that somebody deleted or set back, each with where it was.
    lost: BTreeMap<String, ObjectId>,
}

impl Stand {
    /// Walks the locks of what Stellate wrote last.
    fn locks(&self) -> impl Iterator<Item = &[u8]> {
        let tips = match &self.written {
            Some(written) => vec![written],
            None => self.tips.values().collect(),
        };
        tips.into_iter().filter_map(|tip| tip.lock.as_deref())
    }
}

/// Delivers; starts over when somebody else moves the branch meanwhile.
pub(super) fn deliver(
    pipeline: &mut Pipeline,
    rendering: &Rendering,
    branch: &Branch<'_>,
    progress: &dyn Progress,
) -> Result<Delivery, DeliverError> {
    let mut clock = Clock::new(progress);
    for _ in 0..ATTEMPTS {
        match attempt(pipeline, rendering, branch, &mut clock) {
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
    pipeline: &mut Pipeline,
    rendering: &Rendering,
    branch: &Branch<'_>,
    clock: &mut Clock<'_>,
) -> Result<Delivery, DeliverError> {
    let commit = source_commit(rendering).ok_or(DeliverError::NoSourceCommit)?;
    let revision = commit.id;
    clock.stage(if branch.push.is_some() {
        "fetch"
    } else {
        "look"
    });
    let repository = BranchRepository::new(branch.repository);
    let stand = branch.stand(&repository, rendering)?;
    clock.stage("build");
    let mut read = |id| repository.tree(id);
    let mut tree = StandingTree::new(stand.clusters, &mut read);
    let mut read_good = |id| repository.tree(id);
    let mut good = StandingTree::new(stand.good, &mut read_good);
    let (kept, mut reasons) = kept_files(rendering, &mut good)?;
    reasons.extend(lost(rendering, stand.locks()));
    let held = Held::new(rendering, branch.options, &mut good, stand.written.as_ref())?;
    let kept = held.without(kept);
    let noted = |tip: &Tip| tip.source == Some(revision) || !held.folders.is_empty();
    if let Some(commit) = standing(pipeline, rendering, branch, &stand, &kept, &held)
        && reasons.is_empty()
        && stand.tips.values().all(noted)
    {
        let mut delivery = Delivery::new(Change::default(), Statistics::default());
        let reference = branch.reference(None);
        delivery.commits.push((reference, commit, false));
        delivery.kept = beside(rendering, &kept);
        return Ok(delivery);
    }
    let (built, change) = build_on(
        pipeline,
        rendering,
        branch,
        &stand,
        (&kept, &held),
        &mut tree,
    )?;
    let mut delivery = Delivery::new(change, built.statistics);
    delivery.kept = beside(rendering, &kept);
    delivery.diagnostics.extend(lost_branches(&stand));
    delivery.foreign = foreign(branch, &repository, &stand);
    let told = delivery.foreign.iter();
    let told = told.map(|foreign| foreign::told(foreign, branch.name));
    delivery.diagnostics.extend(told);
    delivery.releasable = reasons.is_empty() && !is_strict(rendering, branch.options);
    reasons.extend(hold(rendering, &delivery.change, branch.options));
    if !reasons.is_empty() {
        delivery.outcome = Outcome::Held(reasons);
        return Ok(delivery);
    }
    clock.stage("commit");
    let lock = lock(rendering, &kept, held.locked);
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
        for foreign in &mut delivery.foreign {
            let commits = &mut delivery.commits.iter();
            let own = commits.find(|(reference, _, new)| *new && *reference == foreign.reference);
            foreign.put_right = own.map(|(_, id, _)| id.to_string());
        }
    }
    delivery.pushed = branch.push.map(RemoteUrl::redacted);
    if let [(_, id, _)] = &delivery.commits[..] {
        let rendered = Arc::clone(&rendering.rendered);
        if branch.layout == Layout::Directories {
            let noted = pipeline.stored.write(&branch.key(), *id, &state);
            delivery.diagnostics.extend(noted);
        }
        let last = LastBuilt {
            commit: *id,
            rendered,
            kept,
            held: held.folders,
            state,
        };
        pipeline.built.insert(branch.key(), last);
    }
    Ok(delivery)
}

/// Gives the commit that stands, when it is the one that the same rendering was built into.
fn standing(
    pipeline: &Pipeline,
    rendering: &Rendering,
    branch: &Branch<'_>,
    stand: &Stand,
    kept: &[KeptFile],
    held: &Held,
) -> Option<ObjectId> {
    let last = pipeline.built.get(&branch.key())?;
    let tip = stand.tips.get(&branch.reference(None))?;
    let same = last.commit == tip.commit
        && stand.lost.is_empty()
        && Arc::ptr_eq(&last.rendered, &rendering.rendered)
        && last.kept == kept
        && last.held == held.folders;
    same.then_some(last.commit)
}

/// Builds on what was built last when that is what stands, from memory or from the disk; else on what can be read from the
/// repository.
fn build_on(
    pipeline: &mut Pipeline,
    rendering: &Rendering,
    branch: &Branch<'_>,
    stand: &Stand,
    (kept, held): (&[KeptFile], &Held),
    tree: &mut StandingTree<'_, RepositoryError>,
) -> Result<(Built, Change), DeliverError> {
    let repository = BranchRepository::new(branch.repository);
    let tip = stand.tips.values().next().map(|tip| tip.commit);
    let key = branch.key();
    let built = pipeline.built.get(&key);
    let built = built.filter(|last| Some(last.commit) == tip);
    let stored = match (built, tip, stand.clusters, branch.layout) {
        (None, Some(tip), Some(clusters), Layout::Directories) => {
            pipeline.stored.read(&key, tip, clusters)
        }
        _ => None,
    };
    let last = built.map(|last| &last.state).or(stored.as_ref());
    let known = match (last, stand.clusters) {
        (None, Some(clusters)) => repository.reachable(clusters)?,
        _ => HashSet::new(),
    };
    let built = if held.folders.is_empty() {
        build::build(&rendering.rendered, kept, last, &known)?
    } else {
        let part = rendering.rendered.without(&held.clusters);
        build::build_beside(&part, kept, &held.folders, last, &known)?
    };
    let change = match last {
        Some(last) if !last.is_partial() && !built.state.is_partial() => {
            change_between(last, &built.state)
        }
        _ => change(tree, &built.state)?,
    };
    Ok((built, change))
}

/// Looks at what a delivery to all WECs would change. What did not change since the last look is not looked at again.
pub(super) fn survey(
    pipeline: &mut Pipeline,
    rendering: &Rendering,
    branch: &Branch<'_>,
) -> Result<Survey, DeliverError> {
    let repository = BranchRepository::new(branch.repository);
    let stand = branch.stand(&repository, rendering)?;
    let mut read = |id| repository.tree(id);
    let mut tree = StandingTree::new(stand.clusters, &mut read);
    let mut read_good = |id| repository.tree(id);
    let mut good = StandingTree::new(stand.good, &mut read_good);
    let (kept, _) = kept_files(rendering, &mut good)?;
    let known = pipeline.surveyed.get(&branch.key()).filter(|known| {
        known.clusters == stand.clusters
            && Arc::ptr_eq(&known.rendered, &rendering.rendered)
            && known.kept == kept
    });
    if let Some(known) = known {
        return Ok(known.survey.clone());
    }
    let all = Held::default();
    let (built, change) = build_on(
        pipeline,
        rendering,
        branch,
        &stand,
        (&kept, &all),
        &mut tree,
    )?;
    let surveyed = Surveyed {
        clusters: stand.clusters,
        rendered: Arc::clone(&rendering.rendered),
        kept,
        survey: Survey::new(&mut tree, &built.state, change)?,
    };
    let survey = surveyed.survey.clone();
    pipeline.surveyed.insert(branch.key(), surveyed);
    Ok(survey)
}

impl<'a> Branch<'a> {
    /// `repository` is that of the destination, opened.
    pub(super) fn new(
        repository: &'a Repository,
        to: &'a BranchDestination,
        options: &'a DeliveryOptions,
    ) -> Self {
        Self {
            repository,
            name: &to.name,
            layout: to.layout,
            push: to.push.as_ref(),
            options,
        }
    }

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
    fn tracking(reference: &str) -> String {
        let rest = reference.strip_prefix("refs/").unwrap_or(reference);
        format!("refs/stellate/remote/{rest}")
    }

    /// Where is kept what was published last.
    fn published(reference: &str) -> String {
        let rest = reference.strip_prefix("refs/").unwrap_or(reference);
        format!("refs/stellate/published/{rest}")
    }

    /// Reads what stands, from the remote when there is one.
    fn stand(
        &self,
        repository: &BranchRepository<'_>,
        rendering: &Rendering,
    ) -> Result<Stand, DeliverError> {
        let (mut branches, notes) = if let Some(url) = self.push {
            self.fetch(url)?
        } else {
            let names = self.local_names(repository)?;
            (names, repository.resolve(NOTES_REFERENCE)?)
        };
        let from = branches.clone();
        if self.push.is_none() && branches.is_empty() && self.layout == Layout::Directories {
            // In a fresh clone the branch stands only where it was cloned from.
            let published = format!("refs/remotes/origin/{}", self.name);
            let published = repository.resolve(&published)?;
            branches.extend(published.map(|id| (self.reference(None), id)));
        }
        let lost = self.lost(repository, rendering, &from)?;
        branches.extend(lost.clone());
        let mut tips = BTreeMap::new();
        let mut good = None;
        for (reference, id) in branches {
            let written = repository.last_written(id)?;
            if written.is_none() {
                return Err(DeliverError::NotGenerated(reference));
            }
            good = written;
            tips.insert(reference, repository.tip(id, notes)?);
        }
        let clusters = match self.layout {
            Layout::Directories => tips.values().next().and_then(|tip| tip.clusters),
            Layout::Branches => Self::united(repository, &tips)?,
        };
        let written = match self.layout {
            Layout::Directories => good.map(|id| repository.tip(id, notes)).transpose()?,
            Layout::Branches => None,
        };
        let good = written.as_ref().map_or(clusters, |tip| tip.clusters);
        Ok(Stand {
            tips,
            from,
            notes,
            clusters,
            good,
            written,
            lost,
        })
    }

    /// Finds the branches that are not there any more, or set back, and where they were when they were published last: that
    /// nothing is there does not mean that nothing was.
    fn lost(
        &self,
        repository: &BranchRepository<'_>,
        rendering: &Rendering,
        from: &BTreeMap<String, ObjectId>,
    ) -> Result<BTreeMap<String, ObjectId>, DeliverError> {
        let references = match self.layout {
            Layout::Directories => vec![self.reference(None)],
            Layout::Branches => {
                let clusters = rendering.rendered.clusters.iter();
                clusters
                    .map(|cluster| self.reference(Some(cluster.as_str())))
                    .collect()
            }
        };
        let mut lost = BTreeMap::new();
        for reference in references {
            let Some(last) = repository.resolve(&Self::published(&reference))? else {
                continue;
            };
            let is_lost = match from.get(&reference) {
                None => true,
                Some(now) => repository.descends(last, *now),
            };
            if is_lost && repository.last_written(last).is_ok() {
                lost.insert(reference, last);
            }
        }
        Ok(lost)
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
                .into_ref(Self::tracking(reference))
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
        let mut objects = ObjectWriter::default();
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
    ) -> Result<(Vec<Target>, Vec<PackSegment>), DeliverError> {
        if self.layout == Layout::Directories {
            let reference = self.reference(None);
            let tip = stand.tips.get(&reference).cloned();
            return Ok((
                vec![Target {
                    from: stand.from.get(&reference).copied(),
                    lost: stand.lost.contains_key(&reference),
                    reference,
                    tip,
                    clusters: root,
                    lock,
                }],
                Vec::new(),
            ));
        }
        let mut objects = ObjectWriter::default();
        let mut targets = Vec::new();
        for name in state.cluster_names() {
            let Some(folder) = state.root(name).filter(|_| state.held(name).is_none()) else {
                continue;
            };
            let tree = clusters_tree(std::iter::once((name.as_bytes(), folder)))?;
            let reference = self.reference(Some(name));
            // Where it is the only WEC that has a folder, the tree is what was built, and a pack has no object twice.
            let clusters = match object_id(ObjectKind::Tree, &[tree.as_bytes()]) {
                id if id == root => id,
                _ => objects.add(ObjectKind::Tree, tree.as_bytes()),
            };
            targets.push(Target {
                lost: stand.lost.contains_key(&reference),
                from: stand.from.get(&reference).copied(),
                tip: stand.tips.get(&reference).cloned(),
                reference,
                clusters,
                lock: lock.of(name),
            });
        }
        Ok((targets, vec![objects.into_segment()]))
    }

    /// Stores the pack, and moves references here or on the remote.
    fn publish(
        &self,
        repository: &BranchRepository<'_>,
        segments: Vec<PackSegment>,
        commits: Commits,
        clock: &mut Clock<'_>,
    ) -> Result<(), DeliverError> {
        let Commits { objects, moves, .. } = commits;
        let stored = publish::store(repository, segments, objects)?;
        let Some(url) = self.push else {
            repository.move_references(&moves, "stellate: render")?;
            Self::remember(repository, &moves);
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
            Some((pack, _)) => {
                File::open(pack).map(|file| Some(Box::new(file) as Box<dyn Read + Send>))
            }
            None => Ok(None),
        })?;
        Self::remember(repository, &moves);
        let moves: Vec<Move> = moves
            .into_iter()
            .map(|change| Move {
                reference: Self::tracking(&change.reference),
                ..change
            })
            .collect();
        // The remote has moved: that our copy of its references could not follow is no failure, the next fetch mends it.
        drop(repository.move_references(&moves, "stellate: push"));
        Ok(())
    }

    /// Keeps where branches are now. That this fails is no failure: then less is known when one is lost.
    fn remember(repository: &BranchRepository<'_>, moves: &[Move]) {
        for change in moves
            .iter()
            .filter(|change| change.reference != NOTES_REFERENCE)
        {
            drop(repository.remember(&Self::published(&change.reference), change.to));
        }
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

/// Says which branches were deleted or set back.
fn lost_branches(stand: &Stand) -> impl Iterator<Item = Diagnostic> + '_ {
    stand.lost.iter().map(|(reference, last)| {
        let what = match stand.from.get(reference) {
            None => format!("{reference} was deleted"),
            Some(now) => format!("{reference} was set back to {now}"),
        };
        Diagnostic::warning("BranchLost", format!("{what}: it goes on from {last}, which was published last")).help(
            "whoever follows it may have removed what it held: look at the WECs; to begin anew, delete its reference below \
             refs/stellate/published/ of the repository or cache, too",
        )
    })
}

/// What somebody else committed to the branches. What cannot be read is no reason not to put it right.
fn foreign(
    branch: &Branch<'_>,
    repository: &BranchRepository<'_>,
    stand: &Stand,
) -> Vec<ForeignCommit> {
    let others = stand.tips.iter().filter(|(_, tip)| tip.trailers.is_none());
    let described = others.filter_map(|(reference, tip)| {
        let written = repository.last_written(tip.commit).ok().flatten()?;
        foreign::describe(branch.repository, reference, tip.commit, written).ok()
    });
    described.collect()
}
