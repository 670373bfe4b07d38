//! A generated branch that somebody deletes or sets back: what stood there still counts.

use super::outputs::Outputs;
use super::*;

/// What somebody does to a branch, as arguments of git.
type Loss = fn(&Site, &str, &str) -> Vec<String>;

fn deleted(_: &Site, reference: &str, _: &str) -> Vec<String> {
    ["update-ref", "-d", reference].map(str::to_owned).into()
}

fn set_back(_: &Site, reference: &str, to: &str) -> Vec<String> {
    ["update-ref", reference, to].map(str::to_owned).into()
}

const LOSSES: [(&str, Loss); 2] = [("deleted", deleted), ("set back", set_back)];
const REFERENCES: [&str; 3] = [
    "refs/heads/generated",
    "refs/heads/each/fra",
    "refs/heads/each/iad",
];

/// Outputs with two generated commits each; gives the first ones.
fn outputs(name: &str) -> (Outputs, Vec<String>) {
    let mut outputs = Outputs::new(name, &[]);
    let first = REFERENCES.map(|reference| outputs.site.repository.git(&["rev-parse", reference]));
    outputs.site.change(&[("workloads/late.yaml", LATE)]);
    outputs.deliver();
    (outputs, first.into())
}

const LATE: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: late, namespace: shop}
data: {a: b}
";

fn lose(outputs: &Outputs, loss: Loss, first: &[String]) {
    for (reference, first) in REFERENCES.iter().zip(first) {
        let command = loss(&outputs.site, reference, first);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        outputs.site.repository.git(&command);
    }
}

#[test]
fn what_an_error_keeps_is_kept_on_a_branch_that_is_lost_too() {
    for (what, loss) in LOSSES {
        for restarted in [false, true] {
            let (mut outputs, first) = outputs("lost");
            let before = outputs.files();
            outputs.site.change(&[("workloads/late.yaml", "kind: [\n")]);
            outputs.deliver();
            lose(&outputs, loss, &first);
            if restarted {
                outputs.site.restart();
            }
            for delivery in outputs.deliver().iter().take(2) {
                let told = delivery.diagnostics.iter();
                let told = told.filter(|told| told.reason == "BranchLost").count();
                assert!(told > 0, "{what}: {:?}", delivery.diagnostics);
            }
            assert_eq!(outputs.files(), before, "{what}, restarted: {restarted}");
            outputs.site.expect_sound();
            let again = outputs.deliver();
            assert!(
                again
                    .iter()
                    .all(|delivery| delivery.outcome == Outcome::Unchanged
                        && delivery.diagnostics.is_empty()),
                "{what}: {again:?}"
            );
        }
    }
}

#[test]
fn a_branch_that_is_lost_does_not_open_the_guard() {
    for (what, loss) in LOSSES {
        let (mut outputs, first) = outputs("guarded");
        lose(&outputs, loss, &first);
        outputs.site.restart();
        let root = outputs.site.repository.path().to_owned();
        std::fs::remove_dir_all(root.join("workloads")).unwrap();
        outputs.site.repository.commit_all("Remove everything");
        for delivery in outputs.deliver() {
            assert!(
                matches!(delivery.outcome, Outcome::Held(_)),
                "{what}: {:?}",
                delivery.outcome
            );
        }
    }
}
