//! What a WEC got, read from the repository that holds the generated commits: files, their text, and what a commit changed.
//!
//! Read-only, and bounded: long texts are cut, and what a Secret holds is never given out. Blocking, as libgit2 is.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use git2::{Delta, ErrorCode, ObjectType, Oid, Repository, Tree, TreeWalkMode, TreeWalkResult};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{ClusterName, ObjectKey};
use crate::output::path::{CLUSTERS, KEEP};
use crate::yaml::{self, Limits};

pub use crate::output::path::path_of;

/// The most bytes of one text that are given out.
pub const LONGEST_TEXT: usize = 256 << 10;

/// The most files that a comparison looks at, over all WECs.
const MOST_FILES: usize = 100_000;

/// How long finding the shortest difference of two texts may take.
const PATIENCE: Duration = Duration::from_millis(200);

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// There is no such commit here.
    #[error("generated commit {0} is not here")]
    NoSuchCommit(String),
    /// The commit has no such file.
    #[error("there is no file {0}")]
    NoSuchFile(String),
    /// More files than anybody reads.
    #[error("more than {MOST_FILES} files differ")]
    TooMany,
    /// libgit2 says no.
    #[error("cannot read the repository of the generated commits: {}", .0.message())]
    Git(#[from] git2::Error),
}

/// The repository, open.
pub struct Browser {
    repository: Repository,
}

/// One file of a WEC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path below the WEC's folder: `shop/deployment.apps-web.yaml`.
    pub path: String,
    blob: Oid,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Text {
    /// The text, or its beginning; empty when it is withheld.
    pub text: String,
    /// Whether there is more.
    pub truncated: bool,
    /// Whether it is withheld, because it is a Secret's.
    pub withheld: bool,
}

impl Text {
    /// What may be told of a file, or of its difference: the text or its beginning, and nothing of a Secret's.
    pub fn of(path: &str, bytes: &[u8]) -> Self {
        if is_secret(path) {
            return Self::withheld();
        }
        let (text, truncated) = cut(bytes);
        Self {
            text,
            truncated,
            withheld: false,
        }
    }

    fn withheld() -> Self {
        Self {
            text: String::new(),
            truncated: false,
            withheld: true,
        }
    }
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is different.
    Changed,
}

/// A file that a commit changed; equal ones have equal texts before and after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Changed {
    /// Its path below the WEC's folder.
    pub path: String,
    /// What happened to it.
    pub change: Change,
    before: Option<Oid>,
    after: Option<Oid>,
}

/// WECs, and what changed for each of them.
pub type Group = (Vec<ClusterName>, Vec<Changed>);

/// What a commit is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Its first parent; nothing, for the first commit of all.
    Parent,
    /// Itself: it stands for this source commit and for the one before.
    Same,
}

impl Browser {
    /// Opens the repository.
    ///
    /// # Errors
    /// [`BrowseError::Git`] when it is none.
    pub fn open(path: &Path) -> Result<Self, BrowseError> {
        let repository = Repository::open_bare(path).or_else(|_| Repository::open(path))?;
        Ok(Self { repository })
    }

    /// Tells whether a commit is here.
    pub fn holds(&self, commit: &str) -> bool {
        self.commit(commit).is_ok()
    }

    /// The commit's first parent.
    ///
    /// # Errors
    /// [`BrowseError::NoSuchCommit`].
    pub fn parent(&self, commit: &str) -> Result<Option<String>, BrowseError> {
        Ok(self
            .commit(commit)?
            .parent_id(0)
            .ok()
            .map(|id| id.to_string()))
    }

