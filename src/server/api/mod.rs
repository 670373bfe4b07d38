//! `/api/v1`: the board, the generated commits, explanations; and the document that describes it.
//!
//! One table, `routes`, holds every path with its method, its handler and its types: the router and the OpenAPI document are
//! both made of it.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Shared;
use super::assets::{entity_tag, is_known};
use crate::placement::Explanation;

mod clusters;
mod events;
mod find;
pub mod list;
mod openapi;
mod pipelines;
pub mod pulls;
pub mod views;

use list::Page;

/// Where it all begins.
const ROOT: &str = "/api/v1";

/// The longest answer that gets an entity tag.
const LONGEST_TAGGED: usize = 64 << 20;

/// One path with one method.
struct Route {
    method: Method,
    /// Below [`ROOT`].
    path: &'static str,
    /// What it gives, in one line.
    summary: &'static str,
    /// What may stand behind `?`.
    query: &'static [Parameter],
    status: StatusCode,
    media: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
    handler: MethodRouter<Shared>,
}

/// Something behind `?`.
#[derive(Clone, Copy)]
struct Parameter {
    name: &'static str,
    kind: &'static str,
    required: bool,
    about: &'static str,
}

impl Parameter {
    const fn text(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            kind: "string",
            required: false,
            about,
        }
    }
}

const LIMIT: Parameter = Parameter {
    name: "limit",
    kind: "integer",
    required: false,
    about: "the most items in one answer, at most 1000; 100 when left out",
};
const CONTINUE: Parameter = Parameter::text(
    "continue",
    "what the answer before said under `continue`: the list goes on there",
);
const PHASE: Parameter = Parameter::text("phase", "only WECs in these phases, with commas between");
const NAME: Parameter = Parameter::text("name", "only WECs whose names contain this");
const CLUSTER: Parameter =
    Parameter::text("cluster", "for this WEC; for all together when left out");
const WAVE: Parameter = Parameter::text("wave", "the wave; the commit as a whole when left out");
const OBJECT: Parameter = Parameter {
    name: "object",
    kind: "string",
    required: true,
    about: "`KIND[.GROUP] [NAMESPACE/]NAME`, as in `Deployment.apps shop/web`",
};
const FILE: Parameter = Parameter {
    name: "path",
    kind: "string",
    required: true,
    about: "the file below the WEC's folder, as its list of objects says it",
};
const FULL: Parameter = Parameter {
    name: "full",
    kind: "boolean",
    required: false,
    about: "from scratch, without any cache",
};

fn read<T: JsonSchema>(
    path: &'static str,
    summary: &'static str,
    query: &'static [Parameter],
    handler: MethodRouter<Shared>,
) -> Route {
    Route {
        method: Method::GET,
        path,
        summary,
        query,
        status: StatusCode::OK,
        media: "application/json",
        schema: SchemaGenerator::subschema_for::<T>,
        handler,
    }
}

/// Everything there is.
fn routes() -> Vec<Route> {
    const COMMIT: &str = "/pipelines/{pipeline}/commits/{commit}";
    const WEC: &str = "/pipelines/{pipeline}/commits/{commit}/clusters/{cluster}";
    vec![
        read::<Page<views::PipelineView>>(
            "/pipelines",
            "All pipelines, by name",
            &[LIMIT, CONTINUE],
            get(pipelines::list),
        ),
        read::<views::PipelineView>(
            "/pipelines/{pipeline}",
            "One pipeline",
            &[],
            get(pipelines::one),
        ),
        read::<Page<views::CommitItem>>(
            "/pipelines/{pipeline}/commits",
            "Its commits, the newest first",
            &[LIMIT, CONTINUE],
            get(pipelines::commits),
        ),
        read::<views::Grid>(
            "/pipelines/{pipeline}/grid",
            "Its commits and WECs as a grid of phases",
            &[LIMIT],
            get(pipelines::grid),
        ),
        read::<Explanation>(
            "/pipelines/{pipeline}/explain",
            "Why an object is, or is not, on a WEC, by what was rendered last",
            &[OBJECT, CLUSTER],
            get(pipelines::explain),
        ),
        read::<views::CommitView>(COMMIT, "One commit", &[], get(pipelines::commit)),
        Route {
            method: Method::POST,
            status: StatusCode::ACCEPTED,
            ..read::<views::Released>(
                "/pipelines/{pipeline}/commits/{commit}/release",
                "Lets a held commit remove as much as it does, or a wave have a commit before the waves in front of it are healthy",
                &[WAVE],
                post(pipelines::release),
            )
        },
        read::<Page<views::ClusterItem>>(
            "/pipelines/{pipeline}/commits/{commit}/clusters",
            "Its WECs, by name",
            &[PHASE, NAME, LIMIT, CONTINUE],
            get(clusters::list),
        ),
        read::<Page<views::DiffGroup>>(
            "/pipelines/{pipeline}/commits/{commit}/diff",
            "What it changed for all WECs, equal changes once",
            &[LIMIT, CONTINUE],
            get(clusters::groups),
        ),
        read::<views::ClusterView>(WEC, "One WEC", &[], get(clusters::one)),
        read::<Page<views::ObjectItem>>(
            "/pipelines/{pipeline}/commits/{commit}/clusters/{cluster}/objects",
            "What the WEC got, by path",
            &[LIMIT, CONTINUE],
            get(clusters::objects),
        ),
        read::<views::FileView>(
            "/pipelines/{pipeline}/commits/{commit}/clusters/{cluster}/file",
            "The text of one object",
            &[FILE],
            get(clusters::file),
        ),
        read::<Page<views::FileDiff>>(
            "/pipelines/{pipeline}/commits/{commit}/clusters/{cluster}/diff",
            "What the commit changed for the WEC",
            &[LIMIT, CONTINUE],
            get(clusters::diff),
        ),
        read::<Page<pulls::PullItem>>(
            "/pipelines/{pipeline}/pulls",
            "The pull requests that were rendered last, the newest first",
            &[LIMIT, CONTINUE],
            get(pulls::list),
        ),
        read::<pulls::PullView>(
            "/pipelines/{pipeline}/pulls/{number}",
            "What a pull request would change, as it was rendered last",
            &[],
            get(pulls::one),
        ),
        Route {
            method: Method::POST,
            status: StatusCode::ACCEPTED,
            ..read::<views::Asked>(
                "/pipelines/{pipeline}/sync",
                "Asks for a run now",
                &[FULL],
                post(pipelines::sync),
            )
        },
        Route {
            media: "text/event-stream",
            ..read::<views::Changed>(
                "/events",
                "One event `board` for each change of the board; several at once are one",
                &[],
                get(events::stream),
            )
        },
        read::<serde_json::Value>("/openapi.json", "This document", &[], get(openapi::serve)),
    ]
}

/// The whole API.
pub(super) fn router() -> Router<Shared> {
    let tagged = |route: Route| {
        let path = format!("{ROOT}{}", route.path);
        let handler = if route.media == "application/json" && route.method == Method::GET {
            route.handler.layer(middleware::from_fn(tag))
        } else {
            route.handler
        };
        (path, handler)
    };
    routes()
        .into_iter()
        .map(tagged)
        .fold(Router::new(), |router, (path, handler)| {
            router.route(&path, handler)
        })
}

/// Gives answers an entity tag, and says 304 to whoever has them already.
async fn tag(request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, LONGEST_TAGGED).await else {
        return super::problem::Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "TooLong",
            "the answer is longer than anybody reads",
        )
        .into_response();
    };
    let tag = entity_tag(&bytes);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    parts.headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    if is_known(&headers, &tag) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}
