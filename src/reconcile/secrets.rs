//! Plain Secrets stay out of git: which objects are refused, and why. Pure.
//!
//! What passes: Secrets without data, SOPS-encrypted ones, those that a pattern of the configuration allows, and every
//! other kind: a `SealedSecret` or an `ExternalSecret` holds no secret.

use crate::model::api::pipeline::{Guard, SecretsRule};
use crate::model::{Diagnostic, Object};

/// Tells why an object must not be written; none for one that may.
pub fn refuse(object: &Object, guard: &Guard) -> Option<Diagnostic> {
    let is_secret = object.key.group.is_empty() && &*object.key.kind == "Secret";
    if !is_secret || guard.secrets == SecretsRule::Allow || !holds_plain_data(object) {
        return None;
    }
    let allowed = guard.allowed_secrets.iter().any(|pattern| {
        pattern.split_once('/').is_some_and(|(namespace, name)| {
            matches(namespace, &object.key.namespace) && matches(name, &object.key.name)
        })
    });
    (!allowed).then(|| {
        Diagnostic::error("PlainSecret", "a plain Secret would be readable by everybody who can read the branch")
            .at(object.location.clone())
            .object(object.key.clone())
            .help(
                "encrypt it with SOPS, or use a SealedSecret or ExternalSecret; to write it all the same, add \
                 \"namespace/name\" to spec.guard.allowedSecrets in stellate.yaml",
            )
    })
}

fn holds_plain_data(object: &Object) -> bool {
    let value = object.value();
    let filled = |name: &str| {
        value
            .get(name)
            .and_then(|data| data.as_object())
            .is_some_and(|data| !data.is_empty())
    };
    let encrypted = value.get("sops").is_some_and(serde_json::Value::is_object);
    let token = value.get("type").and_then(|kind| kind.as_str())
        == Some("kubernetes.io/service-account-token");
    !encrypted && !token && (filled("data") || filled("stringData"))
}

/// Matches a text against a pattern where `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|&at| rest.is_char_boundary(at))
                .any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("shop", "shop") && !matches("shop", "shops"));
        assert!(matches("tls-*", "tls-web") && matches("*", "") && matches("a*b*c", "a-b-b-c"));
        assert!(!matches("tls-*", "my-tls-web") && !matches("a*b", "a-c"));
    }
}
