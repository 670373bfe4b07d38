//! A pack on its way into the object database: bytes in → indexed objects, or nothing but a temporary file.

use std::cell::Cell;
use std::io::{self, Read, Write as _};
use std::rc::Rc;

use git2::{Indexer, Repository};

use super::error::GitError;
use super::fetch::FetchProgress;

/// Whose fault it is that a pack was not stored.
pub(crate) enum StoreError {
    /// The stream's.
    Stream(io::Error),
    /// Ours.
    Local(GitError),
}

impl From<git2::Error> for StoreError {
    fn from(error: git2::Error) -> Self {
        Self::Local(error.into())
    }
}

/// Indexes the pack beside the repository's others while it arrives.
pub(crate) fn store_pack(
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
            indexer.write_all(&piece[..filled]).map_err(unstored)?;
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

/// The indexer hides what libgit2 says in an error of input and output.
fn unstored(error: io::Error) -> StoreError {
    match error.downcast::<git2::Error>() {
        Ok(error) => error.into(),
        Err(error) => StoreError::Local(GitError::Local {
            problem: format!("the pack cannot be stored: {error}"),
        }),
    }
}
