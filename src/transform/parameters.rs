//! The customization of KubeStellar's early API group edge.kubestellar.io: `%(name)` parameters and Customizer
//! replacements.
//!
//! An object annotated `edge.kubestellar.io/expand-parameters: "true"`, a Customizer included, has `%(name)` in its
//! strings replaced by the property of that name; an object annotated `edge.kubestellar.io/customizer` has a
//! Customizer's `replacements` applied. Text + properties → text, value + path → value; nothing else is touched.

use std::collections::BTreeSet;

use serde_json::Value;

use super::template::Properties;

/// A parameter that no property answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("missing parameter \"{name}\" for %({name})")]
pub struct ParameterError {
    /// The parameter's name.
    pub name: String,
}

/// Replaces each `%(name)` by the property of that name, once: what a property brings in is not expanded again.
/// Names consist of letters, digits, `-`, `_`, `.` and `/`. Everything else that has a `%` stays as it is, `%%` too.
pub fn expand_parameters(text: &str, properties: &Properties) -> Result<String, ParameterError> {
    let mut expanded = String::with_capacity(text.len());
    for piece in Pieces(text) {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Parameter(name) => match properties.get(name) {
                Some(value) => expanded.push_str(value),
                None => {
                    return Err(ParameterError {
                        name: name.to_owned(),
                    });
                }
            },
        }
    }
    Ok(expanded)
}

/// The names that [`expand_parameters`] will ask for.
pub fn parameters_read(text: &str) -> BTreeSet<String> {
    Pieces(text)
        .filter_map(|piece| match piece {
            Piece::Parameter(name) => Some(name.to_owned()),
            Piece::Text(_) => None,
        })
        .collect()
}

enum Piece<'t> {
    Text(&'t str),
    Parameter(&'t str),
}

/// What is left of a text, cut into text and parameters.
struct Pieces<'t>(&'t str);

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        if self.0.is_empty() {
            return None;
        }
        if let Some((name, rest)) = leading_parameter(self.0) {
            self.0 = rest;
            return Some(Piece::Parameter(name));
        }
        let next = self
            .0
            .match_indices("%(")
            .map(|(at, _)| at)
            .find(|at| *at > 0 && leading_parameter(&self.0[*at..]).is_some());
        let (text, rest) = self.0.split_at(next.unwrap_or(self.0.len()));
        self.0 = rest;
        Some(Piece::Text(text))
    }
}

/// `%(name)` at the start of `text`, and what follows it.
fn leading_parameter(text: &str) -> Option<(&str, &str)> {
    let after = text.strip_prefix("%(")?;
    let is_name =
        |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '/');
    let end = after.find(|character| !is_name(character))?;
    let rest = after[end..].strip_prefix(')')?;
    (end > 0).then_some((&after[..end], rest))
}

/// One entry of a Customizer's `replacements`: a place and the value to put there.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    parts: Vec<String>,
    value: Value,
}

/// Why a replacement cannot be read or applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplacementError {
    /// The path is not `$` followed by `.part`, `["part"]` or `[number]`.
    #[error("replacement path {path:?} is malformed at byte {offset}")]
    Path {
        /// The path as written.
        path: String,
        /// Where, in bytes.
        offset: usize,
    },
    /// The value is no JSON text; a string needs its quotes inside the YAML string.
    #[error("replacement value {value:?} is no JSON text: {message}")]
    Value {
        /// The value as written, parameters expanded.
        value: String,
        /// The JSON parser's words.
        message: String,
    },
    /// The object has nothing at this part of the path.
    #[error("replacement path: {missing} does not exist")]
    Missing {
        /// The path up to and with the part that is not there.
        missing: String,
    },
}

impl Replacement {
    /// Reads a replacement from its two strings, after [`expand_parameters`] if the Customizer asks for that.
    ///
    /// `path` is `$` followed by parts: `.part`, `["part"]` or `[number]`. A number stands for an item of an array or
    /// for a member of that name: `$.spec.containers.0.env.0.value`. `value` is JSON: `"edge"` with its quotes, `3`,
    /// `{"a": 1}`.
    pub fn parse(path: &str, value: &str) -> Result<Self, ReplacementError> {
        let parts = parts(path).map_err(|offset| ReplacementError::Path {
            path: path.to_owned(),
            offset,
        })?;
        let value = serde_json::from_str(value).map_err(|error| ReplacementError::Value {
            value: value.to_owned(),
            message: error.to_string(),
        })?;
        Ok(Self { parts, value })
    }

    /// Puts the value at the path. The place must exist: a misspelt path shall not grow new members unnoticed.
    pub fn apply_to(&self, object: &mut Value) -> Result<(), ReplacementError> {
        let mut place = object;
        for (number, part) in self.parts.iter().enumerate() {
            let inner = match place {
                Value::Object(members) => members.get_mut(part),
                Value::Array(items) => item_number(part).and_then(|index| items.get_mut(index)),
                _ => None,
            };
            place = inner.ok_or_else(|| ReplacementError::Missing {
                missing: format!("$.{}", self.parts[..=number].join(".")),
            })?;
        }
        *place = self.value.clone();
        Ok(())
    }
}

