//! What people and other programs see of generated branches, asked of git itself.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use git2::Repository;

use super::build::{BranchState, Built, KeptFile, build};
use super::hash::{ObjectId, ObjectKind};
use super::lock::{Lock, LockedCluster, LockedOptions};
use super::metadata::{NOTES_REFERENCE, Provenance, SourceCommit};
use super::object::{EntryMode, Tree, TreeEntry};
use super::pack::ObjectWriter;
use super::publish::{Commits, Committer, Target, commit, store};
use super::repository::{BranchRepository, Move, RepositoryError};
use crate::model::{ClusterName, ClusterSet, ObjectKey, Revision};
use crate::transform::{Content, Fillings, Prepared, Rendered, RenderedObject, Variant};

const GENERATED: &str = "refs/heads/generated";

/// Runs git hermetically; it must agree. Gives what it prints.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

struct Site {
    folder: tempfile::TempDir,
    repository: Repository,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        Self { folder, repository }
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.folder.path(), arguments)
    }

    fn branch(&self) -> BranchRepository<'_> {
        BranchRepository::new(&self.repository)
    }

    fn target(&self, reference: &str, clusters: ObjectId) -> Target {
        let branch = self.branch();
        let notes = branch.resolve(NOTES_REFERENCE).unwrap();
        let tip = branch.resolve(reference).unwrap();
        Target {
            reference: reference.to_owned(),
            from: tip,
            tip: tip.map(|tip| branch.tip(tip, notes).unwrap()),
            clusters,
            lock: mk_lock(),
            lost: false,
        }
    }

    fn commit(&self, targets: &[Target], source: u8) -> Commits {
        let branch = self.branch();
        let notes = branch.resolve(NOTES_REFERENCE).unwrap();
        let committer = Committer::default();
        commit(
            targets,
            notes,
            &branch,
            &mk_provenance(source),
            &committer,
            None,
        )
        .unwrap()
    }

    /// Builds and publishes on the branch `generated`; gives the commit, whether it is new, and the state.
    fn publish(
        &self,
        rendered: &Rendered,
        kept: &[KeptFile],
        source: u8,
    ) -> (ObjectId, bool, BranchState) {
        let Built {
            tree,
            segments,
            state,
            ..
        } = build(rendered, kept, None, &HashSet::new()).unwrap();
        let commits = self.commit(&[self.target(GENERATED, tree)], source);
        let branch = self.branch();
        store(&branch, segments, commits.objects).unwrap();
        branch.move_references(&commits.moves, "rendered").unwrap();
        let (id, new) = commits.results[0];
        (id, new, state)
    }
}

fn mk_provenance(source: u8) -> Provenance {
    Provenance {
        repository: "https://git.example.org/shop".into(),
        reference: "main".into(),
        commit: SourceCommit {
            id: Revision([source; 20]),
            author_name: "Ada".into(),
            author_email: "ada@example.org".into(),
            seconds: 1_700_000_000 + i64::from(source),
            offset_minutes: 60,
            subject: "Sell apples".into(),
            body: "Red ones.".into(),
        },
        inventory_digest: mk_lock().inventory_digest(),
    }
}

fn mk_lock() -> Lock {
    let facts = LockedCluster {
        labels: [("region".to_owned(), "eu".to_owned())].into(),
        ..LockedCluster::default()
    };
    Lock::new(
        LockedOptions::default(),
        BTreeMap::from([("wec-a".to_owned(), facts)]).into(),
        Vec::new(),
        Vec::new(),
    )
}

fn mk_shared(key: ObjectKey, text: &str, positions: &[usize]) -> RenderedObject {
    let content = Content::Shared(Arc::new(Prepared {
        text: text.as_bytes().into(),
        holes: Box::default(),
    }));
    mk_object(key, positions, content)
}

/// An object with one hole at the end of `text`, filled with the WEC's position.
fn mk_filled(key: ObjectKey, text: &str, positions: &[usize]) -> RenderedObject {
    let mut fillings = Fillings::new(1);
    for position in positions {
        fillings.push(|out| out.extend_from_slice(format!("{position}\n").as_bytes()));
    }
    let content = Content::Filled {
        prepared: Arc::new(Prepared {
            text: text.as_bytes().into(),
            holes: [u32::try_from(text.len()).unwrap()].into(),
        }),
        choice: (0..u32::try_from(positions.len()).unwrap()).collect(),
        fillings: Arc::new(fillings),
    };
    mk_object(key, positions, content)
}

