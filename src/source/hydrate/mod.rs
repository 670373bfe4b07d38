//! Folders that the user's tools build: kustomizations, and the Helm charts that the pipeline names.
//!
//! ```text
//! kustomization folders ─▶ those no other one refers to ─▶ closure of files ─▶ temporary copy ─▶ kustomize build ─┐
//! charts that are named ─────────────────────────────────▶ folder, values ──▶ temporary copy ─▶ helm template ────┴▶ text
//! ```
//!
//! A folder with a kustomization is opaque: what lies below is the kustomization's to use, and never read as it is.
//! Tools run on a copy of just the files they may read; they get no network and no home. What a tool made is kept by
//! what went in. What cannot be built is unknown, never gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use crate::model::{BlobId, Diagnostic, Location, RepoPath};

use super::parse::parse;
use super::tree::{Tree, TreeEntry, Which};
use super::{BrokenFile, SourceFile, blob_id, select};

mod build;
mod kustomization;

use build::{Job, Workshop};
use kustomization::Kustomization;

/// How tools are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HydrateOptions {
    /// Whether kustomizations are built; otherwise the files beside them are read as they are.
    pub kustomize: bool,
    /// Charts to render; others are passed over.
    pub charts: Vec<ChartRequest>,
    /// Longest time that one run of a tool may take.
    pub timeout: Duration,
    /// Most bytes that one run of a tool may write.
    pub output_limit: usize,
    /// Where tools are looked for; none: PATH of this process.
    pub search_path: Option<OsString>,
}

impl Default for HydrateOptions {
    fn default() -> Self {
        Self {
            kustomize: true,
            charts: Vec::new(),
            timeout: Duration::from_secs(60),
            output_limit: 64 << 20,
            search_path: None,
        }
    }
}

/// A chart to render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartRequest {
    /// The folder with the `Chart.yaml`.
    pub path: RepoPath,
    /// The release's name.
    pub release: String,
    /// The release's namespace, also for objects that name none; `default` when none is given.
    pub namespace: Option<String>,
    /// Files with values, the last one counting most; anywhere in the source.
    pub values: Vec<RepoPath>,
}

/// What the tools made.
#[derive(Debug, Default)]
pub(super) struct Hydrated {
    /// One virtual file for each folder that was built; paths from the root of the tree.
    pub(super) files: Vec<SourceFile>,
    /// The texts of `files`.
    pub(super) texts: HashMap<BlobId, Arc<[u8]>>,
    /// Folders whose files are not read as they are.
    pub(super) opaque: BTreeSet<String>,
    /// Folders that could not be built.
    pub(super) broken: Vec<BrokenFile>,
    /// Charts that nobody asked for.
    pub(super) skipped: Vec<(String, &'static str)>,
    /// The tools that were used, with their versions.
    pub(super) tools: BTreeSet<String>,
}

/// Builds what is to be built among `entries`, which are those that were selected; `prefix` is what the paths of the
/// options are relative to. `cache` is a folder for what was built.
pub(super) fn hydrate(
    tree: &dyn Tree,
    entries: &[TreeEntry],
    prefix: &str,
    options: &HydrateOptions,
    cache: Option<PathBuf>,
) -> Hydrated {
    let mut planner = Planner {
        tree,
        options,
        known: BTreeMap::new(),
        jobs: Vec::new(),
        result: Hydrated::default(),
    };
    if options.kustomize {
        planner.kustomizations(entries);
    }
    planner.charts(entries, prefix);
    let workshop = Workshop::new(options, cache);
    let (jobs, mut result) = (planner.jobs, planner.result);
    let prepared: Vec<_> = jobs
        .into_iter()
        .map(|job| workshop.prepare(tree, job))
        .collect();
    let built: Vec<_> = prepared
        .into_par_iter()
        .map(|job| workshop.build(job))
        .collect();
    for (job, outcome) in built {
        match outcome {
            Ok(built) => {
                let blob = blob_id(&built.text);
                result.tools.insert(built.tool);
                result.files.push(SourceFile {
                    path: job.output.as_str().into(),
                    blob,
                    parsed: Arc::new(parse(&built.text)),
                    namespace: job.namespace,
                });
                result.texts.insert(blob, built.text.into());
            }
            Err(problem) => result.broken.push(problem.broken(&job.marker)),
        }
    }
    result
}

/// What is wrong with a folder that should be built.
#[derive(Clone, Debug)]
struct Problem {
    reason: &'static str,
    message: String,
    help: String,
}

impl Problem {
    fn new(reason: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            help: help.into(),
        }
    }

