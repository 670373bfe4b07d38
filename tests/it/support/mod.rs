//! What the integration tests share.
//!
//! [`servers`] starts real servers on loopback, [`git`] makes repositories that see nothing of this machine's configuration,
//! [`applied`] says whether a cluster holds what a folder of manifests says. Never part of the product.
//!
//! A test that needs a server asks for it through [`need!`](crate::support::need): where the server cannot be had, the test
//! returns, and the reason goes to standard error and to the file named by `STELLATE_SKIP_LOG`, which `tests/run` prints last.
#![allow(dead_code, reason = "a toolbox: not every test module uses every tool")]

pub(crate) mod applied;
pub(crate) mod forge;
pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod hub;
pub(crate) mod link;
pub(crate) mod mailboxes;
pub(crate) mod servers;
pub(crate) mod service;
pub(crate) mod service_forge;
pub(crate) mod site;

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use servers::Missing;

/// Waiting ends here. Far above what anything takes, so that only a real failure meets it, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// `need!(ApiServer::start("wec1"))` is the server, or ends the test and records why it did not run.
macro_rules! need {
    ($server:expr) => {
        match $server {
            Ok(server) => server,
            Err(missing) => {
                fn here() {}
                return $crate::support::skip(std::any::type_name_of_val(&here), &missing);
            }
        }
    };
}
pub(crate) use need;

/// Records that a test did not run. Fails it instead when `STELLATE_REQUIRE_SERVERS=1` and the server was built.
pub(crate) fn skip(place: &str, missing: &Missing) {
    let test = place.trim_end_matches("::here").trim_start_matches("it::");
    assert!(
        !(missing.built && env::var("STELLATE_REQUIRE_SERVERS").is_ok_and(|value| value == "1")),
        "{missing}, although it was built"
    );
    let line = format!("skipped: {test}: {missing}\n");
    // Past the capture of the test runner: a skip must be seen even when everything passes.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(log) = env::var_os("STELLATE_SKIP_LOG") {
        let mut log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        log.write_all(line.as_bytes()).unwrap();
    }
}

/// Asks again and again until the answer is `Ok`; panics with the last reason when patience ends.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(reason) if start.elapsed() > PATIENCE => panic!("waited in vain: {what}: {reason}"),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// A number that whoever runs a test may set; none where it is not set, or is no number.
pub(crate) fn number<T: FromStr>(variable: &str) -> Option<T> {
    env::var(variable).ok()?.parse().ok()
}

/// The folder of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file that users are given as it is, with its example values replaced. Each of them must occur, so that a test
/// cannot go on with a manifest that no longer says what it replaces.
pub(crate) fn example(path: &str, replacements: &[(&str, &str)]) -> String {
    let mut text =
        fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    for (from, to) in replacements {
        assert!(text.contains(from), "{path} does not contain {from:?}");
        text = text.replace(from, to);
    }
    text
}

/// The folder of this run, which holds every temporary file of the tests: `stellate-it-PID`. What earlier runs left for
/// people to look at is removed when the next run begins.
pub(crate) fn run_folder() -> &'static Path {
    static FOLDER: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    FOLDER.get_or_init(|| {
        const PREFIX: &str = "stellate-it-";
        for entry in fs::read_dir(env::temp_dir()).unwrap().flatten() {
            let name = entry.file_name();
            if let Some(process) = name.to_str().and_then(|name| name.strip_prefix(PREFIX))
                && !servers::is_running(process)
            {
                drop(fs::remove_dir_all(entry.path()));
            }
        }
        let folder = env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder.canonicalize().unwrap()
    })
}

/// An empty folder of its own below [`run_folder`]; it stays until the next run.
pub(crate) fn folder(name: &str) -> PathBuf {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = run_folder().join(format!("{number}-{name}"));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes files into a folder, making the folders between.
pub(crate) fn write_files(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}
