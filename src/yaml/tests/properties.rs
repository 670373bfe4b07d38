//! Properties: the two ways of reading agree, what is emitted reads back, holes fill exactly, nothing panics.

use std::collections::VecDeque;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{MANIFEST, assert_survives, assert_ways_agree};
use crate::yaml::*;

fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "[a-z]{1,4}",
        proptest::sample::select(vec![
            " ", "  ", "\n", "\n\n", "\t", "\r", ": ", ":", " #", "#", "-", "- ", "---", "...",
            "'", "\"", "\\", "|", ">", "{{", "}}", "[", "]", ",", "&a", "*a", "!", "%", "@", "?",
            "? ", "yes", "on", "~", "1", "0x1f", "1_0", "1e3", ".", "\u{85}", "\u{2028}",
            "\u{feff}", "\0", "\u{7f}", "é", "<<", "=",
        ])
        .prop_map(str::to_owned),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => nasty().prop_map(Value::String),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<u64>().prop_map(|number| json!(number)),
        1 => any::<f64>().prop_map(|number| json!(number)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            btree_map(nasty(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A text with lines doubled, dropped, swapped and sprinkled with what YAML cares for.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let change = (
        any::<prop::sample::Index>(),
        0..6_u8,
        nasty(),
        any::<prop::sample::Index>(),
    );
    vec(change, 0..6).prop_map(move |changes| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (place, how, piece, column) in changes {
            let index = place.index(lines.len());
            match how {
                0 => lines.insert(index, piece),
                1 if lines.len() > 1 => drop(lines.remove(index)),
                2 => lines[index].insert(0, ' '),
                3 if lines[index].starts_with(' ') => drop(lines[index].remove(0)),
                4 => {
                    let other = column.index(lines.len());
                    lines.swap(index, other);
                }
                _ => {
                    let line = &lines[index];
                    let places: Vec<usize> = line
                        .char_indices()
                        .map(|(at, _)| at)
                        .chain([line.len()])
                        .collect();
                    let at = places[column.index(places.len())];
                    lines[index].insert_str(at, &piece);
                }
            }
        }
        lines.join("\n") + "\n"
    })
}

/// Short texts made of YAML's own pieces, which reach odd corners sooner than mutations do.
fn soup() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "a",
        "b",
        "a: ",
        "b:",
        "- ",
        "-",
        "\n",
        "\n",
        "\n  ",
        "\n ",
        "\n    ",
        " ",
        "'",
        "\"",
        "|",
        "|-",
        ">",
        ">+",
        "x y",
        "# c",
        " # c",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ",",
        ": ",
        "1",
        "yes",
        "~",
        "---\n",
        "...\n",
        "? ",
        "!!str ",
        "&x ",
        "*x",
        "<<: ",
        "\\n",
        "''",
        "é",
        "\t",
        "%",
        "\n\n",
        "a: 1\n",
        "- b: 2\n",
        "\n  - c\n",
        "\n  d: |\n    e\n   f\n",
    ]);
    vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_emitted_reads_back_the_same(value in value()) {
        assert_survives(&value);
    }

    #[test]
    fn the_fast_way_never_contradicts_the_slow_way(text in prop_oneof![mutated(MANIFEST), soup()]) {
        if text.chars().all(|character| character == '\n' || character == '\t' || !character.is_control())
            && !text.contains(['\u{2028}', '\u{2029}', '\u{feff}'])
        {
            assert_ways_agree(&text);
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in vec(any::<u8>(), 0..200), text in soup(), strange in mutated(MANIFEST)) {
        for text in [&bytes[..], text.as_bytes(), strange.as_bytes()] {
            if let Ok(documents) = load(text, &Limits::default()) {
                for (index, document) in documents.iter().enumerate() {
                    prop_assert!(document.line >= 1);
                    let again = load(&emit(&document.value), &Limits::default()).unwrap();
                    prop_assert_eq!(again.first().map(|again| &again.value), Some(&document.value));
                    locate(text, index, &["spec".into(), 0.into()], Part::Key);
                }
            }
        }
    }

    #[test]
    fn filled_holes_give_what_emitting_the_filled_value_gives(
        value in value(), new in vec(nasty(), 1..4), parity in 0..3_usize,
    ) {
        let mut count = 0;
        let mut out = b"before\n".to_vec();
        let mut chosen = |text: &str| {
            count += 1;
            text.len() % 3 != parity
        };
        let holes = emit_with_holes(&value, &mut chosen, &mut out);
        let mut filled = Vec::new();
        let mut copied = 0;
        let mut replaced = value.clone();
        let mut fillings = VecDeque::new();
        for (index, hole) in holes.iter().enumerate() {
            let text = &new[index % new.len()];
            filled.extend_from_slice(&out[copied..hole.offset]);
            emit_string(text, hole.context, &mut filled);
            copied = hole.offset;
            fillings.push_back((hole.text.clone(), text.clone()));
        }
        filled.extend_from_slice(&out[copied..]);
        replace(&mut replaced, true, parity, &mut fillings);
        let mut wanted = b"before\n".to_vec();
        emit_into(&replaced, &mut wanted);
        prop_assert_eq!(String::from_utf8(filled).unwrap(), String::from_utf8(wanted).unwrap());
    }
}

/// Replaces the chosen strings in the order in which they are emitted.
fn replace(
    value: &mut Value,
    root: bool,
    parity: usize,
    fillings: &mut VecDeque<(String, String)>,
) {
    match value {
        Value::String(text) if text.len() % 3 != parity => {
            let (old, new) = fillings.pop_front().unwrap();
            assert_eq!(*text, old);
            *text = new;
        }
        Value::Array(items) => {
            for item in items {
                replace(item, false, parity, fillings);
            }
        }
        Value::Object(map) => {
            let first = ["apiVersion", "kind", "metadata", "spec", "data", "status"];
            let mut keys: Vec<String> = map.keys().cloned().collect();
            if root {
                keys.sort_by_key(|key| {
                    first
                        .iter()
                        .position(|&wanted| wanted == key)
                        .unwrap_or(first.len())
                });
            }
            for key in keys {
                replace(&mut map[&key], false, parity, fillings);
            }
        }
        _ => {}
    }
}
