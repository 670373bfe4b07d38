//! Legacy `%(name)` parameters and replacements: lines are a text, a path and a JSON value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use stellate::transform::parameters::{Replacement, expand_parameters, parameters_read};
use stellate::transform::template::Properties;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or("");
    let (template, path, value) = (line(), line(), line());
    let names = parameters_read(template);
    let mut properties = Properties::new();
    match expand_parameters(template, &properties) {
        Ok(expanded) => assert!(names.is_empty() && expanded == template),
        Err(error) => assert!(names.contains(&error.name), "{error}"),
    }
    // What a property brings in is not expanded again.
    properties.extend(
        names
            .iter()
            .map(|name| (name.clone(), format!("%({name})"))),
    );
    assert_eq!(
        expand_parameters(template, &properties).as_deref(),
        Ok(template)
    );

    if let Ok(replacement) = Replacement::parse(path, value) {
        let before =
            json!({"a": {"b": [1, {"c": "d"}], "0": true}, "list": [[], null], "text": "x"});
        let mut once = before.clone();
        if replacement.apply_to(&mut once).is_err() {
            assert_eq!(once, before, "a replacement that fails changes nothing");
        }
    }
});
