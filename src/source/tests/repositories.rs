//! Repositories, here and elsewhere.

use std::fs;
use std::os::unix::fs::symlink;

use crate::git::Access;
use crate::source::git::{GitSource, GitSourceError};
use crate::source::{ParsedCache, Place, ReadSource, read_source};

use super::{Lab, config_map, git_in, keys, read, reasons};

fn open(lab: &Lab) -> GitSource {
    let location = lab.work().display().to_string();
    GitSource::open(&location, &lab.cache(), &Access::default()).expect("a repository")
}

/// A bare repository beside the work tree, by address.
fn publish(lab: &Lab) -> String {
    let bare = lab.work().with_file_name("shop.git");
    if !bare.exists() {
        git_in(
            &lab.work(),
            &["clone", "-q", "--bare", ".", bare.to_str().expect("UTF-8")],
        );
    }
    git_in(
        &lab.work(),
        &[
            "push",
            "-q",
            "--force",
            "--all",
            bare.to_str().expect("UTF-8"),
        ],
    );
    format!("file://{}", bare.display())
}

#[test]
fn a_commit_is_read_whatever_the_work_tree_says() {
    let lab = Lab::repository(&[
        ("a.yaml", &config_map("a")),
        ("sub/b.yaml", &config_map("b")),
    ]);
    lab.write("a.yaml", "broken: [\n");
    let source = lab.read_commit();
    assert_eq!(
        keys(&source.snapshot),
        ["ConfigMap shop/a", "ConfigMap shop/b"]
    );
    let revision = source.description.revision.expect("a revision");
    assert_eq!(revision.reference, "main");
    assert_eq!(revision.commit.subject, "a change");
    assert_eq!(revision.commit.body, "and why");
    assert_eq!(revision.commit.author_email, "ada@example.com");
    assert_eq!(
        (revision.commit.seconds, revision.commit.offset_minutes),
        (1_700_000_000, 90)
    );
}

#[test]
fn folder_and_commit_give_equal_objects() {
    let lab = Lab::repository(&[
        ("a.yaml", &config_map("a")),
        ("sub/b.yaml", &config_map("b")),
    ]);
    assert_eq!(
        lab.read_commit().snapshot.objects,
        lab.read_folder().snapshot.objects
    );
}

#[test]
fn a_revision_may_be_a_branch_a_tag_an_id_or_an_expression() {
    let lab = Lab::repository(&[("a.yaml", &config_map("a"))]);
    let first = lab.git(&["rev-parse", "HEAD"]);
    lab.git(&["tag", "-a", "-m", "one", "v1"]);
    lab.commit(&[("b.yaml", &config_map("b"))]);
    let mut source = open(&lab);
    for (text, reference) in [
        ("v1", "v1"),
        ("main~1", "main~1"),
        (&first, first.as_str()),
        (&first[..10], &first[..10]),
    ] {
        let resolved = source.resolve(Some(text)).expect(text);
        assert_eq!(resolved.revision.to_string(), first, "{text}");
        assert_eq!(resolved.reference, reference);
    }
    assert_eq!(source.resolve(None).expect("HEAD").reference, "main");
}

#[test]
fn an_unknown_revision_is_told_with_names_like_it() {
    let lab = Lab::repository(&[]);
    lab.git(&["branch", "release"]);
    let error = open(&lab).resolve(Some("relaese")).expect_err("unknown");
    assert_eq!(error.reason(), "UnknownRevision");
    assert_eq!(error.help(), "did you mean `release`?");
}

#[test]
fn a_folder_outside_of_any_repository_and_an_empty_one_are_told_apart() {
    let lab = Lab::new();
    let location = lab.work().display().to_string();
    let error = GitSource::open(&location, &lab.cache(), &Access::default()).expect_err("none");
    assert!(matches!(error, GitSourceError::NotARepository { .. }));
    lab.git(&["init", "-q"]);
    let error = open(&lab).resolve(None).expect_err("empty");
    assert_eq!(error.reason(), "EmptyRepository");
}

