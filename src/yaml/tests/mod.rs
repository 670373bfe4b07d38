//! Parity with `sigs.k8s.io/yaml`, errors, budgets, places, the canonical form; properties are in a file of their own.

mod properties;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::load::Budget;
use super::*;

fn rows(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/parity")
        .join(name);
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn only(text: &str) -> Result<Value, YamlError> {
    let mut documents = load_with(text.as_bytes(), &Limits::default(), Duplicates::LastWins)?;
    assert!(documents.len() <= 1, "{text:?}");
    Ok(documents
        .pop()
        .map(|document| document.value)
        .unwrap_or_default())
}

fn read(text: &str) -> Value {
    only(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
}

fn refused(text: &str) -> YamlError {
    load(text.as_bytes(), &Limits::default()).expect_err(text)
}

fn slow_way(text: &str) -> Result<Vec<Document>, YamlError> {
    let limits = Limits::default();
    slow::documents(
        text,
        1,
        &limits,
        Duplicates::Refused,
        &mut Budget::default(),
    )
}

/// Numbers as JSON text gives them back: the table went through a JSON reader that knows one kind of zero.
fn plain_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            Value::Number(scalar::json_number(number.as_f64().unwrap()).unwrap())
        }
        Value::Array(items) => items.iter().map(plain_numbers).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), plain_numbers(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// What is said where the fast way answers: it must be what the slow way says.
fn assert_ways_agree(text: &str) -> bool {
    let limits = Limits::default();
    let mut rest = text;
    let mut nodes = 0;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let Some(answer) = fast::document(rest, &limits, &mut nodes) else {
            return false;
        };
        let line = |offset: usize| {
            let before = &text[..text.len() - rest.len() + offset];
            u32::try_from(before.matches('\n').count()).unwrap() + 1
        };
        found.extend(answer.value.map(|(value, start)| (value, line(start))));
        rest = &rest[answer.end..];
    }
    let wanted: Vec<_> = slow_way(text)
        .unwrap_or_else(|error| panic!("only the fast way reads {text:?}: {error:?}"))
        .into_iter()
        .map(|document| (document.value, document.line))
        .collect();
    assert_eq!(found, wanted, "{text:?}");
    true
}

#[test]
fn every_row_of_the_parity_table_reads_as_the_go_library_reads_it() {
    for row in rows("yaml-parse.jsonl") {
        let text = row["yaml"].as_str().unwrap();
        let answer = only(text);
        if row.get("error").is_some() {
            assert!(answer.is_err(), "{row}: {answer:?}");
        } else {
            assert_eq!(
                answer.as_ref().map(plain_numbers),
                Ok(plain_numbers(&row["json"])),
                "{row}"
            );
        }
        if !text.contains('\r') {
            assert_ways_agree(text);
        }
    }
}

#[test]
fn a_row_that_go_refuses_in_strict_mode_is_refused_unless_it_only_overrides_a_merge() {
    for row in rows("yaml-parse.jsonl")
        .into_iter()
        .filter(|row| row.get("error").is_none())
    {
        let text = row["yaml"].as_str().unwrap();
        let strict = row["strict_ok"] == true || text.contains("<<");
        assert_eq!(
            load(text.as_bytes(), &Limits::default()).is_ok(),
            strict,
            "{row}"
        );
    }
}

#[test]
fn scalars_resolve_as_go_resolves_them() {
    for (text, wanted) in [
        (".5_0", json!(0.5)),
        (".1_0e1", json!(1)),
        ("0x1p3", json!("0x1p3")),
        ("0x_1F", json!(31)),
        ("-0b11", json!(-3)),
        ("+0b11", json!(3)),
        ("0b-1", json!(-1)),
        ("-0b-1", json!("-0b-1")),
        ("0O14", json!(12)),
        ("0X1f", json!(31)),
        (".inff", json!(".inff")),
        ("1e400", json!("1e400")),
        ("1_0.5", json!(10.5)),
        ("1:2", json!("1:2")),
        ("! 12", json!("12")),
        ("! \"12\"", json!("12")),
        ("!!binary /w==", json!("\u{fffd}")),
        ("_1", json!("_1")),
        ("1_", json!(1)),
        ("0_7", json!(7)),
        ("08", json!(8)),
        ("0_8.5", json!(8.5)),
        ("+", json!("+")),
        ("-_1", json!(-1)),
        ("!!float 0x10", json!(16)),
        ("!!map x", json!("x")),
        ("!!bool \"yes\"", json!(true)),
        ("!!str", json!("")),
        ("!!timestamp 2001-01-01", json!("2001-01-01")),
        ("+18446744073709551615", json!(18_446_744_073_709_552_000.0)),
        ("123e4567", json!("123e4567")),
        (
            "f4b1a8c2d9e07f6a5b3c1d2e4f60718293a4b5c6",
            json!("f4b1a8c2d9e07f6a5b3c1d2e4f60718293a4b5c6"),
        ),
    ] {
        assert_eq!(read(&format!("a: {text}\n"))["a"], wanted, "{text}");
    }
    for text in [
        "!!int yes",
        "!!float 18446744073709551615",
        "!!null x",
        "!!timestamp x",
        "!!int",
        "-.INF",
        ".nan",
    ] {
        assert!(only(&format!("a: {text}\n")).is_err(), "{text}");
    }
}

