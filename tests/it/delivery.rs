//! Delivery to folders and branches: whole or not at all, by compare-and-swap, and nobody's work is lost.

use std::{fs, path::Path};

use stellate::{
    git::RemoteUrl,
    model::api::pipeline::Layout,
    reconcile::{BranchDestination, Delivery, DeliveryOptions, Destination, Outcome, Silent},
};

use crate::support::{
    self,
    git::{self, Repository},
    site::{GENERATED, SMALL, Site, cold, files_at, files_in, found, unguarded},
};

const PAGE: &str = "iad/shop/configmap-settings.yaml";

#[test]
fn a_folder_holds_exactly_the_tree_of_the_branch() {
    let mut site = Site::small("same");
    let out = support::folder("out").join("deep/tree");
    let delivery = to_folder(&mut site, &out);
    assert_eq!(delivery.outcome, Outcome::Written);
    let whole = support::folder("whole");
    let clone = [
        "clone",
        "--quiet",
        "--branch",
        GENERATED,
        ".",
        whole.to_str().unwrap(),
    ];
    site.repository.git(&clone);
    let mut wanted = files_in(&whole);
    wanted.retain(|path, _| !path.starts_with(".git/"));
    let mut written = files_in(&out);
    // What says where the tree comes from may differ; what the WECs get may not.
    for name in ["hydrator.metadata", "stellate.lock"] {
        assert!(
            wanted.remove(name).is_some() && written.remove(name).is_some(),
            "{name}"
        );
    }
    assert_eq!(written, wanted);
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_right_is_not_written() {
    use std::os::unix::fs::MetadataExt as _;
    let mut site = Site::small("right");
    let out = support::folder("out").join("tree");
    to_folder(&mut site, &out);
    let file = out.join("clusters").join(PAGE);
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
    };
    let before = (stamp(&out), stamp(&file));
    site.restart();
    assert_eq!(to_folder(&mut site, &out).outcome, Outcome::Unchanged);
    assert_eq!((stamp(&out), stamp(&file)), before);
}

#[test]
fn a_folder_follows_a_change_and_forgets_what_is_gone() {
    let mut site = Site::small("follow");
    let out = support::folder("out").join("tree");
    to_folder(&mut site, &out);
    site.edit("workloads/shop.yaml", "color: red", "color: blue");
    site.edit(
        "workloads/shop.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{port: 80}]}\n---\n",
        "",
    );
    site.options.allow_removals = true;
    assert_eq!(to_folder(&mut site, &out).outcome, Outcome::Written);
    site.deliver();
    assert_eq!(files_in(&out.join("clusters")), site.generated());
    assert!(!out.join("clusters/iad/shop/service-web.yaml").exists());
    let beside = fs::read_dir(out.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "nothing is left beside the folder");
}

#[test]
fn a_folder_that_somebody_else_filled_is_refused_and_stays() {
    let mut site = Site::small("foreign-folder");
    let out = support::folder("out");
    support::write_files(&out, &[("thesis.txt", "years of work")]);
    let rendering = site.render();
    let error = site
        .pipeline
        .deliver(
            &rendering,
            &Destination::Folder(out.clone()),
            &DeliveryOptions::default(),
            &Silent,
        )
        .unwrap_err();
    assert_eq!(error.reason(), "ForeignFolder");
    assert!(error.help().is_some());
    assert_eq!(files_in(&out).len(), 1);
}

#[test]
fn a_file_changed_by_hand_in_the_folder_is_put_right() {
    let mut site = Site::small("by-hand");
    let out = support::folder("out").join("tree");
    to_folder(&mut site, &out);
    let wanted = files_in(&out);
    fs::write(out.join("clusters").join(PAGE), "mine: yes\n").unwrap();
    fs::remove_file(out.join("clusters/fra/shop/service-web.yaml")).unwrap();
    support::write_files(&out, &[("clusters/fra/shop/stray.yaml", "a: b\n")]);
    assert_eq!(to_folder(&mut site, &out).outcome, Outcome::Written);
    assert_eq!(files_in(&out), wanted);
}

#[test]
fn a_source_commit_that_changes_nothing_moves_the_note_and_not_the_branch() {
    let mut site = Site::small("note");
    let (tip, first) = (site.tip(), site.noted());
    let source = site.change(&[("README.md", "hello\n")]);
    let (_, delivery) = site.deliver();
    assert_eq!(site.tip(), tip);
    assert!(
        first != site.noted() && site.noted().contains(&source),
        "{}",
        site.noted()
    );
    assert!(delivery.change.is_empty());
    assert!(matches!(&delivery.commits[..], [(_, id, false)] if id.to_string() == tip));
    let (_, again) = site.deliver();
    assert_eq!(again.outcome, Outcome::Unchanged);
    site.expect_sound();
}

