//! What an object is for, judged by group, kind and namespace: workload, control object, or none of our business.
//!
//! Never decides what is delivered: of the workload, placement does.

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Something that policies may select.
    Workload,
    /// Something that steers Stellate: read, never delivered.
    Control,
    /// Something that is neither: why it is passed over.
    Foreign(&'static str),
}

/// The namespace whose ConfigMaps hold the properties of WECs.
const PROPERTIES: &str = "customization-properties";

/// Why what KubeStellar and OCM write is passed over.
const COMPUTED: &str = "it is computed from other objects and not read from a source";

/// Judges an object.
pub(super) fn of(group: &str, kind: &str, namespace: Option<&str>) -> Role {
    match (group, kind) {
        ("", "ConfigMap") if namespace == Some(PROPERTIES) => Role::Control,
        ("control.kubestellar.io", "BindingPolicy" | "CustomTransform" | "StatusCollector")
        | ("gitops.kubestellar.io", _)
        | ("cluster.open-cluster-management.io", "ManagedCluster")
        | ("edge.kubestellar.io", "EdgePlacement" | "Location" | "SyncTarget" | "Customizer") => {
            Role::Control
        }
        ("control.kubestellar.io", "Binding" | "CombinedStatus" | "WorkStatus")
        | ("edge.kubestellar.io", "SinglePlacementSlice")
        | ("work.open-cluster-management.io", "ManifestWork" | "AppliedManifestWork") => {
            Role::Foreign(COMPUTED)
        }
        _ => foreign(group, kind).map_or(Role::Workload, Role::Foreign),
    }
}

/// Recognises files of tools that are written like Kubernetes objects and that no API server takes.
fn foreign(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("kustomize.config.k8s.io", _) => Some("a kustomization"),
        ("", "Config") => Some("a kubeconfig"),
        ("client.authentication.k8s.io", _) => Some("a login for kubectl"),
        (
            "kind.x-k8s.io"
            | "k3d.io"
            | "ctlptl.dev"
            | "skaffold"
            | "minikube.sigs.k8s.io"
            | "kubeadm.k8s.io"
            | "kubelet.config.k8s.io"
            | "kubeproxy.config.k8s.io"
            | "kubescheduler.config.k8s.io"
            | "kubecontrollermanager.config.k8s.io"
            | "apiserver.config.k8s.io"
            | "apiserver.k8s.io"
            | "audit.k8s.io",
            _,
        ) => Some("another tool's configuration"),
        _ => None,
    }
}
