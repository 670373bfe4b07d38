//! `stellate explain`: why an object is, or is not, on a WEC; and what a policy resolves to.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::data::Format;
use super::difference::coloured;
use super::error::CliError;
use super::progress::Line;
use super::render::{file_path, position};
use super::scene::SourceArguments;
use super::steps::{self, Way};
use super::table::{count, list};
use super::terminal::{Styles, Terminal};
use super::{Ending, data, lookup};
use crate::model::selector::{RequirementOutcome, Selector};
use crate::model::{ClusterName, ObjectKey};
use crate::placement::{
    ClauseExplanation, CriterionExplanation, Explanation, PolicyExplanation, SelectorExplanation,
    Verdict,
};
use crate::reconcile::Rendering;

/// The most WECs that a line names.
const NAMED: usize = 12;

/// The most reasons that are told when no policy selects the object.
const REASONS: usize = 3;

/// What `stellate explain` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// Kind or resource, with its group where several have it: Deployment, deployments.apps; in any case
    #[arg(value_name = "KIND[.GROUP]")]
    kind: String,
    /// Name, behind its namespace
    #[arg(value_name = "[NAMESPACE/]NAME")]
    name: String,
    #[command(flatten)]
    source: SourceArguments,
    /// The branch, tag or commit to render [default: the work tree]
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Explain for this cluster; may be repeated [default: for all together]
    #[arg(long, value_name = "NAME")]
    wec: Vec<String>,
    /// Show every policy and every criterion, not only those that come near
    #[arg(long)]
    all: bool,
    /// The form of the result
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        hide_default_value = true
    )]
    output: Format,
}

/// One answer.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    explanation: Explanation,
    /// The file on the generated branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// What happens to it on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<Way>,
}

/// Explains.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let mut scene = arguments.source.scene()?;
    scene.check(terminal)?;
    if arguments.rev.is_some() {
        scene.request.revision.clone_from(&arguments.rev);
    }
    let line = Line::new(terminal);
    let mut pipeline = scene.start();
    let rendering = pipeline.render(&scene.request, &line)?;
    drop(line);
    let key = lookup::find(&rendering.snapshot, &arguments.kind, &arguments.name)?;
    let clusters = arguments
        .wec
        .iter()
        .map(|name| position(&rendering, name))
        .collect::<Result<Vec<_>, _>>()?;
    if is_policy(&key) {
        let answer = policy(&rendering, &key);
        let text = match data::text(&answer, arguments.output)? {
            Some(text) => text,
            None => policy_text(&answer, &key, terminal.out()).into_bytes(),
        };
        terminal.print(text)?;
        return Ok(Ending::Done);
    }
    if let Some(control) = rendering
        .snapshot
        .controls
        .iter()
        .find(|control| control.key == key)
    {
        let text = format!(
            "{key} ({}) is read, and never delivered: it steers the delivery",
            control.location
        );
        let value = json!({"object": key, "verdict": "excluded", "because": [text]});
        let printed = data::text(&value, arguments.output)?;
        terminal.print(printed.unwrap_or_else(|| format!("{text}\n").into_bytes()))?;
        return Ok(Ending::Done);
    }
    let asked: Vec<Option<usize>> = if clusters.is_empty() {
        vec![None]
    } else {
        clusters.into_iter().map(Some).collect()
    };
    let mut answers = Vec::new();
    for cluster in asked {
        let name = cluster.map(|cluster| rendering.inventory.clusters[cluster].name.clone());
        let explanation = pipeline.explain(&key, name.as_ref());
        let on = cluster.or_else(|| {
            rendering
                .inventory
                .position(explanation.destinations.first()?.as_str())
        });
        let placed = matches!(explanation.verdict, Verdict::Placed | Verdict::CreatedOnce);
        answers.push(Answer {
            path: name
                .as_ref()
                .filter(|_| placed)
                .map(|name| file_path(name, &key)),
            way: on
                .filter(|_| placed)
                .and_then(|on| steps::follow(&rendering, &key, on)),
            explanation,
        });
    }
    let printed = match answers.as_slice() {
        [only] => data::text(only, arguments.output)?,
        several => data::text(&several, arguments.output)?,
    };
    let printed = printed.unwrap_or_else(|| {
        let texts = answers
            .iter()
            .map(|answer| answer_text(answer, &rendering, arguments.all, terminal.out()));
        texts.collect::<Vec<_>>().join("\n").into_bytes()
    });
    terminal.print(printed)?;
    Ok(Ending::Done)
}

