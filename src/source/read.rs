//! The one way in: a request → a snapshot of everything that the source holds, with what is to be said about it.
//!
//! Inputs are a place (folder, or repository and revision), the paths that count, the kinds that are known and the
//! tools' options. The same commit gives the same snapshot. Never writes to the source.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::git::Access;
use crate::model::kinds::Kinds;
use crate::model::{BlobId, Diagnostic, RepoPath, Revision};

use super::assemble::assemble_defining;
use super::cache::{LastRead, ParsedCache};
use super::folder::{FolderError, FolderTree};
use super::follow::follow;
use super::git::{GitSource, GitSourceError, ResolvedRevision, any_version};
use super::hydrate::{HydrateOptions, hydrate};
use super::select::{self, Selection, Verdict};
use super::tree::{Listing, Tree, TreeError, Which};
use super::{BlobReader, BrokenFile, Snapshot, SourceFile, Texts, blob_id};

/// What to read.
#[derive(Clone, Debug)]
pub struct SourceRequest {
    /// Where it is.
    pub place: Place,
    /// Files and folders that count, relative to the place; everything when empty.
    pub paths: Vec<RepoPath>,
    /// The kinds that are known beforehand: built-in and configured ones.
    pub kinds: Kinds,
    /// How kustomizations and charts are built.
    pub hydrate: HydrateOptions,
    /// A folder for copies of remote repositories and for what tools made; none: the user's cache folder.
    pub cache: Option<PathBuf>,
    /// How a remote repository is reached.
    pub access: Access,
}

impl SourceRequest {
    /// A request for everything at a place, with defaults for the rest.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            paths: Vec::new(),
            kinds: Kinds::builtin(),
            hydrate: HydrateOptions::default(),
            cache: None,
            access: Access::default(),
        }
    }
}

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder as it is on disk, committed or not.
    Folder(PathBuf),
    /// A commit of a repository.
    Git {
        /// An address, or a path in a local repository.
        location: String,
        /// What [`GitSource::resolve`] takes; `HEAD` when there is none.
        revision: Option<String>,
    },
}

impl Place {
    /// Tells whether two places are one, but for the revision.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder(one), Self::Folder(another)) => one == another,
            (
                Self::Git { location: one, .. },
                Self::Git {
                    location: another, ..
                },
            ) => one == another,
            _ => false,
        }
    }
}

/// A source that was read.
#[derive(Clone, Debug)]
pub struct ReadSource {
    /// What it holds; the same one as the last time when nothing in it changed.
    pub snapshot: Arc<Snapshot>,
    /// Which source it is.
    pub description: SourceDescription,
    /// What is to be said about it; sorted.
    pub diagnostics: Vec<Diagnostic>,
}

/// Which source was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDescription {
    /// The repository's address without credentials, or the path.
    pub name: String,
    /// The commit; none for a folder.
    pub revision: Option<ResolvedRevision>,
    /// The git folder that was read; none for a folder.
    pub repository: Option<PathBuf>,
    /// The folder inside the repository that counts; empty for all of it.
    pub prefix: String,
    /// The number of files that were read as manifests, those that tools made included.
    pub files: usize,
    /// The tools that were used, with their versions; sorted.
    pub tools: Vec<String>,
}

/// Why there is no snapshot at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The repository, or the revision.
    #[error(transparent)]
    Git(#[from] GitSourceError),
    /// A path that should count, and is not there or cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The source is what Stellate wrote.
    #[error("{name} holds what Stellate wrote (it has a stellate.lock), not a source")]
    Generated {
        /// The source.
        name: String,
    },
}

impl SourceError {
    /// A fixed word in CamelCase, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Folder(error) => error.reason(),
            Self::Git(error) => error.reason(),
            Self::Tree(error) => error.reason(),
            Self::Generated { .. } => "GeneratedBranch",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Folder(error) => error.help().to_owned(),
            Self::Git(error) => error.help(),
            Self::Tree(error) => error.help().to_owned(),
            Self::Generated { .. } => {
                "name the branch or folder that people write, not the generated one".to_owned()
            }
        }
    }
}

