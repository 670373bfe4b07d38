//! Removal paths: the first line is the path, the rest the object as JSON, or one that Kubernetes might hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use stellate::transform::jsonpath::RemovalPath;

fuzz_target!(|text: &str| {
    let (path, object) = text.split_once('\n').unwrap_or((text, ""));
    let path = match RemovalPath::parse(path) {
        Ok(path) => path,
        Err(error) => {
            assert!(
                error.offset() <= text.len(),
                "an error behind the end: {error}"
            );
            return;
        }
    };
    let before: Value = serde_json::from_str(object).unwrap_or_else(|_| {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"a": "1", "a.b/c": "2"}, "annotations": null},
            "spec": {"replicas": 3, "list": [1, "two", {"three": [3, 3.5, true]}, []], "a": {"b": {"c": {}}}},
        })
    });
    let mut after = before.clone();
    let removed = path.remove_from(&mut after);
    assert_eq!(
        removed == 0,
        before == after,
        "{removed} values were removed"
    );
});
