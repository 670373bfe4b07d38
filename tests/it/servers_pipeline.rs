//! A repository in the forge that the program follows: commits go in, `stellate render URL --branch generated --push` runs, and
//! what comes out is looked at as everybody sees it, by fetching from the forge.
//!
//! Nothing here is a test; the tests that need a server share it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use serde_json::Value;

use crate::support::{
    folder,
    git::{Repository, git, hermetic},
    project,
    servers::{Gitea, Missing},
    write_files,
};

/// The branch that is generated.
pub(crate) const GENERATED: &str = "generated";
/// The environment variable that holds the forge's token.
const TOKEN: &str = "FORGE_TOKEN";

/// What came of running the program.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// What it reports with `-o json`.
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `stellate` with nothing of this machine's configuration.
pub(crate) fn stellate(cache: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stellate"));
    let output = hermetic(&mut command)
        .envs(environment.iter().copied())
        .env("STELLATE_CACHE_DIR", cache)
        .env("HOME", cache)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// A source repository in the forge, and its generated branch beside it.
pub(crate) struct Pipeline {
    pub(crate) gitea: Arc<Gitea>,
    /// Name of the repository; also of the namespace that [`Web`] lives in, and it stands for `shop` in the examples.
    pub(crate) name: &'static str,
    /// The address, without a login.
    pub(crate) url: String,
    /// A clone that its owner works in.
    pub(crate) source: Repository,
    cache: PathBuf,
    in_example: String,
}

impl Pipeline {
    /// An empty repository in the forge.
    pub(crate) fn new(name: &'static str) -> Result<Self, Missing> {
        let gitea = Gitea::shared()?;
        let url = gitea.repository(name);
        let source = Repository::new(name);
        source.git(&["remote", "add", "origin", &gitea.with_credentials(&url)]);
        let in_example = format!("https://git.example.com/acme/{name}.git");
        let cache = folder("cache");
        Ok(Self {
            gitea,
            name,
            url,
            source,
            cache,
            in_example,
        })
    }

    /// A repository that holds an example and nothing else.
    pub(crate) fn of_example(name: &'static str, example: &str) -> Result<Self, Missing> {
        let pipeline = Self::new(name)?;
        let files = format!("{}/.", project().join("examples").join(example).display());
        let mut copy = Command::new("cp");
        copy.args(["-R", &files, "."])
            .current_dir(pipeline.source.path());
        assert!(copy.status().unwrap().success(), "cp {files}");
        pipeline.commit("first");
        Ok(pipeline)
    }

    /// Commits what stands in the work tree and pushes it; gives the source commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        let commit = self.source.commit_all(message);
        self.source.git(&["push", "--quiet", "origin", "HEAD:main"]);
        commit
    }

    /// Replaces text in a file of the work tree; it must occur exactly once.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let file = self.source.path().join(path);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    /// Runs `stellate render URL --branch generated --push -o json` and more, with the forge's token.
    pub(crate) fn run(&self, more: &[&str]) -> Run {
        self.run_with_token(self.gitea.token(), more)
    }

    /// The same with another token.
    pub(crate) fn run_with_token(&self, token: &str, more: &[&str]) -> Run {
        let render = [
            "render",
            &self.url,
            "--branch",
            GENERATED,
            "--push",
            "--token-env",
            TOKEN,
            "--output=json",
        ];
        stellate(&self.cache, &[(TOKEN, token)], &[&render, more].concat())
    }

    /// The same; it must succeed. Gives the commit of the generated branch, and whether it is new.
    pub(crate) fn render(&self) -> (String, bool) {
        let report = self.render_with(&[]);
        let commit = &report["commits"][0];
        (
            commit["commit"].as_str().unwrap().to_owned(),
            commit["new"] == true,
        )
    }

    /// Renders with more arguments, which must succeed; gives the report.
    pub(crate) fn render_with(&self, more: &[&str]) -> Value {
        let run = self.run(more);
        assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
        run.report()
    }

    /// Commits what [`Web`] is to be, and renders it; gives the generated commit.
    pub(crate) fn publish(&self, web: &Web) -> String {
        self.write(web);
        self.commit("web\n\nStellate-Allow-Removals: yes");
        self.render().0
    }

    /// Makes the work tree hold what [`Web`] is to be.
    pub(crate) fn write(&self, web: &Web) {
        let files = web.files(self.name);
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        write_files(self.source.path(), &files);
    }

    /// The commit that a reference has in the forge; empty when it is not there.
    pub(crate) fn reference(&self, reference: &str) -> String {
        let listed = git(self.source.path(), &["ls-remote", &self.url, reference]);
        listed.split('\t').next().unwrap_or_default().to_owned()
    }

    /// A fresh clone of a branch.
    pub(crate) fn checkout(&self, branch: &str) -> PathBuf {
        let copy = folder("generated");
        git(
            &copy,
            &["clone", "--quiet", "--branch", branch, &self.url, "."],
        );
        copy
    }

    /// The manifests of a WEC as they are in the forge now.
    pub(crate) fn of(&self, wec: &str) -> PathBuf {
        self.checkout(GENERATED).join("clusters").join(wec)
    }

    /// The source commit that a generated commit stands for, as its note says.
    pub(crate) fn noted(&self, generated: &str) -> String {
        const NOTES: &str = "refs/notes/hydrator.metadata";
        let folder = self.checkout(GENERATED);
        git(
            &folder,
            &["fetch", "--quiet", "origin", &format!("{NOTES}:{NOTES}")],
        );
        let note = git(
            &folder,
            &["notes", &format!("--ref={NOTES}"), "show", generated],
        );
        let note: Value = serde_json::from_str(&note).unwrap();
        note["drySha"].as_str().unwrap().to_owned()
    }

    /// What a test replaces in an example that names the pipeline, the repository and a WEC.
    pub(crate) fn in_examples(&self) -> Vec<(&str, &str)> {
        [self.in_examples_without_wec(), vec![("wec1", "fra1")]].concat()
    }

    /// The same for an example without a WEC.
    pub(crate) fn in_examples_without_wec(&self) -> Vec<(&str, &str)> {
        vec![("shop", self.name), (&self.in_example, &self.url)]
    }

    /// The same for the `AppProject`, which names WECs by a pattern.
    pub(crate) fn in_project(&self) -> Vec<(&str, &str)> {
        [self.in_examples_without_wec(), vec![("wec*", "fra*")]].concat()
    }
}

