//! Parsed files → [`Snapshot`]: every object once, under its key, sorted into what it is for.
//!
//! Inputs are files with their parsed documents and the kinds that are known; output is a snapshot with diagnostics.
//! Pure, and the same whatever the order of the files. Never guesses a kind's scope, and never drops an object without
//! saying so.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::kinds::{KindInfo, Kinds};
use crate::model::{
    BlobId, Diagnostic, Labels, Location, Object, ObjectKey, Origin, RepoPath, Scope, Severity,
    names,
};

use super::parse::{ParsedBlob, ParsedDocument};
use super::{BrokenFile, Control, Snapshot};

mod role;

use role::Role;

/// The label that an API server gives every Namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// One file of a source.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Where it lies.
    pub path: RepoPath,
    /// The id of its bytes.
    pub blob: BlobId,
    /// What it holds.
    pub parsed: Arc<ParsedBlob>,
    /// The namespace of namespaced objects that name none; `default` when this is none, as for kubectl.
    pub namespace: Option<Arc<str>>,
}

/// Sorts all objects of `files` into a snapshot; `kinds` are the built-in and the configured ones.
pub fn assemble(files: &[SourceFile], kinds: &Kinds) -> (Snapshot, Vec<Diagnostic>) {
    let (snapshot, findings, _) = assemble_defining(files, kinds);
    (snapshot, findings)
}

/// Does the same, and gives the kinds with those that the source defines itself; none when it defines none.
pub(super) fn assemble_defining(
    files: &[SourceFile],
    kinds: &Kinds,
) -> (Snapshot, Vec<Diagnostic>, Option<Kinds>) {
    let mut sorted: Vec<&SourceFile> = files.iter().collect();
    sorted.sort_by(|a, b| (&a.path, a.blob).cmp(&(&b.path, b.blob)));
    let mut findings = Vec::new();
    let defined = with_definitions(kinds, &sorted, &mut findings);
    let mut assembly = Assembly {
        kinds: defined.as_ref().unwrap_or(kinds),
        default: "default".into(),
        versions: HashMap::new(),
        unknown: BTreeMap::new(),
        snapshot: Snapshot::default(),
        findings,
    };
    for file in sorted {
        assembly.file(file);
    }
    let (snapshot, findings) = assembly.finish();
    (snapshot, findings, defined)
}

/// Adds the kinds that the source defines itself; none when it defines none.
fn with_definitions(
    kinds: &Kinds,
    files: &[&SourceFile],
    findings: &mut Vec<Diagnostic>,
) -> Option<Kinds> {
    let mut extended = None;
    for file in files {
        for document in &file.parsed.documents {
            let group = split(&document.api_version).0;
            if &*document.kind != "CustomResourceDefinition" || group != "apiextensions.k8s.io" {
                continue;
            }
            let extended = extended.get_or_insert_with(|| kinds.clone());
            if let Err(error) = extended.add_crd(&document.manifest.value()) {
                let finding = Diagnostic::error("InvalidDefinition", error.to_string())
                    .help("objects of this kind need a definition, here or in the configuration");
                findings.push(finding.at(place(file, document)));
            }
        }
    }
    extended
}

/// An unknown kind: where it was seen first, and how often.
struct Unknown {
    first: Location,
    object: ObjectKey,
    count: usize,
}

/// A snapshot in the making.
struct Assembly<'k> {
    kinds: &'k Kinds,
    default: Arc<str>,
    /// The parts of an API version, shared by all objects that have it.
    versions: HashMap<Arc<str>, Arc<str>>,
    unknown: BTreeMap<(Arc<str>, Arc<str>), Unknown>,
    snapshot: Snapshot,
    findings: Vec<Diagnostic>,
}

