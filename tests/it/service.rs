//! `stellate run` at the hands of whoever operates it: starting, stopping, a changed configuration, wrong inputs.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, SystemTime},
};

use crate::{
    servers_pipeline::stellate,
    support::{
        folder,
        git::{Repository, git},
        http,
        service::{Home, SECRET, commit_shop, flux_event, forward_flux},
        wait_for,
    },
};

#[test]
fn a_new_commit_is_published_and_a_person_can_ask_what_became_of_it() {
    let source = Repository::new("asked");
    let first = commit_shop(&source, 2, "hello");
    let home = follow("asked", &source);
    let service = home.start();
    service.expect(&first, "published");
    wait_for("readiness", || http::ready(home.port(), "/readyz"));
    let second = commit_shop(&source, 2, "good day");
    service.expect(&second, "published");

    let url = format!("http://127.0.0.1:{}", home.port());
    let ask = |arguments: &[&str]| {
        let run = stellate(&folder("cache"), &[("STELLATE_URL", &url)], arguments);
        assert_eq!(run.code, 0, "{run:?}");
        run.out
    };
    let all = ask(&["status"]);
    assert!(
        all.contains("shop") && all.contains("ready") && all.contains(&second[..10]),
        "{all}"
    );
    let commits = ask(&["status", "shop"]);
    let generated = git(source.path(), &["rev-parse", "generated"]);
    assert!(
        commits.contains(&first[..10]) && commits.contains(&generated[..10]),
        "{commits}"
    );
    let wecs = ask(&["status", "shop", "latest"]);
    assert!(
        wecs.contains("wec-1") && wecs.contains("nobody reports"),
        "{wecs}"
    );
    assert!(service.stop().success());
}

