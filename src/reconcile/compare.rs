//! Two renderings → which objects change on which WECs; equal differences are put together. Pure.
//!
//! What `stellate diff` shows, and what a pull request is told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::Rendering;
use crate::model::{ClusterName, ObjectKey};
use crate::output::path::path_of;

/// What a change does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// WECs that are new in the inventory.
    pub added_clusters: Vec<ClusterName>,
    /// WECs that are no longer in it.
    pub removed_clusters: Vec<ClusterName>,
    /// What changes, each difference once; sorted by object.
    pub objects: Vec<ObjectChange>,
}

/// One difference, and the WECs that have it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectChange {
    /// The object.
    pub object: ObjectKey,
    /// The file, below the folder of each WEC.
    pub path: String,
    /// What happens to it.
    pub change: Kind,
    /// The WECs with this very difference, sorted.
    pub clusters: Vec<ClusterName>,
    /// Lines that are new.
    pub lines_added: usize,
    /// Lines that go.
    pub lines_removed: usize,
    /// A unified diff; of one WEC where their contexts differ.
    pub diff: String,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is new.
    Added,
    /// Its text changes.
    Changed,
    /// It goes.
    Removed,
    /// It cannot be rendered, and stays as it is.
    Kept,
}

impl Kind {
    /// The word as people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Kept => "kept as it is (it cannot be rendered)",
        }
    }
}

/// Which WECs have which texts of one object, before and after.
type Pairs = BTreeMap<(Option<Vec<u8>>, Option<Vec<u8>>, bool), Vec<ClusterName>>;

/// Compares two renderings. Objects whose texts are shared between them are not looked at.
pub fn changes(old: &Rendering, new: &Rendering) -> Changes {
    let names =
        |rendering: &Rendering| -> Vec<ClusterName> { rendering.rendered.clusters.to_vec() };
    let (before, after) = (names(old), names(new));
    let same_clusters = before == after;
    let missing = |from: &[ClusterName], to: &[ClusterName]| {
        from.iter()
            .filter(|name| to.binary_search(name).is_err())
            .cloned()
            .collect()
    };
    let mut kept: HashMap<&ObjectKey, Vec<usize>> = HashMap::new();
    for (key, clusters) in new.kept() {
        kept.entry(key).or_default().extend(clusters.iter());
    }
    // While parts of the source cannot be read, what is not in it may be in there, and stays.
    let unknown = !new.snapshot.is_complete();
    let mut keys: Vec<&ObjectKey> = old
        .rendered
        .objects
        .iter()
        .chain(&new.rendered.objects)
        .map(|object| &object.key)
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let mut objects = Vec::new();
    for key in keys {
        let (one, two) = (old.object(key), new.object(key));
        let shared = one
            .zip(two)
            .is_some_and(|(one, two)| Arc::ptr_eq(&one.variants, &two.variants));
        if shared && same_clusters {
            continue;
        }
        let held: Vec<&ClusterName> = kept
            .get(key)
            .into_iter()
            .flatten()
            .map(|&position| &after[position])
            .collect();
        let mut pairs = Pairs::new();
        let mut all: Vec<&ClusterName> = before.iter().chain(&after).collect();
        all.sort_unstable();
        all.dedup();
        for name in all {
            let text = |rendering: &Rendering| {
                rendering.text(key, rendering.inventory.position(name.as_str())?)
            };
            let (one, two) = (text(old), text(new));
            if one != two {
                let is_kept = two.is_none() && (unknown || held.contains(&name));
                pairs
                    .entry((one, two, is_kept))
                    .or_default()
                    .push(name.clone());
            }
        }
        objects.extend(united(key, pairs));
    }
    Changes {
        added_clusters: missing(&after, &before),
        removed_clusters: missing(&before, &after),
        objects,
    }
}

