//! Where an object lies in the generated tree: its key → folder and file name, safe and reversible.
//!
//! `clusters/<wec>/<namespace|_cluster>/<kind>[.<group>]-<name>.yaml`: kinds in lower case, as kubectl writes resources;
//! bytes that a file system or a shell might trip over as `%XX`.

use std::fmt::Write as _;

use crate::model::{ClusterName, ObjectKey};

/// The folder above all WECs' folders.
pub const CLUSTERS: &str = "clusters";
/// The folder of cluster-scoped objects; no namespace can have this name.
pub const CLUSTER_SCOPED: &str = "_cluster";
/// The file that keeps the folder of a WEC that gets nothing: Flux and Argo CD stop, rather than prune, where a folder is missing.
pub const KEEP: &str = ".keep";
/// The longest file name that common file systems take, in bytes.
const LONGEST_NAME: usize = 255;

/// Gives the path of an object below the root of the generated tree.
pub fn path_on(cluster: &ClusterName, key: &ObjectKey) -> String {
    format!("{CLUSTERS}/{cluster}/{}", path_of(key))
}

/// Gives the path of an object below its WEC's folder.
pub fn path_of(key: &ObjectKey) -> String {
    format!("{}/{}", folder(key), file_name(key))
}

/// Gives the folder of an object below its WEC's folder.
pub fn folder(key: &ObjectKey) -> &str {
    if key.namespace.is_empty() {
        CLUSTER_SCOPED
    } else {
        &key.namespace
    }
}

/// Gives the file name of an object.
///
/// A name that would be longer than file systems take ends in `~` and a digest instead of its tail; the file itself
/// still holds the whole name.
pub fn file_name(key: &ObjectKey) -> String {
    let mut name = String::with_capacity(key.kind.len() + key.group.len() + key.name.len() + 8);
    escape_into(&key.kind.to_ascii_lowercase(), &mut name);
    if !key.group.is_empty() {
        name.push('.');
        escape_into(&key.group, &mut name);
    }
    name.push('-');
    escape_into(&key.name, &mut name);
    if name.len() + ".yaml".len() > LONGEST_NAME {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
        let mut keep = LONGEST_NAME - ".yaml".len() - 17;
        while !name.is_char_boundary(keep) {
            keep -= 1;
        }
        name.truncate(keep);
        name.push('~');
        for byte in &digest.as_ref()[..8] {
            let _ = write!(name, "{byte:02x}");
        }
    }
    name.push_str(".yaml");
    name
}

/// Appends `text` with every byte but letters, digits, `.`, `_` and `-` as `%XX`.
fn escape_into(text: &str, out: &mut String) {
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_kind_group_and_name() {
        let key = ObjectKey::new("apps", "Deployment", "shop", "web");
        assert_eq!(
            (folder(&key), file_name(&key).as_str()),
            ("shop", "deployment.apps-web.yaml")
        );
        let key = ObjectKey::new("", "Namespace", "", "shop");
        assert_eq!(
            (folder(&key), file_name(&key).as_str()),
            ("_cluster", "namespace-shop.yaml")
        );
    }

    #[test]
    fn odd_bytes_are_escaped_so_that_the_name_can_be_read_back() {
        let key = ObjectKey::new(
            "rbac.authorization.k8s.io",
            "ClusterRole",
            "",
            "system:node/é",
        );
        assert_eq!(
            file_name(&key),
            "clusterrole.rbac.authorization.k8s.io-system%3Anode%2F%C3%A9.yaml"
        );
    }

    #[test]
    fn long_names_stay_different_and_fit_a_file_system() {
        let name = |tail: &str| {
            file_name(&ObjectKey::new(
                "stable.example.com",
                "CronTab",
                "a",
                &("x".repeat(250) + tail),
            ))
        };
        assert!(name("a").len() <= 255);
        assert_ne!(name("a"), name("b"));
    }
}
