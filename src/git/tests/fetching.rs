//! What arrives, how much of it, and what is said when it does not.

use super::support::{CERTIFICATE, Lab, Server, closed_port, noise, reply, serve_tls};
use crate::git::{
    Access, Credentials, FetchOutcome, GitError, RemoteUrl, Secret, Want, Wanted, fetch, list_refs,
};
use crate::model::Revision;

fn bring(
    repository: &git2::Repository,
    url: &RemoteUrl,
    access: &Access,
    wants: &[&str],
) -> Result<FetchOutcome, GitError> {
    let wanted: Vec<Wanted> = wants
        .iter()
        .enumerate()
        .map(|(number, want)| {
            Wanted::new(Want::parse(want)).into_ref(format!("refs/fetched/{number}"))
        })
        .collect();
    fetch(repository, url, &wanted, access, None, &mut |_| {})
}

fn commits(outcome: &FetchOutcome) -> Vec<Revision> {
    outcome
        .fetched
        .iter()
        .flatten()
        .map(|fetched| fetched.commit)
        .collect()
}

/// The three ways to one repository, with the access that each needs.
fn ways(lab: &Lab) -> Vec<(RemoteUrl, Access)> {
    let server = lab.serve(None);
    vec![
        (lab.url(), lab.access()),
        (lab.ssh_url(), lab.ssh_access()),
        (server.url(""), lab.access()),
    ]
}

#[test]
fn refs_are_listed_with_head_and_the_commits_of_tags() {
    let lab = Lab::new();
    for (url, access) in ways(&lab) {
        let found = list_refs(&url, &access).expect("refs");
        assert_eq!(
            found.refs.keys().collect::<Vec<_>>(),
            [
                "HEAD",
                "refs/heads/main",
                "refs/heads/topic",
                "refs/tags/v1"
            ]
        );
        assert_eq!(found.head.as_deref(), Some("refs/heads/main"));
        assert_eq!(found.commit("refs/tags/v1"), Some(lab.id("work", "main~1")));
        assert_eq!(found.refs["refs/heads/main"], lab.id("work", "main"));
    }
}

#[test]
fn branches_tags_refs_and_commits_arrive_whole_on_every_way() {
    let lab = Lab::new();
    let (main, second) = (lab.id("work", "main"), lab.id("work", "main~1"));
    for (number, (url, access)) in ways(&lab).into_iter().enumerate() {
        let name = format!("into{number}");
        let local = lab.local(&name);
        let wants = ["main", "v1", "refs/heads/topic", &main.to_string(), "HEAD"];
        let outcome = bring(&local, &url, &access, &wants).expect("fetched");
        assert_eq!(
            commits(&outcome),
            [main, second, second, main, main],
            "{url}"
        );
        let tag = outcome.fetched[1].as_ref().expect("tag");
        assert_eq!(
            (tag.name.as_deref(), tag.object),
            (Some("refs/tags/v1"), lab.id("work", "v1"))
        );
        assert_eq!(lab.id(&name, "refs/fetched/0"), main);
        lab.git(&name, &["fsck", "--full", "--strict"]);
        assert_eq!(lab.git(&name, &["show", "refs/fetched/0:a"]), "three");
        assert!(outcome.transfer.total_objects >= 9 && outcome.transfer.received_bytes > 100);
    }
}

#[test]
fn a_second_fetch_carries_only_what_is_new() {
    let lab = Lab::new();
    // A large file that does not change would show at once if it came again.
    let noise = noise(20_000);
    for number in 0..60 {
        lab.commit("a", &format!("step {number}"));
    }
    lab.commit("large", &noise);
    lab.publish();
    for (number, (url, access)) in ways(&lab).into_iter().enumerate() {
        let name = format!("into{number}");
        let local = lab.local(&name);
        let first = bring(&local, &url, &access, &["main"]).expect("first");
        assert!(first.transfer.received_bytes > 50_000);
        let again = bring(&local, &url, &access, &["main"]).expect("again");
        assert_eq!(again.transfer.received_bytes, 0);
        assert_eq!(commits(&again), commits(&first));
        let newest = lab.commit("a", &format!("more {number}"));
        lab.publish();
        let second = bring(&local, &url, &access, &["main"]).expect("second");
        assert_eq!(commits(&second), [newest]);
        assert!(
            second.transfer.received_bytes < 2_000,
            "{url}: {:?}",
            second.transfer
        );
        assert_eq!(second.transfer.total_objects, 3);
        lab.git(&name, &["fsck", "--full"]);
    }
}

