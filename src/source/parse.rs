//! Bytes of one file → [`ParsedBlob`]: its Kubernetes objects, or why it has none.
//!
//! Knows neither the file's name nor any kind's scope, so the answer belongs to the bytes alone and can be kept by
//! their id. One bad document makes the whole file bad: half of a file is never used.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::{Diagnostic, Labels, Location, Manifest, PathPart, RepoPath};
use crate::yaml::{self, Limits, Part, YamlError};

/// Lists inside lists, at most.
const LIST_DEPTH: usize = 8;

/// What a file that holds nothing at all is passed over with.
const EMPTY: &str = "it is empty";

/// What a file of other documents is passed over with.
const NO_OBJECTS: &str = "no apiVersion and kind";

/// The objects of one file.
#[derive(Clone, Debug, Default)]
pub struct ParsedBlob {
    /// The objects, in the file's order; empty when there are `errors`.
    pub documents: Vec<ParsedDocument>,
    /// What is wrong with the file; then nothing of it is used.
    pub errors: Vec<ParseError>,
    /// Why the file holds no objects, when it holds none and nothing is wrong.
    pub skipped: Option<&'static str>,
}

/// One object, as far as it can be understood without knowing its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedDocument {
    /// The document inside the file, from 0; a member of a `List` counts as a document of its own.
    pub index: u32,
    /// Line of its first value, from 1; for a member of a `List` the line of the list.
    pub line: u32,
    /// API group and version as written.
    pub api_version: Arc<str>,
    /// Kind as written.
    pub kind: Arc<str>,
    /// Namespace as written; none when absent or empty.
    pub namespace: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
    /// Labels.
    pub labels: Arc<Labels>,
    /// Annotations.
    pub annotations: Arc<Labels>,
    /// Whether an owner reference says that a controller made it.
    pub controlled: bool,
    /// The whole object.
    pub manifest: Manifest,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// A fixed word in CamelCase.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Line, from 1; 0 when only the file is known.
    pub line: u32,
    /// Column in characters, from 1; 0 when only the line is known.
    pub column: u32,
}

/// Reads all objects of a file.
pub fn parse(bytes: &[u8]) -> ParsedBlob {
    if let Some(error) = pointer(bytes) {
        return ParsedBlob::broken(vec![error]);
    }
    match Reader::read(bytes) {
        Ok(reader) => reader.finish(bytes),
        Err(error) => ParsedBlob::broken(vec![error.into()]),
    }
}

/// Gives line and column of what is at `path` in the document numbered `index` by [`parse`].
pub fn locate(bytes: &[u8], index: u32, path: &[PathPart], part: Part) -> Option<(u32, u32)> {
    let reader = Reader::read(bytes).ok()?;
    let place = reader.places.get(usize::try_from(index).ok()?)?;
    place.locate(bytes, path, part)
}

impl ParsedBlob {
    /// A file of which nothing can be used.
    pub(crate) fn broken(errors: Vec<ParseError>) -> Self {
        Self {
            errors,
            ..Self::default()
        }
    }

    /// A file without objects.
    pub(crate) fn without_objects(reason: &'static str) -> Self {
        Self {
            skipped: Some(reason),
            ..Self::default()
        }
    }
}

impl ParsedDocument {
    /// Takes an object apart; the errors name the field.
    pub(crate) fn new(index: u32, line: u32, value: &Value) -> Result<Self, Problem> {
        let api_version = text(value, "apiVersion")?;
        let kind = text(value, "kind")?;
        let (Some(api_version), Some(kind)) = (api_version, kind) else {
            return Err(Problem::incomplete(value));
        };
        let metadata = match value.get("metadata") {
            Some(Value::Object(metadata)) => metadata,
            None | Some(Value::Null) => return Err(Problem::nameless(kind, None)),
            Some(_) => return Err(Problem::shape(&["metadata"], "must be a map")),
        };
        let inside = |field: &'static str| match metadata.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Problem::shape(&["metadata", field], "must be a string")),
        };
        let name = inside("name")?.ok_or_else(|| Problem::nameless(kind, Some(metadata)))?;
        let namespace = inside("namespace")?;
        let labels = strings(metadata, "labels")?.unwrap_or_default();
        let annotations = strings(metadata, "annotations")?.unwrap_or_default();
        Ok(Self {
            index,
            line,
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
            labels: Arc::new(labels),
            annotations: Arc::new(annotations),
            controlled: has_controller(metadata),
            manifest: Manifest::new(value),
        })
    }

    /// Gives the object as it is in `namespace`, or in none.
    pub fn placed_in(&self, namespace: Option<&str>) -> Manifest {
        if self.namespace.as_deref() == namespace {
            return self.manifest.clone();
        }
        let mut value = self.manifest.value();
        if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
            match namespace {
                Some(namespace) => metadata.insert("namespace".to_owned(), namespace.into()),
                None => metadata.remove("namespace"),
            };
        }
        Manifest::new(&value)
    }
}

