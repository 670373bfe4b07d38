//! A git repository as a source: where it is, what a revision means there, and what lies in it.
//!
//! ```text
//! URL ──fetch──▶ bare copy in the cache folder ─┐
//! path ─────────────────────────────────────────┴─▶ resolve ─▶ ResolvedRevision ─▶ GitTree
//! ```
//!
//! Never touches a work tree, an index or a branch of a repository that it did not make itself.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, Repository};

use crate::git::{self, Access, GitError, RemoteUrl};
use crate::model::{BlobId, RepoPath, Revision};

mod changes;
mod error;
mod past;
mod remote;
mod tree;

pub use changes::ChangedFile;
pub use error::GitSourceError;
pub(super) use past::{any_version, held_manifests};
pub use tree::{GitTree, ListingMemory};

use super::tree::{Listing, Tree as _, Which};
use super::{hexadecimal, select};

/// A repository that can be read: a remote one through a copy of ours, or a local one itself.
pub struct GitSource {
    repository: Repository,
    remote: Option<remote::Remote>,
    /// What people call it, redacted.
    name: String,
    prefix: String,
}

/// A revision, once it is known which commit it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRevision {
    /// The commit.
    pub revision: Revision,
    /// What it was called: the branch or tag by its short name (for `HEAD` the branch that it stands for), otherwise
    /// the text as given.
    pub reference: String,
    /// What the commit says.
    pub commit: CommitInfo,
}

/// What a commit says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// The author's name.
    pub author_name: String,
    /// The author's address.
    pub author_email: String,
    /// The author's date: seconds since 1970 in UTC.
    pub seconds: i64,
    /// The author's distance from UTC, in minutes.
    pub offset_minutes: i32,
    /// First paragraph of the message, in one line.
    pub subject: String,
    /// The rest of the message; empty when there is none.
    pub body: String,
}

impl GitSource {
    /// Opens a repository by address or path. A path may be a folder inside it: then only that folder counts.
    ///
    /// A remote repository gets a bare copy below `cache`, which may be deleted at any time and is made again when it is
    /// damaged; nothing is fetched yet.
    ///
    /// # Errors
    /// [`GitSourceError::NotARepository`], [`GitSourceError::Cache`], or an address that is none.
    pub fn open(location: &str, cache: &Path, access: &Access) -> Result<Self, GitSourceError> {
        let url = RemoteUrl::parse(location)?;
        let is_url = location.starts_with("file://");
        match url.local_path() {
            Some(path) if !is_url => Self::local(path),
            _ => {
                let name = url.redacted();
                let (remote, repository) = remote::Remote::open(url, cache, access.clone())?;
                Ok(Self {
                    repository,
                    remote: Some(remote),
                    name,
                    prefix: String::new(),
                })
            }
        }
    }

    fn local(path: &Path) -> Result<Self, GitSourceError> {
        let refused = |problem: String| GitSourceError::NotARepository {
            path: path.display().to_string(),
            problem,
        };
        let folder = path
            .canonicalize()
            .map_err(|error| refused(error.to_string()))?;
        let repository =
            Repository::discover(&folder).map_err(|error| refused(git::plain(&error)))?;
        let top = repository.workdir().and_then(|top| top.canonicalize().ok());
        let inside = top.as_deref().and_then(|top| folder.strip_prefix(top).ok());
        let prefix = inside.map(|inside| inside.to_string_lossy().replace('\\', "/"));
        Ok(Self {
            name: published_name(&repository, &folder),
            remote: None,
            prefix: prefix.unwrap_or_default(),
            repository,
        })
    }

    /// What people call the repository: its address without credentials, or its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path inside the repository that counts; empty for all of it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The git folder that is read.
    pub fn git_folder(&self) -> &Path {
        self.repository.path()
    }

    /// Finds the commit of a revision: a branch, a tag, an id in full or in part, or an expression such as `main~3`;
    /// `HEAD` when there is none. For a remote repository this fetches it.
    ///
    /// # Errors
    /// [`GitSourceError::UnknownRevision`] with names like it, or whatever went wrong with the remote.
    pub fn resolve(&mut self, revision: Option<&str>) -> Result<ResolvedRevision, GitSourceError> {
        match self.resolve_once(revision) {
            // A copy may be damaged; the next one is not.
            Err(
                GitSourceError::Damaged { .. } | GitSourceError::Remote(GitError::Damaged { .. }),
            ) if self.remake_copy()? => self.resolve_once(revision),
            resolved => resolved,
        }
    }

    /// Makes the copy of a remote repository again, empty; does nothing and says so for a local one.
    ///
    /// # Errors
    /// [`GitSourceError::Cache`].
    pub fn remake_copy(&mut self) -> Result<bool, GitSourceError> {
        let Some(remote) = &self.remote else {
            return Ok(false);
        };
        self.repository = remote.remake()?;
        Ok(true)
    }

