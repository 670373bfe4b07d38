//! Where the commit statuses of pipelines go: one worker for each repository on a forge, one lane for each credential.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::runtime::Handle;

use super::{Plan, Sink, lock};
use crate::config::{Login, ResolvedForge};
use crate::model::api::pipeline::ForgeKind;
use crate::reconcile::metrics::Metrics;
use crate::status::CommitStatus;
use crate::status::board::Problem;
use crate::status::forge::{self, CheckRun, ForgeConfig, ForgeLogin, Lanes};
use crate::status::summarise::Style;

/// How long a request to a forge may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// All sinks of a process.
pub struct Sinks {
    runtime: Handle,
    lanes: Lanes,
    all: Mutex<Vec<Posting>>,
}

/// A sink and what it is for.
#[derive(Clone)]
struct Posting {
    pipeline: String,
    address: Address,
    sink: Arc<forge::Sink>,
}

/// Of which source, under which name, and where: of two sinks with one address only one may tell.
type Address = (String, String, ForgeKind, String, String);

fn address(plan: &Plan, config: &ForgeConfig) -> Address {
    (
        plan.source(),
        plan.style.context(None),
        config.kind,
        config.api.clone(),
        config.repository.clone(),
    )
}

impl Sinks {
    /// Starts without any; workers run there.
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            lanes: Lanes::default(),
            all: Mutex::default(),
        }
    }

    /// Starts the sinks of a pipeline. Those that it had before go: at once where the new ones tell the same, else when they have told
    /// what is left.
    pub fn of(&self, plan: &Plan) -> Vec<Arc<dyn Sink>> {
        let forges = plan
            .resolved
            .status
            .iter()
            .flat_map(|status| &status.forges);
        let name = &plan.resolved.name;
        let configs: Vec<_> = forges
            .filter_map(|forge| Some((config(forge, plan)?, forge.max_per_minute)))
            .collect();
        let addresses: BTreeSet<Address> = configs
            .iter()
            .map(|(config, _)| address(plan, config))
            .collect();
        let mut all = lock(&self.all);
        all.retain(|known| {
            let goes = addresses.contains(&known.address) || known.sink.is_idle();
            known.pipeline != *name || !goes
        });
        let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
        for (config, max_per_minute) in configs {
            let lane = self.lanes.of(&config, max_per_minute);
            let address = address(plan, &config);
            let sink = Arc::new(forge::Sink::start(config, lane, &self.runtime));
            all.push(Posting {
                pipeline: name.clone(),
                address,
                sink: Arc::clone(&sink),
            });
            sinks.push(sink);
        }
        sinks
    }

    /// Waits until nothing is left to post, for a while in all.
    pub async fn idle(&self, timeout: Duration) {
        let all = lock(&self.all).clone();
        let end = Instant::now() + timeout;
        for Posting { pipeline, sink, .. } in all {
            if !sink
                .idle(end.saturating_duration_since(Instant::now()))
                .await
            {
                tracing::warn!(
                    pipeline,
                    "commit statuses are left to be posted; the next start does it"
                );
            }
        }
    }

    /// Hands to the metrics what was posted, what waits, and what is left of the budgets.
    pub fn count(&self, metrics: &Metrics) {
        let all = lock(&self.all).clone();
        let mut totals: BTreeMap<(&'static str, &'static str), u64> = BTreeMap::new();
        let mut waiting = 0;
        for Posting { pipeline, sink, .. } in &all {
            let counters = sink.counters();
            waiting += counters.waiting;
            for (outcome, number) in counters.outcomes {
                *totals.entry((sink.kind().word(), outcome)).or_default() += number;
            }
            if let Some(left) = counters.budget_left {
                metrics.budget(pipeline, i64::from(left));
            }
        }
        for ((forge, outcome), total) in totals {
            metrics.statuses(forge, outcome, total);
        }
        metrics.queue(waiting);
    }
}

/// Who is told, and as whom. None without a login, which the configuration has complained of.
fn config(forge: &ResolvedForge, plan: &Plan) -> Option<ForgeConfig> {
    let login = match &forge.login {
        Login { app: Some(app), .. } => ForgeLogin::App(app.clone()),
        Login {
            token: Some(token),
            username: Some(user),
            ..
        } => ForgeLogin::User(user.clone(), token.clone()),
        Login {
            token: Some(token), ..
        } => ForgeLogin::Token(token.clone()),
        _ => return None,
    };
    Some(ForgeConfig {
        kind: forge.kind,
        api: forge.api.clone(),
        page: forge.page.clone(),
        repository: forge.repository.clone(),
        reference: plan.resolved.revision.clone(),
        login,
        timeout: TIMEOUT,
    })
}

impl Sink for forge::Sink {
    fn want(&self, commit: &str, statuses: Vec<CommitStatus>) {
        Self::want(self, commit, statuses);
    }

    fn check(&self, commit: &str, run: CheckRun) {
        self.want_check(commit, run);
    }

    fn comment(&self, pull: u64, marker: &str, markdown: String) {
        self.want_comment(pull, marker, markdown);
    }

    fn close(&self, commit: &str, style: &Style, text: &str) {
        let style = style.clone();
        Self::close(self, commit, move |context| style.owns(context), text);
    }

    fn serves(&self, plan: &Plan) -> bool {
        let own = self.config();
        let status = plan.resolved.status.iter();
        let mut forges = status.flat_map(|status| &status.forges);
        forges.any(|forge| {
            (forge.kind, &forge.api, &forge.repository) == (own.kind, &own.api, &own.repository)
        })
    }

    fn retry(&self) {
        Self::retry(self);
    }

    fn problem(&self, now: Timestamp) -> Option<Problem> {
        Self::problem(self).map(|error| Problem {
            reason: error.reason().to_owned(),
            message: format!("commit statuses are not posted: {error}"),
            help: error.help().map(str::to_owned),
            since: now,
        })
    }
}
