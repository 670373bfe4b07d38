//! A repository with a source, rendered and delivered to its generated branch: what most tests of the chain begin with.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use stellate::{
    model::{
        Diagnostic,
        api::pipeline::{Guard, Layout},
    },
    reconcile::{
        BranchDestination, Delivery, DeliveryOptions, Destination, Pipeline, Rendering, Request,
        Silent, Verification, verify,
    },
};

use super::git::{self, Repository};

/// The branch that the tests deliver to.
pub(crate) const GENERATED: &str = "generated";

/// Two WECs, a policy for each of the namespaces `shop` (both WECs) and `extra` (`iad` only), and four objects.
pub(crate) const SMALL: [(&str, &str); 4] = [
    (
        "inventory.yaml",
        "apiVersion: cluster.open-cluster-management.io/v1
kind: ManagedCluster
metadata: {name: fra, labels: {region: eu, env: prod}}
spec: {hubAcceptsClient: true}
---
apiVersion: cluster.open-cluster-management.io/v1
kind: ManagedCluster
metadata: {name: iad, labels: {region: us, env: prod, edge: north}}
spec: {hubAcceptsClient: true}
",
    ),
    (
        "policies/shop.yaml",
        "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: shop}
spec:
  clusterSelectors: [{matchLabels: {env: prod}}]
  downsync:
  - namespaces: [shop]
",
    ),
    (
        "policies/extra.yaml",
        "apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: extra}
spec:
  clusterSelectors: [{matchLabels: {region: us}}]
  downsync:
  - namespaces: [extra]
",
    ),
    (
        "workloads/shop.yaml",
        "apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {color: red}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: where
  namespace: shop
  annotations: {control.kubestellar.io/expand-templates: \"true\"}
data: {region: \"{{ .region }}\"}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: notes, namespace: extra}
data: {text: hello}
",
    ),
];

/// Files of a generated tree: path → text.
pub(crate) type Files = BTreeMap<String, String>;

/// A repository, and a pipeline that renders it.
pub(crate) struct Site {
    pub(crate) repository: Repository,
    pub(crate) pipeline: Pipeline,
    pub(crate) options: DeliveryOptions,
}

impl Site {
    /// A repository that holds nothing yet.
    pub(crate) fn empty(name: &str) -> Self {
        Self {
            repository: Repository::new(name),
            pipeline: cold(),
            options: DeliveryOptions::default(),
        }
    }

    /// A repository that holds [`SMALL`], delivered.
    pub(crate) fn small(name: &str) -> Self {
        let mut site = Self::empty(name);
        site.repository.commit("Begin", &SMALL);
        site.deliver();
        site
    }

    /// Writes files into the work tree, on top of what is there, and commits all.
    pub(crate) fn change(&self, files: &[(&str, &str)]) -> String {
        super::write_files(self.repository.path(), files);
        self.repository.commit_all("Change")
    }

    /// Replaces a text that occurs once in a file, and commits.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) -> String {
        let file = self.repository.path().join(path);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}: {text}");
        fs::write(&file, text.replace(from, to)).unwrap();
        self.repository.commit_all("Edit")
    }

    /// The request for what is committed.
    pub(crate) fn request(&self) -> Request {
        Request {
            location: self.repository.path().to_str().unwrap().to_owned(),
            committed: true,
            ..Request::default()
        }
    }

    /// The generated branch in the same repository.
    pub(crate) fn branch(&self) -> Destination {
        branch_of(self.repository.path())
    }

    /// Renders what is committed.
    pub(crate) fn render(&mut self) -> Rendering {
        self.pipeline.render(&self.request(), &Silent).unwrap()
    }

    /// Renders what is committed and delivers it to the generated branch.
    pub(crate) fn deliver(&mut self) -> (Rendering, Delivery) {
        let rendering = self.render();
        let to = self.branch();
        let delivery = self
            .pipeline
            .deliver(&rendering, &to, &self.options, &Silent)
            .unwrap();
        (rendering, delivery)
    }

    /// Forgets everything that is not in the repository, as a new process on another machine does.
    pub(crate) fn restart(&mut self) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cache = super::run_folder().join(format!("cache-{number}"));
        self.pipeline = Pipeline::new(Some(cache));
    }

    /// Forgets everything that is neither in the repository nor in the cache on disk, as a new process does.
    pub(crate) fn reopen(&mut self) {
        self.pipeline = cold();
    }

    /// What stands below `clusters/` on the generated branch.
    pub(crate) fn generated(&self) -> Files {
        files_at(self.repository.path(), GENERATED)
    }

    /// The commit at the tip of the generated branch.
    pub(crate) fn tip(&self) -> String {
        self.repository.git(&["rev-parse", GENERATED])
    }

    /// The source commit that the note on the tip names.
    pub(crate) fn noted(&self) -> String {
        self.repository
            .git(&["notes", "--ref=hydrator.metadata", "show", GENERATED])
    }

    /// Renders the tip again, and compares.
    pub(crate) fn verify(&self, revision: &str) -> Verification {
        verify(
            &mut cold(),
            self.repository.path(),
            revision,
            None,
            &stellate::git::Access::default(),
            &Silent,
        )
        .unwrap()
    }

    /// Fails unless git finds the repository sound and the tip verifies.
    pub(crate) fn expect_sound(&self) {
        self.repository.git(&["fsck", "--strict", "--no-dangling"]);
        let verified = self.verify(GENERATED);
        assert_eq!(verified.differences, [""; 0]);
    }
}

/// A pipeline without memory that keeps what it fetches inside the folder of this run.
pub(crate) fn cold() -> Pipeline {
    Pipeline::new(Some(super::run_folder().join("cache-of-tests")))
}

/// The generated branch of a local repository.
pub(crate) fn branch_of(repository: &Path) -> Destination {
    Destination::Branch(BranchDestination {
        repository: repository.to_owned(),
        name: GENERATED.to_owned(),
        layout: Layout::Directories,
        push: None,
    })
}

/// Options whose guard lets everything go.
pub(crate) fn unguarded() -> DeliveryOptions {
    DeliveryOptions {
        allow_removals: true,
        guard: Guard::default(),
        ..DeliveryOptions::default()
    }
}

/// What stands below `clusters/` in a revision, without that first folder.
pub(crate) fn files_at(repository: &Path, revision: &str) -> Files {
    let to = super::folder("checkout");
    // An index and a work tree of its own: the repository's stay as they are.
    let status = git::command(repository)
        .env("GIT_INDEX_FILE", to.join("index"))
        .arg("--work-tree")
        .arg(&to)
        .args(["checkout", "--quiet", revision, "--", "clusters"])
        .status();
    assert!(status.unwrap().success(), "{revision} has no clusters/");
    files_in(&to.join("clusters"))
}

/// What stands in a folder and everything below it, by path with `/`.
pub(crate) fn files_in(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let shown = path.strip_prefix(folder).unwrap().to_str().unwrap();
                let shown = shown.replace(std::path::MAIN_SEPARATOR, "/");
                let bytes = fs::read(&path).unwrap();
                files.insert(shown, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    files
}

/// Finds the diagnostics with a reason.
pub(crate) fn found<'r>(rendering: &'r Rendering, reason: &str) -> Vec<&'r Diagnostic> {
    rendering
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.reason == reason)
        .collect()
}