    /// All files of a WEC, sorted by path; none when the commit does not know the WEC.
    ///
    /// # Errors
    /// [`BrowseError::NoSuchCommit`], or what libgit2 says.
    pub fn entries(&self, commit: &str, cluster: &ClusterName) -> Result<Vec<Entry>, BrowseError> {
        let mut entries = Vec::new();
        let root = self.commit(commit)?.tree()?;
        let Some(folder) = self.folder(&root, &format!("{CLUSTERS}/{cluster}"))? else {
            return Ok(entries);
        };
        folder.walk(TreeWalkMode::PreOrder, |above, entry| {
            if entry.kind() == Some(ObjectType::Blob)
                && let Ok(name) = entry.name()
                && name != KEEP
            {
                entries.push(Entry {
                    path: format!("{above}{name}"),
                    blob: entry.id(),
                });
            }
            TreeWalkResult::Ok
        })?;
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// What libgit2 says.
    pub fn text(&self, entry: &Entry) -> Result<Text, BrowseError> {
        let blob = self.repository.find_blob(entry.blob)?;
        Ok(Text::of(&entry.path, blob.content()))
    }

    /// The object that a file holds; none when it is none.
    ///
    /// # Errors
    /// What libgit2 says.
    pub fn object(&self, entry: &Entry) -> Result<Option<ObjectKey>, BrowseError> {
        let blob = self.repository.find_blob(entry.blob)?;
        let documents = yaml::load(blob.content(), &Limits::default()).unwrap_or_default();
        Ok(documents.first().and_then(|document| key(&document.value)))
    }

    /// What a commit changed for one WEC, sorted by path.
    ///
    /// # Errors
    /// [`BrowseError::NoSuchCommit`], [`BrowseError::TooMany`], or what libgit2 says.
    pub fn changes(
        &self,
        commit: &str,
        base: Base,
        cluster: &ClusterName,
    ) -> Result<Vec<Changed>, BrowseError> {
        let mut changes = self.compare(commit, base, &format!("{CLUSTERS}/{cluster}"))?;
        changes.sort();
        Ok(changes)
    }

    /// What a commit changed for all WECs: those for which the same files changed in the same way are one group, named after its
    /// first WEC and sorted by it.
    ///
    /// # Errors
    /// As [`Self::changes`].
    pub fn groups(&self, commit: &str, base: Base) -> Result<Vec<Group>, BrowseError> {
        let mut clusters: BTreeMap<String, Vec<Changed>> = BTreeMap::new();
        for mut changed in self.compare(commit, base, CLUSTERS)? {
            if let Some((cluster, path)) = changed.path.split_once('/') {
                let (cluster, path) = (cluster.to_owned(), path.to_owned());
                changed.path = path;
                clusters.entry(cluster).or_default().push(changed);
            }
        }
        let mut groups: BTreeMap<Vec<Changed>, Vec<ClusterName>> = BTreeMap::new();
        for (cluster, mut changes) in clusters {
            changes.sort();
            groups.entry(changes).or_default().push(cluster.into());
        }
        let mut groups: Vec<_> = groups
            .into_iter()
            .map(|(changes, members)| (members, changes))
            .collect();
        groups.sort();
        Ok(groups)
    }

    /// The difference as people read it: unified, three lines around each change.
    ///
    /// # Errors
    /// What libgit2 says.
    pub fn difference(&self, changed: &Changed) -> Result<Text, BrowseError> {
        if is_secret(&changed.path) {
            return Ok(Text::withheld());
        }
        let side = |id: Option<Oid>| match id {
            Some(id) => Ok(cut(self.repository.find_blob(id)?.content())),
            None => Ok::<_, BrowseError>((String::new(), false)),
        };
        let (before, cut_before) = side(changed.before)?;
        let (after, cut_after) = side(changed.after)?;
        let difference = similar::TextDiff::configure()
            .timeout(PATIENCE)
            .diff_lines(&before, &after);
        Ok(Text {
            text: difference.unified_diff().context_radius(3).to_string(),
            truncated: cut_before || cut_after,
            withheld: false,
        })
    }

    fn commit(&self, id: &str) -> Result<git2::Commit<'_>, BrowseError> {
        let missing = || BrowseError::NoSuchCommit(id.to_owned());
        let oid = Oid::from_str(id).map_err(|_| missing())?;
        self.repository.find_commit(oid).map_err(|_| missing())
    }

