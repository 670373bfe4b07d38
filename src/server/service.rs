//! The service behind the server and the webhooks: requests become calls, and nothing more.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::Backend;
use super::webhooks::{Inbox, PullRequest, Push, Taken};
use crate::git::RemoteUrl;
use crate::model::{ClusterName, ObjectKey};
use crate::placement::Explanation;
use crate::reconcile::metrics::Metrics;
use crate::reconcile::service::{self, Preview, Service};
use crate::status::Report;
use crate::status::board::Board;

impl Backend for Service {
    fn board(&self) -> Arc<Board> {
        Arc::new(Self::board(self))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Self::changes(self)
    }

    fn repository(&self, pipeline: &str) -> Option<PathBuf> {
        Self::repository(self, pipeline)
    }

    fn explain(
        &self,
        pipeline: &str,
        object: &ObjectKey,
        cluster: Option<&ClusterName>,
    ) -> Option<Explanation> {
        Self::explain(self, pipeline, object, cluster).ok()
    }

    fn preview(&self, pipeline: &str, number: u64) -> Option<Preview> {
        Self::preview(self, pipeline, number)
    }

    fn previews(&self, pipeline: &str) -> Vec<Preview> {
        Self::previews(self, pipeline)
    }

    fn release(&self, pipeline: &str, commit: &str) -> bool {
        Self::release(self, pipeline, commit)
    }

    fn open_wave(&self, pipeline: &str, commit: &str, wave: &str) -> bool {
        Self::open_wave(self, pipeline, commit, wave)
    }

    fn sync(&self, pipeline: &str, full: bool) -> bool {
        if full {
            self.wake_fully(pipeline)
        } else {
            self.wake(pipeline, None)
        }
    }

    fn metrics(&self) -> &Metrics {
        Self::metrics(self)
    }
}

/// Hands webhooks to a service. A pipeline holds one place for all that is asked of it, so there is always room.
pub struct Mailroom(pub Arc<Service>);

impl Inbox for Mailroom {
    fn push(&self, push: &Push) -> Taken {
        let urls = addresses(&push.urls);
        let mut taken = Taken::NotConcerned;
        for change in push.changes.iter().filter(|change| !change.deleted()) {
            for pipeline in self.0.following(&urls, &change.reference) {
                self.0.wake(&pipeline, change.after.as_deref());
                taken = Taken::Queued;
            }
        }
        taken
    }

    fn pull_request(&self, request: &PullRequest) -> Taken {
        let following = self
            .0
            .following(&addresses(&request.urls), &request.base_reference);
        if following.is_empty() || !request.open {
            return Taken::NotConcerned;
        }
        let branch = request.head_reference.as_str();
        for pipeline in following {
            let pull = service::PullRequest {
                number: request.number,
                head: request.head.clone(),
                branch: branch
                    .strip_prefix("refs/heads/")
                    .unwrap_or(branch)
                    .to_owned(),
            };
            self.0.pull_request(&pipeline, pull);
        }
        Taken::Queued
    }

    fn reports(&self, pipeline: &str, reports: Vec<Report>) -> Taken {
        if self.0.report(pipeline, reports) {
            Taken::Queued
        } else {
            Taken::NotConcerned
        }
    }
}

fn addresses(urls: &[String]) -> Vec<RemoteUrl> {
    urls.iter()
        .filter_map(|url| RemoteUrl::parse(url).ok())
        .collect()
}
