//! Writes the tree of a generated branch into a folder: whole, or not at all.
//!
//! Adapter over the file system. A new folder is made beside the old one, unchanged files as hard links, and then takes
//! its place in one step: readers see the old tree or the new one, never half of each. Never touches a folder that it did
//! not write.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::branch::hash::{ObjectId, ObjectKind, object_id};
use super::branch::object::{EntryMode, Tree, TreeEntry, TreeError};
use super::branch::repository::LOCK;
use super::path::CLUSTERS;

/// How the folders begin that are made beside the one that is written.
const PREFIX: &str = ".stellate-";
/// After this long, such a folder belongs to a run that was killed.
const STALE: std::time::Duration = std::time::Duration::from_secs(3600);

/// Why a folder could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder holds something else.
    #[error("{} is not empty and was not written by Stellate", .0.display())]
    Foreign(PathBuf),
    /// The system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A name in the folder cannot stand in a tree.
    #[error("{}: {source}", path.display())]
    Tree {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        source: TreeError,
    },
}

impl FolderError {
    /// A fixed word for programs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Foreign(_) => "ForeignFolder",
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => "DiskFull",
            Self::Io { .. } => "FolderUnwritable",
            Self::Tree { .. } => "FolderUnreadable",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Foreign(_) => {
                Some("name a folder that does not exist yet, or empty this one".into())
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("make room; what stood in the folder is still there as it was".into())
            }
            _ => None,
        }
    }
}

/// What a folder holds, as git would see it.
#[derive(Debug, Default)]
pub struct Standing {
    /// The tree of `clusters/`; none when there is none.
    pub clusters: Option<ObjectId>,
    /// All trees by id.
    pub trees: HashMap<ObjectId, Tree>,
    /// The bytes of `stellate.lock`.
    pub lock: Option<Vec<u8>>,
}

/// One file to be written.
pub struct File {
    /// Path below the folder, with `/`.
    pub path: String,
    /// Its bytes; none for a file that stays as it is.
    pub content: Option<Vec<u8>>,
}

/// Reads what a folder holds. A folder that is not there, or empty, holds nothing.
///
/// # Errors
/// [`FolderError::Foreign`] when there is something and no `stellate.lock`.
pub fn standing(folder: &Path) -> Result<Standing, FolderError> {
    let mut standing = Standing::default();
    let empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(at(folder)(error)),
    };
    if empty {
        return Ok(standing);
    }
    match fs::read(folder.join(LOCK)) {
        Ok(lock) => standing.lock = Some(lock),
        Err(_) => return Err(FolderError::Foreign(folder.to_owned())),
    }
    let clusters = folder.join(CLUSTERS);
    if clusters.is_dir() {
        standing.clusters = Some(read_tree(&clusters, &mut standing.trees)?);
    }
    Ok(standing)
}

fn read_tree(folder: &Path, trees: &mut HashMap<ObjectId, Tree>) -> Result<ObjectId, FolderError> {
    let mut found: Vec<(Vec<u8>, EntryMode, ObjectId)> = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let path = entry.path();
        let name = entry
            .file_name()
            .to_string_lossy()
            .into_owned()
            .into_bytes();
        if entry.file_type().map_err(at(&path))?.is_dir() {
            found.push((name, EntryMode::FOLDER, read_tree(&path, trees)?));
        } else {
            let bytes = fs::read(&path).map_err(at(&path))?;
            found.push((
                name,
                EntryMode::FILE,
                object_id(ObjectKind::Blob, &[&bytes]),
            ));
        }
    }
    let mut entries: Vec<TreeEntry<'_>> = found
        .iter()
        .map(|(name, mode, id)| TreeEntry {
            mode: *mode,
            name,
            id: *id,
        })
        .collect();
    let tree = Tree::new(&mut entries).map_err(|source| FolderError::Tree {
        path: folder.to_owned(),
        source,
    })?;
    let id = object_id(ObjectKind::Tree, &[tree.as_bytes()]);
    trees.insert(id, tree);
    Ok(id)
}

