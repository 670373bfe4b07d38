//! A helper program (git, ssh) with pipes that cannot hang us: every wait ends with bytes or with a timeout.
//!
//! One thread each carries standard input, output and error, so that neither side can block the other for ever.
//! Dropping a [`Process`] ends the program, by force if need be, and reaps it.

use std::cell::Cell;
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::access::Access;
use super::error::{GitError, plain_text};

/// The largest piece that travels between a pipe and its reader.
const PIECE: usize = 64 * 1024;

/// Pieces of output that may wait: what a server says while we still send must fit in here.
const WAITING: usize = 64;

/// How long a program that was told to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Variables that tie git to the repository of whoever started us; another repository must not see them.
const REPOSITORY_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PROTOCOL",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// `git`, cut loose from any surrounding repository, in English, without a terminal.
pub(crate) fn git(access: &Access) -> Command {
    let mut command = Command::new("git");
    for name in REPOSITORY_VARIABLES {
        command.env_remove(name);
    }
    command
        .env_remove("SSH_ASKPASS")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .envs(&access.environment);
    command
}

/// A running program.
pub(crate) struct Process {
    program: &'static str,
    remote: String,
    timeout: Duration,
    child: Child,
    input: Option<Input>,
    output: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    position: usize,
    errors: Option<JoinHandle<String>>,
    /// It did not answer in time, and is not given more of it.
    is_stuck: Cell<bool>,
}

/// The way into the program: a piece goes out, and its receipt comes back when the pipe took it.
struct Input {
    pieces: SyncSender<Vec<u8>>,
    receipts: Receiver<io::Result<()>>,
}

