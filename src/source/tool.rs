//! Programs of the user (kustomize, kubectl, helm), run once with a clean environment, a time limit and a size limit.
//!
//! Input is a program, its arguments and a folder; output is what it wrote. Nothing of this process's environment goes
//! to it but PATH, and whatever it may try on the network meets a proxy that is not there.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

/// So much of what a program complains about is kept.
const COMPLAINTS: usize = 64 << 10;

/// A proxy that nobody serves: the discard port of this machine.
const NO_PROXY: &str = "http://127.0.0.1:9";

/// What a program may use up.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// Wall time.
    pub(super) time: Duration,
    /// Bytes of output.
    pub(super) bytes: usize,
}

/// Why a program gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum ToolError {
    /// It could not be started.
    #[error("`{tool}` cannot be run: {problem}")]
    Start { tool: String, problem: String },
    /// It said no.
    #[error("`{tool}` failed: {complaint}")]
    Failed { tool: String, complaint: String },
    /// It took too long.
    #[error("`{tool}` was stopped after {seconds} s")]
    Slow { tool: String, seconds: u64 },
    /// It wrote too much.
    #[error("`{tool}` wrote more than {limit} bytes")]
    Large { tool: String, limit: usize },
}

/// Finds a program.
pub(super) fn find(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Runs a program in `folder`, with `scratch` as its home; gives what it wrote to standard output.
pub(super) fn run(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    scratch: &Path,
    search_path: &OsStr,
    budget: &Budget,
) -> Result<Vec<u8>, ToolError> {
    let tool = program.file_name().unwrap_or_default();
    let tool = tool.to_string_lossy().into_owned();
    let started = |error: std::io::Error| ToolError::Start {
        tool: tool.clone(),
        problem: error.to_string(),
    };
    let mut child = command(program, folder, scratch, search_path)
        .args(arguments)
        .spawn()
        .map_err(started)?;
    let output = collect(child.stdout.take(), budget.bytes + 1);
    let complaints = collect(child.stderr.take(), COMPLAINTS);
    let deadline = Instant::now() + budget.time;
    let slow = || ToolError::Slow {
        tool: tool.clone(),
        seconds: budget.time.as_secs(),
    };
    // The output ends when the program does, or when it is more than enough.
    let output = wait(&output, deadline);
    let large = output
        .as_ref()
        .is_some_and(|bytes| bytes.len() > budget.bytes);
    let (Some(output), false) = (output, large) else {
        end(&mut child);
        return Err(if large {
            let limit = budget.bytes;
            ToolError::Large { tool, limit }
        } else {
            slow()
        });
    };
    let Some(success) = exit(&mut child, deadline).map_err(started)? else {
        end(&mut child);
        return Err(slow());
    };
    if success {
        return Ok(output);
    }
    let complaint = wait(&complaints, deadline).unwrap_or_default();
    Err(ToolError::Failed {
        tool,
        complaint: shortened(&complaint),
    })
}

/// A command with nothing of our environment but PATH, and no way to the network that it would find by itself.
fn command(program: &Path, folder: &Path, scratch: &Path, search_path: &OsStr) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_clear()
        .env("PATH", search_path)
        .env("LANG", "C.UTF-8")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("HELM_NO_PLUGINS", "1");
    for variable in [
        "HOME",
        "TMPDIR",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
    ] {
        command.env(variable, scratch);
    }
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(variable, NO_PROXY);
        command.env(variable.to_ascii_lowercase(), NO_PROXY);
    }
    command
}

/// Reads a stream on a thread of its own, up to `limit` bytes; then closes it.
fn collect(stream: Option<impl Read + Send + 'static>, limit: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let limit = u64::try_from(limit).unwrap_or(u64::MAX);
            // What was read before an error is still of use.
            drop(stream.take(limit).read_to_end(&mut bytes));
        }
        drop(sender.send(bytes));
    });
    receiver
}

fn wait(stream: &Receiver<Vec<u8>>, deadline: Instant) -> Option<Vec<u8>> {
    let left = deadline.saturating_duration_since(Instant::now());
    stream.recv_timeout(left).ok()
}

/// Waits for the end of a program whose output has ended; none when it does not come.
fn exit(child: &mut Child, deadline: Instant) -> std::io::Result<Option<bool>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Stops a program. One that is gone already is fine.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// The last lines of a complaint, in one line, where programs say what matters.
fn shortened(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines.iter().skip(lines.len().saturating_sub(4));
    let joined = last.copied().collect::<Vec<_>>().join("; ");
    let plain = joined.chars().filter(|character| !character.is_control());
    let short: String = plain.take(600).collect();
    if short.is_empty() {
        "it gave no reason".to_owned()
    } else {
        short
    }
}