#[test]
fn each_wec_can_have_a_branch_of_its_own() {
    let mut site = Site::small("layout");
    let to = Destination::Branch(BranchDestination {
        repository: site.repository.path().to_owned(),
        name: "fleet".into(),
        layout: Layout::Branches,
        push: None,
    });
    let deliver = |site: &mut Site| {
        let rendering = site.render();
        site.pipeline
            .deliver(&rendering, &to, &unguarded(), &Silent)
            .unwrap()
    };
    assert_eq!(deliver(&mut site).commits.len(), 2);
    let wanted = site.generated();
    let tips = |site: &Site| {
        ["fleet/fra", "fleet/iad"].map(|name| site.repository.git(&["rev-parse", name]))
    };
    let before = tips(&site);
    for cluster in ["fra", "iad"] {
        let own = files_at(site.repository.path(), &format!("fleet/{cluster}"));
        let mut part = wanted.clone();
        part.retain(|path, _| path.starts_with(&format!("{cluster}/")));
        assert_eq!(own, part);
        assert_eq!(
            site.verify(&format!("fleet/{cluster}")).differences,
            [""; 0]
        );
    }
    assert_eq!(deliver(&mut site).outcome, Outcome::Unchanged);

    site.edit("workloads/shop.yaml", "text: hello", "text: bye");
    deliver(&mut site);
    let after = tips(&site);
    assert!(
        after[0] == before[0] && after[1] != before[1],
        "only iad has the note"
    );
    site.restart();
    assert_eq!(deliver(&mut site).outcome, Outcome::Unchanged);
    site.repository.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn somebody_elses_commit_is_told_put_right_and_stays_reachable() {
    let mut site = Site::small("foreign");
    let wanted = site.generated();
    let foreign = commit_on_generated(&site.repository, &format!("clusters/{PAGE}"), "mine: yes\n");
    let (_, delivery) = site.deliver();
    let told: Vec<_> = delivery
        .diagnostics
        .iter()
        .map(|found| found.reason)
        .collect();
    assert_eq!(told, ["ForeignCommit"]);
    assert!(
        delivery.diagnostics[0].message.contains(&foreign)
            && delivery.diagnostics[0].help.is_some()
    );
    let [found] = &delivery.foreign[..] else {
        panic!("{:?}", delivery.foreign)
    };
    assert_eq!(
        (&found.commit, &*found.reference),
        (&foreign, "refs/heads/generated")
    );
    assert_eq!(
        (&*found.subject, found.commits, found.files),
        ("By hand", 1, 1)
    );
    assert_eq!(found.changes, [format!("changed clusters/{PAGE}")]);
    assert_eq!(found.put_right, Some(site.tip()));
    assert!(!found.author.is_empty());
    assert_eq!(site.generated(), wanted);
    assert_eq!(site.repository.git(&["rev-parse", "generated^"]), foreign);
    site.expect_sound();
}

#[test]
fn somebody_elses_file_outside_the_wecs_is_put_right_too() {
    let mut site = Site::small("foreign-top");
    let foreign = commit_on_generated(&site.repository, "README.md", "mine\n");
    let (_, delivery) = site.deliver();
    assert_eq!(delivery.diagnostics.len(), 1);
    assert_eq!(site.repository.git(&["rev-parse", "generated^"]), foreign);
    assert_eq!(
        site.repository.git(&["ls-tree", "--name-only", GENERATED]),
        "clusters\nhydrator.metadata\nstellate.lock"
    );
    site.expect_sound();
}

#[test]
fn two_that_deliver_in_turn_take_each_other_for_what_they_are() {
    let mut site = Site::small("turns");
    let mut pipelines = [cold(), cold()];
    for turn in 0..6 {
        site.change(&[(
            "workloads/turn.yaml",
            &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: turn, namespace: shop}}\ndata: {{turn: \"{turn}\"}}\n"),
        )]);
        let pipeline = &mut pipelines[turn % 2];
        let rendering = pipeline.render(&site.request(), &Silent).unwrap();
        let delivery = pipeline
            .deliver(&rendering, &site.branch(), &site.options, &Silent)
            .unwrap();
        assert_eq!(delivery.outcome, Outcome::Written);
        assert!(delivery.diagnostics.is_empty());
    }
    let commits = site.repository.git(&["rev-list", "--count", GENERATED]);
    assert_eq!(commits, "7");
    site.options = unguarded();
    site.expect_sound();
}

