//! One request to GitHub by octocrab → an [`Answer`], or why there was none; and the tokens of Apps.

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use jiff::Timestamp;
use octocrab::models::AppId;
use octocrab::{
    DefaultOctocrabBuilderConfig, NoAuth, NoSvc, NotLayerReady, Octocrab, OctocrabBuilder,
};
use serde_json::{Value, json};
use ureq::http::Method;

use super::super::answer::{Answer, Place, Request};
use super::super::error::ForgeError;
use super::super::rest::now;
use super::super::{ForgeConfig, ForgeLogin, encode_parts, read_secret, text};
use crate::git::{AppLogin, Secret, plain_text};
use crate::model::api::pipeline::ForgeKind;

/// The time that a request for an App's token may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Takes a token of an App for one repository, `owner/name`, good for the API and, as the password of `x-access-token`, for git. Gives
/// it with the time at which it dies. Finds the installation by the repository unless the login names it.
///
/// # Errors
/// [`ForgeError::Credential`] for a key that cannot be used, [`ForgeError::NotInstalled`], and any failure of the way to the host.
pub async fn installation_token(
    app: &AppLogin,
    api: &str,
    repository: &str,
) -> Result<(Secret, Timestamp), ForgeError> {
    let config = ForgeConfig {
        kind: ForgeKind::GitHub,
        api: api.to_owned(),
        page: String::new(),
        repository: repository.to_owned(),
        reference: None,
        login: ForgeLogin::App(app.clone()),
        timeout: TIMEOUT,
    };
    let place = config.place();
    let key = read_secret(place.clone(), app.private_key.clone(), true).await?;
    let builder = builder(api, &place, TIMEOUT)?;
    let client = builder
        .app_from_rsa_pem(AppId(app.app_id), key.expose())
        .and_then(OctocrabBuilder::<_, DefaultOctocrabBuilderConfig, _, _>::build)
        .map_err(|error| explain(&error, &place))?;
    let asked = Request::Installation;
    let good = |answer: Answer| {
        if !answer.is_good() {
            return Err(place.failure(&answer, asked));
        }
        let body = serde_json::from_str::<Value>(&answer.body);
        body.map_err(|_| place.odd("the body is no JSON"))
    };
    let id = if let Some(id) = app.installation_id {
        id
    } else {
        let path = format!("/repos/{}/installation", encode_parts(repository));
        let found = good(ask(&client, &place, TIMEOUT, &Method::GET, &path, None).await?)?;
        let id = found["id"].as_u64();
        id.ok_or_else(|| place.odd("the installation has no id"))?
    };
    let path = format!("/app/installations/{id}/access_tokens");
    let name = repository.rsplit('/').next().unwrap_or(repository);
    let one = json!({"repositories": [name]});
    let mut answer = ask(&client, &place, TIMEOUT, &Method::POST, &path, Some(&one)).await?;
    if answer.status == 422 {
        // A repository that was renamed has another name there: then the token is good for all that the App may see.
        answer = ask(
            &client,
            &place,
            TIMEOUT,
            &Method::POST,
            &path,
            Some(&json!({})),
        )
        .await?;
    }
    let found = good(answer)?;
    let until = text(&found, "expires_at").and_then(|until| until.parse().ok());
    match (text(&found, "token"), until) {
        (Some(token), Some(until)) => Ok((Secret::new(token), until)),
        _ => Err(place.odd("the token is missing")),
    }
}

pub(super) fn builder(
    api: &str,
    place: &Place,
    timeout: Duration,
) -> Result<OctocrabBuilder<NoSvc, DefaultOctocrabBuilderConfig, NoAuth, NotLayerReady>, ForgeError>
{
    let builder = Octocrab::builder()
        .base_uri(api)
        .map_err(|error| explain(&error, place))?;
    Ok(builder
        .set_connect_timeout(Some(timeout))
        .set_read_timeout(Some(timeout))
        .set_write_timeout(Some(timeout)))
}

/// One request, without following anything.
pub(super) async fn ask(
    client: &Octocrab,
    place: &Place,
    timeout: Duration,
    method: &Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, ForgeError> {
    let request = ureq::http::request::Builder::new()
        .method(method.clone())
        .uri(path);
    let request = client
        .build_request(request, body)
        .map_err(|error| explain(&error, place))?;
    let answer = async {
        let response = client.execute(request).await?;
        let mut answer = Answer::from_headers(response.status().as_u16(), now(), |name| {
            response.headers().get(name)?.to_str().ok()
        });
        answer.body = client.body_to_string(response).await?;
        Ok(answer)
    };
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer.map_err(|error: octocrab::Error| explain(&error, place)),
        Err(_) => Err(ForgeError::Timeout {
            host: place.host.clone(),
        }),
    }
}

/// Says why there was no answer: what is behind the error says more than the error.
pub(super) fn explain(error: &octocrab::Error, place: &Place) -> ForgeError {
    let host = place.host.clone();
    if let octocrab::Error::JWT { .. } = error {
        return ForgeError::Credential {
            host,
            problem:
                "the App's private key cannot be used: it is to be RSA, in PEM, as GitHub gives it"
                    .into(),
        };
    }
    let mut kind = None;
    let mut problem = String::new();
    let mut cause = error.source();
    while let Some(this) = cause {
        if let Some(error) = this.downcast_ref::<std::io::Error>() {
            kind = Some(error.kind());
        }
        problem = plain_text(&this.to_string(), 200);
        cause = this.source();
    }
    match kind {
        Some(ErrorKind::TimedOut) => ForgeError::Timeout { host },
        Some(
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable,
        ) => ForgeError::Unreachable { host, problem },
        _ if problem.contains("dns")
            || problem.contains("lookup")
            || problem.contains("certificate") =>
        {
            ForgeError::Unreachable { host, problem }
        }
        _ => ForgeError::Broken { host, problem },
    }
}
