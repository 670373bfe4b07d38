//! The WECs: labels that policies look at, properties that templates read; as manifests and as an inventory in memory.

use std::fmt::Write as _;
use std::sync::Arc;

use stellate::inventory::{Cluster, Inventory};
use stellate::model::{ClusterName, Labels};

use super::corpus::Numbers;

/// WECs in one file of the inventory.
pub(crate) const FILE_SIZE: usize = 100;

/// The regions.
pub(crate) const REGIONS: [&str; 8] = [
    "eu-central",
    "eu-north",
    "us-east",
    "us-west",
    "ap-south",
    "ap-east",
    "sa-east",
    "af-south",
];
/// The environments.
pub(crate) const ENVIRONMENTS: [&str; 3] = ["prod", "staging", "dev"];
/// The tiers.
pub(crate) const TIERS: [&str; 3] = ["core", "edge", "store"];

/// A change of one WEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// As it is at first.
    None,
    /// The label `zone`, which some policies for placement alone look at, and no template.
    Label(usize),
    /// The property `domain`, which templates read.
    Property(usize),
}

/// Gives a WEC's name.
pub(crate) fn name(wec: usize) -> String {
    format!("wec-{wec:05}")
}

/// Gives a WEC's labels.
pub(crate) fn labels(wec: usize, edit: Edit) -> Labels {
    let mut numbers = Numbers::new(5, wec);
    let region = numbers.pick(&REGIONS);
    let zone = numbers.below(3);
    let zone = match edit {
        Edit::Label(number) => (zone + number) % 4,
        _ => zone,
    };
    let mut labels = Labels::new();
    for (key, value) in [
        ("region", region.to_owned()),
        ("env", numbers.pick(&ENVIRONMENTS).to_owned()),
        ("tier", numbers.pick(&TIERS).to_owned()),
        ("zone", format!("{region}-{zone}")),
        (
            "vendor",
            numbers
                .pick(&["k3s", "openshift", "kind", "eks"])
                .to_owned(),
        ),
        ("rack", format!("r{:03}", numbers.below(200))),
    ] {
        labels.insert(key.to_owned(), value);
    }
    labels
}

fn properties(wec: usize, edit: Edit) -> [(&'static str, String); 4] {
    let mut numbers = Numbers::new(6, wec);
    let version = match edit {
        Edit::Property(number) => format!("v{number}."),
        _ => String::new(),
    };
    [
        ("domain", format!("{version}{}.apps.example.com", name(wec))),
        ("capacity", numbers.below(64).to_string()),
        (
            "proxy",
            format!(
                "http://10.{}.{}.1:3128",
                numbers.below(256),
                numbers.below(256)
            ),
        ),
        (
            "storageClass",
            numbers.pick(&["fast", "bulk", "local-path"]).to_owned(),
        ),
    ]
}

/// Gives the text of a WEC: a ManagedCluster and its property ConfigMap.
pub(crate) fn text(wec: usize, edit: Edit) -> String {
    let name = name(wec);
    let mut text = format!(
        "apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata:\n  name: {name}\n  labels:\n"
    );
    for (key, value) in labels(wec, edit) {
        let _ = writeln!(text, "    {key}: {value}");
    }
    text.push_str(
        "spec:\n  hubAcceptsClient: true\nstatus:\n  conditions:\n    - type: ManagedClusterJoined\n      \
         status: \"True\"\n    - type: ManagedClusterConditionAvailable\n      status: \"True\"\n---\n",
    );
    let _ = write!(
        text,
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: customization-properties\n  name: {name}\ndata:\n"
    );
    for (key, value) in properties(wec, edit) {
        let _ = writeln!(text, "  {key}: \"{value}\"");
    }
    text
}

/// Gives the file that holds a WEC.
pub(crate) fn path(wec: usize) -> String {
    format!("inventory/clusters-{:03}.yaml", wec / FILE_SIZE)
}

/// Gives the text of the file that holds `wec`, with one WEC edited.
pub(crate) fn file(wecs: usize, wec: usize, edit: Edit) -> String {
    let first = wec / FILE_SIZE * FILE_SIZE;
    let texts = (first..wecs.min(first + FILE_SIZE))
        .map(|each| text(each, if each == wec { edit } else { Edit::None }));
    texts.collect::<Vec<_>>().join("---\n")
}

/// Gives a WEC as placement sees it.
pub(crate) fn cluster(wec: usize, edit: Edit) -> Cluster {
    Cluster {
        name: ClusterName::new(name(wec)),
        labels: Arc::new(labels(wec, edit)),
        annotations: Arc::default(),
        properties: Arc::default(),
        accepted: true,
        deleting: false,
        joined: Some(true),
        available: Some(true),
        location: None,
    }
}

/// Gives all WECs as placement sees them.
pub(crate) fn inventory(wecs: usize) -> Inventory {
    Inventory {
        clusters: (0..wecs).map(|wec| cluster(wec, Edit::None)).collect(),
    }
}
