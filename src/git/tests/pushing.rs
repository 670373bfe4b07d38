//! What moves, what stays, and what is said when a remote refuses.

use std::convert::Infallible;
use std::io::Read;

use super::support::{Lab, closed_port, noise};
use crate::git::{Access, PackSource, PushError, RefUpdate, Refusal, RemoteUrl, push};
use crate::model::Revision;

fn ways(lab: &Lab) -> Vec<(RemoteUrl, Access)> {
    let server = lab.serve(None);
    vec![
        (lab.url(), lab.access()),
        (lab.ssh_url(), lab.ssh_access()),
        (server.url(""), lab.access()),
    ]
}

fn update(name: &str, old: Option<Revision>, new: Option<Revision>) -> RefUpdate {
    RefUpdate::new(name, old, new)
}

fn given(
    pack: Box<dyn Read + Send>,
) -> impl FnOnce(&std::collections::BTreeMap<String, Revision>) -> Result<PackSource, Infallible> {
    |_| Ok(Some(pack))
}

fn none()
-> impl FnOnce(&std::collections::BTreeMap<String, Revision>) -> Result<PackSource, Infallible> {
    |_| Ok(None)
}

#[test]
fn refs_are_created_moved_and_deleted_on_every_way() {
    let lab = Lab::new();
    let main = lab.id("work", "main");
    for (url, access) in ways(&lab) {
        let new = lab.commit("a", &format!("for {url}"));
        let name = "refs/heads/generated";
        let mut seen = None;
        let outcome = push(&url, &access, &[update(name, None, Some(new))], |refs| {
            seen = refs.get("refs/heads/main").copied();
            Ok::<_, Infallible>(Some(lab.pack(new, Some(main))))
        });
        let outcome = outcome.expect("created");
        assert_eq!(
            (outcome.updated, seen, outcome.atomic),
            (vec![name.to_owned()], Some(main), true)
        );
        assert_eq!(lab.remote_ref(name), Some(new), "{url}");

        let newer = lab.commit("a", &format!("more for {url}"));
        push(
            &url,
            &access,
            &[update(name, Some(new), Some(newer))],
            given(lab.pack(newer, Some(new))),
        )
        .expect("moved");
        assert_eq!(lab.remote_ref(name), Some(newer), "{url}");

        // Back to where it was: the remote has the objects, and no pack is needed.
        push(
            &url,
            &access,
            &[update(name, Some(newer), Some(new))],
            none(),
        )
        .expect("moved back");
        assert_eq!(lab.remote_ref(name), Some(new), "{url}");

        push(&url, &access, &[update(name, Some(new), None)], none()).expect("deleted");
        assert_eq!(lab.remote_ref(name), None, "{url}");
        lab.git("shop.git", &["fsck", "--full"]);
    }
}

#[test]
fn a_large_pack_is_streamed() {
    let lab = Lab::new();
    let noise = noise(250_000);
    let main = lab.id("work", "main");
    let new = lab.commit("large", &noise);
    let server = lab.serve(Some("x-access-token:hunter2"));
    let mut access = lab.access();
    access.credentials.token = Some(crate::git::Secret::new("hunter2"));
    let updates = [update("refs/heads/main", Some(main), Some(new))];
    push(
        &server.url(""),
        &access,
        &updates,
        given(lab.pack(new, Some(main))),
    )
    .expect("pushed");
    assert_eq!(lab.remote_ref("refs/heads/main"), Some(new));
    assert_eq!(
        server.log().last().map(String::as_str),
        Some("POST /shop.git/git-receive-pack login chunked")
    );
    let more = lab.commit("large", &format!("{noise}{noise}"));
    let updates = [update("refs/heads/main", Some(new), Some(more))];
    push(&lab.url(), &access, &updates, given(lab.pack(more, None))).expect("pushed");
}

