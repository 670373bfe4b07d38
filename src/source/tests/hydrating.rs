//! Folders that tools build; the tools here are scripts, so that nothing needs to be installed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::source::hydrate::{ChartRequest, HydrateOptions};
use crate::source::{ParsedCache, Place, ReadSource, SourceRequest, read_source};

use crate::yaml::Part;

use super::{Lab, config_map, keys, read, reasons};

/// Says which folder it was asked for, as a ConfigMap named after it, and leaves a trace in the cache's place.
const KUSTOMIZE: &str = "if [ \"$1\" = version ]; then echo v9.9.9; exit; fi\n\
    cd \"$2\" && name=$(basename \"$PWD\") && echo run >> @TRACE@\n\
    printf '{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {home: \"%s\", proxy: \"%s\"}}\\n' \
    \"$name\" \"$(test -w \"$HOME\" && echo own)\" \"$HTTPS_PROXY\"\n";

struct Tools {
    lab: Lab,
}

impl Tools {
    fn new(files: &[(&str, &str)]) -> Self {
        let lab = Lab::repository(files);
        fs::create_dir(lab.work().with_file_name("bin")).expect("a folder");
        Self { lab }
    }

    fn folder(&self) -> PathBuf {
        self.lab.work().with_file_name("bin")
    }

    fn install(&self, name: &str, script: &str) {
        let trace = self.folder().join("trace").display().to_string();
        let path = self.folder().join(name);
        let script = format!("#!/bin/sh\n{}", script.replace("@TRACE@", &trace));
        // Written aside and renamed: a program that is open for writing cannot be run.
        let aside = path.with_extension("new");
        fs::write(&aside, script).expect("a script");
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).expect("a program");
        fs::rename(&aside, &path).expect("a program");
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.folder().join("trace"))
            .unwrap_or_default()
            .lines()
            .count()
    }

    fn request(&self) -> SourceRequest {
        let location = self.lab.work().display().to_string();
        let mut request = self.lab.request(Place::Git {
            location,
            revision: None,
        });
        let search_path: OsString = format!("{}:/usr/bin:/bin", self.folder().display()).into();
        request.hydrate = HydrateOptions {
            search_path: Some(search_path),
            ..HydrateOptions::default()
        };
        request
    }

    /// Only what was installed here, and no other tool of this machine.
    fn request_alone(&self) -> SourceRequest {
        let mut request = self.request();
        request.hydrate.search_path = Some(self.folder().into());
        request
    }

    fn read(&self) -> ReadSource {
        read(&self.request())
    }
}

#[test]
fn a_kustomization_is_built_and_its_files_are_not_read_as_they_are() {
    let tools = Tools::new(&[
        ("a.yaml", &config_map("a")),
        ("app/kustomization.yaml", "resources: [web.yaml]\n"),
        ("app/web.yaml", &config_map("web")),
        ("app/notes/other.yaml", &config_map("other")),
    ]);
    tools.install("kustomize", KUSTOMIZE);
    let source = tools.read();
    assert_eq!(
        keys(&source.snapshot),
        ["ConfigMap default/app", "ConfigMap shop/a"]
    );
    let built = &source.snapshot.objects[0];
    assert_eq!(
        built.location.to_string(),
        "app/kustomization.yaml (built):1"
    );
    assert_eq!(built.value()["data"]["home"], "own");
    assert_eq!(built.value()["data"]["proxy"], "http://127.0.0.1:9");
    assert_eq!(source.description.tools, ["kustomize v9.9.9"]);
    assert_eq!(source.diagnostics, []);
    let place =
        source
            .snapshot
            .locate(&built.location, built.origin, &["kind".into()], Part::Value);
    assert_eq!(place.column, 24);
}

#[test]
fn bases_and_components_are_built_only_through_who_uses_them() {
    let tools = Tools::new(&[
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", &config_map("web")),
        ("part/kustomization.yaml", "kind: Component\n"),
        (
            "overlays/one/kustomization.yaml",
            "resources: [../../base]\n",
        ),
        (
            "overlays/two/kustomization.yaml",
            "resources: [../../base]\ncomponents: [../../part]\n",
        ),
    ]);
    tools.install("kustomize", KUSTOMIZE);
    assert_eq!(
        keys(&tools.read().snapshot),
        ["ConfigMap default/one", "ConfigMap default/two"]
    );
    let mut request = tools.request();
    request.paths = vec!["base".into()];
    assert_eq!(keys(&read(&request).snapshot), ["ConfigMap default/base"]);
}

#[test]
fn a_folder_is_built_again_only_when_what_it_reads_changed() {
    let tools = Tools::new(&[
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", &config_map("web")),
        ("one/kustomization.yaml", "resources: [../base]\n"),
        ("a.yaml", &config_map("a")),
    ]);
    tools.install("kustomize", KUSTOMIZE);
    let first = tools.read();
    tools.lab.commit(&[("a.yaml", &config_map("b"))]);
    let second = tools.read();
    assert_eq!(tools.runs(), 1);
    assert_eq!(first.description.tools, second.description.tools);
    tools.lab.commit(&[("base/web.yaml", &config_map("other"))]);
    drop(tools.read());
    assert_eq!(tools.runs(), 2);
}

#[test]
fn a_missing_tool_makes_the_folder_unknown_and_not_gone() {
    let tools = Tools::new(&[
        ("app/kustomization.yaml", "resources: [web.yaml]\n"),
        ("app/web.yaml", &config_map("web")),
    ]);
    let source = read(&tools.request_alone());
    assert_eq!(reasons(&source.diagnostics), ["ToolMissing"]);
    assert!(!source.snapshot.is_complete());
    assert_eq!(
        source.snapshot.broken[0].path,
        "app/kustomization.yaml".into()
    );
}

