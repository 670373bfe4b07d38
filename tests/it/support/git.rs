//! Git for tests: the `git` command with no configuration but its own, fixed names and fixed dates.
//!
//! The same files give the same commit ids on every machine. Never asks for a password, never opens an editor, never signs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{folder, write_files};

/// A repository with a work tree, in a folder of its own.
pub(crate) struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// An empty repository whose first branch is `main`.
    pub(crate) fn new(name: &str) -> Self {
        let folder = folder(name);
        git(&folder, &["init", "--quiet", "--initial-branch=main"]);
        Self { folder }
    }

    /// Where its work tree is.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Runs git in it and gives what it says, trimmed; panics with git's own words when it fails.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.folder, arguments)
    }

    /// Makes the work tree hold exactly these files, commits them, and gives the commit's id.
    pub(crate) fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        self.git(&["rm", "-r", "--quiet", "--force", "--ignore-unmatch", "."]);
        write_files(&self.folder, files);
        self.commit_all(message)
    }

    /// Commits the work tree as it is, and gives the commit's id.
    pub(crate) fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// Runs git in a folder and gives what it says on standard output, trimmed; panics with git's own words when it fails.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = output(folder, arguments);
    assert!(
        output.status.success(),
        "git {}: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// Runs git in a folder and gives whatever comes of it.
pub(crate) fn output(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command(folder);
    command
        .args(arguments)
        .output()
        .expect("git is needed for the tests")
}

/// A git command that sees no configuration of this machine.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    hermetic(&mut command).current_dir(folder);
    command
}

/// Takes this machine's git configuration, identity and clock away from a command that calls git or is about to be git.
pub(crate) fn hermetic(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_EDITOR", "false")
        .env("GIT_AUTHOR_NAME", "Stella")
        .env("GIT_AUTHOR_EMAIL", "stella@example.com")
        .env("GIT_AUTHOR_DATE", "2025-01-01T00:00:00Z")
        .env("GIT_COMMITTER_NAME", "Stella")
        .env("GIT_COMMITTER_EMAIL", "stella@example.com")
        .env("GIT_COMMITTER_DATE", "2025-01-01T00:00:00Z")
}
