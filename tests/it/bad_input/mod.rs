//! Bad input: each mistake is told with its place and a way out, and nothing that was delivered is lost by it.
//!
//! Every case begins with a branch that was delivered from good files. Then one commit makes the mistake and, in another
//! file, a good change: what the mistake touches stays byte for byte, the good change goes out, and a process that
//! remembers nothing comes to the same tree.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use stellate::{
    model::{Diagnostic, Severity},
    reconcile::{Outcome, Pipeline, Rendering, Request, Silent},
};

use crate::support::{
    self, git,
    site::{Files, SMALL, Site, found},
};

const SHOP: &str = "workloads/shop.yaml";
const SETTINGS: &str = "shop/configmap-settings.yaml";
const WHERE: &str = "shop/configmap-where.yaml";

/// What a mistake leads to.
struct Told {
    site: Site,
    rendering: Rendering,
    before: Files,
    after: Files,
}

impl Told {
    /// The first diagnostic with this reason; fails when there is none.
    fn told(&self, reason: &str) -> &Diagnostic {
        let all = &self.rendering.diagnostics;
        let found = found(&self.rendering, reason);
        let first = found
            .first()
            .unwrap_or_else(|| panic!("no {reason}: {all:#?}"));
        assert!(!first.message.ends_with('.'), "{first:#?}");
        first
    }

    /// The same, at a place, as `path:line:column`.
    fn told_at(&self, reason: &str, place: &str) -> &Diagnostic {
        let told = self.told(reason);
        let location = told.location.as_ref().map(ToString::to_string);
        assert_eq!(location.as_deref(), Some(place), "{told:#?}");
        told
    }

    /// Fails unless a file is as it was on a WEC.
    fn kept(&self, cluster: &str, file: &str) {
        let path = format!("{cluster}/{file}");
        assert!(self.before.contains_key(&path), "{path} was never there");
        assert_eq!(self.after.get(&path), self.before.get(&path), "{path}");
    }

    /// Fails unless a file is as it was on both WECs.
    fn kept_on_both(&self, file: &str) {
        self.kept("fra", file);
        self.kept("iad", file);
    }
}

/// Delivers good files, then makes a mistake.
fn after(mistake: impl Fn(&Path)) -> Told {
    after_in(&SMALL, mistake)
}

/// The same, with files of one's own.
fn after_in(files: &[(&str, &str)], mistake: impl Fn(&Path)) -> Told {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("bad-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut site = Site::empty(&name);
    let good = |state: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: good, namespace: shop}}\ndata: {{state: {state}}}\n"
        )
    };
    site.repository.commit("Begin", files);
    site.change(&[("workloads/good.yaml", &good("first"))]);
    let (rendering, delivery) = site.deliver();
    assert_eq!(delivery.outcome, Outcome::Written);
    assert_eq!(rendering.errors(), 0, "{:#?}", rendering.diagnostics);
    let (before, start) = (site.generated(), site.tip());

    mistake(site.repository.path());
    site.change(&[("workloads/good.yaml", &good("second"))]);
    let (rendering, delivery) = site.deliver();
    assert_eq!(delivery.outcome, Outcome::Written);
    let (generated, tip) = (site.generated(), site.tip());
    for cluster in ["fra", "iad"] {
        let good = &generated[&format!("{cluster}/shop/configmap-good.yaml")];
        assert!(
            good.contains("second"),
            "the good change is held up: {good}"
        );
    }
    let lost: Vec<_> = before
        .keys()
        .filter(|path| !generated.contains_key(*path))
        .collect();
    assert!(
        lost.is_empty(),
        "lost {lost:?}: {:#?}",
        rendering.diagnostics
    );
    site.expect_sound();

    // A process that remembers nothing comes to the same commit.
    site.repository
        .git(&["update-ref", "refs/heads/generated", &start]);
    site.restart();
    site.deliver();
    assert_eq!(site.generated(), generated);
    assert_eq!(site.tip(), tip);
    Told {
        site,
        rendering,
        before,
        after: generated,
    }
}

/// Makes one of the files of the source hold this instead.
fn write(path: &str, text: impl AsRef<[u8]>) -> impl Fn(&Path) {
    move |root| {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text.as_ref()).unwrap();
    }
}