#[test]
fn local_commits_that_the_remote_lacks_do_not_stop_a_fetch() {
    let lab = Lab::new();
    for (number, (url, access)) in ways(&lab).into_iter().enumerate() {
        let name = format!("into{number}");
        let local = lab.local(&name);
        bring(&local, &url, &access, &["main"]).expect("first");
        let mut parent = lab.id(&name, "refs/fetched/0").to_string();
        for step in 0..80 {
            let message = format!("own {step}");
            parent = lab.git(
                &name,
                &[
                    "commit-tree",
                    "-p",
                    &parent,
                    "-m",
                    &message,
                    &format!("{parent}^{{tree}}"),
                ],
            );
        }
        lab.git(&name, &["update-ref", "refs/heads/own", &parent]);
        let newest = lab.commit("a", &format!("theirs {number}"));
        lab.publish();
        let outcome = bring(&local, &url, &access, &["main"]).expect("second");
        assert_eq!(
            (commits(&outcome), outcome.transfer.total_objects),
            (vec![newest], 3),
            "{url}"
        );
    }
}

#[test]
fn a_shallow_fetch_ends_at_its_depth_and_can_be_deepened() {
    let lab = Lab::new();
    for (number, (url, access)) in ways(&lab).into_iter().enumerate() {
        let name = format!("into{number}");
        let local = lab.local(&name);
        let wanted = [Wanted::new(Want::Branch("main".into())).into_ref("refs/heads/main")];
        fetch(&local, &url, &wanted, &access, Some(1), &mut |_| {}).expect("shallow");
        assert_eq!(lab.git(&name, &["rev-list", "--count", "main"]), "1");
        lab.git(&name, &["fsck", "--full"]);
        lab.commit("a", &format!("later {number}"));
        lab.publish();
        // Without a depth the boundary stays, and history grows above it.
        let local = git2::Repository::open_bare(local.path()).expect("repository");
        fetch(&local, &url, &wanted, &access, None, &mut |_| {}).expect("above");
        assert_eq!(lab.git(&name, &["rev-list", "--count", "main"]), "2");
        let local = git2::Repository::open_bare(local.path()).expect("repository");
        fetch(
            &local,
            &url,
            &wanted,
            &access,
            Some(i32::MAX as u32),
            &mut |_| {},
        )
        .expect("deep");
        assert_eq!(
            lab.git(&name, &["rev-list", "--count", "main"]),
            (4 + number).to_string()
        );
        assert!(!local.path().join("shallow").exists());
    }
}

#[test]
fn a_commit_that_no_ref_shows_is_found_even_where_the_remote_does_not_give_it_by_id() {
    let lab = Lab::new();
    let first = lab.id("work", "main~2");
    let server = lab.serve(None);
    let local = lab.local("into");
    let outcome = bring(
        &local,
        &server.url(""),
        &lab.access(),
        &[&first.to_string()],
    )
    .expect("fetched");
    assert_eq!(commits(&outcome), [first]);
    let absent = "1".repeat(40);
    for (url, access) in [
        (server.url(""), lab.access()),
        (lab.url(), lab.access()),
        (lab.ssh_url(), lab.ssh_access()),
    ] {
        let error = bring(&local, &url, &access, &[&absent]).expect_err("absent");
        assert_eq!(error.reason(), "ReferenceNotFound", "{url}: {error}");
        assert!(error.to_string().contains(&absent), "{error}");
    }
}

