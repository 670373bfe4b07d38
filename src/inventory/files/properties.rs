//! Properties: what templates know of a WEC.
//!
//! Precedence as in KubeStellar: property ConfigMap, annotations, labels, `clusterName`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::inventory::{Cluster, Properties};
use crate::model::base64;
use crate::model::names::usable_property;
use crate::model::{ClusterName, Diagnostic};
use crate::source::Control;

use super::{Clusters, about, each};

/// The namespace of the property ConfigMaps, each named after its WEC.
const NAMESPACE: &str = "customization-properties";

/// The property that every WEC has.
const CLUSTER_NAME: &str = "clusterName";

/// Reads the property ConfigMaps of the known WECs: usable names only.
pub(super) fn read(
    controls: &[&Control],
    clusters: &Clusters,
    findings: &mut Vec<Diagnostic>,
) -> BTreeMap<ClusterName, Properties> {
    let mut all: BTreeMap<ClusterName, Properties> = BTreeMap::new();
    let mut nameless: BTreeMap<String, (&Control, usize)> = BTreeMap::new();
    let maps = controls
        .iter()
        .copied()
        .filter(|control| is_property_map(control));
    let maps = each(
        maps,
        |control, found| {
            let properties = one(control, found);
            (control, properties, std::mem::take(found))
        },
        findings,
    );
    for (control, mut properties, found) in maps {
        let name = ClusterName::new(control.key.name.as_ref());
        if !clusters.contains_key(&name) {
            let text = format!("there is no WEC `{name}` to have these properties");
            findings.push(about(control, Diagnostic::note("NoSuchCluster", text)));
            continue;
        }
        if all.contains_key(&name) {
            let text =
                format!("the properties of WEC `{name}` are written twice; the first ones count");
            findings.push(about(
                control,
                Diagnostic::error("DuplicateProperties", text),
            ));
            continue;
        }
        findings.extend(found);
        let unusable: Vec<_> = properties
            .keys()
            .filter(|key| !usable_property(key))
            .map(|key| format!("`{key}`"))
            .collect();
        if !unusable.is_empty() {
            let told = nameless.entry(unusable.join(", ")).or_insert((control, 0));
            told.1 += 1;
        }
        properties.retain(|key, _| usable_property(key));
        all.insert(name, properties);
    }
    for (names, (first, count)) in nameless {
        let more = match count {
            1 => String::new(),
            count => format!(" (of {count} WECs)"),
        };
        let text = format!("templates cannot name these properties: {names}{more}");
        let finding = Diagnostic::note("UnusableProperties", text)
            .help("use letters, digits and `_`, no digit in front and no keyword of Go");
        findings.push(about(first, finding));
    }
    all
}

/// Puts what a WEC's property ConfigMap says over its annotations, those over its labels, and those over its name.
pub(super) fn merge(cluster: &Cluster, configured: Properties) -> Properties {
    let mut properties = Properties::new();
    properties.insert(CLUSTER_NAME.to_owned(), cluster.name.to_string());
    for layer in [&cluster.labels, &cluster.annotations] {
        let usable = layer.iter().filter(|(key, _)| usable_property(key));
        properties.extend(usable.map(|(key, value)| (key.clone(), value.clone())));
    }
    properties.extend(configured);
    properties
}

/// Whether this is a property ConfigMap.
fn is_property_map(control: &Control) -> bool {
    let key = &control.key;
    key.group.is_empty() && &*key.kind == "ConfigMap" && &*key.namespace == NAMESPACE
}

/// Reads one property ConfigMap; what is no text is reported and left out.
fn one(control: &Control, findings: &mut Vec<Diagnostic>) -> Properties {
    let mut properties = Properties::new();
    let value = control.value();
    for (member, decode) in [("data", text as Decode), ("binaryData", binary)] {
        let entries = match value.get(member) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(entries)) => entries,
            Some(_) => {
                let text = format!("{member}: expected a mapping");
                findings.push(about(control, Diagnostic::error("InvalidValue", text)));
                continue;
            }
        };
        for (key, value) in entries {
            match decode(value) {
                Ok(_) if properties.contains_key(key) => {
                    let text =
                        format!("`{key}` stands in `data` and in `binaryData`; `data` counts");
                    findings.push(about(control, Diagnostic::error("DuplicateKey", text)));
                }
                Ok(value) => {
                    properties.insert(key.clone(), value);
                }
                Err(wrong) => {
                    let text = format!("{member}.{key}: {}", wrong.message);
                    let finding = Diagnostic::error("InvalidValue", text).help(wrong.help);
                    findings.push(about(control, finding));
                }
            }
        }
    }
    properties
}

type Decode = fn(&Value) -> Result<String, Wrong>;

/// What is wrong with a value, and what to do about it.
struct Wrong {
    message: &'static str,
    help: &'static str,
}

fn text(value: &Value) -> Result<String, Wrong> {
    value.as_str().map(str::to_owned).ok_or(Wrong {
        message: "is no text",
        help: "put the value in quotes",
    })
}

fn binary(value: &Value) -> Result<String, Wrong> {
    let wrong = |message| Wrong {
        message,
        help: "properties are text; put it under `data`",
    };
    let text = value.as_str().ok_or(wrong("is no base64"))?;
    // Kubernetes takes base64 with line breaks, which is how YAML files hold it.
    let compact: String = text.split_ascii_whitespace().collect();
    let bytes = base64::decode(&compact).ok_or(wrong("is no base64"))?;
    String::from_utf8(bytes).map_err(|_| wrong("is no UTF-8 text"))
}
