//! Names and ids as types of their own, so that a WEC's name is never passed where a policy's is meant.
//!
//! All of them are cheap to clone: one reference count.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares a newtype over a shared string.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps `name` as it is; nothing is validated.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// Gives the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self::new(name)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type! {
    /// The name of a WEC: its ManagedCluster, its mailbox namespace and its folder on the generated branch.
    ClusterName
}
name_type! {
    /// The name of a BindingPolicy (or of a legacy EdgePlacement).
    PolicyName
}
name_type! {
    /// A path inside a source tree, relative to its root, with `/` between its parts.
    RepoPath
}

/// What identifies an object on one cluster: group, kind, namespace and name. The API version is no part of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// Kind in CamelCase, as written in the manifest.
    pub kind: Arc<str>,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// Builds a key from its four parts; an empty `namespace` means cluster-scoped.
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// Written `Deployment.apps shop/web`: the form that `stellate explain` reads.
impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(formatter, ".{}", self.group)?;
        }
        formatter.write_str(" ")?;
        if !self.namespace.is_empty() {
            write!(formatter, "{}/", self.namespace)?;
        }
        formatter.write_str(&self.name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Declares a newtype over the twenty bytes of a git object id.
macro_rules! git_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 20]);

        impl $name {
            /// Reads forty hexadecimal digits; `None` for anything else.
            pub fn from_hex(text: &str) -> Option<Self> {
                let digits = text.as_bytes();
                if digits.len() != 40 {
                    return None;
                }
                let mut id = [0; 20];
                for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
                    let high = char::from(pair[0]).to_digit(16)?;
                    let low = char::from(pair[1]).to_digit(16)?;
                    *byte = u8::try_from(high << 4 | low).ok()?;
                }
                Some(Self(id))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut hex = String::with_capacity(40);
                for byte in self.0 {
                    hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
                    hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
                }
                formatter.pad(&hex)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::from_hex(&text)
                    .ok_or_else(|| serde::de::Error::custom("expected forty hexadecimal digits"))
            }
        }
    };
}

git_id! {
    /// The id of a commit.
    Revision
}
git_id! {
    /// The id of a blob, or of the equal bytes of a file outside git.
    BlobId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_explain_takes_it() {
        assert_eq!(
            ObjectKey::new("apps", "Deployment", "shop", "web").to_string(),
            "Deployment.apps shop/web"
        );
        assert_eq!(
            ObjectKey::new("", "Namespace", "", "shop").to_string(),
            "Namespace shop"
        );
    }

    #[test]
    fn an_id_survives_the_way_through_its_text() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(
            Revision::from_hex(text).map(|id| id.to_string()).as_deref(),
            Some(text)
        );
        assert_eq!(Revision::from_hex("0123"), None);
        assert_eq!(Revision::from_hex(&"g".repeat(40)), None);
    }
}
