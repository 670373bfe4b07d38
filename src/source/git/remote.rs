//! The copy of a remote repository in the cache folder: made, fetched into, and made again when it is damaged.
//!
//! Only this module writes there. The copy has the remote's refs under their own names, as far as they were asked for.

use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use crate::git::{
    self as net, Access, FetchOutcome, GitError, RemoteRefs, RemoteUrl, Want, Wanted,
};
use crate::model::names;

use super::{GitSourceError, copy_folder};

/// Where the copy keeps what the remote's `HEAD` was.
const HEAD: &str = "refs/stellate/head";

/// A remote, and how to reach it.
pub(super) struct Remote {
    url: RemoteUrl,
    access: Access,
    folder: PathBuf,
}

impl Remote {
    /// Opens the copy, or makes one.
    pub(super) fn open(
        url: RemoteUrl,
        cache: &Path,
        access: Access,
    ) -> Result<(Self, Repository), GitSourceError> {
        let folder = copy_folder(cache, &url);
        let repository = copy(net::open_or_make(&folder), &folder)?;
        let remote = Self {
            url,
            access,
            folder,
        };
        Ok((remote, repository))
    }

    /// Makes the copy again, empty.
    pub(super) fn remake(&self) -> Result<Repository, GitSourceError> {
        copy(net::remake(&self.folder), &self.folder)
    }

    /// Fetches a revision and finds its commit; the text beside it is what to call it.
    pub(super) fn resolve(
        &self,
        repository: &Repository,
        revision: &str,
    ) -> Result<(Oid, String), GitSourceError> {
        // `main~3` is fetched as `main`, whole, and followed here.
        let end = revision
            .find(['~', '^', '@', ':'])
            .unwrap_or(revision.len());
        let (base, steps) = revision.split_at(end);
        let (commit, reference) = self.fetch(repository, base)?;
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
        let single = matches!(want, Want::Commit(_));
        let wanted = [Wanted::new(want)];
        match net::fetch(
            repository,
            &self.url,
            &wanted,
            &self.access,
            None,
            &mut |_| {},
        ) {
            Ok(outcome) => settle(repository, &outcome, name),
            Err(GitError::ReferenceNotFound { .. }) => self.abbreviated(repository, name),
            // Not every remote gives out single commits.
            Err(GitError::Remote { .. } | GitError::Unsupported { .. }) if single => {
                self.abbreviated(repository, name)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches all branches and tags, and looks for a commit whose id begins so.
    fn abbreviated(
        &self,
        repository: &Repository,
        name: &str,
    ) -> Result<(Oid, String), GitSourceError> {
        let remote = net::list_refs(&self.url, &self.access)?;
        if ["", "refs/heads/", "refs/tags/"]
            .iter()
            .any(|folder| remote.refs.contains_key(&format!("{folder}{name}")))
        {
            return Err(GitSourceError::Damaged {
                problem: format!("`{name}` is at the remote and did not arrive"),
            });
        }
        let digits = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || !(4..=40).contains(&name.len()) {
            return Err(self.unknown(&remote, name));
        }
        let all = remote
            .refs
            .keys()
            .filter(|name| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"));
        let wanted = all.map(|name| {
            Wanted::new(Want::Reference(name.clone()))
                .into_ref(name.clone())
                .if_present()
        });
        let wanted: Vec<Wanted> = wanted.collect();
        net::fetch(
            repository,
            &self.url,
            &wanted,
            &self.access,
            None,
            &mut |_| {},
        )?;
        let object = repository.revparse_single(name);
        match object.and_then(|object| object.peel_to_commit()) {
            Ok(commit) => Ok((commit.id(), name.to_owned())),
            Err(_) => Err(self.unknown(&remote, name)),
        }
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

/// Keeps what was fetched under the remote's own name, so that the next fetch need not bring it again.
fn settle(
    repository: &Repository,
    outcome: &FetchOutcome,
    name: &str,
) -> Result<(Oid, String), GitSourceError> {
    let fetched = outcome.fetched.first().and_then(Option::as_ref);
    let fetched = fetched.ok_or_else(|| GitSourceError::Damaged {
        problem: format!("`{name}` was fetched and is not there"),
    })?;
    let commit = Oid::from_bytes(&fetched.commit.0)?;
    let Some(full) = fetched.name.as_deref() else {
        return Ok((commit, name.to_owned()));
    };
    let local = if full == "HEAD" { HEAD } else { full };
    let object = Oid::from_bytes(&fetched.object.0)?;
    net::point(repository, local, object, "stellate: fetch")?;
    let called = match (full, &outcome.remote.head) {
        ("HEAD", Some(branch)) => short(branch),
        _ => short(full),
    };
    Ok((commit, called.to_owned()))
}

fn short(name: &str) -> &str {
    let rest = name.strip_prefix("refs/heads/");
    rest.or_else(|| name.strip_prefix("refs/tags/"))
        .unwrap_or(name)
}

/// An error of the cache folder is told as one; what another process holds, as that.
fn copy(made: Result<Repository, GitError>, folder: &Path) -> Result<Repository, GitSourceError> {
    made.map_err(|error| match error {
        GitError::Local { problem } => GitSourceError::Cache {
            path: folder.display().to_string(),
            problem,
        },
        other => other.into(),
    })
}
