//! An explanation in words: verdict, reasons, the policies that come near with their ticks, and the object's way. Pure.

use super::Answer;
use crate::cli::difference::coloured;
use crate::cli::steps::Way;
use crate::cli::table::{count, list};
use crate::cli::terminal::Styles;
use crate::model::ClusterName;
use crate::model::selector::RequirementOutcome;
use crate::placement::{
    ClauseExplanation, CriterionExplanation, Explanation, PolicyExplanation, SelectorExplanation,
    Standing, Verdict,
};
use crate::reconcile::Rendering;

/// The most WECs that a line names.
const NAMED: usize = 12;

/// Writes an answer for people.
pub(super) fn answer(answer: &Answer, rendering: &Rendering, all: bool, styles: &Styles) -> String {
    let explanation = &answer.explanation;
    let strong = styles.strong;
    let style = if explanation.verdict.is_delivered() {
        styles.good
    } else {
        styles.warning
    };
    let mut text = format!(
        "{strong}{}{strong:#} {style}{}{style:#}\n",
        explanation.object,
        verdict(explanation)
    );
    if let Some(place) = rendering.location(&explanation.object) {
        put!(text, "  written in {place}\n");
    }
    if let Some(path) = &answer.path {
        put!(text, "  goes to {path}\n");
    }
    for because in telling(explanation, all) {
        put!(text, "  because {because}\n");
    }
    if explanation.cluster.is_none() {
        if !explanation.destinations.is_empty() {
            put!(text, "  WECs: {}\n", list(&explanation.destinations, NAMED));
        }
        if !explanation.held_back.is_empty() {
            put!(
                text,
                "  held back on: {}\n",
                list(&explanation.held_back, NAMED)
            );
        }
    }
    for help in answer.errors.iter().filter_map(|error| error.help.as_ref()) {
        put!(text, "  help: {help}\n");
    }
    let near = |policy: &&PolicyExplanation| {
        all || policy.selects_object || Some(&policy.policy) == explanation.nearest.as_ref()
    };
    for policy in explanation.policies.iter().filter(near) {
        text.push('\n');
        policy_explained(policy, explanation.cluster.as_ref(), all, styles, &mut text);
    }
    let hidden = explanation.policies.len() - explanation.policies.iter().filter(near).count();
    if hidden > 0 {
        let faint = styles.faint;
        let verb = if hidden == 1 { "does" } else { "do" };
        put!(
            text,
            "\n{faint}{} {verb} not come near; --all shows {}{faint:#}\n",
            count(hidden, "other policy"),
            if hidden == 1 { "it" } else { "them" }
        );
    }
    if let Some(way) = &answer.way {
        let on = explanation
            .cluster
            .as_ref()
            .or(explanation.destinations.first())
            .or(explanation.held_back.first());
        way_text(way, on, styles, &mut text);
    }
    text
}

/// Says in a few words what comes out.
fn verdict(explanation: &Explanation) -> String {
    let there = match &explanation.cluster {
        Some(cluster) => cluster.to_string(),
        None => count(explanation.destinations.len(), "WEC"),
    };
    let but = match explanation.held_back.len() {
        0 => String::new(),
        held => format!(", and held back on {held}"),
    };
    match (explanation.verdict, &explanation.cluster) {
        (Verdict::Placed, _) => format!("is on {there}{but}"),
        (Verdict::CreatedOnce, _) => {
            format!("is created once on {there}, and then left alone{but}")
        }
        (Verdict::Implied, _) => format!("is on {there}, without being selected there"),
        (Verdict::HeldBack, Some(cluster)) => {
            format!("should be on {cluster} and is held back: what is there stays as it is")
        }
        (Verdict::HeldBack, None) => format!(
            "should be on {} and is held back: what is there stays as it is",
            count(explanation.held_back.len(), "WEC")
        ),
        (Verdict::Kept, _) => "stays where it is".to_owned(),
        (Verdict::NotSelected | Verdict::NotADestination, Some(cluster)) => {
            format!("is not on {cluster}")
        }
        (Verdict::NotSelected | Verdict::NotADestination, None) => "is on no WEC".to_owned(),
        (Verdict::Excluded, _) => "is never delivered".to_owned(),
        (Verdict::NoSuchObject, _) => "is not in the source".to_owned(),
        (Verdict::NoSuchCluster, _) => "cannot be placed".to_owned(),
    }
}

