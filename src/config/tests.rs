//! The configuration as people write it: what is understood, and how mistakes are told.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::Diagnostic;

const WHOLE: &str = "\
apiVersion: gitops.kubestellar.io/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  source:
    git:
      url: https://example.com/acme/shop
      ref: main
      paths: [policies, workloads]
      credentials: {token: {env: SHOP_TOKEN}}
  inventory:
    files: {path: inventory}
  outputs:
    - branch: {name: generated, layout: branches, push: false}
    - folder: {path: out}
  guard: {maxRemovedObjects: 3}
  strict: true
";

fn resolved(text: &str) -> (Resolved, Vec<Diagnostic>) {
    let written = load("stellate.yaml", text.as_bytes()).expect("readable");
    resolve(
        &written[0],
        Path::new("/repo"),
        "stellate.yaml",
        text.as_bytes(),
    )
}

fn refused(text: &str) -> Vec<String> {
    let found = load("stellate.yaml", text.as_bytes()).expect_err("refused");
    let line = |found: &Diagnostic| {
        let place = found
            .location
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        format!(
            "{place}: {} {} ({})",
            found.reason,
            found.message,
            found.help.as_deref().unwrap_or("no help")
        )
    };
    found.iter().map(line).collect()
}

#[test]
fn a_whole_configuration_becomes_settings() {
    let (resolved, found) = resolved(WHOLE);
    assert_eq!(found, []);
    assert_eq!(resolved.name, "shop");
    assert_eq!(
        resolved.place,
        Some(Place::Git("https://example.com/acme/shop".into()))
    );
    assert_eq!(resolved.revision.as_deref(), Some("main"));
    assert_eq!(
        resolved.settings.paths,
        ["policies", "workloads", "inventory"],
        "the inventory is read too"
    );
    assert!(resolved.settings.strict);
    let token = resolved.credentials.and_then(|login| login.token);
    assert_eq!(token, Some(SecretPlace::Environment("SHOP_TOKEN".into())));
    let [
        ResolvedOutput::Branch(branch),
        ResolvedOutput::Folder(folder),
    ] = resolved.outputs.as_slice()
    else {
        panic!("{:?}", resolved.outputs);
    };
    assert_eq!(
        (branch.name.as_str(), branch.layout, branch.push),
        ("generated", Layout::Branches, false)
    );
    assert_eq!(folder, &PathBuf::from("/repo/out"));
}

#[test]
fn a_mistyped_key_is_told_with_its_place_and_the_right_one() {
    let told = refused(&WHOLE.replace("maxRemovedObjects", "maxRemovedObject"));
    assert_eq!(
        told,
        [
            "stellate.yaml:16:11: UnknownField spec.guard.maxRemovedObject: unknown field `maxRemovedObject` \
          (did you mean `maxRemovedObjects`?)"
        ]
    );
}

#[test]
fn every_document_is_judged_and_two_of_one_name_are_refused() {
    let text = format!(
        "{WHOLE}---\n{WHOLE}---\n{}",
        WHOLE.replace("  strict: true", "  strict: 1")
    );
    let told = refused(&text);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].starts_with("stellate.yaml:21:18: DuplicatePipeline"),
        "{told:#?}"
    );
    assert!(
        told[1].contains("expected true or false, found the number 1"),
        "{told:#?}"
    );
}

#[test]
fn every_line_that_is_wrong_is_told_in_every_document() {
    let text = "\
apiVersion: gitops.kubestellar.io/v1alpha1
kind: Pipeline
metadata: {name: Shop Two}
spec:
  sauce: {}
  source:
    git:
      url: https://example.com/acme/shop
      interval: often
  outputs:
    - branch: {name: 7}
    - folder: {path: out}
    - branch: {name: generated, layout: tree, pushed: true}
  guard:
    maxRemovedObject: 3
---
apiVersion: gitops.kubestellar.io/v1alpha1
kind: Pipeline
metadata: {name: bank}
spec:
  source: {git: {ref: main}}
  strict: 1
---
apiVersion: gitops.kubestellar.io/v1alpha1
kind: Pipeline
metadata: {name: till}
spec:
  source: {git: {url: ., paths: [../up]}}
";
    let told = refused(text);
    let lines: Vec<&str> = told
        .iter()
        .map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, line) = (parts.next(), parts.next());
            line.unwrap_or_default()
        })
        .collect();
    assert_eq!(
        lines,
        ["3", "5", "9", "11", "13", "13", "15", "21", "22", "28"],
        "{told:#?}"
    );
    assert!(told[5].contains("spec.outputs[2].branch."), "{told:#?}");
}

#[test]
fn what_is_missing_because_it_is_misspelt_is_told_once() {
    let told = refused(&WHOLE.replace("url:", "ulr:"));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("did you mean `url`"), "{told:#?}");
    let told = refused(&WHOLE.replace("branch:", "brunch:"));
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[test]
fn a_name_that_no_api_server_would_take_is_refused_with_its_line() {
    let told = refused(&WHOLE.replace("name: shop", "name: Shop Two"));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].starts_with(
            "stellate.yaml:3:18: InvalidName metadata.name: `Shop Two` is no valid name"
        ),
        "{told:#?}"
    );
}

