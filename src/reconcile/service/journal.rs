//! The journal: commits of the board on disk, so that a killed process knows what its WECs said. A cache: it may be deleted at any time.

use std::io::{self, Write as _};
use std::path::Path;

use crate::status::board::{COMMITS, CommitBoard};

/// Writes a commit down, whole or not at all; the oldest beyond the board's size go.
pub(super) fn write(folder: &Path, commit: &CommitBoard) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(io::BufWriter::new(&mut file), commit)?;
    file.flush()?;
    file.persist(folder.join(format!("{}.json", commit.id)))?;
    let mut all = files(folder)?;
    all.sort();
    let excess = all.len().saturating_sub(COMMITS);
    for (_, path) in all.into_iter().take(excess) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Reads what was written down, the commit that was seen last first. What cannot be read is left out.
pub(super) fn read(folder: &Path) -> Vec<CommitBoard> {
    let files = files(folder).unwrap_or_default();
    let commits = files.into_iter().filter_map(|(_, path)| {
        let text = std::fs::read(path).ok()?;
        serde_json::from_slice::<CommitBoard>(&text).ok()
    });
    let mut commits: Vec<CommitBoard> = commits.collect();
    commits.sort_by_key(|commit| std::cmp::Reverse(commit.seen));
    commits
}

type Written = (std::time::SystemTime, std::path::PathBuf);

fn files(folder: &Path) -> io::Result<Vec<Written>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    Ok(found)
}
