//! Signs generated commits with an ssh key, by the user's `ssh-keygen`, as `git commit -S` with `gpg.format=ssh` does.
//!
//! Adapter: runs a program. The key never enters this process.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::publish::Signer;

/// Gives a signer for the private key (or, with an agent, the public key) in this file.
pub fn ssh(key: &Path) -> Box<Signer<'_>> {
    Box::new(move |bytes| sign(key, bytes))
}

fn sign(key: &Path, bytes: &[u8]) -> Result<String, String> {
    let failed = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", "git", "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed("ssh-keygen cannot be run", error))?;
    if let Some(mut input) = child.stdin.take() {
        // A program that stops early says why on its standard error.
        drop(input.write_all(bytes));
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed("ssh-keygen", error))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    String::from_utf8(output.stdout).map_err(|_| "ssh-keygen gave no text".to_owned())
}
