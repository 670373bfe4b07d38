//! The pieces of work that are measured, each in a process of its own: the bench starts itself again with the name of a
//! case, and the case prints one line of JSON.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stellate::model::api::pipeline::Layout;
use stellate::reconcile::{
    BranchDestination, Delivery, DeliveryOptions, Destination, Outcome, Pipeline, Rendering,
    Request, Silent,
};

use super::measure::{self, Spent, in_seconds};
use super::unit;

/// The branch that is generated.
pub(crate) const BRANCH: &str = "generated";

/// What one case says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Seconds by the clock.
    pub(crate) wall: f64,
    /// Seconds of all cores.
    pub(crate) cpu: f64,
    /// The machine's speed before and after, see [`measure::calibrate`].
    pub(crate) calibration: [f64; 2],
    /// Most memory ever held, in MB.
    pub(crate) peak: f64,
    /// The unit in seconds; 0 when it was not asked for.
    pub(crate) unit: f64,
    /// Distinct blobs, trees, and bytes in them, of the whole commit.
    pub(crate) distinct: [u64; 3],
    /// Files on all WECs.
    pub(crate) files: u64,
    /// New blobs and trees that were written.
    pub(crate) written: [u64; 2],
    /// Bytes of the packs in the repository that were not there before.
    pub(crate) pack: u64,
    /// Seconds of each stage.
    pub(crate) stages: Vec<(String, f64)>,
    /// The generated commit.
    pub(crate) commit: String,
}

impl Report {
    /// How much the machine's speed changed while this was measured.
    pub(crate) fn drift(&self) -> f64 {
        let [before, after] = self.calibration;
        (before / after).max(after / before)
    }

    /// Wall time, on a machine where the calibration takes one second.
    pub(crate) fn normal(&self) -> f64 {
        self.wall / f64::midpoint(self.calibration[0], self.calibration[1])
    }
}

/// Runs a case in a process of its own.
pub(crate) fn run<T: DeserializeOwned>(case: &str, arguments: &[&str]) -> Result<T> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--case")
        .arg(case)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut text = String::new();
    child
        .stdout
        .take()
        .context("no pipe")?
        .read_to_string(&mut text)?;
    ensure!(child.wait()?.success(), "case {case} failed");
    serde_json::from_str(&text).with_context(|| format!("case {case} said {text:?}"))
}

/// The case that this process was started for, with its arguments.
pub(crate) fn asked() -> Option<(String, Vec<String>)> {
    let mut words = std::env::args().skip(1);
    (words.next()? == "--case").then_some(())?;
    Some((words.next()?, words.collect()))
}

/// A pipeline with its source and its destination.
pub(crate) struct Run {
    pipeline: Pipeline,
    repository: PathBuf,
}

impl Run {
    /// Starts afresh, with a cache on disk if one is given.
    pub(crate) fn new(repository: &Path, cache: Option<PathBuf>) -> Self {
        Self {
            pipeline: Pipeline::new(cache),
            repository: repository.to_owned(),
        }
    }

    /// Renders what `main` says, and commits it to the generated branch.
    pub(crate) fn go(&mut self) -> Result<(Rendering, Delivery)> {
        let request = Request {
            location: self.repository.to_string_lossy().into_owned(),
            revision: Some("main".to_owned()),
            committed: true,
            ..Request::default()
        };
        let rendering = self.pipeline.render(&request, &Silent)?;
        let to = Destination::Branch(BranchDestination {
            repository: self.repository.clone(),
            name: BRANCH.to_owned(),
            layout: Layout::Directories,
            push: None,
        });
        let options = DeliveryOptions::default();
        let delivery = self.pipeline.deliver(&rendering, &to, &options, &Silent)?;
        ensure!(
            !matches!(delivery.outcome, Outcome::Held(_)) && rendering.errors() == 0,
            "held: {:?}; first finding: {:?}",
            delivery.outcome,
            rendering.diagnostics.first()
        );
        Ok((rendering, delivery))
    }

    /// Measures one run.
    pub(crate) fn measured(&mut self) -> Result<Report> {
        let packs = pack_bytes(&self.repository);
        let before = measure::calibrate();
        let (done, Spent { wall, cpu }) = measure::measure(|| self.go());
        let (rendering, delivery) = done?;
        let after = measure::calibrate();
        let peak = measure::peak_memory();
        let statistics = delivery.statistics;
        let stages = rendering.timings.iter().chain(&delivery.timings);
        Ok(Report {
            wall,
            cpu,
            calibration: [before, after],
            peak,
            files: statistics.files,
            written: [statistics.blobs, statistics.trees],
            pack: pack_bytes(&self.repository) - packs,
            stages: stages
                .map(|&(name, time)| (name.to_owned(), in_seconds(time)))
                .collect(),
            commit: delivery
                .commits
                .first()
                .map(|(_, id, _)| id.to_string())
                .unwrap_or_default(),
            ..Report::default()
        })
    }

    /// Measures one run, and the unit right after it.
    pub(crate) fn measured_with_unit(&mut self) -> Result<Report> {
        let mut report = self.measured()?;
        let found = unit::unit(&self.repository, BRANCH)?;
        report.unit = found.time;
        report.distinct = [found.blobs, found.trees, found.bytes];
        report.calibration[1] = report.calibration[1].max(measure::calibrate());
        Ok(report)
    }
}

fn pack_bytes(repository: &Path) -> u64 {
    let folder = std::fs::read_dir(repository.join("objects/pack"));
    let packs = folder.into_iter().flatten().flatten();
    let packs = packs.filter(|entry| entry.path().extension().is_some_and(|end| end == "pack"));
    packs
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}
