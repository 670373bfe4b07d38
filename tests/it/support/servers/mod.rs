//! Real servers on loopback, one process each, started by tests and ended with them.
//!
//! ```text
//! ApiServer        etcd + kube-apiserver: a WDS, an ITS or a WEC (no nodes)
//! Gitea            a forge
//! GithubApi        GitHub as its own description has it
//! Flux, ArgoCd     their controllers, working on an ApiServer
//! SshServer        OpenSSH's sshd, for git over ssh
//! KubeStellar      its own controllers, from a WDS to an ITS
//! WorkAgent        Open Cluster Management's agent: from a mailbox in an ITS to a WEC
//! ```
//!
//! `start` gives a running, answering server, or [`Missing`] with the reason. Dropping it ends its processes. So does the end
//! of the test process, however it comes: each server hangs on a pipe that closes with the process that holds it.

mod api_server;
mod argocd;
mod audit;
mod flux;
mod gitea;
mod github;
mod kubestellar;
mod ssh;
mod work_agent;

pub(crate) use api_server::ApiServer;
pub(crate) use argocd::ArgoCd;
pub(crate) use audit::{Asked, Audit};
pub(crate) use flux::{Flux, FluxNotifier};
pub(crate) use gitea::Gitea;
pub(crate) use github::GithubApi;
pub(crate) use kubestellar::KubeStellar;
pub(crate) use ssh::SshServer;
pub(crate) use work_agent::WorkAgent;

use std::{
    collections::BTreeSet,
    env, fmt, fs,
    hash::{BuildHasher as _, RandomState},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{PATIENCE, run_folder};

/// Why a server cannot be had.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    /// Which one, in words for people.
    pub server: &'static str,
    /// The reason, and what to do.
    pub why: String,
    /// Whether it was built: then it is the server's failure or the test's, and no lack of this machine.
    pub built: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is missing: {}", self.server, self.why)
    }
}

/// Where `tests/servers/build` puts what it builds.
pub(crate) fn built_servers() -> PathBuf {
    let from = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("STELLATE_SERVERS").unwrap_or_else(|| {
        from("XDG_CACHE_HOME")
            .unwrap_or_else(|| from("HOME").unwrap_or_default().join(".cache"))
            .join("stellate/servers")
    })
}

/// The path of a built program, of kubectl for example.
pub(crate) fn program(name: &str) -> PathBuf {
    built_servers().join("bin").join(name)
}

/// Refuses when one of these groups of `tests/servers/build` is not built.
fn require(server: &'static str, groups: &[&str]) -> Result<(), Missing> {
    let folder = built_servers();
    for group in groups {
        if !folder.join(format!(".built-{group}")).exists() {
            let why = format!("not built; tests/servers/build {group}");
            return Err(Missing {
                server,
                why,
                built: false,
            });
        }
    }
    Ok(())
}

/// One supervised process, with its log.
#[derive(Debug)]
struct Server {
    name: &'static str,
    log: PathBuf,
    supervisor: Child,
    lifeline: Option<ChildStdin>,
}

/// Runs a command in a process group of its own, ends the whole group when standard input closes, and itself when the command
/// has ended, which is how the tests notice. Removes what the server kept in `data/NAME`, unless `data/NAME.stays` says that it
/// comes back; the logs stay.
const SUPERVISOR: &str = r#"
set -m
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read -r _ <&3; kill -9 -- "-$server"; } </dev/null & lifeline=$!
exec 3<&-
wait "$server"; echo "ended with status $?"
kill -9 -- "-$lifeline"
[ -e "data/$0.stays" ] || rm -rf -- "data/$0"
"#;

impl Server {
    /// Starts a command in `folder`; its output goes to `NAME.log` there.
    fn start(name: &'static str, folder: &Path, command: &Command) -> Self {
        tell_where_the_logs_are();
        let log = folder.join(format!("{name}.log"));
        let file = fs::File::create(&log).unwrap();
        let mut supervised = Command::new("bash");
        supervised
            .args(["-c", SUPERVISOR, name])
            .arg(command.get_program())
            .args(command.get_args());
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => supervised.env(variable, value),
                None => supervised.env_remove(variable),
            };
        }
        supervised
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let mut supervisor = supervised.spawn().expect("bash is needed for the tests");
        let lifeline = supervisor.stdin.take();
        Self {
            name,
            log,
            supervisor,
            lifeline,
        }
    }

    /// An error when the process has ended by itself.
    fn is_alive(&mut self) -> Result<(), String> {
        match self.supervisor.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(format!("{} ended: {}", self.name, last_words(&self.log))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        drop(self.supervisor.wait());
    }
}