#[test]
fn keys_become_strings_the_way_go_prints_them() {
    for (key, wanted) in [
        ("y", "true"),
        ("off", "false"),
        ("1e3", "1000"),
        ("1e6", "1e+06"),
        ("0x10", "16"),
        (".5_0", "0.5"),
        ("12345678.0", "1.2345678e+07"),
        (".inf", ".inf"),
        ("0.00001", "1e-05"),
        ("!!str 1", "1"),
        ("'y'", "y"),
    ] {
        assert_eq!(read(&format!("{key}: 1\n")), json!({wanted: 1}), "{key}");
    }
    for key in ["~", "18446744073709551615", "? [a]\n", "? {a: 1}\n", "null"] {
        assert_eq!(
            refused(&format!("{key}: 1\n")).reason(),
            "UnsupportedKey",
            "{key}"
        );
    }
}

#[test]
fn a_merge_replaces_what_stands_before_it_and_yields_to_what_follows() {
    let base = "x: &q {k: 1, l: 2}\nz:\n";
    assert_eq!(
        read(&format!("{base}  l: 3\n  <<: *q\n"))["z"],
        json!({"k": 1, "l": 2})
    );
    assert_eq!(
        read(&format!("{base}  <<: *q\n  l: 3\n"))["z"],
        json!({"k": 1, "l": 3})
    );
    assert_eq!(refused("a:\n  <<: 1\n").reason(), "BadMerge");
    assert_eq!(
        refused("p: &p [{a: 1}]\na:\n  <<: *p\n").reason(),
        "BadMerge"
    );
    assert_eq!(refused("a: &x [*x]\n").reason(), "RecursiveAlias");
}

#[test]
fn a_file_holds_several_documents_and_empty_ones_do_not_count() {
    let text = "# head\n---\na: 1\n---\n# nothing\n---\n\nb: &x 2\nc: *x\n---\nd: 4\n";
    let documents = load(text.as_bytes(), &Limits::default()).unwrap();
    let seen: Vec<_> = documents
        .iter()
        .map(|document| (document.line, document.value.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (3, json!({"a": 1})),
            (8, json!({"b": 2, "c": 2})),
            (11, json!({"d": 4}))
        ]
    );
    assert_eq!(
        locate(text.as_bytes(), 1, &["c".into()], Part::Value),
        Some((9, 4))
    );
    assert_eq!(load(b"", &Limits::default()), Ok(Vec::new()));
}

#[test]
fn a_duplicate_key_is_refused_with_both_lines_on_either_way() {
    for text in [
        "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
        "a: &x 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
    ] {
        let error = refused(text);
        let wanted = YamlErrorKind::DuplicateKey {
            key: "c".to_owned(),
            first: 3,
            second: 5,
        };
        assert_eq!((error.kind, error.line, error.column), (wanted, 5, 3));
    }
    let later = refused("a: 1\n---\n\nb: 1\nb: 2\n");
    assert_eq!(
        later.to_string(),
        "key `b` is given twice: on line 4 and on line 5"
    );
    assert_eq!(later.line, 5);
    assert_eq!(refused("{\"a\": 1,\n\"a\": 2}").reason(), "DuplicateKey");
    assert_eq!(refused("y: 1\ntrue: 2\n").reason(), "DuplicateKey");
    let documents = load_with(b"a: 1\na: 2\n", &Limits::default(), Duplicates::LastWins).unwrap();
    assert_eq!(documents[0].value, json!({"a": 2}));
    assert_eq!(
        documents[0].duplicates,
        [Duplicate {
            key: "a".to_owned(),
            first: 1,
            second: 2
        }]
    );
}

#[test]
fn a_block_scalar_that_ends_with_the_file_gets_no_line_break_that_is_not_there() {
    for (text, wanted) in [
        ("a: |\n  x", "x"),
        ("a: |+\n  x", "x"),
        ("a: |\n  x\n", "x\n"),
        ("a: >\n  x\n  y", "x y"),
        ("a: >+\n  x\n   y", "x\n y"),
        ("a: |\n  x\n  ", "x\n"),
        ("a: |\n  x\n   ", "x\n "),
        ("a: |+\n  x\n\n  ", "x\n\n"),
        ("a: |+\n ", ""),
        ("a: |+\n\n ", "\n"),
        ("a: |\r\n  x", "x"),
        ("a: |\n  x # c\n# c", "x # c\n"),
        ("a: |+\n  x\n\n# c", "x\n\n"),
    ] {
        assert_eq!(read(text), json!({"a": wanted}), "{text:?}");
    }
}

