//! The service killed at random moments, again and again, with pushes between: what is left in the end is what an undisturbed
//! service would have left.
//!
//! `STELLATE_CRASHES=1000` for more rounds, `STELLATE_SEED` for those of a failure.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, RandomState},
    path::Path,
    thread,
    time::Duration,
};

use crate::support::{
    folder,
    git::{Repository, git},
    number,
    service::{Home, commit_shop},
    service_forge::{Posted, StatusForge},
    wait_for,
};

const NOTES: &str = "refs/notes/hydrator.metadata";

#[test]
fn a_service_that_is_killed_at_any_moment_leaves_what_an_undisturbed_one_leaves() {
    kill_and_compare("crash", false);
}

#[test]
fn a_service_that_pushes_and_is_killed_at_any_moment_leaves_what_an_undisturbed_one_leaves() {
    kill_and_compare("crash-push", true);
}

/// Kills services, and compares what they leave. `pushes` tells whether they fetch and push, as from and to a remote.
fn kill_and_compare(name: &str, pushes: bool) {
    let rounds: u64 = number("STELLATE_CRASHES").unwrap_or(100);
    let seed: u64 = number("STELLATE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    eprintln!("STELLATE_SEED={seed}");
    let mut dice = Dice(seed | 1);
    let forge = StatusForge::start();
    let source = Repository::new(name);
    let home = home(name, source.path(), pushes, &forge);
    let mut commits = vec![commit_shop(&source, 3, "hello")];

    for round in 0..rounds {
        if dice.below(3) > 0 {
            commits.push(commit_shop(&source, 3, &format!("round {round}")));
        }
        let service = home.spawn();
        thread::sleep(Duration::from_millis(dice.below(400)));
        if dice.below(3) == 0 {
            commits.push(commit_shop(&source, 3, &format!("meanwhile {round}")));
            thread::sleep(Duration::from_millis(dice.below(400)));
        }
        service.kill();
    }

    let newest = commits.last().unwrap();
    let service = home.start();
    service.expect(newest, "published");
    expect_ends(&forge, newest);
    assert!(service.stop().success());

    // Each generated commit is that of one source commit, in their order, and of none twice.
    let published = published(source.path());
    let mut in_order = commits.iter();
    for commit in &published {
        assert!(in_order.any(|next| next == commit), "{published:?}");
    }
    assert_eq!(published.last(), Some(newest));

    // An undisturbed service that looks at the same commits one after the other makes the same. It finds them under the same
    // path, because the generated commits name it.
    let crashed = folder("crashed").join("source");
    fs::rename(source.path(), &crashed).unwrap();
    fs::create_dir(source.path()).unwrap();
    source.git(&["init", "--quiet", "--initial-branch=main"]);
    source.git(&["fetch", "--quiet", &crashed.display().to_string(), "main"]);
    source.git(&["reset", "--hard", "--quiet", &published[0]]);
    let calm_forge = StatusForge::start();
    let home = self::home("calm", source.path(), pushes, &calm_forge);
    let service = home.start();
    for commit in &published {
        source.git(&["reset", "--hard", "--quiet", commit]);
        service.sync();
        service.expect(commit, "published");
    }
    expect_ends(&calm_forge, newest);
    assert!(service.stop().success());
    let head = |repository: &Path| git(repository, &["rev-parse", "generated"]);
    assert_eq!(head(&crashed), head(source.path()));
    assert_eq!(notes(&crashed), notes(source.path()));
    assert_eq!(forge.shown(newest), calm_forge.shown(newest));
    assert_eq!(forge.shown(newest).len(), 4, "one in all, and three WECs");

    // Nobody was told anything twice, nothing that came to an end began again, and nothing was left open.
    for commit in forge.commits() {
        let told = forge.all(&commit);
        let wrong = [twice(&told), begun_again(&told)].concat();
        assert!(wrong.is_empty(), "{commit}: {wrong:#?} of {told:#?}");
        for (context, (state, description)) in forge.shown(&commit) {
            assert_ne!(state, "pending", "{commit} {context}: {description}");
        }
    }
}

fn home(name: &str, source: &Path, pushes: bool, forge: &StatusForge) -> Home {
    let home = Home::new(name);
    home.write("token", "a-token");
    let status = forge.status("token");
    let source = source.display();
    let (url, output) = if pushes {
        (format!("'file://{source}'"), format!(", url: {source}"))
    } else {
        (source.to_string(), String::new())
    };
    home.configure(&format!(
        "  source: {{git: {{url: {url}, ref: main, interval: 1s}}}}\n  outputs: [{{branch: {{name: generated{output}}}}}]\n{status}",
    ));
    home
}

/// Waits until nothing is open on any commit, and the newest has all its statuses.
fn expect_ends(forge: &StatusForge, newest: &str) {
    wait_for("an end of all statuses", || {
        let mut open = Vec::new();
        for commit in forge.commits() {
            for (context, (state, description)) in forge.shown(&commit) {
                if state == "pending" {
                    open.push(format!("{commit} {context} {description}"));
                }
            }
        }
        match (forge.shown(newest).len(), open.is_empty()) {
            (4, true) => Ok(()),
            (count, _) => Err(format!("{count} on the newest; {}", open.join("; "))),
        }
    });
}

/// The source commits that the generated branch was made from, the oldest first.
fn published(repository: &Path) -> Vec<String> {
    let commits = git(repository, &["rev-list", "--reverse", "generated"]);
    let source = |commit: &str| {
        let reference = format!("--ref={NOTES}");
        let note = git(repository, &["notes", &reference, "show", commit]);
        let note: serde_json::Value = serde_json::from_str(&note).unwrap();
        note["drySha"].as_str().unwrap().to_owned()
    };
    commits.lines().map(source).collect()
}

/// All notes: of which commit, and what they say.
fn notes(repository: &Path) -> BTreeMap<String, String> {
    let list = git(repository, &["notes", &format!("--ref={NOTES}"), "list"]);
    let each = list.lines().map(|line| {
        let (note, commit) = line.split_once(' ').unwrap();
        (
            commit.to_owned(),
            git(repository, &["cat-file", "blob", note]),
        )
    });
    each.collect()
}

/// What was told although it stood there.
fn twice(told: &[Posted]) -> Vec<&Posted> {
    let mut shown: BTreeMap<&str, &Posted> = BTreeMap::new();
    let mut found = Vec::new();
    for posted in told {
        if shown.insert(&posted.context, posted) == Some(posted) {
            found.push(posted);
        }
    }
    found
}

/// What was told to be at work after it had come to an end.
fn begun_again(told: &[Posted]) -> Vec<&Posted> {
    let mut shown: BTreeMap<&str, &Posted> = BTreeMap::new();
    let mut found = Vec::new();
    for posted in told {
        let before = shown.insert(&posted.context, posted);
        if posted.state == "pending" && before.is_some_and(|before| before.state != "pending") {
            found.push(posted);
        }
    }
    found
}

/// Numbers that a seed gives again (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
