//! Plans are carried out: writes WEC by WEC, then deletions; one mailbox that refuses holds up no other.

use std::sync::Arc;

use futures::{StreamExt as _, stream};

use super::Mailbox;
use super::bodies::Bodies;
use crate::model::ClusterName;
use crate::output::mailbox::MailboxError;
use crate::output::mailbox::client::REQUESTS;
use crate::output::mailbox::layout::Layout;
use crate::output::mailbox::plan::{ClusterPlan, Write};
use crate::output::mailbox::shape::{Class, Part, Place};
use crate::output::mailbox::standing::StandingWork;

/// The most requests under way for one WEC.
const REQUESTS_PER_CLUSTER: usize = 4;

/// What came of one WEC's plan.
pub(super) struct ClusterResult {
    pub(super) cluster: ClusterName,
    pub(super) written: Vec<StandingWork>,
    pub(super) deleted: Vec<Place>,
    pub(super) waiting: Vec<Part>,
    pub(super) problems: Vec<MailboxError>,
}

impl ClusterResult {
    fn new(plan: &ClusterPlan) -> Self {
        Self {
            cluster: plan.cluster.clone(),
            written: Vec::new(),
            deleted: Vec::new(),
            waiting: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn take(&mut self, written: Result<StandingWork, MailboxError>) {
        match written {
            Ok(work) => self.written.push(work),
            Err(error) => self.problems.push(error),
        }
    }

    fn is_lost(&self) -> bool {
        self.problems.iter().any(MailboxError::concerns_the_mailbox)
    }
}

impl Mailbox {
    pub(super) async fn carry_out(
        &self,
        layout: &Arc<Layout>,
        plans: Vec<ClusterPlan>,
    ) -> Vec<ClusterResult> {
        let bodies = Bodies::new(layout, self.owner(), &plans);
        let all = plans
            .into_iter()
            .map(|plan| self.carry_out_one(plan, &bodies));
        stream::iter(all).buffer_unordered(REQUESTS).collect().await
    }

    /// Does what is to be done in one WEC's mailbox.
    async fn carry_out_one(&self, plan: ClusterPlan, bodies: &Bodies) -> ClusterResult {
        let mut result = ClusterResult::new(&plan);
        let (later, now): (Vec<Write>, Vec<Write>) = plan
            .writes
            .iter()
            .cloned()
            .partition(|write| !write.after.is_empty());
        let (first, rest): (Vec<Write>, Vec<Write>) = now
            .into_iter()
            .partition(|write| write.part.class == Class::First);
        for writes in [first, rest] {
            let writes = writes
                .into_iter()
                .map(|write| self.write(&plan, write, bodies));
            let mut writes = stream::iter(writes).buffer_unordered(REQUESTS_PER_CLUSTER);
            while let Some(written) = writes.next().await {
                result.take(written);
                if result.is_lost() {
                    return result;
                }
            }
        }
        for write in later {
            match self.are_applied(&plan.cluster, &write.after).await {
                Ok(true) => {
                    let written = self.write(&plan, write, bodies).await;
                    result.take(written);
                }
                Ok(false) => result.waiting.push(write.part),
                Err(error) => result.problems.push(error),
            }
        }
        // An object may move from a work that goes into one that could not be written.
        if !result.problems.is_empty() {
            return result;
        }
        for deletion in &plan.deletions {
            let done = match self.are_applied(&plan.cluster, &deletion.after).await {
                Ok(true) => self.mailboxes.delete(&plan.cluster, &deletion.work).await,
                Ok(false) => {
                    result.waiting.push(deletion.work.part);
                    continue;
                }
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => result.deleted.push(deletion.work.part.place()),
                Err(error) => result.problems.push(error),
            }
        }
        result
    }

    async fn write(
        &self,
        plan: &ClusterPlan,
        write: Write,
        bodies: &Bodies,
    ) -> Result<StandingWork, MailboxError> {
        let written = match bodies.get(plan, &write).await {
            Ok(body) => self.mailboxes.apply(&plan.cluster, &write, &body).await,
            Err(error) => Err(error),
        };
        bodies.done(&write);
        written
    }

    /// Tells whether a WEC has applied these works as they stand.
    async fn are_applied(
        &self,
        cluster: &ClusterName,
        parts: &[Part],
    ) -> Result<bool, MailboxError> {
        for &part in parts {
            let Some(work) = self.mailboxes.read(cluster, part).await? else {
                return Ok(false);
            };
            let conditions = work["status"]["conditions"].as_array();
            let applied = conditions.into_iter().flatten().any(|condition| {
                condition["type"] == "Applied"
                    && condition["status"] == "True"
                    && condition["observedGeneration"] == work["metadata"]["generation"]
            });
            if !applied {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
