//! What stays as it is because of an error: a rendering and what stands → files to keep, and reasons to hold everything.
//!
//! Unknown is not empty: what could not be rendered, placed or read keeps its last good file.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::{ClusterName, ObjectKey};
use crate::output::branch::build::KeptFile;
use crate::output::branch::hash::{ObjectId, ObjectKind, object_id};
use crate::output::branch::standing::StandingTree;
use crate::output::path;
use crate::reconcile::{Rendering, steering};

/// Finds the files that stay as they are because of an error, and the reasons for which nothing may go out at all.
pub(super) fn kept_files<E>(
    rendering: &Rendering,
    standing: &mut StandingTree<'_, E>,
) -> Result<(Vec<KeptFile>, Vec<String>), E> {
    let clusters = &rendering.rendered.clusters;
    let mut kept: BTreeMap<(usize, String, String), ObjectId> = BTreeMap::new();
    for (key, set) in rendering.kept() {
        let (folder, file) = (path::folder(key), path::file_name(key));
        for cluster in set.iter() {
            if let Some(id) = standing.file(clusters[cluster].as_str(), folder, &file)? {
                kept.insert((cluster, folder.to_owned(), file.clone()), id);
            }
        }
    }
    let mut reasons = Vec::new();
    let known: HashSet<&str> = clusters.iter().map(ClusterName::as_str).collect();
    let stand = standing.clusters()?;
    if !rendering.inventory_complete || clusters.is_empty() {
        let missing: Vec<&str> = stand
            .keys()
            .map(String::as_str)
            .filter(|name| !known.contains(name))
            .collect();
        if !missing.is_empty() {
            let named = missing
                .iter()
                .take(5)
                .copied()
                .collect::<Vec<_>>()
                .join(", ");
            reasons.push(format!(
                "the inventory is not known in full, and {} WECs that have objects are not in it ({named})",
                missing.len()
            ));
        }
    }
    if stand.values().next().is_some() {
        // Without a rule, what it removes or fills in would go out as it is written.
        reasons.extend(steering::doubts(rendering));
    }
    if !rendering.snapshot.is_complete() {
        keep_unknown(rendering, standing, &mut kept)?;
    }
    if !rendering.is_certain() {
        keep_rather_than_bare(rendering, standing, &mut kept)?;
    }
    keep_namespaces(rendering, standing, &mut kept)?;
    let kept = kept
        .into_iter()
        .map(|((cluster, folder, file), id)| KeptFile {
            cluster,
            folder,
            file,
            id,
        })
        .collect();
    Ok((kept, reasons))
}

/// Counts the files that stay on each WEC beside what was rendered for it.
pub(super) fn beside(rendering: &Rendering, kept: &[KeptFile]) -> BTreeMap<ClusterName, usize> {
    let mut folders: HashMap<&str, HashMap<&str, BTreeSet<usize>>> = HashMap::new();
    for file in kept {
        let files = folders.entry(&file.folder).or_default();
        files.entry(&file.file).or_default().insert(file.cluster);
    }
    if !folders.is_empty() {
        for object in &rendering.rendered.objects {
            let files = folders.get_mut(path::folder(&object.key));
            let on = files.and_then(|files| files.get_mut(path::file_name(&object.key).as_str()));
            let Some(on) = on else {
                continue;
            };
            let goes_to = |cluster: &usize| {
                let mut variants = object.variants.iter();
                variants.any(|variant| variant.clusters.contains(*cluster))
            };
            on.retain(|cluster| !goes_to(cluster));
        }
    }
    let mut counts = BTreeMap::new();
    for &cluster in folders.values().flat_map(HashMap::values).flatten() {
        let name = rendering.rendered.clusters[cluster].clone();
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// What stays in a namespace keeps the Namespace: the WEC would delete everything in it otherwise.
fn keep_namespaces<E>(
    rendering: &Rendering,
    standing: &mut StandingTree<'_, E>,
    kept: &mut BTreeMap<(usize, String, String), ObjectId>,
) -> Result<(), E> {
    let needed: BTreeSet<(usize, ObjectKey)> = kept
        .keys()
        .filter(|(_, folder, _)| folder != path::CLUSTER_SCOPED)
        .map(|(cluster, folder, _)| (*cluster, ObjectKey::new("", "Namespace", "", folder)))
        .collect();
    for (cluster, namespace) in needed {
        let goes_out = rendering.object(&namespace).is_some_and(|object| {
            let mut variants = object.variants.iter();
            variants.any(|variant| variant.clusters.contains(cluster))
        });
        if goes_out {
            continue;
        }
        let (folder, file) = (path::CLUSTER_SCOPED, path::file_name(&namespace));
        let name = rendering.rendered.clusters[cluster].as_str();
        if let Some(id) = standing.file(name, folder, &file)? {
            kept.insert((cluster, folder.to_owned(), file), id);
        }
    }
    Ok(())
}

/// While anything is in doubt, a bare Namespace never takes the place of another one: what delivered that may be unknown now.
fn keep_rather_than_bare<E>(
    rendering: &Rendering,
    standing: &mut StandingTree<'_, E>,
    kept: &mut BTreeMap<(usize, String, String), ObjectId>,
) -> Result<(), E> {
    for (name, clusters) in &rendering.plan.implied_namespaces {
        let namespace = ObjectKey::new("", "Namespace", "", name);
        let (folder, file) = (path::CLUSTER_SCOPED, path::file_name(&namespace));
        let mut bare = None;
        for cluster in clusters.iter() {
            let on = rendering.rendered.clusters[cluster].as_str();
            let Some(id) = standing.file(on, folder, &file)? else {
                continue;
            };
            let bare = bare.get_or_insert_with(|| {
                let text = rendering.text(&namespace, cluster).unwrap_or_default();
                object_id(ObjectKind::Blob, &[&text])
            });
            if id != *bare {
                kept.insert((cluster, folder.to_owned(), file.clone()), id);
            }
        }
    }
    Ok(())
}

/// While parts of the source cannot be read or used, whatever is not in the rendering may be in there, and stays: a kind
/// that was misspelt may have been a policy, or a WEC.
fn keep_unknown<E>(
    rendering: &Rendering,
    standing: &mut StandingTree<'_, E>,
    kept: &mut BTreeMap<(usize, String, String), ObjectId>,
) -> Result<(), E> {
    let stand = standing.clusters()?;
    let mut rendered: Vec<HashSet<(&str, String)>> =
        vec![HashSet::new(); rendering.rendered.clusters.len()];
    for object in &rendering.rendered.objects {
        let file = path::file_name(&object.key);
        for cluster in object
            .variants
            .iter()
            .flat_map(|variant| variant.clusters.iter())
        {
            rendered[cluster].insert((path::folder(&object.key), file.clone()));
        }
    }
    for (cluster, name) in rendering.rendered.clusters.iter().enumerate() {
        let Some(&root) = stand.get(name.as_str()) else {
            continue;
        };
        for (folder, &tree) in standing.folders(root)?.iter() {
            for (file, &id) in standing.files(tree)?.iter() {
                if !rendered[cluster].contains(&(folder.as_str(), file.clone())) {
                    kept.insert((cluster, folder.clone(), file.clone()), id);
                }
            }
        }
    }
    Ok(())
}
