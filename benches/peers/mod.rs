//! T2: the same commit made the ways that people make it: files and `git add`, `git fast-import`, a kustomize for each WEC.
//!
//! All ways are measured in turn in one process, so that the ratios hold on a machine that changes its speed. Kustomize is
//! run for a few WECs only, and its time multiplied.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use stellate::output::path;
use stellate::reconcile::Rendering;
use stellate::transform::Content;

use crate::support::cases::Run;
use crate::support::corpus::{self, Fleet, Mode};
use crate::support::manifest;
use crate::support::measure::{median, seconds};
use crate::support::repository::{SourceRepository, git};
use crate::support::table::Table;

/// WECs that kustomize is run for.
const KUSTOMIZE_RUNS: usize = 3;

/// What each way took, in seconds; one entry a round.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Comparison {
    wecs: usize,
    ours: Vec<f64>,
    ours_changed: Vec<f64>,
    files: Vec<f64>,
    files_changed: Vec<f64>,
    fast_import: Vec<f64>,
    /// One WEC each; empty where there is no kustomize.
    kustomize: Vec<f64>,
}

/// Measures all ways on a fleet.
pub(crate) fn compare(source: &Path, arguments: &[String]) -> Result<Comparison> {
    let fleet = Fleet::new(arguments[1].parse()?, arguments[2].parse()?, Mode::Spread);
    let rounds: usize = arguments[3].parse()?;
    let source = SourceRepository::reopen(source);
    let folder = source.path().parent().context("no folder")?.to_owned();
    let mut found = Comparison {
        wecs: fleet.wecs,
        ..Comparison::default()
    };
    for round in 0..rounds {
        let mut copy = source.copy_to(folder.join(format!("ours-{round}.git")))?;
        let mut run = Run::new(copy.path(), None);
        let (time, done) = timed(|| run.go())?;
        found.ours.push(time);
        copy.edit_object(&fleet, fleet.deployment(false))?;
        let (time, changed) = timed(|| run.go())?;
        found.ours_changed.push(time);

        // A folder that was never used: where many files were just deleted, ext4 takes many times as long.
        let folder = folder.join(format!("files-{round}"));
        std::fs::create_dir(&folder)?;
        git(&folder, &["init", "--quiet", "-b", "generated"])?;
        let texts = Texts::new(&done.0);
        found
            .files
            .push(timed(|| commit_files(&folder, &texts, None))?.0);
        let key = changed_path(&fleet);
        let texts = Texts::new(&changed.0);
        found
            .files_changed
            .push(timed(|| commit_files(&folder, &texts, Some(&key)))?.0);

        let target = folder.with_extension("git");
        git(
            &folder,
            &["init", "--quiet", "--bare", &target.to_string_lossy()],
        )?;
        found
            .fast_import
            .push(timed(|| fast_import(&target, &texts))?.0);
    }
    if let Some(kustomize) = kustomize() {
        let base = folder.join("kustomize");
        write_overlays(&base, &fleet)?;
        for wec in 0..KUSTOMIZE_RUNS {
            let (time, ()) = timed(|| build_overlay(&kustomize, &base.join(format!("wec-{wec}"))))?;
            found.kustomize.push(time);
        }
    }
    Ok(found)
}

impl Comparison {
    /// Puts the ratios into the table.
    pub(crate) fn judge(&self, table: &mut Table, name: &str) {
        let of = |times: &[f64]| median(times.to_vec());
        let ratio = |theirs: &[f64], ours: &[f64]| {
            median(
                theirs
                    .iter()
                    .zip(ours)
                    .map(|(theirs, ours)| theirs / ours)
                    .collect(),
            )
        };
        let show = |ratio: f64, theirs: f64, ours: f64| {
            format!(
                "{ratio:.0} × ({} against {})",
                seconds(theirs),
                seconds(ours)
            )
        };
        let cold = ratio(&self.files, &self.ours);
        let text = show(cold, of(&self.files), of(&self.ours));
        table.judge(
            &format!("{name} cold against files + git add + commit"),
            "≥ 50 ×",
            text,
            cold >= 50.0,
        );
        let changed = ratio(&self.files_changed, &self.ours_changed);
        let text = show(changed, of(&self.files_changed), of(&self.ours_changed));
        table.judge(
            &format!("{name} one object changed, likewise"),
            "≥ 100 ×",
            text,
            changed >= 100.0,
        );
        let import = ratio(&self.fast_import, &self.ours);
        table.note(
            &format!("{name} cold against git fast-import"),
            show(import, of(&self.fast_import), of(&self.ours)),
        );
        let wanted = "≥ 500 ×";
        let target = format!("{name} cold against kustomize for each WEC");
        if self.kustomize.is_empty() {
            table.skip(&target, wanted, "neither kustomize nor kubectl was found");
            return;
        }
        let runs = u32::try_from(self.wecs).map_or(f64::NAN, f64::from);
        let (all, ours) = (of(&self.kustomize) * runs, of(&self.ours));
        let text = format!(
            "{}, extrapolated from {} runs of {}",
            show(all / ours, all, ours),
            self.kustomize.len(),
            seconds(of(&self.kustomize))
        );
        table.judge(&target, wanted, text, all / ours >= 500.0);
    }
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed().as_secs_f64(), result))
}

