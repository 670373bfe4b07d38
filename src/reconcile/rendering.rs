//! The result of one rendering, and what can be read off it. Pure data.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::pipeline::Timings;
use super::request::Settings;
use crate::inventory::Inventory;
use crate::model::kinds::{made_by_the_server, never_downsynced};
use crate::model::{ClusterName, ClusterSet, Diagnostic, Location, Object, ObjectKey, Severity};
use crate::output::branch::lock::LockedClusters;
use crate::placement::{Plan, Policy};
use crate::source::{Snapshot, SourceDescription};
use crate::transform::template::Reads;
use crate::transform::{Content, Rendered, RenderedObject, Rules, Variant};

/// The most objects that the note about unselected ones names.
const NAMED: usize = 3;

/// The result of one rendering. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rendering {
    /// Where the source was read, and which commit.
    pub source: SourceDescription,
    /// The source's objects.
    pub snapshot: Arc<Snapshot>,
    /// The WECs.
    pub inventory: Arc<Inventory>,
    /// The policies as placement took them.
    pub policies: Arc<[Policy]>,
    /// Which object goes where.
    pub plan: Arc<Plan>,
    /// The rules that changed objects.
    pub rules: Arc<Rules>,
    /// What every WEC gets.
    pub rendered: Arc<Rendered>,
    /// The properties that templates read.
    pub reads: Reads,
    /// What was looked at of the WECs: labels that selectors name, and those properties.
    pub facts: LockedClusters,
    /// Everything there is to say, sorted.
    pub diagnostics: Vec<Diagnostic>,
    /// How long each stage took.
    pub timings: Timings,
    /// Whether WECs may be missing from the inventory because a file could not be read.
    pub inventory_complete: bool,
    /// The files, and objects, that cannot be read in full and may hold what changes other objects; sorted.
    pub unknown_rules: Vec<String>,
    /// What the configuration said.
    pub settings: Settings,
}

/// A rendering in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// One for each WEC, sorted by name.
    pub clusters: Vec<ClusterSummary>,
    /// Objects that go somewhere.
    pub objects: usize,
    /// Files over all WECs.
    pub files: usize,
    /// Different texts among them.
    pub distinct: usize,
    /// Errors among the diagnostics.
    pub errors: usize,
    /// Warnings among the diagnostics.
    pub warnings: usize,
}

/// What one WEC gets, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSummary {
    /// The WEC.
    pub name: ClusterName,
    /// Its objects.
    pub objects: usize,
    /// Those whose text is not the same on all WECs that get them.
    pub customised: usize,
    /// Objects that could not be rendered for it.
    pub quarantined: usize,
}

impl Rendering {
    /// Tells whether all that was read was understood: then nothing that is not here is merely unknown.
    pub fn is_certain(&self) -> bool {
        self.snapshot.is_complete() && self.errors() == 0
    }

    /// Tells whether a WEC gets this object only because others need it: a bare Namespace.
    pub fn implies(&self, cluster: usize, key: &ObjectKey) -> bool {
        let clusters = || self.plan.implied_namespaces.get(&*key.name);
        key.group.is_empty()
            && &*key.kind == "Namespace"
            && clusters().is_some_and(|clusters| clusters.contains(cluster))
    }

    /// Counts the errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }

    /// Finds what became of an object.
    pub fn object(&self, key: &ObjectKey) -> Option<&RenderedObject> {
        let found = self
            .rendered
            .objects
            .binary_search_by(|object| object.key.cmp(key))
            .ok()?;
        self.rendered.objects.get(found)
    }

    /// Walks what one WEC gets, sorted by key.
    pub fn objects_on(&self, cluster: usize) -> impl Iterator<Item = &RenderedObject> {
        self.rendered.objects.iter().filter(move |object| {
            object
                .variants
                .iter()
                .any(|variant| variant.clusters.contains(cluster))
        })
    }

    /// Gives the bytes that one WEC gets for an object.
    pub fn text(&self, key: &ObjectKey, cluster: usize) -> Option<Vec<u8>> {
        let object = self.object(key)?;
        let variant = object
            .variants
            .iter()
            .find(|variant| variant.clusters.contains(cluster))?;
        let mut text = Vec::new();
        variant.bytes_into(cluster, &mut text);
        Some(text)
    }