#[test]
fn two_that_deliver_at_once_end_with_one_history() {
    let site = Site::small("race");
    site.edit("workloads/shop.yaml", "color: red", "color: blue");
    let outcomes: Vec<Result<Outcome, String>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..4)
            .map(|_| {
                let (request, branch) = (site.request(), site.branch());
                scope.spawn(move || {
                    let mut pipeline = cold();
                    let rendering = pipeline.render(&request, &Silent).unwrap();
                    pipeline
                        .deliver(&rendering, &branch, &DeliveryOptions::default(), &Silent)
                        .map(|delivery| delivery.outcome)
                        .map_err(|error| error.reason().to_owned())
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(outcomes.contains(&Ok(Outcome::Written)), "{outcomes:?}");
    for outcome in &outcomes {
        assert!(
            matches!(outcome, Ok(Outcome::Written | Outcome::Unchanged))
                || *outcome == Err("BranchMoved".into()),
            "{outcomes:?}"
        );
    }
    assert_eq!(
        site.repository.git(&["rev-list", "--count", GENERATED]),
        "2"
    );
    site.expect_sound();
}

#[test]
fn a_push_brings_branch_and_note_to_a_remote_in_one_go() {
    let mut site = Site::empty("push");
    site.repository.commit("Begin", &SMALL);
    let remote = bare("remote");
    // Whoever updates branch or note must update the other one, too.
    hook(
        &remote,
        "reference-transaction",
        "[ \"$1\" = prepared ] || exit 0\n[ $(grep -c 'refs/\\(heads/generated\\|notes/hydrator.metadata\\)') -ne 1 ]",
    );
    let delivery = push(&mut site, &remote).unwrap();
    assert_eq!(delivery.outcome, Outcome::Written);
    assert!(delivery.pushed.is_some());
    let wanted = site.render().summary().files;
    assert_eq!(files_at(&remote, GENERATED).len(), wanted);
    let note = git::git(
        &remote,
        &["notes", "--ref=hydrator.metadata", "show", GENERATED],
    );
    assert!(
        note.contains(&site.repository.git(&["rev-parse", "HEAD"])),
        "{note}"
    );
    assert!(
        !git::output(
            site.repository.path(),
            &["rev-parse", "--verify", "--quiet", "refs/heads/generated"]
        )
        .status
        .success(),
        "the local branch is left alone"
    );
    git::git(&remote, &["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_second_push_sends_only_what_is_new() {
    let mut site = Site::empty("small-push");
    site.repository.commit("Begin", &SMALL);
    let remote = bare("remote");
    push(&mut site, &remote).unwrap();
    let objects = || -> usize {
        let listed = git::git(
            &remote,
            &["cat-file", "--batch-all-objects", "--batch-check"],
        );
        listed.lines().count()
    };
    let before = objects();
    site.edit("workloads/shop.yaml", "text: hello", "text: bye");
    for restarted in [false, true] {
        if restarted {
            site.restart();
            site.edit("workloads/shop.yaml", "text: bye", "text: again");
        }
        let delivery = push(&mut site, &remote).unwrap();
        let statistics = delivery.statistics;
        assert_eq!(statistics.blobs, 1, "restarted: {restarted}");
        assert!(
            statistics.trees <= if restarted { 6 } else { 3 },
            "{statistics:?}"
        );
    }
    // Each time: a blob; trees of the namespace, the WEC, all WECs, and the root; metadata; commit; note, its tree and commit.
    assert!(
        objects() - before <= 2 * 11,
        "{} new objects",
        objects() - before
    );
    site.restart();
    assert_eq!(
        push(&mut site, &remote).unwrap().outcome,
        Outcome::Unchanged
    );
    git::git(&remote, &["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_push_onto_somebody_elses_commit_keeps_it_reachable() {
    let mut site = Site::empty("foreign-push");
    site.repository.commit("Begin", &SMALL);
    let remote = bare("remote");
    push(&mut site, &remote).unwrap();
    let wanted = files_at(&remote, GENERATED);
    let clone = support::folder("clone");
    git::git(
        &clone,
        &[
            "clone",
            "--quiet",
            "--branch",
            GENERATED,
            remote.to_str().unwrap(),
            ".",
        ],
    );
    support::write_files(&clone, &[(&format!("clusters/{PAGE}"), "mine: yes\n")]);
    git::git(
        &clone,
        &["commit", "--quiet", "--all", "--message", "By hand"],
    );
    git::git(&clone, &["push", "--quiet", "origin", GENERATED]);
    let foreign = git::git(&clone, &["rev-parse", "HEAD"]);
    let delivery = push(&mut site, &remote).unwrap();
    assert_eq!(delivery.diagnostics.len(), 1);
    assert_eq!(git::git(&remote, &["rev-parse", "generated^"]), foreign);
    assert_eq!(files_at(&remote, GENERATED), wanted);
}

#[test]
fn a_hook_that_says_no_is_quoted_and_nothing_moves() {
    let mut site = Site::empty("hook");
    site.repository.commit("Begin", &SMALL);
    let remote = bare("remote");
    push(&mut site, &remote).unwrap();
    let tip = git::git(&remote, &["rev-parse", GENERATED]);
    hook(
        &remote,
        "pre-receive",
        "echo 'frozen for the holidays' >&2; exit 1",
    );
    site.edit("workloads/shop.yaml", "color: red", "color: blue");
    let error = push(&mut site, &remote).unwrap_err();
    assert!(error.contains("hook"), "{error}");
    assert_eq!(git::git(&remote, &["rev-parse", GENERATED]), tip);
    fs::remove_file(remote.join("hooks/pre-receive")).unwrap();
    assert_eq!(push(&mut site, &remote).unwrap().outcome, Outcome::Written);
    git::git(&remote, &["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_branch_that_is_checked_out_is_refused() {
    let mut site = Site::small("checked-out");
    site.edit("workloads/shop.yaml", "color: red", "color: blue");
    let rendering = site.render();
    site.repository.git(&["checkout", "--quiet", GENERATED]);
    let tip = site.tip();
    let (to, options) = (site.branch(), DeliveryOptions::default());
    let error = site
        .pipeline
        .deliver(&rendering, &to, &options, &Silent)
        .unwrap_err();
    assert_eq!(error.reason(), "BranchCheckedOut");
    assert!(error.help().is_some());
    assert_eq!(site.tip(), tip);
}

#[test]
fn what_a_killed_process_left_behind_is_passed_over() {
    let mut site = Site::small("killed");
    let pack = site.repository.path().join(".git/objects/pack");
    fs::write(pack.join("tmp_pack_stellate_x1y2z3"), b"PACK half of it").unwrap();
    fs::write(pack.join("tmp_idx_stellate_x1y2z3"), b"").unwrap();
    let out = support::folder("out").join("tree");
    to_folder(&mut site, &out);
    support::write_files(
        out.parent().unwrap(),
        &[(".stellate-half/clusters/fra/x.yaml", "half")],
    );
    site.restart();
    site.edit("workloads/shop.yaml", "color: red", "color: blue");
    assert_eq!(site.deliver().1.outcome, Outcome::Written);
    assert_eq!(to_folder(&mut site, &out).outcome, Outcome::Written);
    assert_eq!(files_in(&out.join("clusters")), site.generated());
    site.expect_sound();
}

#[test]
fn a_folder_outside_git_cannot_become_a_commit() {
    let folder = support::folder("no-git");
    support::write_files(&folder, &SMALL);
    let mut site = Site::small("target");
    let request = stellate::reconcile::Request {
        location: folder.to_str().unwrap().into(),
        ..stellate::reconcile::Request::default()
    };
    let rendering = site.pipeline.render(&request, &Silent).unwrap();
    assert_eq!(found(&rendering, "EmptyInventory").len(), 0);
    let (to, options) = (site.branch(), DeliveryOptions::default());
    let error = site
        .pipeline
        .deliver(&rendering, &to, &options, &Silent)
        .unwrap_err();
    assert_eq!(error.reason(), "NoSourceCommit");
}

fn to_folder(site: &mut Site, out: &Path) -> Delivery {
    let rendering = site.render();
    let to = Destination::Folder(out.to_owned());
    site.pipeline
        .deliver(&rendering, &to, &site.options, &Silent)
        .unwrap()
}

fn push(site: &mut Site, remote: &Path) -> Result<Delivery, String> {
    let to = Destination::Branch(BranchDestination {
        repository: site.repository.path().to_owned(),
        name: GENERATED.into(),
        layout: Layout::Directories,
        push: Some(RemoteUrl::parse(remote.to_str().unwrap()).unwrap()),
    });
    let rendering = site.render();
    site.pipeline
        .deliver(&rendering, &to, &site.options, &Silent)
        .map_err(|error| format!("{}: {error}", error.reason()))
}

fn bare(name: &str) -> std::path::PathBuf {
    let folder = support::folder(name);
    git::git(
        &folder,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    folder
}

/// Puts a shell script in the place of a hook.
fn hook(repository: &Path, name: &str, script: &str) {
    let path = repository.join("hooks").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Somebody commits a file to the generated branch by hand. Gives the commit.
fn commit_on_generated(repository: &Repository, path: &str, text: &str) -> String {
    repository.git(&["checkout", "--quiet", GENERATED]);
    support::write_files(repository.path(), &[(path, text)]);
    let foreign = repository.commit_all("By hand");
    repository.git(&["checkout", "--quiet", "main"]);
    foreign
}