/// Two pipelines, of which the second has these outputs and this source.
fn beside(url: &str, outputs: &str) -> String {
    let first = WHOLE.replace(", layout: branches, push: false", "");
    let second = "\
apiVersion: gitops.kubestellar.io/v1alpha1
kind: Pipeline
metadata: {name: other}
spec:
";
    format!("{first}---\n{second}  source: {{git: {{url: '{url}'}}}}\n  outputs: [{outputs}]\n")
}

#[test]
fn two_pipelines_that_write_one_branch_are_refused_with_both_lines() {
    for (url, branch) in [
        ("https://example.com/acme/shop", "generated"),
        ("https://stella@EXAMPLE.com:443/acme/shop.git", "generated"),
        ("https://example.com/acme/shop", "generated/eu"),
    ] {
        let told = refused(&beside(url, &format!("{{branch: {{name: {branch}}}}}")));
        assert_eq!(told.len(), 1, "{url}: {told:#?}");
        assert!(
            told[0].starts_with("stellate.yaml:24:29: BranchTaken"),
            "{told:#?}"
        );
        for word in [
            branch,
            "example.com/acme/shop",
            "pipeline `shop` on line 14",
        ] {
            assert!(told[0].contains(word), "{word}: {told:#?}");
        }
    }
    let elsewhere = "{folder: {path: out}}, {branch: {name: x, url: 'https://example.com/acme/shop'}}, {branch: {name: generated, url: 'https://example.com/acme/shop'}}";
    let told = refused(&beside("https://example.com/acme/other", elsewhere));
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[test]
fn branches_of_other_names_or_repositories_are_nobody_elses() {
    for (url, branch) in [
        ("https://example.com/acme/shop", "generated-eu"),
        ("https://example.com/acme/shop2", "generated"),
        ("ssh://git@example.com/acme/shop", "generated"),
    ] {
        let text = beside(url, &format!("{{branch: {{name: {branch}}}}}"));
        let read = load("stellate.yaml", text.as_bytes());
        assert!(read.is_ok(), "{url} {branch}: {read:?}");
    }
}

#[test]
fn what_the_parser_says_of_a_broken_line_quotes_no_secret() {
    let wrong = [
        (
            "{SUPER123: 1, SUPER123: 2}",
            "DuplicateKey key `***` is given twice",
        ),
        ("{token: !!int SUPER123}", "BadTag `***` is no !!int"),
        (
            "{token: !!int \"SUP\\u0045R123\"}",
            "BadTag `***` is no !!int",
        ),
        (
            "{token: {env: A}, token: {env: B}}",
            "DuplicateKey key `token` is given twice",
        ),
        ("{SUPER123: [}", "InvalidYaml"),
    ];
    for (credentials, told) in wrong {
        let text = WHOLE.replace(
            "metadata:",
            &format!("credentials: {credentials}\nmetadata:"),
        );
        let found = refused(&text);
        assert!(
            found[0].contains(told) && !found[0].contains("SUPER"),
            "{found:#?}"
        );
    }
}

#[test]
fn a_secret_in_place_of_its_name_is_refused_and_not_quoted() {
    for wrong in [
        "SUPER123",
        "{token: SUPER123}",
        "{token: {value: SUPER123}}",
        "{SUPER123: null}",
        "{token: {env: {SUPER123: 1}}}",
        "{ssh: {key: [SUPER123]}}",
    ] {
        let told = refused(&WHOLE.replace("{token: {env: SHOP_TOKEN}}", wrong));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains("credentials"), "{told:#?}");
        assert!(!told[0].contains("SUPER"), "{told:#?}");
    }
}

#[test]
fn broken_yaml_and_an_empty_file_are_refused() {
    assert!(refused("a: [")[0].contains("InvalidYaml"));
    assert!(refused("# nothing\n")[0].contains("EmptyConfiguration"));
    assert!(refused("kind: Pipeline\n")[0].contains("apiVersion"));
}

