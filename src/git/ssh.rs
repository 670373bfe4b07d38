//! The way through the ssh program: an address → the command to run; what ssh complains of → an error in words.
//!
//! Keys, agents, jump hosts and host keys stay with the user's ssh and its configuration. No prompt ever appears.

use std::process::Command;

use super::access::Access;
use super::error::{GitError, plain_text};
use super::transport::Service;
use super::url::RemoteUrl;

/// What marks a command line that only a shell can run.
const SHELL_CHARACTERS: &str = "|&;<>()$`\\\"'\t\n*?[#~=%";

/// The command that opens `service` on the far side.
pub(crate) fn command(url: &RemoteUrl, access: &Access, service: Service) -> Command {
    let mut command = program(&command_line(access));
    command.args(["-o", "BatchMode=yes"]);
    command.arg("-o").arg(format!(
        "ConnectTimeout={}",
        access.connect_timeout.as_secs().max(1)
    ));
    // A dead network ends the program even when we only notice its silence.
    command.args([
        "-o",
        "ServerAliveInterval=15",
        "-o",
        "ServerAliveCountMax=4",
    ]);
    if let Some(key) = &access.credentials.ssh_key {
        command
            .arg("-i")
            .arg(key)
            .args(["-o", "IdentitiesOnly=yes"]);
    }
    if let Some(port) = url.port() {
        command.arg("-p").arg(port.to_string());
    }
    let user = url
        .user()
        .map(super::Secret::expose)
        .or(access.credentials.username.as_deref())
        // An option in the place of a user would reach ssh as one.
        .filter(|user| !user.starts_with('-'));
    command.arg(match user {
        Some(user) => format!("{user}@{}", url.host()),
        None => url.host().to_owned(),
    });
    command.arg(format!("git-{} {}", service.name(), quote(url.path())));
    command
        .env_remove("SSH_ASKPASS")
        .env_remove("GIT_PROTOCOL")
        .envs(&access.environment);
    command
}

/// Ours, the environment's, the user's configuration, or plain `ssh`. Never a repository's own configuration.
fn command_line(access: &Access) -> String {
    let from_environment = |name: &str| {
        access
            .variable(name)
            .and_then(|value| value.into_string().ok())
            .filter(|value| !value.is_empty())
    };
    access
        .ssh_command
        .clone()
        .or_else(|| from_environment("GIT_SSH_COMMAND"))
        .or_else(|| {
            git2::Config::open_default()
                .ok()?
                .get_string("core.sshCommand")
                .ok()
        })
        .or_else(|| from_environment("GIT_SSH").map(|program| quote(&program)))
        .unwrap_or_else(|| "ssh".to_owned())
}

/// Plain words are run directly, so that killing the command kills ssh; anything else goes through the shell.
fn program(line: &str) -> Command {
    if line.contains(|character| SHELL_CHARACTERS.contains(character)) {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{line} \"$@\"")).arg("ssh");
        return shell;
    }
    let mut words = line.split_ascii_whitespace();
    let mut command = Command::new(words.next().unwrap_or("ssh"));
    command.args(words);
    command
}

/// Quotes a path for the far shell, as git does: `'` and `!` step outside the quotes.
fn quote(path: &str) -> String {
    let mut quoted = String::with_capacity(path.len() + 2);
    quoted.push('\'');
    for character in path.chars() {
        if matches!(character, '\'' | '!') {
            quoted.push_str("'\\");
            quoted.push(character);
            quoted.push('\'');
        } else {
            quoted.push(character);
        }
    }
    quoted.push('\'');
    quoted
}

/// The error behind what ssh, or git on the far side, wrote before the connection ended.
pub(crate) fn explain(said: &str, url: &RemoteUrl, access: &Access) -> GitError {
    let lower = said.to_ascii_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    let (url, problem) = (url.redacted(), plain_text(said, 600));
    let tried = match &access.credentials.ssh_key {
        Some(key) => format!("the key {}", key.display()),
        None => "the ssh program's own keys".to_owned(),
    };
    if has(&[
        "host key verification failed",
        "remote host identification has changed",
        "no matching host key",
    ]) {
        GitError::Untrusted { url, problem }
    } else if has(&[
        "permission denied (",
        "no supported authentication",
        "too many authentication failures",
    ]) {
        GitError::Unauthorized { url, tried }
    } else if has(&[
        "could not resolve hostname",
        "connection refused",
        "no route to host",
        "network is unreachable",
    ]) {
        GitError::Unreachable { url, problem }
    } else if has(&["connection timed out", "operation timed out"]) {
        GitError::Timeout { url, problem }
    } else if has(&[
        "repository not found",
        "not appear to be a git repository",
        "does not exist",
        "project you were looking for could not be found",
    ]) {
        GitError::NotFound { url, tried }
    } else if has(&[
        "access denied",
        "permission to",
        "denied to",
        "write access",
        "deploy key",
    ]) {
        GitError::Forbidden {
            url,
            tried,
            message: format!(": {problem}"),
        }
    } else if problem.is_empty() {
        GitError::Broken {
            url,
            problem: "it ended without a word".to_owned(),
        }
    } else {
        GitError::Broken { url, problem }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        let program = std::iter::once(command.get_program());
        program
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    fn run(address: &str, access: &Access) -> Vec<String> {
        words(&command(
            &RemoteUrl::parse(address).expect("address"),
            access,
            Service::UploadPack,
        ))
    }

    #[test]
    fn the_command_names_key_port_user_and_a_quoted_path() {
        let mut access = Access {
            ssh_command: Some("ssh -4".to_owned()),
            ..Access::default()
        };
        access.credentials.ssh_key = Some("/keys/id".into());
        let words = run("ssh://git@host:2222/it's.git", &access);
        assert_eq!(words[..2], ["ssh", "-4"]);
        let line = words.join(" ");
        assert!(
            line.contains("-o BatchMode=yes")
                && line.contains("-i /keys/id -o IdentitiesOnly=yes -p 2222 git@host")
        );
        assert_eq!(
            words.last().map(String::as_str),
            Some(r"git-upload-pack '/it'\''s.git'")
        );
    }

    #[test]
    fn a_command_line_with_quotes_goes_through_the_shell() {
        let access = Access {
            ssh_command: Some("X=1 'my ssh'".to_owned()),
            ..Access::default()
        };
        assert_eq!(
            run("host:r", &access)[..4],
            ["sh", "-c", "X=1 'my ssh' \"$@\"", "ssh"]
        );
    }

    #[test]
    fn complaints_of_ssh_become_kinds_of_errors() {
        let url = RemoteUrl::parse("git@host:r").expect("address");
        let table = [
            ("git@host: Permission denied (publickey).", "Unauthorized"),
            ("Host key verification failed.", "Untrusted"),
            (
                "ssh: Could not resolve hostname host: Name or service not known",
                "Unreachable",
            ),
            ("ERROR: Repository not found.", "RepositoryNotFound"),
            ("ERROR: Permission to a/b.git denied to c.", "Forbidden"),
            (
                "ssh: connect to host h port 22: Connection timed out",
                "Timeout",
            ),
            ("", "ConnectionBroken"),
        ];
        for (said, reason) in table {
            assert_eq!(
                explain(said, &url, &Access::default()).reason(),
                reason,
                "{said}"
            );
        }
    }
}
