//! `stellate run` with waves, as a process of its own: what the generated commits say, who may look and open, and what a power cut leaves.

use std::{fs, process::Stdio, time::Duration};

use crate::{
    servers_pipeline::stellate,
    support::{
        folder,
        git::{Repository, command, git},
        service::{Home, Service, a_while, commit_shop, report_flux},
        wait_for, write_files,
    },
};

/// `wec-1` first, then `wec-2`, then `wec-3`, which no wave selects.
fn waves(name: &str, source: &Repository) -> Home {
    let home = Home::new(name);
    home.configure(&format!(
        "  source: {{git: {{url: {}, ref: main, interval: 1s}}}}
  outputs: [{{branch: {{name: generated}}}}]
  waves:
  - {{name: canary, clusterSelectors: [{{matchLabels: {{stage: first}}}}]}}
  - {{name: main, clusterSelectors: [{{matchExpressions: [{{key: stage, operator: In, values: [second]}}]}}]}}
",
        source.path().display()
    ));
    home
}

/// Commits a shop for three WECs with labels.
fn commit(source: &Repository, greeting: &str) -> String {
    let inventory = [(1, "first"), (2, "second"), (3, "third")].map(|(number, stage)| {
        format!(
            "apiVersion: cluster.open-cluster-management.io/v1
kind: ManagedCluster
metadata: {{name: wec-{number}, labels: {{stage: {stage}}}}}
spec: {{hubAcceptsClient: true}}
"
        )
    });
    commit_shop(source, 3, greeting);
    write_files(
        source.path(),
        &[("inventory.yaml", &inventory.join("---\n"))],
    );
    source.commit_all(&format!("Greet with {greeting}, in waves"))
}

/// What a WEC has on the branch, or had at a commit of it.
fn greeting(source: &Repository, revision: &str, wec: u32) -> Option<String> {
    let file = format!("{revision}:clusters/wec-{wec}/shop/configmap-greeting.yaml");
    let shown = command(source.path())
        .args(["show", &file])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("greeting: "));
    line.map(|text| text.trim_matches('"').to_owned())
}

fn expect(source: &Repository, service: &Service, wanted: [&str; 3]) {
    wait_for(&format!("{wanted:?} on the branch"), || {
        let found = [1, 2, 3].map(|wec| greeting(source, "generated", wec).unwrap_or_default());
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:?}\n{}", service.log()))
        }
    });
}

/// Says that a WEC is healthy with what the branch holds.
fn healthy(source: &Repository, home: &Home, wec: u32) {
    let generated = git(source.path(), &["rev-parse", "generated"]);
    report_flux(home.port(), &format!("wec-{wec}"), &generated);
}

/// Waits until a WEC waits with a commit, and gives why.
fn waits(service: &Service, commit: &str, wec: u32) -> String {
    wait_for(&format!("wec-{wec} to wait"), || {
        let found = service.get(&format!(
            "/pipelines/shop/commits/{commit}/clusters/wec-{wec}"
        ))?;
        if found["phase"] == "waiting" {
            Ok(found["why"].as_str().unwrap().to_owned())
        } else {
            Err(found.to_string())
        }
    })
}

/// Has a commit everywhere, wave by wave.
fn go_through(source: &Repository, home: &Home, service: &Service, text: &str) {
    for wec in [1, 2, 3] {
        wait_for(&format!("{text} on wec-{wec}"), || {
            let found = greeting(source, "generated", wec);
            if found.as_deref() == Some(text) {
                Ok(())
            } else {
                Err(format!("{found:?}\n{}", service.log()))
            }
        });
        healthy(source, home, wec);
    }
}

fn verify(source: &Repository, revision: &str) -> (i32, String) {
    let run = stellate(
        &folder("cache"),
        &[],
        &["verify", revision, &source.path().display().to_string()],
    );
    (run.code, run.out)
}

