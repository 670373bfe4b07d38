//! The journal: commits of the board on disk, so that a killed process knows what its WECs said. A cache: it may be deleted at any time.

use std::io::{self, Write as _};
use std::path::Path;

use super::plan::is_same_source;
use crate::status::board::{COMMITS, CommitBoard};

/// The file that says of which source the commits are.
const SOURCE: &str = "source";

/// Reads what was written down of a source; what was written of another one is thrown away.
pub(super) fn open(folder: &Path, source: &str) -> Vec<CommitBoard> {
    let mark = folder.join(SOURCE);
    let known = std::fs::read_to_string(&mark).ok();
    let opened = match known.as_deref() {
        Some(known) if known == source => Ok(()),
        Some(known) if !is_same_source(known, source) => {
            std::fs::remove_dir_all(folder).and_then(|()| begin(folder, source))
        }
        _ => begin(folder, source),
    };
    if let Err(error) = opened {
        tracing::warn!(folder = %folder.display(), %error, "the journal cannot be begun; it is a cache");
    }
    read(folder)
}

fn begin(folder: &Path, source: &str) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(SOURCE), source)
}

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
fn read(folder: &Path) -> Vec<CommitBoard> {
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
