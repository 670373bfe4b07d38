//! One run of a tool: files out to a temporary folder, text back; kept by what went in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use aws_lc_rs::digest::{Context, SHA256};

use crate::model::BlobId;
use crate::source::tool::{self, Budget, ToolError};
use crate::source::tree::Tree;
use crate::source::{hexadecimal, select};

use super::{ChartRequest, HydrateOptions, Problem};

/// So many results are kept.
const KEPT: usize = 512;

/// First word of a kept result.
const MAGIC: &str = "stellate-built-1";

/// Which tool, and with which words.
#[derive(Clone, Debug)]
enum Recipe {
    Kustomize,
    Helm(Vec<OsString>),
}

/// Something to build.
#[derive(Clone, Debug)]
pub(super) struct Job {
    recipe: Recipe,
    /// The folder, from the root.
    folder: String,
    /// The file that says that it is to be built.
    pub(super) marker: String,
    /// The name of the virtual file with the result.
    pub(super) output: String,
    /// The namespace of objects that name none.
    pub(super) namespace: Option<Arc<str>>,
    /// Every file that the tool may read.
    files: BTreeMap<String, BlobId>,
}

impl Job {
    pub(super) fn kustomize(
        folder: String,
        marker: String,
        files: BTreeMap<String, BlobId>,
    ) -> Self {
        Self {
            recipe: Recipe::Kustomize,
            output: format!("{marker} (built)"),
            folder,
            marker,
            namespace: None,
            files,
        }
    }

    pub(super) fn helm(
        chart: &ChartRequest,
        folder: String,
        marker: String,
        prefix: &str,
        files: BTreeMap<String, BlobId>,
    ) -> Self {
        let namespace = chart.namespace.as_deref().unwrap_or("default");
        // The folder comes after `--`, and names cannot be taken for options with `=`.
        let mut words: Vec<OsString> = vec![
            "template".into(),
            format!("--namespace={namespace}").into(),
            "--include-crds".into(),
            "--skip-tests".into(),
        ];
        for path in &chart.values {
            let path = select::below(prefix, &select::normal(path.as_str()));
            words.push(format!("--values={}", dotted(&path)).into());
        }
        words.push("--".into());
        words.push(chart.release.as_str().into());
        words.push(dotted(&folder).into());
        Self {
            recipe: Recipe::Helm(words),
            output: format!("{marker} (built as {})", chart.release),
            folder,
            marker,
            namespace: Some(namespace.into()),
            files,
        }
    }
}

/// A path that no tool takes for an option or an address.
fn dotted(path: &str) -> String {
    format!("./{path}")
}

/// What a run gave.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) text: Vec<u8>,
    /// The tool and its version.
    pub(super) tool: String,
}

/// A job, ready to run on any thread.
pub(super) struct Prepared {
    job: Job,
    state: Result<State, Problem>,
}

enum State {
    Kept(Built),
    Ready {
        program: PathBuf,
        words: Vec<OsString>,
        folder: tempfile::TempDir,
        key: String,
    },
}

/// Where tools are run.
pub(super) struct Workshop<'o> {
    options: &'o HydrateOptions,
    search_path: OsString,
    cache: Option<PathBuf>,
}

impl<'o> Workshop<'o> {
    pub(super) fn new(options: &'o HydrateOptions, cache: Option<PathBuf>) -> Self {
        let own = || std::env::var_os("PATH").unwrap_or_default();
        Self {
            options,
            search_path: options.search_path.clone().unwrap_or_else(own),
            cache: cache.map(|folder| folder.join("built")),
        }
    }

    /// Looks for a kept result; without one, writes the files that the tool may read to a folder of its own.
    pub(super) fn prepare(&self, tree: &dyn Tree, job: Job) -> Prepared {
        let state = self.state(tree, &job);
        Prepared { job, state }
    }

    fn state(&self, tree: &dyn Tree, job: &Job) -> Result<State, Problem> {
        let (program, words) = self.command(job)?;
        let key = key(&program, &words, job);
        if let Some(built) = self.kept(&key) {
            return Ok(State::Kept(built));
        }
        let folder = tempfile::tempdir().map_err(|error| export_problem(&error))?;
        export(tree, job, &folder.path().join("source"))?;
        fs::create_dir(folder.path().join("home")).map_err(|error| export_problem(&error))?;
        Ok(State::Ready {
            program,
            words,
            folder,
            key,
        })
    }

    /// Finds the tool.
    fn command(&self, job: &Job) -> Result<(PathBuf, Vec<OsString>), Problem> {
        let find = |name| tool::find(name, &self.search_path);
        match &job.recipe {
            Recipe::Kustomize => {
                let folder = OsString::from(dotted(&job.folder));
                if let Some(program) = find("kustomize") {
                    return Ok((program, vec!["build".into(), folder]));
                }
                if let Some(program) = find("kubectl") {
                    return Ok((program, vec!["kustomize".into(), folder]));
                }
                Err(Problem::new(
                    "ToolMissing",
                    "a kustomization needs `kustomize` or `kubectl`, and neither is on PATH",
                    "install kustomize, or commit what it builds",
                ))
            }
            Recipe::Helm(words) => find("helm")
                .map(|program| (program, words.clone()))
                .ok_or_else(|| {
                    Problem::new(
                        "ToolMissing",
                        "a chart needs `helm`, which is not on PATH",
                        "install helm, or commit what `helm template` writes",
                    )
                }),
        }
    }

    /// Runs the tool.
    pub(super) fn build(&self, prepared: Prepared) -> (Job, Result<Built, Problem>) {
        let job = prepared.job;
        let built = prepared.state.and_then(|state| match state {
            State::Kept(built) => Ok(built),
            State::Ready {
                program,
                words,
                folder,
                key,
            } => {
                let built = self.run(&job, &program, &words, folder.path())?;
                self.keep(&key, &built);
                Ok(built)
            }
        });
        (job, built)
    }

