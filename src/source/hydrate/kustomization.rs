//! What a kustomization refers to, read from its text: other folders, files, and what would need the network.
//!
//! Pure: judges words, never looks whether anything exists.

use serde_json::Value;

use crate::yaml::{self, Limits};

/// What one kustomization says, as far as building it without the network needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kustomization {
    /// A part for others to use, never built for itself.
    pub(super) component: bool,
    /// What must be a file or a folder of the source: resources, bases, components, generators …
    pub(super) references: Vec<String>,
    /// What kustomize would download.
    pub(super) remote: Vec<String>,
}

/// Reads a kustomization; the error is what the YAML says.
pub(super) fn read(bytes: &[u8]) -> Result<Kustomization, yaml::YamlError> {
    let mut read = Kustomization::default();
    for document in yaml::load(bytes, &Limits::default())? {
        let value = document.value;
        read.component |= value.get("kind").and_then(Value::as_str) == Some("Component");
        for field in [
            "resources",
            "bases",
            "components",
            "generators",
            "transformers",
            "validators",
        ] {
            let entries = strings(value.get(field));
            // Generators and transformers may be written inline.
            read.references.extend(
                entries
                    .filter(|entry| !entry.contains('\n'))
                    .map(str::to_owned),
            );
        }
        for field in ["configurations", "crds", "patchesStrategicMerge"] {
            read.remote.extend(remote(strings(value.get(field))));
        }
        for field in ["patches", "patchesJson6902", "replacements"] {
            let paths = maps(value.get(field)).flat_map(|entry| strings(entry.get("path")));
            read.remote.extend(remote(paths));
        }
        for field in ["configMapGenerator", "secretGenerator"] {
            for entry in maps(value.get(field)) {
                let sources = ["files", "envs", "env"].into_iter();
                let sources = sources.flat_map(|source| strings(entry.get(source)));
                // `key=path` or a path alone.
                let paths = sources.map(|text| text.split_once('=').map_or(text, |(_, path)| path));
                read.remote.extend(remote(paths));
            }
        }
        let schema = value.get("openapi").and_then(|openapi| openapi.get("path"));
        read.remote.extend(remote(strings(schema)));
    }
    let (remote, local) = read
        .references
        .drain(..)
        .partition(|entry| is_remote(entry));
    read.references = local;
    read.remote.extend::<Vec<String>>(remote);
    Ok(read)
}

/// Tells whether kustomize would take an entry for an address. What is none and does not exist is refused elsewhere.
fn is_remote(entry: &str) -> bool {
    let address = entry.contains("://") || entry.contains("?ref=") || entry.contains("?version=");
    address
        || entry.starts_with("git@")
        || entry.starts_with("git::")
        || entry.starts_with("github.com")
}

fn remote<'a>(entries: impl Iterator<Item = &'a str>) -> Vec<String> {
    let remote = entries.filter(|entry| !entry.contains('\n') && is_remote(entry));
    remote.map(str::to_owned).collect()
}

/// The strings of a list, or a single one.
fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let single = value.and_then(Value::as_str).into_iter();
    let list = value.and_then(Value::as_array).into_iter().flatten();
    single.chain(list.filter_map(Value::as_str))
}

fn maps(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_files_are_told_from_what_would_be_downloaded() {
        let text = "resources: [../base, web.yaml, 'https://example.com/a.yaml', 'github.com/acme/shop//deploy?ref=v1']\n\
                    components: [../part]\n\
                    generators: ['apiVersion: v1\n\n  kind: X']\n\
                    configMapGenerator: [{name: a, files: ['a=http://example.com/b', c.txt]}]\n";
        let read = read(text.as_bytes()).expect("valid");
        assert_eq!(read.references, ["../base", "web.yaml", "../part"]);
        assert_eq!(
            read.remote,
            [
                "http://example.com/b",
                "https://example.com/a.yaml",
                "github.com/acme/shop//deploy?ref=v1"
            ]
        );
        assert!(!read.component);
    }
}
