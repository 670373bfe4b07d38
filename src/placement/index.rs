//! Indexes that answer a selector for many at once: who has this label, this kind, this namespace, as bitmaps.
//!
//! Entries are posting lists per (label, value), per label and per field value; members are small numbers that the
//! owner of the index gives out. Placement keeps one over the WECs, one over the namespaces and one over the objects.

use std::collections::HashMap;
use std::sync::Arc;

use super::ObjectFacts;
use super::bitmap::{Bitmap, Posting};
use super::matcher::{Field, ObjectSpace};
use crate::model::Labels;
use crate::model::selector::LabelSpace;

/// Who has which labels.
#[derive(Debug, Default)]
pub(super) struct LabelIndex {
    members: Bitmap,
    keys: HashMap<String, KeyEntry>,
}

/// Who has one label, with which value.
#[derive(Debug, Default)]
struct KeyEntry {
    any: Posting,
    values: HashMap<String, Posting>,
}

/// The objects that may be placed, by all that a clause can ask for.
#[derive(Debug, Default)]
pub(super) struct ObjectIndex {
    fields: [HashMap<Arc<str>, Posting>; Field::COUNT],
    labels: LabelIndex,
    namespaces: NamespaceIndex,
}

/// The namespaces, with the labels of their Namespace objects.
///
/// A namespace stays known for good once it is named: there are never many.
#[derive(Debug, Default)]
struct NamespaceIndex {
    ids: HashMap<Arc<str>, u32>,
    labels: LabelIndex,
    entries: Vec<NamespaceEntry>,
}

#[derive(Debug, Default)]
struct NamespaceEntry {
    labels: Arc<Labels>,
    objects: Posting,
}

impl LabelIndex {
    pub(super) fn insert(&mut self, member: u32, labels: &Labels) {
        self.members.insert(member);
        for (key, value) in labels {
            change_entry(&mut self.keys, key, |entry| {
                entry.any.insert(member);
                change_entry(&mut entry.values, value, |posting| posting.insert(member));
            });
        }
    }