/// Replaces a text that occurs once in one of the files of the source.
fn replace(path: &str, from: &str, to: &str) -> impl Fn(&Path) {
    move |root| {
        let text = fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}");
        fs::write(root.join(path), text.replace(from, to)).unwrap();
    }
}

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
            .all(|object| !format!("{:?}", object.value).contains("from-outside"))
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

#[test]
fn a_kind_that_nobody_defines_is_told_and_not_guessed() {
    let told = after(write(
        "workloads/widget.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: shop}\n",
    ));
    let first = told.told("UnknownKind");
    assert_eq!(
        first.location.as_ref().unwrap().path.as_str(),
        "workloads/widget.yaml"
    );
    assert!(
        format!("{first:?}").contains("Widget") && first.help.is_some(),
        "{first:#?}"
    );
}

#[test]
fn an_object_whose_definition_goes_keeps_its_file_and_its_namespace() {
    let definition = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true}]
";
    let mut files = SMALL.to_vec();
    let policy = SMALL[1]
        .1
        .replace("name: shop", "name: widgets")
        .replace("[shop]", "[gadgets]");
    files.push(("definition.yaml", definition));
    files.push(("policies/widgets.yaml", &policy));
    files.push((
        "workloads/widget.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: gadgets}\n",
    ));
    let told = after_in(&files, |root| {
        fs::remove_file(root.join("definition.yaml")).unwrap();
    });
    told.told("UnknownKind");
    told.kept_on_both("gadgets/widget.example.com-one.yaml");
    told.kept_on_both("_cluster/namespace-gadgets.yaml");
}

#[test]
fn two_files_with_one_object_are_told_with_both_places() {
    let told = after(write(
        "workloads/shop2.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {color: blue}\n",
    ));
    let first = told.told("DuplicateObject");
    let text = format!("{first:?}");
    assert!(
        text.contains("workloads/shop2.yaml") && text.contains(SHOP),
        "{first:#?}"
    );
    told.kept_on_both(SETTINGS);
}

#[test]
fn two_objects_whose_files_would_be_one_are_told_and_neither_is_lost() {
    let definition = |group: &str, kind: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.{group}}}\nspec: {{group: {group}, scope: Namespaced, names: {{kind: {kind}, plural: {plural}}}, versions: [{{name: v1, served: true, storage: true}}]}}\n",
            plural = format!("{}s", kind.to_lowercase()),
        )
    };
    let definitions = format!(
        "{}---\n{}",
        definition("b", "Box"),
        definition("b-c", "Box")
    );
    let mut files = SMALL.to_vec();
    files.push(("definitions.yaml", &definitions));
    files.push((
        "workloads/box.yaml",
        "apiVersion: b-c/v1\nkind: Box\nmetadata: {name: d, namespace: shop}\nspec: {was: first}\n",
    ));
    let told = after_in(
        &files,
        write(
            "workloads/other.yaml",
            "apiVersion: b/v1\nkind: Box\nmetadata: {name: c-d, namespace: shop}\nspec: {was: second}\n",
        ),
    );
    assert!(told.told("PathClash").object.is_some());
    told.kept_on_both("shop/box.b-c-d.yaml");
}

#[test]
fn a_name_that_no_api_server_takes_is_told() {
    let told = after(write(
        "workloads/name.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name, namespace: shop}\n",
    ));
    let first = told.told("InvalidName");
    assert_eq!(
        first.location.as_ref().unwrap().path.as_str(),
        "workloads/name.yaml"
    );
    assert!(first.message.contains("Bad_Name"), "{}", first.message);
}

#[test]
fn a_namespace_that_leads_out_of_the_folder_is_refused() {
    for namespace in ["..", "a/../../b", ".git"] {
        let told = after(write(
            "workloads/name.yaml",
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x, namespace: {namespace:?}}}\n"
            ),
        ));
        told.told("InvalidName");
    }
}

#[test]
fn a_policy_whose_selector_does_not_parse_keeps_what_it_placed() {
    let told = after(|root| {
        replace(
            "policies/extra.yaml",
            "[{matchLabels: {region: us}}]",
            "[{matchExpressions: [{key: region, operator: Within, values: [us]}]}]",
        )(root);
        replace(SHOP, "text: hello", "text: bye")(root);
    });
    let first = told.told("InvalidSelector");
    assert_eq!(first.policy.as_ref().unwrap().as_str(), "extra");
    let place = first.location.as_ref().unwrap();
    assert_eq!(
        (place.path.as_str(), place.line),
        ("policies/extra.yaml", 5),
        "{first:#?}"
    );
    told.kept("iad", "extra/configmap-notes.yaml");
    told.kept("iad", "_cluster/namespace-extra.yaml");
}

