//! The state of one commit on one WEC: observations in any order → facets → one [`Phase`]. Pure and total.
//!
//! A state is a set of facets, and its phase follows from them alone: no order of observations leads astray. What ends a state:
//! a fault, a hold, an objects' quarantine, the WEC's word, the deadline, or a commit that takes its place.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::trust::{Credited, credit};
use super::waves::Waiting;
use super::{Health, ObjectReport, Phase, Progress, Report};
use crate::model::ObjectKey;

/// The most generated commits that one state answers to.
const REVISIONS: usize = 64;

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Work on the commit begins, for the first time or again.
    Begun,
    /// It was rendered: so many objects, and those that could not be.
    Rendered {
        /// The WEC's objects.
        objects: usize,
        /// Those that keep their last good output, with the reason.
        quarantined: BTreeMap<ObjectKey, String>,
    },
    /// The guard, or strictness, holds it back.
    Held(Vec<String>),
    /// Its wave is not open: the WEC keeps what it has.
    Waiting(Waiting),
    /// It is where the WEC will find it.
    Published {
        /// The generated commit, or the mailboxes' digest.
        revision: String,
        /// How these bytes compare with what the WEC had.
        bytes: Bytes,
    },
    /// It could not be rendered or published.
    Failed {
        /// A fixed word.
        reason: String,
        /// A sentence, with the way out.
        message: String,
    },
    /// The WEC, or who acts for it, says something.
    Reported(Report),
    /// The WEC did not come to an end in the time that it has.
    Overdue {
        /// That time, as people write it.
        after: String,
    },
    /// Another commit took its place.
    Superseded {
        /// That commit.
        by: String,
    },
}

/// How what was published compares with what the WEC had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// They are new to it.
    New,
    /// They are the same as before, and nobody remembers since when.
    Old,
    /// They are the same as in this state: what the WEC said of them still holds.
    Same(Box<ClusterState>),
}

/// What is known of one commit on one WEC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterState {
    /// Where it stands; follows from everything else.
    phase: Phase,
    /// Since when it stands there.
    since: Timestamp,
    /// Whether the WEC is expected to say something.
    expects_report: bool,
    /// The WEC's objects, once rendered.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<usize>,
    /// Objects that stay as they were because of an error, beside those that were rendered.
    #[serde(skip_serializing_if = "is_zero", default)]
    kept: usize,
    /// Objects that could not be rendered.
    #[serde(with = "pairs", skip_serializing_if = "BTreeMap::is_empty", default)]
    quarantined: BTreeMap<ObjectKey, String>,
    /// Why it is held.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    held: Vec<String>,
    /// What has to come first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    waiting: Option<Waiting>,
    /// What tells the bytes that the WEC was given from others, where that was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    content: Option<String>,
    /// Since when the WEC is healthy with these bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    healthy: Option<Timestamp>,
    /// The generated commits that hold these bytes for the WEC; the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    revisions: Vec<String>,
    /// Whether the first of them is known to have brought these bytes.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    new: bool,
    /// When the WEC was first given these bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    given: Option<Timestamp>,
    /// What failed: reason and sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    failed: Option<(String, String)>,
    /// The last word of each reporter.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    reports: BTreeMap<String, Report>,
    /// The time that ran out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    overdue: Option<String>,
    /// The commit that took its place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    superseded: Option<String>,
}

impl ClusterState {
    /// Begins.
    pub fn new(expects_report: bool, now: Timestamp) -> Self {
        Self {
            phase: Phase::Pending,
            since: now,
            expects_report,
            objects: None,
            kept: 0,
            quarantined: BTreeMap::new(),
            held: Vec::new(),
            waiting: None,
            content: None,
            healthy: None,
            revisions: Vec::new(),
            new: false,
            given: None,
            failed: None,
            reports: BTreeMap::new(),
            overdue: None,
            superseded: None,
        }
    }

    /// Takes an observation in; tells whether anything changed that people see.
    pub fn observe(&mut self, observation: Observation, now: Timestamp) -> bool {
        let before = (self.phase, self.why());
        match observation {
            Observation::Begun => self.begin(),
            Observation::Rendered {
                objects,
                quarantined,
            } => {
                self.objects = Some(objects);
                self.kept = 0;
                self.quarantined = quarantined;
                self.failed = None;
            }
            Observation::Held(reasons) => self.held = reasons,
            Observation::Waiting(waiting) => {
                self.held = Vec::new();
                self.failed = None;
                self.waiting = Some(waiting);
            }
            Observation::Published { revision, bytes } => self.publish(revision, bytes, now),
            Observation::Failed { reason, message } => self.failed = Some((reason, message)),
            Observation::Reported(report) => self.report(report),
            Observation::Overdue { after } => self.overdue = Some(after),
            Observation::Superseded { by } => {
                if !self.is_over() {
                    self.superseded = Some(by);
                }
            }
        }
        self.settle(before.0, now);
        (self.phase, self.why()) != before
    }

    fn settle(&mut self, before: Phase, now: Timestamp) {
        self.phase = self.derive();
        if self.phase != before {
            self.since = now;
        }
        let is_healthy = !self.revisions.is_empty() && self.reported() == Phase::Healthy;
        self.healthy = is_healthy.then(|| self.healthy.unwrap_or(now));
    }