    fn run(
        &self,
        job: &Job,
        program: &Path,
        words: &[OsString],
        folder: &Path,
    ) -> Result<Built, Problem> {
        let budget = Budget {
            time: self.options.timeout,
            bytes: self.options.output_limit,
        };
        let (source, home) = (folder.join("source"), folder.join("home"));
        let run = |words: &[OsString]| {
            tool::run(program, words, &source, &home, &self.search_path, &budget)
        };
        let text = run(words).map_err(|error| problem(&error, job, folder))?;
        let name = program
            .file_name()
            .and_then(OsStr::to_str)
            .unwrap_or("tool");
        let question: &[OsString] = match name {
            "kubectl" => &["version".into(), "--client".into()],
            "helm" => &["version".into(), "--short".into()],
            _ => &["version".into()],
        };
        // A tool that does not tell its version has done its work all the same.
        let version = run(question).unwrap_or_default();
        let tool = format!("{name} {}", version_in(&version));
        Ok(Built { text, tool })
    }

    /// Gives a kept result.
    fn kept(&self, key: &str) -> Option<Built> {
        let bytes = fs::read(self.cache.as_ref()?.join(key)).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let text = bytes.get(end + 1..)?.to_vec();
        let (sum, tool) = head.strip_prefix(MAGIC)?.trim_start().split_once(' ')?;
        (sum == format!("{:08x}", crc32fast::hash(&text))).then(|| Built {
            text,
            tool: tool.to_owned(),
        })
    }

    /// Keeps a result, if the disk lets us.
    fn keep(&self, key: &str, built: &Built) {
        let Some(folder) = &self.cache else { return };
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let sum = crc32fast::hash(&built.text);
            writeln!(file, "{MAGIC} {sum:08x} {}", built.tool)?;
            file.write_all(&built.text)?;
            file.persist(folder.join(key))?;
            prune(folder)
        };
        drop(write());
    }
}

/// Removes the oldest results.
fn prune(folder: &Path) -> std::io::Result<()> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        all.push((entry.metadata()?.modified()?, entry.path()));
    }
    all.sort();
    let surplus = all.len().saturating_sub(KEPT);
    for (_, path) in all.into_iter().take(surplus) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Names a result by everything that went in: the tool as it lies there, its words, and every file.
fn key(program: &Path, words: &[OsString], job: &Job) -> String {
    let mut hash = Context::new(&SHA256);
    let mut add = |bytes: &[u8]| {
        hash.update(&u64::try_from(bytes.len()).unwrap_or_default().to_le_bytes());
        hash.update(bytes);
    };
    add(program.as_os_str().as_encoded_bytes());
    if let Ok(metadata) = fs::metadata(program) {
        let age = metadata.modified().ok();
        let age = age.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        add(&metadata.len().to_le_bytes());
        add(&age.unwrap_or_default().as_nanos().to_le_bytes());
    }
    for word in words {
        add(word.as_encoded_bytes());
    }
    for (path, blob) in &job.files {
        add(path.as_bytes());
        add(&blob.0);
    }
    hexadecimal(hash.finish().as_ref())
}

/// Writes the files of a job below `root`, and nowhere else.
fn export(tree: &dyn Tree, job: &Job, root: &Path) -> Result<(), Problem> {
    for (path, blob) in &job.files {
        let relative = Path::new(path);
        let plain = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            let text = format!("`{path}` is no path inside a folder");
            return Err(Problem::new("InvalidPath", text, "rename the file"));
        }
        let bytes = tree
            .read(path, *blob)
            .map_err(|error| Problem::new(error.reason(), error.to_string(), error.help()))?;
        let target = root.join(relative);
        let written = target.parent().map_or(Ok(()), fs::create_dir_all);
        written
            .and_then(|()| fs::write(&target, bytes))
            .map_err(|error| export_problem(&error))?;
    }
    Ok(())
}

fn export_problem(error: &std::io::Error) -> Problem {
    let text = format!("the folder cannot be copied to a temporary one: {error}");
    Problem::new("TemporaryFolder", text, "free some space, or set TMPDIR")
}

/// Says why a tool failed; the temporary folder's name helps nobody.
fn problem(error: &ToolError, job: &Job, folder: &Path) -> Problem {
    let text = error.to_string();
    let temporary = format!("{}/", folder.join("source").display());
    let text = text.replace(&temporary, "");
    let (reason, help) = match error {
        ToolError::Start { .. } => ("ToolUnusable", "check the program's permissions".to_owned()),
        ToolError::Failed { .. } => ("BuildFailed", again(job)),
        ToolError::Slow { .. } => (
            "BuildTimeout",
            "raise the time limit, or build less at once".to_owned(),
        ),
        ToolError::Large { .. } => (
            "BuildTooLarge",
            "raise the limit, or build less at once".to_owned(),
        ),
    };
    Problem::new(reason, text, help)
}

/// How a person sees the same.
fn again(job: &Job) -> String {
    match &job.recipe {
        Recipe::Kustomize => format!("try `kustomize build {}`", dotted(&job.folder)),
        Recipe::Helm(words) => {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            format!("try `helm {}`", words.join(" "))
        }
    }
}

/// The version in what a tool says of itself.
fn version_in(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let line = lines
        .clone()
        .find_map(|line| line.strip_prefix("Kustomize Version: "));
    let line = line
        .or_else(|| lines.next())
        .unwrap_or("of unknown version");
    line.trim()
        .chars()
        .filter(|character| !character.is_control())
        .take(60)
        .collect()
}
