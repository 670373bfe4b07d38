//! What can go wrong between two repositories, in words that name the way out.
//!
//! Every text here is safe to show: URLs are redacted before they get in, and credentials are named, never quoted.

use thiserror::Error;

use super::locks::held;
use super::words::is_damage;
use crate::model::Revision;

/// Why a remote could not be read, or a fetch not be finished.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitError {
    /// The text is no address of a repository that Stellate opens.
    #[error("{url:?} is no repository address: {problem}")]
    InvalidUrl {
        /// The address, redacted.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A token or key that the configuration names cannot be read.
    #[error("cannot read the credential from {origin}: {problem}")]
    Credential {
        /// The environment variable or file that should hold it.
        origin: String,
        /// Why it cannot be read.
        problem: String,
    },
    /// A program that does the work (git, ssh) could not be run.
    #[error("cannot run {program}: {problem}")]
    Program {
        /// The program's name.
        program: String,
        /// The operating system's answer.
        problem: String,
    },
    /// No connection: the name does not resolve, nobody listens, no route.
    #[error("cannot reach {url}: {problem}")]
    Unreachable {
        /// The remote, redacted.
        url: String,
        /// What the network said.
        problem: String,
    },
    /// The remote fell silent.
    #[error("{url} did not answer in time ({problem})")]
    Timeout {
        /// The remote, redacted.
        url: String,
        /// What was waited for.
        problem: String,
    },
    /// The secure connection could not be made: certificate, protocol version, or a host key of ssh.
    #[error("no trusted connection to {url}: {problem}")]
    Untrusted {
        /// The remote, redacted.
        url: String,
        /// What TLS or ssh said.
        problem: String,
    },
    /// The remote wants a login, or refused the one it got.
    #[error("{url} asks for a login; tried: {tried}")]
    Unauthorized {
        /// The remote, redacted.
        url: String,
        /// Which credentials were tried, by their origin.
        tried: String,
    },
    /// The login is known and may not do this.
    #[error("{url} refuses access; tried: {tried}{message}")]
    Forbidden {
        /// The remote, redacted.
        url: String,
        /// Which credentials were tried, by their origin.
        tried: String,
        /// What the remote said, with a leading separator, or empty.
        message: String,
    },
    /// No such repository, or none that this login may see.
    #[error("there is no repository at {url}, or no permission to see it; tried: {tried}")]
    NotFound {
        /// The remote, redacted.
        url: String,
        /// Which credentials were tried, by their origin.
        tried: String,
    },
    /// The repository is there; the branch, tag or commit is not.
    #[error("{url} has no {reference}")]
    ReferenceNotFound {
        /// The remote, redacted.
        url: String,
        /// What was asked for.
        reference: String,
    },
    /// The remote sends its clients elsewhere, in a way that is not followed.
    #[error("{url} redirects to {target}, which is not followed")]
    Redirected {
        /// The remote, redacted.
        url: String,
        /// Where it points, redacted.
        target: String,
    },
    /// Something answered, and it does not speak git.
    #[error("{url} does not answer as a git server: {problem}")]
    Protocol {
        /// The remote, redacted.
        url: String,
        /// What was wrong in the answer.
        problem: String,
    },
    /// The remote's own words for why it stops.
    #[error("{url} answered: {message}")]
    Remote {
        /// The remote, redacted.
        url: String,
        /// Its message, shortened, without control characters.
        message: String,
    },
    /// The connection ended in the middle.
    #[error("the connection to {url} broke: {problem}")]
    Broken {
        /// The remote, redacted.
        url: String,
        /// What ended it.
        problem: String,
    },
    /// The remote lacks something that is needed.
    #[error("{url} cannot do this: {problem}")]
    Unsupported {
        /// The remote, redacted.
        url: String,
        /// What is missing.
        problem: String,
    },
    /// Another process holds a part of the local repository, or died while it did.
    #[error("the local repository is in use: another process holds {path}")]
    Locked {
        /// The lock file.
        path: String,
    },
    /// What the local repository holds cannot be read.
    #[error("the local repository is damaged: {problem}")]
    Damaged {
        /// What git said.
        problem: String,
    },
    /// The local repository could not be read or written.
    #[error("the local repository failed: {problem}")]
    Local {
        /// What git said.
        problem: String,
    },
}