#[test]
fn a_changed_configuration_is_taken_up_and_a_broken_one_leaves_the_old_in_force() {
    let source = Repository::new("reloaded");
    let first = commit_shop(&source, 2, "hello");
    let home = follow("reloaded", &source);
    let service = home.start();
    service.expect(&first, "published");
    let good = fs::read_to_string(home.path("stellate.yaml")).unwrap();

    home.write("stellate.yaml", &good.replace("outputs:", "output:"));
    service.signal("HUP");
    wait_for("a complaint", || {
        let log = service.log();
        let said = log.contains("the old configuration stays in force") && log.contains("outputs");
        if said { Ok(()) } else { Err(log) }
    });
    let log = service.log();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let refused = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    let details = refused["details"].as_str().unwrap();
    for word in [
        "stellate.yaml:6:3",
        "unknown field `output`",
        "did you mean `outputs`",
    ] {
        assert!(details.contains(word), "{word}: {details}");
    }
    let second = commit_shop(&source, 2, "good day");
    service.expect(&second, "published");

    // Without a signal: the file is looked at.
    home.write("stellate.yaml", &good.replace("generated", "elsewhere"));
    wait_for("the other branch", || {
        let found = git(source.path(), &["branch", "--list", "elsewhere"]);
        if found.is_empty() {
            Err(service.log())
        } else {
            Ok(())
        }
    });
    service.expect(&second, "published");

    home.write("stellate.yaml", &good.replace("name: shop", "name: other"));
    service.signal("HUP");
    wait_for("the other pipeline", || {
        let found = service.get("/pipelines")?;
        let names = &found["items"];
        if names[0]["name"] == "other" && names[1].is_null() {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
    assert!(service.stop().success());
}

#[test]
fn told_to_stop_it_ends_well_at_any_moment() {
    let source = Repository::new("stopped");
    let home = follow("stopped", &source);
    for round in 0..12 {
        commit_shop(&source, 20, &format!("round {round}"));
        let service = home.start();
        std::thread::sleep(Duration::from_millis(round * 20));
        let ended = service.stop();
        assert!(ended.success(), "round {round}: {ended}");
    }
    let newest = git(source.path(), &["rev-parse", "HEAD"]);
    let service = home.start();
    service.expect(&newest, "published");
    let locks = fs::read_dir(source.path().join(".git/refs/heads")).unwrap();
    let left = locks
        .flatten()
        .filter(|file| file.path().extension().is_some());
    assert_eq!(left.count(), 0, "no lock is left behind");
}

#[test]
fn what_it_cannot_start_with_is_said_with_the_way_out() {
    let source = Repository::new("refused");
    commit_shop(&source, 1, "hello");
    let home = follow("refused", &source);
    let config = home.path("stellate.yaml").display().to_string();
    let secret = home.path("secret").display().to_string();
    home.write("broken.yaml", "apiVersion: gitops.kubestellar.io/v1alpha1\nkind: Pipeline\nmetadata: {name: shop}\nspec: {sauce: {}}\n");
    let broken = home.path("broken.yaml").display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let refused = |arguments: &[&str], words: &[&str]| {
        let run = stellate(&folder("cache"), &[], &[&["run"], arguments].concat());
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        for word in words {
            assert!(
                run.err.contains(word),
                "{arguments:?}: {word:?} in {}",
                run.err
            );
        }
    };
    let with = |config| ["--config", config, "--webhook-secret-file"];
    refused(
        &[&with("nowhere.yaml")[..], &[&secret]].concat(),
        &["nowhere.yaml", "--config"],
    );
    refused(
        &[&with(&broken)[..], &[&secret]].concat(),
        &["broken.yaml:4", "sauce", "source"],
    );
    refused(
        &[&with(&config)[..], &["/nowhere/secret"]].concat(),
        &["/nowhere/secret"],
    );
    refused(
        &["--config", &config],
        &["--webhook-secret-file", "--insecure"],
    );
    let listen = ["--listen", &taken];
    refused(
        &[&with(&config)[..], &[&secret], &listen].concat(),
        &[&taken, "--listen"],
    );
    let open = ["--listen", "0.0.0.0:0"];
    refused(
        &[&with(&config)[..], &[&secret], &open].concat(),
        &["token", "insecure"],
    );
    let filter = ["--listen", "127.0.0.1:0", "--log", "loud=very"];
    refused(
        &[&with(&config)[..], &[&secret], &filter].concat(),
        &["loud=very", "debug"],
    );
}

#[test]
fn a_cache_folder_is_used_by_one_service_at_a_time_and_by_any_command() {
    let source = Repository::new("occupied");
    let first = commit_shop(&source, 1, "hello");
    let home = follow("occupied", &source);
    let service = home.start();
    service.expect(&first, "published");
    let path = |name| home.path(name).display().to_string();
    let (config, secret, cache) = (path("stellate.yaml"), path("secret"), path("cache"));
    let second = stellate(
        &home.path("cache"),
        &[],
        &[
            "run",
            "--config",
            &config,
            "--webhook-secret-file",
            &secret,
            "--listen=127.0.0.1:0",
            "--cache-dir",
            &cache,
        ],
    );
    assert_eq!(second.code, 2, "{second:?}");
    for word in ["another `stellate run`", cache.as_str(), "--cache-dir"] {
        assert!(second.err.contains(word), "{word}: {}", second.err);
    }
    let rendered = stellate(
        &home.path("cache"),
        &[],
        &[
            "render",
            "-o",
            "table",
            &source.path().display().to_string(),
        ],
    );
    assert_eq!(rendered.code, 0, "{rendered:?}");
    service.kill();
    let service = home.start();
    service.expect(&first, "published");
    assert!(service.stop().success());
}

#[test]
fn whoever_knows_the_forges_secret_cannot_report_when_reports_have_their_own() {
    let source = Repository::new("reported");
    let first = commit_shop(&source, 2, "hello");
    let home = follow("reported", &source);
    home.write("report-secret", "the-secret-of-reports");
    let file = home.path("report-secret").display().to_string();
    let home = home.with(&["--report-secret-file", &file]);
    let service = home.start();
    service.expect(&first, "published");
    let generated = git(source.path(), &["rev-parse", "generated"]);
    let body = flux_event("wec-1", &generated);
    let send = |path: &str, secret: &str, body: &str| {
        let bearer = format!("Authorization: Bearer {secret}");
        let headers = ["Content-Type: application/json", &bearer];
        let path = format!("/hooks/{path}");
        let answer = http::request(home.port(), "POST", &path, &headers, body).unwrap();
        answer.status
    };
    let report = |path: &str, secret: &str| send(path, secret, &body);
    let (status, said) = forward_flux(home.port(), "shop", body.as_bytes()).unwrap();
    assert_eq!(status, 401, "{said}");
    assert_eq!(report("flux/shop", SECRET), 401);
    assert_eq!(report("argocd/shop", SECRET), 401);
    let stranger = flux_event("nowhere", &generated);
    let own = "the-secret-of-reports";
    assert_eq!(send("flux/shop/nowhere", own, &stranger), 404);
    assert_eq!(report("flux/shop", own), 202);
    assert_ne!(service.hook("push", "1", &serde_json::json!({})).0, 401);
    home.write("report-secret", "another");
    wait_for("the new secret", || match report("flux/shop", "another") {
        202 => Ok(()),
        status => Err(status.to_string()),
    });
    assert!(service.stop().success());
}

#[test]
fn a_source_that_is_not_there_is_said_and_found_when_it_comes() {
    let place = folder("later");
    let home = Home::new("later-home");
    home.configure(&format!(
        "  source: {{git: {{url: {}, ref: main, interval: 1s}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n",
        place.display()
    ));
    let service = home.start();
    let problem = wait_for("a problem", || {
        let shop = service.get("/pipelines/shop")?;
        match &shop["problem"] {
            serde_json::Value::Null => Err(shop.to_string()),
            problem => Ok(problem.clone()),
        }
    });
    let message = problem["message"].as_str().unwrap_or_default();
    assert!(message.contains(&place.display().to_string()), "{problem}");
    assert!(problem["help"].is_string(), "{problem}");
    assert!(
        http::ready(home.port(), "/readyz")
            .unwrap_err()
            .contains("shop")
    );
    git(
        &place,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    let source = Repository::new("comes");
    let first = commit_shop(&source, 1, "hello");
    source.git(&[
        "push",
        "--quiet",
        &place.display().to_string(),
        "HEAD:refs/heads/main",
    ]);
    service.expect(&first, "published");
    service.expect_well();
    wait_for("readiness", || http::ready(home.port(), "/readyz"));
    assert!(service.stop().success());
}

#[test]
fn a_lock_is_waited_for_and_one_that_a_killed_process_left_is_removed() {
    let source = Repository::new("locked");
    let first = commit_shop(&source, 1, "hello");
    let path = source.path().join(".git/refs/heads/generated.lock");
    let lock = fs::File::create(&path).unwrap();
    let service = follow("locked", &source).start();
    let problem = service.expect_problem("RepositoryUnwritable");
    assert!(problem.contains("generated.lock"), "{problem}");
    assert!(path.exists(), "somebody may be at work");
    lock.set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    service.sync();
    service.expect(&first, "published");
    service.expect_well();
    assert!(service.stop().success());
}

#[test]
fn secrets_of_the_server_are_rotated_without_a_restart_and_a_broken_file_changes_nothing() {
    let source = Repository::new("rotated");
    commit_shop(&source, 1, "hello");
    let home = follow("rotated", &source);
    home.write("api-token", "old-token");
    let token = home.path("api-token").display().to_string();
    let home = home.with(&["--api-token-file", &token]);
    let service = home.start();
    let asks = |token: &str| {
        let header = format!("Authorization: Bearer {token}");
        let answer = http::request(home.port(), "GET", "/api/v1/pipelines", &[&header], "");
        answer.unwrap().status
    };
    let hooked = || service.hook("push", "1", &serde_json::json!({})).0;
    assert_eq!(asks("old-token"), 200);
    assert_ne!(hooked(), 401);
    home.write("api-token", "");
    home.write("secret", "another-secret");
    wait_for("a complaint", || {
        let log = service.log();
        let said = log.contains("stay as they were");
        if said { Ok(()) } else { Err(log) }
    });
    assert_eq!(asks("old-token"), 200);
    assert_ne!(hooked(), 401);
    home.write("api-token", "new-token");
    wait_for("the new token", || match asks("new-token") {
        200 => Ok(()),
        status => Err(status.to_string()),
    });
    assert_eq!(asks("old-token"), 401);
    assert_eq!(hooked(), 401, "the old secret of webhooks");
    assert!(service.stop().success());
}

/// A home whose service follows `main` of a repository of this machine.
fn follow(name: &str, source: &Repository) -> Home {
    let home = Home::new(name);
    home.configure(&format!(
        "  source: {{git: {{url: {}, ref: main, interval: 1s}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n",
        source.path().display()
    ));
    home
}