#[test]
fn a_policy_of_another_shape_keeps_what_it_placed() {
    let told = after(replace(
        "policies/extra.yaml",
        "[{matchLabels: {region: us}}]",
        "us",
    ));
    let policy = told
        .rendering
        .diagnostics
        .iter()
        .find(|found| found.severity == Severity::Error)
        .expect("told");
    assert_eq!(policy.policy.as_ref().unwrap().as_str(), "extra");
    assert_eq!(policy.location.as_ref().unwrap().line, 5, "{policy:#?}");
    told.kept("iad", "extra/configmap-notes.yaml");
    told.kept("iad", "_cluster/namespace-extra.yaml");
}

#[test]
fn a_clause_that_selects_everything_is_an_error_and_keeps_what_was_placed() {
    let told = after(replace(
        "policies/extra.yaml",
        "  - namespaces: [extra]",
        "  - {}",
    ));
    let first = told.told_at("InvalidValue", "policies/extra.yaml:7:5");
    assert_eq!(first.policy.as_ref().unwrap().as_str(), "extra");
    assert!(first.help.is_some(), "{first:#?}");
    assert_eq!(
        told.rendering.errors(),
        1,
        "told once: {:#?}",
        told.rendering.diagnostics
    );
    told.kept("iad", "extra/configmap-notes.yaml");
}

#[test]
fn a_policy_without_clauses_is_told_and_places_nothing() {
    let mut site = Site::small("no-clauses");
    site.options.allow_removals = true;
    site.edit("policies/extra.yaml", "\n  - namespaces: [extra]", " []");
    let (rendering, _) = site.deliver();
    let told = &found(&rendering, "SelectsNoObject")[0];
    assert_eq!(told.policy.as_ref().unwrap().as_str(), "extra");
    assert!(
        !site
            .generated()
            .contains_key("iad/extra/configmap-notes.yaml")
    );
    site.expect_sound();
}

#[test]
fn a_template_that_does_not_parse_keeps_its_object_everywhere() {
    for template in [
        "{{ .region",
        "{{ if .region }}x",
        "{{ nosuch .region }}",
        "{{ template \\\"t\\\" }}",
    ] {
        let told = after(replace(SHOP, "{{ .region }}", template));
        let first = told
            .rendering
            .diagnostics
            .iter()
            .find(|found| found.reason.starts_with("Template"))
            .unwrap_or_else(|| panic!("{template}: {:#?}", told.rendering.diagnostics));
        assert_eq!(first.object.as_ref().unwrap().name.as_ref(), "where");
        let place = first.location.as_ref().unwrap();
        assert_eq!(place.to_string(), "workloads/shop.yaml:12:16", "{first:#?}");
        assert!(first.message.starts_with("data.region: "), "{first:#?}");
        assert!(first.help.is_some(), "{first:#?}");
        told.kept_on_both(WHERE);
    }
}

#[test]
fn a_template_that_never_ends_or_grows_without_end_is_refused() {
    let circle = "{{define \\\"a\\\"}}{{template \\\"a\\\" .}}{{template \\\"a\\\" .}}{{end}}{{template \\\"a\\\" .}}";
    let growth = "{{printf \\\"%999999d\\\" 1}}".repeat(64);
    for template in [circle, &growth] {
        let told = after(replace(SHOP, "{{ .region }}", template));
        assert!(told.rendering.errors() > 0, "{template}");
        told.kept_on_both(WHERE);
    }
}

#[test]
fn a_property_that_one_wec_lacks_keeps_the_object_just_there() {
    let told = after(replace(SHOP, "{{ .region }}", "{{ .edge }}"));
    let first = told.told_at("TemplateFailed", "workloads/shop.yaml:12:16");
    assert_eq!(first.cluster.as_ref().unwrap().as_str(), "fra");
    assert_eq!(first.object.as_ref().unwrap().name.as_ref(), "where");
    assert!(
        first.help.is_some() && first.message.contains("edge"),
        "{first:#?}"
    );
    told.kept("fra", WHERE);
    assert!(told.after[&format!("iad/{WHERE}")].contains("north"));
    assert_eq!(told.rendering.summary().clusters[0].quarantined, 1);
}