impl Assembly<'_> {
    fn file(&mut self, file: &SourceFile) {
        if let Some(first) = file.parsed.errors.first() {
            let all = file.parsed.errors.iter();
            self.findings
                .extend(all.map(|error| error.diagnostic(&file.path)));
            self.snapshot.broken.push(BrokenFile {
                path: file.path.clone(),
                blob: Some(file.blob),
                diagnostic: first.diagnostic(&file.path),
            });
        }
        if let Some(reason) = file.parsed.skipped {
            self.snapshot.skipped.push((file.path.clone(), reason));
        }
        for document in &file.parsed.documents {
            self.document(file, document);
        }
    }

    fn document(&mut self, file: &SourceFile, document: &ParsedDocument) {
        let group = split(&document.api_version).0;
        match role::of(group, &document.kind, document.namespace.as_deref()) {
            Role::Foreign(reason) => self.pass_over(file, document, reason),
            role => match self.kinds.get(group, &document.kind) {
                Some(kind) => self.known(file, document, kind, role == Role::Control),
                None => self.unknown(file, document, group),
            },
        }
    }

    /// Notes an object that is no business of ours.
    fn pass_over(&mut self, file: &SourceFile, document: &ParsedDocument, reason: &'static str) {
        let text = format!("{} `{}`: {reason}", document.kind, document.name);
        let finding = Diagnostic::note("NotRead", text).at(place(file, document));
        self.findings.push(finding);
        if file.parsed.documents.len() == 1 {
            self.snapshot.skipped.push((file.path.clone(), reason));
        }
    }

    /// Notes an object whose kind nobody knows: whatever was delivered for it stays.
    fn unknown(&mut self, file: &SourceFile, document: &ParsedDocument, group: &str) {
        let namespace = document.namespace.as_deref().unwrap_or_default();
        let key = ObjectKey::new(group, &document.kind, namespace, &document.name);
        let entry = (Arc::from(group), Arc::clone(&document.kind));
        self.unknown
            .entry(entry)
            .or_insert_with(|| Unknown {
                first: place(file, document),
                object: key.clone(),
                count: 0,
            })
            .count += 1;
        self.snapshot.unusable.push(key);
        self.snapshot.doubtful.push(file.path.clone());
    }

    /// Takes an object of a known kind.
    fn known(
        &mut self,
        file: &SourceFile,
        document: &ParsedDocument,
        kind: &KindInfo,
        control: bool,
    ) {
        let namespace = self.namespace(file, document, kind);
        let key = ObjectKey {
            group: Arc::clone(&kind.group),
            kind: Arc::clone(&kind.kind),
            namespace: namespace.clone().unwrap_or_else(|| Arc::from("")),
            name: Arc::clone(&document.name),
        };
        if let Err(text) = judge(document, kind, namespace.as_deref()) {
            let finding = Diagnostic::error("InvalidName", text)
                .help("correct it: no API server takes such an object; until then what was delivered for it stays")
                .object(key.clone());
            self.findings.push(finding.at(place(file, document)));
            self.snapshot.unusable.push(key);
            self.snapshot.doubtful.push(file.path.clone());
            return;
        }
        let manifest = document.placed_in(namespace.as_deref());
        let location = place(file, document);
        let origin = Origin {
            blob: file.blob,
            document: document.index,
        };
        if control {
            self.snapshot.controls.push(Control {
                key,
                api_version: Arc::clone(&document.api_version),
                manifest,
                location,
                origin,
            });
            return;
        }
        let object = Object {
            key,
            version: self.version(&document.api_version),
            resource: Arc::clone(&kind.resource),
            scope: kind.scope,
            labels: Arc::clone(&document.labels),
            annotations: Arc::clone(&document.annotations),
            controlled: document.controlled,
            manifest,
            origin,
            location,
        };
        self.snapshot.objects.push(object);
    }

    /// Gives the namespace that an object will have.
    fn namespace(
        &mut self,
        file: &SourceFile,
        document: &ParsedDocument,
        kind: &KindInfo,
    ) -> Option<Arc<str>> {
        if kind.scope == Scope::Namespaced {
            let fallback = || {
                file.namespace
                    .clone()
                    .unwrap_or_else(|| self.default.clone())
            };
            return Some(document.namespace.clone().unwrap_or_else(fallback));
        }
        if let Some(namespace) = &document.namespace {
            let text = format!(
                "a {} lives in no namespace; `{namespace}` is left out",
                kind.kind
            );
            let finding = Diagnostic::warning("NamespaceIgnored", text)
                .help("remove metadata.namespace")
                .at(place(file, document));
            self.findings.push(finding);
        }
        None
    }

    /// The version of an API version, without its group.
    fn version(&mut self, api_version: &Arc<str>) -> Arc<str> {
        if let Some(version) = self.versions.get(api_version) {
            return Arc::clone(version);
        }
        let version: Arc<str> = split(api_version).1.into();
        self.versions
            .insert(Arc::clone(api_version), Arc::clone(&version));
        version
    }

    fn finish(mut self) -> (Snapshot, Vec<Diagnostic>) {
        for ((group, kind), unknown) in std::mem::take(&mut self.unknown) {
            let finding = unknown_kind(self.kinds, &group, &kind, unknown);
            self.findings.push(finding);
        }
        let mut snapshot = self.snapshot;
        let mut findings = self.findings;
        snapshot.objects = once_each(snapshot.objects, &mut findings);
        let told = findings.len();
        snapshot.controls = once_each(snapshot.controls, &mut findings);
        // Of two policies or WECs that differ under one name, nobody can say which one is meant.
        let doubtful = findings
            .iter()
            .skip(told)
            .filter(|finding| finding.severity == Severity::Error);
        snapshot
            .unusable
            .extend(doubtful.filter_map(|finding| finding.object.clone()));
        snapshot.namespaces = namespaces(&snapshot.objects);
        snapshot.skipped.sort();
        snapshot.skipped.dedup();
        snapshot.broken.sort();
        snapshot.unusable.sort();
        snapshot.unusable.dedup();
        snapshot.doubtful.sort();
        snapshot.doubtful.dedup();
        findings.sort();
        (snapshot, findings)
    }
}

