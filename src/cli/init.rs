//! `stellate init`: a small repository that renders as it is. Never overwrites anything.

use std::path::PathBuf;

use clap::Args;

use super::Ending;
use super::error::CliError;
use super::terminal::Terminal;
use crate::config;

/// What `stellate init` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// The folder; it is made when it is not there
    #[arg(default_value = ".")]
    path: PathBuf,
}

const README: &str = "\
# What runs where

| folder | holds |
|---|---|
| `workloads/` | what to run: Kubernetes manifests |
| `policies/` | where: BindingPolicies select clusters and objects by their labels |
| `inventory/` | on what: a ManagedCluster for each cluster, with its labels, and a ConfigMap with its properties |

```sh
stellate validate                      # every mistake at once
stellate render --out /tmp/rendered    # what each cluster gets, as files
stellate explain deployment hello/hello --wec cluster1
stellate render --branch generated     # once it is committed: the same as a branch
```

Clusters that live in a hub can be written down with `kubectl get managedclusters -o yaml > inventory/clusters.yaml`.
";

const POLICY: &str = "\
# Every cluster with this label gets the namespace hello and everything in it.
apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata:
  name: hello
spec:
  clusterSelectors:
    - matchLabels: {env: dev}
  downsync:
    - apiGroup: \"\"
      resources: [namespaces]
      objectNames: [hello]
    - namespaces: [hello]
";

const WORKLOAD: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: hello
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: hello
  namespace: hello
  annotations:
    # Strings in this object are Go templates over the properties of each cluster.
    control.kubestellar.io/expand-templates: \"true\"
data:
  index.html: \"<h1>Hello from {{.clusterName}} in {{.city}}</h1>\"
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hello
  namespace: hello
  labels: {app: hello}
spec:
  replicas: 1
  selector:
    matchLabels: {app: hello}
  template:
    metadata:
      labels: {app: hello}
    spec:
      containers:
        - name: web
          image: nginx:1.27
          ports: [{containerPort: 80}]
          volumeMounts: [{name: pages, mountPath: /usr/share/nginx/html}]
      volumes:
        - name: pages
          configMap: {name: hello}
";

const INVENTORY: &str = "\
apiVersion: cluster.open-cluster-management.io/v1
kind: ManagedCluster
metadata:
  name: cluster1
  labels: {env: dev}
spec:
  hubAcceptsClient: true
---
apiVersion: cluster.open-cluster-management.io/v1
kind: ManagedCluster
metadata:
  name: cluster2
  labels: {env: dev}
spec:
  hubAcceptsClient: true
---
# Properties for templates; more than labels and annotations can hold.
apiVersion: v1
kind: ConfigMap
metadata:
  name: cluster1
  namespace: customization-properties
data:
  city: Frankfurt
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: cluster2
  namespace: customization-properties
data:
  city: Pune
";

/// What the configuration says behind its header.
const CONFIGURATION: &str = "\
metadata:
  name: main
spec:
  source:
    folder: {path: .}
  outputs:
    - branch: {name: generated, push: false}
  # A change that removes more than this is held until somebody says that it is meant.
  guard:
    maxRemovedClusters: 25%
    maxRemovedObjects: 25%
    secrets: refuse
";

/// Gives the files by path.
fn files() -> [(&'static str, String); 5] {
    [
        ("README.md", README.to_owned()),
        ("inventory/clusters.yaml", INVENTORY.to_owned()),
        ("policies/hello.yaml", POLICY.to_owned()),
        (config::FILE, config::header() + CONFIGURATION),
        ("workloads/hello.yaml", WORKLOAD.to_owned()),
    ]
}

/// Writes the files.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let files = files();
    let taken: Vec<&str> = files
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| arguments.path.join(path).exists())
        .collect();
    if !taken.is_empty() {
        return Err(CliError::message(format!(
            "{} {} there already",
            super::table::list(&taken, 5),
            if taken.len() == 1 { "is" } else { "are" }
        ))
        .hint("nothing was written; choose an empty folder: stellate init PATH"));
    }
    for (path, text) in files {
        let path = arguments.path.join(path);
        let failed = |error: std::io::Error| {
            CliError::new(
                anyhow::Error::new(error).context(format!("cannot write {}", path.display())),
            )
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&path, text).map_err(failed)?;
        terminal.say(&format!("wrote {}", path.display()));
    }
    let path = match arguments.path.display().to_string() {
        here if here == "." => String::new(),
        path => format!(" {path}"),
    };
    terminal.say(&format!(
        "next: stellate validate{path}; stellate render{path}"
    ));
    Ok(Ending::Done)
}
