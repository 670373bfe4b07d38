//! Templates over a WEC's properties: bounded output, and no property read that is not announced.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stellate::transform::template::{Properties, Reads, Template};

fuzz_target!(|text: &str| {
    let Ok(template) = Template::parse(text) else {
        return;
    };
    let properties: Properties = [
        ("clusterName", "wec-1"),
        ("a", "1"),
        ("b", ""),
        ("c", "<x y=\"z\">\u{e9}\u{1f600}\n"),
        ("n", "-42"),
        (
            "long",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let whole = template.render(&properties);
    if let Ok(text) = &whole {
        assert!(text.len() <= 4 << 20, "{} bytes", text.len());
    }
    if let Reads::Named(names) = template.properties() {
        let some = properties.iter().filter(|(key, _)| names.contains(*key));
        let some: Properties = some
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(
            template.render(&some),
            whole,
            "it reads more than {names:?}"
        );
    }
});