#[test]
fn a_path_inside_a_repository_is_the_root_of_what_counts() {
    let lab = Lab::repository(&[
        ("a.yaml", &config_map("a")),
        ("sub/b.yaml", &config_map("b")),
        ("sub/deep/c.yaml", &config_map("c")),
    ]);
    let location = lab.work().join("sub").display().to_string();
    let mut request = lab.request(Place::Git {
        location,
        revision: None,
    });
    assert_eq!(
        keys(&read(&request).snapshot),
        ["ConfigMap shop/b", "ConfigMap shop/c"]
    );
    request.paths = vec!["deep".into()];
    let source = read(&request);
    assert_eq!(
        source.snapshot.objects[0].location.to_string(),
        "deep/c.yaml:1"
    );
    request.paths = vec!["gone".into()];
    let error = read_source(&request, &mut ParsedCache::open(None)).expect_err("no such path");
    assert_eq!(error.reason(), "PathNotFound");
}

#[test]
fn links_and_submodules_of_a_commit_are_diagnosed() {
    let inner = Lab::repository(&[("x.yaml", &config_map("x"))]);
    let lab = Lab::repository(&[
        ("a.yaml", &config_map("a")),
        ("sub/b.txt", &config_map("b")),
    ]);
    symlink("sub/b.txt", lab.work().join("b.yaml")).expect("a link");
    symlink("/etc/passwd", lab.work().join("c.yaml")).expect("a link");
    symlink("sub", lab.work().join("folder")).expect("a link");
    symlink("e.yaml", lab.work().join("d.yaml")).expect("a link");
    symlink("d.yaml", lab.work().join("e.yaml")).expect("a link");
    lab.git(&[
        "submodule",
        "--quiet",
        "add",
        inner.work().to_str().expect("UTF-8"),
        "module",
    ]);
    lab.commit(&[]);
    let source = lab.read_commit();
    assert_eq!(
        keys(&source.snapshot),
        ["ConfigMap shop/a", "ConfigMap shop/b"]
    );
    let broken: Vec<_> = source
        .snapshot
        .broken
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(broken, ["c.yaml", "d.yaml", "e.yaml"]);
    let mut found = reasons(&source.diagnostics);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "LinkNotFollowed",
            "LinkNotFollowed",
            "LinkNotFollowed",
            "LinkNotFollowed",
            "Submodule"
        ]
    );
}

#[test]
fn what_comes_in_the_place_of_manifests_hides_them_and_says_so() {
    let inner = Lab::repository(&[("x.yaml", &config_map("x"))]);
    let lab = Lab::repository(&[
        ("apps/web/a.yaml", &config_map("a")),
        ("current/b.yaml", &config_map("b")),
        ("docs/text.md", "nothing to deliver"),
        ("c.yaml", &config_map("c")),
    ]);
    lab.git(&["rm", "-r", "-q", "apps", "current", "docs"]);
    let module = inner.work();
    let module = module.to_str().expect("UTF-8");
    lab.git(&["submodule", "--quiet", "add", module, "apps"]);
    lab.git(&["submodule", "--quiet", "add", module, "docs"]);
    symlink("apps", lab.work().join("current")).expect("a link");

    let in_the_way = |source: &ReadSource| -> Vec<String> {
        let broken = source.snapshot.broken.iter();
        broken.map(|file| file.path.to_string()).collect()
    };
    // A link is one before it is committed, too.
    assert_eq!(in_the_way(&lab.read_folder()), ["current"]);
    lab.commit(&[]);
    let first = lab.read_commit();
    assert_eq!(keys(&first.snapshot), ["ConfigMap shop/c"]);
    assert_eq!(in_the_way(&first), ["apps", "current"]);
    // It stays so with the commits after it, for who remembers the last one and who does not.
    let location = lab.work().display().to_string();
    let revision = None;
    let request = lab.request(Place::Git { location, revision });
    let mut cache = ParsedCache::open(None);
    for name in ["d", "e"] {
        lab.commit(&[("d.yaml", &config_map(name))]);
        let source = read_source(&request, &mut cache).expect("a source");
        assert_eq!(in_the_way(&source), ["apps", "current"]);
        assert_eq!(in_the_way(&lab.read_commit()), ["apps", "current"]);
    }

    // Whoever removes first and only then puts something there has removed.
    lab.git(&["rm", "-q", "apps", "current"]);
    lab.commit(&[]);
    lab.git(&["submodule", "--quiet", "add", "--force", module, "apps"]);
    lab.commit(&[]);
    let source = lab.read_commit();
    assert!(source.snapshot.is_complete());
    assert_eq!(reasons(&source.diagnostics), ["Submodule", "Submodule"]);
}

