//! Ten thousand requests at once, most of them not what they should be: nothing genuine is lost, and memory stays bounded.
//!
//! The server is a process of its own, so that its memory can be told from the storm's.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::hmac;
use axum::{Router, extract::State, routing::get};
use serde_json::{Value, json};
use stellate::{
    git::Secret,
    server::webhooks::{Door, Doors, Hooks, Inbox, Limits, PullRequest, Push, Taken, router},
    status::Report,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};

use super::SECRET;
use crate::support::{folder, wait_for};

/// Where the server writes its port; without it, the server's test does nothing.
const PORT: &str = "STELLATE_STORM_PORT";

/// What the server may take for bodies.
const BUDGET: usize = 96 * 1024 * 1024;

/// Genuine pushes, each of another commit.
const GENUINE: usize = 5000;

/// How many wait for an answer at a time.
const AT_ONCE: usize = 2000;

/// The most bytes that a connection takes beside its body.
const CONNECTION: usize = 128 * 1024;

/// A bounded inbox that holds the newest commit of each reference, and counts what it was given.
#[derive(Default)]
struct Newest {
    heads: BTreeMap<String, String>,
    commits: BTreeSet<String>,
    given: usize,
}

struct Kept(Arc<Mutex<Newest>>);

impl Inbox for Kept {
    fn push(&self, push: &Push) -> Taken {
        let mut kept = self.0.lock().unwrap();
        kept.given += 1;
        // A hundred times it has no room.
        if kept.given.is_multiple_of(50) {
            return Taken::Full;
        }
        for change in &push.changes {
            let after = change.after.clone().unwrap_or_default();
            kept.commits.insert(after.clone());
            kept.heads.insert(change.reference.clone(), after);
        }
        Taken::Queued
    }

    fn pull_request(&self, _: &PullRequest) -> Taken {
        Taken::NotConcerned
    }

    fn reports(&self, _: &str, _: Vec<Report>) -> Taken {
        Taken::NotConcerned
    }
}

/// Not a test by itself: the process that the storm goes against.
#[test]
#[ignore = "the server of the storm, which starts it"]
fn the_server_of_the_storm() {
    let Some(file) = env::var_os(PORT) else {
        return;
    };
    let kept = Arc::new(Mutex::new(Newest::default()));
    let doors = Doors {
        git: Door::Guarded(vec![Secret::new(SECRET)]),
        ..Doors::default()
    };
    let limits = Limits {
        time: Duration::from_secs(3),
        budget: BUDGET,
        ..Limits::default()
    };
    let hooks = Hooks::new(&doors, Box::new(Kept(Arc::clone(&kept))), limits).unwrap();
    let hooks = Arc::new(hooks);
    let asked = Router::new()
        .route("/kept", get(what_is_kept))
        .with_state((kept, Arc::clone(&hooks)));
    let app = router(hooks).merge(asked);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        fs::write(&file, format!("{port}\n")).unwrap();
        axum::serve(listener, app).await.unwrap();
    });
}

async fn what_is_kept(
    State((kept, hooks)): State<(Arc<Mutex<Newest>>, Arc<Hooks>)>,
) -> axum::Json<Value> {
    let kept = kept.lock().unwrap();
    let counters = hooks.counters().into_iter();
    let counters: BTreeMap<String, u64> = counters
        .filter(|one| one.requests > 0)
        .map(|one| {
            (
                format!("{} {}", one.sender, one.outcome.word()),
                one.requests,
            )
        })
        .collect();
    axum::Json(json!({
        "newest": kept.heads, "commits": kept.commits.len(), "counters": counters,
    }))
}

/// The server's process; it ends with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Server {
    fn start() -> Self {
        let file = folder("storm").join("port");
        let process = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "servers_webhooks::storm::the_server_of_the_storm",
            ])
            .env(PORT, &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, port: 0 };
        server.port = wait_for("the storm's server", || {
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            let port = text.strip_suffix('\n').ok_or("half written")?;
            port.parse().map_err(|_| "no port".to_owned())
        });
        server
    }

    /// Its memory now and at its highest, in bytes.
    fn memory(&self) -> (usize, usize) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.map_or(0, |kib: usize| kib * 1024)
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

fn sign(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body);
    let digits: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256={digits}")
}

/// A push of a commit that is known by its number.
fn push(number: usize) -> Vec<u8> {
    let commits: Vec<Value> = (0..10)
        .map(|one| json!({"id": format!("{one:040x}"), "message": "x".repeat(200), "added": ["a.yaml", "b.yaml"]}))
        .collect();
    let body = json!({
        "ref": "refs/heads/main", "before": format!("{:040x}", number + 1), "after": format!("{:040x}", number + 2),
        "commits": commits, "repository": {"clone_url": "https://git.example.com/acme/shop.git"},
    });
    body.to_string().into_bytes()
}