/// Tells whether an owner reference says that a controller made the object.
fn has_controller(metadata: &Map<String, Value>) -> bool {
    let owners = metadata.get("ownerReferences").and_then(Value::as_array);
    let mut owners = owners.into_iter().flatten();
    owners.any(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

impl ParseError {
    /// Puts the file's name to it.
    pub fn diagnostic(&self, path: &RepoPath) -> Diagnostic {
        let location = Location::at(path.clone(), self.line, self.column);
        let mut diagnostic = Diagnostic::error(self.reason, self.message.clone()).at(location);
        diagnostic.help.clone_from(&self.help);
        diagnostic
    }
}

impl From<YamlError> for ParseError {
    fn from(error: YamlError) -> Self {
        Self {
            reason: error.reason(),
            message: error.to_string(),
            help: error.help().map(str::to_owned),
            line: error.line(),
            column: error.column(),
        }
    }
}

/// What is wrong with one document, and where inside it.
#[derive(Debug)]
pub(crate) struct Problem {
    reason: &'static str,
    message: String,
    help: &'static str,
    path: Vec<PathPart>,
}

impl Problem {
    fn shape(path: &[&str], what: &str) -> Self {
        Self {
            reason: "InvalidObject",
            message: format!("{} {what}", path.join(".")),
            help: "write it as the API reference of the kind says",
            path: path.iter().map(|part| PathPart::from(*part)).collect(),
        }
    }

    fn incomplete(value: &Value) -> Self {
        let missing = ["apiVersion", "kind"]
            .into_iter()
            .filter(|field| value.get(field).is_none_or(Value::is_null));
        Self {
            reason: "IncompleteObject",
            message: format!(
                "the document has no {}",
                missing.collect::<Vec<_>>().join(" and no ")
            ),
            help: "add what is missing, or move what is no Kubernetes object to a file of its own",
            path: Vec::new(),
        }
    }

    fn nameless(kind: &str, metadata: Option<&Map<String, Value>>) -> Self {
        let generated = metadata.is_some_and(|metadata| metadata.contains_key("generateName"));
        Self {
            reason: "MissingName",
            message: if generated {
                format!("the {kind} has metadata.generateName and no metadata.name")
            } else {
                format!("the {kind} has no metadata.name")
            },
            help: "give it a name: what is delivered again and again needs one that stays",
            path: vec!["metadata".into()],
        }
    }
}

/// Where a document stands: which one of the file, and the steps into nested lists.
#[derive(Clone, Debug, Default)]
struct Place {
    document: usize,
    items: Vec<usize>,
}

impl Place {
    fn locate(&self, bytes: &[u8], path: &[PathPart], part: Part) -> Option<(u32, u32)> {
        let steps = self.items.iter();
        let mut whole: Vec<PathPart> = steps
            .flat_map(|&item| [PathPart::from("items"), PathPart::Index(item)])
            .collect();
        whole.extend_from_slice(path);
        yaml::locate(bytes, self.document, &whole, part)
    }
}

/// Collects the objects of one file.
#[derive(Default)]
struct Reader {
    line: u32,
    place: Place,
    next: u32,
    places: Vec<Place>,
    found: Vec<ParsedDocument>,
    problems: Vec<(Place, u32, Problem)>,
    others: Vec<(Place, u32, Problem)>,
}

impl Reader {
    fn read(bytes: &[u8]) -> Result<Self, YamlError> {
        let mut reader = Self::default();
        let documents = yaml::load(bytes, &Limits::default())?;
        for (document, read) in documents.into_iter().enumerate() {
            reader.line = read.line;
            reader.place = Place {
                document,
                items: Vec::new(),
            };
            reader.document(read.value, LIST_DEPTH, None);
        }
        Ok(reader)
    }

    /// Takes one document, or the members of a list.
    fn document(&mut self, mut value: Value, depth: usize, inherited: Option<(&str, &str)>) {
        if let (Some((api_version, kind)), Value::Object(map)) = (inherited, &mut value)
            && !map.contains_key("kind")
        {
            map.insert("kind".to_owned(), kind.into());
            map.insert("apiVersion".to_owned(), api_version.into());
        }
        match list_items(&mut value) {
            Some(_) if depth == 0 => {
                let problem = Problem::shape(&["items"], "is a list of lists of lists, too deep");
                self.problem(problem);
            }
            Some((items, api_version, kind)) => {
                // As kubectl reads typed lists, whose members may leave out what the list says.
                let inherited = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
                let inherited = inherited.map(|kind| (api_version.as_str(), kind));
                for (number, item) in items.into_iter().enumerate() {
                    self.place.items.push(number);
                    if !item.is_object() {
                        self.problem(Problem::shape(&[], "is a member of a list and no object"));
                        self.place.items.pop();
                        continue;
                    }
                    self.document(item, depth - 1, inherited);
                    self.place.items.pop();
                }
            }
            None => self.single(&value),
        }
    }

    fn single(&mut self, value: &Value) {
        if value.is_null() {
            return;
        }
        if !is_meant_as_object(value) {
            let problem = Problem::incomplete(value);
            self.others.push((self.place.clone(), self.line, problem));
            return;
        }
        let index = self.next;
        self.next += 1;
        self.places.push(self.place.clone());
        match ParsedDocument::new(index, self.line, value) {
            Ok(document) => self.found.push(document),
            Err(problem) => self.problem(problem),
        }
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push((self.place.clone(), self.line, problem));
    }

    /// Judges the file as a whole.
    fn finish(mut self, bytes: &[u8]) -> ParsedBlob {
        if self.next == 0 && self.problems.is_empty() {
            let nothing = self.others.is_empty();
            return ParsedBlob::without_objects(if nothing { EMPTY } else { NO_OBJECTS });
        }
        // Beside objects, a document that is none is most likely one with a slip in it.
        self.problems.append(&mut self.others);
        if self.problems.is_empty() {
            return ParsedBlob {
                documents: self.found,
                ..ParsedBlob::default()
            };
        }
        self.problems
            .sort_by(|(a, ..), (b, ..)| (a.document, &a.items).cmp(&(b.document, &b.items)));
        let errors = self.problems.into_iter().map(|(place, start, problem)| {
            let found = place.locate(bytes, &problem.path, Part::Value);
            let (line, column) = found.unwrap_or((start, 0));
            ParseError {
                reason: problem.reason,
                message: problem.message,
                help: Some(problem.help.to_owned()),
                line,
                column,
            }
        });
        ParsedBlob::broken(errors.collect())
    }
}

/// Takes the members out of a `List` (of any kind that ends so), with the list's API version and kind.
fn list_items(value: &mut Value) -> Option<(Vec<Value>, String, String)> {
    let map = value.as_object_mut()?;
    let kind = map.get("kind")?.as_str()?.to_owned();
    let api_version = map.get("apiVersion")?.as_str()?.to_owned();
    if !kind.ends_with("List") {
        return None;
    }
    let items = match map.get_mut("items") {
        Some(Value::Array(items)) => std::mem::take(items),
        // Told as a member that is no object: a list without members is written `items: []`.
        None | Some(Value::Null) if kind == "List" && api_version == "v1" => vec![Value::Null],
        _ => return None,
    };
    Some((items, api_version, kind))
}

/// Whether somebody meant this document as a Kubernetes object: it has both fields, or one of them and metadata.
fn is_meant_as_object(value: &Value) -> bool {
    let has = |field: &str| value.get(field).is_some_and(|value| !value.is_null());
    let fields = usize::from(has("apiVersion")) + usize::from(has("kind"));
    let metadata = value.get("metadata").is_some_and(Value::is_object);
    fields == 2 || (fields == 1 && metadata)
}

/// Reads a string at the top; none when it is absent or empty.
fn text<'v>(value: &'v Value, field: &str) -> Result<Option<&'v str>, Problem> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Problem::shape(&[field], "must be a string")),
    }
}

/// Reads a map of strings; every API server refuses any other value there.
fn strings(metadata: &Map<String, Value>, field: &str) -> Result<Option<Labels>, Problem> {
    let entries = match metadata.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(Problem::shape(&["metadata", field], "must be a map")),
    };
    let mut read = BTreeMap::new();
    for (key, value) in entries {
        let Value::String(value) = value else {
            let found = match value {
                Value::Null => "empty",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                _ => "no text",
            };
            return Err(Problem {
                reason: "NotAString",
                message: format!("metadata.{field}: the value of `{key}` is {found}, not a string"),
                help: "put the value in quotes",
                path: vec!["metadata".into(), field.into(), key.as_str().into()],
            });
        };
        read.insert(key.clone(), value.clone());
    }
    Ok(Some(read))
}

/// Recognises what Git LFS leaves in place of a file's contents.
fn pointer(bytes: &[u8]) -> Option<ParseError> {
    bytes
        .starts_with(b"version https://git-lfs")
        .then(|| ParseError {
            reason: "LfsPointer",
            message: "the file's contents are kept in Git LFS, which is not read".to_owned(),
            help: Some(
                "keep manifests in git itself: `git lfs untrack` and commit them again".to_owned(),
            ),
            line: 1,
            column: 0,
        })
}
