//! Any bytes as `stellate.yaml`: pipelines, or at least one error that has a message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stellate::config;

fuzz_target!(|text: &[u8]| {
    if let Err(found) = config::load("stellate.yaml", text) {
        assert!(!found.is_empty());
        assert!(
            found
                .iter()
                .all(|diagnostic| !diagnostic.message.is_empty())
        );
    }
});