fn is_policy(key: &ObjectKey) -> bool {
    matches!(
        (&*key.group, &*key.kind),
        ("control.kubestellar.io", "BindingPolicy") | ("edge.kubestellar.io", "EdgePlacement")
    )
}

/// What a policy resolves to: its WECs and objects; `destinations` in the shape of the first API's `SinglePlacementSlice`.
fn policy(rendering: &Rendering, key: &ObjectKey) -> Value {
    let placements = rendering
        .snapshot
        .objects
        .iter()
        .zip(&rendering.plan.placements);
    let mine = placements.filter(|(_, placement)| {
        placement
            .policies
            .iter()
            .any(|policy| policy.as_str() == &*key.name)
    });
    let objects: Vec<Value> = mine
        .map(|(object, placement)| {
            json!({
                "group": object.key.group, "version": object.version, "kind": object.key.kind, "resource": object.resource,
                "namespace": object.key.namespace, "name": object.key.name,
                "createOnly": !placement.create_only.is_empty(),
            })
        })
        .collect();
    let read = rendering
        .policies
        .iter()
        .find(|policy| policy.name.as_str() == &*key.name);
    let selectors: Vec<Selector> = read
        .into_iter()
        .flat_map(|policy| &policy.cluster_selectors)
        .filter_map(|selector| Selector::compile(selector).ok())
        .collect();
    let (destinations, passed_over): (Vec<_>, Vec<_>) = rendering
        .inventory
        .clusters
        .iter()
        .filter(|cluster| {
            selectors
                .iter()
                .any(|selector| selector.matches(&cluster.labels))
        })
        .partition(|cluster| cluster.is_destination());
    let destinations: Vec<Value> = destinations
        .into_iter()
        .map(|cluster| json!({"cluster": cluster.name, "locationName": cluster.name, "syncTargetName": cluster.name}))
        .collect();
    let passed_over: Vec<&ClusterName> = passed_over
        .into_iter()
        .map(|cluster| &cluster.name)
        .collect();
    json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1",
        "kind": "ResolvedPolicy",
        "metadata": {"name": key.name},
        "policy": key,
        "destinations": destinations,
        "notDestinations": passed_over,
        "objects": objects,
    })
}

fn policy_text(answer: &Value, key: &ObjectKey, styles: &Styles) -> String {
    let strong = styles.strong;
    let names = |member: &str, pick: &dyn Fn(&Value) -> String| -> Vec<String> {
        answer[member]
            .as_array()
            .into_iter()
            .flatten()
            .map(pick)
            .collect()
    };
    let clusters = names("destinations", &|item| {
        item["cluster"].as_str().unwrap_or_default().to_owned()
    });
    let passed = names("notDestinations", &|item| {
        item.as_str().unwrap_or_default().to_owned()
    });
    let objects = names("objects", &|item| {
        let text = |name: &str| item[name].as_str().unwrap_or_default();
        let once = if item["createOnly"] == true {
            "  (created once)"
        } else {
            ""
        };
        format!(
            "{}{once}",
            ObjectKey::new(text("group"), text("kind"), text("namespace"), text("name"))
        )
    });
    let mut text = format!(
        "{strong}{key}{strong:#}\n\n{}: {}\n",
        count(clusters.len(), "WEC"),
        list(&clusters, 100)
    );
    if !passed.is_empty() {
        put!(
            text,
            "selected, but no destination: {}\n",
            list(&passed, 100)
        );
    }
    put!(text, "{}\n", count(objects.len(), "object"));
    for object in objects {
        put!(text, "  {object}\n");
    }
    text
}

