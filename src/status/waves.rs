//! Which waves of WECs are open: where each WEC stands → which WECs wait, for what, and when to look again. Pure and total.
//!
//! ```text
//! labels ─▶ wave ─┐
//! still to get ───┼─▶ Site ─▶ decide ─▶ Rollout: waves in view, WECs that wait, the next moment that may change it
//! health, since ──┘
//! ```
//!
//! A wave is open when every WEC of all waves before has what is wanted for it and has been healthy for its wave's time. It goes
//! by content: a commit that changes nothing for a wave does not start its time anew. What is unknown is never taken for healthy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::state::ClusterState;
use crate::model::api::pipeline::{Interval, REMAINING, Wave};
use crate::model::selector::Selector;
use crate::model::{ClusterName, Labels};

/// The most WECs that one sentence names.
const NAMED: usize = 3;

/// The waves of a pipeline, in their order; the last is that of the WECs that no other selects.
#[derive(Clone, Debug)]
pub struct Waves(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    selectors: Vec<Selector>,
    success: Duration,
    deadline: Option<Duration>,
    paused: bool,
}

/// Where one WEC stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its wave, by number.
    pub wave: usize,
    /// Whether it is still to get something.
    pub pending: bool,
    /// How it is with what it has.
    pub condition: Condition,
}

/// How a WEC is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It has no objects: nothing can be wrong with them.
    Empty,
    /// It has been healthy since then, with what it has.
    Healthy(Timestamp),
    /// It is not, or nobody knows.
    Ailing {
        /// In words.
        why: String,
        /// When it was given what it has, where that is known.
        given: Option<Timestamp>,
    },
}

/// Where all waves stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// The waves that have any WEC, in their order.
    pub waves: Vec<WaveBoard>,
    /// The wave of each WEC.
    pub members: BTreeMap<ClusterName, String>,
    /// The WECs that are to get something and do not get it yet.
    pub held: BTreeMap<ClusterName, Waiting>,
    /// The WECs whose word may open a wave, or keep it from opening.
    pub awaited: BTreeSet<ClusterName>,
    /// When time alone may change it.
    pub next: Option<Timestamp>,
}

/// Where a wave stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveBoard {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: WaveState,
    /// Its WECs.
    pub clusters: usize,
    /// How many of them are still to get something.
    pub pending: usize,
    /// How many of them are healthy with what they have, or have no objects.
    pub healthy: usize,
    /// Why it stands there; empty when the state says it all.
    pub why: String,
    /// Until when it has to stay healthy, where nothing else is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
}

/// Where a wave stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WaveState {
    /// It waits for a wave before.
    Held,
    /// The configuration says that it gets nothing new.
    Paused,
    /// It gets what it is to get, and is not healthy yet.
    Open,
    /// Its WECs did not become healthy in the time that they have.
    Overdue,
    /// It is healthy, and has to stay so for a while.
    Settling,
    /// It has everything, and was healthy for long enough.
    Done,
}

impl WaveState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Held,
        Self::Paused,
        Self::Open,
        Self::Overdue,
        Self::Settling,
        Self::Done,
    ];

    /// The word as people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Paused => "paused",
            Self::Open => "open",
            Self::Overdue => "overdue",
            Self::Settling => "settling",
            Self::Done => "done",
        }
    }
}

/// What a WEC waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Its own wave.
    pub wave: String,
    /// What has to come first, in one sentence.
    pub why: String,
    /// Whether that takes longer than it may.
    #[serde(default)]
    pub overdue: bool,
}

impl Waves {
    /// Takes the configuration's waves, which were checked: a selector that means nothing selects nothing.
    pub fn new(written: &[Wave]) -> Self {
        let compiled = written.iter().map(|wave| {
            let selectors = wave.cluster_selectors.iter();
            Rule {
                name: wave.name.clone(),
                selectors: selectors
                    .filter_map(|raw| Selector::compile(raw).ok())
                    .collect(),
                success: wave.min_success_time.map_or(Duration::ZERO, |time| time.0),
                deadline: wave.progress_deadline.map(|time| time.0),
                paused: wave.paused,
            }
        });
        let remaining = Rule {
            name: REMAINING.to_owned(),
            selectors: Vec::new(),
            success: Duration::ZERO,
            deadline: None,
            paused: false,
        };
        Self(compiled.chain([remaining]).collect())
    }

