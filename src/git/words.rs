//! What libgit2 says, in plain words: an error → the end of a sentence.

use git2::{Error, ErrorClass, ErrorCode};

use super::locks::held;

/// Says in plain words what is wrong; what nobody has words for is quoted.
pub(crate) fn plain(error: &Error) -> String {
    if let Some(lock) = held(error) {
        return format!("another process holds {}", lock.display());
    }
    let words = match (error.code(), error.class()) {
        (ErrorCode::NotFound, ErrorClass::Repository) => "there is no git repository",
        (ErrorCode::NotFound, ErrorClass::Os) => "there is no such file or folder",
        (ErrorCode::NotFound, ErrorClass::Odb | ErrorClass::Object | ErrorClass::Tree) => {
            "an object is missing from it"
        }
        (ErrorCode::NotFound | ErrorCode::UnbornBranch, _) => {
            "there is no such branch, tag or commit"
        }
        (ErrorCode::InvalidSpec, _) => "that is no name of a branch, tag or commit",
        (ErrorCode::Ambiguous, _) => "the shortened id fits several objects",
        (ErrorCode::Exists, _) => "it is there already",
        (ErrorCode::Owner, _) => {
            "it belongs to another user, and git reads it only when safe.directory allows it"
        }
        (_, ErrorClass::Zlib | ErrorClass::Odb | ErrorClass::Object) => {
            "an object in it is damaged"
        }
        _ => return format!("git says: {}", error.message()),
    };
    words.to_owned()
}

/// Whether what a repository holds is to blame, rather than the disk, another process or what was asked for.
pub(crate) fn is_damage(error: &Error) -> bool {
    let disk = matches!(
        error.class(),
        ErrorClass::None | ErrorClass::Os | ErrorClass::Filesystem | ErrorClass::NoMemory
    );
    let asked = matches!(
        error.code(),
        ErrorCode::InvalidSpec | ErrorCode::Ambiguous | ErrorCode::Exists | ErrorCode::Owner
    );
    // A folder of the repository that is away has no code of its own.
    let missing = error.code() == ErrorCode::NotFound
        || error.message().ends_with("No such file or directory");
    (!disk || missing) && !asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_errors_are_told_in_plain_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = |error: Option<Error>| plain(&error.expect("an error"));
        assert_eq!(
            said(git2::Repository::discover(folder.path()).err()),
            "there is no git repository"
        );
        let repository = git2::Repository::init(folder.path()).expect("a repository");
        assert_eq!(
            said(repository.revparse_single("nowhere").err()),
            "there is no such branch, tag or commit"
        );
        assert_eq!(
            said(repository.revparse_single("a..b..c").err()),
            "that is no name of a branch, tag or commit"
        );
        let other = Error::from_str("odd");
        assert_eq!(plain(&other), "git says: odd");
    }
}
