//! The service: from a push to the moved branch (T11), and from a WEC's report to the true status in all (T13).
//!
//! ```text
//! cargo bench --bench service [-- --quick] [t11] [t13]
//! ```
//!
//! The service runs in this process; the repositories are on this machine, the forge is a few lines that keep statuses. What `git`
//! itself needs to fetch and to push takes turns with us.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use stellate::config;
use stellate::reconcile::service::{Options as ServiceOptions, Plan, Service, Sinks};
use stellate::status::{Evidence, Health, Progress, Report};
use tokio::runtime::Runtime;

use support::corpus::{Fleet, Mode};
use support::measure::{cpu, cpu_of_children, number, seconds};
use support::options::Options;
use support::repository::SourceRepository;
use support::table::Table;
use support::wec;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> Result<()> {
    let options = Options::from_command_line();
    let mut table = Table::new(&options);
    let (objects, wecs) = options.choose((1_000, 1_000), (200, 200), (20, 10));
    let fleet = Fleet::new(objects, wecs, Mode::Spread);
    if options.wants("t11") {
        push(&options, &fleet, &mut table)?;
    }
    if options.wants("t13") {
        report(&options, &fleet, &mut table)?;
    }
    table.print();
    Ok(())
}

/// T11: a commit lands in the repository and the service is woken, until the generated branch has moved.
fn push(options: &Options, fleet: &Fleet, table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut source = SourceRepository::create(folder.path().join("origin.git"), fleet)?;
    let runtime = Runtime::new()?;
    let service = start(folder.path(), &runtime, "")?;
    let generated = source.path().join("refs/heads/generated");
    let mut tip = moved(&generated, "")?;
    let mirror = folder.path().join("mirror.git");
    let origin = source.path().to_string_lossy().into_owned();
    git(
        folder.path(),
        &["clone", "--quiet", "--bare", &origin, "mirror.git"],
    )?;
    let rounds = options.choose(200, 30, 2);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut own_cpu, mut far_cpu) = (0.0, 0.0);
    for round in 0..rounds {
        source.edit_object(fleet, round % fleet.objects)?;
        let (own, far) = (cpu(), cpu_of_children());
        let began = Instant::now();
        service.wake("shop", None);
        tip = moved(&generated, &tip)?;
        ours.push(began.elapsed().as_secs_f64());
        // What the far side does after the branch has moved counts, too.
        std::thread::sleep(Duration::from_millis(20));
        own_cpu += cpu() - own;
        far_cpu += cpu_of_children() - far;

        let began = Instant::now();
        git(&mirror, &["fetch", "--quiet", "origin", "main:fetched"])?;
        git(
            &mirror,
            &["push", "--quiet", "origin", "fetched:refs/heads/pushed"],
        )?;
        theirs.push(began.elapsed().as_secs_f64());
    }
    service.stop();
    let (own, git) = (Spread::of(ours), Spread::of(theirs));
    let name = format!(
        "T11 {} objects, {} WECs, one object",
        fleet.objects, fleet.wecs
    );
    table.note(&format!("{name}: git's fetch + push"), git.text());
    let met = own.p99 <= git.p99 + 0.1;
    table.judge(&name, "p99 ≤ p99 of fetch + push + 100 ms", own.text(), met);
    let each = |cpu: f64| seconds(cpu / number(rounds as u64));
    table.judge(
        &format!("{name}: our processor time, all of it"),
        "≤ 1.2 × the far side's",
        format!("{} against {}", each(own_cpu), each(far_cpu)),
        own_cpu <= 1.2 * far_cpu,
    );
    Ok(())
}

