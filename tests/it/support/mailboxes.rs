//! A source folder, an ITS, and the mailboxes between them, without a service: each delivery is asked for.

use std::{path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _};
use serde_json::Value;
use stellate::{
    api_server::{Connection, connect},
    output::mailbox::Settings,
    reconcile::{
        DeliveryOptions, Pipeline, Request, Silent,
        deliver::mailbox::{Mailbox, MailboxDelivery},
    },
    status::{
        Report,
        observe::watch::{Sight, watch},
    },
};
use tokio::runtime::Runtime;

use super::{folder, git::git, servers::ApiServer, write_files};

/// What is seen of mailboxes, as it comes.
pub(crate) type Sights = Pin<Box<dyn Stream<Item = Sight> + Send>>;

/// A source folder, an ITS, and the mailboxes of pipeline `shop` between them.
pub(crate) struct Shop {
    pub runtime: Runtime,
    pub its: Arc<ApiServer>,
    pub source: PathBuf,
    pipeline: Pipeline,
    pub mailbox: Mailbox,
}

impl Shop {
    pub(crate) fn new(its: &Arc<ApiServer>) -> Self {
        its.apply_crds("ocm");
        let runtime = Runtime::new().unwrap();
        let mailbox = mailbox(&runtime, its);
        let source = folder("source");
        write_files(&source, &[("policy.yaml", POLICY)]);
        Self {
            runtime,
            its: Arc::clone(its),
            source,
            pipeline: Pipeline::default(),
            mailbox,
        }
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write_files(&self.source, &[(path, text)]);
    }

    /// Makes a repository of the source, and commits what is in it.
    pub(crate) fn commit(&self) {
        git(&self.source, &["init", "--quiet"]);
        git(&self.source, &["add", "--all"]);
        git(&self.source, &["commit", "--quiet", "--message", "All"]);
    }

    pub(crate) fn deliver_with(&mut self, options: &DeliveryOptions) -> MailboxDelivery {
        let request = Request {
            location: self.source.to_str().unwrap().to_owned(),
            ..Request::default()
        };
        let rendering = self.pipeline.render(&request, &Silent).unwrap();
        let delivery = self.mailbox.deliver(&rendering, options);
        self.runtime.block_on(delivery).unwrap()
    }

    pub(crate) fn deliver(&mut self) -> MailboxDelivery {
        self.deliver_with(&DeliveryOptions::default())
    }

    /// Everything forgotten, as after a restart.
    pub(crate) fn restart(&mut self) {
        self.mailbox = mailbox(&self.runtime, &self.its);
        self.pipeline = Pipeline::default();
    }

    /// A work as it stands.
    pub(crate) fn work(&self, cluster: &str, name: &str) -> Option<Value> {
        self.its.get("manifestwork", cluster, name)
    }

    /// What is seen of the mailboxes from now on.
    pub(crate) fn watch(&self) -> Sights {
        let client = self.runtime.block_on(connect(&connection(&self.its)));
        Box::pin(watch(client.unwrap(), self.mailbox.owner().clone()))
    }

    /// Waits until what is seen of the mailboxes is as wanted.
    pub(crate) fn wait_for_report(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        self.wait_in(&mut self.watch(), what, wanted)
    }

    /// The same of what is seen since.
    pub(crate) fn wait_in(
        &self,
        sights: &mut Sights,
        what: &str,
        wanted: impl Fn(&Report) -> bool,
    ) -> Report {
        let mut last = String::new();
        let found = self.runtime.block_on(async {
            let found = async {
                while let Some(sight) = sights.next().await {
                    last = format!("{sight:?}");
                    if let Sight::Report(report) = sight
                        && wanted(&report)
                    {
                        return Some(report);
                    }
                }
                None
            };
            tokio::time::timeout(Duration::from_secs(120), found)
                .await
                .ok()
                .flatten()
        });
        found.unwrap_or_else(|| panic!("waited in vain for {what}; the last thing seen: {last}"))
    }
}

pub(crate) fn connection(server: &ApiServer) -> Connection {
    Connection {
        kubeconfig: Some(server.kubeconfig()),
        context: None,
    }
}

pub(crate) fn mailbox(runtime: &Runtime, its: &ApiServer) -> Mailbox {
    let client = runtime.block_on(connect(&connection(its))).unwrap();
    Mailbox::new(client, "shop", Settings::default())
}

pub(crate) const POLICY: &str = "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: shop}
spec:
  clusterSelectors: [{matchLabels: {env: prod}}]
  downsync:
  - namespaces: [shop]
";

pub(crate) fn inventory(clusters: &[&str]) -> String {
    let cluster = |name: &&str| {
        format!(
            "apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata: {{name: {name}, labels: {{env: \
             prod, colour: {name}}}}}\nspec: {{hubAcceptsClient: true}}\n"
        )
    };
    clusters
        .iter()
        .map(cluster)
        .collect::<Vec<_>>()
        .join("---\n")
}

pub(crate) fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: shop\n  annotations: \
         {{control.kubestellar.io/expand-templates: \"true\"}}\ndata:\n  value: \"{value}\"\n"
    )
}