#[test]
fn json_files_are_read_as_json() {
    let text = "\n{\n\t\"a\": \"\\ud83d\\ude00\", \"b\": 1.0, \"y\": 1e2}\n{\"c\": 2}\n";
    let documents = load(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(documents[0].value, json!({"a": "😀", "b": 1, "y": 100}));
    assert_eq!((documents[0].line, documents[1].line), (2, 4));
    assert_eq!(documents[1].value, json!({"c": 2}));
    assert_eq!(read("{a: yes}"), json!({"a": true}));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let text = b"\xef\xbb\xbfa:\r\n  b: |\r\n    x\r\n    y\r\n  c: yes\r\n";
    let documents = load(text, &Limits::default()).unwrap();
    assert_eq!(documents[0].value, json!({"a": {"b": "x\ny\n", "c": true}}));
    assert_eq!(
        locate(text, 0, &["a".into(), "c".into()], Part::Value),
        Some((5, 6))
    );
}

#[test]
fn what_is_not_utf8_is_refused_with_its_place() {
    let error = load(b"a: 1\nb: \xff\n", &Limits::default()).unwrap_err();
    assert_eq!(error.kind, YamlErrorKind::NotUtf8 { offset: 8 });
    assert_eq!((error.line, error.column), (2, 4));
    for text in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a", b"a\0:\0", b"\0a\0:"] {
        assert_eq!(
            load(text, &Limits::default()).unwrap_err().reason(),
            "Utf16"
        );
    }
    let control = load(b"a: 1\nb: x\x1by\n", &Limits::default()).unwrap_err();
    assert_eq!(
        (control.reason(), control.line, control.column),
        ("ControlCharacter", 2, 5)
    );
}

#[test]
fn a_syntax_error_has_its_place_and_the_common_ones_a_way_out() {
    let template = refused("kind: X\na: {{ .x }}\n");
    assert_eq!(template.line, 2);
    assert!(template.help().unwrap().contains("quote"), "{template:?}");
    let value = refused("a: {{ .x }}-b\nc: d\n");
    assert!(value.help().unwrap().contains("quote"), "{value:?}");
    let tab = refused("a: 1\nb:\n\tc: 1\n");
    assert_eq!(tab.line, 3);
    assert!(tab.help().unwrap().contains("spaces"), "{tab:?}");
    for text in ["a: {b:}\n", "a: [b:]\n", "a: {b:, c: d}\n"] {
        assert_eq!(refused(text).reason(), "InvalidYaml", "{text}");
    }
    let second = refused("a: 1\n---\nb: c: d\n");
    assert_eq!((second.line, second.reason()), (3, "InvalidYaml"));
    assert!(second.column > 1);
}

#[test]
fn budgets_stop_bombs() {
    let small = Limits {
        bytes: 4000,
        depth: 10,
        nodes: 200,
        aliases: 20,
    };
    let reason = |text: &str| load(text.as_bytes(), &small).expect_err(text).reason();
    assert_eq!(reason(&"# \n".repeat(2000)), "FileTooLarge");
    assert_eq!(reason(&"[".repeat(100)), "NestingTooDeep");
    assert_eq!(
        reason(&format!("a: {}1{}", "[".repeat(10), "]".repeat(10))),
        "NestingTooDeep"
    );
    assert_eq!(reason(&format!("{}1", "- ".repeat(11))), "NestingTooDeep");
    assert_eq!(
        reason(&format!("{{\"a\": {}1{}}}", "[".repeat(10), "]".repeat(10))),
        "NestingTooDeep"
    );
    assert_eq!(reason(&"- 1\n".repeat(300)), "TooManyNodes");
    assert_eq!(
        reason(&format!("{{\"a\": [{}1]}}", "1,".repeat(300))),
        "TooManyNodes"
    );
    assert_eq!(reason(&"- 1\n---\n".repeat(150)), "TooManyNodes");
    assert_eq!(
        reason(&format!("- &a 1\n{}", "- *a\n".repeat(30))),
        "TooManyAliases"
    );
    assert_eq!(
        reason(&format!(
            "- &a {}\n{}",
            "x".repeat(1000),
            "- *a\n".repeat(9)
        )),
        "AliasesTooLarge"
    );
    let bomb = "a: &a [x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n";
    assert_eq!(reason(bomb), "TooManyNodes");
    let deep = format!("{}1", "- ".repeat(10));
    assert!(load(deep.as_bytes(), &small).is_ok());
    let fine = "a: {b: {c: [1]}}";
    assert!(load(fine.as_bytes(), &small).is_ok());
}

