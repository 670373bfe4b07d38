//! One source and all outputs that are files: what is delivered to each, and what stands there.

use stellate::{
    model::api::pipeline::Layout,
    reconcile::{BranchDestination, Delivery, Destination},
};

use super::*;
use crate::support::site::{GENERATED, files_in};

/// Damages a source.
pub(super) type Mistake = Box<dyn Fn(&Path)>;

/// One source, delivered to a branch, to a branch for each WEC, and to a folder.
pub(super) struct Outputs {
    pub(super) site: Site,
    all: [Destination; 3],
}

impl Outputs {
    pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let site = Site::empty(name);
        site.repository.commit("Begin", &SMALL);
        site.change(files);
        let branches = Destination::Branch(BranchDestination {
            repository: site.repository.path().to_owned(),
            name: "each".into(),
            layout: Layout::Branches,
            push: None,
        });
        let folder = support::folder("out").join("tree");
        let all = [site.branch(), branches, Destination::Folder(folder)];
        let mut outputs = Self { site, all };
        for delivery in outputs.deliver() {
            assert_eq!(delivery.outcome, Outcome::Written);
        }
        outputs
    }

    pub(super) fn deliver(&mut self) -> Vec<Delivery> {
        let rendering = self.site.render();
        let Site {
            pipeline, options, ..
        } = &mut self.site;
        let all = self.all.iter();
        all.map(|to| pipeline.deliver(&rendering, to, options, &Silent).unwrap())
            .collect()
    }

    /// What stands in each output.
    pub(super) fn files(&self) -> Vec<Files> {
        let root = self.site.repository.path();
        let files = |to: &Destination| match to {
            Destination::Folder(folder) => files_in(&folder.join("clusters")),
            Destination::Branch(branch) if branch.name == GENERATED => self.site.generated(),
            Destination::Branch(BranchDestination { name, .. }) => {
                let each = ["fra", "iad"]
                    .map(|wec| support::site::files_at(root, &format!("{name}/{wec}")));
                each.into_iter().flatten().collect()
            }
        };
        self.all.iter().map(files).collect()
    }

    /// Makes a mistake; fails unless everything is held until it is mended, also by a process that remembers nothing.
    pub(super) fn expect_held(&mut self, what: &str, mistake: &Mistake) {
        let before = self.files();
        let good = self.site.repository.git(&["rev-parse", "HEAD"]);
        mistake(self.site.repository.path());
        self.site.repository.commit_all(what);
        for _ in 0..2 {
            for (delivery, to) in self.deliver().into_iter().zip(&self.all) {
                assert!(
                    matches!(&delivery.outcome, Outcome::Held(_)) && !delivery.releasable,
                    "{what}: {:?} of {to:?}",
                    delivery.outcome
                );
            }
            self.site.restart();
        }
        assert_eq!(self.files(), before, "{what}");
        self.site
            .repository
            .git(&["reset", "--hard", "--quiet", &good]);
    }
}
