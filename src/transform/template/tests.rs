use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

fn properties() -> Properties {
    serde_json::from_str(include_str!(
        "../../../fixtures/parity/go-template.properties.json"
    ))
    .unwrap()
}

/// What a template gives, in the words of the parity tables: the output, or the class of the error.
fn outcome(text: &str, properties: &Properties) -> Result<String, &'static str> {
    let class = |error: TemplateError| if error.is_parse() { "parse" } else { "exec" };
    Template::parse(text)
        .map_err(class)?
        .render(properties)
        .map_err(class)
}

/// The same without the plain form.
fn evaluated(text: &str, properties: &Properties) -> Result<String, TemplateError> {
    let program = parse::parse(text).map_err(|fault| fault.located(text))?;
    execute::render(&program, properties)
        .map(into_text)
        .map_err(|fault| fault.located(text))
}

fn error(text: &str) -> TemplateError {
    Template::parse(text)
        .and_then(|template| template.render(&properties()))
        .expect_err(text)
}

fn agrees_with_go(table: &str) -> usize {
    let properties = properties();
    let mut differences = Vec::new();
    let rows: Vec<Json> = table
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for row in &rows {
        let text = row["template"].as_str().unwrap();
        let wanted = row["output"]
            .as_str()
            .ok_or_else(|| row["error"].as_str().unwrap());
        let got = outcome(text, &properties);
        if got.as_deref().map_err(|class| *class) != wanted {
            differences.push(format!("{text}\n  wanted {wanted:?}\n  got    {got:?}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        rows.len(),
        differences.join("\n")
    );
    rows.len()
}

#[test]
fn every_parity_row_gives_what_go_gives() {
    assert_eq!(
        agrees_with_go(include_str!("../../../fixtures/parity/go-template.jsonl")),
        90
    );
}

/// Rows found by generating templates and asking Go 1.26's text/template what they give.
#[test]
fn generated_templates_give_what_go_gives() {
    assert!(agrees_with_go(include_str!("go-text-template.jsonl")) > 300);
}

#[test]
fn a_missing_property_is_named_with_its_place() {
    let position = Position { line: 2, column: 5 };
    let wanted = TemplateError::MissingProperty {
        name: "zone".to_owned(),
        position,
    };
    assert_eq!(error("é\né{{ .zone}}"), wanted);
    assert_eq!(error("é\né{{ .zone | len}}"), wanted);
    assert_eq!(
        wanted.to_string(),
        "template 2:5: missing property \"zone\""
    );
    assert!(!wanted.is_parse());
}

#[test]
fn a_malformed_template_says_what_is_wrong_and_where() {
    for (text, wanted) in [
        ("a\n  {{if .region}}x", "template 2:18: {{end}} is missing"),
        ("{{end}}", "template 1:3: unexpected {{end}} in template"),
        (
            "{{foo .region}}",
            "template 1:3: function \"foo\" not defined",
        ),
        ("{{.region", "template 1:3: unclosed action: }} is missing"),
        ("{{$x}}", "template 1:3: undefined variable \"$x\""),
        ("{{break}}", "template 1:3: {{break}} outside {{range}}"),
        ("{{ }}", "template 1:4: missing value for command"),
    ] {
        let error = Template::parse(text).unwrap_err();
        assert!(error.is_parse());
        assert_eq!(error.to_string(), wanted, "{text}");
    }
}

#[test]
fn a_property_that_looks_like_a_template_is_not_expanded_again() {
    let nested = Properties::from([("a".to_owned(), "{{.b}}".to_owned())]);
    assert_eq!(outcome("{{.a}}", &nested).unwrap(), "{{.b}}");
    assert_eq!(outcome("{{print .a}}", &nested).unwrap(), "{{.b}}");
}

#[test]
fn bytes_that_are_no_utf_8_become_replacement_characters() {
    assert_eq!(
        outcome("{{slice .uni 0 2}}|{{\"\\xff\"}}", &properties()).unwrap(),
        "\u{fffd}\u{fffd}|\u{fffd}"
    );
}

fn named(names: &[&str]) -> Reads {
    Reads::Named(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_template_reads_the_properties_it_names() {
    for (text, names) in [
        ("no template", &[][..]),
        ("{{.a}}-{{ $.b }}", &["a", "b"]),
        ("{{if .a}}{{.b}}{{else}}{{.c}}{{end}}", &["a", "b", "c"]),
        ("{{with .a}}{{.}}{{$.b}}{{end}}", &["a", "b"]),
        ("{{range 3}}{{.}}{{$.b}}{{else}}{{.c}}{{end}}", &["b", "c"]),
        ("{{index . \"a-b\"}}{{index $ \"c\" 0}}", &["a-b", "c"]),
        ("{{printf \"%s\" (print .a | len)}}", &["a"]),
        ("{{$x := .a}}{{$x}}", &["a"]),
        (
            "{{define \"t\"}}{{.a}}{{$.b}}{{end}}{{template \"t\" .}}",
            &["a", "b"],
        ),
        ("{{define \"t\"}}{{.}}{{end}}{{template \"t\" .a}}", &["a"]),
        ("{{define \"t\"}}{{.a}}{{end}}", &[]),
        (
            "{{define \"t\"}}{{template \"t\" .}}{{.a}}{{end}}{{template \"t\" $}}",
            &["a"],
        ),
        ("{{block \"t\" .}}{{.a}}{{end}}", &["a"]),
        ("{{template \"none\" .}}", &[]),
    ] {
        assert_eq!(
            Template::parse(text).unwrap().properties(),
            &named(names),
            "{text}"
        );
    }
}

#[test]
fn a_template_that_looks_at_the_whole_map_reads_all() {
    for text in [
        "{{.}}",
        "{{$}}",
        "{{len .}}",
        "{{range .}}{{.}}{{end}}",
        "{{range $k, $v := $}}{{$k}}{{end}}",
        "{{with .}}{{.a}}{{end}}",
        "{{$x := .}}{{$x.a}}",
        "{{(.)}}",
        "{{index . .a}}",
        "{{\"a\" | index .}}",
        "{{define \"t\"}}{{.}}{{end}}{{template \"t\" .}}",
        "{{define \"t\"}}{{$}}{{end}}{{with .a}}{{template \"t\" $}}{{end}}",
        "{{template \"t\" (and .a .)}}",
        "{{if not .}}{{end}}",
    ] {
        assert_eq!(
            Template::parse(text).unwrap().properties(),
            &Reads::All,
            "{text}"
        );
    }
}

#[test]
fn templates_without_end_or_measure_fail_instead_of_running() {
    let doubling: String = (0..40).map(|_| "{{$x = printf \"%s%s\" $x $x}}").collect();
    let chain: Vec<_> = (0..40)
        .map(|n| {
            let call = format!("{{{{template \"t{}\"}}}}", n + 1);
            format!("{{{{define \"t{n}\"}}}}{call}{call}{{{{end}}}}")
        })
        .collect();
    let chain = chain.concat();
    for text in [
        "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{if true}}{{with 1}}{{template \"a\" (print (print 1))}}{{end}}{{end}}{{end}}{{template \"a\" .}}".to_owned(),
        "{{range 1000000000}}{{end}}".to_owned(),
        "{{range 1000000000}}x{{end}}".to_owned(),
        "{{range 100000}}{{range 100000}}{{range 100000}}{{end}}{{end}}{{end}}".to_owned(),
        "{{range 9223372036854775807}}{{continue}}{{end}}".to_owned(),
        "{{printf \"%1000000d\" 1 | printf \"%s%s%[1]s\" | len}}{{printf \"%2000000d\" 1}}".to_owned(),
        "{{printf \"%10000009d\" 1}}".to_owned(),
        "{{printf \"%.10000009f%.10000009e\" 1.0 1.0}}".to_owned(),
        "{{printf \"%*d\" 10000000 1}}{{range 1000}}{{printf \"%500000v\" $}}{{end}}".to_owned(),
        format!("{{{{$x := .region}}}}{doubling}"),
        format!("{chain}{{{{define \"t40\"}}}}x{{{{end}}}}{{{{template \"t0\"}}}}"),
        "{{$x := printf \"%1000000d\" 1}}{{range 1000000}}{{if eq $x $x $x}}{{end}}{{html $x | len}}{{end}}".to_owned(),
        format!("{}{{{{range 10000}}}}{}{{{{end}}}}", "", "long text ".repeat(1_000)),
    ] {
        let template = Template::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let error = template.render(&properties()).expect_err(&text);
        assert!(matches!(error, TemplateError::Exec { .. }), "{text}: {error}");
    }
    let large = Properties::from([("a".to_owned(), "x".repeat(600_000))]);
    assert!(outcome("{{.a}}{{.a}}", &large).is_err());
    assert!(outcome("{{.a}}{{print .a}}", &large).is_err());
}

#[test]
fn a_width_beyond_gos_limit_is_no_width() {
    assert_eq!(
        outcome("{{printf \"%1000000000d\" 1}}", &properties()).unwrap(),
        "%!(NOVERB)%!(EXTRA int=1)"
    );
}

#[test]
fn nesting_is_refused_before_it_can_exhaust_the_stack() {
    let cases = [
        ("{{if true}}", "{{end}}"),
        ("{{if true}}{{else if true}}", "{{end}}"),
        ("{{range 1}}", "{{end}}"),
        ("{{block \"a\" .}}", "{{end}}"),
    ];
    for (open, close) in cases {
        let deep = |levels| format!("{}{}", open.repeat(levels), close.repeat(levels));
        assert!(
            Template::parse(&deep(100_000)).unwrap_err().is_parse(),
            "{open}"
        );
    }
    let parentheses =
        |levels: usize| format!("{{{{{}1{}}}}}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(outcome(&parentheses(60), &properties()).unwrap(), "1");
    assert!(
        Template::parse(&parentheses(100_000))
            .unwrap_err()
            .is_parse()
    );
    let chain = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(100_000));
    assert!(Template::parse(&chain).unwrap_err().is_parse());
}

#[test]
fn the_deepest_recursion_that_is_allowed_fits_the_stack() {
    // 64 levels of nesting within each call would go 64 times as deep, were it not for the common limit.
    let open = "{{if true}}{{with (print (print .))}}".repeat(20);
    let close = "{{end}}{{end}}".repeat(20);
    let text = format!(
        "{{{{define \"a\"}}}}{open}{{{{template \"a\" (print .)}}}}{close}{{{{end}}}}{{{{template \"a\" 1}}}}"
    );
    assert!(error(&text).to_string().contains("deeper"));
}

#[test]
fn templates_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Template>();
}

/// Pieces that make something like a template more often than arbitrary characters do.
fn template_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "{{end}}",
        "{{else}}",
        "{{if ",
        "{{with ",
        "{{range ",
        "{{define \"t\"}}",
        "{{template \"t\" ",
        "{{block \"t\" ",
        ".",
        ".region",
        "$",
        "$x",
        ":=",
        "=",
        ",",
        "|",
        " ",
        "\n",
        "(",
        ")",
        "\"",
        "`",
        "'",
        "\\",
        "\"%[1]*.3d\"",
        "printf ",
        "index ",
        "slice ",
        "len ",
        "html ",
        "js ",
        "eq ",
        "and ",
        "nil",
        "true",
        "0",
        "1e9",
        "-7",
        "0x_f.8p-2",
        "'é'",
        "☺",
        "{{/*",
        "*/}}",
        "{{break}}",
        "text",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_engine_panic(text in "\\PC*", action in "\\PC*", pieces in template_like()) {
        for text in [text, format!("{{{{{action}}}}}"), pieces] {
            drop(outcome(&text, &properties()));
        }
    }

    #[test]
    fn no_format_makes_printf_panic(format in "(%[-+# 0]{0,3}(\\[[0-3]?\\])?([0-9]{0,3}|\\*)(\\.([0-9]{0,2}|\\*))?(\\[[0-3]\\])?[a-zA-Z%é]?){0,3}") {
        let text = format!("{{{{printf `{format}` .uni -3 2.5}}}}{{{{printf `{format}` . true (index .num 0)}}}}");
        drop(outcome(&text, &properties()));
    }

    #[test]
    fn plain_templates_give_the_same_natively_and_evaluated(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{{.region}}", "{{ $.os }}", "{{- .uni -}}", " {{.multi}}", "{{.missing}}", "{{/* c */}}", " text\n", "}}", "é", "{{.empty}}",
        ]), 0..12)
    ) {
        let text = pieces.concat();
        let template = Template::parse(&text).unwrap();
        let native = matches!(template.form, Form::Plain { .. });
        prop_assert!(native, "{text}");
        prop_assert_eq!(template.render(&properties()), evaluated(&text, &properties()));
    }

    #[test]
    fn properties_that_are_not_read_change_nothing(pieces in template_like(), value in "[a-c]{0,3}") {
        if let Ok(template) = Template::parse(&pieces)
            && let Reads::Named(names) = template.properties()
        {
            let mut other = properties();
            for (name, old) in &mut other {
                if !names.contains(name) {
                    old.clone_from(&value);
                }
            }
            other.insert("another".to_owned(), value);
            prop_assert_eq!(template.render(&properties()), template.render(&other));
        }
    }
}
