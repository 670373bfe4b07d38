//! `stellate.lock`: the inventory facts that a generated commit was rendered from, and only those.
//!
//! With the trailers it is all that `stellate verify` needs: the facts stand for an inventory that may have moved on. Pure.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::hash::{hex, sha256};
use crate::model::{BlobId, Revision};
use crate::yaml;

/// The form of the file that this version writes and reads.
const VERSION: u32 = 1;

/// What a generated commit was rendered from, beside its source commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// What was asked for that changes the result.
    #[serde(default)]
    pub options: LockedOptions,
    /// The WECs by name.
    #[serde(default)]
    pub clusters: LockedClusters,
    /// The transforms, customizers and policies with `createOnly` that were used, each with its kind; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Files that were not rendered but stay as they were, because their object could not be rendered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<LockedFile>,
    /// WECs whose folders stay as they are, because their wave is not open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<LockedFolder>,
}

/// What was looked at of all WECs. Most often that of the commit before: its bytes are made once. Cheap to clone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Facts", into = "Facts")]
pub struct LockedClusters(Arc<Shared>);

type Facts = BTreeMap<String, LockedCluster>;

#[derive(Debug, Default)]
struct Shared {
    facts: Facts,
    text: OnceLock<Vec<u8>>,
    digest: OnceLock<String>,
}

/// Options that change what is rendered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LockedOptions {
    /// The folders of the source that were read; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The folder below the repository's root that was taken as the source's root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// The rest, as the configuration has it.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// What was looked at of one WEC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LockedCluster {
    /// Labels that a selector looks at.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Properties that a template or parameter reads.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Whether it is no destination: not accepted, or being deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub excluded: bool,
}

/// A file that stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedFile {
    /// The WEC.
    pub cluster: String,
    /// The folder below the WEC's.
    pub folder: String,
    /// The file.
    pub file: String,
    /// Its contents.
    pub blob: BlobId,
}

/// The folder of a WEC that stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedFolder {
    /// The WEC.
    pub cluster: String,
    /// The wave that it belongs to.
    pub wave: String,
    /// The source commit that it still has; none when it has nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Revision>,
    /// The generated commit that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Revision>,
}

/// Why a lock could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is no YAML.
    #[error("stellate.lock is no YAML: {0}")]
    Yaml(String),
    /// It is YAML of another shape.
    #[error("stellate.lock cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// A newer version wrote it.
    #[error("stellate.lock has version {0}, and this program reads version {VERSION}")]
    Version(u32),
}

impl LockedClusters {
    /// Gives the facts as a member of the file.
    fn text(&self) -> &[u8] {
        let shared = &self.0;
        shared
            .text
            .get_or_init(|| yaml::emit(&json!({"clusters": shared.facts})))
    }

    fn digest(&self) -> &str {
        self.0.digest.get_or_init(|| {
            let facts = serde_json::to_vec(&self.0.facts).unwrap_or_default();
            format!("sha256:{}", hex(&sha256(&[&facts])))
        })
    }
}

impl Deref for LockedClusters {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0.facts
    }
}

impl From<Facts> for LockedClusters {
    fn from(facts: Facts) -> Self {
        Self(Arc::new(Shared {
            facts,
            ..Shared::default()
        }))
    }
}

impl From<LockedClusters> for Facts {
    fn from(clusters: LockedClusters) -> Self {
        clusters.0.facts.clone()
    }
}

impl PartialEq for LockedClusters {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl Eq for LockedClusters {}

impl Lock {
    /// Puts together a lock of the current version.
    pub fn new(
        options: LockedOptions,
        clusters: LockedClusters,
        mut kept: Vec<LockedFile>,
        mut held: Vec<LockedFolder>,
    ) -> Self {
        kept.sort();
        held.sort();
        Self {
            version: VERSION,
            options,
            clusters,
            rules: Vec::new(),
            kept,
            held,
        }
    }

    /// Names what changed objects, sorted.
    #[must_use]
    pub fn naming(mut self, rules: Vec<String>) -> Self {
        self.rules = rules;
        self
    }

    /// Gives the part that concerns one WEC.
    #[must_use]
    pub fn of(&self, cluster: &str) -> Self {
        let mut part = self.clone();
        let facts = self.clusters.get_key_value(cluster).into_iter();
        let facts = facts.map(|(name, facts)| (name.clone(), facts.clone()));
        part.clusters = facts.collect::<Facts>().into();
        part.kept.retain(|file| file.cluster == cluster);
        part.held.retain(|folder| folder.cluster == cluster);
        part
    }

    /// Gives the file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = b"# Written by Stellate: the inventory facts that this branch was rendered from. `stellate verify` reads it.\n".to_vec();
        // Members stand in the order of their names, and this is the first.
        text.extend_from_slice(self.clusters.text());
        let others = Self {
            clusters: LockedClusters::default(),
            ..self.clone()
        };
        // Maps of strings always become JSON.
        let mut others = serde_json::to_value(others).unwrap_or_default();
        others
            .as_object_mut()
            .map(|members| members.remove("clusters"));
        yaml::emit_into(&others, &mut text);
        text
    }

    /// Reads the file's bytes.
    pub fn from_bytes(text: &[u8]) -> Result<Self, LockError> {
        let documents = yaml::load(text, &yaml::Limits::default())
            .map_err(|error| LockError::Yaml(error.to_string()))?;
        let value = documents
            .into_iter()
            .next()
            .map(|document| document.value)
            .unwrap_or_default();
        let lock: Self = serde_json::from_value(value)?;
        if lock.version == VERSION {
            Ok(lock)
        } else {
            Err(LockError::Version(lock.version))
        }
    }

    /// Gives the digest of the facts about WECs: `sha256:` and hexadecimal digits.
    pub fn inventory_digest(&self) -> String {
        self.clusters.digest().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_back_as_it_was_written() {
        let facts = LockedCluster {
            labels: [
                ("region".to_owned(), "eu".to_owned()),
                ("on".to_owned(), "yes".to_owned()),
            ]
            .into(),
            properties: [("multi".to_owned(), "a\nb\n".to_owned())].into(),
            excluded: false,
        };
        let kept = LockedFile {
            cluster: "c".into(),
            folder: "n".into(),
            file: "f.yaml".into(),
            blob: BlobId([3; 20]),
        };
        let options = LockedOptions {
            paths: vec!["apps".into()],
            ..LockedOptions::default()
        };
        let held = LockedFolder {
            cluster: "d".into(),
            wave: "late".into(),
            source: Some(Revision([4; 20])),
            generated: None,
        };
        let lock = Lock::new(
            options,
            Facts::from([("c1".to_owned(), facts)]).into(),
            vec![kept],
            vec![held],
        );
        let whole = yaml::emit(&serde_json::to_value(&lock).unwrap());
        assert!(
            lock.to_bytes().ends_with(&whole),
            "the file is one document"
        );
        let read = Lock::from_bytes(&lock.to_bytes()).expect("our own file");
        assert_eq!(read, lock);
        assert_eq!(read.inventory_digest(), lock.inventory_digest());
        assert!(lock.inventory_digest().starts_with("sha256:"));
    }

    #[test]
    fn a_newer_lock_is_refused_in_words() {
        let error = Lock::from_bytes(b"version: 2\nclusters: {}\n").expect_err("newer");
        assert!(error.to_string().contains("version 2"), "{error}");
        assert!(Lock::from_bytes(b"a: [").is_err());
    }
}
