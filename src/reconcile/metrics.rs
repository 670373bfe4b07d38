//! What the service counts: events are recorded as they happen, standing figures are read off the board → OpenMetrics text.
//!
//! Names begin with `stellate_`. Label values are names of pipelines, stages, forges, fixed words and, for a bounded number of
//! WECs, names of WECs: nothing that an outsider could make up.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::model::{ClusterName, Severity};
use crate::status::Phase;
use crate::status::board::{Board, CommitBoard};
use crate::status::waves::{WaveBoard, WaveState};

/// What [`Metrics::encode`] gives, as HTTP calls it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The most WECs that have a series of their own; those that are not healthy come first.
pub const CLUSTERS: usize = 1000;

/// Upper bounds of a stage's duration, in seconds.
const SECONDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// Everything that is counted. Cheap to share: recording takes `&self`.
pub struct Metrics {
    registry: Registry,
    stages: Family<StageLabels, Histogram, Buckets>,
    runs: Family<PipelineOutcome, Counter>,
    pushes: Family<PipelineOutcome, Counter>,
    statuses: Family<ForgeOutcome, Counter>,
    webhooks: Family<ForgeOutcome, Counter>,
    budget: Family<CredentialLabels, Gauge>,
    queue: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    pipeline: String,
    stage: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PipelineOutcome {
    pipeline: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ForgeOutcome {
    forge: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CredentialLabels {
    credential: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PipelineLabels {
    pipeline: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    pipeline: String,
    phase: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaveLabels {
    pipeline: String,
    wave: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaveStateLabels {
    pipeline: String,
    wave: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    pipeline: String,
    cluster: String,
    phase: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    pipeline: String,
    severity: &'static str,
    reason: &'static str,
}

/// A phase as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Word(Phase);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.word().encode(encoder)
    }
}

/// Makes a histogram with our bounds.
#[derive(Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("stellate");
        let metrics = Self {
            stages: Family::new_with_constructor(Buckets),
            runs: Family::default(),
            pushes: Family::default(),
            statuses: Family::default(),
            webhooks: Family::default(),
            budget: Family::default(),
            queue: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register_with_unit(
            "stage_duration",
            "How long a stage of a run took",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        registry.register(
            "runs",
            "Runs of a pipeline, by how they ended",
            metrics.runs.clone(),
        );
        registry.register(
            "pushes",
            "Pushes of generated branches, by how they ended",
            metrics.pushes.clone(),
        );
        registry.register(
            "statuses",
            "Requests about commit statuses, by how they ended",
            metrics.statuses.clone(),
        );
        registry.register(
            "webhooks",
            "Webhooks that came in, by what became of them",
            metrics.webhooks.clone(),
        );
        registry.register(
            "forge_budget",
            "Requests that a credential has left at its forge",
            metrics.budget.clone(),
        );
        registry.register(
            "queue_length",
            "Events that wait to be worked on",
            metrics.queue.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// A stage of a run ended: `read`, `place`, `transform`, `build`, `push` …
    pub fn stage(&self, pipeline: &str, stage: &str, took: Duration) {
        let labels = StageLabels {
            pipeline: pipeline.to_owned(),
            stage: stage.to_owned(),
        };
        self.stages
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// A run ended: `published`, `unchanged`, `held`, `failed`, `superseded` …
    pub fn run(&self, pipeline: &str, outcome: &'static str) {
        self.runs
            .get_or_create(&PipelineOutcome {
                pipeline: pipeline.to_owned(),
                outcome,
            })
            .inc();
    }

    /// A push ended: `pushed`, `contended`, `refused`, `failed` …
    pub fn push(&self, pipeline: &str, outcome: &'static str) {
        self.pushes
            .get_or_create(&PipelineOutcome {
                pipeline: pipeline.to_owned(),
                outcome,
            })
            .inc();
    }

    /// How many requests to a forge ended so, in all: `posted`, `read`, or the reason of a failure.
    pub fn statuses(&self, forge: &'static str, outcome: &'static str, total: u64) {
        let counter = self
            .statuses
            .get_or_create(&ForgeOutcome { forge, outcome });
        counter.inner().store(total, Ordering::Relaxed);
    }

    /// How many webhooks of a sender ended so, in all.
    pub fn webhooks(&self, forge: &'static str, outcome: &'static str, total: u64) {
        let counter = self
            .webhooks
            .get_or_create(&ForgeOutcome { forge, outcome });
        counter.inner().store(total, Ordering::Relaxed);
    }

    /// What a credential has left at its forge; `credential` is a name that is no secret.
    pub fn budget(&self, credential: &str, left: i64) {
        self.budget
            .get_or_create(&CredentialLabels {
                credential: credential.to_owned(),
            })
            .set(left);
    }

    /// How many events wait.
    pub fn queue(&self, length: usize) {
        self.queue.set(i64::try_from(length).unwrap_or(i64::MAX));
    }

    /// Gives everything as OpenMetrics text, with the standing figures of the board.
    ///
    /// # Errors
    /// None in practice: text always takes more text.
    pub fn encode(&self, board: &Board) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &standing(board))?;
        let mut text = sorted(&text);
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// Sorts the samples of each metric by their labels: families come out of a hash map. What belongs to one histogram stays together, in
/// the order of its bounds.
fn sorted(text: &str) -> String {
    let is_comment = |line: &&str| line.starts_with('#');
    let lines: Vec<&str> = text.lines().collect();
    let mut all = String::with_capacity(text.len());
    for metric in lines.chunk_by(|one, next| is_comment(one) || !is_comment(next)) {
        let (comments, mut samples): (Vec<&str>, Vec<&str>) =
            metric.iter().copied().partition(is_comment);
        samples.sort_by_key(|sample| labels(sample));
        for line in comments.into_iter().chain(samples) {
            all.push_str(line);
            all.push('\n');
        }
    }
    all
}

/// The labels of a sample, but for the bound of a bucket.
fn labels(sample: &str) -> &str {
    let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
    let behind_bound = labels
        .strip_prefix("le=\"")
        .and_then(|bound| bound.split_once(','));
    let labels = behind_bound.map_or(labels, |(_, rest)| rest);
    labels.rsplit_once('}').map_or(labels, |(labels, _)| labels)
}

/// What stands on the board: no memory of its own, so that what is gone there is gone here.
fn standing(board: &Board) -> Registry {
    let ready = Family::<PipelineLabels, Gauge>::default();
    let phases = Family::<PhaseLabels, Gauge>::default();
    let clusters = Family::<ClusterLabels, Gauge>::default();
    let diagnostics = Family::<ReasonLabels, Gauge>::default();
    let waves = Family::<WaveStateLabels, Gauge>::default();
    let waiting = Family::<WaveLabels, Gauge>::default();
    let mut each: Vec<(Phase, &str, &ClusterName)> = Vec::new();
    for (name, pipeline) in &board.pipelines {
        let labels = PipelineLabels {
            pipeline: name.clone(),
        };
        // Whoever serves it says whether it is ready.
        if pipeline.is_standby() {
            continue;
        }
        ready.get_or_create(&labels).set(i64::from(pipeline.ready));
        for wave in pipeline.rollout.iter().flat_map(|rollout| &rollout.waves) {
            count_wave(name, wave, &waves, &waiting);
        }
        let Some(commit) = pipeline.commits.front() else {
            continue;
        };
        for (phase, number) in commit.phases() {
            let labels = PhaseLabels {
                pipeline: name.clone(),
                phase: Word(phase),
            };
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            phases.get_or_create(&labels).set(number);
        }
        let states = commit.clusters.iter();
        each.extend(states.map(|(cluster, state)| (state.phase(), name.as_str(), cluster)));
        count_diagnostics(name, commit, &diagnostics);
    }
    each.sort_by_key(|&(phase, pipeline, cluster)| {
        (phase == Phase::Healthy, pipeline, cluster.clone())
    });
    for (phase, pipeline, cluster) in each.into_iter().take(CLUSTERS) {
        let labels = ClusterLabels {
            pipeline: pipeline.to_owned(),
            cluster: cluster.to_string(),
            phase: Word(phase),
        };
        clusters.get_or_create(&labels).set(1);
    }
    let mut registry = Registry::with_prefix("stellate");
    registry.register(
        "pipeline_ready",
        "Whether a source and an inventory were read",
        ready,
    );
    registry.register(
        "clusters",
        "WECs by where the newest commit stands there",
        phases,
    );
    registry.register(
        "cluster_phase",
        "Where the newest commit stands on a WEC; for a bounded number of WECs, unhealthy ones first",
        clusters,
    );
    registry.register(
        "diagnostics",
        "What was found while rendering the newest commit",
        diagnostics,
    );
    registry.register("wave_state", "Where a wave stands: 1 for its state", waves);
    registry.register(
        "wave_pending_clusters",
        "WECs of a wave that are still to get something",
        waiting,
    );
    registry
}

/// Every state has a series, of which one is 1: so that the time in a state can be asked for.
fn count_wave(
    pipeline: &str,
    wave: &WaveBoard,
    states: &Family<WaveStateLabels, Gauge>,
    waiting: &Family<WaveLabels, Gauge>,
) {
    for state in WaveState::ALL {
        let labels = WaveStateLabels {
            pipeline: pipeline.to_owned(),
            wave: wave.name.clone(),
            state: state.word(),
        };
        let is_it = i64::from(state == wave.state);
        states.get_or_create(&labels).set(is_it);
    }
    let labels = WaveLabels {
        pipeline: pipeline.to_owned(),
        wave: wave.name.clone(),
    };
    let pending = i64::try_from(wave.pending).unwrap_or(i64::MAX);
    waiting.get_or_create(&labels).set(pending);
}

fn count_diagnostics(name: &str, commit: &CommitBoard, family: &Family<ReasonLabels, Gauge>) {
    for diagnostic in &commit.diagnostics {
        let severity = match diagnostic.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        family
            .get_or_create(&ReasonLabels {
                pipeline: name.to_owned(),
                severity,
                reason: diagnostic.reason,
            })
            .inc();
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::Diagnostic;
    use crate::status::board::PipelineBoard;
    use crate::status::state::{Bytes, ClusterState, Observation};
    use crate::status::{Evidence, Health, Progress, Report};

    fn board(wecs: usize) -> Board {
        let now = Timestamp::UNIX_EPOCH;
        let mut commit = CommitBoard {
            diagnostics: vec![Diagnostic::warning("UnknownKind", "one"); 2],
            ..CommitBoard::new("a".repeat(40), now)
        };
        for number in 0..wecs {
            let mut state = ClusterState::new(true, now);
            if number == wecs - 1 {
                let failed = Observation::Failed {
                    reason: "Refused".into(),
                    message: "no".into(),
                };
                state.observe(failed, now);
            }
            let name = ClusterName::from(format!("wec{number:04}"));
            commit.clusters.insert(name, state);
        }
        let mut pipeline = PipelineBoard {
            ready: true,
            ..PipelineBoard::default()
        };
        pipeline.push(commit);
        Board {
            pipelines: [("shop".to_owned(), pipeline)].into(),
        }
    }

    fn healthy(cluster: &ClusterName) -> Observation {
        Observation::Reported(Report {
            cluster: cluster.clone(),
            reporter: "Kustomization flux-system/shop".into(),
            revision: Some("g1".into()),
            progress: Progress::Applied,
            health: Health::Healthy,
            message: String::new(),
            objects: Vec::new(),
            evidence: Evidence::Action,
            at: None,
        })
    }

    #[test]
    fn what_happened_and_what_stands_are_told_in_one_text() {
        let metrics = Metrics::default();
        metrics.stage("shop", "push", Duration::from_millis(30));
        metrics.run("shop", "published");
        metrics.statuses("gitea", "posted", 1);
        metrics.webhooks("github", "forged", 1);
        metrics.budget("ci", 4990);
        metrics.queue(3);
        let text = metrics.encode(&board(3)).unwrap();
        for line in [
            "stellate_stage_duration_seconds_bucket{le=\"0.05\",pipeline=\"shop\",stage=\"push\"} 1",
            "stellate_runs_total{pipeline=\"shop\",outcome=\"published\"} 1",
            "stellate_statuses_total{forge=\"gitea\",outcome=\"posted\"} 1",
            "stellate_webhooks_total{forge=\"github\",outcome=\"forged\"} 1",
            "stellate_forge_budget{credential=\"ci\"} 4990",
            "stellate_queue_length 3",
            "stellate_pipeline_ready{pipeline=\"shop\"} 1",
            "stellate_clusters{pipeline=\"shop\",phase=\"pending\"} 2",
            "stellate_clusters{pipeline=\"shop\",phase=\"failed\"} 1",
            "stellate_cluster_phase{pipeline=\"shop\",cluster=\"wec0002\",phase=\"failed\"} 1",
            "stellate_diagnostics{pipeline=\"shop\",severity=\"warning\",reason=\"UnknownKind\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn lines_come_in_the_order_of_their_labels_and_buckets_in_that_of_their_bounds() {
        let metrics = Metrics::default();
        for pipeline in ["till", "bank", "shop", "apps", "desk"] {
            metrics.run(pipeline, "published");
            metrics.stage(pipeline, "push", Duration::from_millis(30));
        }
        let text = metrics.encode(&board(12)).unwrap();
        let lines = |start: &str| -> Vec<&str> {
            text.lines()
                .filter(|line| line.starts_with(start))
                .collect()
        };
        for start in ["stellate_runs_total{", "stellate_cluster_phase{"] {
            assert!(lines(start).is_sorted(), "{text}");
        }
        let of_one: Vec<&str> = lines("stellate_stage_duration_seconds")
            .into_iter()
            .filter(|line| line.contains("bank"))
            .collect();
        assert!(of_one[2].contains("le=\"0.001\""), "{of_one:#?}");
        assert!(of_one.last().unwrap().contains("+Inf"), "{of_one:#?}");
        let at = |part: &str| text.find(part).unwrap();
        let sum = "stellate_stage_duration_seconds_sum{pipeline";
        assert!(at(&format!("{sum}=\"apps\"")) < at(&format!("{sum}=\"bank\"")));
        assert!(at(of_one.last().unwrap()) < at(&format!("{sum}=\"desk\"")));
    }

    #[test]
    fn more_wecs_than_fit_leave_out_healthy_ones() {
        let mut board = board(CLUSTERS + 5);
        let pipeline = board.pipelines.get_mut("shop").unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let id = pipeline.commits[0].id.clone();
        let commit = pipeline.commit_mut(&id).unwrap();
        for (name, state) in &mut commit.clusters {
            if state.phase() != Phase::Failed {
                let published = Observation::Published {
                    revision: "g1".into(),
                    bytes: Bytes::New,
                };
                state.observe(published, now);
                state.observe(healthy(name), now);
            }
        }
        let text = Metrics::default().encode(&board).unwrap();
        let series = text
            .lines()
            .filter(|line| line.starts_with("stellate_cluster_phase{"));
        assert_eq!(series.count(), CLUSTERS);
        assert!(text.contains("cluster=\"wec1004\",phase=\"failed\""));
    }
}