    /// Gives the number of the wave of a WEC with these labels.
    pub fn of(&self, labels: &Labels) -> usize {
        let selects = |rule: &Rule| rule.selectors.iter().any(|one| one.matches(labels));
        let found = self.0.iter().position(selects);
        found.unwrap_or(self.0.len() - 1)
    }

    /// Decides which waves are open. `opened` are those that somebody let go first.
    pub fn decide(
        &self,
        sites: &BTreeMap<ClusterName, Site>,
        opened: &BTreeSet<String>,
        now: Timestamp,
    ) -> Rollout {
        let mut rollout = Rollout::default();
        let mut before: Option<Obstacle> = None;
        for (number, rule) in self.0.iter().enumerate() {
            let members: Vec<(&ClusterName, &Site)> = sites
                .iter()
                .filter(|(_, site)| site.wave == number)
                .collect();
            if members.is_empty() {
                continue;
            }
            let found = rule.look(&members, now);
            let closed = match &before {
                _ if rule.paused && found.pending > 0 => Some((WaveState::Paused, rule.pause())),
                Some(obstacle) if !opened.contains(&rule.name) => {
                    Some((WaveState::Held, obstacle.clone()))
                }
                _ => None,
            };
            rollout.add(rule, &members, &found, closed.as_ref(), before.is_none());
            if before.is_none() {
                before = match &closed {
                    Some((_, obstacle)) => Some(obstacle.clone()),
                    None => found.obstacle(rule),
                };
            }
        }
        rollout
    }
}

impl Rollout {
    fn add(
        &mut self,
        rule: &Rule,
        members: &[(&ClusterName, &Site)],
        found: &Found,
        closed: Option<&(WaveState, Obstacle)>,
        counts: bool,
    ) {
        for (name, site) in members {
            self.members.insert((*name).clone(), rule.name.clone());
            if let Some((_, obstacle)) = closed.filter(|_| site.pending) {
                let waiting = Waiting {
                    wave: rule.name.clone(),
                    why: obstacle.why.clone(),
                    overdue: obstacle.overdue,
                };
                self.held.insert((*name).clone(), waiting);
            }
            if counts && site.condition != Condition::Empty {
                self.awaited.insert((*name).clone());
            }
        }
        let (state, why, until) = match closed {
            Some((state, obstacle)) => (*state, obstacle.why.clone(), None),
            None => found.state(),
        };
        // Only the first wave that is not done keeps others waiting: later ones change nothing.
        if counts {
            self.next = [self.next, found.next].into_iter().flatten().min();
        }
        self.waves.push(WaveBoard {
            name: rule.name.clone(),
            state,
            clusters: members.len(),
            pending: found.pending,
            healthy: found.healthy,
            why,
            until,
        });
    }

    /// Tells whether it is to be looked at again because a WEC said something; `turned` is whether it became healthy by that, or
    /// is not any more. Where nothing waits, nothing else is worth a look.
    pub fn awaits(&self, cluster: &ClusterName, turned: bool) -> bool {
        self.awaited.contains(cluster) && (turned || !self.held.is_empty())
    }
}

/// Why later waves have to wait.
#[derive(Clone, Debug)]
struct Obstacle {
    why: String,
    overdue: bool,
}

/// What a look at one wave finds.
struct Found {
    pending: usize,
    healthy: usize,
    /// The first WECs that are not healthy, and why the first of them is not.
    ailing: Vec<String>,
    unhealthy: usize,
    why: String,
    /// The first of those that had their time, and how many had.
    late: Option<(String, usize)>,
    /// Until when all have to stay healthy.
    until: Option<Timestamp>,
    next: Option<Timestamp>,
}

impl Rule {
    fn pause(&self) -> Obstacle {
        Obstacle {
            why: format!("wave {} is paused", self.name),
            overdue: false,
        }
    }

    fn look(&self, members: &[(&ClusterName, &Site)], now: Timestamp) -> Found {
        let mut found = Found {
            pending: 0,
            healthy: 0,
            ailing: Vec::new(),
            unhealthy: 0,
            why: String::new(),
            late: None,
            until: None,
            next: None,
        };
        for (name, site) in members {
            found.pending += usize::from(site.pending);
            match &site.condition {
                Condition::Empty => found.healthy += 1,
                Condition::Healthy(since) => {
                    found.healthy += 1;
                    let until = after(*since, self.success);
                    if until > now && !site.pending {
                        found.until = found.until.max(Some(until));
                    }
                }
                // It will be given something else: what it makes of the old counts no more.
                Condition::Ailing { .. } if site.pending => {}
                Condition::Ailing { why, given } => found.ails(name, why, self.ends(*given), now),
            }
        }
        found.next = [found.next, found.until].into_iter().flatten().min();
        found
    }

