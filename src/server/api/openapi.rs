//! The OpenAPI document: made of the table of routes and of the types that are served.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{ROOT, Route, routes};
use crate::server::problem::Problem;

/// Gives the document.
pub(super) async fn serve() -> Json<Value> {
    Json(document(&routes()))
}

/// Writes routes down as OpenAPI 3.1 has them.
fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for route in routes {
        let schema = (route.schema)(&mut generator);
        let mut responses = BTreeMap::from([
            (
                route.status.as_u16().to_string(),
                answer(route.summary, route.media, &json!(schema)),
            ),
            (
                "default".to_owned(),
                answer("A problem", "application/problem+json", &json!(problem)),
            ),
        ]);
        if route.method == Method::GET && route.media == "application/json" {
            let known = json!({"description": "Not modified since the tag in If-None-Match"});
            responses.insert(StatusCode::NOT_MODIFIED.as_u16().to_string(), known);
        }
        let operation = json!({
            "summary": route.summary,
            "operationId": operation_id(route),
            "parameters": parameters(route),
            "responses": responses,
        });
        paths
            .entry(format!("{ROOT}{}", route.path))
            .or_default()
            .insert(route.method.as_str().to_ascii_lowercase(), operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stellate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Where each commit stands on each WEC, what the WECs got, and why.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}, {"certificate": []}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "certificate": {"type": "mutualTLS"},
            },
        },
    })
}

fn answer(summary: &str, media: &str, schema: &Value) -> Value {
    json!({"description": summary, "content": {media: {"schema": schema}}})
}

/// What stands in the path, then what may stand behind it.
fn parameters(route: &Route) -> Vec<Value> {
    let names = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        let (kind, about) = match name {
            "pipeline" => ("string", "a pipeline's name"),
            "commit" => (
                "string",
                "a source commit's id, or its first characters, at least 7",
            ),
            "number" => ("integer", "a pull request's number"),
            _ => ("string", "a WEC's name"),
        };
        json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": kind}})
    });
    let in_query = route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.about,
            "schema": {"type": parameter.kind},
        })
    });
    in_path.chain(in_query).collect()
}

/// `getPipelinesCommitsDiff`, from the path's own words.
fn operation_id(route: &Route) -> String {
    let words = route
        .path
        .split(['/', '.'])
        .filter(|part| !part.is_empty())
        .map(|part| part.trim_matches(['{', '}']));
    let mut id = route.method.as_str().to_ascii_lowercase();
    for word in words {
        let mut letters = word.chars();
        id.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        id.extend(letters);
    }
    id
}