#[test]
fn several_refs_move_together_or_not_at_all() {
    let lab = Lab::new();
    let main = lab.id("work", "main");
    lab.hook(
        "update",
        "test $1 != refs/notes/bad || { echo 'notes are closed' >&2; exit 1; }",
    );
    for (number, (url, access)) in ways(&lab).into_iter().enumerate() {
        let new = lab.commit("a", &format!("together {number}"));
        let (branch, note, bad) = (
            format!("refs/heads/g{number}"),
            format!("refs/notes/n{number}"),
            "refs/notes/bad",
        );
        let pack = || given(lab.pack(new, Some(main)));
        let both = [
            update(&branch, None, Some(new)),
            update(bad, None, Some(new)),
        ];
        let error = push(&url, &access, &both, pack()).expect_err("refused");
        match &error {
            PushError::Rejected {
                reference,
                refusal,
                messages,
                ..
            } => {
                assert_eq!(
                    (reference.as_str(), *refusal),
                    (bad, Refusal::Protected),
                    "{error}"
                );
                assert!(
                    messages
                        .iter()
                        .any(|line| line.contains("notes are closed")),
                    "{error}"
                );
            }
            other => panic!("{other}"),
        }
        assert_eq!(
            (lab.remote_ref(&branch), lab.remote_ref(bad)),
            (None, None),
            "{url}"
        );

        let both = [
            update(&branch, None, Some(new)),
            update(&note, None, Some(new)),
        ];
        let outcome = push(&url, &access, &both, pack()).expect("moved");
        assert!(outcome.atomic && outcome.updated == [branch.clone(), note.clone()]);
        assert_eq!(
            (lab.remote_ref(&branch), lab.remote_ref(&note)),
            (Some(new), Some(new))
        );
    }
}

#[test]
fn a_remote_without_atomic_pushes_moves_the_first_ref_first() {
    let lab = Lab::new();
    lab.git("shop.git", &["config", "receive.advertiseAtomic", "false"]);
    lab.hook("update", "test $1 != refs/notes/bad");
    let main = lab.id("work", "main");
    let new = lab.commit("a", "one by one");
    let (branch, note, bad) = ("refs/heads/g", "refs/notes/n", "refs/notes/bad");
    let both = [
        update(branch, None, Some(new)),
        update(note, None, Some(new)),
    ];
    let outcome = push(
        &lab.url(),
        &lab.access(),
        &both,
        given(lab.pack(new, Some(main))),
    )
    .expect("moved");
    assert!(!outcome.atomic && outcome.updated == [branch, note]);
    assert_eq!(
        (lab.remote_ref(branch), lab.remote_ref(note)),
        (Some(new), Some(new))
    );
    let refused = [
        update(bad, None, Some(new)),
        update(branch, Some(new), Some(main)),
    ];
    let error = push(&lab.url(), &lab.access(), &refused, none()).expect_err("refused");
    assert_eq!(error.reason(), "Protected");
    assert_eq!(
        lab.remote_ref(branch),
        Some(new),
        "the second ref must wait for the first"
    );
}