    /// Takes out a member, which has exactly `labels`.
    pub(super) fn remove(&mut self, member: u32, labels: &Labels) {
        self.members.remove(member);
        for (key, value) in labels {
            let Some(entry) = self.keys.get_mut(key) else {
                continue;
            };
            entry.any.remove(member);
            if let Some(posting) = entry.values.get_mut(value) {
                posting.remove(member);
                if posting.is_empty() {
                    entry.values.remove(value);
                }
            }
            if entry.values.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// Moves all members from `position` on up by one.
    pub(super) fn open_gap(&mut self, position: u32) {
        self.members.open_gap(position);
        self.each_posting(|posting| posting.open_gap(position));
    }

    /// Moves all members after `position`, which is not in, down by one.
    pub(super) fn close_gap(&mut self, position: u32) {
        self.members.close_gap(position);
        self.each_posting(|posting| posting.close_gap(position));
    }

    fn each_posting(&mut self, mut change: impl FnMut(&mut Posting)) {
        for entry in self.keys.values_mut() {
            change(&mut entry.any);
            entry.values.values_mut().for_each(&mut change);
        }
    }
}

impl LabelSpace for LabelIndex {
    type Answer = Bitmap;

    fn everything(&self) -> Bitmap {
        self.members.clone()
    }

    fn nothing(&self) -> Bitmap {
        Bitmap::default()
    }

    fn with_key(&self, key: &str) -> Bitmap {
        let mut found = Bitmap::default();
        if let Some(entry) = self.keys.get(key) {
            entry.any.add_to(&mut found);
        }
        found
    }

    fn with_value(&self, key: &str, values: &[String]) -> Bitmap {
        let mut found = Bitmap::default();
        if let Some(entry) = self.keys.get(key) {
            add_all(&entry.values, values, &mut found);
        }
        found
    }

    fn others(&self, answer: Bitmap) -> Bitmap {
        let mut others = self.members.clone();
        others.subtract(&answer);
        others
    }
}

impl ObjectIndex {
    /// Adds an object; the member must not be in use.
    pub(super) fn insert(&mut self, member: u32, facts: &ObjectFacts) {
        self.labels.insert(member, &facts.labels);
        for field in Field::ALL {
            let value = field.value(facts);
            let entry = self.fields[field as usize].entry(Arc::clone(value));
            entry.or_default().insert(member);
        }
        if facts.is_namespaced() {
            let id = self.namespaces.id(&facts.key.namespace);
            self.namespaces.entries[id as usize].objects.insert(member);
        }
    }

    /// Takes out an object, whose facts are exactly `facts`.
    pub(super) fn remove(&mut self, member: u32, facts: &ObjectFacts) {
        self.labels.remove(member, &facts.labels);
        for field in Field::ALL {
            let postings = &mut self.fields[field as usize];
            if let Some(posting) = postings.get_mut(&**field.value(facts)) {
                posting.remove(member);
                if posting.is_empty() {
                    postings.remove(&**field.value(facts));
                }
            }
        }
        if facts.is_namespaced() {
            let id = self.namespaces.id(&facts.key.namespace);
            self.namespaces.entries[id as usize].objects.remove(member);
        }
    }

    /// Gives the labels that namespace selectors see.
    pub(super) fn namespace_labels(&mut self, namespace: &str) -> &Arc<Labels> {
        let id = self.namespaces.id(namespace);
        &self.namespaces.entries[id as usize].labels
    }

    /// As [`Self::namespace_labels`], for a namespace that may never have been named.
    pub(super) fn known_namespace_labels(&self, namespace: &str) -> Arc<Labels> {
        match self.namespaces.ids.get(namespace) {
            Some(&id) => Arc::clone(&self.namespaces.entries[id as usize].labels),
            None => effective_labels(namespace, None),
        }
    }

    /// Sets the labels of a namespace's Namespace object; none when there is no such object.
    pub(super) fn set_namespace_labels(&mut self, namespace: &str, declared: Option<&Arc<Labels>>) {
        let id = self.namespaces.id(namespace);
        let labels = effective_labels(namespace, declared);
        let entry = &mut self.namespaces.entries[id as usize];
        self.namespaces.labels.remove(id, &entry.labels);
        self.namespaces.labels.insert(id, &labels);
        entry.labels = labels;
    }
}

impl ObjectSpace for ObjectIndex {
    type Answer = Bitmap;
    type Labels = LabelIndex;
    type Namespaces = LabelIndex;

    fn with_field(&self, field: Field, values: &[String]) -> Bitmap {
        let mut found = Bitmap::default();
        add_all(&self.fields[field as usize], values, &mut found);
        found
    }

    fn labels(&self) -> &LabelIndex {
        &self.labels
    }

    fn namespaces(&self) -> &LabelIndex {
        &self.namespaces.labels
    }

    fn inside(&self, namespaces: &Bitmap) -> Bitmap {
        let mut found = Bitmap::default();
        for id in namespaces.iter() {
            self.namespaces.entries[id as usize]
                .objects
                .add_to(&mut found);
        }
        found
    }
}

impl NamespaceIndex {
    fn id(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let labels = effective_labels(name, None);
        self.labels.insert(id, &labels);
        self.ids.insert(name.into(), id);
        self.entries.push(NamespaceEntry {
            labels,
            objects: Posting::default(),
        });
        id
    }
}

/// Gives the labels a namespace has on an API server, which adds its name to what is declared.
fn effective_labels(namespace: &str, declared: Option<&Arc<Labels>>) -> Arc<Labels> {
    const NAME: &str = "kubernetes.io/metadata.name";
    match declared {
        Some(labels) if labels.get(NAME).is_some_and(|name| name == namespace) => {
            Arc::clone(labels)
        }
        _ => {
            let mut labels = declared
                .map(|labels| (**labels).clone())
                .unwrap_or_default();
            labels.insert(NAME.to_owned(), namespace.to_owned());
            Arc::new(labels)
        }
    }
}

/// Adds the members of all the given values.
fn add_all<K>(postings: &HashMap<K, Posting>, values: &[String], found: &mut Bitmap)
where
    K: std::borrow::Borrow<str> + std::hash::Hash + Eq,
{
    for value in values {
        match postings.get(value.as_str()) {
            Some(Posting::Many(members)) if values.len() == 1 => *found = members.clone(),
            Some(posting) => posting.add_to(found),
            None => {}
        }
    }
}

/// Changes the entry of `key`, which is made when there is none.
fn change_entry<V: Default>(map: &mut HashMap<String, V>, key: &str, change: impl FnOnce(&mut V)) {
    match map.get_mut(key) {
        Some(entry) => change(entry),
        None => change(map.entry(key.to_owned()).or_default()),
    }
}
