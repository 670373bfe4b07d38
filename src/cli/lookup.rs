//! From what a person types to what is meant: `deploy.apps shop/web` → an [`ObjectKey`], a name → a WEC. Pure.

use std::sync::Arc;

use super::error::CliError;
use super::table::list;
use crate::model::kinds::Kinds;
use crate::model::{ClusterSet, ObjectKey, names};
use crate::reconcile::Rendering;
use crate::source::Snapshot;

/// The short names that kubectl knows, by resource.
const SHORT: [(&str, &str); 26] = [
    ("bindingpolicies", "bp"),
    ("certificatesigningrequests", "csr"),
    ("configmaps", "cm"),
    ("cronjobs", "cj"),
    ("customresourcedefinitions", "crd"),
    ("customresourcedefinitions", "crds"),
    ("daemonsets", "ds"),
    ("deployments", "deploy"),
    ("endpoints", "ep"),
    ("events", "ev"),
    ("horizontalpodautoscalers", "hpa"),
    ("ingresses", "ing"),
    ("limitranges", "limits"),
    ("namespaces", "ns"),
    ("networkpolicies", "netpol"),
    ("nodes", "no"),
    ("persistentvolumeclaims", "pvc"),
    ("persistentvolumes", "pv"),
    ("poddisruptionbudgets", "pdb"),
    ("pods", "po"),
    ("priorityclasses", "pc"),
    ("replicasets", "rs"),
    ("resourcequotas", "quota"),
    ("serviceaccounts", "sa"),
    ("services", "svc"),
    ("statefulsets", "sts"),
];

/// The most names that an error lists.
const NAMED: usize = 8;

/// An object that a person may mean.
struct Candidate {
    key: ObjectKey,
    resource: Arc<str>,
}

/// Finds the object of a kind (`KIND`, `RESOURCE` or a short name, each with or without `.GROUP`, in any case) and a name
/// (`[NAMESPACE/]NAME`).
///
/// # Errors
/// No such object, with the nearest ones; or several, with their groups.
pub(super) fn find(rendering: &Rendering, kind: &str, name: &str) -> Result<ObjectKey, CliError> {
    search(rendering, kind, name).map_err(|error| {
        if rendering.snapshot.is_complete() {
            return error;
        }
        error.hint(
            "parts of the source cannot be read, and it may be there: stellate validate says which",
        )
    })
}

fn search(rendering: &Rendering, kind: &str, name: &str) -> Result<ObjectKey, CliError> {
    let all = candidates(rendering);
    let defined = defined_names(&rendering.snapshot);
    let of_kind: Vec<&Candidate> = all
        .iter()
        .filter(|candidate| is_kind(candidate, &defined, kind))
        .collect();
    let Some(first) = of_kind.first() else {
        return Err(unknown_kind(&all, &defined, kind));
    };
    let (namespace, name) = name
        .split_once('/')
        .map_or((None, name), |(namespace, name)| (Some(namespace), name));
    let named: Vec<&ObjectKey> = of_kind
        .iter()
        .map(|candidate| &candidate.key)
        .filter(|key| {
            &*key.name == name && namespace.is_none_or(|namespace| *key.namespace == *namespace)
        })
        .collect();
    match named.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(unknown_name(&of_kind, &first.key.kind, namespace, name)),
        several => {
            let texts: Vec<String> = several.iter().map(|key| format!("`{key}`")).collect();
            Err(
                CliError::message(format!("{} objects are called so", several.len()))
                    .hint(format!("say which one: {}", texts.join(", "))),
            )
        }
    }
}

/// Walks the Namespaces that are made for the objects in them, with the WECs that get them.
pub(super) fn implied_namespaces(
    rendering: &Rendering,
) -> impl Iterator<Item = (ObjectKey, &Arc<ClusterSet>)> {
    let implied = rendering.plan.implied_namespaces.iter();
    implied.map(|(name, clusters)| (ObjectKey::new("", "Namespace", "", name), clusters))
}

fn candidates(rendering: &Rendering) -> Vec<Candidate> {
    let kinds = Kinds::builtin();
    let objects = rendering.snapshot.objects.iter();
    let objects = objects.map(|object| Candidate {
        key: object.key.clone(),
        resource: Arc::clone(&object.resource),
    });
    let controls = rendering.snapshot.controls.iter().map(|control| {
        let info = kinds.get(&control.key.group, &control.key.kind);
        Candidate {
            key: control.key.clone(),
            resource: info.map_or_else(|| "".into(), |info| Arc::clone(&info.resource)),
        }
    });
    let implied = implied_namespaces(rendering)
        .filter(|(key, _)| rendering.snapshot.object(key).is_none())
        .map(|(key, _)| Candidate {
            key,
            resource: "namespaces".into(),
        });
    objects.chain(controls).chain(implied).collect()
}

