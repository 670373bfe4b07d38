//! Label selectors. Each line of the text is a requirement, `key operator value,value`, or a label, `key=value`.
//!
//! A selector that compiles matches exactly when all its requirements say that they hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stellate::model::Labels;
use stellate::model::api::label_selector::{LabelSelector, LabelSelectorRequirement};
use stellate::model::selector::Selector;

fuzz_target!(|text: &str| {
    let mut raw = LabelSelector::default();
    let mut labels = Labels::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (first, second, third) = (words.next().unwrap_or(""), words.next(), words.next());
        if let Some(operator) = second {
            raw.match_expressions.push(LabelSelectorRequirement {
                key: first.to_owned(),
                operator: operator.to_owned(),
                values: third
                    .iter()
                    .flat_map(|values| values.split(','))
                    .map(str::to_owned)
                    .collect(),
            });
        } else if let Some((key, value)) = first.split_once("==") {
            raw.match_labels.insert(key.to_owned(), value.to_owned());
        } else if let Some((key, value)) = first.split_once('=') {
            labels.insert(key.to_owned(), value.to_owned());
        }
    }
    match Selector::compile(&raw) {
        Ok(selector) => {
            let outcomes = selector.evaluate(&labels);
            // The same requirement twice counts once.
            assert!(outcomes.len() <= raw.match_labels.len() + raw.match_expressions.len());
            let all = outcomes.iter().all(|outcome| outcome.satisfied);
            assert_eq!(selector.matches(&labels), all, "{outcomes:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
