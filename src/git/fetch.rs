//! Reading a remote: [`list_refs`] gives what it has, [`fetch`] brings branches, tags, refs and commits here.
//!
//! A remote's pack goes whole into the object database or not at all, and refs move only after it is there: a fetch that
//! is interrupted leaves nothing but a temporary file. Every object is hashed on arrival.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write as _};
use std::rc::Rc;

use git2::{Indexer, Oid, Repository};

use super::access::Access;
use super::advertisement::Advertisement;
use super::error::GitError;
use super::negotiation::Haves;
use super::pktline::{
    FLUSH, Messages, Packet, RemoteFatal, SideBand, read_packet, trimmed, write_packet,
};
use super::transport::{AGENT, Connection, Service};
use super::url::RemoteUrl;
use crate::model::Revision;

/// Offers that lead nowhere before the negotiation is given up: git's own number.
const MAX_IN_VAIN: usize = 256;

/// The same, while nothing in common was found at all.
const MAX_UNRELATED: usize = 4096;

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
        repository.reference(local, id, true, "stellate: fetch")?;
    }
    Ok(Fetched {
        name,
        object: revision(id),
        commit: revision(commit.id()),
    })
}

/// What the remote calls the wanted things, and which of them must come over.
struct Plan {
    targets: Vec<Option<(Option<String>, Oid)>>,
    wants: BTreeSet<Oid>,
    depth: Option<u32>,
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
        held.extend(
            reference
                .target()
                .filter(|id| repository.find_object(*id, None).is_ok()),
        );
        held.extend(reference.peel_to_commit().ok().map(|commit| commit.id()));
    }
    Ok(held)
}

/// One run of the fetch protocol, between advertisement and refs.
struct Transfer<'a> {
    repository: &'a Repository,
    connection: &'a mut Connection,
    remote: &'a Advertisement,
    plan: &'a Plan,
}

/// What the answer to one round of offers said.
#[derive(Default)]
struct Answer {
    common: Vec<Oid>,
    /// The remote has heard enough.
    ready: bool,
    /// The pack follows at once.
    pack: bool,
}