    /// Counts.
    pub fn summary(&self) -> Summary {
        let mut clusters: Vec<ClusterSummary> = self
            .rendered
            .clusters
            .iter()
            .map(|name| ClusterSummary {
                name: name.clone(),
                objects: 0,
                customised: 0,
                quarantined: 0,
            })
            .collect();
        let mut summary = Summary {
            objects: self.rendered.objects.len(),
            errors: self.errors(),
            warnings: self.count(Severity::Warning),
            ..Summary::default()
        };
        for object in &self.rendered.objects {
            let texts: usize = object.variants.iter().map(distinct_texts).sum();
            summary.distinct += texts;
            for cluster in object
                .variants
                .iter()
                .flat_map(|variant| variant.clusters.iter())
            {
                clusters[cluster].objects += 1;
                clusters[cluster].customised += usize::from(texts > 1);
                summary.files += 1;
            }
        }
        for cluster in self
            .rendered
            .quarantined
            .iter()
            .flat_map(|held| held.clusters.iter())
        {
            clusters[cluster].quarantined += 1;
        }
        summary.clusters = clusters;
        summary
    }

    /// Finds the file of a source object.
    pub fn location(&self, key: &ObjectKey) -> Option<&Location> {
        self.snapshot.object(key).map(|object| &object.location)
    }

    /// Walks the objects that no policy selects, of those that one could select.
    pub fn unselected(&self) -> impl Iterator<Item = &Object> {
        unselected(&self.snapshot, &self.plan)
    }

    /// Tells, for each object, where an error keeps it as it is: what could not be rendered, and what nobody can decide.
    pub fn kept(&self) -> impl Iterator<Item = (&ObjectKey, &Arc<ClusterSet>)> {
        let quarantined = self
            .rendered
            .quarantined
            .iter()
            .map(|held| (&held.key, &held.clusters));
        let undecided = self.snapshot.objects.iter().zip(&self.plan.placements);
        let undecided = undecided
            .filter(|(_, placement)| !placement.kept.is_empty())
            .map(|(object, placement)| (&object.key, &placement.kept));
        quarantined.chain(undecided)
    }
}

/// Walks the objects that no policy selects. A Namespace that is made for others is left to them.
pub(super) fn unselected<'a>(
    snapshot: &'a Snapshot,
    plan: &'a Plan,
) -> impl Iterator<Item = &'a Object> {
    let placed = snapshot.objects.iter().zip(&plan.placements);
    placed.filter_map(|(object, placement)| {
        let key = &object.key;
        let is_implied = key.group.is_empty()
            && &*key.kind == "Namespace"
            && plan.implied_namespaces.contains_key(&*key.name);
        let nowhere = placement.policies.is_empty()
            && placement.clusters.is_empty()
            && placement.kept.is_empty()
            && !is_implied;
        let eligible = || {
            never_downsynced(&key.group, &object.resource).is_none()
                && made_by_the_server(key).is_none()
        };
        (nowhere && eligible()).then_some(object)
    })
}

/// Says in one note how many objects no policy selects, with the first few.
pub(super) fn unselected_note(snapshot: &Snapshot, plan: &Plan) -> Option<Diagnostic> {
    let mut all = unselected(snapshot, plan).peekable();
    let place = all.peek()?.location.clone();
    let named = all
        .by_ref()
        .take(NAMED)
        .map(|object| object.key.to_string());
    let named: Vec<String> = named.collect();
    let more = match all.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let names = named.join(", ");
    let text = match named.as_slice() {
        [_] => format!("no policy selects {names}"),
        _ => format!("no policy selects these objects: {names}{more}"),
    };
    let help = "`stellate explain KIND NAME` says what each of them lacks";
    Some(Diagnostic::note("NotSelected", text).help(help).at(place))
}

fn distinct_texts(variant: &Variant) -> usize {
    match &variant.content {
        Content::Shared(_) => 1,
        Content::Filled { choice, .. } => choice.iter().collect::<BTreeSet<_>>().len(),
    }
}
