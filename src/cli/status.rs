//! `stellate status`: what a running service's API says → where pipelines, commits and WECs stand.

use clap::Args;
use serde_json::Value;

use super::client::{Connection, escape, items};
use super::data::OutputArgument;
use super::error::CliError;
use super::table::Table;
use super::terminal::{Styles, Terminal, one_line};
use super::{Ending, data};

/// What `stellate status` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// A pipeline; all of them when left out
    pipeline: Option<String>,
    /// A commit of it, or the first digits of one; `latest` for the newest
    commit: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: OutputArgument,
}

/// Asks and shows. Ends with 1 when something is wrong: a problem, or a phase that calls for people.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let client = arguments.connection.client()?;
    let (answer, table): (Value, fn(&Value, &Styles) -> String) =
        match (&arguments.pipeline, &arguments.commit) {
            (None, _) => (client.list("/pipelines")?, pipelines),
            (Some(pipeline), None) => (
                client.list(&format!("/pipelines/{}/commits", escape(pipeline)))?,
                commits,
            ),
            (Some(pipeline), Some(commit)) => {
                let pipeline = escape(pipeline);
                let commit = client.commit(&pipeline, commit)?;
                (
                    client.list(&format!("/pipelines/{pipeline}/commits/{commit}/clusters"))?,
                    clusters,
                )
            }
        };
    if let Some(text) = data::text(&answer, arguments.output.output)? {
        terminal.print(text)?;
    } else {
        terminal.show(&table(&answer, terminal.out()))?;
        if let (Some(pipeline), None) = (&arguments.pipeline, &arguments.commit) {
            let known = client.get(&format!("/pipelines/{}", escape(pipeline)))?;
            terminal.show(&waves(&known, terminal.out()))?;
            terminal.show(&foreign(&known, terminal.out()))?;
        }
    }
    let newest_only = arguments.pipeline.is_some() && arguments.commit.is_none();
    let items = items(&answer).take(if newest_only { 1 } else { usize::MAX });
    Ok(Ending::of_errors(
        items.filter(|item| is_trouble(item)).count(),
    ))
}

/// Tells whether a person is called for.
fn is_trouble(item: &Value) -> bool {
    let phase = item.pointer("/latest/phase").or_else(|| item.get("phase"));
    let bad = ["degraded", "failed", "held", "quarantined"];
    let mut waves = item["waves"].as_array().into_iter().flatten();
    !item["problem"].is_null()
        || waves.any(|wave| wave["state"] == "overdue")
        || phase
            .and_then(Value::as_str)
            .is_some_and(|phase| bad.contains(&phase))
}

fn pipelines(answer: &Value, styles: &Styles) -> String {
    let mut table = Table::new(&[
        "PIPELINE", "STATE", "COMMIT", "PHASE", "WECS", "SOURCE", "WHY",
    ])
    .numbers(&[4]);
    for item in items(answer) {
        let state = match (item["problem"].is_null(), item["ready"] == true) {
            (false, _) => "in trouble",
            (true, true) => "ready",
            (true, false) => "starting",
        };
        let why = match item.pointer("/problem/message") {
            Some(message) => text(message),
            None => text(&item["latest"]["why"]),
        };
        let cells = [
            text(&item["name"]),
            state.to_owned(),
            short(&item["latest"]["id"]),
            text(&item["latest"]["phase"]),
            item["clusters"].to_string(),
            text(&item["source"]),
            why,
        ];
        table.row(cells);
    }
    table.text(styles)
}

fn commits(answer: &Value, styles: &Styles) -> String {
    let mut table = Table::new(&["COMMIT", "PHASE", "GENERATED", "SEEN", "SUBJECT", "WHY"]);
    for item in items(answer) {
        let cells = [
            short(&item["id"]),
            text(&item["phase"]),
            short(&item["generated"]),
            time(&item["seen"]),
            text(&item["subject"]),
            text(&item["why"]),
        ];
        table.row(cells);
    }
    table.text(styles)
}

/// The waves of a pipeline; nothing where it has none.
fn waves(pipeline: &Value, styles: &Styles) -> String {
    let Some(waves) = pipeline["waves"].as_array() else {
        return String::new();
    };
    let mut table = Table::new(&[
        "WAVE", "STATE", "WECS", "PENDING", "HEALTHY", "UNTIL", "WHY",
    ])
    .numbers(&[2, 3, 4]);
    for wave in waves {
        let cells = [
            text(&wave["name"]),
            text(&wave["state"]),
            wave["clusters"].to_string(),
            wave["pending"].to_string(),
            wave["healthy"].to_string(),
            time(&wave["until"]),
            text(&wave["why"]),
        ];
        table.row(cells);
    }
    format!("\n{}", table.text(styles))
}

