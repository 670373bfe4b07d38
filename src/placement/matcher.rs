//! The matcher: which objects a clause selects.
//!
//! Written once against an [`ObjectSpace`]. An index over all objects answers with a bitmap, one object with a `bool`:
//! deciding in bulk, deciding for one changed object and explaining are the same code.
//!
//! | criterion | nil, absent, `[]` | `"*"` | else | cluster-scoped object |
//! |---|---|---|---|---|
//! | `apiGroup` | any | literal | exactly this group, `""` is the core group | the same |
//! | `resources` | any | any | exactly this plural | the same |
//! | `namespaces` | any | any, cluster-scoped too | exactly this name | has the namespace `""` |
//! | `objectNames` | any | any | exactly this name | the same |
//! | `objectSelectors` | any | – | one of them matches the object's labels | the same |
//! | `namespaceSelectors` | any | `{}`: any, cluster-scoped too | one of them matches the Namespace's labels | not matched |
//!
//! The table is KubeStellar's (`DownsyncObjectTest`). The API version is no criterion.

use std::sync::Arc;

use super::ObjectFacts;
use crate::model::Labels;
use crate::model::selector::{Answer, LabelSpace, Selector};

/// A compiled clause: all its criteria must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Matcher {
    /// All six, the cheapest and most telling first.
    pub(super) criteria: Vec<Criterion>,
}

/// One criterion of a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Criterion {
    /// The field of the clause, as a policy spells it.
    pub(super) field: &'static str,
    /// What it asks for.
    pub(super) test: Test,
}

/// What a criterion asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Nothing: every object passes.
    Any,
    /// The field has one of these values, which are sorted.
    OneOf(Field, Vec<String>),
    /// One of these matches the object's labels.
    Object(Vec<Selector>),
    /// The object is in a namespace, and one of these matches that namespace's labels.
    Namespace(Vec<Selector>),
}

/// What of an object is compared literally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Resource,
    Namespace,
    Name,
    Group,
}

/// Whatever a clause can choose from: one object, or an index over many.
pub(super) trait ObjectSpace {
    type Answer: Answer;
    type Labels: LabelSpace<Answer = Self::Answer>;
    type Namespaces: LabelSpace;

    /// Gives the objects whose field has one of `values`, which are sorted.
    fn with_field(&self, field: Field, values: &[String]) -> Self::Answer;
    /// The objects by their own labels.
    fn labels(&self) -> &Self::Labels;
    /// The namespaces by theirs.
    fn namespaces(&self) -> &Self::Namespaces;
    /// Gives the objects inside these namespaces; never a cluster-scoped one.
    fn inside(&self, namespaces: &<Self::Namespaces as LabelSpace>::Answer) -> Self::Answer;
}

/// One object, with the labels of its namespace.
pub(super) struct OneObject<'facts> {
    pub(super) facts: &'facts ObjectFacts,
    pub(super) namespace_labels: &'facts Labels,
}

impl Matcher {
    /// Gives the objects of `space` that the clause selects.
    pub(super) fn select<S: ObjectSpace>(&self, space: &S) -> S::Answer {
        let mut criteria = self
            .criteria
            .iter()
            .filter(|criterion| criterion.test != Test::Any);
        let Some(first) = criteria.next() else {
            return space.labels().everything();
        };
        let mut answer = first.test.select(space);
        for criterion in criteria {
            if answer.is_nothing() {
                break;
            }
            answer.and(&criterion.test.select(space));
        }
        answer
    }

    /// Gives the selectors over namespaces, if it has any.
    pub(super) fn namespace_selectors(&self) -> Option<&[Selector]> {
        self.criteria
            .iter()
            .find_map(|criterion| match &criterion.test {
                Test::Namespace(selectors) => Some(selectors.as_slice()),
                _ => None,
            })
    }
}

impl Test {
    /// Gives the objects of `space` that pass.
    pub(super) fn select<S: ObjectSpace>(&self, space: &S) -> S::Answer {
        match self {
            Self::Any => space.labels().everything(),
            Self::OneOf(field, values) => space.with_field(*field, values),
            Self::Object(selectors) => any_of(selectors, space.labels()),
            Self::Namespace(selectors) => space.inside(&any_of(selectors, space.namespaces())),
        }
    }
}

/// Gives the members of `space` that match one of the selectors; no selector matches nobody.
pub(super) fn any_of<S: LabelSpace>(selectors: &[Selector], space: &S) -> S::Answer {
    let mut selectors = selectors.iter();
    let Some(first) = selectors.next() else {
        return space.nothing();
    };
    let mut answer = first.select(space);
    for selector in selectors {
        answer.or(&selector.select(space));
    }
    answer
}

impl Field {
    pub(super) const COUNT: usize = 4;
    pub(super) const ALL: [Self; Self::COUNT] =
        [Self::Resource, Self::Namespace, Self::Name, Self::Group];

    /// Gives the object's value.
    pub(super) fn value(self, facts: &ObjectFacts) -> &Arc<str> {
        match self {
            Self::Resource => &facts.resource,
            Self::Namespace => &facts.key.namespace,
            Self::Name => &facts.key.name,
            Self::Group => &facts.key.group,
        }
    }
}

impl ObjectSpace for OneObject<'_> {
    type Answer = bool;
    type Labels = Labels;
    type Namespaces = Labels;

    fn with_field(&self, field: Field, values: &[String]) -> bool {
        let actual = field.value(self.facts);
        values
            .binary_search_by(|value| value.as_str().cmp(actual))
            .is_ok()
    }

    fn labels(&self) -> &Labels {
        &self.facts.labels
    }

    fn namespaces(&self) -> &Labels {
        self.namespace_labels
    }

    fn inside(&self, namespaces: &bool) -> bool {
        self.facts.is_namespaced() && *namespaces
    }
}