    fn resolve_once(&self, revision: Option<&str>) -> Result<ResolvedRevision, GitSourceError> {
        let revision = revision
            .filter(|revision| !revision.is_empty())
            .unwrap_or("HEAD");
        let (id, reference) = match &self.remote {
            Some(remote) => remote.resolve(&self.repository, revision)?,
            None => self.resolve_here(revision)?,
        };
        let commit = self.repository.find_commit(id)?;
        Ok(ResolvedRevision {
            revision: revision_of(id),
            reference,
            commit: describe(&commit),
        })
    }

    fn resolve_here(&self, revision: &str) -> Result<(Oid, String), GitSourceError> {
        match self.repository.revparse_ext(revision) {
            Ok((object, reference)) => {
                let commit = object
                    .peel_to_commit()
                    .map_err(|_| self.unknown(revision))?;
                let named = reference.filter(|_| !revision.contains(['~', '^', '@']));
                let named = named.and_then(|reference| {
                    let resolved = reference.resolve().ok()?;
                    resolved.shorthand().ok().map(str::to_owned)
                });
                let named = named.filter(|name| name != "HEAD");
                Ok((commit.id(), named.unwrap_or_else(|| revision.to_owned())))
            }
            Err(_) if revision == "HEAD" && self.repository.is_empty().unwrap_or(false) => {
                Err(GitSourceError::Empty {
                    repository: self.name.clone(),
                })
            }
            Err(error) if error.code() == ErrorCode::GenericError => Err(error.into()),
            Err(_) => Err(self.unknown(revision)),
        }
    }

    fn unknown(&self, revision: &str) -> GitSourceError {
        let mut names = Vec::new();
        for reference in self.repository.references().into_iter().flatten().flatten() {
            names.extend(reference.shorthand().ok().map(str::to_owned));
        }
        remote::unknown(&self.name, revision, names)
    }

    /// Gives the files of a revision, for reading.
    ///
    /// # Errors
    /// When the revision is not here.
    pub fn tree(&self, revision: Revision) -> Result<GitTree<'_>, GitSourceError> {
        GitTree::open(&self.repository, revision)
    }

    /// Lists what may hold manifests at or below `paths` (relative to [`GitSource::prefix`]; all when empty), in path
    /// order. Symbolic links to files inside are read through; what cannot be read is in the listing's `broken`.
    ///
    /// # Errors
    /// A path that is not there, or a repository that cannot be read.
    pub fn files(&self, revision: Revision, paths: &[RepoPath]) -> Result<Listing, GitSourceError> {
        let tree = self.tree(revision)?;
        let mut all = Listing::default();
        for path in select::Selection::new(paths).prefixes() {
            let listing = tree.list(&select::below(&self.prefix, path), Which::Manifests)?;
            all.entries.extend(listing.entries);
            all.broken.extend(listing.broken);
            all.findings.extend(listing.findings);
        }
        Ok(all)
    }

    /// Gives the bytes of a file.
    ///
    /// # Errors
    /// When no such blob is here.
    pub fn read(&self, blob: BlobId) -> Result<Vec<u8>, GitSourceError> {
        let id = Oid::from_bytes(&blob.0)?;
        Ok(self.repository.find_blob(id)?.content().to_vec())
    }
}

impl std::fmt::Debug for GitSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("GitSource")
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Reads what a commit says; what is no UTF-8 is replaced, character by character.
fn describe(commit: &git2::Commit<'_>) -> CommitInfo {
    let author = commit.author();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let message = text(commit.message_bytes());
    let message = message.trim();
    let (subject, body) = message.split_once("\n\n").unwrap_or((message, ""));
    CommitInfo {
        author_name: text(author.name_bytes()),
        author_email: text(author.email_bytes()),
        seconds: author.when().seconds(),
        offset_minutes: author.when().offset_minutes(),
        subject: subject.split_whitespace().collect::<Vec<_>>().join(" "),
        body: body.trim().to_owned(),
    }
}

/// A revision from git's own id.
fn revision_of(id: Oid) -> Revision {
    let mut revision = Revision([0; 20]);
    revision.0.copy_from_slice(id.as_bytes());
    revision
}

/// A blob's id from git's own.
fn blob_of(id: Oid) -> BlobId {
    BlobId(revision_of(id).0)
}

/// The folder of the copy of a remote repository.
fn copy_folder(cache: &Path, url: &RemoteUrl) -> PathBuf {
    use aws_lc_rs::digest::{SHA256, digest};
    let name = digest(&SHA256, url.redacted().as_bytes());
    let name = hexadecimal(name.as_ref().get(..16).unwrap_or_default());
    cache.join("repositories").join(format!("{name}.git"))
}

/// Names a local repository as others know it: by the address of its `origin`, without credentials; by its folder's
/// name when it has none. The path on this machine is nobody else's business, and would make equal commits differ.
fn published_name(repository: &Repository, folder: &Path) -> String {
    let origin = repository.find_remote("origin").ok();
    let address = origin.and_then(|origin| {
        let text = String::from_utf8_lossy(origin.url_bytes()).into_owned();
        let base = repository.workdir().unwrap_or_else(|| repository.path());
        RemoteUrl::parse_in(&text, base).ok()
    });
    let own = || {
        let top = repository.workdir().unwrap_or(folder);
        let name = top
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "repository".to_owned())
    };
    address.map_or_else(own, |address| address.redacted())
}
