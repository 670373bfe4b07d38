//! The kinds that need no CustomResourceDefinition in the source, as plain data.

use crate::model::Scope::{self, Cluster, Namespaced};

/// One kind: its name in CamelCase, its resource, its scope.
type Row = (&'static str, &'static str, Scope);

/// Every kind by group, sorted by group.
///
/// The Kubernetes groups hold what any release up to 1.36 serves, beta and alpha versions included, and whatever an
/// older supported release served; a kind stands once, because its versions share resource and scope.
/// Subresources (`scale`, `eviction`, `token`) are no kinds of a manifest and are left out.
pub(super) const GROUPS: &[(&str, &[Row])] = &[
    (
        "",
        &[
            ("Binding", "bindings", Namespaced),
            ("ComponentStatus", "componentstatuses", Cluster),
            ("ConfigMap", "configmaps", Namespaced),
            ("Endpoints", "endpoints", Namespaced),
            ("Event", "events", Namespaced),
            ("LimitRange", "limitranges", Namespaced),
            ("Namespace", "namespaces", Cluster),
            ("Node", "nodes", Cluster),
            ("PersistentVolume", "persistentvolumes", Cluster),
            (
                "PersistentVolumeClaim",
                "persistentvolumeclaims",
                Namespaced,
            ),
            ("Pod", "pods", Namespaced),
            ("PodTemplate", "podtemplates", Namespaced),
            (
                "ReplicationController",
                "replicationcontrollers",
                Namespaced,
            ),
            ("ResourceQuota", "resourcequotas", Namespaced),
            ("Secret", "secrets", Namespaced),
            ("Service", "services", Namespaced),
            ("ServiceAccount", "serviceaccounts", Namespaced),
        ],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            (
                "MutatingAdmissionPolicy",
                "mutatingadmissionpolicies",
                Cluster,
            ),
            (
                "MutatingAdmissionPolicyBinding",
                "mutatingadmissionpolicybindings",
                Cluster,
            ),
            (
                "MutatingWebhookConfiguration",
                "mutatingwebhookconfigurations",
                Cluster,
            ),
            (
                "ValidatingAdmissionPolicy",
                "validatingadmissionpolicies",
                Cluster,
            ),
            (
                "ValidatingAdmissionPolicyBinding",
                "validatingadmissionpolicybindings",
                Cluster,
            ),
            (
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
                Cluster,
            ),
        ],
    ),
    (
        "apiextensions.k8s.io",
        &[(
            "CustomResourceDefinition",
            "customresourcedefinitions",
            Cluster,
        )],
    ),
    (
        "apiregistration.k8s.io",
        &[("APIService", "apiservices", Cluster)],
    ),
    (
        "apps",
        &[
            ("ControllerRevision", "controllerrevisions", Namespaced),
            ("DaemonSet", "daemonsets", Namespaced),
            ("Deployment", "deployments", Namespaced),
            ("ReplicaSet", "replicasets", Namespaced),
            ("StatefulSet", "statefulsets", Namespaced),
        ],
    ),
    (
        "authentication.k8s.io",
        &[
            ("SelfSubjectReview", "selfsubjectreviews", Cluster),
            ("TokenReview", "tokenreviews", Cluster),
        ],
    ),
    (
        "authorization.k8s.io",
        &[
            (
                "LocalSubjectAccessReview",
                "localsubjectaccessreviews",
                Namespaced,
            ),
            (
                "SelfSubjectAccessReview",
                "selfsubjectaccessreviews",
                Cluster,
            ),
            ("SelfSubjectRulesReview", "selfsubjectrulesreviews", Cluster),
            ("SubjectAccessReview", "subjectaccessreviews", Cluster),
        ],
    ),
    (
        "autoscaling",
        &[(
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            Namespaced,
        )],
    ),
    (
        "batch",
        &[
            ("CronJob", "cronjobs", Namespaced),
            ("Job", "jobs", Namespaced),
        ],
    ),
    (
        "certificates.k8s.io",
        &[
            (
                "CertificateSigningRequest",
                "certificatesigningrequests",
                Cluster,
            ),
            ("ClusterTrustBundle", "clustertrustbundles", Cluster),
            (
                "PodCertificateRequest",
                "podcertificaterequests",
                Namespaced,
            ),
        ],
    ),
    (
        "cluster.open-cluster-management.io",
        &[
            ("AddOnPlacementScore", "addonplacementscores", Namespaced),
            ("ClusterClaim", "clusterclaims", Cluster),
            ("ManagedCluster", "managedclusters", Cluster),
            ("ManagedClusterSet", "managedclustersets", Cluster),
            (
                "ManagedClusterSetBinding",
                "managedclustersetbindings",
                Namespaced,
            ),
            ("Placement", "placements", Namespaced),
            ("PlacementDecision", "placementdecisions", Namespaced),
        ],
    ),
    (
        "control.kubestellar.io",
        &[
            ("Binding", "bindings", Cluster),
            ("BindingPolicy", "bindingpolicies", Cluster),
            ("CombinedStatus", "combinedstatuses", Namespaced),
            ("CustomTransform", "customtransforms", Cluster),
            ("StatusCollector", "statuscollectors", Cluster),
            ("WorkStatus", "workstatuses", Namespaced),
        ],
    ),
    (
        "coordination.k8s.io",
        &[
            ("Lease", "leases", Namespaced),
            ("LeaseCandidate", "leasecandidates", Namespaced),
        ],
    ),
    (
        "discovery.k8s.io",
        &[("EndpointSlice", "endpointslices", Namespaced)],
    ),
    (
        "edge.kubestellar.io",
        &[
            ("Customizer", "customizers", Namespaced),
            ("EdgePlacement", "edgeplacements", Cluster),
            ("Location", "locations", Cluster),
            ("SinglePlacementSlice", "singleplacementslices", Cluster),
            ("SyncTarget", "synctargets", Cluster),
        ],
    ),
    ("events.k8s.io", &[("Event", "events", Namespaced)]),
    (
        "flowcontrol.apiserver.k8s.io",
        &[
            ("FlowSchema", "flowschemas", Cluster),
            (
                "PriorityLevelConfiguration",
                "prioritylevelconfigurations",
                Cluster,
            ),
        ],
    ),
    (
        "gitops.kubestellar.io",
        &[
            ("Pipeline", "pipelines", Cluster),
            ("Transform", "transforms", Cluster),
        ],
    ),
    (
        "internal.apiserver.k8s.io",
        &[("StorageVersion", "storageversions", Cluster)],
    ),
    (
        "networking.k8s.io",
        &[
            ("IPAddress", "ipaddresses", Cluster),
            ("Ingress", "ingresses", Namespaced),
            ("IngressClass", "ingressclasses", Cluster),
            ("NetworkPolicy", "networkpolicies", Namespaced),
            ("ServiceCIDR", "servicecidrs", Cluster),
        ],
    ),
    (
        "node.k8s.io",
        &[("RuntimeClass", "runtimeclasses", Cluster)],
    ),
    (
        "policy",
        &[("PodDisruptionBudget", "poddisruptionbudgets", Namespaced)],
    ),
    (
        "rbac.authorization.k8s.io",
        &[
            ("ClusterRole", "clusterroles", Cluster),
            ("ClusterRoleBinding", "clusterrolebindings", Cluster),
            ("Role", "roles", Namespaced),
            ("RoleBinding", "rolebindings", Namespaced),
        ],
    ),
    (
        "resource.k8s.io",
        &[
            ("DeviceClass", "deviceclasses", Cluster),
            ("DeviceTaintRule", "devicetaintrules", Cluster),
            ("ResourceClaim", "resourceclaims", Namespaced),
            (
                "ResourceClaimTemplate",
                "resourceclaimtemplates",
                Namespaced,
            ),
            (
                "ResourcePoolStatusRequest",
                "resourcepoolstatusrequests",
                Cluster,
            ),
            ("ResourceSlice", "resourceslices", Cluster),
        ],
    ),
    (
        "scheduling.k8s.io",
        &[
            ("PodGroup", "podgroups", Namespaced),
            ("PriorityClass", "priorityclasses", Cluster),
            ("Workload", "workloads", Namespaced),
        ],
    ),
    (
        "storage.k8s.io",
        &[
            ("CSIDriver", "csidrivers", Cluster),
            ("CSINode", "csinodes", Cluster),
            ("CSIStorageCapacity", "csistoragecapacities", Namespaced),
            ("StorageClass", "storageclasses", Cluster),
            ("VolumeAttachment", "volumeattachments", Cluster),
            ("VolumeAttributesClass", "volumeattributesclasses", Cluster),
        ],
    ),
    (
        "storagemigration.k8s.io",
        &[(
            "StorageVersionMigration",
            "storageversionmigrations",
            Cluster,
        )],
    ),
    (
        "work.open-cluster-management.io",
        &[
            ("AppliedManifestWork", "appliedmanifestworks", Cluster),
            ("ManifestWork", "manifestworks", Namespaced),
            (
                "ManifestWorkReplicaSet",
                "manifestworkreplicasets",
                Namespaced,
            ),
        ],
    ),
];