/// Makes a folder hold exactly these files, in one step.
pub fn write(folder: &Path, files: impl Iterator<Item = File>) -> Result<(), FolderError> {
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&parent).map_err(at(&parent))?;
    sweep(&parent);
    let next = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(&parent)
        .map_err(at(&parent))?;
    let mut made: Option<PathBuf> = None;
    for file in files {
        let to = next.path().join(&file.path);
        if let Some(inner) = to.parent().filter(|inner| made.as_deref() != Some(*inner)) {
            fs::create_dir_all(inner).map_err(at(inner))?;
            made = Some(inner.to_owned());
        }
        if let Some(content) = file.content {
            fs::write(&to, content).map_err(at(&to))?;
            continue;
        }
        let from = folder.join(&file.path);
        if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).map_err(at(&from))?;
        }
    }
    set_folder_mode(next.path());
    swap(next.path(), folder)?;
    Ok(())
}

/// Removes what killed runs left behind, once no run can still be at it.
fn sweep(parent: &Path) {
    let old = |entry: &fs::DirEntry| {
        let age = entry.metadata().and_then(|metadata| metadata.modified());
        let age = age.ok().and_then(|modified| modified.elapsed().ok());
        entry.file_name().to_string_lossy().starts_with(PREFIX)
            && age.is_some_and(|age| age > STALE)
    };
    for entry in fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(old)
    {
        // Somebody else may have swept it meanwhile.
        drop(fs::remove_dir_all(entry.path()));
    }
}

/// Temporary folders are private; the result shall be as readable as any new folder.
fn set_folder_mode(folder: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Where this fails, the folder stays private, which is safe.
        drop(fs::set_permissions(
            folder,
            fs::Permissions::from_mode(0o755),
        ));
    }
    #[cfg(not(unix))]
    let _ = folder;
}

/// Puts `next` in the place of `folder`; what was there goes with `next`'s name, and is removed.
fn swap(next: &Path, folder: &Path) -> Result<(), FolderError> {
    if !folder.exists() {
        return fs::rename(next, folder).map_err(at(folder));
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, next, CWD, folder, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    // Without an exchange in one step, readers may find no folder for a moment, but never half of one.
    let aside = next.with_extension("old");
    fs::rename(folder, &aside).map_err(at(folder))?;
    if let Err(error) = fs::rename(next, folder) {
        fs::rename(&aside, folder).map_err(at(folder))?;
        return Err(at(folder)(error));
    }
    fs::remove_dir_all(&aside).map_err(at(&aside))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError + use<> {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: Option<&[u8]>) -> File {
        File {
            path: path.to_owned(),
            content: content.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn a_folder_is_replaced_as_a_whole_and_read_back() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = scratch.path().join("deep/out");
        let first = [
            file("stellate.lock", Some(b"1".as_slice())),
            file("clusters/c1/shop/a.yaml", Some(b"a".as_slice())),
            file("clusters/c1/shop/b.yaml", Some(b"b".as_slice())),
        ];
        write(&folder, first.into_iter()).expect("first");
        let second = [
            file("stellate.lock", Some(b"2".as_slice())),
            file("clusters/c1/shop/a.yaml", None),
            file("clusters/c2/shop/a.yaml", Some(b"a".as_slice())),
        ];
        write(&folder, second.into_iter()).expect("second");
        assert_eq!(
            fs::read(folder.join("clusters/c1/shop/a.yaml")).expect("kept"),
            b"a"
        );
        assert!(!folder.join("clusters/c1/shop/b.yaml").exists());
        let standing = standing(&folder).expect("ours");
        assert_eq!(standing.lock.as_deref(), Some(b"2".as_slice()));
        assert_eq!(
            standing.trees[&standing.clusters.expect("clusters")].len(),
            2
        );
        let left: Vec<_> = fs::read_dir(scratch.path().join("deep"))
            .expect("parent")
            .collect();
        assert_eq!(left.len(), 1, "nothing else is left behind: {left:?}");
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let scratch = tempfile::tempdir().expect("a folder");
        fs::write(scratch.path().join("thesis.txt"), "years of work").expect("write");
        assert!(matches!(
            standing(scratch.path()),
            Err(FolderError::Foreign(_))
        ));
    }
}