    /// Says what tells the bytes that the WEC has from others. What was said of other bytes counts no more.
    pub fn hold(&mut self, content: &str, now: Timestamp) {
        let known = self.content.replace(content.to_owned());
        if known.is_some_and(|known| known != content) {
            self.reports = BTreeMap::new();
            self.new = true;
            self.revisions
                .drain(..self.revisions.len().saturating_sub(1));
            self.given = Some(now);
            self.settle(self.phase, now);
        }
    }

    /// Tells whether these are the bytes that the WEC has, as far as anybody said.
    pub fn holds(&self, content: Option<&str>) -> bool {
        self.content.is_none() || self.content.as_deref() == content
    }

    /// Since when the WEC is healthy with what it has.
    pub fn healthy(&self) -> Option<Timestamp> {
        self.healthy
    }

    /// What has to come first, when its wave is not open.
    pub fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    /// Says how the WEC is with what it has, when it is not healthy.
    pub fn ailment(&self) -> String {
        let phase = match self.reported() {
            Phase::Published if self.overdue.is_some() => Phase::Degraded,
            phase => phase,
        };
        let why = match phase {
            Phase::Published => "nobody has reported from there yet".to_owned(),
            Phase::Degraded => self.worst(),
            _ => self.message(),
        };
        match why.as_str() {
            "" => phase.word().to_owned(),
            why => format!("{}: {why}", phase.word()),
        }
    }

    /// From now on a report is waited for.
    pub fn expect_report(&mut self) {
        self.expects_report = true;
    }

    /// Marks it as overtaken even where nothing more was waited for: a commit as a whole is, when one of its WECs is.
    pub(super) fn overtake(&mut self, by: &str, now: Timestamp) {
        self.superseded = Some(by.to_owned());
        self.phase = Phase::Superseded;
        self.since = now;
    }

    /// Another attempt: what failed, was held or was overtaken before counts no more; what the WEC said of bytes that it has, does.
    fn begin(&mut self) {
        self.failed = None;
        self.held = Vec::new();
        self.waiting = None;
        self.overdue = None;
        self.superseded = None;
    }

    fn publish(&mut self, revision: String, bytes: Bytes, now: Timestamp) {
        self.held = Vec::new();
        self.failed = None;
        self.waiting = None;
        let is_new = bytes == Bytes::New;
        match bytes {
            Bytes::Same(before) => {
                self.content = before.content;
                self.healthy = before.healthy;
                self.revisions = before.revisions;
                self.new = before.new;
                self.given = before.given;
                self.reports = before.reports;
                self.expects_report |= before.expects_report;
            }
            Bytes::New | Bytes::Old if self.revisions.contains(&revision) => {}
            Bytes::New | Bytes::Old => {
                self.content = None;
                self.revisions = Vec::new();
                self.new = is_new;
                self.reports = BTreeMap::new();
                self.overdue = None;
            }
        }
        self.given.get_or_insert(now);
        if self.revisions.is_empty() {
            self.given = Some(now);
        }
        if self.revisions.last() != Some(&revision) {
            self.revisions.retain(|older| *older != revision);
            self.revisions.push(revision);
        }
        let excess = self.revisions.len().saturating_sub(REVISIONS);
        self.revisions.drain(..excess);
    }

    fn report(&mut self, report: Report) {
        if self.revisions.is_empty() || speaks_of(&report, &self.revisions) {
            self.expects_report = true;
            self.reports.insert(report.reporter.clone(), report);
        }
    }

    /// The phase is a function of the facets.
    fn derive(&self) -> Phase {
        if self.superseded.is_some() {
            return Phase::Superseded;
        }
        if self.failed.is_some() {
            return Phase::Failed;
        }
        if !self.held.is_empty() {
            return Phase::Held;
        }
        if self.waiting.is_some() {
            return Phase::Waiting;
        }
        if self.revisions.is_empty() {
            return match self.objects {
                None => Phase::Pending,
                Some(_) => Phase::Rendered,
            };
        }
        let reported = self.reported();
        match reported {
            Phase::Degraded => Phase::Degraded,
            _ if !self.quarantined.is_empty() => Phase::Quarantined,
            Phase::Healthy => Phase::Healthy,
            _ if self.overdue.is_some() => Phase::Degraded,
            other => other,
        }
    }

    /// What the WEC's reporters say together: the worst of them counts.
    fn reported(&self) -> Phase {
        let mut phase = None;
        for report in self.credited() {
            let one = match (report.progress, report.health) {
                (Progress::Refused, _) | (_, Health::Degraded) => return Phase::Degraded,
                (Progress::Applied, Health::Healthy | Health::Suspended) => Phase::Healthy,
                (Progress::Applied, _) => Phase::Applied,
                (Progress::Delivered, _) => Phase::Delivered,
            };
            phase = Some(phase.map_or(one, |worst: Phase| worst.min(one)));
        }
        phase.unwrap_or(Phase::Published)
    }

