//! Label selectors, compiled: from a [`LabelSelector`] as written to a [`Selector`] that answers, or a reason why not.
//!
//! The meaning is that of `k8s.io/apimachinery` (`LabelSelectorAsSelector`, `labels.Requirement`), validation included.
//! A selector is written once against a [`LabelSpace`]: one set of labels answers it with a `bool`, an index over many
//! with the set of those that match. So one decision serves both, and explaining it never needs a second matcher.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::api::label_selector::{LabelSelector, LabelSelectorRequirement};
use super::object::Labels;
use super::path::PathPart;

/// A valid label selector: all its requirements must hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// Sorted by key, as Kubernetes sorts them.
    requirements: Vec<Requirement>,
}

/// One requirement of a selector: what one label must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted, each once; empty unless the operator takes values.
    values: Vec<String>,
}

/// How a requirement looks at its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// What one requirement found on one set of labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RequirementOutcome {
    /// The requirement as kubectl prints it.
    pub text: String,
    /// Whether it holds.
    pub satisfied: bool,
    /// The label's value; none when the label is not there.
    pub actual: Option<String>,
}

/// Whatever can be asked for labels: one set of labels, or an index over many.
pub trait LabelSpace {
    /// Who matches: yes or no for one set of labels, a set of positions for an index.
    type Answer: Answer;

    /// Gives all members.
    fn everything(&self) -> Self::Answer;
    /// Gives no member.
    fn nothing(&self) -> Self::Answer;
    /// Gives the members that have the label.
    fn with_key(&self, key: &str) -> Self::Answer;
    /// Gives the members whose label has one of `values`, which are sorted.
    fn with_value(&self, key: &str, values: &[String]) -> Self::Answer;
    /// Gives the members that are not in `answer`.
    fn others(&self, answer: Self::Answer) -> Self::Answer;
}

/// Who matches, with the two operations that selectors need.
pub trait Answer: Clone {
    /// Keeps who is in both.
    fn and(&mut self, other: &Self);
    /// Adds who is in `other`.
    fn or(&mut self, other: &Self);
    /// Tells whether nobody is left.
    fn is_nothing(&self) -> bool;
}

/// Why a selector is not valid, and in which part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", PathPart::join(path))]
pub struct SelectorError {
    /// The way from the selector to the part: `matchExpressions`, `0`, `operator`.
    pub path: Vec<PathPart>,
    /// What is wrong with the part.
    pub message: String,
}

impl Selector {
    /// Compiles a selector as written.
    ///
    /// Errors name the first part that Kubernetes would refuse: an unknown operator, values where none may stand or none
    /// where some must, and keys or values that are no label syntax.
    pub fn compile(raw: &LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in &raw.match_labels {
            let path = || vec!["matchLabels".into(), key.as_str().into()];
            check_key(key).map_err(|message| SelectorError::new(path(), message))?;
            check_value(value).map_err(|message| SelectorError::new(path(), message))?;
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            });
        }
        for (index, expression) in raw.match_expressions.iter().enumerate() {
            requirements.push(Requirement::compile(expression).map_err(|mut error| {
                error
                    .path
                    .splice(0..0, ["matchExpressions".into(), index.into()]);
                error
            })?);
        }
        requirements.sort();
        requirements.dedup();
        Ok(Self { requirements })
    }

    /// Gives the members of `space` that match.
    pub fn select<S: LabelSpace>(&self, space: &S) -> S::Answer {
        let mut requirements = self.requirements.iter();
        let Some(first) = requirements.next() else {
            return space.everything();
        };
        let mut answer = first.select(space);
        for requirement in requirements {
            if answer.is_nothing() {
                break;
            }
            answer.and(&requirement.select(space));
        }
        answer
    }

    /// Tells whether `labels` match.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.select(labels)
    }

    /// Tells what each requirement finds on `labels`; they match when all are satisfied.
    pub fn evaluate(&self, labels: &Labels) -> Vec<RequirementOutcome> {
        self.requirements
            .iter()
            .map(|requirement| RequirementOutcome {
                text: requirement.to_string(),
                satisfied: requirement.select(labels),
                actual: labels.get(&requirement.key).cloned(),
            })
            .collect()
    }

    /// Gives the requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Tells whether it requires nothing, as `{}` does.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl Requirement {
    /// Compiles one expression; the error's path starts inside the expression.
    fn compile(raw: &LabelSelectorRequirement) -> Result<Self, SelectorError> {
        let error = |part: &str, message| SelectorError::new(vec![part.into()], message);
        let operator = match raw.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                return Err(error(
                    "operator",
                    format!("{other:?} is no operator; use In, NotIn, Exists or DoesNotExist"),
                ));
            }
        };
        check_key(&raw.key).map_err(|message| error("key", message))?;
        let takes_values = matches!(operator, Operator::In | Operator::NotIn);
        if takes_values && raw.values.is_empty() {
            return Err(error(
                "values",
                format!("{} needs at least one value", raw.operator),
            ));
        }
        if !takes_values && !raw.values.is_empty() {
            return Err(error("values", format!("{} takes no values", raw.operator)));
        }
        for (index, value) in raw.values.iter().enumerate() {
            check_value(value).map_err(|message| {
                SelectorError::new(vec!["values".into(), index.into()], message)
            })?;
        }
        let mut values = raw.values.clone();
        values.sort();
        values.dedup();
        Ok(Self {
            key: raw.key.clone(),
            operator,
            values,
        })
    }

    /// Gives the members of `space` that satisfy this requirement: the one place where an operator gets its meaning.
    ///
    /// A label that is not there satisfies `NotIn`, as in Kubernetes.
    pub fn select<S: LabelSpace>(&self, space: &S) -> S::Answer {
        match self.operator {
            Operator::In => space.with_value(&self.key, &self.values),
            Operator::NotIn => space.others(space.with_value(&self.key, &self.values)),
            Operator::Exists => space.with_key(&self.key),
            Operator::DoesNotExist => space.others(space.with_key(&self.key)),
        }
    }

    /// Gives the values of which the label must have one; none when it can do without them.
    pub fn required_values(&self) -> Option<&[String]> {
        (self.operator == Operator::In).then_some(self.values.as_slice())
    }

    /// Gives the label it looks at.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// As kubectl prints selectors: `env=prod,tier in (a,b),!legacy`, and `<none>` for the one that matches everything.
impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.requirements.is_empty() {
            return formatter.write_str("<none>");
        }
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            fmt::Display::fmt(requirement, formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match (self.operator, self.values.as_slice()) {
            // kubectl writes `in (a)` for an expression and `=a` for a matchLabels entry; they mean the same.
            (Operator::In, [value]) => write!(formatter, "{key}={value}"),
            (Operator::In, values) => write!(formatter, "{key} in ({})", values.join(",")),
            (Operator::NotIn, values) => write!(formatter, "{key} notin ({})", values.join(",")),
            (Operator::Exists, _) => formatter.write_str(key),
            (Operator::DoesNotExist, _) => write!(formatter, "!{key}"),
        }
    }
}

/// One set of labels: matches or does not.
impl LabelSpace for Labels {
    type Answer = bool;

    fn everything(&self) -> bool {
        true
    }

    fn nothing(&self) -> bool {
        false
    }

    fn with_key(&self, key: &str) -> bool {
        self.contains_key(key)
    }

    fn with_value(&self, key: &str, values: &[String]) -> bool {
        self.get(key)
            .is_some_and(|value| values.binary_search(value).is_ok())
    }

    fn others(&self, answer: bool) -> bool {
        !answer
    }
}

impl Answer for bool {
    fn and(&mut self, other: &Self) {
        *self &= other;
    }

    fn or(&mut self, other: &Self) {
        *self |= other;
    }

    fn is_nothing(&self) -> bool {
        !self
    }
}

impl SelectorError {
    fn new(path: Vec<PathPart>, message: String) -> Self {
        Self { path, message }
    }
}

/// Checks a label key: a name of at most 63 characters, after an optional DNS name of at most 253 and a slash.
///
/// The error says what is wrong, as the end of a sentence that the key's place starts.
pub fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix
        && (prefix.len() > 253 || !prefix.split('.').all(is_dns_label))
    {
        return Err(format!(
            "the part before the slash of label key {key:?} is no DNS name of at most 253 lower-case letters, digits, '-' and '.'"
        ));
    }
    if name.len() > 63 {
        return Err(format!(
            "the name in label key {key:?} is {} characters long; 63 are allowed",
            name.len()
        ));
    }
    if name.is_empty() || !is_label_text(name) {
        return Err(format!(
            "the name in label key {key:?} must be letters, digits, '-', '_' and '.', starting and ending with a letter or digit"
        ));
    }
    Ok(())
}

/// Checks a label value: empty, or at most 63 characters.
pub fn check_value(value: &str) -> Result<(), String> {
    if value.len() > 63 {
        return Err(format!(
            "label value {value:?} is {} characters long; 63 are allowed",
            value.len()
        ));
    }
    if !value.is_empty() && !is_label_text(value) {
        return Err(format!(
            "label value {value:?} must be letters, digits, '-', '_' and '.', starting and ending with a letter or digit"
        ));
    }
    Ok(())
}

/// Tells whether `text` is what label names and values consist of; it is not empty.
fn is_label_text(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = text.as_bytes();
    bytes.iter().copied().all(inner)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// Tells whether `part` may stand between the dots of a DNS name.
fn is_dns_label(part: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.iter().all(|byte| edge(byte) || *byte == b'-')
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;
