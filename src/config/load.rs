//! Text or an object → [`Written`]s, or everything that is wrong with it, by place. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Resolved, Written, contest, masking, mistakes, resolve};
use crate::model::api::pipeline::{Output, Pipeline};
use crate::model::api::{ApiObject as _, ReadError, read};
use crate::model::names::{NameRule, validate_name};
use crate::model::{Diagnostic, Location, PathPart, RepoPath, Severity};
use crate::yaml::{self, Limits, Part};

/// Reads all documents of `stellate.yaml`.
///
/// # Errors
/// Everything that is wrong with the text, sorted by place; never empty.
pub fn load(path: &str, text: &[u8]) -> Result<Vec<Written>, Vec<Diagnostic>> {
    let file = RepoPath::from(path);
    let documents = yaml::load(text, &Limits::default()).map_err(|error| {
        let place = Location::at(file.clone(), error.line(), error.column());
        let message = masking::discreet_about(&error.to_string(), text, error.line());
        let found = Diagnostic::error(error.reason(), message).at(place);
        vec![match error.help() {
            Some(help) => found.help(help),
            None => found,
        }]
    })?;
    let mut pipelines = Vec::new();
    let mut found = Vec::new();
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    for (index, document) in documents.iter().enumerate() {
        let place = |path: &[PathPart], part| place(&file, text, index, path, part);
        match mistakes::read_all(&document.value, pipeline) {
            Ok(pipeline) => {
                let name = pipeline.metadata.name.clone().unwrap_or_default();
                if let Some(first) = names.get(&name) {
                    let message = format!(
                        "a second pipeline has the name `{name}`; the first is on line {first}"
                    );
                    let at = place(&["metadata".into(), "name".into()], Part::Value);
                    found.push(
                        Diagnostic::error("DuplicatePipeline", message)
                            .at(at)
                            .help("rename one of the two"),
                    );
                }
                names.entry(name).or_insert(document.line);
                pipelines.push(Written {
                    pipeline,
                    document: index,
                });
            }
            Err(errors) => found.extend(errors.into_iter().map(|error| {
                let at = place(&error.path, Part::blamed_by(error.reason));
                masking::discreet(error, &document.value).diagnostic(at)
            })),
        }
    }
    found.extend(together(&pipelines, path, text, &found));
    if documents.is_empty() {
        found.push(
            Diagnostic::error("EmptyConfiguration", "there is no pipeline in the file")
                .at(Location::file(file))
                .help(
                    "start from what `stellate init` writes, or remove the file: nothing needs one",
                ),
        );
    }
    if found.is_empty() {
        return Ok(pipelines);
    }
    found.sort_by(|left, right| left.location.cmp(&right.location));
    Err(found)
}

/// What is wrong with the pipelines that could be read: branches that two of them write; and where the file is refused anyway, what
/// each would be refused for by itself.
fn together(
    pipelines: &[Written],
    path: &str,
    text: &[u8],
    refused: &[Diagnostic],
) -> Vec<Diagnostic> {
    // Where the file lies makes no difference between its own paths.
    let resolved: Vec<(Resolved, Vec<Diagnostic>)> = pipelines
        .iter()
        .map(|written| resolve(written, Path::new(""), path, text))
        .collect();
    let mut found = Vec::new();
    for (second, (later, _)) in resolved.iter().enumerate() {
        for (first, (earlier, _)) in resolved[..second].iter().enumerate() {
            if later.name == earlier.name {
                continue;
            }
            let Some(contest) = contest(later, earlier) else {
                continue;
            };
            let at = |pipeline: &Written, index| branch_place(pipeline, index, path, text);
            let whose = format!(
                "pipeline `{}` on line {}",
                earlier.name,
                at(&pipelines[first], contest.others_index).line
            );
            let place = at(&pipelines[second], contest.index);
            found.push(contest.diagnostic(&whose).at(place));
        }
    }
    if !refused.is_empty() || !found.is_empty() {
        let others = resolved.into_iter().flat_map(|(_, found)| found);
        found.extend(others.filter(|found| found.severity == Severity::Error));
    }
    found
}

/// Where the name of a pipeline's branch stands; `index` counts its branches.
fn branch_place(written: &Written, index: usize, path: &str, text: &[u8]) -> Location {
    let outputs = written.pipeline.spec.outputs.iter().enumerate();
    let mut branches = outputs.filter(|(_, output)| matches!(output, Output::Branch(_)));
    let output = branches.nth(index).map_or(0, |(output, _)| output);
    let name = [
        "spec".into(),
        "outputs".into(),
        output.into(),
        "branch".into(),
        "name".into(),
    ];
    place(
        &RepoPath::from(path),
        text,
        written.document,
        &name,
        Part::Value,
    )
}

/// Reads a pipeline as an API server holds it, by the same rules as a document of the file.
///
/// # Errors
/// All that is wrong with it, never an empty list; its place is `pipelines/NAME`.
pub fn from_object(name: &str, spec: &Value) -> Result<Written, Vec<Diagnostic>> {
    // What else stands in such an object is the server's own.
    let document = serde_json::json!({
        "apiVersion": format!("{}/{}", Pipeline::GROUP, Pipeline::VERSION),
        "kind": Pipeline::KIND,
        "metadata": {"name": name},
        "spec": spec,
    });
    let place = Location::file(RepoPath::new(format!("pipelines/{name}")));
    let pipeline = mistakes::read_all(&document, pipeline).map_err(|errors| {
        let found = |error| masking::discreet(error, &document).diagnostic(place.clone());
        errors.into_iter().map(found).collect::<Vec<_>>()
    })?;
    Ok(Written {
        pipeline,
        document: 0,
    })
}

/// Reads one document.
fn pipeline(value: &Value) -> Result<Pipeline, ReadError> {
    let pipeline: Pipeline = read(value)?;
    let name = pipeline.metadata.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        let error = ReadError::new("MissingField", "`name` is missing");
        return Err(error
            .help("every pipeline has a name")
            .under_key("metadata"));
    }
    validate_name(NameRule::Subdomain, name).map_err(|error| {
        ReadError::new("InvalidName", error.to_string())
            .help("take a name that an API server would take, such as `shop-two`")
            .under_key("name")
            .under_key("metadata")
    })?;
    Ok(pipeline)
}

/// Gives line and column of a field.
pub(super) fn place(
    file: &RepoPath,
    text: &[u8],
    document: usize,
    path: &[PathPart],
    part: Part,
) -> Location {
    yaml::locate(text, document, path, part).map_or_else(
        || Location::file(file.clone()),
        |(line, column)| Location::at(file.clone(), line, column),
    )
}
