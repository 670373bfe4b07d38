//! Webhooks verified, parsed and answered, against the same server with an empty handler; and ten thousand of them at once: target T12.
//!
//! ```text
//! cargo bench --bench webhooks [-- --quick]
//! ```
//!
//! The server is a process of its own, so that its processor time and memory can be told from those of the senders; both handlers are
//! in it, and take turns. It logs one line a request, as the service does, to nowhere.

mod support;

use std::env;
use std::process::{Child, Command, Stdio};
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::hmac;
use axum::{Router, http::StatusCode, routing::get, routing::post};
use serde_json::{Value, json};
use stellate::git::Secret;
use stellate::server::webhooks::{
    Door, Doors, Hooks, Inbox, Limits, PullRequest, Push, Taken, router,
};
use stellate::status::Report;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use support::measure::{cpu, median, number, peak_memory};
use support::options::Options;
use support::table::Table;

/// In the server's process: the file that its port goes into.
const SERVER: &str = "STELLATE_BENCH_SERVER";

const SECRET: &str = "a secret of the benches";

/// How many connections send, one request after the other.
const CONNECTIONS: usize = 64;

/// Takes everything.
struct Bottomless(AtomicU64);

impl Inbox for Bottomless {
    fn push(&self, _: &Push) -> Taken {
        self.0.fetch_add(1, Ordering::Relaxed);
        Taken::Queued
    }

    fn pull_request(&self, _: &PullRequest) -> Taken {
        Taken::NotConcerned
    }

    fn reports(&self, _: &str, _: Vec<Report>) -> Taken {
        Taken::NotConcerned
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(file) = env::var_os(SERVER) {
        return runtime.block_on(serve(file.as_ref()));
    }
    let options = Options::from_command_line();
    let mut table = Table::new(&options);
    let server = Server::start()?;
    runtime.block_on(speed(&mut table, &options, server.port))?;
    drop(server);
    // A fresh process: its memory has no past.
    let server = Server::start()?;
    runtime.block_on(memory(&mut table, &options, server.port))?;
    table.print();
    Ok(())
}

/// The server: `/hooks/git`, `/empty`, and `/spent` with its processor time and its highest memory.
async fn serve(file: &std::path::Path) -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::sink).init();
    let doors = Doors {
        git: Door::Guarded(vec![Secret::new(SECRET)]),
        ..Doors::default()
    };
    let inbox = Box::new(Bottomless(AtomicU64::new(0)));
    let limits = Limits {
        time: Duration::from_secs(60),
        ..Limits::default()
    };
    let app = router(Arc::new(Hooks::new(&doors, inbox, limits)?)).merge(
        Router::new()
            .route("/empty", post(async || StatusCode::ACCEPTED))
            .route(
                "/spent",
                get(async || format!("{} {}", cpu(), peak_memory())),
            ),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    std::fs::write(file, format!("{port}\n"))?;
    axum::serve(listener, app).await?;
    Ok(())
}

