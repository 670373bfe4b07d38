//! The API of a running service: an address and a token → its answers as JSON, its problems as errors.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::error::CliError;
use super::terminal::one_line;
use super::token::TokenArguments;
use crate::git::{self, Secret};

/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a service is, and how it is reached.
#[derive(Args)]
pub(super) struct Connection {
    /// Where the service listens
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8383",
        env = "STELLATE_URL"
    )]
    url: String,
    #[command(flatten)]
    token: TokenArguments,
    /// The authorities that are trusted (PEM), in place of the system's
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    ca_file: Option<PathBuf>,
}

/// The API of a service.
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<Secret>,
}

impl Connection {
    /// Makes a client; nothing is asked yet.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        let token = self.token.place().map(|place| place.read()).transpose()?;
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
    pub(super) fn list(&self, path: &str) -> Result<Value, CliError> {
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
    pub(super) fn commit(&self, pipeline: &str, written: &str) -> Result<String, CliError> {
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

    /// Reads an answer.
    pub(super) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.ask("GET", path)
    }

    /// Asks for something to be done.
    pub(super) fn post(&self, path: &str) -> Result<Value, CliError> {
        self.ask("POST", path)
    }

    fn ask(&self, method: &str, path: &str) -> Result<Value, CliError> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let away = |error: &dyn std::fmt::Display| {
            CliError::message(format!("no service answers at {}: {error}", self.base))
                .hint("start it with stellate run, or name where it listens with --url URL")
        };
        let request = request.body(()).map_err(|error| away(&error))?;
        let mut response = self.agent.run(request).map_err(|error| away(&error))?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_vec().unwrap_or_default();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status {
            200..=299 => Ok(answer),
            401 => Err(self.unknown_here()),
            _ => {
                let detail = answer["detail"].as_str().or(answer["title"].as_str());
                let said = detail.map_or_else(|| format!("the service answers {status}"), one_line);
                let help = answer["help"].as_str().map(one_line);
                Err(CliError::message(said).hint(help.unwrap_or_else(|| {
                    "stellate status lists the pipelines, stellate status PIPELINE its commits"
                        .to_owned()
                })))
            }
        }
    }
}

impl Client {
    /// The service does not know who asks.
    fn unknown_here(&self) -> CliError {
        match &self.token {
            None => CliError::message("the service wants a token")
                .hint("give it one with --token-file FILE or --token-env NAME"),
            Some(_) => CliError::message("the token is not one of the service's").hint(
                "take one that `stellate run` was given with --api-token-file or --api-token-env",
            ),
        }
    }
}

/// A name as it stands in a path.
pub(super) fn escape(name: &str) -> String {
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

/// What a list holds.
pub(super) fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        assert_eq!(escape("shop/../x?y"), "shop%2F..%2Fx%3Fy");
    }
}