impl Transfer<'_> {
    /// Says what is wanted and what is here, until the remote begins to send the pack.
    fn negotiate(&mut self) -> Result<Boundary, GitError> {
        let stateless = self.connection.is_stateless();
        let mut boundary = Boundary::load(self.repository)?;
        let opening = self.opening(&boundary)?;
        let mut haves = Haves::new(self.repository)?;
        let (mut common, mut in_vain, mut size) = (Vec::new(), 0, 32);
        let mut ready = !self.remote.can("multi_ack_detailed");
        if !stateless {
            self.send(&opening)?;
            self.read_boundary(&mut boundary)?;
        }
        while !ready {
            let batch: Vec<Oid> = std::iter::from_fn(|| haves.next()).take(size).collect();
            if batch.is_empty() {
                break;
            }
            in_vain += batch.len();
            size = (size * 2).min(1024);
            let mut request = if stateless {
                opening.clone()
            } else {
                Vec::new()
            };
            offer(&mut request, if stateless { &common } else { &[] });
            offer(&mut request, &batch);
            request.extend_from_slice(FLUSH);
            self.send(&request)?;
            if stateless {
                self.read_boundary(&mut boundary)?;
            }
            let answer = self.read_answer(false)?;
            // A stateless remote repeats what is known to be common.
            for id in answer.common {
                haves.mark(id);
                if !common.contains(&id) {
                    common.push(id);
                    in_vain = 0;
                }
            }
            if answer.pack {
                return Ok(boundary);
            }
            let limit = if common.is_empty() {
                MAX_UNRELATED
            } else {
                MAX_IN_VAIN
            };
            ready = answer.ready || in_vain >= limit;
        }
        let mut request = if stateless { opening } else { Vec::new() };
        offer(&mut request, if stateless { &common } else { &[] });
        write_packet(&mut request, b"done\n");
        self.send(&request)?;
        if stateless {
            self.read_boundary(&mut boundary)?;
        }
        self.read_answer(true)?;
        Ok(boundary)
    }

    /// Wants with capabilities, the shallow boundary, the depth.
    fn opening(&self, boundary: &Boundary) -> Result<Vec<u8>, GitError> {
        let shallow = self.plan.depth.is_some() || !boundary.commits.is_empty();
        if shallow && !self.remote.can("shallow") {
            return Err(self
                .connection
                .unsupported("it does not give shallow histories"));
        }
        let mut capabilities = String::new();
        let offered = [
            "multi_ack_detailed",
            "side-band-64k",
            "thin-pack",
            "no-progress",
            "ofs-delta",
        ];
        for name in offered.into_iter().filter(|name| self.remote.can(name)) {
            capabilities.push(' ');
            capabilities.push_str(name);
        }
        if self.connection.is_stateless()
            && self.remote.can("no-done")
            && self.remote.can("multi_ack_detailed")
        {
            capabilities.push_str(" no-done");
        }
        if self.remote.can("agent") {
            capabilities.push_str(" agent=");
            capabilities.push_str(AGENT);
        }
        let mut opening = Vec::new();
        for (number, id) in self.plan.wants.iter().enumerate() {
            let capabilities = if number == 0 {
                capabilities.as_str()
            } else {
                ""
            };
            write_packet(
                &mut opening,
                format!("want {id}{capabilities}\n").as_bytes(),
            );
        }
        for id in &boundary.commits {
            write_packet(&mut opening, format!("shallow {id}\n").as_bytes());
        }
        if let Some(depth) = self.plan.depth {
            write_packet(
                &mut opening,
                format!("deepen {}\n", depth.clamp(1, i32::MAX as u32)).as_bytes(),
            );
        }
        opening.extend_from_slice(FLUSH);
        Ok(opening)
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), GitError> {
        match self.connection.request(&mut bytes) {
            // A remote that hangs up has usually said why.
            Err(error @ GitError::Broken { .. }) => match self.read_answer(false) {
                Err(said @ (GitError::Remote { .. } | GitError::ReferenceNotFound { .. })) => {
                    Err(said)
                }
                _ => Err(error),
            },
            result => result,
        }
    }

    /// Reads where the history is to end, which the remote tells only when a depth was asked for.
    fn read_boundary(&mut self, boundary: &mut Boundary) -> Result<(), GitError> {
        if self.plan.depth.is_none() {
            return Ok(());
        }
        let mut line = Vec::new();
        while self.read_line(&mut line)? == Packet::Data {
            let text = String::from_utf8_lossy(trimmed(&line)).into_owned();
            match text
                .split_once(' ')
                .map(|(verb, id)| (verb, Oid::from_str(id)))
            {
                Some(("shallow", Ok(id))) => boundary.commits.insert(id),
                Some(("unshallow", Ok(id))) => boundary.commits.remove(&id),
                _ => return Err(self.connection.protocol("it sent no shallow boundary")),
            };
        }
        Ok(())
    }

    /// Reads acknowledgements: of a round up to its `NAK`, of the last one (`finally`) up to the pack.
    fn read_answer(&mut self, finally: bool) -> Result<Answer, GitError> {
        let (mut answer, mut line) = (Answer::default(), Vec::new());
        let drain = self.connection.is_stateless() && !finally;
        loop {
            match self.read_line(&mut line)? {
                Packet::Data => {}
                Packet::End if drain => return Ok(answer),
                _ => return Err(self.connection.protocol("the negotiation ended early")),
            }
            let text = String::from_utf8_lossy(trimmed(&line)).into_owned();
            let words: Vec<&str> = text.split(' ').collect();
            match words[..] {
                // Over HTTP the answer goes on to its end, or to the pack.
                ["NAK"] if drain => {}
                ["NAK"] => return Ok(answer),
                ["ACK", _] => {
                    answer.pack = true;
                    return Ok(answer);
                }
                ["ACK", id, status] => {
                    answer.ready |= status == "ready";
                    answer.common.extend(Oid::from_str(id));
                }
                _ => return Err(self.connection.protocol("it sent no acknowledgement")),
            }
        }
    }

    /// Reads one packet; an `ERR` line is the remote's reason to stop.
    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<Packet, GitError> {
        let read = read_packet(self.connection.output(), line);
        let read = match read {
            Ok(Packet::Data) if line.starts_with(b"ERR ") => Err(RemoteFatal::error(&line[4..])),
            other => other,
        };
        read.map_err(|error| self.connection.explain(&error))
    }

    /// Stores the pack.
    fn receive(
        &mut self,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<FetchProgress, GitError> {
        let banded = self.remote.can("side-band-64k");
        let mut messages = Messages::default();
        let output = self.connection.output();
        let stored = if banded {
            store_pack(
                self.repository,
                &mut SideBand::new(output, &mut messages),
                progress,
            )
        } else {
            store_pack(self.repository, output, progress)
        };
        stored.map_err(|error| match error {
            StoreError::Stream(error) => self.connection.explain(&error),
            StoreError::Local(error) => error,
        })
    }
}