/// The server's process; it ends with the bench.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("port");
        let process = Command::new(env::current_exe()?)
            .env(SERVER, &file)
            .stdin(Stdio::null())
            .spawn()?;
        let mut server = Self {
            process,
            port: 0,
            _folder: folder,
        };
        for _ in 0..600 {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some(port) = text.strip_suffix('\n') {
                server.port = port.parse()?;
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("the server does not start")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What a round of one handler took.
struct Round {
    /// Requests a second.
    rate: f64,
    /// The server's processor time for one, in µs.
    cpu: f64,
}

async fn speed(table: &mut Table, options: &Options, port: u16) -> Result<()> {
    let requests = options.choose(30_000, 10_000, 640);
    let rounds = options.choose(7, 5, 1);
    let (mut hooks, mut empty) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        for (path, rounds) in [("/empty", &mut empty), ("/hooks/git", &mut hooks)] {
            let done = burst(port, path, requests, round).await?;
            // The first one warms up.
            if round > 0 || options.smoke {
                rounds.push(done);
            }
        }
    }
    let rate = |rounds: &[Round]| median(rounds.iter().map(|round| round.rate).collect());
    let cpu = |rounds: &[Round]| median(rounds.iter().map(|round| round.cpu).collect());
    let share = rate(&hooks) / rate(&empty);
    table.judge(
        "T12 verified and answered, against an empty handler",
        "≥ 50 %",
        format!(
            "{:.0} % ({:.0} against {:.0} a second)",
            share * 100.0,
            rate(&hooks),
            rate(&empty)
        ),
        share >= 0.5,
    );
    table.note(
        "T12 the server's processor time for one, likewise",
        format!("{:.0} µs against {:.0} µs", cpu(&hooks), cpu(&empty)),
    );
    Ok(())
}

/// Sends so many requests over all connections.
async fn burst(port: u16, path: &'static str, requests: usize, round: usize) -> Result<Round> {
    let (before, _) = spent(port).await?;
    let start = std::time::Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let body = Arc::new(push());
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, body) = (Arc::clone(&next), Arc::clone(&body));
        senders.spawn(async move {
            let signature = sign(&body);
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            let mut answer = [0; 4096];
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return anyhow::Ok(());
                }
                let mut request = head(path, &format!("{round}-{number}"), &signature, body.len());
                request.extend_from_slice(&body);
                stream.write_all(&request).await?;
                let length = stream.read(&mut answer).await?;
                ensure!(
                    answer[..length].starts_with(b"HTTP/1.1 202"),
                    "{}",
                    String::from_utf8_lossy(&answer[..length])
                );
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    let wall = start.elapsed().as_secs_f64();
    let (after, _) = spent(port).await?;
    Ok(Round {
        rate: number(requests as u64) / wall,
        cpu: (after - before) * 1e6 / number(requests as u64),
    })
}

/// Many requests whose bodies have come half, all under way at the same time; then they are finished, and none is lost.
async fn memory(table: &mut Table, options: &Options, port: u16) -> Result<()> {
    let requests = options.choose(10_000, 2_000, 100);
    let (_, idle) = spent(port).await?;
    let body = push();
    let signature = sign(&body);
    let mut under_way = Vec::new();
    for number in 0..requests {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut request = head("/hooks/git", &format!("m{number}"), &signature, body.len());
        request.extend_from_slice(&body[..body.len() / 2]);
        stream.write_all(&request).await?;
        under_way.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, held) = spent(port).await?;
    let mut taken = 0;
    for stream in &mut under_way {
        stream.write_all(&body[body.len() / 2..]).await?;
    }
    for stream in &mut under_way {
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).await?;
        taken += usize::from(answer[..length].starts_with(b"HTTP/1.1 202"));
    }
    let (_, highest) = spent(port).await?;
    let grown = highest - idle;
    table.judge(
        &format!(
            "T12 memory, {requests} at once, each of {} bytes",
            body.len()
        ),
        "≤ 40 KB each, all taken",
        format!(
            "{grown:.0} MB ({:.0} MB while half of each has come), {taken} taken",
            held - idle
        ),
        grown * 1000.0 <= 40.0 * number(requests as u64) && taken == requests,
    );
    Ok(())
}

/// The server's processor time in seconds, and its highest memory in MB.
async fn spent(port: u16) -> Result<(f64, f64)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /spent HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let (cpu, memory) = body.split_once(' ').context("half an answer")?;
    Ok((cpu.parse()?, memory.parse()?))
}

/// A push as large as GitHub's usually are: 8 KB, with a few commits and everything that is known of the repository.
fn push() -> Vec<u8> {
    let user = json!({"name": "stella", "email": "stella@example.com", "username": "stella"});
    let commits: Vec<Value> = (0..6)
        .map(|number| {
            json!({
                "id": format!("{number:040x}"), "tree_id": format!("{number:040x}"), "distinct": true,
                "message": "shop: three more sites\n\nWith their labels.", "timestamp": "2026-10-01T10:00:00+02:00",
                "url": "https://github.com/acme/shop/commit/0123456789012345678901234567890123456789",
                "author": user, "committer": user,
                "added": ["sites/lyon.yaml", "sites/turin.yaml"], "removed": [], "modified": ["inventory/labels.yaml"],
            })
        })
        .collect();
    let links: serde_json::Map<String, Value> = (0..40)
        .map(|number| {
            let link = format!("https://api.github.com/repos/acme/shop/part{number}{{/sha}}");
            (format!("part{number}_url"), link.into())
        })
        .collect();
    let mut repository = json!({
        "id": 1, "full_name": "acme/shop", "private": false, "owner": user, "default_branch": "main",
        "clone_url": "https://github.com/acme/shop.git", "ssh_url": "git@github.com:acme/shop.git",
        "html_url": "https://github.com/acme/shop",
    });
    if let Some(fields) = repository.as_object_mut() {
        fields.extend(links);
    }
    let body = json!({
        "ref": "refs/heads/main", "before": "1".repeat(40), "after": "2".repeat(40), "created": false, "deleted": false,
        "forced": false, "base_ref": null, "compare": "https://github.com/acme/shop/compare/1...2",
        "commits": commits, "head_commit": commits[5], "repository": repository, "pusher": user, "sender": user,
    });
    body.to_string().into_bytes()
}

fn sign(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body);
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", digits.collect::<String>())
}

fn head(path: &str, delivery: &str, signature: &str, length: usize) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: stellate\r\nUser-Agent: GitHub-Hookshot/1\r\nAccept: */*\r\nX-GitHub-Event: push\r\n\
         X-GitHub-Delivery: {delivery}\r\nX-Hub-Signature-256: {signature}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}
