//! What went wrong, as RFC 9457 has it: `application/problem+json` with a fixed word, a sentence and a way out.

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::reconcile::browse::BrowseError;

/// An answer that is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Always `about:blank`: `reason` tells problems apart.
    pub r#type: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The status in words.
    pub title: &'static str,
    /// A fixed word.
    pub reason: &'static str,
    /// A sentence.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<&'static str>,
}

impl Problem {
    /// Puts together a problem.
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error"),
            reason,
            detail: detail.into(),
            help: None,
        }
    }

    /// Adds a way out.
    #[must_use]
    pub fn help(mut self, help: &'static str) -> Self {
        self.help = Some(help);
        self
    }

    /// What was asked for is not there.
    pub fn missing(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason, detail)
    }

    /// The request cannot be understood.
    pub fn request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

impl From<BrowseError> for Problem {
    fn from(error: BrowseError) -> Self {
        let detail = error.to_string();
        match error {
            BrowseError::NoSuchCommit(_) => Self::missing("NoSuchCommit", detail)
                .help("it may have been taken off the branch; ask for a sync"),
            BrowseError::NoSuchFile(_) => Self::missing("NoSuchFile", detail),
            BrowseError::TooMany => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "TooMany", detail)
                .help("ask for one WEC at a time"),
            BrowseError::Git(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "RepositoryUnreadable",
                detail,
            ),
        }
    }
}

/// No such path.
pub(super) async fn nothing_here(uri: Uri) -> Problem {
    Problem::missing("NoSuchPath", format!("there is nothing at {}", uri.path()))
        .help("/api/v1/openapi.json says what there is")
}

/// The path is there, the method is not.
pub(super) async fn wrong_method(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "WrongMethod",
        format!("{} has no such method", uri.path()),
    )
}
