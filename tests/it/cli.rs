//! The command line as people see it: transcripts of what is typed and what comes out, wrong inputs included.
//!
//! They live in `tests/cmd`. `TRYCMD=overwrite cargo test --test it transcripts` writes them again; read the difference.

use std::process::{Command, Output};

use crate::support::{
    git::{Repository, git},
    site::SMALL,
    write_files,
};

/// Runs the program with its colours on, and no configuration of this machine.
fn stellate(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_stellate"))
        .args(arguments)
        .args(["--color", "always"])
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", home.path())
        .env("STELLATE_CACHE_DIR", "")
        .output()
        .unwrap()
}

#[test]
fn a_bare_repository_is_read_at_its_head() {
    let repository = Repository::new("before-bare");
    repository.commit("Begin", &SMALL);
    let bare = repository.path().with_extension("git");
    let there = bare.to_str().unwrap();
    git(
        repository.path(),
        &["clone", "--quiet", "--bare", ".", there],
    );
    let output = stellate(&["render", there, "--wec", "fra"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("# clusters/fra/shop/configmap-settings.yaml"),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn names_cannot_steer_the_terminal() {
    let repository = Repository::new("steering");
    repository.commit("Begin", &SMALL);
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"a\\e[2Jb\", namespace: shop}\n";
    let odd = "workloads/\u{1b}[2J\nodd.yaml";
    write_files(repository.path(), &[(odd, text)]);
    for form in ["text", "json"] {
        let place = repository.path().to_str().unwrap();
        let output = stellate(&["validate", place, "-o", form]);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            said.contains("InvalidName") && !said.contains("\u{1b}[2J"),
            "{said:?}"
        );
        assert!(!said.contains("2J\nodd"), "{said:?}");
    }
}

#[test]
fn the_readme_shows_what_the_demo_prints() {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stellate"))
        .args(["demo", "--color", "never"])
        .env("TMPDIR", temporary.path())
        .env("STELLATE_CACHE_DIR", "")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let made = std::fs::read_dir(temporary.path()).unwrap().next();
    let made = made.unwrap().unwrap().path();
    // Only the folder's name and the time are new every time: the commit is the same everywhere.
    let printed = printed.replace(made.to_str().unwrap(), "/tmp/stellate-demo-Xq3vTz");
    let readme = include_str!("../../README.md");
    for line in printed.lines() {
        let timeless = line.split(", in ").next().unwrap();
        assert!(readme.contains(timeless), "not in the README: {line}");
    }
}

#[test]
fn transcripts_say_what_the_program_says() {
    // Nothing of this machine may be seen: no colours, no configuration of git, no cache.
    let home = tempfile::tempdir().unwrap();
    trycmd::TestCases::new()
        .env("HOME", home.path().to_string_lossy())
        .env("XDG_CACHE_HOME", home.path().to_string_lossy())
        .env("XDG_CONFIG_HOME", home.path().to_string_lossy())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("NO_COLOR", "1")
        .case("tests/cmd/*.trycmd");
}