/// Reads a source. `cache` serves one source; what it has from the last time is not read again.
///
/// Everything that is wrong with a single file is a diagnostic; [`Snapshot::is_complete`] tells whether there is any.
///
/// # Errors
/// When the source as a whole cannot be read, or a path that should count is not there: then nothing is known.
pub fn read_source(
    request: &SourceRequest,
    cache: &mut ParsedCache,
) -> Result<ReadSource, SourceError> {
    match &request.place {
        Place::Folder(path) => {
            let tree = FolderTree::open(path)?;
            let way = Way::Folder(tree.root().join(tree.prefix()));
            let name = path.display().to_string();
            read_tree(&tree, tree.prefix(), name, None, way, request, cache)
        }
        Place::Git { location, revision } => {
            let folder = cache_folder(request);
            let mut source = GitSource::open(location, &folder, &request.access)?;
            let read = read_commit(&mut source, revision.as_deref(), request, cache);
            // A copy may be damaged; the next one is not.
            if is_damaged(&read) && source.remake_copy()? {
                return read_commit(&mut source, revision.as_deref(), request, cache);
            }
            read
        }
    }
}

fn read_commit(
    source: &mut GitSource,
    revision: Option<&str>,
    request: &SourceRequest,
    cache: &mut ParsedCache,
) -> Result<ReadSource, SourceError> {
    let resolved = source.resolve(revision)?;
    let memory = std::mem::take(&mut cache.listings);
    let tree = source.tree(resolved.revision)?.with_memory(memory);
    let (prefix, name) = (source.prefix(), source.name().to_owned());
    let id = tree.id_at(prefix);
    let last = cache.last.as_ref().filter(|last| last.answers(request));
    if let Some(last) = last.filter(|last| id.is_some() && last.tree == id) {
        let mut read = last.read.clone();
        read.description.revision = Some(resolved);
        cache.listings = tree.into_unused_memory();
        return Ok(read);
    }
    let followed = id.and_then(|id| follow(&tree, id, prefix, &resolved, request, cache));
    if let Some(read) = followed {
        cache.listings = tree.into_unused_memory();
        return Ok(read);
    }
    let way = Way::Git(source.git_folder().to_owned());
    let read = read_tree(&tree, prefix, name, Some(resolved), way, request, cache);
    cache.listings = tree.into_memory();
    if let (Ok(_), Some(last)) = (&read, &mut cache.last) {
        last.tree = id;
    }
    read
}

/// Whether git objects are missing.
fn is_damaged(read: &Result<ReadSource, SourceError>) -> bool {
    match read {
        Ok(read) => {
            let mut broken = read.snapshot.broken.iter();
            broken.any(|file| file.diagnostic.reason == "Unreadable")
        }
        Err(SourceError::Tree(TreeError::Unreadable { .. })) => true,
        Err(SourceError::Git(error)) => error.reason() == "RepositoryDamaged",
        Err(_) => false,
    }
}

/// Whether the same files would give the same again: whatever is broken is broken in its own bytes.
fn is_lasting(snapshot: &Snapshot) -> bool {
    let mut broken = snapshot.broken.iter();
    broken.all(|file| file.blob.is_some() && file.diagnostic.reason != "Unreadable")
}

/// Gives the folder for what may be deleted at any time.
fn cache_folder(request: &SourceRequest) -> PathBuf {
    let user = || dirs::cache_dir().unwrap_or_else(std::env::temp_dir);
    let named = request.cache.clone();
    named.unwrap_or_else(|| user().join("stellate"))
}