/// Judges names as an API server does.
fn judge(
    document: &ParsedDocument,
    kind: &KindInfo,
    namespace: Option<&str>,
) -> Result<(), String> {
    let told = |error: names::InvalidName| error.to_string();
    kind.validate_name(&document.name).map_err(told)?;
    namespace
        .map_or(Ok(()), names::validate_namespace)
        .map_err(told)?;
    for (key, value) in document.labels.iter() {
        names::validate_label_key(key).map_err(told)?;
        // What a template fills is judged when it is filled.
        if !value.contains("{{") {
            names::validate_label_value(value).map_err(told)?;
        }
    }
    Ok(())
}

fn unknown_kind(kinds: &Kinds, group: &str, kind: &str, unknown: Unknown) -> Diagnostic {
    let group_text = match group {
        "" => "the core group".to_owned(),
        _ => format!("group `{group}`"),
    };
    let times = match unknown.count {
        1 => String::new(),
        count => format!(" ({count} objects)"),
    };
    let text = format!("kind `{kind}` in {group_text} is not known{times}");
    let define = "add its CustomResourceDefinition to the source, or its resource and scope to the configuration";
    let help = kinds.nearest(group, kind).map_or_else(
        || define.to_owned(),
        |nearest| {
            let group = match &*nearest.group {
                "" => "the core group (`apiVersion: v1`)".to_owned(),
                group => format!("group `{group}`"),
            };
            format!(
                "did you mean `{}` in {group}? Otherwise {define}",
                nearest.kind
            )
        },
    );
    Diagnostic::error("UnknownKind", text)
        .help(help)
        .at(unknown.first)
        .object(unknown.object)
}

/// What is stored under a key.
trait Keyed {
    fn key(&self) -> &ObjectKey;
    fn location(&self) -> &Location;
    fn same(&self, other: &Self) -> bool;
}

impl Keyed for Object {
    fn key(&self) -> &ObjectKey {
        &self.key
    }
    fn location(&self) -> &Location {
        &self.location
    }
    fn same(&self, other: &Self) -> bool {
        self.manifest == other.manifest
    }
}

impl Keyed for Control {
    fn key(&self) -> &ObjectKey {
        &self.key
    }
    fn location(&self) -> &Location {
        &self.location
    }
    fn same(&self, other: &Self) -> bool {
        self.manifest == other.manifest
    }
}

/// Sorts by key and keeps the first of each, by path and document; the others are reported.
fn once_each<T: Keyed>(mut all: Vec<T>, findings: &mut Vec<Diagnostic>) -> Vec<T> {
    // Stable: files came in by path, and their documents in order.
    all.sort_by(|a, b| a.key().cmp(b.key()));
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    for next in all {
        match kept.last() {
            Some(first) if first.key() == next.key() => findings.push(twice(first, &next)),
            _ => kept.push(next),
        }
    }
    kept
}

fn twice<T: Keyed>(first: &T, next: &T) -> Diagnostic {
    let (key, place) = (next.key(), first.location());
    let finding = if first.same(next) {
        let text = format!("{key} is written twice, both times the same; the first is at {place}");
        Diagnostic::warning("DuplicateObject", text)
    } else {
        let text = format!("{key} is written twice; the one at {place} counts");
        Diagnostic::error("DuplicateObject", text)
    };
    finding
        .help("remove one of the two, or name the folder that counts in `paths`")
        .at(next.location().clone())
        .object(key.clone())
}

/// The labels of all Namespace objects.
fn namespaces(objects: &[Object]) -> BTreeMap<String, Arc<Labels>> {
    let all = objects
        .iter()
        .filter(|object| object.key.group.is_empty() && &*object.key.kind == "Namespace");
    all.map(|object| {
        let name = object.key.name.to_string();
        let mut labels = object.labels.as_ref().clone();
        labels.insert(NAMESPACE_NAME.to_owned(), name.clone());
        (name, Arc::new(labels))
    })
    .collect()
}

fn place(file: &SourceFile, document: &ParsedDocument) -> Location {
    Location::at(file.path.clone(), document.line, 0)
}

/// Splits an API version into group (empty for the core group) and version.
fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
