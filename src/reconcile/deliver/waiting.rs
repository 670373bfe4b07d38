//! WECs whose wave is not open: what stands for them, and where it came from → folders that stay as they are.

use super::DeliveryOptions;
use crate::model::{ClusterName, ClusterSet, Revision};
use crate::output::branch::build::{HeldFolder, KeptFile};
use crate::output::branch::lock::{Lock, LockedFolder};
use crate::output::branch::repository::Tip;
use crate::output::branch::standing::StandingTree;
use crate::reconcile::Rendering;

use std::collections::HashMap;

/// The WECs that keep what they have.
#[derive(Default)]
pub(super) struct Held {
    /// Which.
    pub(super) clusters: ClusterSet,
    /// Their folders, by position.
    pub(super) folders: Vec<HeldFolder>,
    /// What the lock says of them.
    pub(super) locked: Vec<LockedFolder>,
}

impl Held {
    /// Looks up what stands. `tip` is the generated commit that it stands in; none where there is no commit.
    pub(super) fn new<E>(
        rendering: &Rendering,
        options: &DeliveryOptions,
        standing: &mut StandingTree<'_, E>,
        tip: Option<&Tip>,
    ) -> Result<Self, E> {
        let mut held = Self::default();
        let Some(staged) = options.staged.as_ref() else {
            return Ok(held);
        };
        let roots = standing.clusters()?;
        let origins = tip.map(Origins::new);
        for (position, name) in rendering.rendered.clusters.iter().enumerate() {
            let Some(wave) = staged.held.get(name) else {
                continue;
            };
            let root = roots.get(name.as_str()).copied();
            let files = match root {
                Some(root) => standing.count(root, &HashMap::new())?,
                None => 0,
            };
            held.clusters.insert(position);
            held.folders.push(HeldFolder {
                cluster: position,
                root,
                files,
            });
            let origin = origins.as_ref().filter(|_| root.is_some());
            held.locked.push(match origin {
                Some(origins) => origins.of(name, wave),
                None => locked(name, wave),
            });
        }
        Ok(held)
    }

    /// Files that are kept for them are in their folders already.
    pub(super) fn without(&self, mut kept: Vec<KeptFile>) -> Vec<KeptFile> {
        kept.retain(|file| !self.clusters.contains(file.cluster));
        kept
    }
}

fn locked(cluster: &ClusterName, wave: &str) -> LockedFolder {
    LockedFolder {
        cluster: cluster.to_string(),
        wave: wave.to_owned(),
        source: None,
        generated: None,
    }
}

/// Where the folders of a generated commit came from: from it, or from the one that they were kept from.
struct Origins<'a> {
    tip: &'a Tip,
    earlier: HashMap<String, LockedFolder>,
}

impl<'a> Origins<'a> {
    fn new(tip: &'a Tip) -> Self {
        let lock = tip
            .lock
            .as_deref()
            .and_then(|lock| Lock::from_bytes(lock).ok());
        // It stands for another source commit than it was made for: then nothing waited any more.
        let noted = tip.trailers.as_ref().map(|trailers| trailers.commit) != tip.source;
        let held = lock
            .filter(|_| !noted)
            .map(|lock| lock.held)
            .unwrap_or_default();
        Self {
            tip,
            earlier: held
                .into_iter()
                .map(|folder| (folder.cluster.clone(), folder))
                .collect(),
        }
    }

    fn of(&self, cluster: &ClusterName, wave: &str) -> LockedFolder {
        let earlier = self.earlier.get(cluster.as_str());
        let (source, generated) = match earlier {
            Some(folder) => (folder.source, folder.generated),
            None => (self.tip.source, Some(Revision(self.tip.commit.0))),
        };
        LockedFolder {
            source,
            generated,
            ..locked(cluster, wave)
        }
    }
}
