//! Spans as a collector gets them: a push to a service with `--otlp-endpoint`, and what arrives decoded with OTLP's own types.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{ResourceSpans, Span},
};
use prost::Message as _;

use crate::support::{
    folder,
    git::Repository,
    service::{Home, commit_shop},
};

#[test]
fn the_stages_of_a_push_arrive_as_spans_below_its_run() {
    let collector = Collector::start();
    let source = Repository::new("traced");
    let commit = commit_shop(&source, 2, "hello");
    let home = Home::new("traced").with(&["--otlp-endpoint", &collector.url()]);
    home.configure(&format!(
        "  source: {{git: {{url: {}, ref: main, interval: 1h}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n",
        source.path().display()
    ));
    let service = home.start();
    service.expect(&commit, "published");
    let found = service
        .get(&format!("/pipelines/shop/commits/{commit}"))
        .unwrap();
    let timings = found["timings"].as_array().unwrap();
    let stages: Vec<&str> = timings
        .iter()
        .map(|timing| timing["stage"].as_str().unwrap())
        .filter(|stage| *stage != "all")
        .collect();
    assert!(service.stop().success(), "what is left is sent at the end");

    let spans = collector.spans();
    let run = spans.iter().find(|span| {
        span.name == "run"
            && attribute(span, "pipeline") == "shop"
            && attribute(span, "commit") == commit
    });
    let run = run.unwrap_or_else(|| panic!("{spans:?}"));
    assert!(run.parent_span_id.is_empty(), "each run is a trace");
    let mut below: Vec<&Span> = spans
        .iter()
        .filter(|span| span.trace_id == run.trace_id && span.parent_span_id == run.span_id)
        .collect();
    below.sort_by_key(|span| span.start_time_unix_nano);
    let names: Vec<&str> = below.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, stages);
    for pair in below.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        assert!(before.end_time_unix_nano <= after.start_time_unix_nano);
    }
    assert!(below[0].start_time_unix_nano >= run.start_time_unix_nano);
}

#[test]
fn an_endpoint_that_is_no_url_is_refused_in_words() {
    let home = Home::new("untraced");
    home.configure("  source: {folder: {path: .}}\n");
    let config = home.path("stellate.yaml").display().to_string();
    let arguments = ["run", "--config", &config, "--insecure"];
    let more = ["--listen=127.0.0.1:0", "--otlp-endpoint=collector:4317"];
    let arguments = [&arguments[..], &more].concat();
    let run = crate::servers_pipeline::stellate(&folder("cache"), &[], &arguments);
    assert_eq!(run.code, 2, "{run:?}");
    for word in ["collector:4317", "http://localhost:4318"] {
        assert!(run.err.contains(word), "{run:?}");
    }
}

/// As much of a collector as can be seen from outside: it takes what is exported.
struct Collector {
    port: u16,
    taken: Taken,
    _runtime: tokio::runtime::Runtime,
}

type Taken = Arc<Mutex<Vec<ResourceSpans>>>;

impl Collector {
    fn start() -> Self {
        let taken = Taken::default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&taken));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            port,
            taken,
            _runtime: runtime,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All spans that came, which must say that they are ours.
    fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        for one in taken.iter() {
            let attributes = &one.resource.as_ref().unwrap().attributes;
            assert_eq!(text(attributes, "service.name"), "stellate");
        }
        let scopes = taken.iter().flat_map(|one| &one.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

async fn take(State(taken): State<Taken>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    taken.lock().unwrap().extend(request.resource_spans);
}

fn attribute(span: &Span, key: &str) -> String {
    text(&span.attributes, key)
}

fn text(attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}