#[test]
fn a_value_is_found_where_it_was_written() {
    let text = "a:\n  é: {x: [1, 22]}\n  list:\n  - p: 1\n  - p: two\n";
    let at = |path: &[crate::model::PathPart]| locate(text.as_bytes(), 0, path, Part::Value);
    assert_eq!(at(&[]), Some((1, 1)));
    assert_eq!(
        at(&["a".into(), "é".into(), "x".into(), 1.into()]),
        Some((2, 14))
    );
    assert_eq!(
        at(&["a".into(), "list".into(), 1.into(), "p".into()]),
        Some((5, 8))
    );
    assert_eq!(
        at(&["a".into(), "list".into(), 7.into()]).map(|(line, _)| line),
        Some(4)
    );
    assert_eq!(at(&["a".into(), "missing".into()]), Some((2, 3)));
    assert_eq!(locate(text.as_bytes(), 1, &[], Part::Value), None);
    let way = ["a".into(), "list".into(), 1.into(), "p".into()];
    assert_eq!(locate(text.as_bytes(), 0, &way, Part::Key), Some((5, 5)));
}

#[test]
fn emitted_text_has_one_canonical_form() {
    let value = json!({
        "status": {}, "zoo": [], "kind": "ConfigMap", "apiVersion": "v1", "alpha": null,
        "metadata": {"name": "a", "labels": {"yes": "on", "app": "web"}},
        "data": {"script": "line 1\n\nline 3\n", "cut": "a\nb", "more": "a\n\n", "tabs": "a\n\tb\n", "cr": "a\r\nb"},
        "spec": {"ports": [{"port": 80, "name": "http"}, [1, [2.5, 1e300]]], "args": ["--port=80", "-v", "100m", "10.0.0.1", "nginx:1.27", ""]},
    });
    let wanted = "\
apiVersion: v1
kind: ConfigMap
metadata:
  labels:
    app: web
    \"yes\": \"on\"
  name: a
spec:
  args:
  - --port=80
  - -v
  - 100m
  - 10.0.0.1
  - nginx:1.27
  - \"\"
  ports:
  - name: http
    port: 80
  - - 1
    - - 2.5
      - 1.0e+300
data:
  cr: \"a\\r\\nb\"
  cut: |-
    a
    b
  more: |+
    a

  script: |
    line 1

    line 3
  tabs: |
    a
    \tb
status: {}
alpha: null
zoo: []
";
    assert_eq!(String::from_utf8(emit(&value)).unwrap(), wanted);
    assert_eq!(read(wanted), value);
}

fn assert_survives(value: &Value) {
    let text = String::from_utf8(emit(value)).unwrap();
    assert_eq!(read(&text), plain_numbers(value), "{text}");
    assert_ways_agree(&text);
    let other: Value =
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(plain_numbers(&other), plain_numbers(value), "{text}");
}

#[test]
fn every_string_of_the_table_reads_back_as_value_key_and_item() {
    for row in rows("yaml-emit-strings.jsonl") {
        let text = row["string"].as_str().unwrap();
        assert_survives(
            &json!({"k": text, text: {"x": text}, "l": [text, [text], {text: text}], "z": 1}),
        );
        assert_survives(&json!([text]));
        assert_survives(&json!(text));
    }
}

#[test]
fn a_key_of_any_length_reads_back() {
    for length in [900, 1000, 1100, 5000] {
        let key = "k".repeat(length);
        assert_survives(&json!({&key: 1, "l": [{&key: [1, 2]}], "m": {&key: {&key: "x\ny\n"}}}));
    }
}

const MANIFEST: &str = r#"# A shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop # the namespace
  labels: {app: web, "tier": 'front'}
  annotations:
    note: 'it''s one'
    long: one two
      --three

      four
    quoted: 'a description that
      goes on

      and on'
    'kubernetes.io/x': "a\tb\n"
spec:
  replicas: 3
  paused: no
  selector:
    matchLabels:
      app: web
  template:
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1.27
        args: ["--port", "80", --verbose]
        command:
          - sh
          - -c
          - |
            set -e
              echo "hi"

            exit 0
        ports:
        -   containerPort: 80
            protocol: TCP
        -
          name: x
        emptyDir: {}
        list: []
        modes: [0644, 1_000, .5]
        text: >-
          folded
          text

          more
        last: |+
          keep

      - name: sidecar
        nothing:
        other: ~
---
apiVersion: v1
kind: List
items:
- - 1
  - "2"
-
"#;

#[test]
fn an_ordinary_manifest_goes_the_fast_way() {
    assert!(assert_ways_agree(MANIFEST));
}
