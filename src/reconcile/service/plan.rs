//! One pipeline as the service runs it: what follows from its configuration. Pure.

use std::time::Duration;

use crate::config::{self, Place, Resolved, ResolvedBranch, ResolvedOutput};
use crate::git::{RemoteUrl, Scheme};
use crate::model::Diagnostic;
use crate::model::api::pipeline::Reports;
use crate::status::summarise::Style;

/// How often a repository elsewhere is looked at when nothing is said; one on this machine is cheap to look at.
const REMOTE: Duration = Duration::from_secs(60);
const LOCAL: Duration = Duration::from_secs(2);
/// How long a WEC has to become healthy when nothing is said.
const DEADLINE: Duration = Duration::from_secs(600);

/// One pipeline as the service runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the configuration says.
    pub resolved: Resolved,
    /// How often the source is looked at without being told.
    pub interval: Duration,
    /// Whether WECs are expected to report.
    pub reports: Reports,
    /// How long a WEC has to report that all is well.
    pub deadline: Duration,
    /// How statuses are named and linked.
    pub style: Style,
    /// Whether pull requests are told what they would change.
    pub previews: bool,
    /// The label by which WECs share a status when there are too many.
    pub group_by: Option<String>,
}

/// What is wrong with a configuration as the service sees it: it uses what commands do not, and must have a source to follow.
pub fn findings(resolved: &Resolved, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let (unused, mut found): (Vec<Diagnostic>, _) = found
        .into_iter()
        .partition(|found| found.reason == config::NOT_USED);
    if resolved.place.is_none() {
        let message = format!(
            "pipeline {} has a WDS as its source, and a WDS cannot be followed",
            resolved.name
        );
        let mut refused = Diagnostic::error("UnsupportedSource", message).help(
            "name the repository from which the WDS gets its objects: `source.git`, or a folder: `source.folder`",
        );
        refused.location = unused.into_iter().find_map(|found| found.location);
        found.push(refused);
    }
    found
}

/// Tells whether two sources, as [`Plan::source`] gives them, are one: a commit of one is a commit of the other.
pub(super) fn is_same_source(one: &str, other: &str) -> bool {
    let same = || {
        let (one, other) = (RemoteUrl::parse(one).ok()?, RemoteUrl::parse(other).ok()?);
        Some(one.same_repository(&other))
    };
    one == other || same() == Some(true)
}

impl Plan {
    /// Reads off the configuration how a pipeline runs. `address` is where people see this service, when the pipeline does not say.
    pub fn new(mut resolved: Resolved, address: Option<&str>) -> Self {
        let branches = |output: &ResolvedOutput| matches!(output, ResolvedOutput::Branch(_));
        if let Some(Place::Folder(folder)) = &resolved.place
            && resolved.outputs.iter().any(branches)
        {
            // A generated commit stands for a commit: of such a folder, what is committed is followed.
            resolved.place = Some(Place::Git(folder.to_string_lossy().into_owned()));
        }
        let status = resolved.status.as_ref();
        let local = match &resolved.place {
            Some(Place::Git(url)) => {
                RemoteUrl::parse(url).is_ok_and(|url| url.scheme() == Scheme::Local)
            }
            _ => true,
        };
        let usual = if local { LOCAL } else { REMOTE };
        Self {
            interval: resolved.interval.unwrap_or(usual),
            reports: status.map_or(Reports::Auto, |status| status.reports),
            deadline: status.map_or(DEADLINE, |status| status.deadline),
            style: Style {
                prefix: status
                    .map_or_else(|| "stellate".to_owned(), |status| status.prefix.clone()),
                pipeline: resolved.name.clone(),
                max_clusters: status.map_or(30, |status| status.max_clusters),
                target_url: status
                    .and_then(|status| status.target_url.clone())
                    .or_else(|| address.map(str::to_owned)),
            },
            previews: status.is_some_and(|status| status.previews),
            group_by: status.and_then(|status| status.group_by.clone()),
            resolved,
        }
    }

    /// Where the source is, without credentials.
    pub fn source(&self) -> String {
        match &self.resolved.place {
            Some(Place::Git(url)) => {
                RemoteUrl::parse(url).map_or_else(|_| url.clone(), |url| url.redacted())
            }
            Some(Place::Folder(path)) => path.display().to_string(),
            None => String::new(),
        }
    }

    /// The source's address; none for a folder.
    pub(super) fn url(&self) -> Option<RemoteUrl> {
        match &self.resolved.place {
            Some(Place::Git(url)) => RemoteUrl::parse(url).ok(),
            _ => None,
        }
    }

    /// Tells whether a push to a reference concerns it. A pipeline that follows HEAD is concerned by every branch: which of them is
    /// HEAD only the remote knows.
    pub(super) fn follows(&self, reference: &str) -> bool {
        let short = reference
            .strip_prefix("refs/heads/")
            .or_else(|| reference.strip_prefix("refs/tags/"))
            .unwrap_or(reference);
        match &self.resolved.revision {
            None => reference.starts_with("refs/heads/") && !self.writes(short),
            Some(own) => own == reference || own == short,
        }
    }

    /// Tells whether a branch is one that this pipeline writes itself.
    fn writes(&self, branch: &str) -> bool {
        self.resolved.outputs.iter().any(|output| match output {
            ResolvedOutput::Branch(ResolvedBranch { name, .. }) => {
                branch == name || branch.starts_with(&format!("{name}/"))
            }
            ResolvedOutput::Folder(_) | ResolvedOutput::Mailbox { .. } => false,
        })
    }

    /// Where results go, in words.
    pub(super) fn outputs(&self) -> Vec<String> {
        let words = |output: &ResolvedOutput| match output {
            ResolvedOutput::Folder(path) => format!("folder {}", path.display()),
            ResolvedOutput::Mailbox { its, .. } => format!("mailboxes of {its}"),
            ResolvedOutput::Branch(ResolvedBranch {
                name, push, url, ..
            }) => {
                let remote = url.as_ref().map(|url| {
                    RemoteUrl::parse(url).map_or_else(|_| url.clone(), |url| url.redacted())
                });
                match (push, remote) {
                    (true, Some(remote)) => format!("branch {name} on {remote}"),
                    (true, None) => format!("branch {name} on {}", self.source()),
                    (false, _) => format!("branch {name} of {}", self.source()),
                }
            }
        };
        self.resolved.outputs.iter().map(words).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn place(output: &str) -> Option<Place> {
        let text = format!(
            "apiVersion: gitops.kubestellar.io/v1alpha1\nkind: Pipeline\nmetadata: {{name: shop}}\n\
             spec: {{source: {{folder: {{path: shop}}}}, outputs: [{output}]}}\n"
        );
        let written = config::load("stellate.yaml", text.as_bytes()).expect("it is right");
        let base = Path::new("/repositories");
        let (resolved, _) = config::resolve(&written[0], base, "stellate.yaml", text.as_bytes());
        Plan::new(resolved, None).resolved.place
    }

    #[test]
    fn of_a_folder_what_is_committed_goes_onto_a_branch() {
        assert!(
            matches!(place("{branch: {name: generated}}"), Some(Place::Git(url)) if url == "/repositories/shop")
        );
        assert!(matches!(
            place("{folder: {path: out}}"),
            Some(Place::Folder(_))
        ));
    }
}