fn mk_object(key: ObjectKey, positions: &[usize], content: Content) -> RenderedObject {
    let clusters: ClusterSet = positions.iter().copied().collect();
    RenderedObject {
        key,
        variants: [Variant {
            clusters: Arc::new(clusters),
            content,
        }]
        .into(),
        create_only: Arc::default(),
    }
}

fn mk_rendered(clusters: &[&str], mut objects: Vec<RenderedObject>) -> Rendered {
    objects.sort_by(|left, right| left.key.cmp(&right.key));
    Rendered {
        clusters: clusters
            .iter()
            .map(|name| ClusterName::from(*name))
            .collect(),
        objects,
        quarantined: Vec::new(),
    }
}

fn mk_shop() -> Rendered {
    mk_rendered(
        &["wec-a", "wec-b", "wec-c"],
        vec![
            mk_shared(
                ObjectKey::new("", "Namespace", "", "shop"),
                "kind: Namespace\n",
                &[0, 1],
            ),
            mk_filled(
                ObjectKey::new("apps", "Deployment", "shop", "web"),
                "kind: Deployment\ntill: ",
                &[0, 1],
            ),
            mk_shared(
                ObjectKey::new(
                    "rbac.authorization.k8s.io",
                    "ClusterRole",
                    "",
                    "system:till",
                ),
                "kind: ClusterRole\n",
                &[1],
            ),
        ],
    )
}

#[test]
fn the_branch_holds_exactly_the_files_of_each_wec() {
    let site = Site::new();
    site.publish(&mk_shop(), &[], 1);
    assert_eq!(
        site.git(&["ls-tree", "-r", "--name-only", "generated"])
            .lines()
            .collect::<Vec<_>>(),
        [
            "clusters/wec-a/_cluster/namespace-shop.yaml",
            "clusters/wec-a/shop/deployment.apps-web.yaml",
            "clusters/wec-b/_cluster/clusterrole.rbac.authorization.k8s.io-system%3Atill.yaml",
            "clusters/wec-b/_cluster/namespace-shop.yaml",
            "clusters/wec-b/shop/deployment.apps-web.yaml",
            "clusters/wec-c/.keep",
            "hydrator.metadata",
            "stellate.lock",
        ]
    );
    let show = |path: &str| site.git(&["show", &format!("generated:{path}")]);
    assert_eq!(
        show("clusters/wec-a/shop/deployment.apps-web.yaml"),
        "kind: Deployment\ntill: 0\n"
    );
    assert_eq!(
        show("clusters/wec-b/shop/deployment.apps-web.yaml"),
        "kind: Deployment\ntill: 1\n"
    );
    assert_eq!(show("clusters/wec-c/.keep"), "");
    assert_eq!(show("stellate.lock").as_bytes(), mk_lock().to_bytes());
    site.git(&["fsck", "--strict", "--full"]);
}

