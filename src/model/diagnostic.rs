//! What Stellate has to say about its input: bad input is data, not an error.
//!
//! Every stage returns its result together with diagnostics; one broken policy never stops the others.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::id::{ClusterName, ObjectKey, PolicyName, RepoPath};
use super::object::Origin;
use super::path::PathPart;

/// How grave a diagnostic is; ordered from the mildest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Probably not what was meant; everything was delivered all the same.
    Warning,
    /// Something was not delivered, or kept at its last good state.
    Error,
}

/// A place in a source file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct Location {
    /// The file.
    pub path: RepoPath,
    /// Line, from 1; 0 when only the file is known, and then not serialised.
    #[serde(skip_serializing_if = "is_unknown")]
    pub line: u32,
    /// Column in characters, from 1; 0 when only the line is known, and then not serialised.
    #[serde(skip_serializing_if = "is_unknown")]
    pub column: u32,
}

/// Tells whether a line or a column is none.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_unknown(number: &u32) -> bool {
    *number == 0
}

impl Location {
    /// Names a file as a whole.
    pub fn file(path: RepoPath) -> Self {
        Self {
            path,
            line: 0,
            column: 0,
        }
    }

    /// Names a line and column, both from 1.
    pub fn at(path: RepoPath, line: u32, column: u32) -> Self {
        Self { path, line, column }
    }
}

/// Written `path:line:column`, which terminals and editors open.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.path, formatter)?;
        if self.line > 0 {
            write!(formatter, ":{}", self.line)?;
            if self.column > 0 {
                write!(formatter, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One finding: what is wrong, where, with what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[must_use]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// A fixed word for programs and metrics, in CamelCase: `DuplicateKey`, `UnknownKind` …
    pub reason: &'static str,
    /// What is wrong, for people: one sentence, lower-case start, no full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The object concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// The policy concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// The WEC concerned; none when it concerns all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// The field of which document it is about: whoever can read the text again finds line and column by it.
    #[serde(skip)]
    pub field: Option<(Origin, Vec<PathPart>)>,
}

impl Diagnostic {
    /// Gives place, object, WEC and message on one line, for whoever has room for one.
    pub fn line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.location.as_ref().map(Location::to_string));
        parts.extend(match (&self.object, &self.cluster) {
            (Some(object), Some(cluster)) => Some(format!("{object} on {cluster}")),
            (Some(object), None) => Some(object.to_string()),
            (None, cluster) => cluster.as_ref().map(ClusterName::to_string),
        });
        parts.push(self.message.clone());
        parts.join(": ")
    }

    /// Starts a diagnostic of the given severity.
    pub fn new(severity: Severity, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            reason,
            message: message.into(),
            help: None,
            location: None,
            object: None,
            policy: None,
            cluster: None,
            field: None,
        }
    }

    /// Starts an error.
    pub fn error(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, reason, message)
    }

    /// Starts a warning.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, reason, message)
    }

    /// Starts a note.
    pub fn note(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, reason, message)
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the place.
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Adds the field, as the way into a document.
    pub fn in_field(mut self, origin: Origin, path: Vec<PathPart>) -> Self {
        self.field = Some((origin, path));
        self
    }

    /// Adds the object.
    pub fn object(mut self, object: ObjectKey) -> Self {
        self.object = Some(object);
        self
    }

    /// Adds the policy.
    pub fn policy(mut self, policy: PolicyName) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Adds the WEC.
    pub fn cluster(mut self, cluster: ClusterName) -> Self {
        self.cluster = Some(cluster);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_of_a_place_is_not_serialised() {
        let json = |location: Location| serde_json::to_value(location).expect("JSON");
        assert_eq!(json(Location::file("a".into())), json!({"path": "a"}));
        let line = Location::at("a".into(), 3, 0);
        assert_eq!(json(line), json!({"path": "a", "line": 3}));
    }
}
