//! The arrows between the stages, and I/O in its place: what ARCHITECTURE.md promises, read from the sources themselves.
//!
//! Looks at the text of every file below `src/` (without its tests and comments): which parts of the crate it names, and
//! whether a file of the core names files, clocks, the environment, the network or processes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::project;

/// What each part of the crate may name, itself aside.
const ARROWS: [(&str, &[&str]); 14] = [
    ("model", &[]),
    ("yaml", &["model"]),
    ("git", &["model"]),
    ("api_server", &["model"]),
    ("source", &["model", "yaml", "git"]),
    ("inventory", &["model", "source", "api_server"]),
    ("placement", &["model", "source", "inventory"]),
    (
        "transform",
        &["model", "yaml", "source", "inventory", "placement"],
    ),
    (
        "output",
        &[
            "model",
            "yaml",
            "git",
            "api_server",
            "source",
            "inventory",
            "placement",
            "transform",
        ],
    ),
    (
        "status",
        &[
            "model",
            "yaml",
            "git",
            "api_server",
            "source",
            "inventory",
            "placement",
            "transform",
            "output",
        ],
    ),
    ("config", &["model", "yaml", "git", "api_server"]),
    (
        "reconcile",
        &[
            "model",
            "yaml",
            "git",
            "api_server",
            "source",
            "inventory",
            "placement",
            "transform",
            "output",
            "status",
            "config",
        ],
    ),
    (
        "server",
        &[
            "model",
            "yaml",
            "git",
            "api_server",
            "source",
            "inventory",
            "placement",
            "transform",
            "output",
            "status",
            "config",
            "reconcile",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "yaml",
            "git",
            "api_server",
            "source",
            "inventory",
            "placement",
            "transform",
            "output",
            "status",
            "config",
            "reconcile",
            "server",
        ],
    ),
];

/// The core: the same inputs give the same bytes. A folder stands for all that is in it.
const PURE: [&str; 69] = [
    "lib.rs",
    "model",
    "yaml",
    "inventory/mod.rs",
    "inventory/files",
    "inventory/its/index.rs",
    "api_server/objects.rs",
    "api_server/trouble.rs",
    "api_server/rights.rs",
    "config",
    "reconcile/hub/status.rs",
    "reconcile/lease/mod.rs",
    "reconcile/service/roster.rs",
    "reconcile/service/staging.rs",
    "reconcile/rights.rs",
    "placement",
    "transform",
    "source/mod.rs",
    "source/assemble",
    "source/parse.rs",
    "source/select.rs",
    "output/mod.rs",
    "output/path.rs",
    "output/branch/mod.rs",
    "output/branch/build.rs",
    "output/branch/change.rs",
    "output/branch/delta.rs",
    "output/branch/hash.rs",
    "output/branch/index.rs",
    "output/branch/lock.rs",
    "output/branch/metadata.rs",
    "output/branch/notes.rs",
    "output/branch/object.rs",
    "output/branch/standing.rs",
    "output/branch/state.rs",
    "output/mailbox/mod.rs",
    "output/mailbox/error.rs",
    "output/mailbox/feedback.rs",
    "output/mailbox/layout.rs",
    "output/mailbox/owner.rs",
    "output/mailbox/piece.rs",
    "output/mailbox/plan.rs",
    "output/mailbox/shape.rs",
    "output/mailbox/standing.rs",
    "output/mailbox/work.rs",
    "status/mod.rs",
    "status/board.rs",
    "status/forge/answer.rs",
    "status/forge/budget.rs",
    "status/forge/commit.rs",
    "status/forge/desk.rs",
    "status/forge/error.rs",
    "status/forge/plan.rs",
    "status/health.rs",
    "status/observe/mod.rs",
    "status/state.rs",
    "status/summarise.rs",
    "reconcile/deliver/contest.rs",
    "status/trust.rs",
    "status/waves.rs",
    "reconcile/guard.rs",
    "reconcile/policies.rs",
    "reconcile/secrets.rs",
    "reconcile/steering.rs",
    "server/webhooks/addresses.rs",
    "server/webhooks/deliveries.rs",
    "server/webhooks/parse",
    "server/webhooks/reports",
    "server/webhooks/verify.rs",
];

