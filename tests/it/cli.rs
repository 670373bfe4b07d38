//! The command line as people see it: transcripts of what is typed and what comes out, wrong inputs included.
//!
//! They live in `tests/cmd`. `TRYCMD=overwrite cargo test --test it transcripts` writes them again; read the difference.

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
