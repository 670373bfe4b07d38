//! What whoever runs the service asks: readiness, metrics, profiles, an end.

use super::*;

#[test]
fn readiness_names_the_pipelines_that_are_not_ready() {
    let service = Service::closed();
    assert_eq!(get(&service, "/healthz").status, 200);
    assert_eq!(get(&service, "/readyz").status, 200);
    service.fake.change(|board| {
        board.pipelines.get_mut("fleet").unwrap().ready = false;
    });
    assert_eq!(get(&service, "/healthz").status, 200);
    let answer = get(&service, "/readyz");
    assert_eq!(answer.status, 503);
    let of = service.fake.board().pipelines.len();
    let count = format!("not ready: 1 of {of}");
    assert_eq!(answer.json()["detail"], count, "no names for everybody");
    let token = ("Authorization", "Bearer new-token");
    let answer = ask(&service, "GET", "/readyz", &[token]);
    assert_eq!(answer.json()["detail"], "not ready: fleet");
}

#[test]
fn metrics_are_told_in_the_format_that_prometheus_reads() {
    let service = Service::open();
    let answer = get(&service, "/metrics");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(
        answer
            .body
            .contains("stellate_pipeline_ready{pipeline=\"shop\"} 1")
    );
    assert!(
        answer
            .body
            .contains("stellate_clusters{pipeline=\"shop\",phase=\"degraded\"} 1")
    );
}

#[test]
fn profiles_are_there_only_when_asked_for() {
    let service = Service::open();
    assert_eq!(get(&service, "/debug/memory").status, 404);
    let service = Service::start(&ServerOptions {
        profiling: true,
        ..ServerOptions::default()
    });
    let memory = get(&service, "/debug/memory").json();
    assert!(memory["resident"].as_u64().unwrap() > 1 << 20);
    let profile = get(&service, "/debug/pprof/profile?seconds=1");
    assert_eq!(
        profile.status,
        if cfg!(feature = "profiling") {
            200
        } else {
            501
        }
    );
}

#[test]
fn a_service_that_stops_lets_go_of_who_listens() {
    let service = Service::open();
    let start = std::time::Instant::now();
    assert_eq!(http::ready(service.port, "/healthz"), Ok(()));
    drop(service);
    assert!(start.elapsed() < Duration::from_secs(8));
}
