//! Which pipelines there are: those of the configuration file and those of a hub → one set, and what each object is to be told. Pure.
//!
//! Of two with the same name the file's runs, and so it does of two that would write one branch; of two objects the one that was made
//! first. An object that cannot be used keeps its former plan for as long as it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Plan, findings};
use crate::config::{self, Written};
use crate::model::{Diagnostic, Severity};
use crate::reconcile::hub::Hosted;

/// All pipelines that are known.
#[derive(Default)]
pub(super) struct Roster {
    file: Vec<Plan>,
    hosted: Vec<Entry>,
}

/// A Pipeline object, and what is made of it.
struct Entry {
    object: Hosted,
    /// The newest that could be used.
    plan: Option<Plan>,
    /// All that is wrong with it as it stands.
    refused: Vec<Diagnostic>,
}

impl Roster {
    /// Replaces what stands in the file.
    pub(super) fn configure(&mut self, plans: Vec<Plan>) {
        self.file = plans;
    }

    /// Replaces what the hub holds. `address` is where people see this service.
    pub(super) fn host(&mut self, objects: &[Hosted], address: Option<&str>) {
        let mut former: BTreeMap<String, Plan> = std::mem::take(&mut self.hosted)
            .into_iter()
            .filter_map(|entry| Some((entry.object.uid, entry.plan?)))
            .collect();
        let entry = |object: &Hosted| {
            let written = object.written.as_ref().map_err(Clone::clone);
            let (plan, refused) = match written.and_then(|written| plan(written, address)) {
                Ok(plan) => (Some(plan), Vec::new()),
                Err(found) => (former.remove(&object.uid), found),
            };
            Entry {
                object: object.clone(),
                plan,
                refused,
            }
        };
        self.hosted = objects.iter().map(entry).collect();
    }

    /// Names all pipelines, those too that cannot be used.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let hosted = self.hosted.iter().map(|entry| &entry.object.name);
        self.in_file().chain(hosted).cloned().collect()
    }

    /// Gives what is to run, of each name one, and of each branch.
    pub(super) fn plans(&self) -> Vec<Plan> {
        let contested = self.contested();
        let hosted = self
            .hosted
            .iter()
            .filter(|entry| !self.is_shadowed(&entry.object.name))
            .filter(|entry| !contested.contains_key(&entry.object.uid))
            .filter_map(|entry| entry.plan.as_ref());
        self.file.iter().chain(hosted).cloned().collect()
    }

    /// The objects, by uid, that would write a branch of another pipeline, with what they are told.
    fn contested(&self) -> BTreeMap<String, Diagnostic> {
        let mut entries: Vec<&Entry> = self
            .hosted
            .iter()
            .filter(|entry| !self.is_shadowed(&entry.object.name))
            .collect();
        entries.sort_by_key(|entry| (entry.object.created, &entry.object.name));
        let mut taken: Vec<&Plan> = self.file.iter().collect();
        let mut contested = BTreeMap::new();
        for entry in entries {
            let Some(plan) = &entry.plan else { continue };
            let found = taken.iter().find_map(|other| {
                let contest = config::contest(&plan.resolved, &other.resolved)?;
                Some(contest.diagnostic(&format!("pipeline `{}`", other.resolved.name)))
            });
            match found {
                Some(found) => {
                    contested.insert(entry.object.uid.clone(), found);
                }
                None => taken.push(plan),
            }
        }
        contested
    }

    /// Names the objects that do not run because the file has a pipeline of their name.
    pub(super) fn shadowed(&self) -> BTreeSet<String> {
        let names = self.hosted.iter().map(|entry| &entry.object.name);
        names
            .filter(|name| self.is_shadowed(name))
            .cloned()
            .collect()
    }

    /// Gives each object with all that keeps it, as it stands, from running.
    pub(super) fn objects(&self) -> impl Iterator<Item = (Hosted, Vec<Diagnostic>)> {
        let mut contested = self.contested();
        self.hosted.iter().map(move |entry| {
            let refused = if self.is_shadowed(&entry.object.name) {
                vec![shadowed()]
            } else if entry.refused.is_empty() {
                contested.remove(&entry.object.uid).into_iter().collect()
            } else {
                entry.refused.clone()
            };
            (entry.object.clone(), refused)
        })
    }

    fn in_file(&self) -> impl Iterator<Item = &String> {
        self.file.iter().map(|plan| &plan.resolved.name)
    }

    fn is_shadowed(&self, name: &str) -> bool {
        self.in_file().any(|own| own == name)
    }
}

fn shadowed() -> Diagnostic {
    let message =
        "the service's own configuration file has a pipeline of that name, and that one runs";
    let help = "rename one of the two, or take the pipeline out of the file";
    Diagnostic::error("NameTaken", message).help(help)
}

