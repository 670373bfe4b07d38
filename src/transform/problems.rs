//! What goes wrong with one object on some WECs → diagnostics that name the WECs.

use std::collections::BTreeMap;

use crate::inventory::Inventory;
use crate::model::{ClusterName, ClusterSet, Diagnostic, Object};

/// The most WECs that one diagnostic names.
const NAMED_CLUSTERS: usize = 5;

/// Equal problems of an object on several WECs, told once.
#[derive(Default)]
pub(super) struct Problems {
    found: BTreeMap<(&'static str, String), ClusterSet>,
}

impl Problems {
    /// Adds a problem that these WECs have.
    pub(super) fn add(
        &mut self,
        reason: &'static str,
        message: String,
        clusters: impl Iterator<Item = usize>,
    ) {
        let set = self.found.entry((reason, message)).or_default();
        clusters.for_each(|cluster| {
            set.insert(cluster);
        });
    }

    /// Puts each problem into words.
    pub(super) fn into_diagnostics(
        self,
        object: &Object,
        inventory: &Inventory,
    ) -> Vec<Diagnostic> {
        let name = |cluster: usize| &inventory.clusters[cluster].name;
        self.found
            .into_iter()
            .map(|((reason, message), clusters)| {
                let first = clusters.iter().next().map(name);
                let text = if clusters.len() > 1 {
                    let named: Vec<&str> = clusters
                        .iter()
                        .take(NAMED_CLUSTERS)
                        .map(|cluster| name(cluster).as_str())
                        .collect();
                    let more = clusters.len() - named.len();
                    let more = if more > 0 {
                        format!(" and {more} more")
                    } else {
                        String::new()
                    };
                    format!(
                        "{message} (on {} WECs: {}{more})",
                        clusters.len(),
                        named.join(", ")
                    )
                } else {
                    message
                };
                let help = help(reason, first);
                let diagnostic = Diagnostic::error(reason, text)
                    .at(object.location.clone())
                    .object(object.key.clone())
                    .help(help);
                match first.filter(|_| clusters.len() == 1) {
                    Some(cluster) => diagnostic.cluster(cluster.clone()),
                    None => diagnostic,
                }
            })
            .collect()
    }
}

fn help(reason: &str, cluster: Option<&ClusterName>) -> String {
    let cluster = cluster.map_or("<wec>", |cluster| cluster.as_str());
    match reason {
        "TemplateFailed" | "ParameterFailed" => format!(
            "give the WEC the property, as a label, an annotation or a key of ConfigMap customization-properties/{cluster}; \
             its last good output stays until then"
        ),
        "TemplateInvalid" => "correct the Go template".to_owned(),
        "CustomizerMissing" => "add the Customizer, or remove the annotation".to_owned(),
        _ => "correct the rule or the object".to_owned(),
    }
}