fn read_tree(
    tree: &dyn Tree,
    prefix: &str,
    name: String,
    revision: Option<ResolvedRevision>,
    way: Way,
    request: &SourceRequest,
    cache: &mut ParsedCache,
) -> Result<ReadSource, SourceError> {
    let selection = Selection::new(&request.paths);
    let mut listing = Listing::default();
    for path in selection.prefixes() {
        let path = select::below(prefix, path);
        let found = tree.list(&path, Which::Manifests)?;
        refuse_unfollowed(&path, &found)?;
        listing.entries.extend(found.entries);
        listing.broken.extend(found.broken);
        listing.findings.extend(found.findings);
        listing.links |= found.links;
    }
    let inside = |path: &str| relative(path, prefix);
    let paths: Vec<String> = listing
        .entries
        .iter()
        .map(|entry| inside(&entry.path))
        .collect();
    let selection = selection.without_generated(paths.iter().map(String::as_str));
    if selection.is_generated() {
        return Err(SourceError::Generated { name });
    }
    listing.entries.retain(|entry| {
        selection.judge(&inside(&entry.path)) != Verdict::Ignore
            || is_marker(&entry.path, &selection, prefix)
    });
    let built = hydrate(
        tree,
        &listing.entries,
        prefix,
        &request.hydrate,
        request.cache.clone(),
    );

    let opaque = |path: &str| {
        built
            .opaque
            .iter()
            .any(|folder| select::is_below(path, folder))
    };
    let mut wanted = Vec::new();
    let mut skipped = Vec::new();
    for entry in listing.entries.iter().filter(|entry| !opaque(&entry.path)) {
        let path = inside(&entry.path);
        match selection.judge(&path) {
            Verdict::Manifest => wanted.push((RepoPath::from(path), entry.blob)),
            Verdict::Skip(reason) => skipped.push((RepoPath::from(path), reason)),
            Verdict::Ignore => {}
        }
    }
    wanted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let by_tools = built.skipped.iter();
    skipped.extend(by_tools.map(|(path, reason)| (inside(path).into(), *reason)));
    let plain = built.files.is_empty() && built.broken.is_empty() && listing.broken.is_empty();
    let alone = plain && built.opaque.is_empty() && built.skipped.is_empty() && !listing.links;
    let last = cache
        .last
        .as_mut()
        .filter(|last| plain && last.answers(request));
    let same = |last: &&mut LastRead| {
        last.files == wanted
            && last.passed == skipped
            && last.findings == listing.findings
            && last.read.description.tools.is_empty()
    };
    if let Some(last) = last.filter(same) {
        last.read.description.revision = revision;
        return Ok(last.read.clone());
    }
    let parsed = cache.get_or_parse(&wanted, |path, blob| {
        tree.read(&select::below(prefix, path.as_str()), blob)
    });
    let mut files: Vec<SourceFile> = Vec::with_capacity(wanted.len() + built.files.len());
    for ((path, blob), parsed) in wanted.iter().cloned().zip(parsed) {
        files.push(SourceFile {
            path,
            blob,
            parsed,
            namespace: None,
        });
    }
    for mut file in built.files {
        file.path = inside(file.path.as_str()).into();
        files.push(file);
    }
    let (mut snapshot, mut diagnostics, kinds) = assemble_defining(&files, &request.kinds);

    let unread = listing
        .broken
        .into_iter()
        .filter(|file| !opaque(file.path.as_str()));
    let unread = unread.chain(built.broken).map(|file| shown(file, prefix));
    for file in unread.filter(|file| is_selected(file.path.as_str(), &selection)) {
        diagnostics.push(file.diagnostic.clone());
        snapshot.broken.push(file);
    }
    let (findings, passed) = (listing.findings.clone(), skipped.clone());
    diagnostics.extend(listing.findings.into_iter().map(|mut finding| {
        relocate(&mut finding, prefix);
        finding
    }));
    diagnostics.extend(cache.save());
    diagnostics.sort();
    snapshot.broken.sort();
    snapshot.skipped.append(&mut skipped);
    snapshot.skipped.sort();
    let repository = match &way {
        Way::Folder(_) => None,
        Way::Git(folder) => Some(folder.clone()),
    };
    snapshot.texts = Texts::new(Arc::new(Reader {
        way,
        prefix: prefix.to_owned(),
        commit: revision.as_ref().map(|revision| revision.revision),
        built: built.texts,
    }));
    let read = ReadSource {
        snapshot: Arc::new(snapshot),
        description: SourceDescription {
            name,
            revision,
            repository,
            prefix: prefix.to_owned(),
            files: files.len(),
            tools: built.tools.into_iter().collect(),
        },
        diagnostics,
    };
    // What could not be read or built may go well the next time, though the source is the same.
    cache.last = is_lasting(&read.snapshot).then(|| LastRead {
        request: request.clone(),
        tree: None,
        files: wanted,
        passed,
        plain: alone && findings.is_empty(),
        findings,
        read: read.clone(),
        selection,
        kinds: Arc::new(kinds.unwrap_or_else(|| request.kinds.clone())),
    });
    Ok(read)
}

