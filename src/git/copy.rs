//! Bare repositories of our own, which may be deleted at any time: a folder → a repository that can be used.
//!
//! One that cannot be opened is made anew. It comes to its place whole, so that nobody ever opens half of one.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use git2::{ErrorCode, Repository};
use tempfile::{Builder, TempDir};

use super::error::GitError;
use super::words::{is_damage, plain};

/// How the name of a folder begins in which one is being made.
const UNFINISHED: &str = ".new-";

/// Tells whether a folder of this name holds one that was never finished, when nobody is at it.
pub fn is_unfinished(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(UNFINISHED)
}

/// Opens the repository at a folder; makes an empty one where there is none, or none that can be opened.
///
/// # Errors
/// [`GitError::Local`] when the file system refuses.
pub fn open_or_make(folder: &Path) -> Result<Repository, GitError> {
    match Repository::open_bare(folder) {
        Err(error) if error.code() == ErrorCode::NotFound => make(folder)?,
        Err(error) if !is_damage(&error) => return Err(error.into()),
        Err(_) => {}
        Ok(repository) => return Ok(repository),
    }
    Repository::open_bare(folder).or_else(|error| {
        let problem = plain(&error);
        tracing::warn!(repository = %folder.display(), "made anew: {problem}");
        remake(folder)
    })
}

/// Makes an empty repository, whatever was there.
///
/// # Errors
/// [`GitError::Local`] when the file system refuses.
pub fn remake(folder: &Path) -> Result<Repository, GitError> {
    let old = beside(folder)?;
    match fs::rename(folder, old.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(refused(folder, &error));
        }
        _ => {}
    }
    make(folder)?;
    Ok(Repository::open_bare(folder)?)
}

/// Makes an empty repository beside its place and moves it there: a process that is killed meanwhile leaves nothing in the place.
fn make(folder: &Path) -> Result<(), GitError> {
    let new = beside(folder)?;
    Repository::init_bare(new.path())?;
    match fs::rename(new.path(), folder) {
        // Another thread or process was faster.
        Err(_) if folder.exists() => Ok(()),
        moved => moved.map_err(|error| refused(folder, &error)),
    }
}

/// A new folder beside another one, which goes when it is dropped.
fn beside(folder: &Path) -> Result<TempDir, GitError> {
    let above = folder.parent().unwrap_or(Path::new(""));
    let made = fs::create_dir_all(above);
    let made = made.and_then(|()| Builder::new().prefix(UNFINISHED).tempdir_in(above));
    made.map_err(|error| refused(folder, &error))
}

fn refused(folder: &Path, error: &io::Error) -> GitError {
    GitError::Local {
        problem: format!("{}: {error}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_who_make_the_same_repository_at_once_all_get_it() {
        let folder = tempfile::tempdir().expect("a folder");
        for round in 0..20 {
            let place = folder.path().join(round.to_string());
            std::thread::scope(|scope| {
                let each: Vec<_> = (0..4).map(|_| scope.spawn(|| open(&place))).collect();
                for one in each {
                    one.join().expect("no panic").expect("a repository");
                }
            });
        }
    }

    fn open(place: &Path) -> Result<(), GitError> {
        open_or_make(place).map(drop)
    }

    #[test]
    fn a_repository_that_cannot_be_opened_is_made_anew() {
        for damage in ["[core", "\u{0}\u{1}\u{2}"] {
            let folder = tempfile::tempdir().expect("a folder");
            let place = folder.path().join("copy");
            drop(open_or_make(&place).expect("made"));
            fs::write(place.join("config"), damage).expect("written");
            fs::write(place.join("HEAD"), "").expect("written");
            open_or_make(&place).expect("made anew");
            assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1);
        }
    }
}