    /// The last word of each reporter, in as far as it is believed.
    fn credited(&self) -> impl Iterator<Item = Credited<'_>> {
        let reports = self.reports.values();
        reports.map(|report| credit(report, &self.revisions, self.new))
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Since when.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Tells whether it has come to an end: nothing more is waited for.
    pub fn is_over(&self) -> bool {
        match self.phase {
            Phase::Pending
            | Phase::Rendered
            | Phase::Waiting
            | Phase::Delivered
            | Phase::Applied => false,
            Phase::Published => !self.expects_report,
            Phase::Healthy
            | Phase::Degraded
            | Phase::Held
            | Phase::Quarantined
            | Phase::Failed
            | Phase::Superseded => true,
        }
    }

    /// Says why, in one sentence; empty when the phase says it all.
    pub fn why(&self) -> String {
        match self.phase {
            Phase::Superseded => format!(
                "by {}",
                short(self.superseded.as_deref().unwrap_or_default())
            ),
            Phase::Failed => self
                .failed
                .as_ref()
                .map(|(_, message)| message.clone())
                .unwrap_or_default(),
            Phase::Held => self.held.join("; "),
            Phase::Waiting => {
                let waiting = self.waiting.as_ref();
                waiting.map_or_else(String::new, |waiting| waiting.why.clone())
            }
            Phase::Quarantined => {
                let Some((object, reason)) = self.quarantined.first_key_value() else {
                    return String::new();
                };
                let more = more(self.quarantined.len());
                format!("{object} cannot be rendered, and stays as it was there: {reason}{more}")
            }
            Phase::Degraded => self.worst(),
            Phase::Published if self.expects_report => "no report from the WEC yet".into(),
            Phase::Published => "nobody reports from the WEC".into(),
            Phase::Delivered | Phase::Applied => self.message(),
            Phase::Pending | Phase::Rendered | Phase::Healthy => String::new(),
        }
    }

    fn worst(&self) -> String {
        if let Some(object) = self.unhealthy().next() {
            let rest = match object.message.as_str() {
                "" => String::new(),
                message => format!(": {message}"),
            };
            let more = more(self.unhealthy().count());
            return format!("{}{rest}{more}", object.object);
        }
        let bad = self.credited().find(|report| {
            report.health == Health::Degraded || report.progress == Progress::Refused
        });
        match (bad, &self.overdue) {
            (Some(report), _) => report.message.to_owned(),
            (None, Some(after)) if self.reports.is_empty() => format!("no report within {after}"),
            (None, Some(after)) => format!("not healthy within {after}: {}", self.message()),
            (None, None) => String::new(),
        }
    }

    fn message(&self) -> String {
        let open = self
            .credited()
            .find(|report| report.health != Health::Healthy && !report.message.is_empty());
        open.map(|report| report.message.to_owned())
            .unwrap_or_default()
    }

    /// The objects that do not work, by all reporters.
    pub fn unhealthy(&self) -> impl Iterator<Item = &ObjectReport> {
        let objects = self.reports.values().flat_map(|report| &report.objects);
        objects.filter(|object| object.health == Health::Degraded)
    }

    /// Everything that is said of single objects.
    pub fn object_reports(&self) -> impl Iterator<Item = &ObjectReport> {
        self.reports.values().flat_map(|report| &report.objects)
    }

    /// The last word of each reporter, by name.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.reports.values()
    }

    /// Objects that could not be rendered, with the reason.
    pub fn quarantined(&self) -> &BTreeMap<ObjectKey, String> {
        &self.quarantined
    }

    /// The WEC's objects; none before they were rendered.
    pub fn objects(&self) -> Option<usize> {
        self.objects
    }

    /// How many objects stay on the WEC as they were, because of an error, beside those that were rendered.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Takes in how many objects stay as they were.
    pub fn keep(&mut self, kept: usize) {
        self.kept = kept;
    }

    /// The generated commit that holds it for the WEC.
    pub fn revision(&self) -> Option<&str> {
        self.revisions.last().map(String::as_str)
    }

    /// Tells whether a generated commit holds these bytes for the WEC.
    pub fn answers_to(&self, revision: &str) -> bool {
        self.revisions.iter().any(|known| known == revision)
    }

    /// When the WEC was first given these bytes: from then on its time runs.
    pub fn given(&self) -> Option<Timestamp> {
        self.given
    }

    /// Tells whether a report is waited for.
    pub fn expects_report(&self) -> bool {
        self.expects_report
    }
}

/// Tells whether a report is about one of these revisions; one that names none speaks of what is there.
fn speaks_of(report: &Report, revisions: &[String]) -> bool {
    let Some(revision) = &report.revision else {
        return true;
    };
    revisions.iter().any(|known| known == revision)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What is said behind the first of so many.
fn more(all: usize) -> String {
    match all {
        0 | 1 => String::new(),
        all => format!(" (and {} more)", all - 1),
    }
}

/// The first characters of a commit id.
pub fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// Object keys as they are written, since JSON's keys are text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::model::ObjectKey;

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<ObjectKey, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ObjectKey, String>, D::Error> {
        let pairs: Vec<(ObjectKey, String)> = Vec::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
