//! Which files of a source are read as manifests, judged by their paths alone.
//!
//! Inputs are paths; output is a [`Verdict`] for each. Pure: never looks into a file.

use std::collections::BTreeSet;

use crate::model::RepoPath;

/// The file that marks a folder as Stellate's own output.
const LOCK: &str = "stellate.lock";

/// What a path says about its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// May hold manifests: its bytes decide.
    Manifest,
    /// Looks like a manifest and is known to be none; the reason is worth telling.
    Skip(&'static str),
    /// Nobody expects it to be read.
    Ignore,
}

/// Which parts of a source were asked for, and which of them are nobody's manifests.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Prefixes, without slashes at their ends; one empty one for everything.
    prefixes: Vec<String>,
    /// Folders that Stellate itself wrote.
    generated: BTreeSet<String>,
}

impl Selection {
    /// Selects what lies at or below `paths`; everything when there are none.
    pub fn new(paths: &[RepoPath]) -> Self {
        let mut prefixes: Vec<String> = paths.iter().map(|path| normal(path.as_str())).collect();
        if prefixes.is_empty() || prefixes.iter().any(String::is_empty) {
            prefixes = vec![String::new()];
        }
        prefixes.sort();
        prefixes.dedup();
        // A prefix below another one adds nothing.
        let all = prefixes.clone();
        prefixes.retain(|one| !all.iter().any(|other| other != one && is_below(one, other)));
        Self {
            prefixes,
            generated: BTreeSet::new(),
        }
    }

    /// The prefixes, none inside another; a single empty one for everything.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(String::as_str)
    }

    /// Leaves out the folders among these paths that Stellate itself wrote: those with a `stellate.lock`.
    #[must_use]
    pub fn without_generated<'a>(mut self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        self.generated
            .extend(paths.into_iter().filter_map(generated_folder));
        self
    }

    /// Tells whether the source's own root is a folder that Stellate wrote.
    pub fn is_generated(&self) -> bool {
        self.generated.contains("")
    }

    /// Judges a file by its path.
    pub fn judge(&self, path: &str) -> Verdict {
        let inside = self.prefixes.iter().any(|prefix| is_below(path, prefix));
        if !inside || is_hidden(path) {
            return Verdict::Ignore;
        }
        if self.generated.iter().any(|folder| is_below(path, folder)) {
            return if path.ends_with(LOCK) {
                Verdict::Skip("the folder is written by Stellate itself")
            } else {
                Verdict::Ignore
            };
        }
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        judge_name(name)
    }
}

/// Judges a file by its name.
fn judge_name(name: &str) -> Verdict {
    if !is_manifest_name(name) {
        return Verdict::Ignore;
    }
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let lower = stem.to_ascii_lowercase();
    let values = lower == "values" || lower.starts_with("values-") || lower.starts_with("values.");
    match lower.as_str() {
        _ if values || lower.ends_with("-values") || lower.ends_with(".values") => {
            Verdict::Skip("Helm values")
        }
        "kustomization" => Verdict::Skip("a kustomization"),
        "chart" | "requirements" => Verdict::Skip("a Helm chart's description"),
        "docker-compose" => Verdict::Skip("a Compose file"),
        // Only what cannot be told by its contents: these are often no valid YAML.
        "mkdocs" | "pnpm-lock" => Verdict::Skip("another tool's configuration"),
        _ if lower.starts_with("docker-compose.") => Verdict::Skip("a Compose file"),
        _ if ending == "json" && is_json_configuration(&lower) => {
            Verdict::Skip("another tool's configuration")
        }
        _ => Verdict::Manifest,
    }
}

/// Recognises JSON files that often hold comments, or more than any manifest.
fn is_json_configuration(stem: &str) -> bool {
    let known = ["package", "package-lock", "composer", "deno", "renovate"];
    known.contains(&stem) || stem.starts_with("tsconfig") || stem.ends_with(".schema")
}

/// Tells whether a name ends as manifests do.
pub fn is_manifest_name(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(stem, ending)| !stem.is_empty() && matches!(ending, "yaml" | "yml" | "json"))
}