impl GitError {
    /// The kind of error as one word, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => "InvalidUrl",
            Self::Credential { .. } => "CredentialUnreadable",
            Self::Program { .. } => "ProgramMissing",
            Self::Unreachable { .. } => "Unreachable",
            Self::Timeout { .. } => "Timeout",
            Self::Untrusted { .. } => "Untrusted",
            Self::Unauthorized { .. } => "Unauthorized",
            Self::Forbidden { .. } => "Forbidden",
            Self::NotFound { .. } => "RepositoryNotFound",
            Self::ReferenceNotFound { .. } => "ReferenceNotFound",
            Self::Redirected { .. } => "Redirected",
            Self::Protocol { .. } => "ProtocolError",
            Self::Remote { .. } => "RemoteError",
            Self::Broken { .. } => "ConnectionBroken",
            Self::Unsupported { .. } => "Unsupported",
            Self::Locked { .. } => "RepositoryLocked",
            Self::Damaged { .. } => "RepositoryDamaged",
            Self::Local { .. } => "LocalRepository",
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => {
                "write https://host/path, ssh://user@host/path, user@host:path, file:///path or a path"
            }
            Self::Credential { .. } => {
                "check that the variable or file exists, is readable and is not empty"
            }
            Self::Program { .. } => "install the program, or put it on PATH",
            Self::Unreachable { .. } => "check the host name, the network and the proxy settings",
            Self::Timeout { .. } => "try again later, or raise the timeout",
            Self::Untrusted { .. } => {
                "give the authority's certificate as CA file; for ssh, add the host's key to known_hosts"
            }
            Self::Unauthorized { .. } => {
                "give a token that is valid and not expired, an ssh key, or set up git's credential helper"
            }
            Self::Forbidden { .. } => {
                "give the token or key permission for this repository (contents: read, and write to push)"
            }
            Self::NotFound { .. } => {
                "check the spelling; for a private repository give a token that may read it"
            }
            Self::ReferenceNotFound { .. } => {
                "check the branch, tag or commit; an abbreviated commit id cannot be fetched"
            }
            Self::Redirected { .. } => "use the new address in the configuration",
            Self::Protocol { .. } => {
                "check that the address is the one that `git clone` takes, not a web page's"
            }
            Self::Remote { .. } | Self::Broken { .. } => {
                "try again; if it stays, ask the remote's administrator"
            }
            Self::Unsupported { .. } => "use a newer git server",
            Self::Locked { .. } => {
                "wait for the other process; when there is none, it was killed: remove that file"
            }
            Self::Damaged { .. } => {
                "run `git fsck` there; one in the cache folder may be deleted at any time"
            }
            Self::Local { .. } => {
                "check space and permissions; a cache folder may be deleted at any time"
            }
        }
    }
}

impl From<git2::Error> for GitError {
    fn from(error: git2::Error) -> Self {
        if let Some(lock) = held(&error) {
            let path = lock.display().to_string();
            return Self::Locked { path };
        }
        let problem = super::plain(&error);
        if is_damage(&error) {
            Self::Damaged { problem }
        } else {
            Self::Local { problem }
        }
    }
}