pub(super) fn item_number(part: &str) -> Option<usize> {
    part.parse()
        .ok()
        .filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The parts of a path, or the offset of what is wrong with it. The whole object is no place to replace.
pub(super) fn parts(path: &str) -> Result<Vec<String>, usize> {
    let mut rest = path
        .strip_prefix('$')
        .filter(|rest| !rest.is_empty())
        .ok_or(0_usize)?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let at = path.len() - rest.len();
        let (part, after) = if let Some(named) = rest.strip_prefix('.') {
            named.split_at(named.find(['.', '[']).unwrap_or(named.len()))
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            quoted.split_once("\"]").ok_or(at)?
        } else {
            rest.strip_prefix('[')
                .and_then(|number| number.split_once(']'))
                .filter(|(part, _)| item_number(part).is_some())
                .ok_or(at)?
        };
        if part.is_empty() {
            return Err(at);
        }
        parts.push(part.to_owned());
        rest = after;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_parameter_whose_name_has_a_dash_is_replaced() {
        let page = "This is a common web site.\nRunning in %(loc-name).\n";
        let florin = properties(&[("loc-name", "florin"), ("env", "prod")]);
        assert_eq!(
            expand_parameters(page, &florin).unwrap(),
            "This is a common web site.\nRunning in florin.\n"
        );
        assert_eq!(
            parameters_read(page),
            BTreeSet::from(["loc-name".to_owned()])
        );
    }

    #[test]
    fn only_a_whole_parameter_is_replaced_and_all_else_stays() {
        let one = properties(&[("a", "%(b)"), ("example.com/x_1", "v")]);
        for (text, wanted) in [
            ("", ""),
            ("100% (sure) %% %", "100% (sure) %% %"),
            ("%(", "%("),
            ("%()", "%()"),
            ("%(a", "%(a"),
            ("%(a b)", "%(a b)"),
            ("%%(a)", "%%(b)"),
            ("%(%(a))", "%(%(b))"),
            ("%(a)%(a)", "%(b)%(b)"),
            ("é%(example.com/x_1)é", "évé"),
        ] {
            assert_eq!(expand_parameters(text, &one).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let error = expand_parameters("%(loc-name)", &Properties::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "missing parameter \"loc-name\" for %(loc-name)"
        );
    }

    fn replica_set() -> Value {
        json!({"spec": {"template": {"spec": {"containers": [
            {"name": "httpd", "env": [{"name": "EXAMPLE_VAR", "value": "example value"}]}
        ]}}}})
    }

    #[test]
    fn the_documented_customizer_sets_the_environment_variable() {
        let prod = properties(&[("env", "prod")]);
        let path = "$.spec.template.spec.containers.0.env.0.value";
        for (value, wanted) in [
            ("\"env is %(env)\"", "env is prod"),
            ("\"in %(env) env\"", "in prod env"),
        ] {
            let mut object = replica_set();
            let replacement =
                Replacement::parse(path, &expand_parameters(value, &prod).unwrap()).unwrap();
            replacement.apply_to(&mut object).unwrap();
            assert_eq!(
                object.pointer("/spec/template/spec/containers/0/env/0/value"),
                Some(&json!(wanted))
            );
            assert_eq!(
                object.pointer("/spec/template/spec/containers/0/env/0/name"),
                Some(&json!("EXAMPLE_VAR"))
            );
        }
    }

    #[test]
    fn a_path_reaches_members_named_by_numbers_and_by_odd_strings() {
        let mut object = json!({"data": {"0": "zero", "a.b/c": ["x", "y"]}});
        Replacement::parse("$.data.0", "1")
            .unwrap()
            .apply_to(&mut object)
            .unwrap();
        Replacement::parse("$.data[\"a.b/c\"][1]", "{\"k\": null}")
            .unwrap()
            .apply_to(&mut object)
            .unwrap();
        assert_eq!(
            object,
            json!({"data": {"0": 1, "a.b/c": ["x", {"k": null}]}})
        );
    }

    #[test]
    fn a_place_that_does_not_exist_is_named_and_nothing_changes() {
        for (path, missing) in [
            ("$.spec.tmplate.spec", "$.spec.tmplate"),
            (
                "$.spec.template.spec.containers.1.env",
                "$.spec.template.spec.containers.1",
            ),
            (
                "$.spec.template.spec.containers.x",
                "$.spec.template.spec.containers.x",
            ),
            (
                "$.spec.template.spec.containers.0.name.x",
                "$.spec.template.spec.containers.0.name.x",
            ),
            ("$.spec.replicas", "$.spec.replicas"),
        ] {
            let mut object = replica_set();
            let error = Replacement::parse(path, "1")
                .unwrap()
                .apply_to(&mut object)
                .unwrap_err();
            assert_eq!(
                error,
                ReplacementError::Missing {
                    missing: missing.to_owned()
                }
            );
            assert_eq!(object, replica_set());
        }
    }

    #[test]
    fn malformed_paths_and_values_are_refused() {
        for path in [
            "", "$", "spec", "$spec", "$.", "$..a", "$.a.", "$[a]", "$[\"a\"", "$[]", "$[\"\"]",
            "$.a[0", "$.a[+1]",
        ] {
            assert!(
                matches!(
                    Replacement::parse(path, "1"),
                    Err(ReplacementError::Path { .. })
                ),
                "{path}"
            );
        }
        let error = Replacement::parse("$.a", "env is prod").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("\"env is prod\" is no JSON text"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*", path in "[$.\\[\\]\"a0%()é]*") {
            drop(expand_parameters(&text, &Properties::new()));
            drop(expand_parameters(&path, &properties(&[("a", "x")])));
            if let Ok(replacement) = Replacement::parse(&path, "1") {
                drop(replacement.apply_to(&mut json!({"a": {"0": [1, 2]}})));
            }
        }

        #[test]
        fn every_parameter_that_is_read_is_asked_for(text in "[%()a-c]*") {
            let all: Properties = parameters_read(&text).into_iter().map(|name| (name, String::new())).collect();
            prop_assert!(expand_parameters(&text, &all).is_ok());
        }
    }
}