    /// When a WEC's time ends.
    fn ends(&self, given: Option<Timestamp>) -> Option<Timestamp> {
        Some(after(given?, self.deadline?))
    }
}

impl Found {
    fn ails(&mut self, name: &ClusterName, why: &str, ends: Option<Timestamp>, now: Timestamp) {
        self.unhealthy += 1;
        if self.ailing.is_empty() {
            why.clone_into(&mut self.why);
        }
        if self.ailing.len() < NAMED {
            self.ailing.push(name.to_string());
        }
        match ends {
            Some(ends) if ends > now => {
                self.next = [self.next, Some(ends)].into_iter().flatten().min();
            }
            Some(_) => match &mut self.late {
                Some((_, count)) => *count += 1,
                late => *late = Some((format!("{name} ({why})"), 1)),
            },
            None => {}
        }
    }

    /// `berlin, paris, +3 (degraded: …)`
    fn names(&self) -> String {
        let more = match self.unhealthy - self.ailing.len() {
            0 => String::new(),
            more => format!(", +{more}"),
        };
        format!("{}{more} ({})", self.ailing.join(", "), self.why)
    }

    /// Where an open wave stands.
    fn state(&self) -> (WaveState, String, Option<Timestamp>) {
        if self.late.is_some() {
            return (
                WaveState::Overdue,
                format!("not healthy in time: {}", self.names()),
                None,
            );
        }
        if self.unhealthy > 0 {
            return (
                WaveState::Open,
                format!("not healthy yet: {}", self.names()),
                None,
            );
        }
        match self.until {
            _ if self.pending > 0 => (WaveState::Open, String::new(), None),
            Some(until) => (WaveState::Settling, String::new(), Some(until)),
            None => (WaveState::Done, String::new(), None),
        }
    }

    /// Why the waves behind an open one have to wait; none when they need not.
    fn obstacle(&self, rule: &Rule) -> Option<Obstacle> {
        let name = &rule.name;
        let why = match (&self.late, self.until) {
            (Some((first, count)), _) => {
                let more = match count - 1 {
                    0 => String::new(),
                    more => format!(", +{more}"),
                };
                let time = Interval(rule.deadline.unwrap_or_default());
                format!("wave {name} did not become healthy within {time}: {first}{more}")
            }
            (None, _) if self.unhealthy > 0 => {
                format!("wave {name} is not healthy: {}", self.names())
            }
            (None, _) if self.pending > 0 => format!("wave {name} gets it first"),
            (None, Some(until)) => {
                format!(
                    "wave {name} has to stay healthy until {}",
                    until.strftime("%H:%M:%S UTC")
                )
            }
            (None, None) => return None,
        };
        Some(Obstacle {
            why,
            overdue: self.late.is_some(),
        })
    }
}

/// A time that is too far away never comes.
fn after(since: Timestamp, time: Duration) -> Timestamp {
    let time = jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX);
    since.checked_add(time).unwrap_or(Timestamp::MAX)
}

impl Condition {
    /// How a WEC is that is to hold `content`: by what it said of that, and only since `start`, when it was first listened to.
    ///
    /// `rendered` is what the newest commit is for the WEC, none when that has no objects for it; `stands` the newest that was
    /// published for it.
    pub fn of(
        rendered: Option<&ClusterState>,
        stands: Option<&ClusterState>,
        content: Option<&str>,
        start: Timestamp,
    ) -> Self {
        let Some(rendered) = rendered else {
            return Self::Empty;
        };
        let given = stands.and_then(ClusterState::given);
        let ailing = |why: String| Self::Ailing { why, given };
        if let Some((object, _)) = rendered.quarantined().first_key_value() {
            return ailing(format!("{object} could not be rendered"));
        }
        let Some(stands) = stands.filter(|stands| stands.holds(content)) else {
            return ailing("nothing was heard of what it has".to_owned());
        };
        match stands.healthy() {
            Some(since) => Self::Healthy(since.max(start)),
            None => ailing(stands.ailment()),
        }
    }
}

#[cfg(test)]
#[path = "waves_tests.rs"]
mod tests;
