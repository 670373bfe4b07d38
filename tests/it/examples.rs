//! The examples: every tree that a reader of their READMEs gets, and every number those READMEs name.
//!
//! The wanted trees are in `fixtures/golden/<example>/`; `STELLATE_GOLDEN=overwrite` writes them anew.

use std::{env, fs, path::Path};

use stellate::reconcile::{DeliveryOptions, Destination, Outcome, Rendering, Request, Silent};

use crate::support::{
    self, project,
    site::{Files, GENERATED, Site, cold, files_in},
};

const SHOP: &str = "shop";
const TODAY: &str = "common-and-special/binding-policies";
const LEGACY: &str = "common-and-special/edge-placements";
const FLEET: &str = "edge-fleet";
const ALL: [&str; 4] = [SHOP, TODAY, LEGACY, FLEET];

#[test]
fn the_shop_gives_the_tree_that_is_committed() {
    expect_golden(SHOP, &written(SHOP));
}

#[test]
fn common_and_special_gives_the_trees_that_are_committed() {
    for example in [TODAY, LEGACY] {
        expect_golden(example, &written(example));
    }
}

#[test]
fn the_fleet_gives_the_tree_whose_digest_is_committed() {
    let files = written(FLEET);
    let mut excerpt: Files = files
        .iter()
        .filter(|(path, _)| {
            path.starts_with("clusters/dk-0001/") || path.starts_with("clusters/be-0003/")
        })
        .map(|(path, text)| (path.clone(), text.clone()))
        .collect();
    assert!(
        excerpt.len() > 10,
        "the excerpt names WECs of the fleet: {:?}",
        files.keys().take(3).collect::<Vec<_>>()
    );
    let listing: Vec<String> = files
        .iter()
        .map(|(path, text)| format!("{path}\n{text}"))
        .collect();
    excerpt.insert("digest".into(), format!("{}\n", digest(&listing.concat())));
    expect_golden(FLEET, &excerpt);
}

#[test]
fn the_shop_has_the_numbers_of_its_readme() {
    let rendering = rendered(SHOP);
    let summary = rendering.summary();
    let workload = &rendering.snapshot.objects;
    assert_eq!(
        (workload.len(), summary.files, summary.clusters.len()),
        (45, 331, 12)
    );
    assert_eq!(
        (summary.errors, summary.warnings),
        (0, 0),
        "{:?}",
        rendering.diagnostics
    );
    let objects = |name: &str| {
        let found = summary
            .clusters
            .iter()
            .find(|cluster| cluster.name.as_str() == name);
        found.unwrap().objects
    };
    for (clusters, wanted) in [
        (&["fra1", "fra2", "iad1", "iad2"][..], 38),
        (&["bom1"], 37),
        (&["sto1", "sea1"], 28),
        (&["stage-fra", "stage-iad"], 25),
        (&["store-berlin", "store-boston", "store-pune"], 12),
    ] {
        for cluster in clusters {
            assert_eq!(objects(cluster), wanted, "{cluster}");
        }
    }
}

#[test]
fn the_shop_shows_what_its_readme_points_at() {
    let files = written(SHOP);
    let text = |path: &str| {
        let path = format!("clusters/{path}");
        files.get(&path).unwrap_or_else(|| panic!("no {path}"))
    };
    let settings = "shop/configmap-storefront-settings.yaml";
    assert_ne!(
        text(&format!("fra1/{settings}")),
        text(&format!("bom1/{settings}"))
    );
    let source =
        fs::read_to_string(project().join("examples/shop/workloads/payments/payments.yaml"))
            .unwrap();
    assert!(source.contains("internalTrafficPolicy: Local"));
    assert!(text("fra1/payments/service-payments.yaml").contains("internalTrafficPolicy: Local"));
    assert_eq!(
        text("store-pune/_cluster/namespace-store.yaml"),
        &implied_namespace("store")
    );
    let promotions: Vec<&str> = files
        .keys()
        .filter(|path| path.ends_with("promotion.shop.example.com-summer-sale.yaml"))
        .map(|path| path.split('/').nth(1).unwrap())
        .collect();
    assert!(
        promotions.contains(&"fra1") && !promotions.contains(&"bom1"),
        "{promotions:?}"
    );
}

#[test]
fn the_fleet_has_the_numbers_of_its_readme() {
    let rendering = rendered(FLEET);
    let summary = rendering.summary();
    assert_eq!(
        (rendering.snapshot.objects.len(), summary.clusters.len()),
        (11, 500)
    );
    assert_eq!((summary.files, summary.distinct), (4188, 535));
    assert_eq!((summary.errors, summary.warnings), (0, 0));
}

