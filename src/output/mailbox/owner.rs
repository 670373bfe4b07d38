//! Whose works these are: a pipeline's name → the labels, annotations and names of its works.

use std::collections::BTreeMap;

use super::shape::Part;
use super::{PIPELINE, sha256, short_hex};
use crate::model::names::validate_label_value;

/// The longest name that a pipeline's works begin with. On the WEC, OCM's agent makes a name of a work's name and 65
/// characters more, and that must fit into 253.
const LONGEST_BASE: usize = 120;

/// A pipeline, as the owner of works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pipeline: String,
    base: String,
    label: String,
}

impl Owner {
    /// Makes the names for a pipeline.
    pub fn new(pipeline: &str) -> Self {
        let digest = short_hex(&sha256(pipeline.as_bytes()));
        let tail = &digest[..10];
        let base = if pipeline.len() <= LONGEST_BASE {
            pipeline.to_owned()
        } else {
            format!("{}.{tail}", cut(pipeline, LONGEST_BASE - 11))
        };
        // With room for the prefix that keeps KubeStellar's own controllers away.
        let fits = pipeline.len() <= 50 && validate_label_value(pipeline).is_ok();
        let label = if fits {
            pipeline.to_owned()
        } else {
            format!("{}.{tail}", cut(pipeline, 40))
        };
        Self {
            pipeline: pipeline.to_owned(),
            base,
            label,
        }
    }

    /// The pipeline's name.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// The name of the work that holds a part of all objects.
    pub fn work_name(&self, part: Part) -> String {
        format!("{}.{}", self.base, part.suffix())
    }

    /// The part that a work of this name holds, of unknown length; none for a name that is not ours.
    pub fn start_of(&self, work: &str) -> Option<Part> {
        Part::from_suffix(work.strip_prefix(&self.base)?.strip_prefix('.')?)
    }

    /// The selector that finds the pipeline's works.
    pub fn selector(&self) -> String {
        format!("{PIPELINE}={}", self.label)
    }

    /// Tells whether an object with these labels and annotations is one of this pipeline's works.
    pub fn owns(
        &self,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> bool {
        labels.get(PIPELINE) == Some(&self.label)
            && annotations.get(PIPELINE) == Some(&self.pipeline)
    }

    /// The labels of all works: ours, and those by which KubeStellar's status add-on knows what to report on.
    ///
    /// KubeStellar's own transport deletes works with its WDS's name that it did not make. No WDS is called like this:
    /// its name is that of a namespace, and has no dot.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let foreign = format!("stellate.{}", self.label);
        [
            (PIPELINE, self.label.clone()),
            ("app.kubernetes.io/managed-by", "stellate".to_owned()),
            (
                "transport.kubestellar.io/originOwnerReferenceBindingKey",
                self.label.clone(),
            ),
            ("transport.kubestellar.io/originWdsName", foreign),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

/// At most so many bytes of a name, ending in a letter or digit.
fn cut(name: &str, most: usize) -> &str {
    let head: usize = name
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8())
        .take_while(|&end| end <= most)
        .last()
        .unwrap_or(0);
    name[..head].trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::super::shape::{Class, Part};
    use super::*;
    use crate::model::names::{NameRule, validate_name};

    #[test]
    fn works_are_named_after_their_pipeline_and_found_by_it() {
        let owner = Owner::new("shop");
        let part = Part::whole(Class::Rest);
        assert_eq!(owner.work_name(part), "shop.rest");
        assert_eq!(owner.start_of("shop.rest"), Some(part));
        assert_eq!(owner.start_of("shop2.rest"), None);
        assert_eq!(owner.selector(), "gitops.kubestellar.io/pipeline=shop");
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_stays_different_and_is_written_out_beside() {
        let long = |tail: &str| Owner::new(&format!("{}{tail}", "a-".repeat(122)));
        let (one, two) = (long("x"), long("y"));
        assert_ne!(one.selector(), two.selector());
        let name = one.work_name(Part::whole(Class::First));
        assert_ne!(name, two.work_name(Part::whole(Class::First)));
        assert!(validate_name(NameRule::Subdomain, &name).is_ok() && name.len() < 180);
        for value in one.labels().values() {
            assert_eq!(validate_label_value(value), Ok(()));
        }
        let annotations = [(PIPELINE.to_owned(), one.pipeline().to_owned())].into();
        assert!(one.owns(&one.labels(), &annotations));
        assert!(!two.owns(&one.labels(), &annotations));
    }
}