/// Makes an error of a path that was asked for and is itself in the way: a link to a folder, a submodule.
fn refuse_unfollowed(path: &str, found: &Listing) -> Result<(), TreeError> {
    let broken = found.broken.iter().map(|file| &file.diagnostic);
    let mut all = broken.chain(&found.findings);
    let is_it = |finding: &&Diagnostic| {
        let location = finding.location.as_ref();
        location.is_some_and(|location| location.path.as_str() == path)
    };
    match all.find(is_it) {
        Some(finding) if found.entries.is_empty() => Err(TreeError::Refused {
            path: path.to_owned(),
            problem: finding.message.clone(),
        }),
        _ => Ok(()),
    }
}

/// Whether an entry that is no manifest makes its folder one that is built.
fn is_marker(path: &str, selection: &Selection, prefix: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    select::is_kustomization(name) && is_selected(&relative(path, prefix), selection)
}

/// Whether something at a path could have been read, had it been readable.
fn is_selected(path: &str, selection: &Selection) -> bool {
    // Judged as if it were a manifest: folders have no ending.
    let judged = selection.judge(&select::below(select::parent(path), "any.yaml"));
    judged == Verdict::Manifest || selection.judge(path) != Verdict::Ignore
}

/// A path of the tree as people know it: relative to what they named.
fn relative(path: &str, prefix: &str) -> String {
    let inside = select::is_below(path, prefix);
    let rest = path.strip_prefix(prefix).filter(|_| inside);
    rest.unwrap_or(path).trim_start_matches('/').to_owned()
}

fn shown(mut file: BrokenFile, prefix: &str) -> BrokenFile {
    file.path = relative(file.path.as_str(), prefix).into();
    relocate(&mut file.diagnostic, prefix);
    file
}

fn relocate(finding: &mut Diagnostic, prefix: &str) {
    if let Some(location) = &mut finding.location {
        location.path = relative(location.path.as_str(), prefix).into();
    }
}

/// How a text is read once more.
enum Way {
    /// From the folder.
    Folder(PathBuf),
    /// From the git folder.
    Git(PathBuf),
}

/// Reads texts once more, for places in diagnostics.
struct Reader {
    way: Way,
    /// Where in the repository the source is.
    prefix: String,
    /// The commit that was read; none for a work tree.
    commit: Option<Revision>,
    built: HashMap<BlobId, Arc<[u8]>>,
}

impl BlobReader for Reader {
    fn read(&self, path: &RepoPath, blob: BlobId) -> Option<Vec<u8>> {
        if let Some(text) = self.built.get(&blob) {
            return Some(text.to_vec());
        }
        match &self.way {
            Way::Folder(folder) => from_folder(folder, path, blob),
            Way::Git(folder) => {
                let repository = git2::Repository::open(folder).ok()?;
                let found = repository.find_blob(git2::Oid::from_bytes(&blob.0).ok()?);
                found.ok().map(|found| found.content().to_vec())
            }
        }
    }

    fn ever(&self, path: &RepoPath, is_such: &dyn Fn(&[u8]) -> bool) -> bool {
        let repository = match &self.way {
            Way::Folder(folder) => git2::Repository::discover(folder),
            Way::Git(folder) => git2::Repository::open(folder),
        };
        let Ok(repository) = repository else {
            return false;
        };
        let start = match self.commit {
            Some(commit) => git2::Oid::from_bytes(&commit.0).ok(),
            None => repository.head().ok().and_then(|head| head.target()),
        };
        let path = select::below(&self.prefix, path.as_str());
        start.is_some_and(|start| any_version(&repository, start, &path, is_such))
    }
}

/// Reads a file, if it is still the one that was read.
fn from_folder(folder: &Path, path: &RepoPath, blob: BlobId) -> Option<Vec<u8>> {
    let bytes = std::fs::read(folder.join(path.as_str())).ok()?;
    (blob_id(&bytes) == blob).then_some(bytes)
}
