//! From what a person types to an object of a source: `deploy.apps shop/web` → an [`ObjectKey`]. Pure.

use crate::model::kinds::Kinds;
use crate::model::{ObjectKey, names};
use crate::source::Snapshot;

use super::error::CliError;

/// An object that a person may mean.
struct Candidate<'a> {
    key: &'a ObjectKey,
    resource: &'a str,
}

/// Finds the object of a kind (`KIND`, `RESOURCE`, either with `.GROUP`, in any case) and a name (`[NAMESPACE/]NAME`).
///
/// # Errors
/// No such object, with the nearest ones; or several, with their groups.
pub(super) fn find(snapshot: &Snapshot, kind: &str, name: &str) -> Result<ObjectKey, CliError> {
    let kinds = Kinds::builtin();
    let all = candidates(snapshot, &kinds);
    let of_kind: Vec<&Candidate<'_>> = all
        .iter()
        .filter(|candidate| is_kind(candidate, kind))
        .collect();
    if of_kind.is_empty() {
        return Err(unknown_kind(&all, kind));
    }
    let (namespace, name) = name
        .split_once('/')
        .map_or((None, name), |(namespace, name)| (Some(namespace), name));
    let named: Vec<&ObjectKey> = of_kind
        .iter()
        .map(|candidate| candidate.key)
        .filter(|key| {
            &*key.name == name && namespace.is_none_or(|namespace| *key.namespace == *namespace)
        })
        .collect();
    match named.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let whole = |key: &ObjectKey| {
                if key.namespace.is_empty() {
                    key.name.to_string()
                } else {
                    format!("{}/{}", key.namespace, key.name)
                }
            };
            let known: Vec<String> = of_kind
                .iter()
                .map(|candidate| whole(candidate.key))
                .collect();
            let wanted = namespace.map_or_else(
                || name.to_owned(),
                |namespace| format!("{namespace}/{name}"),
            );
            let error = CliError::message(format!("the source holds no {kind} {wanted}"));
            let same_name = of_kind
                .iter()
                .find(|candidate| &*candidate.key.name == name);
            let near = same_name.map(|candidate| whole(candidate.key));
            let near = near.or_else(|| {
                names::nearest(&wanted, known.iter().map(String::as_str)).map(str::to_owned)
            });
            Err(match near {
                Some(near) => error.hint(format!("did you mean {kind} {near}?")),
                None => error.hint(format!("it holds: {}", super::table::list(&known, 8))),
            })
        }
        several => {
            let texts: Vec<String> = several.iter().map(|key| format!("`{key}`")).collect();
            Err(
                CliError::message(format!("{} objects are called so", several.len()))
                    .hint(format!("say which one: {}", texts.join(", "))),
            )
        }
    }
}

fn candidates<'a>(snapshot: &'a Snapshot, kinds: &'a Kinds) -> Vec<Candidate<'a>> {
    let objects = snapshot.objects.iter();
    let objects = objects.map(|object| Candidate {
        key: &object.key,
        resource: &object.resource,
    });
    let controls = snapshot.controls.iter().map(|control| {
        let info = kinds.get(&control.key.group, &control.key.kind);
        Candidate {
            key: &control.key,
            resource: info.map_or("", |info| &info.resource),
        }
    });
    objects.chain(controls).collect()
}

fn is_kind(candidate: &Candidate<'_>, wanted: &str) -> bool {
    let key = candidate.key;
    let singular = |word: &str| wanted.eq_ignore_ascii_case(word);
    let qualified = |word: &str| {
        wanted.split_once('.').is_some_and(|(kind, group)| {
            kind.eq_ignore_ascii_case(word) && group.eq_ignore_ascii_case(&key.group)
        })
    };
    [&*key.kind, candidate.resource]
        .into_iter()
        .any(|word| !word.is_empty() && (singular(word) || qualified(word)))
}

fn unknown_kind(all: &[Candidate<'_>], kind: &str) -> CliError {
    let mut known: Vec<&str> = all.iter().map(|candidate| &*candidate.key.kind).collect();
    known.sort_unstable();
    known.dedup();
    let error = CliError::message(format!("the source holds nothing of kind {kind}"));
    match names::nearest(kind, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None if known.is_empty() => error.hint("it holds no objects at all"),
        None => error.hint(format!("it holds: {}", super::table::list(&known, 20))),
    }
}
