//! Delivery into a folder.

use std::collections::HashSet;
use std::path::Path;

use super::keep::{beside, kept_files};
use super::waiting::Held;
use super::{
    DeliverError, Delivery, DeliveryOptions, Outcome, hold, is_strict, lock, lost, provenance,
    source_commit,
};
use crate::output::branch::build::{self, BranchState, KeptFile};
use crate::output::branch::change::change;
use crate::output::branch::lock::Lock;
use crate::output::branch::metadata;
use crate::output::branch::object::Tree;
use crate::output::branch::repository::LOCK;
use crate::output::branch::standing::StandingTree;
use crate::output::folder::{self, FolderError};
use crate::output::path;
use crate::reconcile::Rendering;
use crate::reconcile::pipeline::Clock;
use crate::reconcile::request::Progress;
use crate::transform::Rendered;

/// Makes the folder hold exactly the generated tree.
pub(super) fn deliver(
    rendering: &Rendering,
    path: &Path,
    options: &DeliveryOptions,
    progress: &dyn Progress,
) -> Result<Delivery, DeliverError> {
    let mut clock = Clock::new(progress);
    clock.stage("build");
    let standing = folder::standing(path)?;
    let mut read = |id| Ok::<Tree, FolderError>(standing.trees[&id].clone());
    let mut tree = StandingTree::new(standing.clusters, &mut read);
    let (kept, mut reasons) = kept_files(rendering, &mut tree)?;
    reasons.extend(lost(rendering, standing.lock.as_deref().into_iter()));
    let held = Held::new(rendering, options, &mut tree, None)?;
    let kept = held.without(kept);
    let rendered = rendering.rendered.without(&held.clusters);
    let built = build::build_beside(&rendered, &kept, &held.folders, None, &HashSet::new())?;
    let change = change(&mut tree, &built.state)?;
    let stays = files_of(rendering, &held, &mut tree)?;
    let lock = lock(rendering, &kept, held.locked).to_bytes();
    let mut delivery = Delivery::new(change, built.statistics);
    delivery.kept = beside(rendering, &kept);
    delivery.releasable = reasons.is_empty() && !is_strict(rendering, options);
    reasons.extend(hold(rendering, &delivery.change, options));
    if !reasons.is_empty() {
        delivery.outcome = Outcome::Held(reasons);
    } else if !delivery.change.is_empty() || standing.clusters != Some(built.tree) {
        clock.stage("write");
        write_files(
            (rendering, &rendered),
            path,
            &built.state,
            (&kept, stays),
            &lock,
        )?;
        delivery.outcome = Outcome::Written;
    }
    clock.stop();
    delivery.timings = clock.timings;
    Ok(delivery)
}

/// The files of WECs that keep what they have, by their paths.
fn files_of(
    rendering: &Rendering,
    held: &Held,
    standing: &mut StandingTree<'_, FolderError>,
) -> Result<Vec<folder::File>, FolderError> {
    let mut files = Vec::new();
    for folder in &held.folders {
        let Some(root) = folder.root else {
            continue;
        };
        let below = format!(
            "{}/{}",
            path::CLUSTERS,
            rendering.rendered.clusters[folder.cluster]
        );
        let mut names = Vec::new();
        for (inner, &tree) in standing.folders(root)?.iter() {
            names.extend(
                standing
                    .files(tree)?
                    .keys()
                    .map(|file| format!("{inner}/{file}")),
            );
        }
        if names.is_empty() {
            names.push(path::KEEP.to_owned());
        }
        files.extend(names.into_iter().map(|name| folder::File {
            path: format!("{below}/{name}"),
            content: None,
        }));
    }
    Ok(files)
}

/// Writes the whole tree; files that stay equal are linked, not written.
fn write_files(
    (rendering, rendered): (&Rendering, &Rendered),
    target: &Path,
    state: &BranchState,
    (kept, stays): (&[KeptFile], Vec<folder::File>),
    lock: &[u8],
) -> Result<(), FolderError> {
    let mut files = stays;
    files.push(folder::File {
        path: LOCK.to_owned(),
        content: Some(lock.to_vec()),
    });
    let metadata = source_commit(rendering).map(|commit| {
        let lock = Lock::default();
        metadata::hydrator_metadata(&provenance(rendering, commit, &lock))
    });
    files.extend(metadata.map(|content| folder::File {
        path: metadata::HYDRATOR_METADATA.to_owned(),
        content: Some(content),
    }));
    let kept: HashSet<(usize, &str, &str)> = kept
        .iter()
        .map(|file| (file.cluster, file.folder.as_str(), file.file.as_str()))
        .collect();
    let below = |cluster: usize, rest: &str| {
        format!("{}/{}/{rest}", path::CLUSTERS, rendered.clusters[cluster])
    };
    for &(cluster, inner, file) in &kept {
        files.push(folder::File {
            path: below(cluster, &format!("{inner}/{file}")),
            content: None,
        });
    }
    for (cluster, name) in rendered.clusters.iter().enumerate() {
        if state.files_on(name.as_str()) == 0 && state.held(name.as_str()).is_none() {
            files.push(folder::File {
                path: below(cluster, path::KEEP),
                content: Some(Vec::new()),
            });
        }
    }
    for object in &rendered.objects {
        let (inner, file) = (path::folder(&object.key), path::file_name(&object.key));
        for variant in object.variants.iter() {
            for cluster in variant.clusters.iter() {
                if kept.contains(&(cluster, inner, file.as_str())) {
                    continue;
                }
                let mut text = Vec::new();
                variant.bytes_into(cluster, &mut text);
                let path = below(cluster, &format!("{inner}/{file}"));
                files.push(folder::File {
                    path,
                    content: Some(text),
                });
            }
        }
    }
    folder::write(target, files.into_iter())
}
