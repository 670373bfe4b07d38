//! Candidates: the few strands that one object could be selected by, found without testing all of them.
//!
//! A clause can only select an object that has what the clause's most telling criterion asks for. Each clause is filed
//! under that; an object is looked up by all it has. What is found still goes through the matcher.

use std::collections::{BTreeSet, HashMap};

use super::matcher::{Field, Matcher, OneObject, Test};
use crate::model::Labels;
use crate::model::selector::Selector;

/// Strands by what their clauses ask for. A drawer that was once used stays, empty or not: they are few and small.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    by_field: [HashMap<String, BTreeSet<u32>>; Field::COUNT],
    by_label: LabelDrawer,
    by_namespace_label: LabelDrawer,
    /// Strands with a clause that asks for nothing in particular.
    others: BTreeSet<u32>,
}

/// Strands by a label and its value.
type LabelDrawer = HashMap<String, HashMap<String, BTreeSet<u32>>>;

/// What a clause is filed under.
enum Anchor<'clause> {
    Field(Field, &'clause [String]),
    Label(Vec<(&'clause str, &'clause [String])>),
    NamespaceLabel(Vec<(&'clause str, &'clause [String])>),
    Nothing,
}

impl Candidates {
    /// Files a strand under what its clauses ask for.
    pub(super) fn insert<'a>(&mut self, strand: u32, matchers: impl Iterator<Item = &'a Matcher>) {
        self.each_drawer(matchers, |drawer| {
            drawer.insert(strand);
        });
    }

    /// Takes a strand out, which was put in with exactly these clauses.
    pub(super) fn remove<'a>(&mut self, strand: u32, matchers: impl Iterator<Item = &'a Matcher>) {
        self.each_drawer(matchers, |drawer| {
            drawer.remove(&strand);
        });
    }

    /// Gives every strand that could select the object, sorted; most of the others are left out.
    pub(super) fn of(&self, object: &OneObject<'_>) -> BTreeSet<u32> {
        let mut found = self.others.clone();
        for field in Field::ALL {
            let drawer = self.by_field[field as usize].get(&**field.value(object.facts));
            found.extend(drawer.into_iter().flatten());
        }
        let mut look_up = |drawers: &LabelDrawer, labels: &Labels| {
            for (key, value) in labels {
                let drawer = drawers.get(key).and_then(|values| values.get(value));
                found.extend(drawer.into_iter().flatten());
            }
        };
        look_up(&self.by_label, &object.facts.labels);
        if object.facts.is_namespaced() {
            look_up(&self.by_namespace_label, object.namespace_labels);
        }
        found
    }

    fn each_drawer<'a>(
        &mut self,
        matchers: impl Iterator<Item = &'a Matcher>,
        mut change: impl FnMut(&mut BTreeSet<u32>),
    ) {
        for matcher in matchers {
            match Anchor::of(matcher) {
                Anchor::Field(field, values) => {
                    for value in values {
                        let drawers = &mut self.by_field[field as usize];
                        change(drawers.entry(value.clone()).or_default());
                    }
                }
                Anchor::Label(pairs) => each_label(&mut self.by_label, &pairs, &mut change),
                Anchor::NamespaceLabel(pairs) => {
                    each_label(&mut self.by_namespace_label, &pairs, &mut change);
                }
                Anchor::Nothing => change(&mut self.others),
            }
        }
    }
}

impl<'clause> Anchor<'clause> {
    /// Chooses what the fewest objects have, as a rule.
    fn of(matcher: &'clause Matcher) -> Self {
        let tests = || matcher.criteria.iter().map(|criterion| &criterion.test);
        let field = |wanted: Field| {
            tests().find_map(|test| match test {
                Test::OneOf(field, values) if *field == wanted => {
                    Some(Self::Field(wanted, values.as_slice()))
                }
                _ => None,
            })
        };
        let label = || {
            tests().find_map(|test| match test {
                Test::Object(selectors) => Some(Self::Label(wanted_labels(selectors)?)),
                _ => None,
            })
        };
        let namespace_label = || {
            tests().find_map(|test| match test {
                Test::Namespace(selectors) => Some(Self::NamespaceLabel(wanted_labels(selectors)?)),
                _ => None,
            })
        };
        field(Field::Name)
            .or_else(label)
            .or_else(|| field(Field::Namespace))
            .or_else(namespace_label)
            .or_else(|| field(Field::Resource))
            .or_else(|| field(Field::Group))
            .unwrap_or(Self::Nothing)
    }
}

/// Gives labels of which one must be there for any of the selectors to match; none when they can do without.
fn wanted_labels(selectors: &[Selector]) -> Option<Vec<(&str, &[String])>> {
    selectors
        .iter()
        .map(|selector| {
            let mut requirements = selector.requirements().iter();
            requirements
                .find_map(|requirement| Some((requirement.key(), requirement.required_values()?)))
        })
        .collect()
}

fn each_label(
    drawers: &mut LabelDrawer,
    pairs: &[(&str, &[String])],
    change: &mut impl FnMut(&mut BTreeSet<u32>),
) {
    for (key, values) in pairs {
        let by_value = drawers.entry((*key).to_owned()).or_default();
        for value in *values {
            change(by_value.entry(value.clone()).or_default());
        }
    }
}