/// Why a push did not move the refs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PushError {
    /// The remote could not be reached or spoken to; no ref is known to have moved.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A ref is not where the caller saw it last. Nothing was sent.
    #[error("{reference} moved on the remote: expected {}, found {}", id_or_nothing(*expected), id_or_nothing(*found))]
    Moved {
        /// Full name of the ref.
        reference: String,
        /// Where it should have been; `None`: it should not exist.
        expected: Option<Revision>,
        /// Where it is.
        found: Option<Revision>,
    },
    /// The remote looked at the update and refused it.
    #[error("the remote refused {reference}: {detail}{}", quoted(messages))]
    Rejected {
        /// Full name of the ref.
        reference: String,
        /// The kind of refusal.
        refusal: Refusal,
        /// The remote's reason, as it gave it.
        detail: String,
        /// What the remote printed meanwhile (hooks talk here), shortened.
        messages: Vec<String>,
    },
    /// The remote could not store the pack.
    #[error("the remote could not store the pack: {detail}{}", quoted(messages))]
    Unpack {
        /// The remote's reason.
        detail: String,
        /// What the remote printed meanwhile, shortened.
        messages: Vec<String>,
    },
    /// The caller's own pack stream failed; the remote discards what it got.
    #[error("the pack could not be made: {problem}")]
    Pack {
        /// What the caller's closure or reader said.
        problem: String,
    },
    /// The connection ended after the update was sent: the refs may have moved, or not.
    #[error("the push was sent, but its result is unknown: {0}")]
    Unknown(#[source] GitError),
}

impl PushError {
    /// The kind of error as one word, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Git(error) => error.reason(),
            Self::Moved { .. } => "Moved",
            Self::Rejected { refusal, .. } => refusal.reason(),
            Self::Unpack { .. } => "UnpackFailed",
            Self::Pack { .. } => "PackFailed",
            Self::Unknown(_) => "ResultUnknown",
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Git(error) => error.help(),
            Self::Moved { .. } => {
                "somebody else pushed; fetch, build on the new commit and push again"
            }
            Self::Rejected { refusal, .. } => refusal.help(),
            Self::Unpack { .. } => {
                "check the remote's disk space and its limit on the size of a push"
            }
            Self::Pack { .. } => "see the message; nothing was changed on the remote",
            Self::Unknown(_) => "read the remote's refs again before the next push",
        }
    }

    /// Whether another writer won the race: fetch, rebuild, push again.
    pub fn is_moved(&self) -> bool {
        matches!(
            self,
            Self::Moved { .. }
                | Self::Rejected {
                    refusal: Refusal::Moved,
                    ..
                }
        )
    }
}

/// The common ways in which a remote refuses a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A hook or a branch protection rule said no.
    Protected,
    /// The new commit does not build on the old one, and the remote insists on it.
    NotFastForward,
    /// The ref moved, or was locked, between advertisement and update.
    Moved,
    /// The commits end in a shallow boundary that the remote does not accept.
    Shallow,
    /// The remote has this branch checked out, or may not delete it.
    InUse,
    /// The remote forbids deleting refs.
    DeletionForbidden,
    /// The remote lacks objects that the new commit needs.
    MissingObjects,
    /// Anything else.
    Other,
}

impl Refusal {
    /// Sorts a remote's `ng` reason, and what it said beside, into the common kinds.
    ///
    /// The phrases are those of git's receive-pack and of the large hosts.
    pub(crate) fn classify(reason: &str, messages: &[String]) -> Self {
        let reason = reason.to_ascii_lowercase();
        let said = |phrase: &str| {
            messages
                .iter()
                .any(|line| line.to_ascii_lowercase().contains(phrase))
        };
        let has = |phrase: &str| reason.contains(phrase);
        if has("non-fast-forward") || has("fast forward") {
            Self::NotFastForward
        } else if has("hook declined")
            || has("protected")
            || has("gh006")
            || has("gh013")
            || has("pre-receive")
        {
            Self::Protected
        } else if has("lock") || has("stale info") || has("fetch first") || has("already exists") {
            Self::Moved
        } else if has("failed to update ref") || has("incorrect old value") {
            // receive-pack says why only beside: a lock that is held, or an old id that no longer fits.
            if said("unable to resolve") || said("permission") {
                Self::Other
            } else {
                Self::Moved
            }
        } else if has("atomic transaction failed")
            && (said("but expected") || said("already exists") || said("file exists"))
        {
            // What git says of all refs of an atomic push when one could not be locked: it was moved, made or held meanwhile.
            Self::Moved
        } else if has("shallow") {
            Self::Shallow
        } else if has("currently checked out") || has("current branch") {
            Self::InUse
        } else if has("deletion prohibited") {
            Self::DeletionForbidden
        } else if has("missing necessary objects") || has("bad pack") {
            Self::MissingObjects
        } else {
            Self::Other
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Protected => "Protected",
            Self::NotFastForward => "NotFastForward",
            Self::Moved => "Moved",
            Self::Shallow => "Shallow",
            Self::InUse => "InUse",
            Self::DeletionForbidden => "DeletionForbidden",
            Self::MissingObjects => "MissingObjects",
            Self::Other => "Rejected",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Protected => {
                "a hook or branch protection refused it: allow this user to push there, or use another branch"
            }
            Self::NotFastForward => {
                "the remote wants a commit that builds on the old one; fetch and build on it"
            }
            Self::Moved => "somebody else pushed; fetch, build on the new commit and push again",
            Self::Shallow => "fetch the whole history before pushing",
            Self::InUse => "push to a bare repository, or to a branch that is not checked out",
            Self::DeletionForbidden => "the remote forbids deleting refs (receive.denyDeletes)",
            Self::MissingObjects => {
                "the pack lacks objects that the remote does not have; push again from a full rebuild"
            }
            Self::Other => "see the remote's messages",
        }
    }
}