/// Puts WECs together whose texts differ in the same lines.
fn united(key: &ObjectKey, pairs: Pairs) -> Vec<ObjectChange> {
    let mut found: BTreeMap<(Kind, String), ObjectChange> = BTreeMap::new();
    for ((before, after, is_kept), clusters) in pairs {
        let kind = match (&before, &after) {
            _ if is_kept => Kind::Kept,
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            _ => Kind::Changed,
        };
        let text = |bytes: &Option<Vec<u8>>| {
            String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
        };
        let after = if is_kept { text(&before) } else { text(&after) };
        let difference = difference(&text(&before), &after);
        let change = found
            .entry((kind, difference.lines))
            .or_insert_with(|| ObjectChange {
                object: key.clone(),
                path: path_of(key),
                change: kind,
                clusters: Vec::new(),
                lines_added: difference.added,
                lines_removed: difference.removed,
                diff: difference.hunks,
            });
        change.clusters.extend(clusters);
    }
    let mut changes: Vec<ObjectChange> = found.into_values().collect();
    for change in &mut changes {
        change.clusters.sort();
    }
    changes
}

impl Changes {
    /// Tells whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.added_clusters.is_empty()
            && self.removed_clusters.is_empty()
    }

    /// Forgets what concerns other WECs.
    pub fn only(&mut self, names: &[String]) {
        let wanted = |name: &ClusterName| names.iter().any(|wanted| wanted == name.as_str());
        self.added_clusters.retain(wanted);
        self.removed_clusters.retain(wanted);
        for change in &mut self.objects {
            change.clusters.retain(wanted);
        }
        self.objects.retain(|change| !change.clusters.is_empty());
    }

    /// Says how much there is, in a line.
    pub fn summary(&self) -> String {
        if self.is_empty() {
            return "no difference".to_owned();
        }
        let of = |kind: Kind| {
            let mut keys: Vec<&ObjectKey> = self
                .objects
                .iter()
                .filter(|change| change.change == kind)
                .map(|change| &change.object)
                .collect();
            keys.dedup();
            keys.len()
        };
        let touched = self.objects.iter();
        let touched = touched.filter(|change| change.change != Kind::Kept);
        let mut clusters: Vec<&ClusterName> = touched.flat_map(|change| &change.clusters).collect();
        clusters.sort_unstable();
        clusters.dedup();
        let kept = match of(Kind::Kept) {
            0 => String::new(),
            kept => format!("; {kept} kept as it is"),
        };
        format!(
            "{} added, {} changed, {} removed, on {}{kept}",
            counted(of(Kind::Added), "object"),
            of(Kind::Changed),
            of(Kind::Removed),
            counted(clusters.len(), "WEC"),
        )
    }
}

/// Writes a number with its unit.
fn counted(number: usize, unit: &str) -> String {
    match number {
        1 => format!("1 {unit}"),
        _ => format!("{number} {unit}s"),
    }
}

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The difference of two texts.
pub struct Difference {
    /// The unified diff, without its head.
    pub hunks: String,
    /// Only the lines that differ, with their sign: texts with equal lines here change in the same way.
    pub lines: String,
    /// How many lines are new.
    pub added: usize,
    /// How many lines go.
    pub removed: usize,
}

/// Compares two texts line by line.
pub fn difference(before: &str, after: &str) -> Difference {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = String::new();
    let (mut added, mut removed) = (0, 0);
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Insert => {
                added += 1;
                '+'
            }
            ChangeTag::Delete => {
                removed += 1;
                '-'
            }
        };
        lines.push(sign);
        lines.push_str(change.value());
    }
    let hunks = diff.unified_diff().context_radius(CONTEXT).to_string();
    Difference {
        hunks,
        lines,
        added,
        removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_changes_in_different_places_have_equal_lines() {
        let one = difference("a: 1\nname: x\n", "a: 2\nname: x\n");
        let two = difference("a: 1\nname: y\n", "a: 2\nname: y\n");
        assert_eq!(one.lines, "-a: 1\n+a: 2\n");
        assert_eq!(one.lines, two.lines);
        assert_eq!((one.added, one.removed), (1, 1));
        assert_eq!(one.hunks, "@@ -1,2 +1,2 @@\n-a: 1\n+a: 2\n name: x\n");
    }
}
