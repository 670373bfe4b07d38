//! Where credentials are → how remotes are reached, read anew each time, because tokens rotate.

use crate::config::{Login, SecretPlace};
use crate::git::{Access, Credentials, GitError, Secret};

/// Reads the credentials of a login.
///
/// # Errors
/// When a variable is not set or a file cannot be read.
pub fn access(login: Option<&Login>) -> Result<Access, GitError> {
    let Some(login) = login else {
        return Ok(Access::from(Credentials {
            use_helper: true,
            ..Credentials::default()
        }));
    };
    let token = match &login.token {
        Some(SecretPlace::Environment(name)) => Some(Secret::from_environment(name)?),
        Some(SecretPlace::File(path)) => Some(Secret::from_file(path)?),
        None => None,
    };
    let known_hosts = login.known_hosts.as_ref().map(|path| {
        let path = path.display().to_string().replace('\'', "'\\''");
        format!("ssh -o 'UserKnownHostsFile={path}'")
    });
    Ok(Access {
        credentials: Credentials {
            token,
            username: login.username.clone(),
            ssh_key: login.ssh_key.clone(),
            use_helper: true,
        },
        ssh_command: known_hosts,
        ..Access::default()
    })
}
