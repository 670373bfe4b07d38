//! T9: mailboxes on a real ITS: 1,000 objects on 100 WECs cold, one object touched, a property, and after a restart; and KubeStellar's
//! own controllers with the same objects, WECs and kind of API server.
//!
//! Counts what the API servers say that they were asked for. Needs what `tests/servers/build kubernetes etcd work-agent kubestellar`
//! builds; nobody reads the mailboxes: what is measured ends where the works are written. Ours know when that is; KubeStellar's are
//! watched until nothing moves any more, and the last change counts.
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot go on says so and panics"
)]
#![allow(clippy::print_stdout, reason = "its output is a table")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
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

#[path = "peers/kubestellar.rs"]
mod kubestellar;

use support::servers::{ApiServer, Missing};
use support::{folder, write_files};

/// How much there is.
#[derive(Clone, Copy)]
struct Size {
    objects: usize,
    wecs: usize,
}

/// Full size for `cargo bench`; without arguments one that only shows that it runs. `--objects=200 --wecs=20` for others.
fn size() -> Size {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str, usual: usize| {
        let mut given = arguments.iter();
        given
            .find_map(|argument| argument.strip_prefix(name)?.parse().ok())
            .unwrap_or(usual)
    };
    let full = arguments.iter().any(|argument| argument == "--bench");
    let (objects, wecs) = if full { (1000, 100) } else { (20, 3) };
    Size {
        objects: given("--objects=", objects),
        wecs: given("--wecs=", wecs),
    }
}

fn main() {
    let size = size();
    println!("{} objects on {} WECs", size.objects, size.wecs);
    println!("| | before | works there after | reads | writes |\n|---|---|---|---|---|");
    for run in [ours, kubestellar::run] {
        if let Err(missing) = run(size) {
            println!("{missing}");
        }
    }
}

fn ours(size: Size) -> Result<(), Missing> {
    let its = its(size)?;
    let source = folder("fleet");
    make_fleet(&source, size);
    let runtime = Runtime::new().unwrap();
    let mut bench = Bench {
        mailbox: mailbox(&runtime, &its),
        pipeline: Pipeline::default(),
        source: source.to_str().unwrap().to_owned(),
        runtime,
        its: &its,
    };
    bench.step("cold");
    bench.step("nothing changed");
    write_files(&source, &[("o00007.yaml", &object(7, "touched"))]);
    bench.step("one object touched");
    write_files(
        &source,
        &[("inventory.yaml", &inventory(size.wecs, "other"))],
    );
    bench.step("one property changed");
    bench.mailbox = mailbox(&bench.runtime, &its);
    bench.pipeline = Pipeline::default();
    bench.step("after a restart");
    Ok(())
}

/// An ITS with a mailbox for each WEC.
fn its(size: Size) -> Result<Arc<ApiServer>, Missing> {
    let its = ApiServer::start("its1")?;
    its.apply_crds("ocm");
    let namespaces: Vec<String> = (0..size.wecs)
        .map(|wec| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: wec-{wec}}}\n"))
        .collect();
    its.apply(&namespaces.join("---\n"));
    Ok(Arc::new(its))
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
        let before = Requests::so_far(self.its);
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
        let all = start.elapsed();
        let label = format!("Stellate, {name}");
        row(
            &label,
            Some(rendered),
            all,
            &Requests::so_far(self.its).since(&before),
        );
    }
}

/// One line of the table: what it is, the part of the time before anything is asked of the ITS, and all of it.
fn row(label: &str, before: Option<Duration>, all: Duration, requests: &Requests) {
    let shown = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let before = before.map(shown).unwrap_or_default();
    let Requests { reads, writes } = requests;
    println!(
        "| {label} | {before} | {} | {reads} | {writes} |",
        shown(all)
    );
}

/// How often works were asked for and written, as the API server counts. Lists and watches are left out: the bench itself lists.
#[derive(PartialEq)]
struct Requests {
    reads: u64,
    writes: u64,
}

impl Requests {
    fn so_far(its: &ApiServer) -> Self {
        let metrics = its.kubectl_ok(&["get", "--raw=/metrics"]);
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for line in metrics.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains("resource=\"manifestworks\"")
        }) {
            let verb = line
                .split("verb=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let number = line
                .rsplit(' ')
                .next()
                .and_then(|number| number.parse::<f64>().ok());
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small whole numbers"
            )]
            if let (Some(verb), Some(number)) = (verb, number) {
                *counts.entry(verb).or_default() += number as u64;
            }
        }
        let of = |verbs: &[&str]| verbs.iter().filter_map(|verb| counts.get(verb)).sum();
        Self {
            reads: of(&["GET"]),
            writes: of(&["POST", "PUT", "PATCH", "APPLY", "DELETE"]),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
        }
    }
}

/// Everything in one namespace goes everywhere.
const POLICY: &str = "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: all}
spec:
  clusterSelectors: [{}]
  downsync:
  - namespaces: [team]
";

fn connection(its: &ApiServer) -> Connection {
    Connection {
        kubeconfig: Some(its.kubeconfig()),
        context: None,
    }
}

fn mailbox(runtime: &Runtime, its: &ApiServer) -> Mailbox {
    let client = runtime.block_on(connect(&connection(its))).unwrap();
    Mailbox::new(client, "fleet", Settings::default())
}

fn make_fleet(source: &Path, size: Size) {
    write_files(
        source,
        &[
            ("policy.yaml", POLICY),
            ("inventory.yaml", &inventory(size.wecs, "wec-1")),
        ],
    );
    for number in 0..size.objects {
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