#[test]
fn a_tool_that_was_missing_is_looked_for_again_though_nothing_changed() {
    let tools = Tools::new(&[("app/kustomization.yaml", "resources: []\n")]);
    let mut cache = ParsedCache::open(None);
    let request = tools.request_alone();
    let source = read_source(&request, &mut cache).expect("a source");
    assert!(!source.snapshot.is_complete());
    tools.install(
        "kustomize",
        "echo '{apiVersion: v1, kind: Secret, metadata: {name: a}}'\n",
    );
    let source = read_source(&request, &mut cache).expect("a source");
    assert_eq!(keys(&source.snapshot), ["Secret default/a"]);
}

#[test]
fn kubectl_does_when_there_is_no_kustomize() {
    let tools = Tools::new(&[("app/kustomization.yaml", "resources: []\n")]);
    tools.install(
        "kubectl",
        "if [ \"$1\" = version ]; then echo 'Client Version: v1'; echo 'Kustomize Version: v5'; exit; fi\n\
         test \"$1 $2\" = 'kustomize ./app' && echo '{apiVersion: v1, kind: Secret, metadata: {name: a}}'\n",
    );
    let source = read(&tools.request_alone());
    assert_eq!(keys(&source.snapshot), ["Secret default/a"]);
    assert_eq!(source.description.tools, ["kubectl v5"]);
}

#[test]
fn nothing_is_downloaded_and_nothing_outside_is_read() {
    for (text, reason) in [
        ("resources: ['https://example.com/a.yaml']\n", "RemoteBase"),
        (
            "resources: ['github.com/acme/shop//deploy']\n",
            "RemoteBase",
        ),
        ("resources: ['example.com/acme/shop']\n", "MissingResource"),
        ("resources: [../../outside]\n", "OutsideSource"),
        (
            "configMapGenerator: [{name: a, files: ['a=https://example.com/a']}]\n",
            "RemoteBase",
        ),
        ("resources: [\n", "InvalidYaml"),
    ] {
        let tools = Tools::new(&[("app/kustomization.yaml", text)]);
        tools.install("kustomize", KUSTOMIZE);
        let source = tools.read();
        assert_eq!(reasons(&source.diagnostics), [reason], "{text}");
        assert_eq!(source.snapshot.broken.len(), 1);
        assert_eq!(tools.runs(), 0);
    }
}

#[test]
fn a_tool_that_fails_hangs_or_floods_is_told_from_one_that_works() {
    for (script, reason) in [
        ("echo 'Error: no such patch' >&2; exit 1\n", "BuildFailed"),
        ("exec sleep 60\n", "BuildTimeout"),
        ("exec yes\n", "BuildTooLarge"),
    ] {
        let tools = Tools::new(&[("app/kustomization.yaml", "resources: []\n")]);
        tools.install("kustomize", script);
        let mut request = tools.request();
        request.hydrate.timeout = Duration::from_secs(2);
        request.hydrate.output_limit = 1 << 20;
        let source = read(&request);
        assert_eq!(reasons(&source.diagnostics), [reason], "{script}");
        assert!(!source.snapshot.is_complete());
    }
}

#[test]
fn a_chart_is_rendered_when_it_is_named_and_passed_over_otherwise() {
    let tools = Tools::new(&[
        ("charts/web/Chart.yaml", "apiVersion: v2\nname: web\n"),
        ("charts/web/templates/web.yaml", "a: {{ .Values.a }}\n"),
        ("charts/other/Chart.yaml", "apiVersion: v2\nname: other\n"),
        ("charts/other/templates/other.yaml", "a: {{ .Values.a }}\n"),
        ("prod.values.yaml", "a: 1\n"),
    ]);
    tools.install(
        "helm",
        "if [ \"$1\" = version ]; then echo v3.1; exit; fi\n\
         test -f prod.values.yaml -a ! -e charts/other || exit 1\n\
         printf '{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {words: \"%s\"}}' \"$*\"\n",
    );
    let mut request = tools.request();
    request.hydrate.charts = vec![ChartRequest {
        path: "charts/web".into(),
        release: "web".to_owned(),
        namespace: Some("shop".to_owned()),
        values: vec!["prod.values.yaml".into()],
    }];
    let source = read(&request);
    assert_eq!(source.diagnostics, []);
    assert_eq!(keys(&source.snapshot), ["ConfigMap shop/web"]);
    assert_eq!(
        source.snapshot.objects[0].value()["data"]["words"],
        "template --namespace=shop --include-crds --skip-tests --values=./prod.values.yaml -- web ./charts/web"
    );
    let skipped: Vec<_> = source
        .snapshot
        .skipped
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(skipped, ["charts/other/Chart.yaml", "prod.values.yaml"]);
}

#[test]
fn the_real_kustomize_gives_the_same_kinds_of_objects_where_it_is_installed() {
    let tools = Tools::new(&[
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", &config_map("web")),
        (
            "one/kustomization.yaml",
            "resources: [../base]\nnamePrefix: one-\nconfigMapGenerator: [{name: env, envs: [.env], options: {disableNameSuffixHash: true}}]\n",
        ),
        ("one/.env", "a=b\n"),
    ]);
    let mut request = tools.request();
    request.hydrate.search_path = None;
    let source = read(&request);
    if reasons(&source.diagnostics) != ["ToolMissing"] {
        assert_eq!(source.diagnostics, []);
        assert_eq!(
            keys(&source.snapshot),
            ["ConfigMap default/one-env", "ConfigMap shop/one-web"]
        );
    }
}
