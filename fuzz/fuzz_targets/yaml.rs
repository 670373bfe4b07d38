//! Any bytes as a manifest file. What is read is written so that it reads back the same; every place in it can be found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use stellate::model::PathPart;
use stellate::yaml::{Duplicates, Limits, Part, emit, load, load_with, locate};

/// Small enough that a bomb shows as slowness, not as patience.
const LIMITS: Limits = Limits {
    bytes: 1 << 16,
    depth: 100,
    nodes: 20_000,
    aliases: 100,
};

fuzz_target!(|text: &[u8]| {
    let strict = load(text, &LIMITS);
    let lenient = load_with(text, &LIMITS, Duplicates::LastWins);
    let Ok(documents) = strict else { return };
    let lenient = lenient.expect("what is read strictly is read leniently, too");
    assert_eq!(lenient.len(), documents.len());
    for (number, document) in documents.iter().enumerate() {
        assert_eq!(lenient[number].value, document.value);
        let written = emit(&document.value);
        let limits = Limits {
            bytes: 1 << 24,
            nodes: 100_000,
            ..LIMITS
        };
        let again = load(&written, &limits).unwrap_or_else(|error| {
            panic!(
                "{error} in what was written:\n{}",
                String::from_utf8_lossy(&written)
            )
        });
        let again = again
            .first()
            .map_or(Value::Null, |document| document.value.clone());
        assert_eq!(
            again,
            document.value,
            "{}",
            String::from_utf8_lossy(&written)
        );
        assert_eq!(emit(&again), written);
        if let Value::Object(members) = &document.value {
            for key in members.keys().take(4) {
                // Where a merge brought it in, there may be no place; but never a panic, and never line 0.
                let place = locate(text, number, &[PathPart::from(key.as_str())], Part::Value);
                assert!(place.is_none_or(|(line, column)| line > 0 && column > 0));
            }
        }
    }
});
