//! Lock files of repositories: an error of libgit2 → the file that is held, and the way past it.
//!
//! git holds a reference for milliseconds. A process that is killed meanwhile leaves the file behind, and git itself would wait for
//! ever. A lock is taken away only when nobody can be holding it: by its age, or because nobody else uses the repository.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use git2::{Error, ErrorCode, Oid, Repository};

use super::error::GitError;

/// A lock older than this was left by a process that was killed.
const ABANDONED: Duration = Duration::from_secs(30);
/// How often something that is held is tried.
const ATTEMPTS: u32 = 5;
/// How long it is left alone, the first time.
const PAUSE: Duration = Duration::from_millis(50);
/// How locks end.
const LOCK: &str = "lock";

/// Takes a step that needs locks: waits a little for what another process holds, and takes away what a killed one left.
pub(crate) fn patiently<T>(mut step: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for number in 1..ATTEMPTS {
        let result = step();
        let Some(lock) = result.as_ref().err().and_then(held) else {
            return result;
        };
        if !open_abandoned(&lock) {
            thread::sleep(PAUSE * number);
        }
    }
    step()
}

/// Points a reference to an object, wherever it pointed before.
pub(crate) fn point(
    repository: &Repository,
    reference: &str,
    to: Oid,
    why: &str,
) -> Result<(), GitError> {
    patiently(|| repository.reference(reference, to, true, why))?;
    Ok(())
}

/// Gives the lock that is held, when that is what an error says.
pub(crate) fn held(error: &Error) -> Option<PathBuf> {
    if error.code() != ErrorCode::Locked {
        return None;
    }
    let (_, quoted) = error.message().split_once('\'')?;
    let (path, _) = quoted.rsplit_once('\'')?;
    let path = PathBuf::from(path);
    is_lock(&path).then_some(path)
}

/// Takes every lock out of a bare repository that nobody else uses: whoever held one was killed.
///
/// # Errors
/// What the file system says.
pub fn open_all(repository: &Path) -> io::Result<()> {
    let mut folders = vec![repository.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if is_lock(&path) {
                open(&path);
            } else if path.is_dir() && !is_loose(&path) {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// Takes a lock away when it is so old that whoever held it was killed; tells whether it is gone.
fn open_abandoned(lock: &Path) -> bool {
    let written = fs::metadata(lock).and_then(|facts| facts.modified());
    let age = written.ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age > ABANDONED) && open(lock)
}

fn open(lock: &Path) -> bool {
    let gone = fs::remove_file(lock).is_ok();
    if gone {
        tracing::warn!(lock = %lock.display(), "removed: whoever held it was killed");
    }
    gone
}

fn is_lock(path: &Path) -> bool {
    path.extension() == Some(OsStr::new(LOCK))
}

/// Whether it is one of the many folders of single objects, in which nothing is ever locked.
fn is_loose(folder: &Path) -> bool {
    let within = folder.parent().and_then(Path::file_name);
    let name = folder.file_name().unwrap_or_default();
    within == Some(OsStr::new("objects")) && name.len() == 2
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    fn mk_repository() -> (tempfile::TempDir, Repository, Oid) {
        let folder = tempfile::tempdir().expect("a folder");
        let repository = Repository::init_bare(folder.path()).expect("a repository");
        let id = repository.blob(b"something").expect("an object");
        (folder, repository, id)
    }

    fn mk_lock(path: &Path, age: Duration) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let file = File::create(path).expect("a lock");
        file.set_modified(SystemTime::now() - age).expect("its age");
    }

    #[test]
    fn a_lock_that_is_minutes_old_keeps_nothing_back() {
        let (folder, repository, id) = mk_repository();
        let lock = folder.path().join("refs/heads/a.lock");
        mk_lock(&lock, Duration::from_secs(300));
        point(&repository, "refs/heads/a", id, "test").expect("moved");
        assert!(!lock.exists());
        let found = repository.refname_to_id("refs/heads/a");
        assert_eq!(found.expect("it"), id);
    }

    #[test]
    fn a_young_lock_is_respected_and_the_message_names_it() {
        let (folder, repository, id) = mk_repository();
        let lock = folder.path().join("refs/heads/a.lock");
        mk_lock(&lock, Duration::ZERO);
        let error = point(&repository, "refs/heads/a", id, "test").expect_err("held");
        assert!(lock.exists());
        assert_eq!(error.reason(), "RepositoryLocked");
        let told = error.to_string();
        assert!(told.contains("refs/heads/a.lock"), "{told}");
        assert!(!error.help().contains("space"), "{}", error.help());
    }

    #[test]
    fn a_repository_of_ours_alone_loses_its_locks_and_nothing_else() {
        let (folder, _repository, id) = mk_repository();
        let locks = [
            "HEAD.lock",
            "config.lock",
            "packed-refs.lock",
            "shallow.lock",
            "refs/stellate/remote/heads/generated.lock",
            "objects/pack/multi-pack-index.lock",
            "objects/info/commit-graph.lock",
        ];
        for lock in locks {
            mk_lock(&folder.path().join(lock), Duration::ZERO);
        }
        open_all(folder.path()).expect("read");
        for lock in locks {
            assert!(!folder.path().join(lock).exists(), "{lock}");
        }
        let repository = Repository::open_bare(folder.path()).expect("whole");
        repository.find_blob(id).expect("the object");
    }
}