    fn broken(self, marker: &str) -> BrokenFile {
        let diagnostic = Diagnostic::error(self.reason, self.message)
            .help(self.help)
            .at(Location::file(marker.into()));
        BrokenFile {
            path: marker.into(),
            blob: None,
            diagnostic,
        }
    }
}

/// Finds out what is to be built, and from which files.
struct Planner<'t> {
    tree: &'t dyn Tree,
    options: &'t HydrateOptions,
    /// Folders that were looked at: where their kustomization is and what it says; none for folders without one.
    known: BTreeMap<String, Option<(String, Kustomization)>>,
    jobs: Vec<Job>,
    result: Hydrated,
}

impl Planner<'_> {
    fn kustomizations(&mut self, entries: &[TreeEntry]) {
        let mut folders: BTreeMap<String, String> = BTreeMap::new();
        for entry in entries {
            let folder = select::parent(&entry.path);
            let name = entry.path.rsplit('/').next().unwrap_or(&entry.path);
            if select::is_kustomization(name) {
                folders.insert(folder.to_owned(), entry.path.clone());
            }
        }
        let mut bases = BTreeSet::new();
        let mut candidates = Vec::new();
        for (folder, marker) in folders {
            self.result.opaque.insert(folder.clone());
            match self.look(&folder) {
                Ok(Some((_, found))) => {
                    let local = found.references.iter();
                    bases.extend(local.filter_map(|entry| select::join(&folder, entry)));
                    if !found.component {
                        candidates.push((folder, marker));
                    }
                }
                Ok(None) => {}
                Err(problem) => self.result.broken.push(problem.broken(&marker)),
            }
        }
        candidates.retain(|(folder, _)| !bases.contains(folder));
        for (folder, marker) in candidates {
            let mut files = BTreeMap::new();
            match self.closure(&folder, &mut files, &mut BTreeSet::new()) {
                Ok(()) => self.jobs.push(Job::kustomize(folder, marker, files)),
                Err(problem) => self.result.broken.push(problem.broken(&marker)),
            }
        }
    }

    /// Reads the kustomization of a folder, if it has one.
    fn look(&mut self, folder: &str) -> Result<Option<(String, Kustomization)>, Problem> {
        if let Some(known) = self.known.get(folder) {
            return Ok(known.clone());
        }
        let mut found = None;
        for name in ["kustomization.yaml", "kustomization.yml", "Kustomization"] {
            let path = select::below(folder, name);
            let Ok(listing) = self.tree.list(&path, Which::All) else {
                continue;
            };
            let Some(entry) = listing.entries.first() else {
                continue;
            };
            let bytes = self
                .tree
                .read(&path, entry.blob)
                .map_err(|error| Problem::new(error.reason(), error.to_string(), error.help()))?;
            let read = kustomization::read(&bytes).map_err(|error| {
                let help = error.help().unwrap_or("correct the kustomization");
                Problem::new(
                    error.reason(),
                    format!("line {}: {error}", error.line()),
                    help,
                )
            })?;
            found = Some((path, read));
            break;
        }
        self.known.insert(folder.to_owned(), found.clone());
        Ok(found)
    }

    /// Collects every file that building a folder may read: its own, and those of the folders it refers to.
    fn closure(
        &mut self,
        folder: &str,
        files: &mut BTreeMap<String, BlobId>,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), Problem> {
        if !seen.insert(folder.to_owned()) {
            return Ok(());
        }
        self.collect(folder, files)?;
        let Some((marker, found)) = self.look(folder)? else {
            return Ok(());
        };
        if let Some(address) = found.remote.first() {
            let text =
                format!("`{marker}` refers to `{address}`, which would have to be downloaded");
            let help = "copy it into the source, so that a commit says all there is to say";
            return Err(Problem::new("RemoteBase", text, help));
        }
        for entry in &found.references {
            let Some(path) = select::join(folder, entry) else {
                let text =
                    format!("`{marker}` refers to `{entry}`, which is outside of the source");
                return Err(Problem::new(
                    "OutsideSource",
                    text,
                    "move it into the repository",
                ));
            };
            let is_file = files.contains_key(&path);
            if is_file {
                continue;
            }
            // A folder that exists is the only thing left that needs no network.
            let inside = self.tree.list(&path, Which::All);
            if inside.is_ok_and(|inside| !inside.entries.is_empty()) {
                self.closure(&path, files, seen)?;
            } else {
                let text = format!("`{marker}` refers to `{entry}`, which does not exist");
                return Err(Problem::new(
                    "MissingResource",
                    text,
                    "correct the entry or add the file",
                ));
            }
        }
        Ok(())
    }

    /// Adds everything below a folder.
    fn collect(&self, folder: &str, files: &mut BTreeMap<String, BlobId>) -> Result<(), Problem> {
        let listing = self
            .tree
            .list(folder, Which::All)
            .map_err(|error| Problem::new(error.reason(), error.to_string(), error.help()))?;
        if let Some(broken) = listing.broken.into_iter().next() {
            let text = format!("{}: {}", broken.path, broken.diagnostic.message);
            let help = broken.diagnostic.help.unwrap_or_default();
            return Err(Problem::new(broken.diagnostic.reason, text, help));
        }
        files.extend(
            listing
                .entries
                .into_iter()
                .map(|entry| (entry.path, entry.blob)),
        );
        Ok(())
    }

    fn charts(&mut self, entries: &[TreeEntry], prefix: &str) {
        let wanted: BTreeSet<String> = self
            .options
            .charts
            .iter()
            .map(|chart| select::below(prefix, &select::normal(chart.path.as_str())))
            .collect();
        for entry in entries {
            let folder = select::parent(&entry.path);
            let marker = entry.path == select::below(folder, "Chart.yaml");
            let inside = self
                .result
                .opaque
                .iter()
                .any(|opaque| select::is_below(folder, opaque));
            if !marker || inside {
                continue;
            }
            self.result.opaque.insert(folder.to_owned());
            if !wanted.contains(folder) {
                let reason = "a Helm chart that the pipeline does not name";
                self.result.skipped.push((entry.path.clone(), reason));
            }
        }
        for chart in &self.options.charts {
            let folder = select::below(prefix, &select::normal(chart.path.as_str()));
            self.result.opaque.insert(folder.clone());
            let marker = select::below(&folder, "Chart.yaml");
            match self.chart(chart, &folder, prefix) {
                Ok(files) => {
                    self.jobs
                        .push(Job::helm(chart, folder, marker, prefix, files));
                }
                Err(problem) => self.result.broken.push(problem.broken(&marker)),
            }
        }
    }

    /// Collects what rendering a chart reads.
    fn chart(
        &self,
        chart: &ChartRequest,
        folder: &str,
        prefix: &str,
    ) -> Result<BTreeMap<String, BlobId>, Problem> {
        let mut files = BTreeMap::new();
        self.collect(folder, &mut files)?;
        for path in &chart.values {
            self.collect(
                &select::below(prefix, &select::normal(path.as_str())),
                &mut files,
            )?;
        }
        Ok(files)
    }
}