#[test]
fn a_missing_branch_is_named_unless_it_is_optional() {
    let lab = Lab::new();
    let local = lab.local("into");
    let error = bring(&local, &lab.url(), &lab.access(), &["nope"]).expect_err("missing");
    assert!(
        error.to_string().ends_with("has no branch or tag nope"),
        "{error}"
    );
    let wanted = [
        Wanted::new(Want::Branch("nope".into())).if_present(),
        Wanted::new(Want::Branch("main".into())),
    ];
    let outcome = fetch(
        &local,
        &lab.url(),
        &wanted,
        &lab.access(),
        None,
        &mut |_| {},
    )
    .expect("fetched");
    assert!(outcome.fetched[0].is_none() && outcome.fetched[1].is_some());
}

#[test]
fn progress_reaches_the_end() {
    let lab = Lab::new();
    let mut last = crate::git::FetchProgress::default();
    let wanted = [Wanted::new(Want::Head)];
    let outcome = fetch(
        &lab.local("into"),
        &lab.url(),
        &wanted,
        &lab.access(),
        None,
        &mut |now| last = now,
    );
    assert_eq!(outcome.expect("fetched").transfer, last);
    assert!(last.total_objects > 0 && last.indexed_objects >= last.total_objects);
}

#[test]
fn an_empty_repository_has_no_refs() {
    let lab = Lab::new();
    lab.git(".", &["init", "-q", "--bare", "empty.git"]);
    let url = RemoteUrl::parse(lab.path("empty.git").to_str().expect("UTF-8")).expect("path");
    assert!(
        list_refs(&url, &lab.access())
            .expect("refs")
            .refs
            .is_empty()
    );
}

#[test]
fn a_missing_repository_is_said_to_be_missing_on_every_way() {
    let lab = Lab::new();
    let server = lab.serve(None);
    let addresses = [
        (lab.path("nope.git").display().to_string(), lab.access()),
        (
            format!("git@host.example:{}", lab.path("nope.git").display()),
            lab.ssh_access(),
        ),
        (
            format!("http://127.0.0.1:{}/nope.git", server.port),
            lab.access(),
        ),
    ];
    for (address, access) in addresses {
        let error =
            list_refs(&RemoteUrl::parse(&address).expect("address"), &access).expect_err("missing");
        assert_eq!(error.reason(), "RepositoryNotFound", "{error}");
    }
}

