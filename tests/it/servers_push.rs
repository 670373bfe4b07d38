//! What a push meets on a real forge and over real ssh: refusals, in words that help and never show a secret, and races.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::json;

use crate::{
    servers_pipeline::{Pipeline, Run, Site, Web, stellate},
    support::{
        folder,
        git::{Repository, git},
        need,
        servers::SshServer,
    },
};

#[test]
fn a_wrong_token_is_named_and_never_shown() {
    const WRONG: &str = "8c1f0e9d7b6a5f4e3d2c1b0a9f8e7d6c5b4a3f2e";
    let web = need!(Pipeline::new("wrongtoken"));
    web.write(&Web::BLUE);
    web.commit("web");
    let run = web.run_with_token(WRONG, &[]);
    expect_refusal(&run, &["login", "the token", &web.url]);
    assert!(
        !run.err.contains(WRONG) && !run.out.contains(WRONG),
        "{run:?}"
    );
    assert_eq!(web.reference("refs/heads/generated"), "");
}

#[test]
fn a_protected_branch_refuses_in_the_words_of_the_forge() {
    let web = need!(Pipeline::new("protected"));
    let before = web.publish(&Web::BLUE);
    let rule = json!({"rule_name": "generated", "enable_push": false});
    let path = format!("/repos/stella/{}/branch_protections", web.name);
    assert_eq!(web.gitea.api("POST", &path, Some(&rule)).0, 201);
    web.write(&Web {
        fra1: Site::Coloured("green"),
        ..Web::BLUE
    });
    web.commit("green");
    let run = web.run(&[]);
    expect_refusal(&run, &["generated", "protected"]);
    assert_eq!(web.reference("refs/heads/generated"), before);
}

#[test]
fn a_repository_that_is_not_there_is_named() {
    let web = need!(Pipeline::new("elsewhere"));
    web.write(&Web::BLUE);
    web.commit("web");
    let nowhere = web.url.replace("elsewhere", "nowhere");
    expect_refusal(
        &web.run(&["--remote", &nowhere]),
        &["no repository", &nowhere],
    );
}

#[test]
fn a_branch_that_moves_under_the_push_is_rendered_upon_again() {
    let web = need!(Pipeline::new("race"));
    let first = web.publish(&Web::BLUE);
    web.write(&Web {
        fra1: Site::Coloured("green"),
        ..Web::BLUE
    });
    web.commit("green");

    // Somebody else is faster: at the moment of the push, a commit of theirs goes onto the branch.
    let theirs = web.checkout("generated");
    fs::write(theirs.join("clusters/fra1/by-hand.yaml"), "by: hand\n").unwrap();
    git(&theirs, &["add", "--all"]);
    git(&theirs, &["commit", "--quiet", "--message", "by hand"]);
    let by_hand = git(&theirs, &["rev-parse", "HEAD"]);
    let login = web.gitea.with_credentials(&web.url);
    let push = move || drop(git(&theirs, &["push", "--quiet", &login, "HEAD:generated"]));
    let between = between(&web.gitea.url(), push);
    let remote = web.url.replace(&web.gitea.url(), &between);
    let run = web.run(&["--remote", &remote]);
    assert_eq!(run.code, 0, "{}", run.err);

    let now = web.checkout("generated");
    let history = git(&now, &["rev-list", "HEAD"]);
    let history: Vec<_> = history.lines().collect();
    assert_eq!(
        history[1..3],
        [&*by_hand, &*first],
        "nobody's commit is lost"
    );
    assert!(
        !now.join("clusters/fra1/by-hand.yaml").exists(),
        "the tree is the generated one"
    );
    assert!(run.out.contains("ForeignCommit"), "{}", run.out);
}

#[test]
fn a_repository_is_read_and_pushed_to_over_ssh() {
    let server = need!(SshServer::start());
    let source = Repository::new("ssh-source");
    let web = Web::BLUE.files("ssh");
    let files: Vec<_> = web
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let commit = source.commit("web", &files);
    let bare = folder("bare.git");
    git(
        &bare,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    source.git(&["push", "--quiet", bare.to_str().unwrap(), "HEAD:main"]);

    let url = server.url(&bare);
    let ssh = server.ssh_command();
    let environment = [("GIT_SSH_COMMAND", ssh.as_str())];
    let render = |key: &Path| {
        let key = key.to_str().unwrap();
        let branch = [
            "render",
            &url,
            "--branch",
            "generated",
            "--push",
            "--output=json",
        ];
        stellate(
            &folder("cache"),
            &environment,
            &[&branch[..], &["--ssh-key", key]].concat(),
        )
    };
    expect_refusal(&render(&server.unknown_key()), &["asks for a login"]);
    let run = render(&server.key());
    assert_eq!(run.code, 0, "{}", run.err);
    let generated = git(&bare, &["rev-parse", "refs/heads/generated"]);
    assert_eq!(run.report()["commits"][0]["commit"], json!(generated));
    let message = git(&bare, &["log", "-1", "--format=%B", "generated"]);
    assert!(
        message.contains(&format!("Source-Commit: {commit}")),
        "{message}"
    );
}

/// It could not run, and says these words.
fn expect_refusal(run: &Run, words: &[&str]) {
    assert_eq!(run.code, 2, "{run:?}");
    for word in words {
        assert!(run.err.contains(word), "{word:?} in {}", run.err);
    }
    assert!(run.err.contains("hint"), "{}", run.err);
}

/// An address that leads to `target` (`http://HOST:PORT`), and calls `interfere` once, just before the first push goes through.
fn between(target: &str, interfere: impl FnOnce() + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let target = target.trim_start_matches("http://").to_owned();
    let interfere = Arc::new(Mutex::new(Some(interfere)));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&target).unwrap());
            let (mut answers, mut back) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || drop(std::io::copy(&mut answers, &mut back)));
            let interfere = Arc::clone(&interfere);
            thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(length @ 1..) = client.read(&mut buffer) {
                    let text = &buffer[..length];
                    let pushes = text
                        .windows(18)
                        .any(|window| window == b"/git-receive-pack ");
                    if pushes && let Some(interfere) = interfere.lock().unwrap().take() {
                        interfere();
                    }
                    if server.write_all(text).is_err() {
                        break;
                    }
                }
                drop(server.shutdown(std::net::Shutdown::Write));
            });
        }
    });
    address
}
