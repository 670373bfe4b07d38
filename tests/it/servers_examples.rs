//! Every example, rendered, is accepted by a real API server: strictly, and kept as it was written.

use std::{collections::BTreeSet, path::Path};

use stellate::model::{kinds::Kinds, object::Scope};

use crate::{
    servers_pipeline::stellate,
    support::{applied::expect_applied, folder, need, project, servers::ApiServer},
};

#[test]
fn a_real_api_server_accepts_what_the_examples_become() {
    let wec = need!(ApiServer::start("examples"));
    for (example, names) in [
        (
            "shop",
            &["fra1", "sto1", "bom1", "stage-fra", "store-pune"][..],
        ),
        ("edge-fleet", &["at-0047", "ch-0201", "nl-0464"]),
    ] {
        let rendered = render(example);
        for name in names {
            deliver(&wec, &rendered.join("clusters").join(name));
        }
    }

    // The legacy form leaves the definition of its custom resource to the WEC's owner, as its README says.
    let definition = "examples/common-and-special/edge-placements/special/crontabs.yaml";
    let definition = project().join(definition);
    wec.kubectl_ok(&[
        "apply",
        "--server-side",
        &format!("--filename={}", definition.display()),
    ]);
    established(&wec);
    for form in ["edge-placements", "binding-policies"] {
        let rendered = render(&format!("common-and-special/{form}"));
        for name in ["florin", "guilder"] {
            deliver(&wec, &rendered.join("clusters").join(name));
        }
    }
}

#[test]
fn the_table_of_kinds_knows_what_a_real_api_server_serves() {
    let api = need!(ApiServer::start("kinds"));
    let listed = api.kubectl_ok(&["api-resources", "--no-headers"]);
    let kinds = Kinds::builtin();
    let known: BTreeSet<_> = kinds
        .iter()
        .map(|info| {
            (
                &*info.group,
                &*info.kind,
                &*info.resource,
                info.scope == Scope::Namespaced,
            )
        })
        .collect();
    let mut served = 0;
    for line in listed.lines() {
        // NAME [SHORTNAMES] APIVERSION NAMESPACED KIND
        let mut words = line.split_whitespace();
        let resource = words.next().unwrap();
        let (kind, namespaced) = (
            words.next_back().unwrap(),
            words.next_back().unwrap() == "true",
        );
        let version = words.next_back().unwrap();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        assert!(
            known.contains(&(group, kind, resource, namespaced)),
            "{line}"
        );
        served += 1;
    }
    assert!(served > 50, "{listed}");
}

/// Renders an example into a folder, as its README says.
fn render(example: &str) -> std::path::PathBuf {
    let out = folder("rendered").join("tree");
    let source = project().join("examples").join(example);
    let arguments = [
        "render",
        source.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let run = stellate(&folder("cache"), &[], &arguments);
    assert_eq!(run.code, 0, "{example}: {}", run.err);
    out
}

/// Applies the folder of a WEC as a person would: what is cluster-scoped first.
fn deliver(wec: &ApiServer, manifests: &Path) {
    let cluster = manifests.join("_cluster");
    assert!(cluster.is_dir(), "{} is not there", cluster.display());
    apply(wec, &cluster);
    established(wec);
    apply(wec, manifests);
    expect_applied(wec, manifests);
}

fn apply(wec: &ApiServer, folder: &Path) {
    let files = format!("--filename={}", folder.display());
    let strictly = [
        "apply",
        "--server-side",
        "--validate=strict",
        "--recursive",
        &files,
    ];
    let output = wec.kubectl(&strictly);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", folder.display());
    assert!(!said.contains("Warning:"), "{}: {said}", folder.display());
}

/// Waits until every definition is served.
fn established(wec: &ApiServer) {
    if wec
        .kubectl_ok(&["get", "customresourcedefinitions", "--output=name"])
        .is_empty()
    {
        return;
    }
    let all = ["customresourcedefinitions", "--all", "--timeout=60s"];
    wec.kubectl_ok(&[&["wait", "--for=condition=Established"], &all[..]].concat());
}
