//! What a process that was killed, or a power cut, leaves in the cache folder: locks and damaged repositories. The pipeline goes on.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::support::{
    folder,
    git::{Repository, git},
    service::{Home, Service, commit_shop},
    service_forge::StatusForge,
    wait_for,
};

/// The lock of our copy of what the remote's branch is.
const LOCK: &str = "refs/stellate/remote/heads/generated.lock";
/// The lock of the commit that was fetched of the source.
const SOURCE_LOCK: &str = "refs/heads/main.lock";

/// The runs that failed.
const FAILED: &str = "stellate_runs_total{pipeline=\"shop\",outcome=\"failed\"}";

#[test]
fn a_lock_that_a_killed_service_left_in_the_relay_is_gone_when_the_next_one_starts() {
    let world = World::new("left-behind");
    let service = world.publish_first();
    service.kill();
    fs::write(world.relay().join(LOCK), "").unwrap();
    let next = commit_shop(&world.source, 2, "second");
    let service = world.home.start();
    service.expect(&next, "published");
    assert!(!service.log().contains("\"ERROR\""), "{}", service.log());
}

#[test]
fn an_old_lock_in_the_relay_or_in_a_fetched_source_is_taken_away_while_the_service_runs() {
    let world = World::new("old-locks");
    let service = world.publish_first();
    for lock in [world.relay().join(LOCK), world.copy().join(SOURCE_LOCK)] {
        let file = File::create(&lock).unwrap();
        let age = Duration::from_secs(300);
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    let next = commit_shop(&world.source, 2, "second");
    service.sync();
    service.expect(&next, "published");
    let log = service.log();
    for lock in [LOCK, SOURCE_LOCK] {
        assert!(log.contains(lock), "{lock} is named: {log}");
    }
    assert!(!log.contains("made anew"), "{log}");
}

#[test]
fn a_lock_that_is_held_is_named_and_the_forge_is_told_once() {
    let world = World::new("held");
    let service = world.publish_first();
    let lock = world.relay().join(LOCK);
    fs::write(&lock, "").unwrap();
    let next = commit_shop(&world.source, 2, "second");
    service.sync();
    let told = service.expect_problem("RepositoryLocked");
    assert!(told.contains(LOCK), "{told}");
    assert!(!told.contains("space"), "{told}");
    let failed = || service.metric(FAILED);
    for _ in 0..3 {
        let before = failed();
        service.sync();
        wait_for("another attempt", || {
            if failed() > before {
                Ok(())
            } else {
                Err(service.log())
            }
        });
    }
    let of_all = |state: &str| {
        let told = world.forge.all(&next);
        let whole = told
            .iter()
            .filter(|posted| posted.context == "stellate/shop");
        whole.filter(|posted| posted.state == state).count()
    };
    wait_for("an error on the forge", || match of_all("error") {
        0 => Err(format!("{:?}", world.forge.all(&next))),
        _ => Ok(()),
    });
    assert!(of_all("pending") <= 1, "{:?}", world.forge.all(&next));
    assert_eq!(of_all("error"), 1, "{:?}", world.forge.all(&next));
    fs::remove_file(lock).unwrap();
    service.sync();
    service.expect(&next, "published");
}

#[test]
fn a_cache_whose_repositories_lost_their_bytes_heals_and_the_log_says_so_once() {
    let empty: fn(usize) -> Vec<u8> = |_| Vec::new();
    let noise: fn(usize) -> Vec<u8> = |length| {
        let bytes = (0..=u8::MAX).map(|at| at.wrapping_mul(167).wrapping_add(91));
        bytes.cycle().take(length).collect()
    };
    for (name, bytes) in [("truncated", empty), ("noise", noise)] {
        let world = World::new(name);
        let service = world.publish_first();
        service.kill();
        damage(&world.home.path("cache"), bytes);
        let next = commit_shop(&world.source, 2, "second");
        let service = world.home.start();
        service.expect(&next, "published");
        assert_eq!(
            git(&world.remote, &["rev-list", "--count", "generated"]),
            "2"
        );
        let third = commit_shop(&world.source, 2, "third");
        service.sync();
        service.expect(&third, "published");
        let log = service.log();
        let lines = log.lines().filter(|line| line.contains("made anew"));
        let of_relay = lines.filter(|line| line.contains("/relay/")).count();
        assert_eq!(of_relay, 1, "{name}: {log}");
    }
}

#[test]
fn a_disk_that_takes_no_relay_is_said_as_such() {
    let world = World::new("no-room");
    commit_shop(&world.source, 2, "first");
    fs::create_dir(world.home.path("cache")).unwrap();
    fs::write(world.home.path("cache/relay"), "no folder").unwrap();
    let service = world.home.start();
    let said = service.expect_problem("CacheUnwritable");
    assert!(said.contains("/relay"), "{said}");
    assert!(!service.log().contains("made anew"), "{}", service.log());
    fs::remove_file(world.home.path("cache/relay")).unwrap();
    service.sync();
    service.expect_well();
}

/// A source and a remote of its own for what is generated, both reached as remotes are.
struct World {
    home: Home,
    source: Repository,
    remote: PathBuf,
    forge: StatusForge,
}

impl World {
    fn new(name: &str) -> Self {
        let source = Repository::new(name);
        let remote = folder(&format!("{name}-remote"));
        git(&remote, &["init", "--quiet", "--bare"]);
        let forge = StatusForge::start();
        let home = Home::new(name);
        home.write("token", "a-token");
        home.configure(&format!(
            "  source: {{git: {{url: 'file://{}', ref: main, interval: 1s}}}}\n  outputs: [{{branch: {{name: generated, url: {}}}}}]\n{}",
            source.path().display(),
            remote.display(),
            forge.status("token")
        ));
        Self {
            home,
            source,
            remote,
            forge,
        }
    }

    /// Starts the service, and waits until it has published the first commit.
    fn publish_first(&self) -> Service {
        let first = commit_shop(&self.source, 2, "first");
        let service = self.home.start();
        service.expect(&first, "published");
        service
    }

    /// The repository through which the service pushes.
    fn relay(&self) -> PathBuf {
        only(&self.home.path("cache/relay"))
    }

    /// What the service fetched of the source.
    fn copy(&self) -> PathBuf {
        only(&self.home.path("cache/repositories"))
    }
}

fn only(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).unwrap();
    let only = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "{}", folder.display());
    only
}

/// Replaces what each file of a folder holds.
fn damage(folder: &Path, bytes: fn(usize) -> Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path, bytes);
        } else {
            let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
            // What git has written is read-only.
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes(length)).unwrap();
        }
    }
}
