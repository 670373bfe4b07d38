//! One service uses a cache folder at a time: a lock on a file in it, which ends with the process. Commands do not ask for it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use super::error::CliError;

/// The file that is locked; what is in it means nothing.
const FILE: &str = "service.lock";

/// Takes the folder, for as long as the file is held.
///
/// # Errors
/// When another service has it, or nothing can be written there.
pub(super) fn hold(cache: &Path) -> Result<File, CliError> {
    let shown = cache.display();
    let unusable = |error: std::io::Error| {
        CliError::message(format!("cannot use the cache folder {shown}: {error}"))
            .hint("choose another with --cache-dir DIR")
    };
    fs::create_dir_all(cache).map_err(unusable)?;
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(cache.join(FILE))
        .map_err(unusable)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(CliError::message(format!(
            "another `stellate run` uses the cache folder {shown}"
        ))
        .hint("stop that one, or give this one a folder of its own with --cache-dir DIR")),
        // Some network file systems have no locks: better a service without one than none.
        Err(TryLockError::Error(error)) if error.kind() != std::io::ErrorKind::Unsupported => {
            Err(unusable(error))
        }
        _ => Ok(file),
    }
}