/// What the source's own definitions call their kinds: resource, and another name for it.
fn defined_names(snapshot: &Snapshot) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for object in &snapshot.objects {
        if &*object.key.kind != "CustomResourceDefinition" {
            continue;
        }
        let value = object.value();
        let Some(names) = value.pointer("/spec/names") else {
            continue;
        };
        let Some(plural) = names["plural"].as_str() else {
            continue;
        };
        let short = names["shortNames"].as_array().into_iter().flatten();
        let others = short
            .chain(names.get("singular"))
            .filter_map(|name| name.as_str());
        found.extend(others.map(|name| (plural.to_owned(), name.to_owned())));
    }
    found
}

/// Walks all that a candidate's kind is called.
fn words<'a>(
    candidate: &'a Candidate,
    defined: &'a [(String, String)],
) -> impl Iterator<Item = &'a str> {
    let resource = &*candidate.resource;
    let short = SHORT.into_iter().filter(move |(of, _)| *of == resource);
    let defined = defined.iter().filter(move |(of, _)| of == resource);
    [&*candidate.key.kind, resource]
        .into_iter()
        .filter(|word| !word.is_empty())
        .chain(short.map(|(_, short)| short))
        .chain(defined.map(|(_, short)| short.as_str()))
}

fn is_kind(candidate: &Candidate, defined: &[(String, String)], wanted: &str) -> bool {
    let (bare, group) = match wanted.split_once('.') {
        Some((bare, group)) => (bare, Some(group)),
        None => (wanted, None),
    };
    group.is_none_or(|group| group.eq_ignore_ascii_case(&candidate.key.group))
        && words(candidate, defined).any(|word| word.eq_ignore_ascii_case(bare))
}

fn unknown_kind(all: &[Candidate], defined: &[(String, String)], kind: &str) -> CliError {
    let mut known: Vec<&str> = all.iter().map(|candidate| &*candidate.key.kind).collect();
    known.sort_unstable();
    known.dedup();
    let error = CliError::message(format!("the source holds nothing of kind {kind}"));
    let all_words = all.iter().flat_map(|candidate| words(candidate, defined));
    let near = names::nearest(kind, all_words).and_then(|near| {
        let mut all = all.iter();
        let meant = all.find(|candidate| words(candidate, defined).any(|word| word == near));
        meant.map(|candidate| &candidate.key.kind)
    });
    match near {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None if known.is_empty() => error.hint("it holds no objects at all"),
        None => error.hint(format!("it holds: {}", list(&known, 20))),
    }
}

fn unknown_name(
    of_kind: &[&Candidate],
    kind: &str,
    namespace: Option<&str>,
    name: &str,
) -> CliError {
    let whole = |key: &ObjectKey| match &*key.namespace {
        "" => key.name.to_string(),
        namespace => format!("{namespace}/{}", key.name),
    };
    let wanted = namespace.map_or_else(|| name.to_owned(), |space| format!("{space}/{name}"));
    let error = CliError::message(format!("the source holds no {kind} {wanted}"));
    let keys = || of_kind.iter().map(|candidate| &candidate.key);
    let same_name = keys().find(|key| &*key.name == name);
    // A slip in the name, wherever the object lives; then one in the namespace, too.
    let near_name = || {
        let near = names::nearest(name, keys().map(|key| &*key.name))?;
        keys().find(|key| &*key.name == near)
    };
    let known: Vec<String> = keys().map(whole).collect();
    let near = same_name.or_else(near_name).map(whole);
    let near = near
        .or_else(|| names::nearest(&wanted, known.iter().map(String::as_str)).map(str::to_owned));
    match near {
        Some(near) => error.hint(format!("did you mean {kind} {near}?")),
        None => error.hint(format!("it holds: {}", list(&known, NAMED))),
    }
}

/// Gives the positions of the WECs of these names; of all when there are none.
pub(super) fn clusters(rendering: &Rendering, names: &[String]) -> Result<Vec<usize>, CliError> {
    if names.is_empty() {
        return Ok((0..rendering.rendered.clusters.len()).collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        chosen.push(cluster(rendering, name)?);
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Gives the position of the WEC of this name.
pub(super) fn cluster(rendering: &Rendering, name: &str) -> Result<usize, CliError> {
    rendering.inventory.position(name).ok_or_else(|| {
        let known: Vec<&str> = rendering
            .inventory
            .clusters
            .iter()
            .map(|cluster| cluster.name.as_str())
            .collect();
        let error = CliError::message(format!("the inventory holds no WEC {name}"));
        match names::nearest(name, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint(format!("it holds: {}", list(&known, 12))),
        }
    })
}