/// A small source for two WECs, `fra1` and `fra2`: a namespace with settings, a workload and, at will, a service.
#[derive(Clone, Copy)]
pub(crate) struct Web {
    pub(crate) fra1: Site,
    pub(crate) fra2: Site,
    /// Whether a policy selects the service.
    pub(crate) service: bool,
}

/// What the inventory says of a WEC.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    /// It is selected, and has this colour, which goes into the settings.
    Coloured(&'static str),
    /// It is there, and no policy selects it.
    Idle,
    /// It is not there.
    Gone,
}

impl Web {
    /// Both WECs get everything, in blue.
    pub(crate) const BLUE: Self = Self {
        fra1: Site::Coloured("blue"),
        fra2: Site::Coloured("blue"),
        service: true,
    };

    /// Its files, with everything in one namespace.
    pub(crate) fn files(&self, namespace: &str) -> Vec<(&'static str, String)> {
        let inventory =
            [("fra1", self.fra1), ("fra2", self.fra2)].map(|(name, site)| site.manifest(name));
        vec![
            ("inventory.yaml", inventory.concat()),
            ("policies.yaml", policies(namespace, self.service)),
            ("web.yaml", web(namespace)),
        ]
    }
}

impl Site {
    fn manifest(self, name: &str) -> String {
        let labels = match self {
            Self::Coloured(colour) => format!("{{runs: web, colour: {colour}}}"),
            Self::Idle => "{colour: grey}".to_owned(),
            Self::Gone => return String::new(),
        };
        format!(
            "apiVersion: cluster.open-cluster-management.io/v1
kind: ManagedCluster
metadata:
  name: {name}
  labels: {labels}
spec: {{hubAcceptsClient: true}}
---
"
        )
    }
}

fn policies(namespace: &str, service: bool) -> String {
    let resources = if service {
        "[configmaps, deployments, services]"
    } else {
        "[configmaps, deployments]"
    };
    format!(
        "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata:
  name: web
spec:
  clusterSelectors:
    - matchLabels: {{runs: web}}
  downsync:
    - resources: [namespaces]
      objectNames: [{namespace}]
    - namespaces: [{namespace}]
      resources: {resources}
"
    )
}

fn web(namespace: &str) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: {namespace}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: {namespace}
  annotations:
    control.kubestellar.io/expand-templates: \"true\"
data:
  colour: \"{{{{ .colour }}}}\"
  literal: ${{HOME}}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: {namespace}
spec:
  selector: {{app: web}}
  ports:
    - port: 80
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: {namespace}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: web}}
  template:
    metadata:
      labels: {{app: web}}
    spec:
      containers:
        - name: web
          image: registry.example.com/web:1
"
    )
}
