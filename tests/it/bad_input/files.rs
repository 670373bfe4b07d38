//! Files that cannot be read as they are: broken, too large, elsewhere, in the way.

use super::*;

#[test]
fn a_file_that_is_no_yaml_keeps_all_that_it_held() {
    let told = after(write(
        SHOP,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\ndata: [\n",
    ));
    let first = told.told("InvalidYaml");
    let place = first.location.as_ref().unwrap();
    assert!(
        place.path.as_str() == SHOP && place.line >= 3 && place.column >= 1,
        "{first:#?}"
    );
    told.kept_on_both(SETTINGS);
    told.kept("iad", "extra/configmap-notes.yaml");
    told.kept("iad", "_cluster/namespace-extra.yaml");
}

#[test]
fn a_key_that_is_there_twice_is_told_with_both_lines() {
    let told = after(replace(
        SHOP,
        "data: {color: red}",
        "data:\n  color: blue\n  color: green",
    ));
    let first = told.told_at("DuplicateKey", "workloads/shop.yaml:6:3");
    assert!(
        first.message.contains('5'),
        "the other line: {}",
        first.message
    );
    told.kept_on_both(SETTINGS);
}

#[test]
fn aliases_that_grow_without_end_are_refused() {
    let mut bomb = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb, namespace: shop}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb = format!("{bomb}a{level}: &a{level} [{below}]\n");
    }
    let told = after(write("workloads/bomb.yaml", bomb));
    let place = told
        .rendering
        .diagnostics
        .iter()
        .find(|found| found.severity == Severity::Error)
        .expect("told");
    assert_eq!(
        place.location.as_ref().unwrap().path.as_str(),
        "workloads/bomb.yaml"
    );
    told.kept_on_both(SETTINGS);
}

#[test]
fn a_file_that_is_not_utf_8_keeps_all_that_it_held() {
    let told = after(write(
        SHOP,
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \xff\xfe}\n",
    ));
    told.told("NotUtf8");
    told.kept_on_both(SETTINGS);
}

#[test]
fn a_file_of_twenty_megabytes_is_refused_and_keeps_all_that_it_held() {
    let mut large = SMALL[3].1.replace("red", "blue");
    large.push_str(&"# nothing but words\n".repeat(1 << 20));
    let told = after(write(SHOP, &large));
    let first = told.told("FileTooLarge");
    assert_eq!(first.location.as_ref().unwrap().path.as_str(), SHOP);
    told.kept_on_both(SETTINGS);
}

#[test]
fn a_pointer_to_large_file_storage_is_told_as_one() {
    let told = after(write(
        SHOP,
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n",
    ));
    told.told("LfsPointer");
    told.kept_on_both(SETTINGS);
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_repository_is_not_followed() {
    let outside = support::folder("outside");
    let secret = SMALL[3].1.replace("red", "from-outside");
    support::write_files(&outside, &[("shop.yaml", &secret)]);
    let told = after(move |root| {
        fs::remove_file(root.join(SHOP)).unwrap();
        std::os::unix::fs::symlink(outside.join("shop.yaml"), root.join(SHOP)).unwrap();
    });
    told.told_at("LinkNotFollowed", SHOP);
    told.kept_on_both(SETTINGS);
    // The same in a work tree that is read as it lies there.
    let request = Request {
        committed: false,
        ..told.site.request()
    };
    let rendering = Pipeline::new(None).render(&request, &Silent).unwrap();
    assert_eq!(found(&rendering, "LinkNotFollowed").len(), 1);
    assert!(
        rendering
            .snapshot
            .objects
            .iter()
            .all(|object| !format!("{:?}", object.manifest).contains("from-outside"))
    );
}

#[test]
fn a_submodule_is_told() {
    let other = git::Repository::new("other");
    let commit = other.commit("x", &[("a.yaml", "a: b\n")]);
    let told = after(move |root| {
        git::git(
            root,
            &[
                "update-index",
                "--add",
                "--cacheinfo",
                &format!("160000,{commit},vendor"),
            ],
        );
        fs::create_dir_all(root.join("vendor")).unwrap();
        git::git(&root.join("vendor"), &["init", "--quiet"]);
        git::git(
            &root.join("vendor"),
            &["fetch", "--quiet", other.path().to_str().unwrap(), &commit],
        );
        git::git(&root.join("vendor"), &["checkout", "--quiet", &commit]);
    });
    assert_eq!(
        told.told("Submodule")
            .location
            .as_ref()
            .unwrap()
            .path
            .as_str(),
        "vendor"
    );
}

#[cfg(unix)]
#[test]
fn what_comes_in_the_place_of_a_folder_takes_nothing_away() {
    let more = (
        "workloads/more/more.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: shop}\n",
    );
    let files: Vec<_> = SMALL.into_iter().chain([more]).collect();
    let told = after_in(&files, |root| {
        fs::remove_dir_all(root.join("workloads/more")).unwrap();
        std::os::unix::fs::symlink("/elsewhere", root.join("workloads/more")).unwrap();
    });
    let first = told.told_at("LinkNotFollowed", "workloads/more");
    assert_eq!(first.severity, Severity::Error);
    assert!(first.help.is_some());
    told.kept_on_both("shop/configmap-more.yaml");
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let mut site = Site::small("line-ends");
    let tip = site.tip();
    site.repository.git(&["config", "core.autocrlf", "false"]);
    for (path, text) in SMALL {
        let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        support::write_files(site.repository.path(), &[(path, &text)]);
    }
    site.repository.commit_all("As some editors write");
    let (rendering, _) = site.deliver();
    assert_eq!(rendering.errors(), 0, "{:#?}", rendering.diagnostics);
    assert_eq!(site.tip(), tip);
}