/// What somebody else committed to the generated branches; nothing where nobody did.
fn foreign(pipeline: &Value, styles: &Styles) -> String {
    let Some(commits) = pipeline["foreign"].as_array() else {
        return String::new();
    };
    let mut table = Table::new(&[
        "FOREIGN COMMIT",
        "BRANCH",
        "AUTHOR",
        "WRITTEN",
        "PUT RIGHT BY",
        "SUBJECT",
        "WHAT",
    ]);
    for commit in commits {
        let reference = text(&commit["reference"]);
        let branch = reference.strip_prefix("refs/heads/").unwrap_or(&reference);
        let first = text(&commit["changes"][0]);
        let cells = [
            short(&commit["commit"]),
            branch.to_owned(),
            text(&commit["author"]),
            time(&commit["written"]),
            short(&commit["putRight"]),
            text(&commit["subject"]),
            match commit["files"].as_u64() {
                None | Some(0) => "changed no file".to_owned(),
                Some(1) => first,
                Some(files) => format!("{first} (and {} more)", files - 1),
            },
        ];
        table.row(cells);
    }
    format!("\n{}", table.text(styles))
}

fn clusters(answer: &Value, styles: &Styles) -> String {
    let in_waves = items(answer).any(|item| !item["wave"].is_null());
    let mut head = vec!["WEC", "PHASE", "OBJECTS", "SINCE", "WHY"];
    if in_waves {
        head.push("WAVE");
    }
    let mut table = Table::new(&head).numbers(&[2]);
    for item in items(answer) {
        let mut cells = vec![
            text(&item["name"]),
            // A WEC that is no destination stands nowhere.
            item["phase"]
                .as_str()
                .map_or("excluded".to_owned(), one_line),
            objects(item),
            time(&item["since"]),
            text(&item["why"]),
        ];
        if in_waves {
            cells.push(text(&item["wave"]));
        }
        table.row(cells);
    }
    table.text(styles)
}

/// How many objects a WEC has: those that were rendered, and those that stay as they were.
fn objects(item: &Value) -> String {
    let number = |name: &str| item[name].as_u64();
    match (number("objects"), number("kept").unwrap_or(0)) {
        (None, _) => String::new(),
        (Some(rendered), 0) => rendered.to_string(),
        (Some(rendered), kept) => format!("{rendered} (+{kept} kept)"),
    }
}

fn text(value: &Value) -> String {
    one_line(value.as_str().unwrap_or_default())
}

/// A time to the second: `2026-11-21T16:10:27Z`.
fn time(value: &Value) -> String {
    let written = text(value);
    match written.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => written,
    }
}

fn short(value: &Value) -> String {
    let id = text(value);
    id.get(..10).map_or(id.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_somebody_else_committed_is_shown_with_who_did_what() {
        let pipeline = json!({"foreign": [{
            "commit": "0123456789abcdef", "reference": "refs/heads/generated", "author": "Ada", "subject": "A hotfix",
            "written": "2026-11-21T16:10:27Z", "commits": 1, "files": 3, "changes": ["changed clusters/a.yaml"],
            "putRight": "fedcba9876543210",
        }]});
        let shown = foreign(&pipeline, &Styles::default());
        assert_eq!(
            shown,
            "\nFOREIGN COMMIT  BRANCH     AUTHOR  WRITTEN               PUT RIGHT BY  SUBJECT   WHAT\n\
             0123456789      generated  Ada     2026-11-21T16:10:27Z  fedcba9876    A hotfix  changed clusters/a.yaml (and 2 more)\n"
        );
        assert_eq!(foreign(&json!({}), &Styles::default()), "");
    }

    #[test]
    fn a_wec_that_is_no_destination_is_listed_with_the_reason() {
        let answer = json!({"items": [
            {"name": "berlin", "phase": "healthy", "since": "2026-11-21T16:10:27.5Z", "why": "", "objects": 12, "kept": 3},
            {"name": "paris", "why": "gets nothing: it is not accepted by the hub"},
        ]});
        let shown = clusters(&answer, &Styles::default());
        assert_eq!(
            shown,
            "WEC     PHASE          OBJECTS  SINCE                 WHY\n\
             berlin  healthy   12 (+3 kept)  2026-11-21T16:10:27Z\n\
             paris   excluded                                      gets nothing: it is not accepted by the hub\n"
        );
    }

    #[test]
    fn trouble_is_a_problem_or_a_phase_that_calls_for_people() {
        assert!(is_trouble(&json!({"problem": {"message": "x"}})));
        assert!(is_trouble(&json!({"latest": {"phase": "held"}})));
        assert!(is_trouble(&json!({"phase": "degraded"})));
        assert!(is_trouble(
            &json!({"waves": [{"state": "done"}, {"state": "overdue"}]})
        ));
        assert!(!is_trouble(
            &json!({"phase": "healthy", "waves": [{"state": "held"}]})
        ));
    }
}