#[test]
fn nobody_at_home_is_unreachable() {
    let lab = Lab::new();
    let url =
        RemoteUrl::parse(&format!("http://127.0.0.1:{}/shop.git", closed_port())).expect("address");
    let error = list_refs(&url, &lab.access()).expect_err("closed");
    assert_eq!(error.reason(), "Unreachable", "{error}");
    let mut access = lab.access();
    access.ssh_command = Some(format!(
        "{}",
        lab.script(
            "ssh-broken",
            "echo 'ssh: Could not resolve hostname nowhere' >&2; exit 255"
        )
        .display()
    ));
    let error = list_refs(
        &RemoteUrl::parse("git@nowhere:r").expect("address"),
        &access,
    )
    .expect_err("no host");
    assert_eq!(error.reason(), "Unreachable", "{error}");
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let lab = Lab::new();
    let mut access = lab.access();
    access.idle_timeout = std::time::Duration::from_millis(200);
    access.ssh_command = Some(
        lab.script("ssh-silent", "exec sleep 1000")
            .display()
            .to_string(),
    );
    let error = list_refs(&lab.ssh_url(), &access).expect_err("silence");
    assert_eq!(error.reason(), "Timeout", "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let port = listener.local_addr().expect("address").port();
    let url = RemoteUrl::parse(&format!("http://127.0.0.1:{port}/r")).expect("address");
    let error = list_refs(&url, &access).expect_err("silence");
    assert_eq!(error.reason(), "Timeout", "{error}");
    drop(listener);
}

#[test]
fn a_login_is_sent_when_it_is_asked_for() {
    let lab = Lab::new();
    let server = lab.serve(Some("x-access-token:hunter2"));
    let access = Access {
        credentials: Credentials::with_token(Secret::new("hunter2")),
        ..lab.access()
    };
    let outcome = bring(&lab.local("into"), &server.url(""), &access, &["main"]).expect("fetched");
    assert_eq!(commits(&outcome), [lab.id("work", "main")]);
    let log = server.log();
    let asked = "GET /shop.git/info/refs?service=git-upload-pack";
    assert_eq!(log[..2], [format!("{asked} -"), format!("{asked} login")]);
    assert!(
        log[2..]
            .iter()
            .all(|line| line == "POST /shop.git/git-upload-pack login"),
        "{log:?}"
    );

    let other = lab.serve(Some("bob:pa:ss"));
    assert!(list_refs(&other.url("bob:pa%3Ass@"), &lab.access()).is_ok());
}

#[test]
fn the_credential_helper_is_asked_and_told() {
    let lab = Lab::new();
    let server = lab.serve(Some("ann:hunter2"));
    let answer = format!(
        "echo $1 >> '{0}'; test $1 = get || cat >> '{0}'; test $1 != get || printf 'username=ann\\npassword=hunter2\\n'",
        lab.path("helper-log").display()
    );
    let helper = lab.script("helper", &answer);
    let config = format!("[credential]\n\thelper = {}\n", helper.display());
    std::fs::write(lab.path("gitconfig"), config).expect("configuration");
    let mut access = lab.access();
    access
        .environment
        .insert("GIT_CONFIG_GLOBAL".into(), lab.path("gitconfig").into());
    assert_eq!(
        list_refs(&server.url(""), &access)
            .expect_err("no helper")
            .reason(),
        "Unauthorized"
    );
    access.credentials.use_helper = true;
    list_refs(&server.url(""), &access).expect("refs");
    let log = std::fs::read_to_string(lab.path("helper-log")).expect("log");
    assert!(
        log.starts_with("get\nstore\n") && log.contains("username=ann"),
        "{log}"
    );

    let stranger = lab.serve(Some("ann:other"));
    let error = list_refs(&stranger.url(""), &access).expect_err("wrong");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("git's credential helper") && !text.contains("hunter2"),
        "{text}"
    );
    let log = std::fs::read_to_string(lab.path("helper-log")).expect("log");
    assert!(log.contains("erase\n"), "{log}");
}

#[test]
fn wrong_credentials_are_named_and_never_shown() {
    let lab = Lab::new();
    let server = lab.serve(Some("bob:right"));
    let mut access = lab.access();
    access.credentials.token = Some(Secret::new("hunter2-token"));
    let error = list_refs(&server.url("bob:hunter2-password@"), &access).expect_err("wrong");
    let text = format!("{error} {error:?} {}", error.help());
    assert_eq!(error.reason(), "Unauthorized");
    assert!(
        text.contains("the token, the login in the address"),
        "{text}"
    );
    assert!(!text.contains("hunter2") && !text.contains("bob"), "{text}");

    // A server that repeats what it got does not get it into our words either.
    let echo = Server::start(|request| {
        if request.header("authorization").is_empty() {
            return reply("401 Unauthorized", b"");
        }
        let words = b"me: bad token hunter2-token\x1b[2J";
        reply("403 Forbidden\r\nContent-Type: text/plain", words)
    });
    let error = list_refs(&echo.url(""), &access).expect_err("forbidden");
    assert_eq!(error.reason(), "Forbidden");
    let text = error.to_string();
    assert!(text.contains("bad token ***[2J"), "{text}");
}