fn request(delivery: &str, signature: &str, kind: &str, length: usize) -> Vec<u8> {
    format!(
        "POST /hooks/git HTTP/1.1\r\nHost: stellate\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {delivery}\r\n\
         X-Hub-Signature-256: {signature}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Sends a request in pieces with a pause after each, and gives the status; 0 where the server closed without one.
async fn send(port: u16, pieces: &[&[u8]], pause: Duration) -> u16 {
    let mut answer = Vec::new();
    // So many at once find no place in the kernel's queue: nobody has seen a request whose connection failed, and it goes again.
    while answer.is_empty() {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut sent = 0;
        for piece in pieces {
            // A server that has answered already may not read on.
            if stream.write_all(piece).await.is_err() {
                break;
            }
            sent += piece.len();
            tokio::time::sleep(pause).await;
        }
        drop(stream.read_to_end(&mut answer).await);
        if answer.is_empty() && sent > 1024 * 1024 {
            return 0;
        }
        if answer.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1);
    status.and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// What a forge does: sends again what was not taken, under the same id.
async fn deliver(port: u16, number: usize) {
    let body = push(number);
    let head = request(
        &format!("d{number}"),
        &sign(&body),
        "application/json",
        body.len(),
    );
    loop {
        match send(port, &[&head, &body], Duration::ZERO).await {
            202 => return,
            503 | 0 => tokio::time::sleep(Duration::from_millis(200)).await,
            status => panic!("a genuine push was answered {status}"),
        }
    }
}

/// One of the others: what it is follows from its number.
async fn disturb(port: u16, number: usize) {
    let json = "application/json";
    let body = push(number);
    let id = format!("x{number}");
    let (wanted, status): (&[u16], u16) = match number % 10 {
        // Forged.
        0..=3 => {
            let head = request(&id, &sign(b"something else"), json, body.len());
            (&[401], send(port, &[&head, &body], Duration::ZERO).await)
        }
        // Sent again: the same id as a genuine one, which it may come before.
        4..=6 => {
            let body = push(number % GENUINE);
            let head = request(
                &format!("d{}", number % GENUINE),
                &sign(&body),
                json,
                body.len(),
            );
            (
                &[202, 503],
                send(port, &[&head, &body], Duration::ZERO).await,
            )
        }
        // Genuine nonsense.
        7 => {
            let nonsense: [&[u8]; 4] = [b"", b"null", br#"{"ref":[{}]}"#, &b"[".repeat(5000)];
            let body = nonsense[number / 10 % 4];
            let head = request(&id, &sign(body), json, body.len());
            (&[400], send(port, &[&head, body], Duration::ZERO).await)
        }
        8 => {
            let head = request(&id, &sign(&body), "text/plain", body.len());
            (&[415], send(port, &[&head, &body], Duration::ZERO).await)
        }
        // A body that never ends.
        _ => {
            let head = request(&id, &sign(&body), json, body.len());
            let crumb: &[u8] = &body[..100];
            (
                &[408],
                send(port, &[&head, crumb], Duration::from_secs(1)).await,
            )
        }
    };
    assert!(
        wanted.contains(&status),
        "number {number} was answered {status}"
    );
}

/// A body of 25 MB, rightly signed or forged.
async fn overwhelm(port: u16, number: usize, huge: Arc<(Vec<u8>, String)>) {
    let (body, signature) = &*huge;
    let forged = sign(b"");
    let signature = if number.is_multiple_of(2) {
        signature
    } else {
        &forged
    };
    let head = request(
        &format!("h{number}"),
        signature,
        "application/json",
        body.len(),
    );
    let status = send(port, &[&head, body], Duration::ZERO).await;
    let wanted = [202, 401, 408, 503, 0];
    assert!(wanted.contains(&status), "25 MB were answered {status}");
}

#[test]
fn in_a_storm_nothing_genuine_is_lost_and_memory_stays_bounded() {
    let server = Server::start();
    let port = server.port;
    let (idle, _) = server.memory();
    let newest = GENUINE + 1_000_000;
    let kept = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async move {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            let mut padded: Value = serde_json::from_slice(&push(newest - 1)).unwrap();
            padded["ref"] = "refs/heads/huge".into();
            padded["padding"] = "x"
                .repeat(25 * 1024 * 1024 - padded.to_string().len() - 16)
                .into();
            let padded = padded.to_string().into_bytes();
            let huge = Arc::new((padded.clone(), sign(&padded)));
            let (mut genuine, mut others) =
                (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
            for number in 0..GENUINE {
                let place = Arc::clone(&places).acquire_owned().await.unwrap();
                genuine.spawn(async move {
                    deliver(port, number).await;
                    drop(place);
                });
                let place = Arc::clone(&places).acquire_owned().await.unwrap();
                others.spawn(async move {
                    disturb(port, number).await;
                    drop(place);
                });
                if number.is_multiple_of(250) {
                    others.spawn(overwhelm(port, number / 250, Arc::clone(&huge)));
                }
            }
            while let Some(ended) = genuine.join_next().await {
                ended.unwrap();
            }
            for number in 0..20 {
                others.spawn(disturb(port, number * 10 + 9));
                others.spawn(overwhelm(port, number % 4, Arc::clone(&huge)));
            }
            // While slow and huge bodies are still under way, somebody pushes the commit that matters.
            deliver(port, newest).await;
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ask = b"GET /kept HTTP/1.0\r\n\r\n";
            stream.write_all(ask).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let seen = answer.contains(&format!("{:040x}", newest + 2));
            assert!(seen, "the newest commit is not in the inbox: {answer}");
            while let Some(ended) = others.join_next().await {
                ended.unwrap();
            }
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(ask).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            serde_json::from_str::<Value>(body).unwrap()
        });
    let commits = kept["commits"].as_u64().unwrap();
    assert!(
        commits > GENUINE as u64,
        "{commits} of {} commits: {kept}",
        GENUINE + 1
    );
    let counted = |name: &str| kept["counters"][name].as_u64().unwrap();
    assert!(counted("github unauthenticated") >= 2000, "{kept}");
    assert!(counted("github tooSlow") >= 500, "{kept}");
    let (after, highest) = server.memory();
    let mb = |bytes: usize| bytes / 1024 / 1024;
    let figures = format!(
        "{} MB idle, {} MB at its highest, {} MB after: {kept}",
        mb(idle),
        mb(highest),
        mb(after)
    );
    eprintln!("{figures}");
    // The budget, and what each connection takes in the HTTP library: its buffer grows with what waits in the socket.
    let bound = BUDGET + AT_ONCE * CONNECTION;
    assert!(highest - idle < bound, "{figures}");
}