#[test]
fn a_remote_repository_is_read_through_a_copy_and_follows_its_branch() {
    let lab = Lab::repository(&[("a.yaml", &config_map("a"))]);
    let first = lab.git(&["rev-parse", "HEAD"]);
    let location = publish(&lab);
    let place = |revision: Option<&str>| Place::Git {
        location: location.clone(),
        revision: revision.map(str::to_owned),
    };
    let source = read(&lab.request(place(None)));
    assert_eq!(keys(&source.snapshot), ["ConfigMap shop/a"]);
    assert_eq!(
        source.description.revision.expect("a revision").reference,
        "main"
    );
    lab.commit(&[("b.yaml", &config_map("b"))]);
    publish(&lab);
    assert_eq!(
        keys(&read(&lab.request(place(Some("main")))).snapshot),
        ["ConfigMap shop/a", "ConfigMap shop/b"]
    );
    for text in ["main~1", &first, &first[..12]] {
        let source = read(&lab.request(place(Some(text))));
        assert_eq!(keys(&source.snapshot), ["ConfigMap shop/a"], "{text}");
    }
    let error = read_source(
        &lab.request(place(Some("mian"))),
        &mut ParsedCache::open(None),
    )
    .expect_err("unknown");
    assert_eq!(
        (error.reason(), error.help().as_str()),
        ("UnknownRevision", "did you mean `main`?")
    );
}

#[test]
fn the_copy_may_be_deleted_or_damaged_at_any_time() {
    let lab = Lab::repository(&[("a.yaml", &config_map("a"))]);
    let location = publish(&lab);
    let request = lab.request(Place::Git {
        location,
        revision: Some("main".to_owned()),
    });
    assert_eq!(keys(&read(&request).snapshot), ["ConfigMap shop/a"]);
    let copies = lab.cache().join("repositories");
    let copy = fs::read_dir(&copies)
        .expect("copies")
        .next()
        .expect("a copy")
        .expect("a copy")
        .path();
    fs::write(copy.join("HEAD"), "nonsense").expect("damage");
    assert_eq!(keys(&read(&request).snapshot), ["ConfigMap shop/a"]);
    fs::remove_dir_all(copy.join("objects")).expect("damage");
    fs::create_dir(copy.join("objects")).expect("damage");
    assert_eq!(keys(&read(&request).snapshot), ["ConfigMap shop/a"]);
    fs::remove_dir_all(copy.join("objects")).expect("damage");
    let bare = lab.work().with_file_name("shop.git");
    let commit = lab.git(&["rev-parse", "HEAD"]);
    let tree = lab.git(&["rev-parse", "HEAD^{tree}"]);
    for id in [commit, tree] {
        let (folder, name) = id.split_at(2);
        fs::create_dir_all(copy.join("objects").join(folder)).expect("a folder");
        let object = bare.join("objects").join(folder).join(name);
        fs::copy(object, copy.join("objects").join(folder).join(name)).expect("an object");
    }
    assert_eq!(keys(&read(&request).snapshot), ["ConfigMap shop/a"]);
    fs::remove_dir_all(&copies).expect("deleted");
    assert_eq!(keys(&read(&request).snapshot), ["ConfigMap shop/a"]);
}

#[test]
fn a_remote_that_is_not_there_is_an_error() {
    let lab = Lab::new();
    let location = format!("file://{}/nowhere.git", lab.work().display());
    let request = lab.request(Place::Git {
        location,
        revision: None,
    });
    assert!(read_source(&request, &mut ParsedCache::open(None)).is_err());
}