/// Gives the reasons that are worth telling: where nothing selects the object, the nearest policy says enough.
fn telling(explanation: &Explanation, all: bool) -> &[String] {
    let selecting = explanation
        .policies
        .iter()
        .filter(|policy| policy.selects_object);
    let most = match explanation.verdict {
        Verdict::NotSelected if !all => selecting.count().max(1),
        _ => explanation.because.len(),
    };
    explanation
        .because
        .get(..most)
        .unwrap_or(&explanation.because)
}

fn mark(holds: bool, styles: &Styles) -> String {
    let (sign, style) = if holds {
        ("✓", styles.added)
    } else {
        ("✗", styles.removed)
    };
    format!("{style}{sign}{style:#}")
}

fn policy_explained(
    policy: &PolicyExplanation,
    cluster: Option<&ClusterName>,
    all: bool,
    styles: &Styles,
    text: &mut String,
) {
    let place = policy
        .location
        .as_ref()
        .map(|place| format!("  {place}"))
        .unwrap_or_default();
    let (strong, faint) = (styles.strong, styles.faint);
    put!(
        text,
        "{strong}policy {}{strong:#}{faint}{place}{faint:#}\n",
        policy.policy
    );
    for problem in &policy.problems {
        put!(text, "  {} {problem}\n", mark(false, styles));
    }
    if policy.standing == Standing::Unknown {
        text.push_str(
            "  ? until that is mended nobody can say what it selects; what it placed stays\n",
        );
        return;
    }
    if let (Some(cluster), Some(holds)) = (cluster, policy.selects_cluster) {
        let word = if holds { "selects" } else { "does not select" };
        put!(
            text,
            "  {} where: {word} WEC {cluster}\n",
            mark(holds, styles)
        );
    } else {
        let number = count(policy.matched_clusters, "WEC");
        put!(
            text,
            "  {} where: {number}\n",
            mark(policy.matched_clusters > 0, styles)
        );
    }
    for selector in &policy.cluster_selectors {
        selector_text(
            selector,
            "{} (every WEC)",
            cluster.is_some(),
            4,
            styles,
            text,
        );
    }
    put!(
        text,
        "  {} what: {} the object\n",
        mark(policy.selects_object, styles),
        if policy.selects_object {
            "selects"
        } else {
            "does not select"
        }
    );
    let satisfied = policy.clauses.iter().any(|clause| clause.satisfied);
    for clause in policy
        .clauses
        .iter()
        .filter(|clause| all || !satisfied || clause.satisfied)
    {
        clause_text(clause, all, styles, text);
    }
}

fn clause_text(clause: &ClauseExplanation, all: bool, styles: &Styles, text: &mut String) {
    let once = if clause.create_only {
        ", created once"
    } else {
        ""
    };
    put!(
        text,
        "    {} downsync[{}]{once}\n",
        mark(clause.satisfied, styles),
        clause.index
    );
    for criterion in clause
        .criteria
        .iter()
        .filter(|criterion| all || !criterion.wants.is_empty())
    {
        criterion_text(criterion, styles, text);
    }
}

