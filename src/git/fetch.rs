//! Reading a remote: [`list_refs`] gives what it has, [`fetch`] brings branches, tags, refs and commits here.
//!
//! A remote's pack goes whole into the object database or not at all, and refs move only after it is there: a fetch that
//! is interrupted leaves nothing but a temporary file. Every object is hashed on arrival.

use std::collections::{BTreeMap, BTreeSet};

use git2::{Oid, Repository};

use super::access::Access;
use super::advertisement::Advertisement;
use super::error::GitError;
use super::locks;
use super::pktline::FLUSH;
use super::transfer::Transfer;
use super::transport::{Connection, Service};
use super::url::RemoteUrl;
use crate::model::Revision;

/// What a remote has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteRefs {
    /// Every ref by its full name (and `HEAD`) with the object that it points to.
    pub refs: BTreeMap<String, Revision>,
    /// The commits that annotated tags lead to, by the tag's full name.
    pub peeled: BTreeMap<String, Revision>,
    /// The full name of the branch that `HEAD` stands for, when the remote tells.
    pub head: Option<String>,
}

impl RemoteRefs {
    /// The commit that a ref leads to; an annotated tag's target rather than the tag.
    pub fn commit(&self, name: &str) -> Option<Revision> {
        self.peeled
            .get(name)
            .or_else(|| self.refs.get(name))
            .copied()
    }
}

/// Lists the refs of a remote.
///
/// # Errors
/// Any [`GitError`] of a connection.
pub fn list_refs(url: &RemoteUrl, access: &Access) -> Result<RemoteRefs, GitError> {
    let (mut connection, found) = Connection::open(url, access, Service::UploadPack)?;
    farewell(&mut connection);
    Ok(RemoteRefs {
        refs: found.refs,
        peeled: found.peeled,
        head: found.head,
    })
}

/// Tells a waiting remote that nothing is wanted; whether it still hears makes no difference.
fn farewell(connection: &mut Connection) {
    if !connection.is_stateless() {
        drop(connection.request(&mut &FLUSH[..]));
    }
}

/// One thing to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// What `HEAD` points to.
    Head,
    /// A branch or else a tag of this name: what people write as a revision.
    Name(String),
    /// A branch, by its short name.
    Branch(String),
    /// A tag, by its short name.
    Tag(String),
    /// A ref by its full name, `refs/…`.
    Reference(String),
    /// A commit by its full id, on whatever branch it is.
    Commit(Revision),
}

impl Want {
    /// Reads a revision as people write it: empty or `HEAD`, `refs/…`, forty hexadecimal digits, or a name.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() || text == "HEAD" {
            Self::Head
        } else if text.starts_with("refs/") {
            Self::Reference(text.to_owned())
        } else if let Some(id) = Revision::from_hex(text) {
            Self::Commit(id)
        } else {
            Self::Name(text.to_owned())
        }
    }

    /// The full name under which the remote has it.
    fn find(&self, remote: &Advertisement) -> Option<String> {
        let candidates = match self {
            Self::Head => vec!["HEAD".to_owned()],
            Self::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
            Self::Branch(name) => vec![format!("refs/heads/{name}")],
            Self::Tag(name) => vec![format!("refs/tags/{name}")],
            Self::Reference(name) => vec![name.clone()],
            Self::Commit(_) => Vec::new(),
        };
        candidates
            .into_iter()
            .find(|name| remote.refs.contains_key(name))
    }
}

impl std::fmt::Display for Want {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Head => formatter.write_str("HEAD"),
            Self::Name(name) => write!(formatter, "branch or tag {name}"),
            Self::Branch(name) => write!(formatter, "branch {name}"),
            Self::Tag(name) => write!(formatter, "tag {name}"),
            Self::Reference(name) => formatter.write_str(name),
            Self::Commit(id) => write!(formatter, "commit {id}"),
        }
    }
}

/// What to fetch, and where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What to fetch.
    pub want: Want,
    /// The local ref that shall point to it, forced; without one nothing tells the next fetch that it is here.
    pub into: Option<String>,
    /// Whether the remote may lack it.
    pub optional: bool,
}

impl Wanted {
    /// Something that the remote must have.
    pub fn new(want: Want) -> Self {
        Self {
            want,
            into: None,
            optional: false,
        }
    }

    /// Keeps it under the local ref `name` (full name).
    #[must_use]
    pub fn into_ref(mut self, name: impl Into<String>) -> Self {
        self.into = Some(name.into());
        self
    }

    /// Lets the remote lack it: then it is missing in the outcome, and the local ref stays.
    #[must_use]
    pub fn if_present(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// How far a fetch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Bytes of the pack so far.
    pub received_bytes: u64,
    /// Objects so far.
    pub received_objects: usize,
    /// Objects in the pack.
    pub total_objects: usize,
    /// Objects stored so far.
    pub indexed_objects: usize,
}

/// One thing that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The remote's full name for it; `None` for a commit asked for by its id.
    pub name: Option<String>,
    /// The object it points to: a commit, or an annotated tag.
    pub object: Revision,
    /// The commit it leads to.
    pub commit: Revision,
}

/// What a fetch brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchOutcome {
    /// In the order asked for; `None` where an optional thing is not there.
    pub fetched: Vec<Option<Fetched>>,
    /// Every ref of the remote, as [`list_refs`] gives them: no second connection is needed to look around.
    pub remote: RemoteRefs,
    /// What was transferred; all zero when everything was here already.
    pub transfer: FetchProgress,
}