/// Drops control characters and shortens `text` to `limit` bytes, so that a remote cannot steer a terminal.
pub(crate) fn plain_text(text: &str, limit: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(limit));
    for character in text.trim().chars() {
        if plain.len() + character.len_utf8() > limit {
            plain.push('…');
            break;
        }
        if character == '\n' || character == '\t' {
            plain.push(' ');
        } else if !character.is_control() && !is_direction_mark(character) {
            plain.push(character);
        }
    }
    plain
}

/// Marks that reorder the text around them: harmless to drop, and a way to make a message lie.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn id_or_nothing(id: Option<Revision>) -> String {
    id.map_or_else(|| "no such ref".to_owned(), |id| id.to_string())
}

fn quoted(messages: &[String]) -> String {
    if messages.is_empty() {
        String::new()
    } else {
        format!(" ({})", messages.join("; "))
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_remote_cannot_steer_the_terminal() {
        assert_eq!(
            plain_text("a\x1b[31mred\u{202e}b\nc\r\n", 100),
            "a[31mredb c"
        );
        assert_eq!(plain_text("abcdef", 3), "abc…");
    }

    #[test]
    fn common_refusals_get_plain_words() {
        let table = [
            ("pre-receive hook declined", Refusal::Protected),
            ("protected branch hook declined", Refusal::Protected),
            ("non-fast-forward", Refusal::NotFastForward),
            ("failed to lock", Refusal::Moved),
            ("stale info", Refusal::Moved),
            ("reference already exists", Refusal::Moved),
            ("shallow update not allowed", Refusal::Shallow),
            ("branch is currently checked out", Refusal::InUse),
            ("deletion prohibited", Refusal::DeletionForbidden),
            ("missing necessary objects", Refusal::MissingObjects),
            ("whatever", Refusal::Other),
        ];
        for (reason, wanted) in table {
            assert_eq!(Refusal::classify(reason, &[]), wanted, "{reason}");
        }
    }

    #[test]
    fn a_race_is_told_from_other_failures_of_an_atomic_push() {
        let table = [
            (
                "error: cannot lock ref 'refs/heads/a': is at 1 but expected 2",
                Refusal::Moved,
            ),
            (
                "error: cannot lock ref 'refs/heads/a': reference already exists",
                Refusal::Moved,
            ),
            (
                "error: cannot lock ref 'refs/heads/a': Unable to create 'a.lock': File exists.",
                Refusal::Moved,
            ),
            (
                "error: cannot lock ref 'refs/heads/a': Permission denied",
                Refusal::Other,
            ),
        ];
        for (said, wanted) in table {
            let refusal = Refusal::classify("atomic transaction failed", &[said.to_owned()]);
            assert_eq!(refusal, wanted, "{said}");
        }
    }
}