#[test]
fn a_custom_transform_that_would_remove_everything_is_refused() {
    let told = after(write(
        "policies/transform.yaml",
        "apiVersion: control.kubestellar.io/v1alpha1\nkind: CustomTransform\nmetadata: {name: all}\nspec: {apiGroup: \"\", resource: configmaps, remove: [\"$\"]}\n",
    ));
    let all = &told.rendering.diagnostics;
    let first = all
        .iter()
        .find(|found| found.severity >= Severity::Warning)
        .unwrap_or_else(|| panic!("nothing is told: {all:#?}"));
    assert!(first.help.is_some(), "{first:#?}");
    told.kept_on_both(SETTINGS);
}

#[test]
fn a_plain_secret_stays_out_and_a_sealed_one_goes_out() {
    let told = after(write(
        "workloads/secrets.yaml",
        "apiVersion: v1
kind: Secret
metadata: {name: plain, namespace: shop}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Secret
metadata: {name: encrypted, namespace: shop}
stringData: {password: \"ENC[AES256_GCM,data:x]\"}
sops: {version: 3.9.0}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: sealedsecrets.bitnami.com}
spec: {group: bitnami.com, scope: Namespaced, names: {kind: SealedSecret, plural: sealedsecrets}, versions: [{name: v1alpha1, served: true, storage: true}]}
---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: sealed, namespace: shop}
spec: {encryptedData: {password: AgB}}
",
    ));
    let first = told.told("PlainSecret");
    assert_eq!(first.object.as_ref().unwrap().name.as_ref(), "plain");
    assert_eq!(
        first.location.as_ref().unwrap().path.as_str(),
        "workloads/secrets.yaml"
    );
    assert!(!format!("{first:?}").contains("hunter2"));
    assert!(!told.after.contains_key("fra/shop/secret-plain.yaml"));
    assert!(told.after.contains_key("fra/shop/secret-encrypted.yaml"));
    assert!(
        told.after
            .contains_key("fra/shop/sealedsecret.bitnami.com-sealed.yaml")
    );
}

#[test]
fn an_inventory_that_is_empty_or_broken_holds_the_delivery() {
    for text in [
        "# all gone\n",
        "kind: [\n",
        "apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata: {name: fra}\nspec: none\n",
    ] {
        let mut site = Site::small("inventory");
        let (before, tip) = (site.generated(), site.tip());
        site.change(&[("inventory.yaml", text)]);
        for _ in 0..2 {
            let (rendering, delivery) = site.deliver();
            assert!(rendering.errors() > 0);
            let Outcome::Held(reasons) = &delivery.outcome else {
                panic!("{text}: {:?}", delivery.outcome)
            };
            assert!(reasons[0].contains("iad"), "{reasons:?}");
            assert_eq!(
                (site.generated(), site.tip()),
                (before.clone(), tip.clone())
            );
            site.restart();
        }
        // Not even somebody who allows removals means this.
        site.options.allow_removals = true;
        assert!(matches!(site.deliver().1.outcome, Outcome::Held(_)));
        site.change(&[SMALL[0]]);
        site.deliver();
        assert_eq!(site.generated(), before);
    }
}

#[test]
fn a_change_that_removes_too_much_is_held_until_somebody_means_it() {
    let many = |count: usize| -> String {
        let one = |number| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}, namespace: shop}}\n---\n"
            )
        };
        (0..count).map(one).collect()
    };
    for by_trailer in [false, true] {
        let mut site = Site::small("guard");
        site.change(&[("workloads/many.yaml", &many(20))]);
        site.deliver();
        let tip = site.tip();
        site.change(&[("workloads/many.yaml", &many(1))]);
        let (_, delivery) = site.deliver();
        let Outcome::Held(reasons) = &delivery.outcome else {
            panic!("{:?}", delivery.outcome)
        };
        assert!(
            reasons[0].contains("38 of") && reasons[0].contains("guard"),
            "{reasons:?}"
        );
        assert_eq!(site.tip(), tip);
        if by_trailer {
            site.repository.git(&[
                "commit",
                "--quiet",
                "--amend",
                "--message",
                "Tidy up\n\nStellate-Allow-Removals: yes",
            ]);
        } else {
            site.options.allow_removals = true;
        }
        assert_eq!(site.deliver().1.outcome, Outcome::Written);
        assert!(!site.generated().contains_key("fra/shop/configmap-c7.yaml"));
        assert!(site.generated().contains_key("fra/shop/configmap-c0.yaml"));
        site.expect_sound();
    }
}