/// Writes an answer for people.
fn answer_text(answer: &Answer, rendering: &Rendering, all: bool, styles: &Styles) -> String {
    let explanation = &answer.explanation;
    let strong = styles.strong;
    let yes = matches!(explanation.verdict, Verdict::Placed | Verdict::CreatedOnce);
    let verdict = match (explanation.verdict, &explanation.cluster) {
        (Verdict::Placed, Some(cluster)) => format!("is on {cluster}"),
        (Verdict::Placed, None) => {
            format!("is on {}", count(explanation.destinations.len(), "WEC"))
        }
        (Verdict::CreatedOnce, Some(cluster)) => {
            format!("is created once on {cluster}, and then left alone")
        }
        (Verdict::CreatedOnce, None) => {
            format!(
                "is created once on {}, and then left alone",
                count(explanation.destinations.len(), "WEC")
            )
        }
        (Verdict::Kept, _) => "stays where it is".to_owned(),
        (Verdict::NotSelected | Verdict::NotADestination, Some(cluster)) => {
            format!("is not on {cluster}")
        }
        (Verdict::NotSelected | Verdict::NotADestination, None) => "is on no WEC".to_owned(),
        (Verdict::Excluded, _) => "is never delivered".to_owned(),
        (Verdict::NoSuchObject, _) => "is not in the source".to_owned(),
        (Verdict::NoSuchCluster, _) => "cannot be placed".to_owned(),
    };
    let style = if yes { styles.good } else { styles.warning };
    let mut text = format!(
        "{strong}{}{strong:#} {style}{verdict}{style:#}\n",
        explanation.object
    );
    if let Some(place) = rendering.location(&explanation.object) {
        put!(text, "  written in {place}\n");
    }
    if let Some(path) = &answer.path {
        put!(text, "  goes to {path}\n");
    }
    // What selects the object comes first; where nothing does, the first few say enough.
    let selecting = explanation
        .policies
        .iter()
        .filter(|policy| policy.selects_object)
        .count();
    let telling = if all {
        explanation.because.len()
    } else if selecting > 0 {
        selecting
    } else {
        REASONS
    };
    for because in explanation.because.iter().take(telling) {
        put!(text, "  because {because}\n");
    }
    if explanation.cluster.is_none() && !explanation.destinations.is_empty() {
        put!(text, "  WECs: {}\n", list(&explanation.destinations, NAMED));
    }
    let near = |policy: &&PolicyExplanation| {
        let named = explanation.cluster.is_some();
        let by_cluster = !yes && selecting == 0 && (!named || policy.selects_cluster == Some(true));
        all || policy.selects_object || by_cluster
    };
    for policy in explanation.policies.iter().filter(near) {
        text.push('\n');
        policy_explained(policy, explanation.cluster.as_ref(), all, styles, &mut text);
    }
    let hidden = explanation.policies.len() - explanation.policies.iter().filter(near).count();
    if hidden > 0 {
        let faint = styles.faint;
        put!(
            text,
            "\n{faint}{} that do not come near; --all shows them{faint:#}\n",
            count(hidden, "other policy")
        );
    }
    if let Some(way) = &answer.way {
        let on = explanation
            .cluster
            .as_ref()
            .or(explanation.destinations.first());
        way_text(way, on, styles, &mut text);
    }
    text
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
        selector_text(selector, cluster.is_some(), 4, styles, text);
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
        selector_text(selector, true, 8, styles, text);
    }
}

/// Writes a selector, and below it each requirement with what the label is.
fn selector_text(
    selector: &SelectorExplanation,
    judged: bool,
    indent: usize,
    styles: &Styles,
    text: &mut String,
) {
    let everything = selector.text.is_empty() || selector.text == "<none>";
    let name = if everything {
        "{} (everything)"
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
            put!(text, "      gives {result:?}\n");
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
