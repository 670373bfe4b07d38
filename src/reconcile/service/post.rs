//! Mailboxes as a pipeline's worker sees them: delivered into when there is something to deliver, and watched all the time.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{Service, Wake};
use crate::api_server::{ConnectError, Connection, connect};
use crate::model::api::pipeline::MailboxOutput;
use crate::output::mailbox::{MailboxError, Settings};
use crate::reconcile::deliver::mailbox::{Mailbox, MailboxDelivery};
use crate::reconcile::lease::Guard;
use crate::reconcile::{DeliveryOptions, Rendering, Survey};
use crate::status::observe::watch::{Sight, watch};

/// How often a lease is looked at while works are written: far shorter than the time between the end of ours and another's beginning.
const LOOK: Duration = Duration::from_millis(50);

/// The mailboxes of one output.
pub(super) struct Post {
    its: Connection,
    settings: Settings,
    open: Option<Open>,
}

/// A connection that stands.
struct Open {
    mailbox: Arc<Mutex<Mailbox>>,
    _watch: AbortOnDropHandle<()>,
}

/// Who takes part in a delivery.
pub(super) struct Parties<'a> {
    pub(super) service: &'a Arc<Service>,
    pub(super) wake: &'a Arc<Wake>,
    /// Under which the pipeline runs; none where nobody else may.
    pub(super) lease: Option<&'a Guard>,
}

/// Why nothing could be delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
}

impl PostError {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Connect(error) => error.reason(),
            Self::Mailbox(error) => error.reason(),
        }
    }

    pub(super) fn help(&self) -> String {
        match self {
            Self::Connect(error) => error.help(),
            Self::Mailbox(error) => error.help(),
        }
    }
}

impl Post {
    /// Nothing is asked of the ITS yet.
    pub(super) fn new(its: &Connection, output: &MailboxOutput) -> Self {
        Self {
            its: its.clone(),
            settings: Settings::from(output),
            open: None,
        }
    }

    /// Delivers, and from the first time on watches what the WECs make of it. Must not be called on the runtime.
    ///
    /// None when the lease was lost: then no request follows any more, and the next delivery begins by asking what stands.
    pub(super) fn deliver(
        &mut self,
        pipeline: &str,
        rendering: &Rendering,
        options: &DeliveryOptions,
        parties: &Parties<'_>,
    ) -> Result<Option<MailboxDelivery>, PostError> {
        self.with(pipeline, parties, async |mailbox| {
            mailbox.deliver(rendering, options).await
        })
    }

    /// Looks at what a delivery to all WECs would change; otherwise as [`Self::deliver`].
    pub(super) fn survey(
        &mut self,
        pipeline: &str,
        rendering: &Rendering,
        parties: &Parties<'_>,
    ) -> Result<Option<Survey>, PostError> {
        self.with(pipeline, parties, async |mailbox| {
            mailbox.survey(rendering).await
        })
    }

    /// Does something with the mailboxes as long as the lease is ours.
    fn with<T>(
        &mut self,
        pipeline: &str,
        parties: &Parties<'_>,
        work: impl AsyncFnOnce(&mut Mailbox) -> Result<T, MailboxError>,
    ) -> Result<Option<T>, PostError> {
        let runtime = parties.service.options.runtime.clone();
        let open = match self.open.take() {
            Some(open) => open,
            None => self.connect(pipeline, parties.service, parties.wake, &runtime)?,
        };
        let done = runtime.block_on(async {
            let mut mailbox = open.mailbox.lock().await;
            tokio::select! {
                biased;
                () = lost(parties.lease) => None,
                done = work(&mut mailbox) => Some(done),
            }
        });
        let Some(done) = done else {
            return Ok(None);
        };
        self.open = Some(open);
        Ok(Some(done?))
    }

    fn connect(
        &self,
        pipeline: &str,
        service: &Arc<Service>,
        wake: &Arc<Wake>,
        runtime: &Handle,
    ) -> Result<Open, PostError> {
        let client = runtime.block_on(connect(&self.its))?;
        let mailbox = Mailbox::new(client.clone(), pipeline, self.settings);
        let owner = mailbox.owner().clone();
        let mailbox = Arc::new(Mutex::new(mailbox));
        let (seen, name) = (Arc::clone(&mailbox), pipeline.to_owned());
        let (service, wake) = (Arc::downgrade(service), Arc::downgrade(wake));
        let watching = runtime.spawn(async move {
            let mut sights = std::pin::pin!(watch(client, owner));
            while let Some(sight) = sights.next().await {
                let (Some(service), Some(wake)) = (service.upgrade(), wake.upgrade()) else {
                    return;
                };
                match sight {
                    Sight::Report(report) => drop(service.report(&name, vec![report])),
                    Sight::Broken(why) => tracing::warn!(pipeline = name, "the watch of the mailboxes is broken: {why}"),
                    Sight::Work(cluster, place, work) => {
                        let differs = seen.lock().await.see(&(cluster.clone(), place, work));
                        if differs {
                            tracing::warn!(pipeline = name, cluster = %cluster, "a work was changed by somebody else");
                            wake.ask(|orders| orders.push(None));
                        }
                    }
                }
            }
        });
        Ok(Open {
            mailbox,
            _watch: AbortOnDropHandle::new(watching),
        })
    }
}

/// Waits until the lease is not ours any more.
async fn lost(lease: Option<&Guard>) {
    let Some(lease) = lease else {
        return std::future::pending().await;
    };
    let mut looks = tokio::time::interval(LOOK);
    // Whatever wakes the delivery asks first: a process that was stopped for a while sends nothing more.
    poll_fn(|context| {
        if !lease.is_held() {
            return Poll::Ready(());
        }
        while looks.poll_tick(context).is_ready() {}
        Poll::Pending
    })
    .await;
}
