//! A folder on disk as a [`Tree`], and word of its changes.
//!
//! Inputs are a path and what the disk holds; output is a listing with the ids that git would give, so that equal bytes
//! are parsed once wherever they lie. Never follows a symbolic link out of the folder, never opens anything but regular
//! files, and never writes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use notify_debouncer_full::notify::{self, EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use thiserror::Error;

use crate::model::{BlobId, Diagnostic, Location, RepoPath, Severity};

use super::git::held_manifests;
use super::tree::{Listing, Tree, TreeEntry, TreeError, Which};
use super::{BrokenFile, blob_id, select};

/// Larger files are not read: no API server would take what is in them.
const LARGEST: u64 = 16 << 20;

/// Folders inside each other, at most.
const DEPTH: usize = 64;

/// Quiet time after a change before it is told.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Why a folder cannot be used at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The path does not exist, or is no folder, or cannot be entered.
    #[error("`{}` cannot be read as a folder: {problem}", .path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The system refuses to report changes.
    #[error("`{}` cannot be watched: {problem}", .path.display())]
    Unwatchable {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
}

impl FolderError {
    /// A fixed word in CamelCase, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "FolderUnreadable",
            Self::Unwatchable { .. } => "FolderUnwatchable",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions",
            Self::Unwatchable { .. } => {
                "raise the system's limit of watches (fs.inotify.max_user_watches on Linux)"
            }
        }
    }
}

/// A folder, rooted where its repository is, so that kustomizations may refer to folders beside it.
#[derive(Debug)]
pub struct FolderTree {
    root: PathBuf,
    prefix: String,
    /// Bytes that were read to learn their ids; taken out when they are asked for.
    bytes: RefCell<HashMap<BlobId, Vec<u8>>>,
}

impl FolderTree {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`FolderError::Unreadable`] when it is not there or is no folder.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let unreadable = |error: io::Error| FolderError::Unreadable {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let folder = path.canonicalize().map_err(unreadable)?;
        fs::read_dir(&folder).map_err(unreadable)?;
        let root = folder.ancestors().find(|above| above.join(".git").exists());
        let root = root.unwrap_or(&folder).to_owned();
        let prefix = folder.strip_prefix(&root).ok().and_then(slashed);
        Ok(Self {
            prefix: prefix.unwrap_or_default(),
            root,
            bytes: RefCell::default(),
        })
    }

    /// The folder that paths of this tree are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of the folder that was asked for, from the root; empty when it is the root.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Tells whether a place held manifests when it was last committed otherwise; unknown outside git, hence no.
    fn held_manifests(&self, path: &str) -> bool {
        let repository = git2::Repository::open(&self.root).ok();
        repository.is_some_and(|repository| {
            let head = repository.head().ok().and_then(|head| head.target());
            head.is_some_and(|head| held_manifests(&repository, head, path, None))
        })
    }
}

impl Tree for FolderTree {
    fn list(&self, path: &str, which: Which) -> Result<Listing, TreeError> {
        let start = self.root.join(path);
        let missing = |_| TreeError::Missing {
            path: path.to_owned(),
            tree: self.root.display().to_string(),
        };
        // A link on the way may lead anywhere.
        let above = start.parent().unwrap_or(&start);
        let above = above.canonicalize().map_err(missing)?;
        if !path.is_empty() && !above.starts_with(&self.root) {
            return Err(TreeError::Refused {
                path: path.to_owned(),
                problem: "a symbolic link leads out of the source".to_owned(),
            });
        }
        let kind = fs::symlink_metadata(&start).map_err(missing)?.file_type();
        let mut walk = Walk {
            tree: self,
            which,
            listing: Listing::default(),
        };
        if kind.is_dir() {
            walk.folder(path, 0);
        } else {
            walk.item(path, kind, 0);
        }
        walk.listing.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walk.listing)
    }

    fn read(&self, path: &str, blob: BlobId) -> Result<Vec<u8>, TreeError> {
        if let Some(bytes) = self.bytes.borrow_mut().remove(&blob) {
            return Ok(bytes);
        }
        let unreadable = |problem: String| TreeError::Unreadable {
            path: path.to_owned(),
            problem,
        };
        let bytes = read_file(&self.root.join(path)).map_err(unreadable)?;
        if blob_id(&bytes) == blob {
            Ok(bytes)
        } else {
            Err(unreadable("it changed meanwhile".to_owned()))
        }
    }
}

/// One walk through a folder.
struct Walk<'t> {
    tree: &'t FolderTree,
    which: Which,
    listing: Listing,
}