    fn folder(&self, root: &Tree<'_>, path: &str) -> Result<Option<Tree<'_>>, BrowseError> {
        match root.get_path(Path::new(path)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Tree) => {
                Ok(Some(self.repository.find_tree(entry.id())?))
            }
            Ok(_) => Ok(None),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The files that differ below a folder, with paths from there on.
    fn compare(&self, commit: &str, base: Base, path: &str) -> Result<Vec<Changed>, BrowseError> {
        let commit = self.commit(commit)?;
        if base == Base::Same {
            return Ok(Vec::new());
        }
        let after = self.folder(&commit.tree()?, path)?;
        let before = match commit.parent(0) {
            Ok(parent) => self.folder(&parent.tree()?, path)?,
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let diff = self
            .repository
            .diff_tree_to_tree(before.as_ref(), after.as_ref(), None)?;
        let mut changes = Vec::new();
        for delta in diff.deltas() {
            let (change, file) = match delta.status() {
                Delta::Added => (Change::Added, delta.new_file()),
                Delta::Deleted => (Change::Removed, delta.old_file()),
                _ => (Change::Changed, delta.new_file()),
            };
            let Some(path) = file.path().and_then(Path::to_str) else {
                continue;
            };
            if path.rsplit('/').next() == Some(KEEP) {
                continue;
            }
            if changes.len() == MOST_FILES {
                return Err(BrowseError::TooMany);
            }
            let side = |id: Oid| (!id.is_zero()).then_some(id);
            changes.push(Changed {
                path: path.to_owned(),
                change,
                before: side(delta.old_file().id()),
                after: side(delta.new_file().id()),
            });
        }
        Ok(changes)
    }
}

/// Tells whether a file is a core Secret's, by its name.
fn is_secret(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("secret-")
}

/// The beginning of a text, ending with a whole line where there is one.
fn cut(bytes: &[u8]) -> (String, bool) {
    if bytes.len() <= LONGEST_TEXT {
        return (String::from_utf8_lossy(bytes).into_owned(), false);
    }
    let head = &bytes[..LONGEST_TEXT];
    let end = head.iter().rposition(|&byte| byte == b'\n');
    let head = &head[..end.map_or(LONGEST_TEXT, |end| end + 1)];
    (String::from_utf8_lossy(head).into_owned(), true)
}

fn key(value: &serde_json::Value) -> Option<ObjectKey> {
    let version = value.get("apiVersion")?.as_str()?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let metadata = value.get("metadata")?;
    let text = |value: Option<&serde_json::Value>| Some(value?.as_str()?.to_owned());
    Some(ObjectKey::new(
        group,
        value.get("kind")?.as_str()?,
        &text(metadata.get("namespace")).unwrap_or_default(),
        &text(metadata.get("name"))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_ends_with_a_whole_line() {
        let line = "0123456789abcde\n";
        let long = line.repeat(LONGEST_TEXT / line.len()) + "tail";
        let (text, truncated) = cut(long.as_bytes());
        assert!(truncated && text.ends_with(line));
        assert_eq!(cut(line.as_bytes()), (line.to_owned(), false));
        let (text, truncated) = cut("x".repeat(LONGEST_TEXT + 1).as_bytes());
        assert!(truncated && text.len() == LONGEST_TEXT);
    }

    #[test]
    fn only_a_core_secret_is_taken_for_one() {
        let key = |group, kind| path_of(&ObjectKey::new(group, kind, "shop", "till"));
        assert!(is_secret(&key("", "Secret")));
        assert!(!is_secret(&key("bitnami.com", "SealedSecret")));
        assert!(!is_secret(&key("example.com", "Secret")));
        assert!(!is_secret("secret-things/configmap-till.yaml"));
    }
}