/// T13: one WEC says that it is degraded, or healthy again, until the forge has the status in all that says so.
fn report(options: &Options, fleet: &Fleet, table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let source = SourceRepository::create(folder.path().join("origin.git"), fleet)?;
    let (url, posts) = forge()?;
    std::fs::write(folder.path().join("token"), "token")?;
    let status = format!(
        "  status: {{reports: required, gitea: {{url: '{url}', repository: a/b, maxPerMinute: 80, token: {{file: token}}}}}}\n"
    );
    let runtime = Runtime::new()?;
    let service = start(folder.path(), &runtime, &status)?;
    let generated = moved(&source.path().join("refs/heads/generated"), "")?;
    let said = |number: usize, health| Report {
        cluster: wec::name(number).as_str().into(),
        reporter: "Kustomization flux-system/shop".to_owned(),
        revision: Some(generated.clone()),
        progress: Progress::Applied,
        health,
        message: "Deployment shop/web does not come up".to_owned(),
        objects: Vec::new(),
        evidence: Evidence::Action,
        at: None,
    };
    let all = (0..fleet.wecs).map(|number| said(number, Health::Healthy));
    service.report("shop", all.collect());
    told(&posts, "success")?;
    let rounds = options.choose(30, 10, 2);
    let mut times = Vec::new();
    for round in 0..rounds {
        let (health, state) = match round % 2 {
            0 => (Health::Degraded, "failure"),
            _ => (Health::Healthy, "success"),
        };
        // Two at each minute's end of the budget would measure the budget.
        std::thread::sleep(Duration::from_millis(800));
        let began = Instant::now();
        service.report("shop", vec![said(round / 2 % fleet.wecs, health)]);
        told(&posts, state)?;
        times.push(began.elapsed().as_secs_f64());
    }
    service.stop();
    let spread = Spread::of(times);
    let name = format!(
        "T13 {} WECs: report to the status in all, 80 a minute",
        fleet.wecs
    );
    table.judge(&name, "≤ 2 s", spread.text(), spread.p99 <= 2.0);
    Ok(())
}

/// Starts a service that follows `origin.git` in a folder, and is never woken by itself.
fn start(folder: &Path, runtime: &Runtime, status: &str) -> Result<Arc<Service>> {
    let text = format!(
        "apiVersion: gitops.kubestellar.io/v1alpha1\nkind: Pipeline\nmetadata: {{name: shop}}\nspec:\n  source: {{git: {{url: origin.git, ref: main, interval: 24h}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n{status}"
    );
    let written = config::load("stellate.yaml", text.as_bytes());
    let written = written.map_err(|found| anyhow::anyhow!("{found:?}"))?;
    let first = written.first().context("a pipeline")?;
    let (resolved, found) = config::resolve(first, folder, "stellate.yaml", text.as_bytes());
    ensure!(found.is_empty(), "{found:?}");
    let sinks = Sinks::new(runtime.handle().clone());
    let service = Service::new(ServiceOptions {
        runtime: runtime.handle().clone(),
        cache: folder.join("cache"),
        sinks: Box::new(move |plan| sinks.of(plan)),
    });
    service.run(vec![Plan::new(resolved, None)]);
    Ok(service)
}

/// Waits until a reference says something else; gives what.
fn moved(reference: &PathBuf, before: &str) -> Result<String> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let now = std::fs::read_to_string(reference).unwrap_or_default();
        let now = now.trim();
        if now.len() == 40 && now != before {
            return Ok(now.to_owned());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    anyhow::bail!("{} did not move", reference.display())
}

/// Waits until the status in all is told in this state.
fn told(posts: &Receiver<(String, String)>, state: &str) -> Result<()> {
    loop {
        let (context, posted) = posts.recv_timeout(PATIENCE)?;
        if context == "stellate/shop" && posted == state {
            return Ok(());
        }
    }
}

/// A forge that says yes to every status, and tells which ones came.
fn forge() -> Result<(String, Receiver<(String, String)>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || drop(answer(stream, &sender)));
        }
    });
    Ok((url, receiver))
}

/// Answers one request, and ends the connection.
fn answer(mut stream: TcpStream, sender: &Sender<(String, String)>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, text) = if first.starts_with("POST") {
        let posted: serde_json::Value = serde_json::from_slice(&body)?;
        let word = |field: &str| posted[field].as_str().unwrap_or_default().to_owned();
        sender.send((word("context"), word("state")))?;
        (201, "{}")
    } else {
        (200, "[]")
    };
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} Done\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    )?;
    Ok(())
}

fn git(folder: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .status()?;
    ensure!(status.success(), "git {}", arguments.join(" "));
    Ok(())
}

/// The middle of many times, and what one in a hundred exceeds.
struct Spread {
    p50: f64,
    p99: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let last = times.len() - 1;
        Self {
            p50: times[last / 2],
            p99: times[(times.len() * 99 / 100).min(last)],
        }
    }

    fn text(&self) -> String {
        format!("p50 {}, p99 {}", seconds(self.p50), seconds(self.p99))
    }
}