impl Process {
    /// Starts `command`; `remote` is named in errors, `timeout` bounds each silence.
    ///
    /// # Errors
    /// [`GitError::Program`] when it cannot be run.
    pub(crate) fn start(
        program: &'static str,
        mut command: Command,
        remote: &str,
        timeout: Duration,
    ) -> Result<Self, GitError> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |problem: String| GitError::Program {
            program: program.to_owned(),
            problem,
        };
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(failed("its pipes are missing".to_owned()));
        };
        let (piece_sender, pieces) = sync_channel(1);
        let (receipt_sender, receipts) = sync_channel(1);
        let (output_sender, output) = sync_channel(WAITING);
        std::thread::spawn(move || feed(stdin, &pieces, &receipt_sender));
        std::thread::spawn(move || drain(stdout, &output_sender));
        let errors = std::thread::spawn(move || listen(stderr));
        Ok(Self {
            program,
            remote: remote.to_owned(),
            timeout,
            child,
            input: Some(Input {
                pieces: piece_sender,
                receipts,
            }),
            output,
            piece: Vec::new(),
            position: 0,
            errors: Some(errors),
            is_stuck: Cell::new(false),
        })
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// [`GitError::Broken`] when the program no longer reads, [`GitError::Timeout`] when it does not go on.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), GitError> {
        bytes
            .chunks(PIECE)
            .try_for_each(|piece| self.send_piece(piece.to_vec()))
    }

    fn send_piece(&mut self, piece: Vec<u8>) -> Result<(), GitError> {
        let Some(input) = &self.input else {
            return Err(self.broken("its input is closed"));
        };
        if input.pieces.send(piece).is_err() {
            return Err(self.broken("it stopped reading"));
        }
        match input.receipts.recv_timeout(self.timeout) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error.to_string())),
            Err(RecvTimeoutError::Timeout) => Err(self.silent("taking our data")),
            Err(RecvTimeoutError::Disconnected) => Err(self.broken("it stopped reading")),
        }
    }

    /// Tells the program that nothing more comes.
    ///
    /// # Errors
    /// None today; a result so that it chains with [`Self::send`].
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn close_input(&mut self) -> Result<(), GitError> {
        self.input = None;
        Ok(())
    }

    /// Reads to the end, at most `limit` bytes.
    ///
    /// # Errors
    /// As a read: see [`GitError::Broken`] and [`GitError::Timeout`].
    pub(crate) fn read_all(&mut self, limit: u64) -> Result<Vec<u8>, GitError> {
        let mut bytes = Vec::new();
        match self.by_ref().take(limit).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(self.silent("answering")),
            Err(error) => Err(self.broken(&error.to_string())),
        }
    }

    /// Waits for the end, for a short grace; then kills.
    ///
    /// # Errors
    /// [`GitError::Program`] when the system cannot tell how it ended.
    pub(crate) fn finish(&mut self) -> Result<ExitStatus, GitError> {
        self.input = None;
        let failed = |error: io::Error| GitError::Program {
            program: self.program.to_owned(),
            problem: error.to_string(),
        };
        // The output's end tells that the program is ending; until then there is nothing to wait for but that.
        // A program that talks without end is cut off.
        for _ in 0..16 * WAITING {
            if !matches!(self.output.recv_timeout(GRACE), Ok(Ok(_))) {
                break;
            }
        }
        if let Some(status) = self.wait_for(GRACE).map_err(failed)? {
            return Ok(status);
        }
        self.child.kill().map_err(failed)?;
        self.child.wait().map_err(failed)
    }

    /// Ends a conversation that went well: lets the program do the rest of its work, as long as its output is open.
    ///
    /// # Errors
    /// [`GitError::Timeout`] when it stays open in silence.
    pub(crate) fn end(&mut self) -> Result<(), GitError> {
        self.input = None;
        let ended = io::copy(self, &mut io::sink());
        match ended {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(self.silent("ending")),
            _ => self.finish().map(drop),
        }
    }

    fn wait_for(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let status = self.child.try_wait()?;
            if status.is_some() || start.elapsed() >= patience {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What the program wrote to standard error, after its end. Empty when it still holds the pipe open.
    pub(crate) fn errors(&mut self) -> String {
        drop(self.finish());
        let Some(listener) = self.errors.take() else {
            return String::new();
        };
        for _ in 0..50 {
            if listener.is_finished() {
                return listener.join().unwrap_or_default();
            }
            // A grandchild may keep the pipe after the program is gone: it is not waited for without end.
            std::thread::sleep(Duration::from_millis(10));
        }
        String::new()
    }

    fn broken(&self, problem: &str) -> GitError {
        GitError::Broken {
            url: self.remote.clone(),
            problem: format!("{}: {problem}", self.program),
        }
    }

    fn silent(&self, doing: &str) -> GitError {
        self.is_stuck.set(true);
        let problem = format!(
            "{} was silent for {} s instead of {doing}",
            self.program,
            self.timeout.as_secs_f32()
        );
        GitError::Timeout {
            url: self.remote.clone(),
            problem,
        }
    }
}

impl Read for Process {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.piece.len() {
            self.piece = match self.output.recv_timeout(self.timeout) {
                Ok(piece) => piece?,
                Err(RecvTimeoutError::Timeout) => {
                    self.is_stuck.set(true);
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(RecvTimeoutError::Disconnected) => Vec::new(),
            };
            self.position = 0;
        }
        let count = buffer.len().min(self.piece.len() - self.position);
        buffer[..count].copy_from_slice(&self.piece[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

/// Its input closes first: git then leaves by itself, and takes its temporary files with it, as long as somebody still
/// reads what it says. Killing comes after that.
impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        let patience = if self.is_stuck.get() {
            Duration::ZERO
        } else {
            GRACE / 2
        };
        let start = Instant::now();
        let left = || patience.saturating_sub(start.elapsed());
        while self.output.recv_timeout(left()).is_ok() && !left().is_zero() {}
        if !matches!(self.wait_for(left()), Ok(Some(_))) {
            // Both fail only when it is gone already, which is what is wanted.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Carries pieces into the program until either side ends.
fn feed(
    mut stdin: std::process::ChildStdin,
    pieces: &Receiver<Vec<u8>>,
    receipts: &SyncSender<io::Result<()>>,
) {
    while let Ok(piece) = pieces.recv() {
        let taken = stdin.write_all(&piece).and_then(|()| stdin.flush());
        let failed = taken.is_err();
        if receipts.send(taken).is_err() || failed {
            return;
        }
    }
}

/// Carries the program's output until either side ends.
fn drain(mut stdout: std::process::ChildStdout, output: &SyncSender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = match stdout.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(buffer[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        if output.send(piece).is_err() || failed {
            return;
        }
    }
}

/// Keeps the end of what the program says to people.
fn listen(mut stderr: std::process::ChildStderr) -> String {
    const KEPT: usize = 8 * 1024;
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count) = stderr.read(&mut buffer) {
        if count == 0 {
            break;
        }
        said.extend_from_slice(&buffer[..count]);
        if said.len() > 2 * KEPT {
            said.drain(..said.len() - KEPT);
        }
    }
    plain_text(&String::from_utf8_lossy(&said), KEPT)
}

#[cfg(test)]
mod unit {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("sh", command, "/r", timeout).expect("sh")
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_that_talks_while_it_is_fed_does_not_block() {
        let mut process = shell("cat; echo done >&2", LONG);
        let bytes = vec![7; 3 * PIECE];
        process.send(&bytes).expect("fed");
        process.close_input().expect("closed");
        assert_eq!(process.read_all(u64::MAX).expect("read"), bytes);
        assert!(process.finish().expect("ended").success());
        assert_eq!(process.errors(), "done");
    }

    #[test]
    fn a_silent_program_is_given_up_and_killed() {
        let mut process = shell("exec sleep 1000", Duration::from_millis(50));
        let id = process.child.id();
        let error = process.read_all(1).expect_err("silence");
        assert_eq!(error.reason(), "Timeout");
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_program_that_does_not_read_is_given_up() {
        let mut process = shell("exec sleep 1000", Duration::from_millis(50));
        let error = process.send(&vec![0; 10 * PIECE]).expect_err("full pipe");
        assert_eq!(error.reason(), "Timeout");
    }

    #[test]
    fn a_missing_program_is_named() {
        let command = Command::new("stellate-no-such-program");
        let error = Process::start("no-such", command, "/r", LONG)
            .err()
            .expect("missing");
        assert_eq!(error.reason(), "ProgramMissing");
    }
}
