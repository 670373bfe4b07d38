//! From a path to what it names on the board; what is not there is a problem that says so.

use crate::model::{ClusterName, ObjectKey};
use crate::server::problem::Problem;
use crate::status::board::{Board, CommitBoard, PipelineBoard};
use crate::status::state::ClusterState;

pub(super) fn pipeline<'a>(board: &'a Board, name: &str) -> Result<&'a PipelineBoard, Problem> {
    board
        .pipelines
        .get(name)
        .ok_or_else(|| Problem::missing("NoSuchPipeline", format!("there is no pipeline {name}")))
}

/// By its id, or the beginning of it.
pub(super) fn commit<'a>(
    pipeline: &'a PipelineBoard,
    id: &str,
) -> Result<&'a CommitBoard, Problem> {
    pipeline.commit(id).ok_or_else(|| {
        Problem::missing("NoSuchCommit", format!("commit {id} is not remembered"))
            .help("the newest commits are; an id needs 7 characters at least")
    })
}

/// Tells whether no other commit came after it.
pub(super) fn is_newest(pipeline: &PipelineBoard, commit: &CommitBoard) -> bool {
    let newest = pipeline.commits.front();
    newest.is_some_and(|newest| newest.id == commit.id)
}

/// The commit before, which is the one that was published before.
pub(super) fn older<'a>(
    pipeline: &'a PipelineBoard,
    commit: &CommitBoard,
) -> Option<&'a CommitBoard> {
    let mut commits = pipeline.commits.iter().map(AsRef::as_ref);
    commits.find(|known| known.id == commit.id)?;
    commits.find(|older| older.generated.is_some())
}

pub(super) fn cluster<'a>(
    commit: &'a CommitBoard,
    name: &str,
) -> Result<(&'a ClusterName, &'a ClusterState), Problem> {
    commit
        .clusters
        .get_key_value(name)
        .ok_or_else(|| match commit.excluded.get(name) {
            Some(why) => Problem::missing("NotADestination", format!("WEC {name} {why}")),
            None => Problem::missing("NoSuchCluster", format!("the commit knows no WEC {name}")),
        })
}

/// Reads `KIND[.GROUP] [NAMESPACE/]NAME`, which is how objects are written everywhere.
pub(super) fn object(text: &str) -> Result<ObjectKey, Problem> {
    let malformed = || {
        Problem::request(format!("`{text}` is no object"))
            .help("write it as in `Deployment.apps shop/web`")
    };
    let (kind, name) = text.trim().split_once(' ').ok_or_else(malformed)?;
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    let (namespace, name) = name.trim().split_once('/').unwrap_or(("", name.trim()));
    if kind.is_empty() || name.is_empty() || name.contains(['/', ' ']) {
        return Err(malformed());
    }
    Ok(ObjectKey::new(group, kind, namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_is_written() {
        for text in [
            "Deployment.apps shop/web",
            "Namespace shop",
            "ClusterRole.rbac.authorization.k8s.io system:node",
        ] {
            assert_eq!(object(text).unwrap().to_string(), text);
        }
        for text in ["", "Deployment", "Deployment.apps", " web", "A b/c/d"] {
            assert!(object(text).is_err(), "{text}");
        }
    }
}
