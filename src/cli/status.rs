//! `stellate status`: what a running service's API says → where pipelines, commits and WECs stand.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::data::OutputArgument;
use super::error::CliError;
use super::table::Table;
use super::terminal::{Styles, Terminal, one_line};
use super::{Ending, data};
use crate::git::{self, Secret};

/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `stellate status` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// A pipeline; all of them when left out
    pipeline: Option<String>,
    /// A commit of it, or the first digits of one; `latest` for the newest
    commit: Option<String>,
    /// Where the service listens
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8383",
        env = "STELLATE_URL"
    )]
    url: String,
    /// A file with a token for the API
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    token_file: Option<PathBuf>,
    /// An environment variable with a token for the API
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "token_file",
        help_heading = "Access"
    )]
    token_env: Option<String>,
    /// The authorities that are trusted (PEM), in place of the system's
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgument,
}

/// Asks and shows. Ends with 1 when something is wrong: a problem, or a phase that calls for people.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let client = arguments.client()?;
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
    match data::text(&answer, arguments.output.output)? {
        Some(text) => terminal.print(text)?,
        None => terminal.show(&table(&answer, terminal.out()))?,
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
    !item["problem"].is_null()
        || phase
            .and_then(Value::as_str)
            .is_some_and(|phase| bad.contains(&phase))
}

fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
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

fn clusters(answer: &Value, styles: &Styles) -> String {
    let mut table = Table::new(&["WEC", "PHASE", "OBJECTS", "SINCE", "WHY"]).numbers(&[2]);
    for item in items(answer) {
        let objects = item["objects"]
            .as_u64()
            .map(|number| number.to_string())
            .unwrap_or_default();
        let cells = [
            text(&item["name"]),
            text(&item["phase"]),
            objects,
            time(&item["since"]),
            text(&item["why"]),
        ];
        table.row(cells);
    }
    table.text(styles)
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

/// A name as it stands in a path.
fn escape(name: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| {
            if safe(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// The API of a service.
struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<Secret>,
}

impl Arguments {
    fn client(&self) -> Result<Client, CliError> {
        let token = match (&self.token_file, &self.token_env) {
            (Some(path), _) => Some(Secret::from_file(path)?),
            (None, Some(name)) => Some(Secret::from_environment(name)?),
            (None, None) => None,
        };
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .tls_config(git::trust(self.ca_file.as_deref())?)
            .build();
        Ok(Client {
            agent: config.into(),
            base: format!("{}/api/v1", self.url.trim_end_matches('/')),
            token,
        })
    }
}

impl Client {
    /// Reads all pages of a list.
    fn list(&self, path: &str) -> Result<Value, CliError> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let answer = self.get(&format!("{path}?limit=1000{next}"))?;
            all.extend(items(&answer).cloned());
            match answer["continue"].as_str() {
                Some(token) => next = format!("&continue={}", escape(token)),
                None => return Ok(json!({ "items": all })),
            }
        }
    }

    /// Finds a commit by what was written for it.
    fn commit(&self, pipeline: &str, written: &str) -> Result<String, CliError> {
        if written != "latest" {
            return Ok(escape(written));
        }
        let answer = self.get(&format!("/pipelines/{pipeline}/commits?limit=1"))?;
        let newest = items(&answer)
            .next()
            .and_then(|commit| commit["id"].as_str());
        newest.map(str::to_owned).ok_or_else(|| {
            CliError::message("the pipeline has no commit yet")
                .hint("stellate status says what it is doing")
        })
    }

    fn get(&self, path: &str) -> Result<Value, CliError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let mut response = request.call().map_err(|error| {
            CliError::message(format!("no service answers at {}: {error}", self.base))
                .hint("start it with stellate run, or name where it listens with --url URL")
        })?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_vec().unwrap_or_default();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status {
            200 => Ok(answer),
            401 => Err(CliError::message("the service wants a token")
                .hint("give it one with --token-file FILE or --token-env NAME")),
            _ => {
                let detail = answer["detail"].as_str().or(answer["title"].as_str());
                let said = detail.map_or_else(|| format!("the service answers {status}"), one_line);
                Err(CliError::message(said).hint(
                    "stellate status lists the pipelines, stellate status PIPELINE its commits",
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        assert_eq!(escape("shop/../x?y"), "shop%2F..%2Fx%3Fy");
    }

    #[test]
    fn trouble_is_a_problem_or_a_phase_that_calls_for_people() {
        assert!(is_trouble(&json!({"problem": {"message": "x"}})));
        assert!(is_trouble(&json!({"latest": {"phase": "held"}})));
        assert!(is_trouble(&json!({"phase": "degraded"})));
        assert!(!is_trouble(&json!({"phase": "healthy"})));
    }
}