#[test]
fn what_only_a_service_uses_is_said_once() {
    let text = "\
apiVersion: gitops.kubestellar.io/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  source: {wds: {context: wds1}}
  inventory: {its: {context: its1}}
  outputs: [{mailbox: {}}]
  status: {github: {credentials: {token: {env: TOKEN}}}}
";
    let (resolved, found) = resolved(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    let message = &found[0].message;
    assert_eq!(message, "not used by this command: `source.wds`");
    assert!(resolved.place.is_none());
    let its = resolved.its.unwrap();
    let [ResolvedOutput::Mailbox { its: own, .. }] = &resolved.outputs[..] else {
        panic!("{:?}", resolved.outputs);
    };
    assert_eq!(*own, its, "the mailboxes are where the inventory is");
    assert_eq!(
        (its.kubeconfig, its.context.as_deref()),
        (None, Some("its1"))
    );
}

#[test]
fn mailboxes_need_an_its() {
    let text = WHOLE.replace("outputs:", "outputs:\n    - mailbox: {}");
    let (_, found) = resolved(&text);
    let words: Vec<(&str, Option<u32>)> = found
        .iter()
        .map(|found| {
            (
                found.reason,
                found.location.as_ref().map(|place| place.line),
            )
        })
        .collect();
    assert_eq!(words, [("MissingField", Some(14))], "{found:#?}");
}

#[test]
fn paths_that_leave_the_source_and_names_that_git_refuses_are_errors_at_once() {
    let text = WHOLE
        .replace("[policies, workloads]", "[policies, ../other]")
        .replace("name: generated", "name: 'a b'");
    let (_, found) = resolved(&text);
    let reasons: Vec<&str> = found.iter().map(|found| found.reason).collect();
    assert_eq!(reasons, ["InvalidPath", "InvalidBranch"]);
    assert_eq!(found[0].location.as_ref().map(|place| place.line), Some(9));
}

#[test]
fn branch_names_follow_the_rules_of_git() {
    for good in ["generated", "env/prod", "a.b"] {
        assert_eq!(branch_name_problem(good), None, "{good}");
    }
    for bad in [
        "",
        "a b",
        "-a",
        "a/",
        "a..b",
        "a.lock",
        "a/.b",
        "refs/heads/a",
        "a@{b",
        "a//b",
        "a.",
    ] {
        assert!(branch_name_problem(bad).is_some(), "{bad}");
    }
}

#[test]
fn addresses_and_paths_are_told_apart() {
    for remote in ["https://h/r", "git@h:r", "h.example:r", "file:///r"] {
        assert!(is_remote(remote), "{remote}");
    }
    for local in ["examples/shop", "./a:b", "C:/repo", "."] {
        assert!(!is_remote(local), "{local}");
    }
}

/// The status of a configuration whose source is at `url`.
fn told(url: &str, status: &str) -> ResolvedStatus {
    let text = WHOLE.replace("https://example.com/acme/shop", url);
    let text = format!("{text}  status: {status}\n");
    let (resolved, found) = resolved(&text);
    assert_eq!(found, [], "a command has nothing to say about it");
    resolved.status.expect("a status")
}

#[test]
fn which_repository_is_told_follows_from_the_source() {
    let token = "{token: {env: T}}";
    let cases = [
        (
            "https://github.com/acme/shop.git",
            "github: {credentials: {token: {env: T}}}",
            "https://api.github.com",
            "acme/shop",
        ),
        (
            "git@github.com:acme/shop.git",
            "github: {credentials: {token: {env: T}}}",
            "https://api.github.com",
            "acme/shop",
        ),
        (
            "ssh://git@ssh.github.com:443/acme/shop",
            "github: {credentials: {token: {env: T}}}",
            "https://api.github.com",
            "acme/shop",
        ),
        (
            "https://ghe.example.com/acme/shop",
            "github: {credentials: {token: {env: T}}}",
            "https://ghe.example.com/api/v3",
            "acme/shop",
        ),
        (
            "https://octo.ghe.com/acme/shop",
            "github: {credentials: {token: {env: T}}}",
            "https://api.octo.ghe.com",
            "acme/shop",
        ),
        (
            "https://x/y/z",
            "github: {url: 'http://127.0.0.1:4010', repository: a/b, credentials: {token: {env: T}}}",
            "http://127.0.0.1:4010",
            "a/b",
        ),
        (
            "https://gitlab.com/acme/web/shop.git",
            &format!("gitlab: {token}"),
            "https://gitlab.com/api/v4",
            "acme/web/shop",
        ),
        (
            "http://127.0.0.1:3000/stella/shop.git",
            &format!("gitea: {token}"),
            "http://127.0.0.1:3000/api/v1",
            "stella/shop",
        ),
        (
            "https://example.com/git/stella/shop",
            "gitea: {url: 'https://example.com/git/', token: {env: T}}",
            "https://example.com/git/api/v1",
            "stella/shop",
        ),
        (
            "git@bitbucket.org:acme/shop.git",
            &format!("bitbucket: {token}"),
            "https://api.bitbucket.org/2.0",
            "acme/shop",
        ),
        (
            "https://bb.example.com/scm/ac/shop.git",
            &format!("bitbucket: {token}"),
            "https://bb.example.com/rest",
            "ac/shop",
        ),
        (
            "ssh://git@bb.example.com:7999/ac/shop.git",
            &format!("bitbucket: {token}"),
            "https://bb.example.com/rest",
            "ac/shop",
        ),
    ];
    for (url, status, api, repository) in cases {
        let status = told(url, &format!("{{{status}}}"));
        assert_eq!(status.problems, [], "{url}");
        let forge = &status.forges[0];
        assert_eq!(
            (&*forge.api, &*forge.repository),
            (api, repository),
            "{url}"
        );
    }
}

#[test]
fn a_status_without_a_repository_is_a_problem_of_the_service_alone() {
    let status = told("../shop", "{github: {credentials: {token: {env: T}}}}");
    assert!(status.forges.is_empty());
    assert_eq!(
        status.problems[0].message,
        "the host of `status.github` is not known from the source"
    );
    let defaults = (status.prefix.as_str(), status.max_clusters, status.deadline);
    assert_eq!(
        defaults,
        ("stellate", 30, std::time::Duration::from_secs(600))
    );
}
