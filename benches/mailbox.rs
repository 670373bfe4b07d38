//! T9: mailboxes on a real ITS: 1,000 objects on 100 WECs cold, one object touched, a property, and after a restart.
//!
//! Counts what the API server says that it was asked for. Needs what `tests/servers/build kubernetes etcd work-agent` builds;
//! nobody reads the mailboxes: what is measured ends where the works are written.
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot go on says so and panics"
)]
#![allow(clippy::print_stdout, reason = "its output is a table")]

use std::path::Path;
use std::time::{Duration, Instant};

use stellate::api_server::{Connection, connect};
use stellate::output::mailbox::Settings;
use stellate::reconcile::deliver::mailbox::{Mailbox, MailboxDelivery};
use stellate::reconcile::{DeliveryOptions, Pipeline, Request, Silent};
use tokio::runtime::Runtime;

#[path = "../tests/it/support/mod.rs"]
#[allow(
    unused_imports,
    unused_macros,
    clippy::print_stderr,
    clippy::redundant_closure_for_method_calls,
    reason = "the tests' toolbox, of which a bench needs little"
)]
mod support;

use support::servers::ApiServer;
use support::{folder, write_files};

/// Without arguments a size that only shows that it runs.
fn size() -> (usize, usize) {
    let full = std::env::args().any(|argument| argument == "--full" || argument == "--bench");
    if full { (1000, 100) } else { (20, 3) }
}

fn main() {
    let (objects, wecs) = size();
    let its = match ApiServer::start("its1") {
        Ok(its) => its,
        Err(missing) => return println!("{missing}"),
    };
    its.apply_crds("ocm");
    let source = folder("fleet");
    make_fleet(&source, objects, wecs);
    let namespaces: Vec<String> = (0..wecs)
        .map(|wec| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: wec-{wec}}}\n"))
        .collect();
    its.apply(&namespaces.join("---\n"));
    let runtime = Runtime::new().unwrap();
    let mut bench = Bench {
        mailbox: mailbox(&runtime, &its),
        pipeline: Pipeline::default(),
        source: source.to_str().unwrap().to_owned(),
        runtime,
        its: &its,
    };
    println!("{objects} objects on {wecs} WECs");
    println!("| | render | deliver | works written | requests |\n|---|---|---|---|---|");
    bench.step("cold");
    bench.step("nothing changed");
    write_files(&source, &[("o00007.yaml", &object(7, "touched"))]);
    bench.step("one object touched");
    write_files(&source, &[("inventory.yaml", &inventory(wecs, "other"))]);
    bench.step("one property changed");
    bench.mailbox = mailbox(&bench.runtime, &its);
    bench.step("after a restart");
}

struct Bench<'a> {
    runtime: Runtime,
    its: &'a ApiServer,
    source: String,
    pipeline: Pipeline,
    mailbox: Mailbox,
}

impl Bench<'_> {
    fn step(&mut self, name: &str) {
        let before = self.requests();
        let start = Instant::now();
        let request = Request {
            location: self.source.clone(),
            ..Request::default()
        };
        let rendering = self.pipeline.render(&request, &Silent).unwrap();
        let rendered = start.elapsed();
        let options = DeliveryOptions::default();
        let delivery = self.mailbox.deliver(&rendering, &options);
        let delivery: MailboxDelivery = self.runtime.block_on(delivery).unwrap();
        assert!(
            delivery.diagnostics.is_empty(),
            "{:?}",
            delivery.diagnostics
        );
        let delivered = start.elapsed().saturating_sub(rendered);
        let requests = self.requests() - before;
        let shown = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        println!(
            "| {name} | {} | {} | {} | {requests} |",
            shown(rendered),
            shown(delivered),
            delivery.written
        );
    }

    /// How often anything was asked of works.
    fn requests(&self) -> u64 {
        let metrics = self.its.kubectl_ok(&["get", "--raw=/metrics"]);
        let works = metrics.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains("resource=\"manifestworks\"")
        });
        let number = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|number| number.parse::<u64>().ok())
        };
        works.filter_map(number).sum()
    }
}

fn mailbox(runtime: &Runtime, its: &ApiServer) -> Mailbox {
    let connection = Connection {
        kubeconfig: Some(its.kubeconfig()),
        context: None,
    };
    let client = runtime.block_on(connect(&connection)).unwrap();
    Mailbox::new(client, "fleet", Settings::default())
}

fn make_fleet(source: &Path, objects: usize, wecs: usize) {
    let policy = "apiVersion: control.kubestellar.io/v1alpha1\nkind: BindingPolicy\nmetadata: {name: all}\nspec:\n  \
                  clusterSelectors: [{}]\n  downsync:\n  - namespaces: [\"team\"]\n";
    write_files(
        source,
        &[
            ("policy.yaml", policy),
            ("inventory.yaml", &inventory(wecs, "wec-1")),
        ],
    );
    for number in 0..objects {
        write_files(
            source,
            &[(&format!("o{number:05}.yaml"), &object(number, "first"))],
        );
    }
}

/// An object of about a kilobyte; one in a hundred names its WEC, and one a property.
fn object(number: usize, value: &str) -> String {
    let name = match number {
        10 => "{{.colour}}",
        number if number % 100 == 50 => "{{.clusterName}}",
        _ => value,
    };
    let filling = "some text that stands for settings; ".repeat(22);
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: object-{number:05}\n  namespace: team\n  annotations: \
         {{control.kubestellar.io/expand-templates: \"true\"}}\ndata:\n  name: \"{name}\"\n  filling: {filling}\n"
    )
}

fn inventory(wecs: usize, colour: &str) -> String {
    let wec = |wec: usize| {
        let colour = if wec == 1 { colour } else { "plain" };
        format!(
            "apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata: {{name: wec-{wec}, labels: {{colour: \
             {colour}}}}}\nspec: {{hubAcceptsClient: true}}\n"
        )
    };
    (0..wecs).map(wec).collect::<Vec<_>>().join("---\n")
}