/// Tells whether a name, or the last part of a path, says something about which manifests there are.
pub fn is_of_interest(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    is_manifest_name(name) || is_kustomization(name) || name == LOCK
}

/// Tells whether a name is one of the three that kustomize looks for.
pub fn is_kustomization(name: &str) -> bool {
    matches!(
        name,
        "kustomization.yaml" | "kustomization.yml" | "Kustomization"
    )
}

/// Tells whether `path` is `folder` or lies below it; everything lies below the empty folder.
pub fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| folder.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// Tells whether a path has a part that begins with a dot: `.git`, `.github`, `.gitlab-ci.yml` …
pub fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

/// Brings a prefix as people write it (`./apps/`, `.`, `/apps`) to the form that paths have.
pub fn normal(path: &str) -> String {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}

/// Follows `relative` from the folder `base`; none when it leads out of the root.
pub fn join(base: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Gives the path of `name` inside `folder`.
pub fn below(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", _) => name.to_owned(),
        (_, "") => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

/// Gives the folder that a path is in; empty for the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Gives the folder of a `stellate.lock`.
fn generated_folder(path: &str) -> Option<String> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    (name == LOCK).then(|| parent(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(path: &str) -> Verdict {
        Selection::new(&[]).judge(path)
    }

    #[test]
    fn manifests_are_files_that_end_as_manifests_do() {
        for path in [
            "web.yaml",
            "a/b/web.yml",
            "web.json",
            "secret.sops.yaml",
            "apps/valuesets.yaml",
            "stellate.yaml",
            "package.yaml",
            "compose.yaml",
        ] {
            assert_eq!(judge(path), Verdict::Manifest, "{path}");
        }
        for path in ["README.md", "yaml", ".yaml", "web.yaml.bak", "main.tf"] {
            assert_eq!(judge(path), Verdict::Ignore, "{path}");
        }
    }

    #[test]
    fn files_known_to_be_no_manifests_are_passed_over_with_a_reason() {
        for path in [
            "kustomization.yaml",
            "app/Chart.yaml",
            "values.yaml",
            "app/values-prod.yaml",
            "prod.values.yaml",
            "docker-compose.yml",
            "package.json",
            "web/tsconfig.base.json",
        ] {
            assert!(matches!(judge(path), Verdict::Skip(_)), "{path}");
        }
    }

    #[test]
    fn hidden_files_and_folders_are_ignored() {
        for path in [".github/workflows/ci.yml", ".gitlab-ci.yml", "a/.b/c.yaml"] {
            assert_eq!(judge(path), Verdict::Ignore, "{path}");
        }
    }

    #[test]
    fn only_the_paths_that_were_asked_for_are_read() {
        let selection = Selection::new(&["./apps/".into(), "apps/web".into(), "crds.yaml".into()]);
        assert_eq!(
            selection.prefixes().collect::<Vec<_>>(),
            ["apps", "crds.yaml"]
        );
        assert_eq!(selection.judge("apps/web.yaml"), Verdict::Manifest);
        assert_eq!(selection.judge("crds.yaml"), Verdict::Manifest);
        assert_eq!(selection.judge("apps2/web.yaml"), Verdict::Ignore);
    }

    #[test]
    fn what_stellate_wrote_is_not_read_again() {
        let selection = Selection::new(&[]).without_generated(["out/stellate.lock", "web.yaml"]);
        assert_eq!(selection.judge("out/clusters/a/web.yaml"), Verdict::Ignore);
        assert!(matches!(
            selection.judge("out/stellate.lock"),
            Verdict::Skip(_)
        ));
        assert_eq!(selection.judge("outer/web.yaml"), Verdict::Manifest);
        assert!(!selection.is_generated());
        assert!(
            Selection::new(&[])
                .without_generated(["stellate.lock"])
                .is_generated()
        );
    }

    #[test]
    fn a_relative_path_never_leaves_the_root() {
        assert_eq!(join("a/b", "../c").as_deref(), Some("a/c"));
        assert_eq!(join("a", "..").as_deref(), Some(""));
        assert_eq!(join("a", "../../c"), None);
        assert_eq!(join("a", "/etc/passwd"), None);
    }
}
