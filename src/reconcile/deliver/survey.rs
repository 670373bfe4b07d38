//! A look at what a delivery would change, WEC by WEC, before it is decided who gets it now. Writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::branch::Branch;
use super::keep::kept_files;
use super::{DeliverError, DeliveryOptions, Destination, branch};
use crate::model::ClusterName;
use crate::output::branch::build::{self, BranchState, KeptFile};
use crate::output::branch::change::{Change, change};
use crate::output::branch::hash::ObjectId;
use crate::output::branch::object::Tree;
use crate::output::branch::standing::StandingTree;
use crate::output::folder::{self, FolderError};
use crate::reconcile::Rendering;
use crate::reconcile::pipeline::Pipeline;
use crate::transform::Rendered;

/// What a delivery to one destination would change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// The WECs that would get something else than they have.
    pub pending: BTreeSet<ClusterName>,
    /// What tells the bytes that each WEC is to have from others.
    pub contents: BTreeMap<ClusterName, String>,
    /// What changes in all.
    pub change: Change,
}

/// A survey, and what it holds for.
pub(in crate::reconcile) struct Surveyed {
    /// What stood.
    pub(super) clusters: Option<ObjectId>,
    /// What was rendered.
    pub(super) rendered: Arc<Rendered>,
    /// What was kept beside it.
    pub(super) kept: Vec<KeptFile>,
    pub(super) survey: Survey,
}

impl Pipeline {
    /// Looks at what [`Self::deliver`] would change.
    ///
    /// # Errors
    /// When the destination cannot be read.
    pub fn survey(
        &mut self,
        rendering: &Rendering,
        to: &Destination,
        options: &DeliveryOptions,
    ) -> Result<Survey, DeliverError> {
        match to {
            Destination::Folder(path) => folder_survey(rendering, path),
            Destination::Branch(to) => {
                let repository = to.open()?;
                let branch = Branch::new(&repository, to, options);
                branch::survey(self, rendering, &branch)
            }
        }
    }
}

fn folder_survey(rendering: &Rendering, path: &Path) -> Result<Survey, DeliverError> {
    let standing = folder::standing(path)?;
    let mut read = |id| Ok::<Tree, FolderError>(standing.trees[&id].clone());
    let mut tree = StandingTree::new(standing.clusters, &mut read);
    let (kept, _) = kept_files(rendering, &mut tree)?;
    let built = build::build(&rendering.rendered, &kept, None, &HashSet::new())?;
    let change = change(&mut tree, &built.state)?;
    Ok(Survey::new(&mut tree, &built.state, change)?)
}

impl Survey {
    pub(super) fn new<E>(
        standing: &mut StandingTree<'_, E>,
        wanted: &BranchState,
        change: Change,
    ) -> Result<Self, E> {
        let roots = standing.clusters()?;
        let mut survey = Self {
            change,
            ..Self::default()
        };
        for name in wanted.cluster_names() {
            let Some(root) = wanted.root(name) else {
                continue;
            };
            let stands = roots.get(name).copied();
            // An empty folder where there was none gives a WEC nothing.
            if stands != Some(root) && (stands.is_some() || wanted.has_files(name)) {
                survey.pending.insert(name.into());
            }
            survey.contents.insert(name.into(), root.to_string());
        }
        Ok(survey)
    }
}