#[test]
fn a_redirect_is_followed_without_the_login() {
    let lab = Lab::new();
    let target = lab.serve(None);
    let port = target.port;
    let moved = move |address: &str, request: &super::support::Request| {
        reply(
            &format!(
                "301 Moved\r\nLocation: {address}{}",
                request.target.replace("/old", "/shop")
            ),
            b"",
        )
    };
    // Another host name and another port: another origin.
    let door = Server::start(move |request| {
        if request.header("authorization").is_empty() {
            return reply("401 Unauthorized", b"");
        }
        moved(&format!("http://localhost:{port}"), request)
    });
    let url =
        RemoteUrl::parse(&format!("http://127.0.0.1:{}/old.git", door.port)).expect("address");
    let access = Access {
        credentials: Credentials::with_token(Secret::new("hunter2")),
        ..lab.access()
    };
    let outcome = bring(&lab.local("into"), &url, &access, &["main"]).expect("fetched");
    assert_eq!(commits(&outcome), [lab.id("work", "main")]);
    assert!(door.log()[1].ends_with(" login"));
    assert!(
        target.log().iter().all(|line| line.ends_with(" -")),
        "{:?}",
        target.log()
    );

    let sideways = Server::start(move |request| moved("ssh://host.example", request));
    let error = list_refs(&sideways.url(""), &lab.access()).expect_err("not followed");
    assert_eq!(error.reason(), "Redirected", "{error}");
    let circle =
        Server::start(|request| reply(&format!("302 Found\r\nLocation: {}", request.target), b""));
    assert_eq!(
        list_refs(&circle.url(""), &lab.access())
            .expect_err("circle")
            .reason(),
        "Redirected"
    );
}

#[test]
fn what_is_no_git_server_is_told_so() {
    let lab = Lab::new();
    let page = Server::start(|_| reply("200 OK\r\nContent-Type: text/html", b"<html>hello"));
    let error = list_refs(&page.url(""), &lab.access()).expect_err("page");
    assert!(
        error.reason() == "ProtocolError" && error.to_string().contains("text/html"),
        "{error}"
    );
    let cut = Server::start(|_| {
        reply(
            "200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement",
            b"001e# service=git-upload-pack\n0000003f",
        )
    });
    assert_eq!(
        list_refs(&cut.url(""), &lab.access())
            .expect_err("cut")
            .reason(),
        "ConnectionBroken"
    );
}

#[test]
fn a_certificate_is_trusted_only_when_its_authority_is() {
    let lab = Lab::new();
    let url =
        RemoteUrl::parse(&format!("https://localhost:{}/shop.git", serve_tls())).expect("address");
    let error = list_refs(&url, &lab.access()).expect_err("unknown authority");
    assert_eq!(error.reason(), "Untrusted", "{error}");
    let ca_file = lab.path("ca.pem");
    std::fs::write(&ca_file, CERTIFICATE).expect("file");
    let access = Access {
        ca_file: Some(ca_file),
        ..lab.access()
    };
    let found = list_refs(&url, &access).expect("trusted");
    assert!(found.refs.contains_key("refs/heads/main"));
    let plain = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let port = plain.local_addr().expect("address").port();
    std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = plain.accept().expect("connection");
        stream
            .write_all(b"HTTP/1.1 400 this port speaks no TLS\r\n\r\n")
            .expect("written");
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
    });
    let url = RemoteUrl::parse(&format!("https://localhost:{port}/shop.git")).expect("address");
    let error = list_refs(&url, &access).expect_err("no TLS");
    assert_eq!(error.reason(), "Untrusted", "{error}");
}

#[test]
fn ssh_is_called_with_the_key_alone_and_without_questions() {
    let lab = Lab::new();
    let mut access = lab.ssh_access();
    access.credentials.ssh_key = Some("/keys/id".into());
    list_refs(&lab.ssh_url(), &access).expect("refs");
    let calls = std::fs::read_to_string(lab.path("ssh-calls")).expect("calls");
    assert!(
        calls.contains("BatchMode=yes")
            && calls.contains("-i /keys/id -o IdentitiesOnly=yes git@host.example"),
        "{calls}"
    );
}
