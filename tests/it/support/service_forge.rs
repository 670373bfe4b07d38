//! A forge that keeps commit statuses as Gitea does, in memory, and fails on demand. It has no repositories: git goes elsewhere.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::forge::{Asked, Double, Reply};

/// What comes in place of an answer.
pub(crate) type Fault = fn() -> Reply;

/// The forge.
pub(crate) struct StatusForge {
    double: Double,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By commit, in the order in which they were posted.
    statuses: BTreeMap<String, Vec<Posted>>,
    fault: Option<Fault>,
}

/// A status as it was posted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Posted {
    pub context: String,
    pub state: String,
    pub description: String,
}

impl StatusForge {
    /// Starts answering; it ends with the test process.
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let kept = Arc::clone(&state);
        let double = Double::start(move |asked| kept.lock().unwrap().answer(asked));
        Self { double, state }
    }

    /// `spec.status` for it, as flow members of the configuration.
    pub(crate) fn status(&self, token: &str) -> String {
        format!(
            "  status:\n    gitea: {{url: '{}', repository: acme/shop, token: {{file: {token}}}}}\n",
            self.double.url()
        )
    }

    /// Answers like this from now on; `None` is well again.
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().fault = fault;
    }

    /// How many requests came in.
    pub(crate) fn requests(&self) -> usize {
        self.double.asked().len()
    }

    /// All statuses of a commit, in the order in which they were posted.
    pub(crate) fn all(&self, commit: &str) -> Vec<Posted> {
        let state = self.state.lock().unwrap();
        state.statuses.get(commit).cloned().unwrap_or_default()
    }

    /// The commits that something was posted on.
    pub(crate) fn commits(&self) -> Vec<String> {
        self.state
            .lock()
            .unwrap()
            .statuses
            .keys()
            .cloned()
            .collect()
    }

    /// The statuses of a commit as people see them: the newest of each name.
    pub(crate) fn shown(&self, commit: &str) -> BTreeMap<String, (String, String)> {
        let all = self.all(commit).into_iter();
        all.map(|posted| (posted.context, (posted.state, posted.description)))
            .collect()
    }
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Reply {
        if let Some(fault) = self.fault {
            return fault();
        }
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), &parts[..]) {
            (
                "GET",
                [
                    "api",
                    "v1",
                    "repos",
                    "acme",
                    "shop",
                    "commits",
                    sha,
                    "statuses",
                ],
            ) => {
                let all = self.statuses.get(*sha).into_iter().flatten();
                let each = all.enumerate().map(|(number, posted)| {
                    json!({"id": number + 1, "context": posted.context, "status": posted.state, "description": posted.description})
                });
                Reply::json(200, &each.collect())
            }
            ("POST", ["api", "v1", "repos", "acme", "shop", "statuses", sha]) => {
                let text = |field: &str| asked.body[field].as_str().unwrap_or_default().to_owned();
                let posted = Posted {
                    context: text("context"),
                    state: text("state"),
                    description: text("description"),
                };
                let all = self.statuses.entry((*sha).to_owned()).or_default();
                all.push(posted);
                Reply::json(201, &json!({"id": all.len()}))
            }
            _ => Reply::json(404, &Value::Null),
        }
    }
}