impl Walk<'_> {
    fn folder(&mut self, path: &str, depth: usize) {
        if depth > DEPTH {
            self.broken(path, "FoldersTooDeep", "it is nested too deep");
            return;
        }
        let entries = match fs::read_dir(self.tree.root.join(path)) {
            Ok(entries) => entries,
            Err(error) => {
                let text = format!("the folder cannot be read: {error}");
                return self.broken(path, "FolderUnreadable", &text);
            }
        };
        for entry in entries {
            let (name, kind) =
                match entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))) {
                    Ok(found) => found,
                    Err(error) => {
                        let text = format!("the folder cannot be read as a whole: {error}");
                        return self.broken(path, "FolderUnreadable", &text);
                    }
                };
            let Some(name) = name.to_str() else {
                let text = format!("the name `{}` is not UTF-8", name.to_string_lossy());
                let place = Location::file(path.into());
                let finding = Diagnostic::warning("NameNotUtf8", text).at(place);
                self.listing.findings.push(finding.help("rename the file"));
                continue;
            };
            let wanted = if kind.is_file() {
                self.which.lists(name)
            } else {
                self.which.enters(name)
            };
            if wanted {
                self.item(&select::below(path, name), kind, depth);
            }
        }
    }

    fn item(&mut self, path: &str, kind: fs::FileType, depth: usize) {
        if kind.is_dir() {
            self.folder(path, depth + 1);
        } else if kind.is_file() {
            self.file(path);
        } else if kind.is_symlink() {
            self.link(path);
        }
        // Sockets, pipes and devices hold no manifests, and opening them may never end.
    }

    fn file(&mut self, path: &str) {
        match read_file(&self.tree.root.join(path)) {
            Ok(bytes) => {
                let blob = blob_id(&bytes);
                if select::is_manifest_name(path) {
                    self.tree.bytes.borrow_mut().insert(blob, bytes);
                }
                let path = path.to_owned();
                self.listing.entries.push(TreeEntry { path, blob });
            }
            Err(problem) => self.broken(path, "Unreadable", &format!("the file {problem}")),
        }
    }

    fn link(&mut self, path: &str) {
        let target = self.tree.root.join(path).canonicalize();
        match target {
            Ok(target) if !target.starts_with(&self.tree.root) => {
                self.unfollowed(
                    path,
                    "a symbolic link that leads out of the source is not followed",
                );
            }
            Ok(target) if target.is_file() => {
                if self.which.lists(path.rsplit('/').next().unwrap_or(path)) {
                    self.file(path);
                }
            }
            Ok(_) => self.unfollowed(path, "a symbolic link to a folder is not followed"),
            Err(error) => {
                let text = format!("the symbolic link leads nowhere: {error}");
                self.unfollowed(path, &text);
            }
        }
    }

    /// Tells of a link that is not followed.
    fn unfollowed(&mut self, path: &str, text: &str) {
        let hides = select::is_manifest_name(path) || self.tree.held_manifests(path);
        self.listing.pass_over(unfollowed(path, text), hides);
    }

    /// Notes what exists and cannot be read. A file that is no manifest is left to the tool that may want it.
    fn broken(&mut self, path: &str, reason: &'static str, text: &str) {
        let diagnostic = Diagnostic::error(reason, text)
            .at(Location::file(path.into()))
            .help("check its permissions and its size");
        if reason == "Unreadable" && !select::is_of_interest(path) {
            self.listing.findings.push(Diagnostic {
                severity: Severity::Warning,
                ..diagnostic
            });
            return;
        }
        self.listing.broken.push(BrokenFile {
            path: path.into(),
            blob: None,
            diagnostic,
        });
    }
}

/// What is to be said of a symbolic link that is not followed.
pub(super) fn unfollowed(path: &str, text: &str) -> Diagnostic {
    Diagnostic::warning("LinkNotFollowed", text)
        .at(Location::file(RepoPath::from(path)))
        .help("put a copy of the file in the link's place, or link to a file inside the source")
}

/// Reads a regular file of bearable size; the error completes the sentence "the file …".
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(format!("is larger than {} MiB", LARGEST >> 20));
    }
    Ok(bytes)
}

/// Writes a relative path with `/`; none when it is not UTF-8.
fn slashed(path: &Path) -> Option<String> {
    let parts = path.iter().map(|part| part.to_str());
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

/// Changes of a folder, as they settle: an endless iterator.
#[derive(Debug)]
pub struct Watch {
    events: Receiver<DebounceEventResult>,
    poll: Duration,
    root: PathBuf,
    /// Watches as long as it lives.
    _debouncer: Debouncer<RecommendedWatcher, RecommendedCache>,
}

/// Watches a folder and everything below it.
///
/// Systems lose events now and then; so without any for `poll`, the folder should be looked at all the same.
///
/// # Errors
/// [`FolderError::Unwatchable`].
pub fn watch(path: &Path, poll: Duration) -> Result<Watch, FolderError> {
    let unwatchable = |problem: String| FolderError::Unwatchable {
        path: path.to_owned(),
        problem,
    };
    let root = path
        .canonicalize()
        .map_err(|error| unwatchable(error.to_string()))?;
    let (sender, events) = channel();
    let refused = |error: notify::Error| unwatchable(error.to_string());
    let mut debouncer = new_debouncer(DEBOUNCE, None, sender).map_err(refused)?;
    debouncer
        .watch(&root, RecursiveMode::Recursive)
        .map_err(refused)?;
    Ok(Watch {
        events,
        poll,
        root,
        _debouncer: debouncer,
    })
}

/// Why somebody who watches should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something changed.
    Seen,
    /// Nothing was heard for a while.
    Silence,
}

impl Watch {
    /// Whether an event is of interest: no mere reading, and nothing hidden (git's own files above all).
    fn concerns(&self, kind: EventKind, paths: &[PathBuf]) -> bool {
        let hidden = |path: &PathBuf| {
            let inside = path.strip_prefix(&self.root).unwrap_or(path);
            slashed(inside).is_some_and(|path| select::is_hidden(&path))
        };
        !kind.is_access() && !paths.iter().all(hidden)
    }
}

impl Iterator for Watch {
    type Item = Change;

    /// Waits for the next change; none when watching ended.
    fn next(&mut self) -> Option<Change> {
        loop {
            match self.events.recv_timeout(self.poll) {
                // An error may mean that events were lost.
                Ok(Err(_)) => return Some(Change::Seen),
                Ok(Ok(events)) => {
                    let mut events = events.iter();
                    if events.any(|event| self.concerns(event.kind, &event.paths)) {
                        return Some(Change::Seen);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Some(Change::Silence),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}
