//! Does a cluster hold what a folder of manifests says? Every field that is written must be there with that value; what the
//! cluster adds (defaults, status, managed fields) is its own business.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Deserializer, Value};

use super::{servers::ApiServer, wait_for};

/// Waits until every object below `folder` (YAML files, one or more objects each) is on `cluster` as it is written there.
/// Panics with the objects and fields that are missing or different when that does not come about.
pub(crate) fn expect_applied(cluster: &ApiServer, folder: &Path) {
    wait_for(
        &format!("{} on {}", folder.display(), cluster.name()),
        || {
            let written = written(cluster, folder)?;
            let found = found(cluster, folder)?;
            let mut wrong = Vec::new();
            for (name, object) in &written {
                match found.get(name) {
                    None => wrong.push(format!("{name} is not there")),
                    Some(live) => {
                        wrong.extend(difference(object, live).map(|at| format!("{name}{at}")));
                    }
                }
            }
            if wrong.is_empty() {
                Ok(())
            } else {
                Err(wrong.join("; "))
            }
        },
    );
}

/// Waits until no object below `folder` is on `cluster`.
pub(crate) fn expect_gone(cluster: &ApiServer, folder: &Path) {
    wait_for(
        &format!("the end of {} on {}", folder.display(), cluster.name()),
        || {
            let found = found(cluster, folder)?;
            if found.is_empty() {
                Ok(())
            } else {
                Err(format!("still there: {:?}", found.keys()))
            }
        },
    );
}

/// The resource version of each object below `folder` that is on `cluster`, by kind, namespace and name: what nobody wrote to
/// keeps it.
pub(crate) fn versions(cluster: &ApiServer, folder: &Path) -> BTreeMap<String, String> {
    let found = found(cluster, folder).unwrap();
    let version = |object: &Value| object["metadata"]["resourceVersion"].to_string();
    found
        .into_iter()
        .map(|(name, object)| (name, version(&object)))
        .collect()
}

type Objects = BTreeMap<String, Value>;

/// The objects below a folder, as kubectl reads them.
fn written(cluster: &ApiServer, folder: &Path) -> Result<Objects, String> {
    let files = format!("--filename={}", folder.display());
    let create = [
        "create",
        "--dry-run=client",
        "--validate=false",
        "--output=json",
        "--recursive",
    ];
    let objects = objects(cluster, &[&create[..], &[&files]].concat())?;
    if objects.is_empty() {
        Err("no manifests in it".to_owned())
    } else {
        Ok(objects)
    }
}

/// The same objects, as far as the cluster has them.
fn found(cluster: &ApiServer, folder: &Path) -> Result<Objects, String> {
    let files = format!("--filename={}", folder.display());
    let get = ["get", "--ignore-not-found", "--output=json", "--recursive"];
    objects(cluster, &[&get[..], &[&files]].concat())
}

/// The objects that a kubectl command prints, one after the other or in Lists, by kind, namespace and name.
fn objects(cluster: &ApiServer, arguments: &[&str]) -> Result<Objects, String> {
    let output = cluster.kubectl(arguments);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut objects = Objects::new();
    for document in Deserializer::from_slice(&output.stdout).into_iter::<Value>() {
        let document = document.map_err(|error| error.to_string())?;
        match document["items"].as_array() {
            Some(items) => objects.extend(items.iter().map(|item| (name(item), item.clone()))),
            None => drop(objects.insert(name(&document), document)),
        }
    }
    Ok(objects)
}

fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let parts = [&object["kind"], &metadata["namespace"], &metadata["name"]].map(text);
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

/// Where `live` does not hold what is `written`, with both values; `None` when it holds all of it.
fn difference(written: &Value, live: &Value) -> Option<String> {
    match (written, live) {
        (Value::Object(written), Value::Object(live)) => written.iter().find_map(|(key, value)| {
            let live = live.get(key).unwrap_or(&Value::Null);
            difference(value, live).map(|at| format!(".{key}{at}"))
        }),
        (Value::Array(written), Value::Array(live)) if written.len() == live.len() => written
            .iter()
            .zip(live)
            .enumerate()
            .find_map(|(index, (written, live))| {
                difference(written, live).map(|at| format!("[{index}]{at}"))
            }),
        // An API server does not keep an empty map where one may be left out.
        (Value::Object(written), Value::Null) if written.is_empty() => None,
        _ if written == live => None,
        _ => Some(format!(" is {live}, not {written}")),
    }
}

#[test]
fn a_difference_names_the_field_and_both_values() {
    let object = |replicas: u8| serde_json::json!({"spec": {"list": [{"replicas": replicas}]}});
    let mut live = object(2);
    live["status"] = serde_json::json!({"added": "by the cluster"});
    assert_eq!(difference(&object(2), &live), None);
    let at = difference(&object(1), &live);
    assert_eq!(at.as_deref(), Some(".spec.list[0].replicas is 2, not 1"));
    assert!(
        difference(&live, &object(2)).is_some(),
        "a field that is missing is a difference"
    );
}