#[test]
fn the_classic_scenario_gives_its_published_result_in_both_forms() {
    for (example, definition) in [(TODAY, true), (LEGACY, false)] {
        let files = written(example);
        let text = |path: &str| {
            let path = format!("clusters/{path}");
            files
                .get(&path)
                .unwrap_or_else(|| panic!("{example}: no {path} in {:?}", files.keys()))
        };
        let has = |path: &str| files.contains_key(&format!("clusters/{path}"));
        for (cluster, env) in [("florin", "prod"), ("guilder", "prod")] {
            let common = format!("{cluster}/commonstuff");
            let page = text(&format!("{common}/configmap-httpd-htdocs.yaml"));
            assert!(
                page.contains(&format!("running in {cluster}"))
                    || page.contains(&format!("Running in {cluster}.")),
                "{page}"
            );
            let web = text(&format!("{common}/replicaset.apps-commond.yaml"));
            assert!(web.contains(&format!("env is {env}")), "{web}");
            assert_eq!(
                text(&format!("{cluster}/_cluster/namespace-commonstuff.yaml")),
                &implied_namespace("commonstuff")
            );
        }
        let namespace = text("guilder/_cluster/namespace-specialstuff.yaml");
        assert!(
            namespace.contains("special") && namespace.contains("just-for"),
            "{namespace}"
        );
        assert!(
            text("guilder/specialstuff/configmap-httpd-htdocs.yaml").contains("guilder"),
            "{example}"
        );
        assert!(
            text("guilder/specialstuff/deployment.apps-speciald.yaml").contains("in prod env"),
            "{example}"
        );
        assert!(has(
            "guilder/specialstuff/crontab.stable.example.com-my-new-cron-object.yaml"
        ));
        assert!(has(
            "guilder/_cluster/apiservice.apiregistration.k8s.io-v1090.example.my.yaml"
        ));
        assert_eq!(
            has(
                "guilder/_cluster/customresourcedefinition.apiextensions.k8s.io-crontabs.stable.example.com.yaml"
            ),
            definition
        );
        assert!(
            !files
                .keys()
                .any(|path| path.starts_with("clusters/florin/special")),
            "florin is not special"
        );
    }
}

#[test]
fn every_example_is_committed_delivered_and_verified() {
    for example in ALL {
        let mut site = committed(example);
        let (_, delivery) = site.deliver();
        assert_eq!(delivery.outcome, Outcome::Written, "{example}");
        site.expect_sound();
        let branch = site.generated();
        let mut folder = written(example);
        folder.retain(|path, _| path.starts_with("clusters/"));
        assert!(
            branch.len() == folder.len()
                && branch
                    .iter()
                    .all(|(path, text)| folder.get(&format!("clusters/{path}")) == Some(text)),
            "{example}: the branch is the folder"
        );
    }
}

#[test]
fn a_byte_changed_on_the_generated_branch_is_named() {
    let mut site = committed(TODAY);
    site.deliver();
    let path = "clusters/guilder/specialstuff/deployment.apps-speciald.yaml";
    site.repository.git(&["checkout", "--quiet", GENERATED]);
    let file = site.repository.path().join(path);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("prod", "pred", 1)).unwrap();
    site.repository.git(&["add", "--all"]);
    site.repository
        .git(&["commit", "--quiet", "--amend", "--no-edit"]);
    site.repository.git(&["checkout", "--quiet", "main"]);
    assert_eq!(
        site.verify(GENERATED).differences,
        [format!("{path} has other bytes in the commit")]
    );
}

/// Renders an example as it lies there.
fn rendered(example: &str) -> Rendering {
    let folder = project().join("examples").join(example);
    let request = Request {
        location: folder.to_str().unwrap().to_owned(),
        ..Request::default()
    };
    cold().render(&request, &Silent).unwrap()
}

/// The tree that `--out` writes for an example outside git.
fn written(example: &str) -> Files {
    let folder = support::folder("example");
    copy(&project().join("examples").join(example), &folder);
    let request = Request {
        location: folder.to_str().unwrap().to_owned(),
        ..Request::default()
    };
    let mut pipeline = cold();
    let rendering = pipeline.render(&request, &Silent).unwrap();
    let out = support::folder("example-out").join("out");
    let to = Destination::Folder(out.clone());
    let delivery = pipeline
        .deliver(&rendering, &to, &DeliveryOptions::default(), &Silent)
        .unwrap();
    assert_eq!(delivery.outcome, Outcome::Written);
    files_in(&out)
}

/// A repository whose first commit is an example.
fn committed(example: &str) -> Site {
    let site = Site::empty("example");
    copy(
        &project().join("examples").join(example),
        site.repository.path(),
    );
    site.repository.commit_all("The example");
    site
}

fn copy(from: &Path, to: &Path) {
    for (path, text) in files_in(from) {
        support::write_files(to, &[(&path, &text)]);
    }
}

/// Compares with the committed tree, or commits this one to it when asked to.
fn expect_golden(example: &str, files: &Files) {
    let golden = project().join("fixtures/golden").join(example);
    if env::var("STELLATE_GOLDEN").is_ok_and(|value| value == "overwrite") {
        drop(fs::remove_dir_all(&golden));
        for (path, text) in files {
            support::write_files(&golden, &[(path, text)]);
        }
    }
    let wanted = files_in(&golden);
    let lost: Vec<_> = wanted
        .keys()
        .filter(|path| !files.contains_key(*path))
        .collect();
    let new: Vec<_> = files
        .keys()
        .filter(|path| !wanted.contains_key(*path))
        .collect();
    assert!(
        lost.is_empty() && new.is_empty(),
        "{example}: lost {lost:?}, new {new:?}"
    );
    for (path, text) in files {
        assert_eq!(text, &wanted[path], "{example}: {path}");
    }
}

/// The id that git gives a file with this text.
fn digest(text: &str) -> String {
    let folder = support::folder("digest");
    support::write_files(&folder, &[("text", text)]);
    support::git::git(&folder, &["hash-object", "--no-filters", "text"])
}

/// The Namespace that objects need and no policy delivers: bare, but for what keeps tools from pruning it.
fn implied_namespace(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  annotations:\n    argocd.argoproj.io/sync-options: Prune=false\n    \
         kustomize.toolkit.fluxcd.io/prune: disabled\n  name: {name}\n"
    )
}