#[test]
fn a_generated_commit_says_which_waves_wait_and_a_person_looks_verifies_and_opens_one() {
    let source = Repository::new("waves");
    let home = waves("waves", &source);
    let first = commit(&source, "hello");
    let service = home.start();
    expect(&source, &service, ["hello", "", ""]);
    go_through(&source, &home, &service, "hello");
    service.expect(&first, "healthy");
    let before = git(source.path(), &["rev-parse", "generated"]);

    let second = commit(&source, "oops");
    expect(&source, &service, ["oops", "hello", "hello"]);
    let why = waits(&service, &second, 2);
    assert!(
        why.starts_with("wave canary is not healthy: wec-1 (published"),
        "{why}"
    );
    let held = git(source.path(), &["rev-parse", "generated"]);
    let message = git(source.path(), &["log", "-1", "--format=%B", "generated"]);
    for line in [
        format!("Wave main is not open: wec-2 keep {}", &first[..12]),
        format!("Source-Commit: {second}"),
        "Held-Wave: main".to_owned(),
        "Held-Wave: remaining".to_owned(),
    ] {
        assert!(
            message.lines().any(|found| found == line),
            "{line} in {message}"
        );
    }
    let lock = git(source.path(), &["show", "generated:stellate.lock"]);
    assert!(lock.contains(&first) && lock.contains(&before), "{lock}");
    git(source.path(), &["fsck", "--strict"]);

    // It is verified, and one in which a folder that should have been kept is another is not.
    let (code, said) = verify(&source, &held);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 WECs waited for their wave"), "{said}");
    let (code, said) = verify(&source, &forge(&source, &held));
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("clusters/wec-2/shop/configmap-greeting.yaml has other bytes"),
        "{said}"
    );

    // In view, and opened by hand: that wave, and no other.
    let url = format!("http://127.0.0.1:{}", home.port());
    let ask = |arguments: &[&str]| stellate(&folder("cache"), &[("STELLATE_URL", &url)], arguments);
    let shown = ask(&["status", "shop"]).out;
    assert!(
        shown.contains("canary") && shown.contains("remaining") && shown.contains("held"),
        "{shown}"
    );
    let shown = ask(&["status", "shop", "latest"]).out;
    assert!(
        shown.contains("waiting") && shown.contains("WAVE"),
        "{shown}"
    );
    assert!((service.metric("stellate_wave_pending_clusters") - 2.0).abs() < 0.1);
    assert!(
        (service.metric("stellate_wave_state{pipeline=\"shop\",wave=\"main\",state=\"held\"}")
            - 1.0)
            .abs()
            < 0.1
    );
    let run = ask(&["release", "shop", "latest", "--wave", "nothing"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("there is no wave nothing"), "{run:?}");
    let run = ask(&["release", "shop", "latest", "--wave", "remaining"]);
    assert_eq!(run.code, 0, "{run:?}");
    expect(&source, &service, ["oops", "hello", "oops"]);
    a_while();
    expect(&source, &service, ["oops", "hello", "oops"]);

    // What mends it goes through all waves, and the tree is the one that a pipeline without waves gives.
    let third = commit(&source, "mended");
    go_through(&source, &home, &service, "mended");
    service.expect(&third, "healthy");
    assert!(service.stop().success());
    let calm = folder("calm");
    let at_once = stellate(
        &folder("cache"),
        &[],
        &[
            "render",
            &source.path().display().to_string(),
            "--rev",
            "main",
            "--out",
            &calm.display().to_string(),
        ],
    );
    assert_eq!(at_once.code, 0, "{at_once:?}");
    let here = git(source.path(), &["rev-parse", "generated:clusters"]);
    assert_eq!(here, tree_of(&source, &calm.join("clusters")));
    let (code, said) = verify(&source, "generated");
    assert!(code == 0 && !said.contains("waited"), "{said}");
}

/// A commit as this one, but `wec-2` has the new greeting already.
fn forge(source: &Repository, commit: &str) -> String {
    let index = folder("index").join("index");
    let run = |arguments: &[&str]| {
        let done = command(source.path())
            .env("GIT_INDEX_FILE", &index)
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    run(&["read-tree", commit]);
    let blob = run(&[
        "rev-parse",
        &format!("{commit}:clusters/wec-1/shop/configmap-greeting.yaml"),
    ]);
    run(&[
        "update-index",
        "--cacheinfo",
        &format!("100644,{blob},clusters/wec-2/shop/configmap-greeting.yaml"),
    ]);
    let tree = run(&["write-tree"]);
    let message = run(&["log", "-1", "--format=%B", commit]);
    run(&[
        "commit-tree",
        &tree,
        "-p",
        &format!("{commit}^"),
        "-m",
        &message,
    ])
}

/// The id that git gives to a folder.
fn tree_of(source: &Repository, path: &std::path::Path) -> String {
    let index = folder("index").join("index");
    let run = |arguments: &[&str]| {
        let mut git = command(source.path());
        git.env("GIT_INDEX_FILE", &index)
            .env("GIT_WORK_TREE", path)
            .args(arguments);
        let done = git.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    run(&["add", "--all", "--force", "."]);
    run(&["write-tree"])
}

#[test]
fn a_service_that_is_killed_in_the_middle_of_its_waves_publishes_nothing_early_and_nothing_twice() {
    let source = Repository::new("cut");
    let home = waves("cut", &source);
    commit(&source, "round 0");
    let service = home.start();
    go_through(&source, &home, &service, "round 0");
    drop(service);
    for round in 1..=6_u64 {
        let text = format!("round {round}");
        let newest = commit(&source, &text);
        let service = home.spawn();
        std::thread::sleep(Duration::from_millis(60 * round));
        service.kill();
        if round % 2 == 0 {
            drop(fs::remove_dir_all(home.path("cache")));
        }
        // It never goes further than the first wave, however often it starts.
        let service = home.start();
        waits(&service, &newest, 2);
        let generated = git(source.path(), &["rev-parse", "generated"]);
        service.kill();
        let service = home.start();
        waits(&service, &newest, 3);
        assert_eq!(git(source.path(), &["rev-parse", "generated"]), generated);
        go_through(&source, &home, &service, &text);
        service.kill();
    }
    // Each wave had each greeting in a commit of its own, in their order, once.
    let history = git(source.path(), &["rev-list", "--reverse", "generated"]);
    let all: Vec<[String; 3]> = history
        .lines()
        .map(|id| [1, 2, 3].map(|wec| greeting(&source, id, wec).unwrap_or_default()))
        .collect();
    let mut wanted = Vec::new();
    let mut standing = [const { String::new() }; 3];
    for round in 0..=6 {
        for wec in 0..3 {
            standing[wec] = format!("round {round}");
            wanted.push(standing.clone());
        }
    }
    assert_eq!(all, wanted);
    git(source.path(), &["fsck", "--strict"]);
}