/// What an object means, or all that is wrong with it; relative paths start where the service was started.
fn plan(written: &Written, address: Option<&str>) -> Result<Plan, Vec<Diagnostic>> {
    let name = written.pipeline.metadata.name.as_deref();
    let path = format!("pipelines/{}", name.unwrap_or_default());
    let (resolved, found) = config::resolve(written, Path::new(""), &path, b"");
    let status = resolved.status.iter();
    let problems = status.flat_map(|status| status.problems.iter().cloned());
    let errors: Vec<Diagnostic> = findings(&resolved, found)
        .into_iter()
        .chain(problems)
        .filter(|found| found.severity == Severity::Error)
        .collect();
    if errors.is_empty() {
        Ok(Plan::new(resolved, address))
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hosted(name: &str, uid: &str, spec: &Value) -> Hosted {
        Hosted {
            name: name.to_owned(),
            uid: uid.to_owned(),
            created: jiff::Timestamp::from_second(uid.parse().expect("a number")).ok(),
            generation: 1,
            written: config::from_object(name, spec),
        }
    }

    fn reads(path: &str) -> Value {
        json!({"source": {"folder": {"path": path}}})
    }

    fn running(roster: &Roster) -> Vec<(String, String)> {
        let plans = roster.plans().into_iter();
        plans
            .map(|plan| (plan.resolved.name.clone(), plan.source()))
            .collect()
    }

    fn refused(roster: &Roster) -> Vec<(String, &'static str)> {
        let objects = roster.objects();
        objects
            .filter_map(|(object, found)| Some((object.name, found.first()?.reason)))
            .collect()
    }

    fn runs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, source): &(&str, &str)| ((*name).to_owned(), (*source).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn an_object_that_cannot_be_used_keeps_its_former_plan_while_it_is_the_same_object() {
        let mut roster = Roster::default();
        roster.host(&[hosted("shop", "1", &reads("/a"))], None);
        let broken = json!({"source": {"folder": {"path": "/b"}}, "outputs": [{"mailbox": {}}]});
        for wrong in [json!({"sauce": {}}), broken] {
            roster.host(&[hosted("shop", "1", &wrong)], None);
            assert_eq!(running(&roster), runs(&[("shop", "/a")]), "{wrong}");
            assert_eq!(refused(&roster).len(), 1, "{wrong}");
        }
        roster.host(&[hosted("shop", "2", &json!({}))], None);
        assert_eq!(running(&roster), [], "another object of that name");
        assert!(roster.names().contains("shop"));
        roster.host(&[hosted("shop", "2", &reads("/c"))], None);
        assert_eq!(running(&roster), runs(&[("shop", "/c")]));
        assert_eq!(refused(&roster), []);
    }

    #[test]
    fn an_object_is_told_all_that_is_wrong_with_it() {
        let told = |spec: &Value| -> Vec<String> {
            let mut roster = Roster::default();
            roster.host(&[hosted("shop", "1", spec)], None);
            let found = roster.objects().flat_map(|(_, found)| found);
            found.map(|found| found.message).collect()
        };
        let misspelt = json!({"source": {"folder": {"path": "/a"}}, "sauce": {}, "stricter": true});
        let found = told(&misspelt);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("`sauce`") && found[1].contains("`stricter`"),
            "{found:?}"
        );
    }

    #[test]
    fn a_pipeline_on_a_wds_does_not_run_and_is_told_what_does() {
        let mut roster = Roster::default();
        let on_wds = json!({"source": {"wds": {"context": "wds1"}}});
        roster.host(&[hosted("shop", "1", &on_wds)], None);
        assert_eq!(running(&roster), []);
        let found = roster
            .objects()
            .find_map(|(_, found)| found.into_iter().next());
        let found = found.expect("a refusal");
        assert_eq!(found.reason, "UnsupportedSource");
        assert!(
            found.message.contains("a WDS cannot be followed"),
            "{found:?}"
        );
        assert!(
            found
                .help
                .as_deref()
                .is_some_and(|help| help.contains("source.git"))
        );
    }

    #[test]
    fn of_two_with_one_name_the_files_runs_and_the_object_is_told() {
        let mut file = Roster::default();
        file.host(&[hosted("shop", "0", &reads("/file"))], None);
        let mut roster = Roster::default();
        let both = [
            hosted("bakery", "1", &reads("/bakery")),
            hosted("shop", "2", &reads("/hub")),
        ];
        roster.host(&both, None);
        roster.configure(file.plans());
        assert_eq!(
            running(&roster),
            runs(&[("shop", "/file"), ("bakery", "/bakery")])
        );
        assert_eq!(refused(&roster), [("shop".to_owned(), "NameTaken")]);
        roster.configure(Vec::new());
        assert_eq!(
            running(&roster),
            runs(&[("bakery", "/bakery"), ("shop", "/hub")])
        );
        assert_eq!(refused(&roster), []);
    }

    #[test]
    fn of_two_that_write_one_branch_the_older_runs_and_the_other_is_told() {
        let writes = |url: &str, branch: &str| json!({"source": {"git": {"url": url}}, "outputs": [{"branch": {"name": branch}}]});
        let shop = "https://example.com/acme/shop";
        let mut roster = Roster::default();
        let three = [
            hosted(
                "bakery",
                "3",
                &writes("https://example.com/acme/shop.git", "live/eu"),
            ),
            hosted("other", "2", &writes(shop, "elsewhere")),
            hosted("shop", "1", &writes(shop, "live")),
        ];
        roster.host(&three, None);
        assert_eq!(running(&roster), runs(&[("other", shop), ("shop", shop)]));
        assert_eq!(refused(&roster), [("bakery".to_owned(), "BranchTaken")]);
        let told = roster
            .objects()
            .find_map(|(_, found)| found.into_iter().next());
        let told = told.expect("a refusal").message.clone();
        assert!(told.contains("pipeline `shop`"), "{told}");
        roster.host(&three[..2], None);
        assert_eq!(refused(&roster), [], "it runs when the other is gone");

        let mut file = Roster::default();
        file.host(&[hosted("filed", "9", &writes(shop, "live"))], None);
        roster.host(&three, None);
        roster.configure(file.plans());
        let told = refused(&roster);
        let told: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(told, ["bakery", "shop"], "the file's comes first");
    }
}