#[test]
fn the_commit_and_its_note_say_where_it_comes_from() {
    let site = Site::new();
    site.publish(&mk_shop(), &[], 1);
    let source = Revision([1; 20]).to_string();
    let trailers = site.git(&["log", "-1", "--format=%(trailers:only,unfold)", "generated"]);
    assert_eq!(
        trailers.trim().lines().collect::<Vec<_>>(),
        [
            "Source-Repository: https://git.example.org/shop".to_owned(),
            "Source-Ref: main".to_owned(),
            format!("Source-Commit: {source}"),
            format!("Inventory-Digest: {}", mk_lock().inventory_digest()),
            format!("Rendered-By: stellate/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
    let subject = site.git(&["log", "-1", "--format=%s|%ad", "--date=raw", "generated"]);
    assert_eq!(
        subject,
        "Render 010101010101: Sell apples|1700000001 +0100\n"
    );

    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let metadata = json(&site.git(&["show", "generated:hydrator.metadata"]));
    assert_eq!(
        metadata,
        serde_json::json!({
            "repoURL": "https://git.example.org/shop",
            "drySha": source,
            "author": "Ada <ada@example.org>",
            "date": "2023-11-14T23:13:21+01:00",
            "subject": "Sell apples",
            "body": "Red ones.",
        })
    );
    let note = site.git(&[
        "notes",
        "--ref=refs/notes/hydrator.metadata",
        "show",
        "generated",
    ]);
    assert_eq!(json(&note), serde_json::json!({"drySha": source}));
}

#[test]
fn equal_inputs_give_the_same_commit_everywhere() {
    let (one, other) = (Site::new(), Site::new());
    let ids = [&one, &other].map(|site| {
        site.publish(&mk_shop(), &[], 1);
        site.publish(&mk_rendered(&["wec-a"], Vec::new()), &[], 2).0
    });
    assert_eq!(ids[0], ids[1]);
    assert_eq!(
        one.git(&["rev-parse", NOTES_REFERENCE]),
        other.git(&["rev-parse", NOTES_REFERENCE])
    );
}

#[test]
fn a_source_commit_that_changes_nothing_moves_the_note_and_not_the_branch() {
    let site = Site::new();
    let (first, new, _) = site.publish(&mk_shop(), &[], 1);
    assert!(new);
    let (second, new, _) = site.publish(&mk_shop(), &[], 2);
    assert_eq!((second, new), (first, false));
    assert_eq!(
        site.git(&["rev-parse", "generated"]).trim(),
        first.to_string()
    );
    let note = site.git(&[
        "notes",
        "--ref=refs/notes/hydrator.metadata",
        "show",
        "generated",
    ]);
    assert!(note.contains(&Revision([2; 20]).to_string()), "{note}");
    let tip = site.target(GENERATED, ObjectId::default()).tip.unwrap();
    assert_eq!(tip.source, Some(Revision([2; 20])));

    // The same source commit once more: nothing at all.
    let tree = tip.clusters.unwrap();
    let again = site.commit(&[site.target(GENERATED, tree)], 2);
    assert_eq!(again.moves, []);
    assert_eq!(again.results, [(first, false)]);
}

#[test]
fn each_generated_commit_has_the_one_before_as_its_parent_and_keeps_its_note() {
    let site = Site::new();
    let (first, ..) = site.publish(&mk_shop(), &[], 1);
    let (second, ..) = site.publish(&mk_rendered(&["wec-a"], Vec::new()), &[], 2);
    assert_eq!(
        site.git(&["rev-parse", "generated^"]).trim(),
        first.to_string()
    );
    for (commit, source) in [(first, 1), (second, 2)] {
        let note = site.git(&[
            "notes",
            "--ref=refs/notes/hydrator.metadata",
            "show",
            &commit.to_string(),
        ]);
        assert!(note.contains(&Revision([source; 20]).to_string()), "{note}");
    }
    site.git(&["fsck", "--strict", "--full"]);
}

#[test]
fn a_note_that_a_killed_process_did_not_write_is_written_with_whatever_comes_next() {
    for next in [mk_shop(), mk_rendered(&["wec-a"], Vec::new())] {
        for source in [1, 2] {
            let site = Site::new();
            let (first, ..) = site.publish(&mk_shop(), &[], 1);
            site.git(&["update-ref", "-d", NOTES_REFERENCE]);
            let (second, ..) = site.publish(&next, &[], source);
            let stands_for = |commit: ObjectId| {
                let commit = commit.to_string();
                site.git(&[
                    "notes",
                    "--ref=refs/notes/hydrator.metadata",
                    "show",
                    &commit,
                ])
            };
            let newest = Revision([source; 20]).to_string();
            assert!(stands_for(second).contains(&newest), "{source}");
            if first != second {
                let own = Revision([1; 20]).to_string();
                assert!(stands_for(first).contains(&own), "{source}");
            }
        }
    }
}

#[test]
fn a_file_that_could_not_be_rendered_stays_as_it_was() {
    let site = Site::new();
    let (.., state) = site.publish(&mk_shop(), &[], 1);
    let listing = state.listing("wec-b");
    let file = "deployment.apps-web.yaml";
    let kept = KeptFile {
        cluster: 1,
        folder: "shop".into(),
        file: file.into(),
        id: listing["shop"].1[file],
    };
    let next = mk_rendered(
        &["wec-a", "wec-b"],
        vec![mk_filled(
            ObjectKey::new("apps", "Deployment", "shop", "web"),
            "kind: Deployment\nnew: ",
            &[0],
        )],
    );
    site.publish(&next, &[kept], 2);
    let show =
        |cluster: &str| site.git(&["show", &format!("generated:clusters/{cluster}/shop/{file}")]);
    assert_eq!(show("wec-a"), "kind: Deployment\nnew: 0\n");
    assert_eq!(show("wec-b"), "kind: Deployment\ntill: 1\n");
    site.git(&["fsck", "--strict", "--full"]);
}

#[test]
fn a_branch_that_somebody_moved_meanwhile_stays_where_they_moved_it() {
    let site = Site::new();
    let (first, ..) = site.publish(&mk_shop(), &[], 1);
    let built = build(
        &mk_rendered(&["wec-a"], Vec::new()),
        &[],
        None,
        &HashSet::new(),
    )
    .unwrap();
    let late = site.commit(&[site.target(GENERATED, built.tree)], 2);
    let (theirs, ..) = site.publish(&mk_rendered(&["wec-b"], Vec::new()), &[], 3);
    let branch = site.branch();
    store(&branch, built.segments, late.objects).unwrap();
    let notes = site.git(&["rev-parse", NOTES_REFERENCE]);
    match branch.move_references(&late.moves, "late").unwrap_err() {
        RepositoryError::Moved {
            reference,
            expected,
            found,
        } => {
            assert_eq!(
                (reference.as_str(), expected, found),
                (GENERATED, Some(first), Some(theirs))
            );
        }
        other => panic!("{other}"),
    }
    // Neither reference moved, though the notes come after the branch.
    assert_eq!(
        site.git(&["rev-parse", "generated"]).trim(),
        theirs.to_string()
    );
    assert_eq!(site.git(&["rev-parse", NOTES_REFERENCE]), notes);
}

#[test]
fn a_branch_is_not_created_twice() {
    let site = Site::new();
    let (first, ..) = site.publish(&mk_shop(), &[], 1);
    let change = Move {
        reference: GENERATED.into(),
        from: None,
        to: first,
    };
    let error = site
        .branch()
        .move_references(&[change], "again")
        .unwrap_err();
    assert!(error.to_string().contains("expected nothing"), "{error}");
}

#[test]
fn a_checked_out_branch_is_refused_also_in_another_work_tree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main");
    std::fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet", "--initial-branch=main", "."]);
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    git(
        &path,
        &[
            &identity[..],
            &["commit", "--quiet", "--allow-empty", "-m", "start"],
        ]
        .concat(),
    );
    git(
        &path,
        &["worktree", "add", "--quiet", "-b", "generated", "../other"],
    );
    let repository = Repository::open(&path).unwrap();
    let branch = BranchRepository::new(&repository);
    for name in ["main", "generated"] {
        let reference = format!("refs/heads/{name}");
        let from = branch.resolve(&reference).unwrap();
        let change = Move {
            reference: reference.clone(),
            from,
            to: from.unwrap(),
        };
        let error = branch.move_references(&[change], "test").unwrap_err();
        assert!(matches!(error, RepositoryError::CheckedOut(name) if name == reference));
    }
    let change = Move {
        reference: "refs/heads/free".into(),
        from: None,
        to: branch.resolve("refs/heads/main").unwrap().unwrap(),
    };
    branch.move_references(&[change], "test").unwrap();
}

#[test]
fn one_branch_for_each_wec_shares_what_is_equal() {
    let site = Site::new();
    let Built {
        segments, state, ..
    } = build(&mk_shop(), &[], None, &HashSet::new()).unwrap();
    let mut above = ObjectWriter::default();
    let targets: Vec<Target> = state
        .cluster_names()
        .map(|name| {
            let mut entries = [TreeEntry {
                mode: EntryMode::FOLDER,
                name: name.as_bytes(),
                id: state.root(name).unwrap(),
            }];
            let tree = above.add(
                ObjectKind::Tree,
                Tree::new(&mut entries).unwrap().as_bytes(),
            );
            site.target(&format!("refs/heads/generated/{name}"), tree)
        })
        .collect();
    let commits = site.commit(&targets, 1);
    assert!(commits.results.iter().all(|result| result.1));
    let branch = site.branch();
    let mut segments = segments;
    segments.push(above.into_segment());
    // An object that were there twice would be refused here.
    store(&branch, segments, commits.objects).unwrap();
    branch.move_references(&commits.moves, "rendered").unwrap();

    let files: BTreeMap<&str, usize> = ["wec-a", "wec-b", "wec-c"]
        .into_iter()
        .map(|name| {
            let listed = site.git(&[
                "ls-tree",
                "-r",
                "--name-only",
                &format!("generated/{name}"),
                "clusters/",
            ]);
            let below = format!("clusters/{name}/");
            assert!(
                listed.lines().all(|path| path.starts_with(&below)),
                "{listed}"
            );
            (name, listed.lines().count())
        })
        .collect();
    assert_eq!(files, [("wec-a", 2), ("wec-b", 3), ("wec-c", 1)].into());
    let id = |name: &str| {
        site.git(&[
            "rev-parse",
            &format!("generated/{name}:clusters/{name}/_cluster/namespace-shop.yaml"),
        ])
    };
    assert_eq!(id("wec-a"), id("wec-b"));
    let notes = site.git(&["notes", "--ref=refs/notes/hydrator.metadata", "list"]);
    assert_eq!(notes.lines().count(), 3);
    site.git(&["fsck", "--strict", "--full"]);
}

#[test]
fn nothing_new_makes_no_pack() {
    let site = Site::new();
    assert!(
        store(&site.branch(), Vec::new(), ObjectWriter::default())
            .unwrap()
            .is_none()
    );
}
