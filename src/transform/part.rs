//! A part of what was rendered: what goes to some WECs and not to others. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Content, Fillings, Rendered, RenderedObject, Variant};
use crate::model::ClusterSet;

impl Rendered {
    /// Gives what all WECs but these get. Their positions stay as they are; texts that nobody gets any more are left out.
    #[must_use]
    pub fn without(&self, held: &ClusterSet) -> Self {
        let mut part = Part {
            held,
            sets: HashMap::new(),
        };
        let objects = self.objects.iter().filter_map(|object| {
            let variants = part.variants(&object.variants);
            let some = !variants.is_empty();
            some.then(|| RenderedObject {
                key: object.key.clone(),
                variants,
                create_only: Arc::clone(&object.create_only),
            })
        });
        Self {
            clusters: Arc::clone(&self.clusters),
            objects: objects.collect(),
            quarantined: self.quarantined.clone(),
        }
    }
}

struct Part<'a> {
    held: &'a ClusterSet,
    /// What is left of each set, by where it lies: objects that go to the same WECs share one.
    sets: HashMap<usize, Arc<ClusterSet>>,
}

impl Part<'_> {
    fn variants(&mut self, variants: &Arc<[Variant]>) -> Arc<[Variant]> {
        let untouched = |variant: &Variant| variant.clusters.intersection(self.held).is_empty();
        if variants.iter().all(untouched) {
            return Arc::clone(variants);
        }
        let left = variants.iter().filter_map(|variant| {
            let clusters = self.left(&variant.clusters);
            let some = !clusters.is_empty();
            some.then(|| Variant {
                content: content(variant, &clusters),
                clusters,
            })
        });
        left.collect()
    }

    fn left(&mut self, clusters: &Arc<ClusterSet>) -> Arc<ClusterSet> {
        let left = self.sets.entry(Arc::as_ptr(clusters).addr());
        Arc::clone(left.or_insert_with(|| Arc::new(clusters.difference(self.held))))
    }
}

/// The texts that these WECs get, and no others: what nobody gets must not be written either.
fn content(variant: &Variant, clusters: &ClusterSet) -> Content {
    let Content::Filled {
        prepared,
        choice,
        fillings,
    } = &variant.content
    else {
        return variant.content.clone();
    };
    let all = variant.clusters.iter().zip(choice.iter());
    let chosen: Vec<u32> = all
        .filter(|(cluster, _)| clusters.contains(*cluster))
        .map(|(_, number)| *number)
        .collect();
    let mut used = chosen.clone();
    used.sort_unstable();
    used.dedup();
    let mut left = Fillings::new(prepared.holes.len());
    for &number in &used {
        left.extend_from(fillings, number as usize..number as usize + 1);
    }
    let place = |number: &u32| used.binary_search(number).unwrap_or_default();
    let choice = chosen.iter().map(place);
    Content::Filled {
        prepared: Arc::clone(prepared),
        choice: choice
            .map(|at| u32::try_from(at).unwrap_or(u32::MAX))
            .collect(),
        fillings: Arc::new(left),
    }
}