fn criterion_text(criterion: &CriterionExplanation, styles: &Styles, text: &mut String) {
    let wants = match (criterion.wants.as_slice(), criterion.selectors.is_empty()) {
        ([], _) => "anything".to_owned(),
        (wants, true) => wants
            .iter()
            .map(|want| {
                if want.is_empty() {
                    "\"\""
                } else {
                    want.as_str()
                }
            })
            .collect::<Vec<_>>()
            .join(" | "),
        (wants, false) => count(wants.len(), "selector"),
    };
    let has = if criterion.has.is_empty() {
        "\"\""
    } else {
        &criterion.has
    };
    put!(
        text,
        "      {} {}: wants {wants}, the object has {has}\n",
        mark(criterion.satisfied, styles),
        criterion.field
    );
    for selector in &criterion.selectors {
        selector_text(selector, "{} (everything)", true, 8, styles, text);
    }
}

/// Writes a selector (`everything` for the one without requirements), and below it each requirement with what the label is.
fn selector_text(
    selector: &SelectorExplanation,
    everything: &str,
    judged: bool,
    indent: usize,
    styles: &Styles,
    text: &mut String,
) {
    let name = if selector.text == "{}" {
        everything
    } else {
        &selector.text
    };
    if !judged {
        put!(text, "{:indent$}· {name}\n", "");
        return;
    }
    let actual = |requirement: &RequirementOutcome| {
        let value = requirement.actual.as_ref();
        value.map_or_else(
            || "the label is not there".to_owned(),
            |value| format!("the label is {value:?}"),
        )
    };
    if let [only] = selector.requirements.as_slice() {
        put!(
            text,
            "{:indent$}{} {name}: {}\n",
            "",
            mark(selector.satisfied, styles),
            actual(only)
        );
        return;
    }
    put!(
        text,
        "{:indent$}{} {name}\n",
        "",
        mark(selector.satisfied, styles)
    );
    for requirement in &selector.requirements {
        let actual = actual(requirement);
        put!(
            text,
            "{:indent$}  {} {}: {actual}\n",
            "",
            mark(requirement.satisfied, styles),
            requirement.text
        );
    }
}

fn way_text(way: &Way, cluster: Option<&ClusterName>, styles: &Styles, text: &mut String) {
    let strong = styles.strong;
    let on = cluster
        .map(|cluster| format!(" (as on {cluster})"))
        .unwrap_or_default();
    put!(text, "\n{strong}on its way{strong:#}{on}\n");
    for step in &way.steps {
        if step.diff.is_empty() {
            put!(text, "  {}: changes nothing\n", step.step);
        } else {
            put!(
                text,
                "  {}\n{}",
                step.step,
                coloured(&step.diff, "    ", styles)
            );
        }
    }
    for template in &way.templates {
        put!(text, "  template in {}\n", template.field);
        for line in template.text.lines() {
            text.push_str(format!("    {line}").trim_end());
            text.push('\n');
        }
        for (name, value) in &template.reads {
            let value = value
                .as_ref()
                .map_or_else(|| "not there".to_owned(), |value| format!("{value:?}"));
            put!(text, "      reads {name}: {value}\n");
        }
        if template.reads_all {
            text.push_str("      may read any property\n");
        }
        if let Some(result) = &template.result {
            result_text(result, text);
        }
    }
    if let Some(failed) = &way.failed {
        put!(
            text,
            "  {} cannot be rendered: {failed}\n",
            mark(false, styles)
        );
    }
}

/// One line stands behind its word, in quotes; more stand below, as they are.
fn result_text(result: &str, text: &mut String) {
    if !result.trim_end().contains('\n') {
        put!(text, "      gives {result:?}\n");
        return;
    }
    text.push_str("      gives\n");
    for line in result.lines() {
        text.push_str(format!("        {line}").trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_several_lines_is_shown_as_lines() {
        let shown = |result| {
            let mut text = String::new();
            result_text(result, &mut text);
            text
        };
        assert_eq!(shown("a b"), "      gives \"a b\"\n");
        assert_eq!(
            shown("a:\n  b: 1\n\nc: 2\n"),
            "      gives\n        a:\n          b: 1\n\n        c: 2\n"
        );
    }
}
