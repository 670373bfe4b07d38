//! The page's files, which are part of the program: no build step, no outside resource, nothing secret in them.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::Shared;

/// A file of the page.
struct Asset {
    path: &'static str,
    media: &'static str,
    text: &'static str,
}

/// Declares the files beside this one.
macro_rules! assets {
    ($($path:literal $file:literal $media:literal;)*) => {
        [$(Asset {
            path: $path,
            media: $media,
            text: include_str!(concat!("page/", $file)),
        },)*]
    };
}

static ASSETS: [Asset; 14] = assets! {
    "/" "index.html" "text/html; charset=utf-8";
    "/page/style.css" "style.css" "text/css; charset=utf-8";
    "/page/icon.svg" "icon.svg" "image/svg+xml";
    "/page/app.js" "app.js" "text/javascript; charset=utf-8";
    "/page/api.js" "api.js" "text/javascript; charset=utf-8";
    "/page/dom.js" "dom.js" "text/javascript; charset=utf-8";
    "/page/phases.js" "phases.js" "text/javascript; charset=utf-8";
    "/page/grid.js" "grid.js" "text/javascript; charset=utf-8";
    "/page/overview.js" "overview.js" "text/javascript; charset=utf-8";
    "/page/commit.js" "commit.js" "text/javascript; charset=utf-8";
    "/page/cluster.js" "cluster.js" "text/javascript; charset=utf-8";
    "/page/pull.js" "pull.js" "text/javascript; charset=utf-8";
    "/page/release.js" "release.js" "text/javascript; charset=utf-8";
    "/page/explain.js" "explain.js" "text/javascript; charset=utf-8";
};

/// What each file's digest is, by its place above.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |asset: &Asset| entity_tag(asset.text.as_bytes());
    ASSETS.iter().map(tag).collect()
});

/// `/` and `/page/…`.
pub(super) fn router() -> Router<Shared> {
    ASSETS
        .iter()
        .zip(TAGS.iter())
        .fold(Router::new(), |router, (asset, tag)| {
            router.route(
                asset.path,
                get(async move |headers: HeaderMap| give(asset, tag, &headers)),
            )
        })
}

fn give(asset: &'static Asset, tag: &'static str, headers: &HeaderMap) -> Response {
    let cache = [
        (header::ETAG, HeaderValue::from_static(tag)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media)),
    ];
    if is_known(headers, tag) {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    (cache, asset.text).into_response()
}

/// Makes a tag of bytes; weak, since they may travel compressed.
pub(super) fn entity_tag(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let hex: String = digest.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("W/\"{hex}\"")
}

/// Tells whether the client says that it has what the tag stands for.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        value
            .split(',')
            .any(|known| matches!(known.trim(), "*") || known.trim() == tag)
    })
}