#[test]
fn a_ref_that_somebody_moved_stops_the_push_before_anything_is_sent() {
    let lab = Lab::new();
    let (main, old) = (lab.id("work", "main"), lab.id("work", "main~1"));
    let new = lab.commit("a", "ours");
    for (url, access) in ways(&lab) {
        for expected in [Some(old), None] {
            let mut asked = false;
            let error = push(
                &url,
                &access,
                &[update("refs/heads/main", expected, Some(new))],
                |_| {
                    asked = true;
                    Ok::<_, Infallible>(None)
                },
            );
            let error = error.expect_err("moved");
            assert!(error.is_moved() && !asked, "{error}");
            match error {
                PushError::Moved {
                    expected: told,
                    found,
                    ..
                } => assert_eq!((told, found), (expected, Some(main))),
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(lab.remote_ref("refs/heads/main"), Some(main));
}

#[test]
fn whoever_loses_the_race_after_the_check_is_refused_by_the_remote() {
    let lab = Lab::new();
    let (main, theirs) = (lab.id("work", "main"), lab.id("work", "main~1"));
    for (number, (url, access)) in ways(&lab).into_iter().enumerate() {
        let name = format!("refs/heads/race{number}");
        lab.git("shop.git", &["update-ref", &name, &main.to_string()]);
        let new = lab.commit("a", &format!("late {number}"));
        let error = push(
            &url,
            &access,
            &[update(&name, Some(main), Some(new))],
            |_| {
                lab.git("shop.git", &["update-ref", &name, &theirs.to_string()]);
                Ok::<_, Infallible>(Some(lab.pack(new, Some(main))))
            },
        );
        let error = error.expect_err("too late");
        assert!(error.is_moved(), "{url}: {error}");
        assert_eq!(lab.remote_ref(&name), Some(theirs));
    }
}

#[test]
fn what_is_in_place_already_is_not_sent_again() {
    let lab = Lab::new();
    let main = lab.id("work", "main");
    let updates = [
        update("refs/heads/main", None, Some(main)),
        update("refs/heads/gone", Some(main), None),
    ];
    let outcome = push(&lab.url(), &lab.access(), &updates, |_| {
        Err::<PackSource, _>("not needed")
    })
    .expect("done");
    assert!(
        outcome.updated.is_empty() && outcome.unchanged == ["refs/heads/main", "refs/heads/gone"]
    );
}

#[test]
fn a_hook_that_refuses_is_quoted() {
    let lab = Lab::new();
    let main = lab.id("work", "main");
    lab.hook(
        "pre-receive",
        "printf 'policy 7:\\033[31m no pushes on Friday\\n' >&2; exit 1",
    );
    let new = lab.commit("a", "refused");
    for (url, access) in ways(&lab) {
        let updates = [update("refs/heads/main", Some(main), Some(new))];
        let error =
            push(&url, &access, &updates, given(lab.pack(new, Some(main)))).expect_err("refused");
        assert_eq!(error.reason(), "Protected", "{error}");
        let text = error.to_string();
        assert!(
            text.contains("refs/heads/main: pre-receive hook declined"),
            "{text}"
        );
        assert!(
            text.contains("no pushes on Friday") && !text.contains('\x1b'),
            "{text}"
        );
        assert_eq!(lab.remote_ref("refs/heads/main"), Some(main));
    }
}

#[test]
fn hooks_that_run_after_the_push_are_waited_for() {
    let lab = Lab::new();
    let main = lab.id("work", "main");
    lab.hook("post-receive", "echo deployed; sleep 0.2; touch ran");
    for (number, (url, access)) in ways(&lab).into_iter().enumerate() {
        let updates = [update(&format!("refs/heads/h{number}"), None, Some(main))];
        let outcome = push(&url, &access, &updates, none()).expect("pushed");
        assert_eq!(outcome.messages, ["deployed"], "{url}");
        std::fs::remove_file(lab.path("shop.git/ran")).expect("the hook ran to its end");
    }
}

#[test]
fn common_refusals_are_told_apart() {
    let lab = Lab::new();
    let (main, old) = (lab.id("work", "main"), lab.id("work", "main~1"));
    lab.git(
        "shop.git",
        &["config", "receive.denyNonFastForwards", "true"],
    );
    let updates = [update("refs/heads/main", Some(main), Some(old))];
    let error = push(&lab.url(), &lab.access(), &updates, none()).expect_err("backwards");
    assert_eq!(error.reason(), "NotFastForward", "{error}");
    lab.git("shop.git", &["config", "receive.denyDeletes", "true"]);
    let updates = [update("refs/heads/main", Some(main), None)];
    let error = push(&lab.url(), &lab.access(), &updates, none()).expect_err("kept");
    assert_eq!(error.reason(), "DeletionForbidden", "{error}");
    let new = lab.commit("a", "not sent");
    let updates = [update("refs/heads/main", Some(main), Some(new))];
    let error = push(&lab.url(), &lab.access(), &updates, none()).expect_err("no objects");
    assert_eq!(error.reason(), "MissingObjects", "{error}");
    let url = RemoteUrl::parse(lab.path("work").to_str().expect("UTF-8")).expect("path");
    let updates = [update("refs/heads/main", Some(new), Some(main))];
    let error = push(&url, &lab.access(), &updates, none()).expect_err("checked out");
    assert_eq!(error.reason(), "InUse", "{error}");
}

/// A stream that fails after a while.
struct Failing(std::io::Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::other("disk is gone")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_pack_that_fails_leaves_the_remote_as_it_was() {
    let lab = Lab::new();
    let main = lab.id("work", "main");
    let new = lab.commit("a", "half");
    for (url, access) in ways(&lab) {
        let updates = [update("refs/heads/main", Some(main), Some(new))];
        let error = push(&url, &access, &updates, |_| {
            Err::<PackSource, _>("cannot render")
        })
        .expect_err("no pack");
        assert!(error.to_string().contains("cannot render"), "{error}");
        let failing = || Failing(std::io::Cursor::new(b"PACK\0\0\0\x02\0\0\0\x03".to_vec()));
        let error = push(&url, &access, &updates, given(Box::new(failing()))).expect_err("failing");
        assert!(
            error.reason() == "PackFailed" && error.to_string().contains("disk is gone"),
            "{error}"
        );
        let short = Box::new(&b"PACK\0\0\0\x02"[..]);
        let error = push(&url, &access, &updates, given(short)).expect_err("short");
        assert_eq!(error.reason(), "PackFailed", "{error}");
        let broken =
            Box::new(&b"PACK\0\0\0\x02\0\0\0\x03 and then something that is no object at all"[..]);
        let error = push(&url, &access, &updates, given(broken)).expect_err("broken");
        assert_eq!(error.reason(), "UnpackFailed", "{url}: {error}");
        assert_eq!(lab.remote_ref("refs/heads/main"), Some(main));
        let left: Vec<_> = std::fs::read_dir(lab.path("shop.git/objects"))
            .expect("objects")
            .flatten()
            .collect();
        let quarantined = left
            .iter()
            .filter(|entry| entry.file_name().to_string_lossy().contains("incoming"))
            .count();
        assert_eq!(quarantined, 0, "{url}: what was sent is cleaned up");
    }
}

#[test]
fn a_login_that_fails_is_not_shown_and_nothing_is_sent() {
    let lab = Lab::new();
    let server = lab.serve(Some("bob:right"));
    let updates = [update("refs/heads/x", None, Some(lab.id("work", "main")))];
    let error =
        push(&server.url("bob:hunter2@"), &lab.access(), &updates, none()).expect_err("wrong");
    let text = format!("{error} {error:?} {}", error.help());
    assert_eq!(error.reason(), "Unauthorized");
    assert!(!text.contains("hunter2") && !text.contains("bob"), "{text}");
    assert!(server.log().iter().all(|line| line.starts_with("GET ")));
}

#[test]
fn an_unreachable_remote_and_a_bad_name_are_errors_before_anything_happens() {
    let lab = Lab::new();
    let main = lab.id("work", "main");
    let url = RemoteUrl::parse(&format!("http://127.0.0.1:{}/r", closed_port())).expect("address");
    let updates = [update("refs/heads/x", None, Some(main))];
    let error = push(&url, &lab.access(), &updates, none()).expect_err("closed");
    assert_eq!(error.reason(), "Unreachable");
    for name in [
        "main",
        "refs/heads/a b",
        "refs/heads/../x",
        "refs/heads/x\0y",
    ] {
        let error = push(
            &lab.url(),
            &lab.access(),
            &[update(name, None, Some(main))],
            none(),
        )
        .expect_err(name);
        assert_eq!(error.reason(), "Unsupported", "{error}");
    }
}

#[test]
fn a_connection_that_breaks_after_the_push_leaves_the_result_open() {
    let lab = Lab::new();
    // The far side does its work, and nothing after its advertisement comes back.
    let script = "while [ $# -gt 1 ]; do shift; done\nsh -c \"$1\" | (head -c $(cat \"$0.size\"); cat > /dev/null)";
    let mut access = lab.access();
    access.ssh_command = Some(lab.script("ssh-cut", script).display().to_string());
    let main = lab.id("work", "main");
    let advertisement = lab.git(
        "shop.git",
        &["receive-pack", "--http-backend-info-refs", "."],
    );
    std::fs::write(lab.path("ssh-cut.size"), advertisement.len().to_string()).expect("size");
    let updates = [update("refs/heads/x", None, Some(main))];
    let error = push(&lab.ssh_url(), &access, &updates, none()).expect_err("cut");
    assert_eq!(error.reason(), "ResultUnknown", "{error}");
    assert_eq!(lab.remote_ref("refs/heads/x"), Some(main));
}
