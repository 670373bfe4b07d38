//! Bad input: each mistake is told with its place and a way out, and nothing that was delivered is lost by it.
//!
//! Every case begins with a branch that was delivered from good files. Then one commit makes the mistake and, in another
//! file, a good change: what the mistake touches stays byte for byte, the good change goes out, and a process that
//! remembers nothing comes to the same tree.

mod damage;
mod delivery;
mod files;
mod lost_branch;
mod namespaces;
mod objects;
mod outputs;
mod policies;
mod steering;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use stellate::{
    model::{Diagnostic, Severity},
    reconcile::{InventorySource, Outcome, Pipeline, Rendering, Request, Silent},
};

use crate::support::{
    self, git,
    site::{Files, SMALL, Site, found},
};

const SHOP: &str = "workloads/shop.yaml";
const SETTINGS: &str = "shop/configmap-settings.yaml";
const WHERE: &str = "shop/configmap-where.yaml";

/// What a mistake leads to.
struct Told {
    site: Site,
    rendering: Rendering,
    before: Files,
    after: Files,
}

impl Told {
    /// The first diagnostic with this reason; fails when there is none.
    fn told(&self, reason: &str) -> &Diagnostic {
        let all = &self.rendering.diagnostics;
        let found = found(&self.rendering, reason);
        let first = found
            .first()
            .unwrap_or_else(|| panic!("no {reason}: {all:#?}"));
        assert!(!first.message.ends_with('.'), "{first:#?}");
        first
    }

    /// The same, at a place, as `path:line:column`.
    fn told_at(&self, reason: &str, place: &str) -> &Diagnostic {
        let told = self.told(reason);
        let location = told.location.as_ref().map(ToString::to_string);
        assert_eq!(location.as_deref(), Some(place), "{told:#?}");
        told
    }

    /// Fails unless a file is as it was on a WEC.
    fn kept(&self, cluster: &str, file: &str) {
        let path = format!("{cluster}/{file}");
        assert!(self.before.contains_key(&path), "{path} was never there");
        assert_eq!(self.after.get(&path), self.before.get(&path), "{path}");
    }

    /// Fails unless a file is as it was on both WECs.
    fn kept_on_both(&self, file: &str) {
        self.kept("fra", file);
        self.kept("iad", file);
    }
}

/// Delivers good files, then makes a mistake.
fn after(mistake: impl Fn(&Path)) -> Told {
    after_in(&SMALL, mistake)
}

/// The same, with files of one's own.
fn after_in(files: &[(&str, &str)], mistake: impl Fn(&Path)) -> Told {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("bad-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut site = Site::empty(&name);
    let good = |state: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: good, namespace: shop}}\ndata: {{state: {state}}}\n"
        )
    };
    site.repository.commit("Begin", files);
    site.change(&[("workloads/good.yaml", &good("first"))]);
    let (rendering, delivery) = site.deliver();
    assert_eq!(delivery.outcome, Outcome::Written);
    assert_eq!(rendering.errors(), 0, "{:#?}", rendering.diagnostics);
    let (before, start) = (site.generated(), site.tip());

    mistake(site.repository.path());
    site.change(&[("workloads/good.yaml", &good("second"))]);
    let (rendering, delivery) = site.deliver();
    assert_eq!(delivery.outcome, Outcome::Written);
    let (generated, tip) = (site.generated(), site.tip());
    for cluster in ["fra", "iad"] {
        let good = &generated[&format!("{cluster}/shop/configmap-good.yaml")];
        assert!(
            good.contains("second"),
            "the good change is held up: {good}"
        );
    }
    let lost: Vec<_> = before
        .keys()
        .filter(|path| !generated.contains_key(*path))
        .collect();
    assert!(
        lost.is_empty(),
        "lost {lost:?}: {:#?}",
        rendering.diagnostics
    );
    site.expect_sound();

    // A process that remembers nothing comes to the same commit.
    site.repository
        .git(&["update-ref", "refs/heads/generated", &start]);
    site.restart();
    site.deliver();
    assert_eq!(site.generated(), generated);
    assert_eq!(site.tip(), tip);
    Told {
        site,
        rendering,
        before,
        after: generated,
    }
}

/// Makes one of the files of the source hold this instead.
fn write(path: &str, text: impl AsRef<[u8]>) -> impl Fn(&Path) {
    move |root| {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text.as_ref()).unwrap();
    }
}

/// Replaces a text that occurs once in one of the files of the source.
fn replace(path: &str, from: &str, to: &str) -> impl Fn(&Path) {
    move |root| {
        let text = fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}");
        fs::write(root.join(path), text.replace(from, to)).unwrap();
    }
}
