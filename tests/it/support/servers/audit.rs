//! What an API server writes down of everything that it was asked for: the only witness of what was not done.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

/// Where an API server keeps its audit log, and what has been read of it.
#[derive(Debug)]
pub(crate) struct Audit {
    log: PathBuf,
}

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    /// Who asked; who is impersonated when somebody is.
    pub user: String,
    /// `get`, `patch`, …
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// `manifestworks`, `pipelines/status`; empty for what is no object.
    pub resource: String,
    /// Empty for all, and for what lives in none.
    pub namespace: String,
    /// Empty for lists.
    pub name: String,
    /// The status code of the answer.
    pub code: u64,
    /// When it was asked; RFC 3339 in UTC, so that texts compare as times.
    pub at: String,
}

impl Asked {
    /// Whether it would change something.
    pub(crate) fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }
}

impl Audit {
    /// Makes a policy by which all is written down; gives the flags for the API server.
    pub(crate) fn new(name: &str) -> (Self, Vec<String>) {
        let folder = crate::support::folder(&format!("{name}-audit"));
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        });
        let (file, log) = (folder.join("policy.json"), folder.join("audit.log"));
        fs::write(&file, policy.to_string()).unwrap();
        let flags = vec![
            format!("--audit-policy-file={}", file.display()),
            format!("--audit-log-path={}", log.display()),
        ];
        (Self { log }, flags)
    }

    /// Everything that was answered so far, watches when they began and when they ended, in the order of the log.
    pub(crate) fn all(&self) -> Vec<Asked> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        // The last line may not be whole yet.
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.map(|event| asked(&event)).collect()
    }

    /// What was asked for of one resource after so many entries.
    pub(crate) fn of(&self, resource: &str, after: usize) -> Vec<Asked> {
        let news = self.all().into_iter().skip(after);
        news.filter(|asked| asked.resource == resource).collect()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.all().len()
    }
}

fn asked(event: &Value) -> Asked {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let mut resource = text(&object["resource"]);
    if let Some(part) = object["subresource"].as_str() {
        resource = format!("{resource}/{part}");
    }
    let user = match &event["impersonatedUser"]["username"] {
        Value::Null => &event["user"]["username"],
        other => other,
    };
    Asked {
        user: text(user),
        verb: text(&event["verb"]),
        group: text(&object["apiGroup"]),
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        at: text(&event["requestReceivedTimestamp"]),
    }
}
