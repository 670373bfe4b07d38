//! One kind of connection for all ways to a remote: an address and a service → the advertisement, then requests and answers.
//!
//! A process (ssh, local git) keeps its state between requests; HTTP is stateless, and each request tells all again.

use std::io::{self, Read};

use super::access::Access;
use super::advertisement::Advertisement;
use super::error::GitError;
use super::http::HttpSession;
use super::pktline::RemoteFatal;
use super::process::{self, Process};
use super::ssh;
use super::url::{RemoteUrl, Scheme};

/// What the remote shall do for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Give objects.
    UploadPack,
    /// Take objects.
    ReceivePack,
}

impl Service {
    /// The service's name as in `git-upload-pack`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

/// How we name ourselves to remotes.
pub(crate) const AGENT: &str = concat!("stellate/", env!("CARGO_PKG_VERSION"));

/// An open way to a remote.
pub(crate) struct Connection {
    url: RemoteUrl,
    access: Access,
    link: Link,
}

enum Link {
    Process(Box<Process>),
    Http(Box<HttpSession>),
}

impl Connection {
    /// Connects, logs in, and reads what the remote says first.
    ///
    /// # Errors
    /// Any [`GitError`] of a connection; [`GitError::Unsupported`] for a remote with SHA-256 objects.
    pub(crate) fn open(
        url: &RemoteUrl,
        access: &Access,
        service: Service,
    ) -> Result<(Self, Advertisement), GitError> {
        let link = match url.scheme() {
            Scheme::Http | Scheme::Https => {
                Link::Http(Box::new(HttpSession::open(url, access, service)?))
            }
            Scheme::Ssh => {
                let command = ssh::command(url, access, service);
                Link::Process(Box::new(Process::start(
                    "ssh",
                    command,
                    &url.redacted(),
                    access.idle_timeout,
                )?))
            }
            Scheme::Local => Link::Process(Box::new(local(url, access, service)?)),
        };
        let mut connection = Self {
            url: url.clone(),
            access: access.clone(),
            link,
        };
        let advertisement = match Advertisement::read(connection.output()) {
            Ok(Some(advertisement)) => advertisement,
            Ok(None) => return Err(connection.explain(&io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Err(connection.explain(&error)),
        };
        match advertisement.value("object-format") {
            None | Some("sha1") => Ok((connection, advertisement)),
            Some(_) => Err(connection.unsupported("its objects are not named by SHA-1")),
        }
    }

    /// Whether each request must tell everything from the beginning.
    pub(crate) fn is_stateless(&self) -> bool {
        matches!(self.link, Link::Http(_))
    }

    /// Sends all of `body`. The answer is read from [`Self::output`].
    ///
    /// # Errors
    /// Any [`GitError`] of a connection; one that hides `body`'s own error, which the caller must look for first.
    pub(crate) fn request(&mut self, body: &mut dyn Read) -> Result<(), GitError> {
        match &mut self.link {
            Link::Http(session) => session.post(body),
            Link::Process(process) => {
                let mut piece = vec![0; 64 * 1024];
                loop {
                    match body.read(&mut piece) {
                        Ok(0) => return Ok(()),
                        Ok(count) => process.send(&piece[..count])?,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => {
                            return Err(GitError::Broken {
                                url: self.url.redacted(),
                                problem: error.to_string(),
                            });
                        }
                    }
                }
            }
        }
    }

    /// What the remote answers.
    pub(crate) fn output(&mut self) -> &mut dyn Read {
        match &mut self.link {
            Link::Http(session) => session.as_mut(),
            Link::Process(process) => process.as_mut(),
        }
    }

    /// Ends a conversation that went well; a far side that still works (hooks do) is waited for.
    ///
    /// # Errors
    /// [`GitError::Timeout`] when it neither works on nor ends.
    pub(crate) fn end(mut self) -> Result<(), GitError> {
        match &mut self.link {
            Link::Http(_) => Ok(()),
            Link::Process(process) => process.end(),
        }
    }

    /// The error behind a failed read: the remote's last words, what ssh complained of, or a plain break.
    pub(crate) fn explain(&mut self, error: &io::Error) -> GitError {
        let url = self.url.redacted();
        if let Some(fatal) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<RemoteFatal>())
        {
            return self.fatal(&fatal.0);
        }
        match (&mut self.link, error.kind()) {
            (_, io::ErrorKind::InvalidData) => GitError::Protocol {
                url,
                problem: error.to_string(),
            },
            (Link::Http(session), _) => session.explain(error),
            (_, io::ErrorKind::TimedOut) => {
                let problem = format!("silent for {} s", self.access.idle_timeout.as_secs_f32());
                GitError::Timeout { url, problem }
            }
            (Link::Process(process), _) => {
                let said = process.errors();
                ssh::explain(&said, &self.url, &self.access)
            }
        }
    }

    /// An `ERR` line or a message on the fatal band.
    fn fatal(&self, message: &str) -> GitError {
        let lower = message.to_ascii_lowercase();
        if lower.contains("not our ref") || lower.contains("unadvertised object") {
            let reference = lower
                .split(' ')
                .rfind(|word| word.len() == 40)
                .unwrap_or("such commit")
                .to_owned();
            return GitError::ReferenceNotFound {
                url: self.url.redacted(),
                reference,
            };
        }
        GitError::Remote {
            url: self.url.redacted(),
            message: message.to_owned(),
        }
    }

    pub(crate) fn unsupported(&self, problem: &str) -> GitError {
        GitError::Unsupported {
            url: self.url.redacted(),
            problem: problem.to_owned(),
        }
    }

    pub(crate) fn protocol(&self, problem: &str) -> GitError {
        GitError::Protocol {
            url: self.url.redacted(),
            problem: problem.to_owned(),
        }
    }
}

/// Runs the service of git on this machine.
fn local(url: &RemoteUrl, access: &Access, service: Service) -> Result<Process, GitError> {
    let mut command = process::git(access);
    command.arg(service.name()).arg(url.path());
    // Whoever names a folder as remote means to trust it, whoever owns it; and any of its commits may be asked for.
    let settings = [
        ("safe.directory", "*"),
        ("uploadpack.allowAnySHA1InWant", "true"),
    ];
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (number, (key, value)) in settings.iter().enumerate() {
        command
            .env(format!("GIT_CONFIG_KEY_{number}"), key)
            .env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    Process::start("git", command, &url.redacted(), access.idle_timeout)
}