/// Fetches `wanted` from `url` into `repository`.
///
/// `depth` cuts the history to that many commits; `None` leaves it as it is: whole, or as shallow as it was. After a fetch
/// with `depth`, open the repository again before history is walked: an open handle may not know the new boundary.
///
/// # Errors
/// [`GitError::ReferenceNotFound`] for what the remote lacks, any error of a connection, [`GitError::Local`] for ours.
pub fn fetch(
    repository: &Repository,
    url: &RemoteUrl,
    wanted: &[Wanted],
    access: &Access,
    depth: Option<u32>,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<FetchOutcome, GitError> {
    let (mut connection, remote) = Connection::open(url, access, Service::UploadPack)?;
    let plan = Plan::make(repository, url, wanted, &remote, depth)?;
    let mut outcome = FetchOutcome::default();
    if plan.wants.is_empty() {
        farewell(&mut connection);
    } else {
        let mut transfer = Transfer {
            repository,
            connection: &mut connection,
            remote: &remote,
            plan: &plan,
        };
        let boundary = transfer.negotiate()?;
        outcome.transfer = transfer.receive(progress)?;
        boundary.store(repository)?;
    }
    for (wanted, target) in wanted.iter().zip(&plan.targets) {
        let fetched = match target {
            Some((name, id)) => Some(settle(repository, url, wanted, name.clone(), *id)?),
            None => None,
        };
        outcome.fetched.push(fetched);
    }
    outcome.remote = RemoteRefs {
        refs: remote.refs,
        peeled: remote.peeled,
        head: remote.head,
    };
    Ok(outcome)
}

/// Checks that the object arrived, and moves the local ref to it.
fn settle(
    repository: &Repository,
    url: &RemoteUrl,
    wanted: &Wanted,
    name: Option<String>,
    id: Oid,
) -> Result<Fetched, GitError> {
    let missing = |_| GitError::ReferenceNotFound {
        url: url.redacted(),
        reference: wanted.want.to_string(),
    };
    let object = repository.find_object(id, None).map_err(missing)?;
    let commit = object.peel_to_commit().map_err(|_| GitError::Unsupported {
        url: url.redacted(),
        problem: format!("{} leads to no commit", wanted.want),
    })?;
    commit.tree()?;
    if let Some(local) = &wanted.into {
        locks::point(repository, local, id, "stellate: fetch")?;
    }
    Ok(Fetched {
        name,
        object: revision(id),
        commit: revision(commit.id()),
    })
}

/// What the remote calls the wanted things, and which of them must come over.
pub(super) struct Plan {
    targets: Vec<Option<(Option<String>, Oid)>>,
    /// What is asked for, by id.
    pub(super) wants: BTreeSet<Oid>,
    /// Where history is to end.
    pub(super) depth: Option<u32>,
}

impl Plan {
    fn make(
        repository: &Repository,
        url: &RemoteUrl,
        wanted: &[Wanted],
        remote: &Advertisement,
        depth: Option<u32>,
    ) -> Result<Self, GitError> {
        let mut plan = Self {
            targets: Vec::new(),
            wants: BTreeSet::new(),
            depth,
        };
        let held = held(repository)?;
        for wanted in wanted {
            let target = match &wanted.want {
                Want::Commit(id) => Some((None, oid(*id)?)),
                want => match want.find(remote) {
                    Some(name) => {
                        let id = oid(remote.refs[&name])?;
                        Some((Some(name), id))
                    }
                    None if wanted.optional => None,
                    None => {
                        let reference = want.to_string();
                        return Err(GitError::ReferenceNotFound {
                            url: url.redacted(),
                            reference,
                        });
                    }
                },
            };
            if let Some((_, id)) = &target
                && (!held.contains(id) || depth.is_some_and(|depth| depth > 1))
            {
                plan.want(*id, remote)?;
            }
            plan.targets.push(target);
        }
        Ok(plan)
    }

    /// Asks for `id` itself where the remote allows it, else for everything it shows, which may hold it.
    fn want(&mut self, id: Oid, remote: &Advertisement) -> Result<(), GitError> {
        let shown = remote
            .refs
            .values()
            .chain(remote.peeled.values())
            .any(|shown| shown.0 == *id.as_bytes());
        if shown
            || remote.can("allow-reachable-sha1-in-want")
            || remote.can("allow-tip-sha1-in-want")
        {
            self.wants.insert(id);
            return Ok(());
        }
        self.depth = None;
        for (name, id) in &remote.refs {
            if name.starts_with("refs/heads/") || name.starts_with("refs/tags/") {
                self.wants.insert(oid(*id)?);
            }
        }
        Ok(())
    }
}

/// The objects that local refs point to: these, and what they build on, are whole.
fn held(repository: &Repository) -> Result<BTreeSet<Oid>, GitError> {
    let mut held = BTreeSet::new();
    for reference in repository.references()? {
        let Ok(reference) = reference else { continue };
        held.extend(reference.target());
        held.extend(reference.target_peel());
        if reference.is_tag() {
            held.extend(reference.peel_to_commit().ok().map(|commit| commit.id()));
        }
    }
    let odb = repository.odb()?;
    held.retain(|id| odb.exists(*id));
    Ok(held)
}

fn oid(id: Revision) -> Result<Oid, GitError> {
    Ok(Oid::from_bytes(&id.0)?)
}

fn revision(id: Oid) -> Revision {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&id.as_bytes()[..20]);
    Revision(bytes)
}
