//! Diagnostics as SARIF 2.1.0, which code hosts show beside the lines of a change. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::{Diagnostic, Severity};

/// Gives the log of one run.
pub(super) fn log(found: &[&Diagnostic]) -> Value {
    let mut reasons: BTreeMap<&str, usize> = found.iter().map(|found| (found.reason, 0)).collect();
    for (index, position) in reasons.values_mut().enumerate() {
        *position = index;
    }
    let rules: Vec<Value> = reasons
        .keys()
        .map(|reason| json!({"id": reason, "name": reason}))
        .collect();
    let results: Vec<Value> = found
        .iter()
        .map(|found| result(found, reasons[found.reason]))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "stellate",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(found: &Diagnostic, rule: usize) -> Value {
    let level = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let mut message = found.message.clone();
    if let Some(help) = &found.help {
        // Writing to memory does not fail.
        let _ = write!(message, "\nHelp: {help}");
    }
    let mut result = json!({
        "ruleId": found.reason,
        "ruleIndex": rule,
        "level": level,
        "message": {"text": message},
    });
    if let Some(place) = &found.location {
        let mut physical = json!({"artifactLocation": {"uri": uri(place.path.as_str()), "uriBaseId": "%SRCROOT%"}});
        if place.line > 0 {
            physical["region"] = json!({"startLine": place.line});
            if place.column > 0 {
                physical["region"]["startColumn"] = json!(place.column);
            }
        }
        result["locations"] = json!([{"physicalLocation": physical}]);
    }
    let names = [
        ("object", found.object.as_ref().map(ToString::to_string)),
        ("policy", found.policy.as_ref().map(ToString::to_string)),
        ("wec", found.cluster.as_ref().map(ToString::to_string)),
    ];
    let logical: Vec<Value> = names
        .into_iter()
        .filter_map(|(kind, name)| Some(json!({"kind": kind, "fullyQualifiedName": name?})))
        .collect();
    if !logical.is_empty() {
        match result["locations"]
            .as_array_mut()
            .and_then(|places| places.first_mut())
        {
            Some(place) => place["logicalLocations"] = json!(logical),
            None => result["locations"] = json!([{"logicalLocations": logical}]),
        }
    }
    result
}

/// Writes a path as a relative URI reference.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for &byte in path.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            uri.push(char::from(byte));
        } else {
            // Writing to memory does not fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Location;

    #[test]
    fn a_finding_has_rule_level_message_and_region() {
        let found = Diagnostic::error("DuplicateKey", "twice")
            .at(Location::at("my apps/a:b.yaml".into(), 3, 5))
            .help("remove one")
            .policy("shop".into());
        let note = Diagnostic::note("Aaa", "first rule");
        let log = log(&[&found, &note]);
        let run = &log["runs"][0];
        assert_eq!(log["version"], "2.1.0");
        assert_eq!(run["tool"]["driver"]["rules"][1]["id"], "DuplicateKey");
        let result = &run["results"][0];
        assert_eq!(
            (&result["ruleIndex"], &result["level"]),
            (&json!(1), &json!("error"))
        );
        assert_eq!(result["message"]["text"], "twice\nHelp: remove one");
        let place = &result["locations"][0];
        assert_eq!(
            place["physicalLocation"]["artifactLocation"]["uri"],
            "my%20apps/a%3Ab.yaml"
        );
        assert_eq!(
            place["physicalLocation"]["region"],
            json!({"startLine": 3, "startColumn": 5})
        );
        assert_eq!(place["logicalLocations"][0]["fullyQualifiedName"], "shop");
        assert_eq!(run["results"][1].get("locations"), None);
    }
}
