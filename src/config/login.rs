//! Credentials as written → where they are found. Pure: no secret is read here.

use super::resolve::Resolver;
use super::{Login, NOT_USED, SecretPlace};
use crate::model::api::pipeline::{GitCredentials, SecretReference};
use crate::model::{Diagnostic, PathPart};

impl Resolver<'_> {
    pub(super) fn login(&mut self, credentials: &GitCredentials, path: &[&str]) -> Option<Login> {
        let path: Vec<PathPart> = path.iter().map(|&part| part.into()).collect();
        self.login_at(credentials, &path)
    }

    pub(super) fn login_at(
        &mut self,
        credentials: &GitCredentials,
        path: &[PathPart],
    ) -> Option<Login> {
        match credentials {
            GitCredentials::Token(token) => Some(Login {
                token: Some(self.secret(token)),
                ..Login::default()
            }),
            GitCredentials::Basic(basic) => Some(Login {
                username: Some(basic.username.clone()),
                token: Some(self.secret(&basic.password)),
                ..Login::default()
            }),
            GitCredentials::Ssh(ssh) => {
                let SecretPlace::File(key) = self.secret(&ssh.key) else {
                    let message = "an ssh key is read from a file, not from a variable";
                    let help = "write the key to a file that only you can read, and name it: `key: {file: …}`";
                    self.found.push(
                        Diagnostic::error("InvalidValue", message)
                            .at(self.at(path))
                            .help(help),
                    );
                    return None;
                };
                if ssh.passphrase.is_some() {
                    let message =
                        "a passphrase is not given to ssh: the ssh program asks its agent";
                    let help = "add the key to ssh-agent, or use a deploy key without a passphrase";
                    self.found.push(
                        Diagnostic::warning(NOT_USED, message)
                            .at(self.at(path))
                            .help(help),
                    );
                }
                Some(Login {
                    ssh_key: Some(key),
                    known_hosts: ssh.known_hosts.as_ref().map(|path| self.base.join(path)),
                    ..Login::default()
                })
            }
            GitCredentials::GitHubApp(app) => {
                let at = self.at(path);
                self.unused.push(("credentials.githubApp", at));
                Some(Login {
                    app: Some(self.app(app)),
                    ..Login::default()
                })
            }
        }
    }

    pub(super) fn secret(&self, reference: &SecretReference) -> SecretPlace {
        match reference {
            SecretReference::Env(name) => SecretPlace::Environment(name.clone()),
            SecretReference::File(path) => SecretPlace::File(self.base.join(path)),
        }
    }
}
