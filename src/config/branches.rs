//! Which branches pipelines write, and where two of them would write the same: each would take away what the other put there. Pure.

use crate::config::{Place, Resolved, ResolvedOutput};
use crate::git::RemoteUrl;
use crate::model::Diagnostic;

/// A branch that two pipelines would write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    /// Which of the one pipeline's branches it is, from 0.
    pub index: usize,
    /// The name that the one has for it.
    pub own: String,
    /// The name that the other has for it: the same, or one of the two is below the other.
    pub others: String,
    /// Which of the other pipeline's branches it is, from 0.
    pub others_index: usize,
    /// The repository, without credentials.
    pub repository: String,
}

/// Finds a branch that both would write: the same repository, however it is addressed, and the same name or one below it, as those of
/// the layout `branches` are.
pub fn contest(one: &Resolved, other: &Resolved) -> Option<Contest> {
    branches(one).find_map(|(index, name, url)| {
        let mut others = branches(other);
        let (others_index, others, _) = others.find(|(_, others, theirs)| {
            url.same_repository(theirs)
                && (name == *others || is_below(name, others) || is_below(others, name))
        })?;
        Some(Contest {
            index,
            own: name.to_owned(),
            others: others.to_owned(),
            others_index,
            repository: url.redacted(),
        })
    })
}

impl Contest {
    /// What the pipeline is told that comes second; `whose` names the first.
    pub fn diagnostic(&self, whose: &str) -> Diagnostic {
        let Self {
            own,
            others,
            repository,
            ..
        } = self;
        let message = if own == others {
            format!("branch `{own}` of {repository} is already written by {whose}")
        } else {
            format!(
                "branches `{own}` and `{others}` of {repository} lie one below the other, and `{others}` is written by {whose}"
            )
        };
        Diagnostic::error("BranchTaken", message)
            .help("give each pipeline a branch of its own; several sources for one branch are not put together")
    }
}

/// The branches that a pipeline writes, each with its repository, and with its number among all of them.
fn branches(pipeline: &Resolved) -> impl Iterator<Item = (usize, &str, RemoteUrl)> {
    let outputs = pipeline.outputs.iter().filter_map(|output| match output {
        ResolvedOutput::Branch(branch) => Some(branch),
        _ => None,
    });
    outputs.enumerate().filter_map(|(index, branch)| {
        let home = match &pipeline.place {
            Some(Place::Git(url)) => Some(url),
            _ => None,
        };
        let named = branch.url.as_ref().filter(|_| branch.push);
        let url = RemoteUrl::parse(named.or(home)?).ok()?;
        Some((index, branch.name.as_str(), url))
    })
}

fn is_below(name: &str, other: &str) -> bool {
    name.strip_prefix(other)
        .is_some_and(|rest| rest.starts_with('/'))
}
