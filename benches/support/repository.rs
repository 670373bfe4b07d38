//! The made-up fleet as a git repository, made on the spot with `git fast-import`; edits are further commits.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::corpus::{self, Fleet};
use super::{manifest, policy, wec};

/// Seconds since 1970 of the first commit; each further one is a minute later.
const FIRST_COMMIT: u64 = 1_700_000_000;

/// A bare repository with the fleet on `main`.
pub(crate) struct SourceRepository {
    path: PathBuf,
    commits: u64,
}

impl SourceRepository {
    /// Writes the fleet into a new bare repository: one commit, one pack.
    pub(crate) fn create(path: PathBuf, fleet: &Fleet) -> Result<Self> {
        git(
            Path::new("."),
            &[
                "init",
                "--quiet",
                "--bare",
                "-b",
                "main",
                &path.to_string_lossy(),
            ],
        )?;
        let mut repository = Self { path, commits: 0 };
        let objects = (0..fleet.objects)
            .map(|object| (corpus::path(object), manifest::text(fleet, object, 0)));
        let policies = (0..fleet.namespaces()).map(|namespace| {
            (
                format!("policies/team-{namespace:03}.yaml"),
                policy::everywhere(namespace),
            )
        });
        let wecs = (0..fleet.wecs).step_by(wec::FILE_SIZE).map(|first| {
            (
                wec::path(first),
                wec::file(fleet.wecs, first, wec::Edit::None),
            )
        });
        repository.commit(objects.chain(policies).chain(wecs))?;
        Ok(repository)
    }

    /// Opens a copy of this repository, as it is now, at another place.
    pub(crate) fn copy_to(&self, path: PathBuf) -> Result<Self> {
        copy(&self.path, &path)?;
        Ok(Self {
            path,
            commits: self.commits,
        })
    }

    /// Opens the repository of another process.
    pub(crate) fn reopen(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            commits: 1,
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Commits these files on top of `main`, as a fetch would bring them in.
    pub(crate) fn commit(&mut self, files: impl Iterator<Item = (String, String)>) -> Result<()> {
        let mut import = Command::new("git")
            .args(["fast-import", "--quiet"])
            .current_dir(&self.path)
            .stdin(Stdio::piped())
            .spawn()
            .context("git fast-import")?;
        let mut input = std::io::BufWriter::new(import.stdin.take().context("no pipe to git")?);
        let time = FIRST_COMMIT + 60 * self.commits;
        write!(
            input,
            "commit refs/heads/main\ncommitter Ada <ada@example.com> {time} +0000\ndata 5\nedit\n"
        )?;
        if self.commits > 0 {
            writeln!(input, "from refs/heads/main^0")?;
        }
        for (path, text) in files {
            write!(
                input,
                "M 100644 inline {path}\ndata {}\n{text}\n",
                text.len()
            )?;
        }
        input.flush()?;
        drop(input);
        ensure!(import.wait()?.success(), "git fast-import failed");
        self.commits += 1;
        Ok(())
    }

    /// Commits the next version of an object.
    pub(crate) fn edit_object(&mut self, fleet: &Fleet, object: usize) -> Result<()> {
        let edit = usize::try_from(self.commits)?;
        let text = manifest::text(fleet, object, edit);
        self.commit(std::iter::once((corpus::path(object), text)))
    }

    /// Commits an edit of a WEC.
    pub(crate) fn edit_wec(&mut self, fleet: &Fleet, number: usize, edit: wec::Edit) -> Result<()> {
        let text = wec::file(fleet.wecs, number, edit);
        self.commit(std::iter::once((wec::path(number), text)))
    }

    /// Commits one WEC more, in a file of its own.
    pub(crate) fn add_wec(&mut self, number: usize) -> Result<()> {
        let text = wec::text(number, wec::Edit::None);
        let path = format!("inventory/{}.yaml", wec::name(number));
        self.commit(std::iter::once((path, text)))
    }
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Runs git quietly, with no configuration but the repository's.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        // Nothing goes on in the background while the next thing is measured.
        .envs([
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "gc.auto"),
            ("GIT_CONFIG_VALUE_0", "0"),
        ])
        .envs([
            ("GIT_CONFIG_KEY_1", "maintenance.auto"),
            ("GIT_CONFIG_VALUE_1", "false"),
        ])
        .envs([
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "ada@example.com"),
        ])
        .stdout(Stdio::null())
        .status()
        .context("git")?;
    ensure!(status.success(), "git {} failed", arguments.join(" "));
    Ok(())
}
