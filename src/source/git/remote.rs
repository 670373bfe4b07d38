//! The copy of a remote repository in the cache folder: made, fetched into, and made again when it is damaged.
//!
//! Only this module writes there. The copy has the remote's refs under their own names, as far as they were asked for.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use crate::git::{self as net, Access, GitError, RemoteRefs, RemoteUrl, Want, Wanted};
use crate::model::{Revision, names};

use super::{GitSourceError, copy_folder, create};

/// Where the copy keeps what the remote's `HEAD` was.
const HEAD: &str = "refs/stellate/head";

/// A remote, and how to reach it.
pub(super) struct Remote {
    url: RemoteUrl,
    access: Access,
}

impl Remote {
    /// Opens the copy, or makes one.
    pub(super) fn open(
        url: RemoteUrl,
        cache: &Path,
        access: Access,
    ) -> Result<(Self, Repository), GitSourceError> {
        let folder = copy_folder(cache, &url);
        let repository = open_or_make(&folder)?;
        Ok((Self { url, access }, repository))
    }

    /// Fetches a revision and finds its commit; the text beside it is what to call it.
    pub(super) fn resolve(
        &self,
        repository: &Repository,
        revision: &str,
    ) -> Result<(Oid, String), GitSourceError> {
        // `main~3` is fetched as `main`, whole, and followed here.
        let end = revision.find(['~', '^', '@', ':']).unwrap_or(revision.len());
        let (base, steps) = revision.split_at(end);
        let (commit, reference) = match self.fetch(repository, base) {
            Err(GitSourceError::Remote(GitError::Local { .. })) => {
                // A copy may be damaged; the next one is not.
                empty(repository)?;
                self.fetch(repository, base)?
            }
            fetched => fetched?,
        };
        if steps.is_empty() {
            return Ok((commit, reference));
        }
        let object = repository.revparse_single(&format!("{commit}{steps}"));
        let commit = object.and_then(|object| object.peel_to_commit());
        match commit {
            Ok(commit) => Ok((commit.id(), revision.to_owned())),
            Err(_) => Err(unknown(&self.url.redacted(), revision, Vec::new())),
        }
    }

    fn fetch(&self, repository: &Repository, name: &str) -> Result<(Oid, String), GitSourceError> {
        let want = Want::parse(name);
        if let Want::Commit(id) = want
            && let Ok(commit) = repository.find_commit(Oid::from_bytes(&id.0)?)
            && commit.tree().is_ok()
        {
            return Ok((commit.id(), name.to_owned()));
        }
        let remote = net::list_refs(&self.url, &self.access)?;
        if let Want::Commit(id) = want {
            return self.commit(repository, &remote, id);
        }
        let Some(full) = full_name(&remote, &want) else {
            return self.abbreviated(repository, &remote, name);
        };
        let local = if full == "HEAD" { HEAD } else { full.as_str() };
        let reference = Want::Reference(full.clone());
        let want = if full == "HEAD" { Want::Head } else { reference };
        let fetched = self.get(repository, &[Wanted::new(want).into_ref(local)])?;
        let called = match (full.as_str(), &remote.head) {
            ("HEAD", Some(branch)) => short(branch),
            _ => short(&full),
        };
        let id = fetched.first().copied().ok_or_else(|| self.unknown(&remote, name))?;
        Ok((id, called.to_owned()))
    }

    /// Fetches a commit by its id; from all branches where the remote does not give out single commits.
    fn commit(
        &self,
        repository: &Repository,
        remote: &RemoteRefs,
        id: Revision,
    ) -> Result<(Oid, String), GitSourceError> {
        let text = id.to_string();
        if let Ok(fetched) = self.get(repository, &[Wanted::new(Want::Commit(id))])
            && let Some(id) = fetched.first()
        {
            return Ok((*id, text));
        }
        self.abbreviated(repository, remote, &text)
    }

    /// Fetches all branches and tags, and looks for a commit whose id begins so.
    fn abbreviated(
        &self,
        repository: &Repository,
        remote: &RemoteRefs,
        name: &str,
    ) -> Result<(Oid, String), GitSourceError> {
        let digits = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || !(4..=40).contains(&name.len()) {
            return Err(self.unknown(remote, name));
        }
        let all = remote.refs.keys();
        let all = all.filter(|name| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"));
        let wanted = all.map(|name| Wanted::new(Want::Reference(name.clone())).into_ref(name.clone()).if_present());
        self.get(repository, &wanted.collect::<Vec<_>>())?;
        let object = repository.revparse_single(name);
        match object.and_then(|object| object.peel_to_commit()) {
            Ok(commit) => Ok((commit.id(), name.to_owned())),
            Err(_) => Err(self.unknown(remote, name)),
        }
    }

    fn get(&self, repository: &Repository, wanted: &[Wanted]) -> Result<Vec<Oid>, GitSourceError> {
        let outcome = net::fetch(repository, &self.url, wanted, &self.access, None, &mut |_| {})?;
        let ids = outcome.fetched.iter().flatten();
        let ids: Result<Vec<Oid>, git2::Error> =
            ids.map(|fetched| Oid::from_bytes(&fetched.commit.0)).collect();
        Ok(ids?)
    }

    fn unknown(&self, remote: &RemoteRefs, revision: &str) -> GitSourceError {
        let names = remote.refs.keys().map(|name| short(name).to_owned());
        unknown(&self.url.redacted(), revision, names.collect())
    }
}

/// Says that there is no such revision, and which ones are called alike.
pub(super) fn unknown(repository: &str, revision: &str, mut known: Vec<String>) -> GitSourceError {
    known.sort();
    known.dedup();
    let mut suggestions = Vec::new();
    while suggestions.len() < 3
        && let Some(next) = names::nearest(revision, known.iter().map(String::as_str))
    {
        let next = next.to_owned();
        known.retain(|name| *name != next);
        suggestions.push(format!("`{next}`"));
    }
    GitSourceError::UnknownRevision {
        repository: repository.to_owned(),
        revision: revision.to_owned(),
        suggestions,
    }
}

/// The remote's full name for what is wanted.
fn full_name(remote: &RemoteRefs, want: &Want) -> Option<String> {
    let candidates = match want {
        Want::Head => vec!["HEAD".to_owned()],
        Want::Reference(name) => vec![name.clone()],
        Want::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        _ => Vec::new(),
    };
    candidates
        .into_iter()
        .find(|name| remote.refs.contains_key(name))
}

fn short(name: &str) -> &str {
    let rest = name.strip_prefix("refs/heads/");
    rest.or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name)
}

/// Opens the copy; what cannot be opened is made again, once.
fn open_or_make(folder: &Path) -> Result<Repository, GitSourceError> {
    if let Ok(repository) = Repository::open_bare(folder) {
        return Ok(repository);
    }
    remove(folder)?;
    make(folder)
}

/// Makes an empty bare repository.
fn make(folder: &Path) -> Result<Repository, GitSourceError> {
    create(folder)?;
    Repository::init_bare(folder).map_err(|error| GitSourceError::Cache {
        path: folder.display().to_string(),
        problem: error.message().to_owned(),
    })
}

/// Takes everything out of the copy. The open handle goes on with the new one, which has the same path.
fn empty(repository: &Repository) -> Result<(), GitSourceError> {
    let folder: PathBuf = repository.path().to_owned();
    remove(&folder)?;
    drop(make(&folder)?);
    Ok(())
}

fn remove(folder: &Path) -> Result<(), GitSourceError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(GitSourceError::Cache {
            path: folder.display().to_string(),
            problem: error.to_string(),
        }),
        _ => Ok(()),
    }
}