/// Waits until `ask` is content, or a server has ended, or patience has.
fn until_ready(
    server: &'static str,
    parts: &mut [Server],
    mut ask: impl FnMut() -> Result<(), String>,
) -> Result<(), Missing> {
    let start = Instant::now();
    loop {
        let dead = parts.iter_mut().find_map(|part| part.is_alive().err());
        let reason = match (dead, ask()) {
            (None, Ok(())) => return Ok(()),
            (None, Err(_)) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(100));
                continue;
            }
            (None, Err(reason)) | (Some(reason), _) => reason,
        };
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let logs = run_folder().display();
        let why = format!("it did not start: {reason} (logs: {logs})");
        return Err(Missing {
            server,
            why,
            built: true,
        });
    }
}

/// What is started by the first test that needs it and kept for all others of this process. It ends with the process.
pub(crate) struct Shared<T>(Mutex<Option<Result<Arc<T>, Missing>>>);

impl<T> Shared<T> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What the first call got from `start`, be it the server or the reason why there is none.
    pub(crate) fn get(
        &self,
        start: impl FnOnce() -> Result<T, Missing>,
    ) -> Result<Arc<T>, Missing> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert_with(|| start().map(Arc::new)).clone()
    }
}

/// The end of a log, on one line.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(4).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// Every failing test says where the logs of the servers are.
fn tell_where_the_logs_are() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            eprintln!(
                "logs of the servers: {} (until the next run)",
                run_folder().display()
            );
        }));
    });
}

/// A port on loopback that nothing listens on, and that this process has not given away before. Taken from below the range
/// that systems choose from for outgoing connections, so that none of those is in the way a moment later.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 15_000;
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let start =
        RandomState::new().hash_one("a different place in every process") % u64::from(COUNT);
    let start = u16::try_from(start).unwrap();
    (0..COUNT)
        .map(|step| FIRST + (start + step) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok() && given.insert(*port))
        .expect("a free port on loopback")
}

/// Sixteen bytes that nobody guesses, in hexadecimal.
fn secret() -> String {
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(1), random.hash_one(2))
}

/// Whether a process with this id is there and has not ended.
pub(crate) fn is_running(process: &str) -> bool {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", process])
        .output();
    let state = output.expect("ps is needed for the tests").stdout;
    // A zombie only waits for its parent to take notice.
    !state.is_empty() && !state.starts_with(b"Z")
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let block = chunk
            .iter()
            .fold(0_u32, |block, byte| block << 8 | u32::from(*byte));
        let block = block << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            if digit <= chunk.len() {
                let index = block >> (18 - 6 * digit) & 63;
                text.push(char::from(DIGITS[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[test]
fn a_server_ends_when_it_is_dropped_and_so_do_its_children() {
    let folder = super::folder("supervised");
    let mut command = Command::new("bash");
    command.args(["-c", "sleep 600 & echo $! > child; echo $$ > parent; wait"]);
    let server = Server::start("sleeper", &folder, &command);
    let process = |name: &str| {
        super::wait_for("the process id", || {
            match fs::read_to_string(folder.join(name)) {
                Ok(id) if id.ends_with('\n') => Ok(id.trim().to_owned()),
                _ => Err(format!("no {name}")),
            }
        })
    };
    let processes = [process("child"), process("parent")];
    assert!(processes.iter().all(|id| is_running(id)), "the server runs");
    drop(server);
    super::wait_for("the end of the processes", || {
        if processes.iter().any(|id| is_running(id)) {
            Err(format!("{processes:?}"))
        } else {
            Ok(())
        }
    });
}

#[test]
fn two_free_ports_are_never_the_same() {
    let ports: BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 50);
}

#[test]
fn base64_pads_to_whole_blocks() {
    let pairs = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foobar", "Zm9vYmFy"),
    ];
    for (plain, encoded) in pairs {
        assert_eq!(base64(plain.as_bytes()), encoded);
    }
}
