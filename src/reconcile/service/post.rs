//! Mailboxes as a pipeline's worker sees them: delivered into when there is something to deliver, and watched all the time.

use std::sync::Arc;

use futures::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{Service, Wake};
use crate::api_server::{ConnectError, Connection, connect};
use crate::model::api::pipeline::MailboxOutput;
use crate::output::mailbox::Settings;
use crate::output::mailbox::client::MailboxError;
use crate::reconcile::deliver::mailbox::{Mailbox, MailboxDelivery};
use crate::reconcile::{DeliveryOptions, Rendering};
use crate::status::observe::watch::{Sight, has_statuses, watch};

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
    pub(super) fn deliver(
        &mut self,
        pipeline: &str,
        rendering: &Rendering,
        options: &DeliveryOptions,
        service: &Arc<Service>,
        wake: &Arc<Wake>,
    ) -> Result<MailboxDelivery, PostError> {
        let runtime = service.options.runtime.clone();
        let open = match self.open.take() {
            Some(open) => open,
            None => self.connect(pipeline, service, wake, &runtime)?,
        };
        let delivered = runtime.block_on(async {
            let mut mailbox = open.mailbox.lock().await;
            mailbox.deliver(rendering, options).await
        });
        self.open = Some(open);
        Ok(delivered?)
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
            let with_statuses = has_statuses(&client).await;
            let mut sights = std::pin::pin!(watch(client, owner, with_statuses));
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