/// What the core never names.
const OUTSIDE: [&str; 18] = [
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread::sleep",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "SystemTime",
    "Instant",
    "tokio",
    "git2",
    "ureq",
    "notify",
    "tempfile",
    "canonicalize",
    "read_dir",
    "temp_dir",
];

#[test]
fn every_arrow_between_the_stages_points_the_right_way() {
    let wrong: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| wrong_arrows(path, text))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_io_enters_the_core() {
    let sources = sources();
    for pure in PURE {
        assert!(
            sources.iter().any(|(path, _)| is_below(path, pure)),
            "src/{pure} is gone: name what took its place"
        );
    }
    let wrong: Vec<String> = sources
        .iter()
        .flat_map(|(path, text)| outside_in_the_core(path, text))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_arrow_that_points_the_wrong_way_is_found_however_it_is_written() {
    let cases = [
        ("placement/policy.rs", "use crate::transform::Rules;\n"),
        (
            "placement/policy.rs",
            "use crate::{model::Object, transform::{Rules, Rendered}};\n",
        ),
        (
            "placement/policy.rs",
            "use crate::{\n    model::Object,\n    output,\n};\n",
        ),
        (
            "placement/policy.rs",
            "fn f(rules: &crate::transform::Rules) {}\n",
        ),
        (
            "placement/policy.rs",
            "use super::super::transform::Rules;\n",
        ),
        ("inventory/files/mod.rs", "use super::super::placement;\n"),
        ("model/object.rs", "use crate::yaml;\n"),
        ("output/path.rs", "use crate::reconcile::Request;\n"),
        ("reconcile/pipeline.rs", "use crate::cli::Table;\n"),
        ("novelty/mod.rs", "use crate::model::Object;\n"),
    ];
    for (path, text) in cases {
        assert_eq!(wrong_arrows(path, text).len(), 1, "{path}: {text}");
    }
    let right = [
        (
            "placement/policy.rs",
            "use super::matcher::Field;\nuse crate::{model::Object, inventory};\n",
        ),
        ("inventory/files/mod.rs", "use super::Inventory;\n"),
        (
            "model/object.rs",
            "/// As [`crate::yaml`] reads it.\n// crate::output\n",
        ),
        (
            "model/object.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::yaml;\n}\n",
        ),
        ("cli/render.rs", "use crate::{reconcile, output};\n"),
    ];
    for (path, text) in right {
        assert_eq!(wrong_arrows(path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn io_in_the_core_is_found_however_it_is_written() {
    let cases = [
        "use std::fs;\n",
        "use std::{collections::BTreeMap, fs::File};\n",
        "use std::{\n    io::{self, stdin},\n    path::Path,\n};\n",
        "fn f() { std::env::var(\"HOME\"); }\n",
        "fn f() -> std::time::Instant { todo!() }\n",
        "use git2::Repository;\n",
        "fn f(path: &Path) { path.canonicalize(); }\n",
    ];
    for text in cases {
        assert_eq!(
            outside_in_the_core("model/object.rs", text).len(),
            1,
            "{text}"
        );
        assert_eq!(
            outside_in_the_core("source/folder.rs", text),
            [""; 0],
            "{text}"
        );
    }
    let harmless = "use std::{fmt, io};\nconst ROOT: &str = env!(\"CARGO_MANIFEST_DIR\");\n/// Not std::fs.\nfn \
                    instantly(notified: bool) {}\n";
    assert_eq!(outside_in_the_core("model/object.rs", harmless), [""; 0]);
}

/// Says which arrows of a file point the wrong way.
fn wrong_arrows(path: &str, text: &str) -> Vec<String> {
    let part = path
        .split('/')
        .next()
        .unwrap_or(path)
        .trim_end_matches(".rs");
    if matches!(part, "lib" | "main") {
        return Vec::new();
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == part) else {
        return vec![format!(
            "src/{path}: {part} is in no table: say in tests/it/architecture.rs what it may name"
        )];
    };
    named_parts(path, &code(text))
        .into_iter()
        .filter(|named| named != part && !allowed.contains(&named.as_str()))
        .map(|named| format!("src/{path} names crate::{named}, and {part} may not"))
        .collect()
}

/// Says what a file of the core names that is outside it; nothing for other files.
fn outside_in_the_core(path: &str, text: &str) -> Vec<String> {
    if !PURE.iter().any(|pure| is_below(path, pure)) {
        return Vec::new();
    }
    let code = code(text);
    let names = names(&code);
    let is_named = |outside: &str| {
        names
            .iter()
            .any(|name| name == outside || name.starts_with(&format!("{outside}::")))
            || (!outside.contains("::") && words(&code).any(|word| word == outside))
    };
    OUTSIDE
        .iter()
        .filter(|outside| is_named(outside))
        .map(|outside| format!("src/{path} names {outside}, and it is part of the core"))
        .collect()
}

/// The parts of the crate that a file names, by `crate::` or by enough `super::`.
fn named_parts(path: &str, code: &str) -> BTreeSet<String> {
    let depth = path.trim_end_matches("/mod.rs").split('/').count();
    let climb = "super::".repeat(depth);
    names(code)
        .into_iter()
        .filter_map(|name| {
            let rest = name
                .strip_prefix("crate::")
                .or_else(|| name.strip_prefix(&climb))?;
            Some(rest.split("::").next().unwrap_or(rest).to_owned())
        })
        .collect()
}

/// All paths of a text, with the groups in braces written out.
fn names(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // A brace may open in the middle of a path; then what it holds goes on from there.
    let mut prefixes: Vec<Option<String>> = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = rest
            .find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | ':')))
            .unwrap_or(rest.len());
        if length == 0 {
            match first {
                '{' => prefixes.push(None),
                '}' => drop(prefixes.pop()),
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let prefix = prefixes.last().cloned().flatten().unwrap_or_default();
        let name = format!("{prefix}{}", &rest[..length]);
        rest = &rest[length..];
        if name.ends_with("::") && rest.starts_with('{') {
            prefixes.push(Some(name));
            rest = &rest[1..];
        } else {
            names.insert(name);
        }
    }
    names
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
}

/// A file without comments and without its tests, which come last.
fn code(text: &str) -> String {
    let tests = text.match_indices("#[cfg(test)]\n").find(|(start, _)| {
        let rest = &text[*start..];
        rest.contains("\nmod ")
            && rest
                .find(['{', ';'])
                .is_some_and(|at| rest[at..].starts_with('{'))
    });
    let text = tests.map_or(text, |(start, _)| &text[..start]);
    let lines = text.lines().map(|line| match line.find("//") {
        Some(start) if !line[..start].ends_with(':') => &line[..start],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// All files below `src/` that are no tests, with their text; paths relative to `src/`, with `/`.
fn sources() -> Vec<(String, String)> {
    let root = project().join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let sources = paths.into_iter().filter_map(|path| {
        let shown = path.strip_prefix(&root).unwrap().to_str()?;
        let shown = shown.replace(std::path::MAIN_SEPARATOR, "/");
        let tests = shown.split('/').any(|part| {
            let stem = part.trim_end_matches(".rs");
            stem == "tests" || stem.ends_with("_tests")
        });
        (!tests && path.extension().is_some_and(|extension| extension == "rs"))
            .then(|| (shown, fs::read_to_string(&path).unwrap()))
    });
    sources.collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else {
            paths.push(path);
        }
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