#[test]
fn a_revision_or_a_folder_that_is_not_there_is_told_in_words() {
    let mut site = Site::small("absent");
    let request = Request {
        revision: Some("no-such-branch".into()),
        ..site.request()
    };
    let error = site.pipeline.render(&request, &Silent).err().unwrap();
    assert!(error.to_string().contains("no-such-branch"), "{error}");
    assert!(error.help().is_some());
    for committed in [false, true] {
        let location = site.repository.path().join("no/such/folder");
        let location = location.to_str().unwrap().to_owned();
        let request = Request {
            location: location.clone(),
            committed,
            ..Request::default()
        };
        let error = site.pipeline.render(&request, &Silent).err().unwrap();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
        assert!(error.help().is_some());
    }
    let request = Request {
        inventory: Some("/no/such/inventory".into()),
        ..site.request()
    };
    let error = site.pipeline.render(&request, &Silent).err().unwrap();
    assert!(error.to_string().contains("inventory"), "{error}");
}

#[test]
fn a_cache_full_of_rubbish_gives_the_same_result() {
    let mut site = Site::small("cache");
    let cache = support::folder("cache");
    site.pipeline = Pipeline::new(Some(cache.clone()));
    let wanted = site.render().summary();
    let mut spoilt = 0;
    let mut pending = vec![cache.clone()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let mut bytes = fs::read(&path).unwrap();
                let half = bytes.len() / 2;
                bytes.iter_mut().skip(half).for_each(|byte| *byte ^= 0x5a);
                fs::write(
                    &path,
                    if spoilt % 2 == 0 {
                        &bytes
                    } else {
                        &b"rubbish"[..]
                    },
                )
                .unwrap();
                spoilt += 1;
            }
        }
    }
    assert!(spoilt > 0, "the cache was used");
    site.pipeline = Pipeline::new(Some(cache));
    let rendering = site.render();
    assert_eq!(
        (rendering.summary(), rendering.errors()),
        (wanted, 0),
        "{:#?}",
        rendering.diagnostics
    );
    let tip = site.tip();
    site.deliver();
    assert_eq!(site.tip(), tip);
}

#[test]
fn a_broken_file_with_transforms_or_properties_holds_the_delivery() {
    let transform = "apiVersion: control.kubestellar.io/v1alpha1\nkind: CustomTransform\nmetadata: {name: color}\nspec: {apiGroup: \"\", resource: configmaps, remove: [$.data.color]}\n";
    let properties = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fra, namespace: customization-properties}\ndata: {region: from-properties}\n";
    for (text, spoilt) in [
        (transform, transform.replace("color]}", "color}")),
        (
            properties,
            properties.replace("properties}\n", "properties\n"),
        ),
    ] {
        let mut site = Site::small("rules");
        site.change(&[("policies/rules.yaml", text)]);
        site.deliver();
        let (before, tip) = (site.generated(), site.tip());
        assert_ne!(spoilt, text);
        site.change(&[("policies/rules.yaml", &spoilt)]);
        site.restart();
        let (rendering, delivery) = site.deliver();
        assert_eq!(
            found(&rendering, "InvalidYaml").len(),
            1,
            "{:#?}",
            rendering.diagnostics
        );
        let Outcome::Held(reasons) = &delivery.outcome else {
            panic!("{spoilt}: {:?}", delivery.outcome)
        };
        assert!(reasons[0].contains("policies/rules.yaml"), "{reasons:?}");
        assert_eq!(site.tip(), tip);
        site.change(&[("policies/rules.yaml", text)]);
        assert_ne!(site.deliver().1.outcome, Outcome::Held(Vec::new()));
        assert_eq!(site.generated(), before);
    }
}
