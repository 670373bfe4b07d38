//! What we have, newest first: the local refs' history → commit ids to offer, so that a fetch carries only what is new.
//!
//! Reads commits only. A commit that the remote has as well ends the walk into its ancestors.

use std::collections::{BinaryHeap, HashMap};

use git2::{Oid, Repository};

/// Refs beyond this number add nothing to a negotiation but time.
const MAX_REFS: usize = 20_000;

/// The walk over local history.
pub(crate) struct Haves<'repo> {
    repository: &'repo Repository,
    queue: BinaryHeap<(i64, Oid)>,
    /// Every commit that was queued, and whether the remote is known to have it.
    seen: HashMap<Oid, bool>,
    /// Queued commits that the remote is not known to have.
    open: usize,
}

impl<'repo> Haves<'repo> {
    /// Starts at all local refs.
    pub(crate) fn new(repository: &'repo Repository) -> Result<Self, git2::Error> {
        let mut haves = Self {
            repository,
            queue: BinaryHeap::new(),
            seen: HashMap::new(),
            open: 0,
        };
        for reference in repository.references()?.take(MAX_REFS) {
            // A ref that leads to no commit (a tagged blob, a dangling ref) is no history to offer.
            if let Ok(commit) = reference.and_then(|reference| reference.peel_to_commit()) {
                haves.push(commit.id(), false);
            }
        }
        Ok(haves)
    }

    fn push(&mut self, id: Oid, common: bool) {
        if self.seen.contains_key(&id) {
            if common {
                self.mark(id);
            }
            return;
        }
        // A shallow boundary's parents are not here.
        if let Ok(commit) = self.repository.find_commit(id) {
            self.queue.push((commit.time().seconds(), id));
            self.seen.insert(id, common);
            self.open += usize::from(!common);
        }
    }

    /// Notes that the remote has `id`, and so all that it builds on.
    pub(crate) fn mark(&mut self, id: Oid) {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let Some(common) = self.seen.get_mut(&id).filter(|common| !**common) else {
                continue;
            };
            *common = true;
            // What left the queue was counted out already; what is in it is recounted when it leaves.
            if let Ok(commit) = self.repository.find_commit(id) {
                stack.extend(commit.parent_ids());
            }
        }
        self.open = self
            .queue
            .iter()
            .filter(|(_, id)| self.seen.get(id) == Some(&false))
            .count();
    }

    /// The next commit to offer; `None` when the rest is known to be common.
    pub(crate) fn next(&mut self) -> Option<Oid> {
        while self.open > 0 {
            let (_, id) = self.queue.pop()?;
            let common = self.seen.get(&id).copied().unwrap_or(false);
            self.open -= usize::from(!common);
            if let Ok(commit) = self.repository.find_commit(id) {
                commit
                    .parent_ids()
                    .for_each(|parent| self.push(parent, common));
            }
            if !common {
                return Some(id);
            }
        }
        None
    }
}
