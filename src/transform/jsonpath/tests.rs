use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Removes `path` from `before` and compares.
fn removes(path: &str, before: Value, wanted: &Value) {
    let mut object = before;
    let parsed = RemovalPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    parsed.remove_from(&mut object);
    assert_eq!(&object, wanted, "{path}");
}

/// KubeStellar's grammar: each of these names one member, here the only one next to `keep`.
#[test]
fn kubestellars_paths_name_the_member_that_kubestellar_removes() {
    let rows: &[(&str, &[&str])] = &[
        ("$.a", &["a"]),
        ("$.a.b", &["a", "b"]),
        ("$.spec.resources", &["spec", "resources"]),
        ("$._a", &["_a"]),
        ("$.a0", &["a0"]),
        ("$.A_9z", &["A_9z"]),
        ("$.é", &["é"]),
        ("$.\u{80}", &["\u{80}"]),
        ("$.\u{d7ff}", &["\u{d7ff}"]),
        ("$.\u{e000}", &["\u{e000}"]),
        ("$.\u{10ffff}", &["\u{10ffff}"]),
        ("$.☺9", &["☺9"]),
        (r#"$["a"]"#, &["a"]),
        (r#"$["a"]["b"]"#, &["a", "b"]),
        (r#"$["a"].b"#, &["a", "b"]),
        (r#"$.a["b"]"#, &["a", "b"]),
        (
            r#"$.metadata.annotations["example.com/x-y"]"#,
            &["metadata", "annotations", "example.com/x-y"],
        ),
        (r#"$[""]"#, &[""]),
        (r#"$["0"]"#, &["0"]),
        (r#"$["*"]"#, &["*"]),
        (r#"$["a b"]"#, &["a b"]),
        ("$[\"a\tb\"]", &["a\tb"]),
        (r#"$["it's"]"#, &["it's"]),
        (r#"$["\n\t\r\b\f\v"]"#, &["\n\t\r\u{8}\u{c}\u{b}"]),
        (r#"$["\u00e9"]"#, &["é"]),
        (r#"$["\u{e9}"]"#, &["é"]),
        (r#"$["\u{1F600}"]"#, &["😀"]),
        (r#"$["\uD83D\uDE00"]"#, &["😀"]),
        (r#"$["\uD83D"]"#, &["\u{fffd}"]),
        (r#"$["\uDE00x"]"#, &["\u{fffd}x"]),
        (r#"$["\u{D83D}"]"#, &["\u{fffd}"]),
        (r#"$["\x41"]"#, &["A"]),
        (r#"$["\0"]"#, &["\0"]),
        (r#"$["\101"]"#, &["A"]),
        (r#"$["\377"]"#, &["\u{ff}"]),
        (r#"$["\400"]"#, &[" 0"]),
        (r#"$["\18"]"#, &["\u{1}8"]),
        (r#"$["\1011"]"#, &["A1"]),
        (r#"$["\0011"]"#, &["\u{1}1"]),
        (r#"$["\'"]"#, &["'"]),
        (r#"$["\""]"#, &["\""]),
        (r#"$["\\"]"#, &["\\"]),
        (r#"$["\/"]"#, &["/"]),
        (r#"$["\q"]"#, &["q"]),
        (r#"$["\8"]"#, &["8"]),
        ("$[\"a\\\nb\"]", &["ab"]),
        (r#"$["]"]"#, &["]"]),
        (r#"$["a.b"].c"#, &["a.b", "c"]),
    ];
    for (path, names) in rows {
        let (last, parents) = names.split_last().unwrap();
        let (mut before, mut wanted) = (json!({"keep": 1}), json!({"keep": 1}));
        before
            .as_object_mut()
            .unwrap()
            .insert((*last).to_owned(), json!(null));
        for parent in parents.iter().rev() {
            before = json!({*parent: before});
            wanted = json!({*parent: wanted});
        }
        removes(path, before, &wanted);
    }
}

#[test]
fn a_path_that_leads_nowhere_changes_nothing() {
    let object = json!({"a": {"b": 1}, "list": [{"x": 1}], "none": null});
    for path in [
        "$.b",
        "$.a.c",
        "$.a.b.c",
        "$.list.x",
        "$.list[\"0\"]",
        "$.none.x",
        "$.list[9]",
        "$.list[?@.x==2]",
        "$.a[0]",
    ] {
        let mut copy = object.clone();
        assert_eq!(
            RemovalPath::parse(path).unwrap().remove_from(&mut copy),
            0,
            "{path}"
        );
        assert_eq!(copy, object, "{path}");
    }
}

#[test]
fn paths_beyond_kubestellars_grammar_are_rfc_9535() {
    let object =
        || json!({"a": {"x": 1, "y": {"x": 2}}, "l": [0, 1, 2, 3, {"x": 3}], "s": ["p", "q"]});
    let rows = [
        ("$.*", json!({})),
        (
            "$.a.*",
            json!({"a": {}, "l": [0, 1, 2, 3, {"x": 3}], "s": ["p", "q"]}),
        ),
        (
            "$['a']",
            json!({"l": [0, 1, 2, 3, {"x": 3}], "s": ["p", "q"]}),
        ),
        (
            "$[ \"a\" ]",
            json!({"l": [0, 1, 2, 3, {"x": 3}], "s": ["p", "q"]}),
        ),
        (
            "$ .a",
            json!({"l": [0, 1, 2, 3, {"x": 3}], "s": ["p", "q"]}),
        ),
        (
            "$.l[0]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [1, 2, 3, {"x": 3}], "s": ["p", "q"]}),
        ),
        (
            "$.l[-1]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [0, 1, 2, 3], "s": ["p", "q"]}),
        ),
        (
            "$.l[1:3]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [0, 3, {"x": 3}], "s": ["p", "q"]}),
        ),
        (
            "$.l[::2]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [1, 3], "s": ["p", "q"]}),
        ),
        (
            "$.l[::-2]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [1, 3], "s": ["p", "q"]}),
        ),
        (
            "$.l[3,0,0,1]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [2, {"x": 3}], "s": ["p", "q"]}),
        ),
        (
            "$.l[?@ > 1]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [0, 1, {"x": 3}], "s": ["p", "q"]}),
        ),
        (
            "$.l[?@.x]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [0, 1, 2, 3], "s": ["p", "q"]}),
        ),
        (
            "$.s[?@ == 'q']",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [0, 1, 2, 3, {"x": 3}], "s": ["p"]}),
        ),
        (
            "$..x",
            json!({"a": {"y": {}}, "l": [0, 1, 2, 3, {}], "s": ["p", "q"]}),
        ),
        (
            "$..[0]",
            json!({"a": {"x": 1, "y": {"x": 2}}, "l": [1, 2, 3, {"x": 3}], "s": ["q"]}),
        ),
        ("$..*", json!({})),
    ];
    for (path, wanted) in rows {
        removes(path, object(), &wanted);
    }
}

#[test]
fn a_kubernetes_list_item_is_removed_by_its_name() {
    let before =
        json!({"spec": {"containers": [{"name": "app"}, {"name": "debug"}, {"name": "proxy"}]}});
    let wanted = json!({"spec": {"containers": [{"name": "app"}, {"name": "proxy"}]}});
    removes("$.spec.containers[?(@.name == \"debug\")]", before, &wanted);
}

#[test]
fn filters_may_match_and_search_by_regular_expression() {
    let before = json!({"env": [{"name": "LOG_LEVEL"}, {"name": "LOG"}, {"name": "CATALOG"}]});
    let whole = json!({"env": [{"name": "LOG_LEVEL"}, {"name": "CATALOG"}]});
    removes("$.env[?match(@.name, 'LOG')]", before.clone(), &whole);
    let begins = json!({"env": [{"name": "CATALOG"}]});
    removes("$.env[?search(@.name, '^LOG')]", before.clone(), &begins);
    // What is no regular expression matches nothing.
    removes("$.env[?search(@.name, '(')]", before.clone(), &before);
}

#[test]
fn what_is_removed_is_counted_each_value_once() {
    let removed =
        |path: &str, mut object: Value| RemovalPath::parse(path).unwrap().remove_from(&mut object);
    assert_eq!(removed("$.a", json!({"a": null})), 1);
    assert_eq!(removed("$.l[0,0,1]", json!({"l": [1, 2, 3]})), 2);
    assert_eq!(removed("$..*", json!({"a": {"b": [1, 2]}})), 4);
}

#[test]
fn the_whole_object_is_not_removed() {
    assert_eq!(
        RemovalPath::parse("$").unwrap_err(),
        JsonPathError::WholeObject
    );
    assert_eq!(
        RemovalPath::parse("$").unwrap_err().to_string(),
        "it identifies the whole object"
    );
}

#[test]
fn what_neither_grammar_knows_is_refused_where_it_goes_wrong() {
    for (path, offset) in [
        ("", 0),
        ("a", 0),
        (".a", 0),
        (" $.a", 0),
        ("$a", 1),
        ("$.", 2),
        ("$.a.", 4),
        ("$.0", 2),
        ("$.a-b", 3),
        ("$.a/b", 3),
        ("$.$a", 2),
        ("$[", 2),
        ("$[]", 2),
        ("$[a]", 2),
        ("$[\"a\"", 5),
        ("$[\"a", 4),
        ("$[\"a\nb\"]", 4),
        ("$[\"\\x4\"]", 3),
        ("$[\"\\u12\"]", 3),
        ("$[\"\\u{110000}\"]", 3),
        ("$[\"\\u{}\"]", 3),
        ("$[\"\\u{+1}\"]", 3),
        ("$.a[?]", 5),
    ] {
        let error = RemovalPath::parse(path).expect_err(path);
        assert_eq!(error.offset(), offset, "{path}: {error}");
    }
    for path in [
        "$.a ",
        "$.a[0",
        "$.a[01]",
        "$.a[?@.b==]",
        "$['a'",
        "$.a[1:2:3:4]",
        "$.a[?(@.b]",
        "$...a",
        "$.[0]",
        "$.a[99999999999999999999]",
    ] {
        assert!(RemovalPath::parse(path).is_err(), "{path}");
    }
}

/// Evaluated naively, each of these finds the same value more often than there is memory for.
#[test]
fn paths_that_find_things_many_times_find_them_once() {
    let deep = || (0..60).fold(json!({"x": 1}), |inner, _| json!({"a": inner, "b": [1, 2]}));
    for path in [
        "$..*..*..*..*..*..*",
        "$..a..a..a..a..a..x",
        &format!("$..a{}", "[*,*]".repeat(4)),
        &"[*,*]".repeat(30),
    ] {
        let path = if path.starts_with('$') {
            path.to_owned()
        } else {
            format!("${path}")
        };
        assert!(
            RemovalPath::parse(&path).unwrap().remove_from(&mut deep()) < 300,
            "{path}"
        );
    }
}

#[test]
fn segments_are_found_whatever_stands_between_them() {
    let object = || json!({"a": {"b.c": [{"d": 1, "e": 2}, {"d": 3}]}});
    for path in [
        "$.a['b.c'][*].d",
        "$ .a ['b.c'] [*] .d",
        "$['a']\n['b.c'][*]['d']",
        "$..[*]..d",
        "$..['b.c']..d",
        "$.a..[?(@.d)].d",
        "$[?@['b.c']].*[:].d",
    ] {
        removes(path, object(), &json!({"a": {"b.c": [{"e": 2}, {}]}}));
    }
}

#[test]
fn paths_that_could_cost_too_much_are_refused() {
    let nested = format!("$[?{}@.a{}]", "(".repeat(100), ")".repeat(100));
    let filters = format!("${}@{}", "[?@".repeat(30), "]".repeat(30));
    let alternatives = format!("$[*{}]", ",*".repeat(100));
    for path in [
        "$[?@..[?@..a]]",
        "$..[?$..a]",
        "$..[*,*,*,*,*,*]",
        &alternatives,
        &nested,
        &filters,
        &"$.a".repeat(2_000),
    ] {
        assert!(RemovalPath::parse(path).is_err(), "{path}");
    }
    // Inside strings the same characters mean nothing.
    assert!(RemovalPath::parse("$['$..,,,,,,,,,,???((((((((((((((((((((((((']").is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*", path in "\\$[$.\\[\\]\"'\\\\?@*,:()=<&|! a-cux0-9{}-]{0,40}") {
        drop(RemovalPath::parse(&text));
        if let Ok(path) = RemovalPath::parse(&path) {
            path.remove_from(&mut json!({"a": [1, {"b": [null, "c"]}], "b": {"a": {"c": 1}}, "0": 2}));
        }
    }

    #[test]
    fn any_member_can_be_named_and_removed(name in "\\PC*") {
        let escapes: Vec<_> = name.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect();
        let quoted = escapes.concat();
        let mut object = json!({name: 1});
        prop_assert_eq!(RemovalPath::parse(&format!("$[\"{quoted}\"]")).unwrap().remove_from(&mut object), 1);
        prop_assert_eq!(object, json!({}));
    }

    #[test]
    fn segment_by_segment_finds_what_the_whole_query_finds(
        segments in prop::collection::vec(prop::sample::select(vec![
            ".a", ".b", "..a", "..*", ".*", "[*]", "[0]", "[-1]", "[::2]", "['b','a',0]", "[?@.a]", "..[?@.b == 1]", "[?@..a]", " [?@ != 2]",
        ]), 1..5)
    ) {
        let object = json!({"a": [{"a": 1, "b": 1}, {"a": {"b": [1, 2, {"a": 3}]}}, 2], "b": {"a": {"b": 1, "a": []}, "b": [[1], [2, [3]]]}});
        let text = format!("${}", segments.concat());
        let whole = JsonPath::parse(&text).unwrap();
        let mut wanted: Vec<_> = whole.query_located(&object).locations().map(steps).collect();
        wanted.sort();
        wanted.dedup();
        let parsed = match RemovalPath::parse(&text) {
            Ok(parsed) => parsed,
            Err(dear) => {
                prop_assert!(text.contains("..") && text.matches(',').count() > 4, "{}: {}", text, dear);
                return Ok(());
            }
        };
        let found = match parsed.form {
            Form::Query(segments) => locate(&segments, &object),
            Form::Members(_) => return Ok(()),
        };
        prop_assert_eq!(found, wanted, "{}", text);
    }

    #[test]
    fn removal_leaves_nothing_that_the_path_found_by_value(path in prop::sample::select(vec!["$..[?@ == 1]", "$.*[?@ == 1]", "$..[?@.a == 1]"]), flags in prop::collection::vec(0..3, 0..20)) {
        let items: Vec<_> = flags.iter().map(|flag| json!({"a": flag, "l": [flag, 1, flag]})).collect();
        let mut object = json!({"items": items, "flags": flags});
        let path = RemovalPath::parse(path).unwrap();
        path.remove_from(&mut object);
        prop_assert_eq!(path.remove_from(&mut object), 0);
    }
}

#[test]
fn a_string_without_an_end_is_told_whatever_it_breaks_off_in() {
    for text in ["$[\"'\\u", "$[\"a\\uD834\\u", "$..['a", "$[?@.a == \"b\\\""] {
        let error = RemovalPath::parse(text).unwrap_err();
        assert_eq!(error.offset(), text.len(), "{text}: {error}");
    }
}
