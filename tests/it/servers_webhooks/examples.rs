//! GitHub's payloads, as its own SDK is tested with: read from the installed npm package, never copied.

use std::{fs, path::PathBuf, process::Command};

use axum::http::HeaderMap;
use serde_json::Value;
use stellate::server::webhooks::{Event, Forge, parse::parse};

use crate::support::{need, project, servers::Missing};

/// The folder of the examples, installed where it is missing.
fn installed() -> Result<PathBuf, Missing> {
    let missing = |why: String| Missing {
        server: "npm's @octokit/webhooks-examples",
        why,
        built: false,
    };
    let script = project().join("tests/servers/webhook-examples");
    let output = Command::new(script)
        .output()
        .map_err(|error| missing(error.to_string()))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(missing(why.trim().replace('\n', " ")));
    }
    let folder = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(PathBuf::from(folder.trim()))
}

/// All examples: of GitHub itself and of each GitHub Enterprise Server, with the name of their event.
fn examples(folder: &PathBuf) -> Vec<(String, Value)> {
    let mut examples = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let Ok(text) = fs::read(entry.unwrap().path().join("index.json")) else {
            continue;
        };
        let events: Vec<Value> = serde_json::from_slice(&text).unwrap();
        for event in events {
            let name = event["name"].as_str().unwrap().to_owned();
            for example in event["examples"].as_array().unwrap() {
                examples.push((name.clone(), example.clone()));
            }
        }
    }
    examples
}

fn read(name: &str, body: &Value) -> Event {
    let mut headers = HeaderMap::new();
    headers.insert("x-github-event", name.parse().unwrap());
    let read = parse(Forge::GitHub, &headers, body.to_string().as_bytes());
    read.unwrap_or_else(|error| panic!("{name}: {error}: {body}"))
}

#[test]
fn every_example_of_github_is_read_and_says_what_it_says() {
    let folder = need!(installed());
    let examples = examples(&folder);
    let (mut pushes, mut requests, mut pings, mut ignored) = (0, 0, 0, 0);
    for (name, body) in &examples {
        match read(name, body) {
            Event::Ping => {
                assert_eq!(name, "ping");
                pings += 1;
            }
            Event::Push(push) => {
                assert_eq!(name, "push");
                let change = &push.changes[0];
                assert_eq!(body["ref"], change.reference.as_str());
                assert_eq!(body["deleted"], change.deleted());
                assert_eq!(body["created"], change.before.is_none());
                assert_eq!(body["repository"]["clone_url"], push.urls[0].as_str());
                pushes += 1;
            }
            Event::PullRequest(request) => {
                assert_eq!(name, "pull_request");
                assert_eq!(body["number"], request.number);
                assert_eq!(body["pull_request"]["state"] == "open", request.open);
                assert_eq!(body["pull_request"]["head"]["sha"], request.head.as_str());
                requests += 1;
            }
            Event::Ignored(_) => {
                assert!(!["ping", "push", "pull_request"].contains(&name.as_str()));
                ignored += 1;
            }
        }
    }
    assert!(
        pushes >= 7 && requests >= 29 && pings >= 4 && ignored >= 100,
        "{pushes} pushes, {requests} pull requests, {pings} pings, {ignored} others"
    );
}
