//! The bytes of the works that are written: each made when the first WEC needs it, and dropped after the last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::blocking;
use crate::output::mailbox::layout::Layout;
use crate::output::mailbox::plan::{ClusterPlan, Write};
use crate::output::mailbox::shape::Part;
use crate::output::mailbox::{Body, MailboxError, Owner, body};

/// The bytes that are still needed.
pub(super) struct Bodies {
    layout: Arc<Layout>,
    owner: Owner,
    open: Mutex<HashMap<(Part, String), Shared>>,
}

/// How many WECs still need it, and the bytes once they are made.
type Shared = (usize, Arc<OnceCell<Body>>);

impl Bodies {
    pub(super) fn new(layout: &Arc<Layout>, owner: &Owner, plans: &[ClusterPlan]) -> Self {
        let mut open: HashMap<(Part, String), Shared> = HashMap::new();
        for write in plans.iter().flat_map(|plan| &plan.writes) {
            open.entry((write.part, write.digest.clone()))
                .or_default()
                .0 += 1;
        }
        Self {
            layout: Arc::clone(layout),
            owner: owner.clone(),
            open: Mutex::new(open),
        }
    }

    pub(super) async fn get(
        &self,
        plan: &ClusterPlan,
        write: &Write,
    ) -> Result<Body, MailboxError> {
        let key = (write.part, write.digest.clone());
        let cell = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&open.entry(key).or_default().1)
        };
        let make = async || {
            let (layout, owner) = (Arc::clone(&self.layout), self.owner.clone());
            let (position, part, digest) = (
                plan.position.unwrap_or_default(),
                write.part,
                write.digest.clone(),
            );
            blocking(move || {
                let manifests = layout.manifests(position, part);
                body(&owner, part, &digest, layout.orphan(), &manifests)
            })
            .await
        };
        cell.get_or_try_init(make).await.cloned()
    }

    pub(super) fn done(&self, write: &Write) {
        let key = (write.part, write.digest.clone());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((left, _)) = open.get_mut(&key) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                open.remove(&key);
            }
        }
    }
}