/// Every distinct text, and the files that have it.
struct Texts {
    texts: Vec<Vec<u8>>,
    files: Vec<(String, usize)>,
}

impl Texts {
    /// Lays out what a rendering would write, before any clock runs.
    fn new(rendering: &Rendering) -> Self {
        let mut found = Self {
            texts: Vec::new(),
            files: Vec::new(),
        };
        for object in &rendering.rendered.objects {
            let place = format!(
                "{}/{}",
                path::folder(&object.key),
                path::file_name(&object.key)
            );
            for variant in object.variants.iter() {
                let mut known: HashMap<u32, usize> = HashMap::new();
                for (rank, cluster) in variant.clusters.iter().enumerate() {
                    let filling = match &variant.content {
                        Content::Shared(_) => 0,
                        Content::Filled { choice, .. } => choice[rank],
                    };
                    let text = *known.entry(filling).or_insert_with(|| {
                        let mut text = Vec::new();
                        variant.bytes_into(cluster, &mut text);
                        found.texts.push(text);
                        found.texts.len() - 1
                    });
                    let name = &rendering.rendered.clusters[cluster];
                    found.files.push((format!("clusters/{name}/{place}"), text));
                }
            }
        }
        found
    }
}

/// The end of the path of the object that was changed.
fn changed_path(fleet: &Fleet) -> String {
    let object = fleet.deployment(false);
    format!(
        "/{}/deployment.apps-{}.yaml",
        corpus::namespace(object),
        corpus::name(object)
    )
}

/// Writes files, all or those with this ending, then `git add -A` and `git commit`.
fn commit_files(folder: &Path, texts: &Texts, ending: Option<&str>) -> Result<()> {
    let mut last = "";
    for (path, text) in &texts.files {
        if ending.is_some_and(|ending| !path.ends_with(ending)) {
            continue;
        }
        let parent = path.rsplit_once('/').map_or("", |split| split.0);
        if parent != last {
            std::fs::create_dir_all(folder.join(parent))?;
            last = parent;
        }
        std::fs::write(folder.join(path), &texts.texts[*text])?;
    }
    git(folder, &["add", "-A"])?;
    git(folder, &["commit", "--quiet", "-m", "render"])
}

/// Each text once, each file a reference to it.
fn fast_import(target: &Path, texts: &Texts) -> Result<()> {
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(target)
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = std::io::BufWriter::new(import.stdin.take().context("no pipe to git")?);
    for (number, text) in texts.texts.iter().enumerate() {
        write!(input, "blob\nmark :{}\ndata {}\n", number + 1, text.len())?;
        input.write_all(text)?;
        input.write_all(b"\n")?;
    }
    write!(
        input,
        "commit refs/heads/generated\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 6\nrender\n"
    )?;
    for (path, text) in &texts.files {
        writeln!(input, "M 100644 :{} {path}", text + 1)?;
    }
    input.flush()?;
    drop(input);
    ensure!(import.wait()?.success(), "git fast-import failed");
    Ok(())
}

/// How kustomize is run here, if it is there at all.
fn kustomize() -> Option<Vec<&'static str>> {
    let works = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if works(&["kustomize", "version"]) {
        return Some(vec!["kustomize", "build"]);
    }
    works(&["kubectl", "version", "--client"]).then(|| vec!["kubectl", "kustomize"])
}

/// A base with all objects, and an overlay for each WEC that patches the customised ones.
fn write_overlays(folder: &Path, fleet: &Fleet) -> Result<()> {
    let base = folder.join("base");
    std::fs::create_dir_all(&base)?;
    let mut list = "resources:\n".to_owned();
    let mut patches = "resources: [../base]\npatches:\n".to_owned();
    for object in 0..fleet.objects {
        std::fs::write(
            base.join(format!("{object}.yaml")),
            manifest::text(fleet, object, 0),
        )?;
        let _ = writeln!(list, "  - {object}.yaml");
        if fleet.is_customised(object) {
            let _ = write!(
                patches,
                "  - target: {{name: {}, namespace: {}}}\n    patch: |\n      - op: replace\n        \
                 path: /metadata/annotations/example.com~1owner\n        value: WEC\n",
                corpus::name(object),
                corpus::namespace(object)
            );
        }
    }
    std::fs::write(base.join("kustomization.yaml"), list)?;
    for wec in 0..KUSTOMIZE_RUNS {
        let overlay = folder.join(format!("wec-{wec}"));
        std::fs::create_dir_all(&overlay)?;
        std::fs::write(
            overlay.join("kustomization.yaml"),
            patches.replace("WEC", &format!("wec-{wec}")),
        )?;
    }
    Ok(())
}

fn build_overlay(kustomize: &[&str], overlay: &Path) -> Result<()> {
    let status = Command::new(kustomize[0])
        .args(&kustomize[1..])
        .arg(overlay)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "kustomize failed");
    Ok(())
}
