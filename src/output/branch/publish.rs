//! Publishing: what was built becomes commits on the generated branches, notes on them, and references that move.
//!
//! [`commit`] decides and encodes (pure but for the signer); [`store`] writes the pack and moves references of a local
//! repository by compare-and-swap. Pushing streams the same pack: see [`crate::git`]. A branch whose `clusters/` stays
//! equal gets no commit, only a note that it stands for one more source commit.

use super::hash::{ObjectId, ObjectKind};
use super::lock::Lock;
use super::metadata::{self, Provenance};
use super::notes;
use super::object::{Commit, EntryMode, Person, Tree, TreeEntry, TreeError};
use super::pack::{FinishedPack, ObjectWriter, PackSegment};
use super::repository::{BranchRepository, LOCK, Move, RepositoryError, Tip};
use crate::output::path::CLUSTERS;

/// One branch to be published.
pub struct Target {
    /// The full name: `refs/heads/generated`.
    pub reference: String,
    /// What stands there, here or where it was last published; the parent of the next commit.
    pub tip: Option<Tip>,
    /// Where the reference itself is; none when it is not there yet.
    pub from: Option<ObjectId>,
    /// The tree for `clusters/`.
    pub clusters: ObjectId,
    /// The facts that it was rendered from.
    pub lock: Lock,
    /// Whether the reference was taken from its tip, and is put back there even when nothing else changes.
    pub lost: bool,
}

/// Who commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committer {
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

impl Default for Committer {
    fn default() -> Self {
        Self {
            name: "Stellate".to_owned(),
            email: "stellate@localhost".to_owned(),
        }
    }
}

/// Why nothing could be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A tree cannot be written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The repository says no.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The commit cannot be signed.
    #[error("cannot sign the generated commit: {0}")]
    Sign(String),
}

/// Signs the bytes of a commit; gives the armoured signature.
pub type Signer<'a> = dyn Fn(&[u8]) -> Result<String, String> + 'a;

/// What is to be published.
#[derive(Default)]
pub struct Commits {
    /// New commits, root trees, notes; goes into the pack behind what was built.
    pub objects: ObjectWriter,
    /// The references that move, the branches before the notes; empty when all is as it should be.
    pub moves: Vec<Move>,
    /// For each target, in order: the commit that stands for the source commit from now on, and whether it is new.
    pub results: Vec<(ObjectId, bool)>,
}

/// Decides what each branch needs, and makes its objects.
pub fn commit(
    targets: &[Target],
    notes_tip: Option<ObjectId>,
    repository: &BranchRepository<'_>,
    provenance: &Provenance,
    committer: &Committer,
    signer: Option<&Signer<'_>>,
) -> Result<Commits, PublishError> {
    let mut commits = Commits::default();
    let mut noted = Vec::new();
    for target in targets {
        let ours = target.tip.as_ref().filter(|tip| tip.trailers.is_some());
        let unnoted = ours.filter(|tip| !tip.noted);
        let unnoted = unnoted.and_then(|tip| Some((tip.commit, metadata::note(tip.source?))));
        // Somebody else's commit is never taken for ours, even when it touches nothing below `clusters/`.
        let standing = ours.filter(|tip| tip.clusters == Some(target.clusters));
        if let Some(tip) = standing {
            commits.results.push((tip.commit, false));
            if target.lost {
                commits.moves.push(Move {
                    reference: target.reference.clone(),
                    from: target.from,
                    to: tip.commit,
                });
            }
            // While WECs wait for their wave, it does not stand for the commit that they wait for.
            if tip.source != Some(provenance.commit.id) && target.lock.held.is_empty() {
                noted.push((tip.commit, metadata::note(provenance.commit.id)));
            } else {
                noted.extend(unnoted);
            }
            continue;
        }
        let id = new_commit(target, provenance, committer, signer, &mut commits.objects)?;
        commits.results.push((id, true));
        noted.extend(unnoted);
        noted.push((id, metadata::note(provenance.commit.id)));
        commits.moves.push(Move {
            reference: target.reference.clone(),
            from: target.from,
            to: id,
        });
    }
    if !noted.is_empty() {
        let tree = notes_tip
            .map(|tip| repository.notes_tree(tip))
            .transpose()?;
        let mut read = |id| repository.tree(id).map_err(PublishError::from);
        let tree = notes::add_notes(tree.as_ref(), &noted, &mut read, &mut commits.objects)?;
        let parents: Vec<ObjectId> = notes_tip.into_iter().collect();
        let bytes = Commit {
            tree,
            parents: &parents,
            author: person(committer, provenance),
            committer: person(committer, provenance),
            signature: None,
            message: "Note the source commits of generated commits\n",
        }
        .encode();
        let id = commits.objects.add(ObjectKind::Commit, &bytes);
        let reference = metadata::NOTES_REFERENCE.to_owned();
        commits.moves.push(Move {
            reference,
            from: notes_tip,
            to: id,
        });
    }
    Ok(commits)
}

fn new_commit(
    target: &Target,
    provenance: &Provenance,
    committer: &Committer,
    signer: Option<&Signer<'_>>,
    objects: &mut ObjectWriter,
) -> Result<ObjectId, PublishError> {
    let metadata_id = objects.add(ObjectKind::Blob, &metadata::hydrator_metadata(provenance));
    let lock_id = objects.add(ObjectKind::Blob, &target.lock.to_bytes());
    let mut entries = [
        TreeEntry {
            mode: EntryMode::FOLDER,
            name: CLUSTERS.as_bytes(),
            id: target.clusters,
        },
        TreeEntry {
            mode: EntryMode::FILE,
            name: metadata::HYDRATOR_METADATA.as_bytes(),
            id: metadata_id,
        },
        TreeEntry {
            mode: EntryMode::FILE,
            name: LOCK.as_bytes(),
            id: lock_id,
        },
    ];
    let tree = Tree::new(&mut entries)?;
    let tree_id = objects.add(ObjectKind::Tree, tree.as_bytes());
    let parents: Vec<ObjectId> = target.tip.iter().map(|tip| tip.commit).collect();
    // The lock of one WEC's branch holds that WEC's facts only, and so does its digest.
    let provenance = &Provenance {
        inventory_digest: target.lock.inventory_digest(),
        ..provenance.clone()
    };
    let message = metadata::message(provenance, &target.lock.held);
    let mut commit = Commit {
        tree: tree_id,
        parents: &parents,
        author: person(committer, provenance),
        committer: person(committer, provenance),
        signature: None,
        message: &message,
    };
    let signature = signer
        .map(|signer| signer(&commit.encode()))
        .transpose()
        .map_err(PublishError::Sign)?;
    commit.signature = signature.as_deref();
    Ok(objects.add(ObjectKind::Commit, &commit.encode()))
}

/// Stellate commits at the source commit's date, so that the same inputs give the same commit.
fn person<'a>(committer: &'a Committer, provenance: &Provenance) -> Person<'a> {
    Person {
        name: &committer.name,
        email: &committer.email,
        seconds: provenance.commit.seconds,
        offset_minutes: provenance.commit.offset_minutes,
    }
}

/// Stores everything as one pack and gives its file; moves nothing.
pub fn store(
    repository: &BranchRepository<'_>,
    mut built: Vec<PackSegment>,
    objects: ObjectWriter,
) -> Result<Option<(std::path::PathBuf, FinishedPack)>, PublishError> {
    built.push(objects.into_segment());
    Ok(repository.store(built)?)
}