/// Appends `have` lines.
fn offer(request: &mut Vec<u8>, commits: &[Oid]) {
    for id in commits {
        write_packet(request, format!("have {id}\n").as_bytes());
    }
}

enum StoreError {
    Stream(io::Error),
    Local(GitError),
}

impl From<git2::Error> for StoreError {
    fn from(error: git2::Error) -> Self {
        Self::Local(error.into())
    }
}

/// Indexes the pack beside the repository's others while it arrives.
fn store_pack(
    repository: &Repository,
    input: &mut dyn Read,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<FetchProgress, StoreError> {
    let mut piece = vec![0; 64 * 1024];
    let mut filled = 0;
    while filled < 12 {
        match input
            .read(&mut piece[filled..])
            .map_err(StoreError::Stream)?
        {
            0 => return Err(StoreError::Stream(io::ErrorKind::UnexpectedEof.into())),
            count => filled += count,
        }
    }
    if !piece.starts_with(b"PACK") {
        return Err(StoreError::Stream(io::Error::new(
            io::ErrorKind::InvalidData,
            "it sent no pack",
        )));
    }
    let odb = repository.odb()?;
    let empty = piece[8..12] == [0; 4];
    let folder = repository.commondir().join("objects/pack");
    let state = Rc::new(Cell::new(FetchProgress::default()));
    let mut indexer = Indexer::new(Some(&odb), &folder, 0, false)?;
    let shared = Rc::clone(&state);
    indexer.progress(move |now| {
        let received_bytes = shared.get().received_bytes;
        shared.set(FetchProgress {
            received_bytes,
            received_objects: now.received_objects(),
            total_objects: now.total_objects(),
            indexed_objects: now.indexed_objects(),
        });
        true
    });
    while filled > 0 {
        if !empty {
            indexer.write_all(&piece[..filled]).map_err(|error| {
                StoreError::Local(GitError::Local {
                    problem: format!("the pack cannot be stored: {error}"),
                })
            })?;
        }
        state.set(FetchProgress {
            received_bytes: state.get().received_bytes + filled as u64,
            ..state.get()
        });
        progress(state.get());
        filled = input.read(&mut piece).map_err(StoreError::Stream)?;
    }
    if !empty {
        indexer.commit()?;
        odb.refresh()?;
        progress(state.get());
    }
    Ok(state.get())
}

/// The commits at which a shallow history ends: the repository's `shallow` file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Boundary {
    commits: BTreeSet<Oid>,
    before: BTreeSet<Oid>,
}

impl Boundary {
    fn load(repository: &Repository) -> Result<Self, GitError> {
        let text = match std::fs::read_to_string(repository.commondir().join("shallow")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(GitError::Local {
                    problem: format!("the shallow file: {error}"),
                });
            }
        };
        let commits: BTreeSet<Oid> = text
            .lines()
            .filter_map(|line| Oid::from_str(line.trim()).ok())
            .collect();
        Ok(Self {
            before: commits.clone(),
            commits,
        })
    }

    /// Writes the file, whole or not at all, when it changed.
    fn store(&self, repository: &Repository) -> Result<(), GitError> {
        if self.commits == self.before {
            return Ok(());
        }
        let text: String = self.commits.iter().map(|id| format!("{id}\n")).collect();
        let folder = repository.commondir();
        let write = || -> io::Result<()> {
            if text.is_empty() {
                return std::fs::remove_file(folder.join("shallow"));
            }
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(folder.join("shallow"))
                .map(drop)
                .map_err(|error| error.error)
        };
        write().map_err(|error| GitError::Local {
            problem: format!("the shallow file: {error}"),
        })
    }
}

fn oid(id: Revision) -> Result<Oid, GitError> {
    Ok(Oid::from_bytes(&id.0)?)
}

fn revision(id: Oid) -> Revision {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&id.as_bytes()[..20]);
    Revision(bytes)
}
