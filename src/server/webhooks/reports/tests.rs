use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    model::ObjectKey,
    status::{Evidence, Health, Progress},
};

const COMMIT: &str = "2222222222222222222222222222222222222222";

fn one(said: Result<Said, Malformed>) -> Report {
    match said {
        Ok(Said::Reports(reports)) => reports.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// An event as kustomize-controller sends it itself.
fn event(severity: &str, reason: &str, message: &str) -> Value {
    json!({
        "involvedObject": {
            "kind": "Kustomization", "namespace": "flux-system", "name": "shop", "uid": "1",
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "resourceVersion": "7",
        },
        "severity": severity, "reason": reason, "message": message,
        "timestamp": "2026-10-01T10:00:00Z",
        "metadata": {"kustomize.toolkit.fluxcd.io/revision": format!("generated@sha1:{COMMIT}")},
        "reportingController": "kustomize-controller",
        "reportingInstance": "kustomize-controller-0",
    })
}

fn from_flux(wec: Option<&str>, body: &Value) -> Result<Said, Malformed> {
    flux(wec, body.to_string().as_bytes())
}

fn standing(severity: &str, reason: &str, message: &str) -> (Progress, Health) {
    let report = one(from_flux(Some("berlin"), &event(severity, reason, message)));
    (report.progress, report.health)
}

#[test]
fn a_kustomization_that_is_ready_reports_its_commit_healthy() {
    let finished = "Reconciliation finished in 1.2s, next run in 10m0s";
    let body = event("info", "ReconciliationSucceeded", finished);
    let report = one(from_flux(Some("berlin"), &body));
    assert_eq!(report.cluster.as_str(), "berlin");
    assert_eq!(report.reporter, "Kustomization flux-system/shop");
    assert_eq!(report.revision.as_deref(), Some(COMMIT));
    assert_eq!(
        (report.progress, report.health),
        (Progress::Applied, Health::Healthy)
    );
    assert_eq!(report.message, "");
    assert_eq!(report.at, "2026-10-01T10:00:00Z".parse().ok());
}

#[test]
fn each_reason_of_flux_has_its_standing() {
    use Health::{Degraded, Healthy, Progressing};
    use Progress::{Applied, Delivered, Refused};
    let table = [
        (
            "info",
            "Progressing",
            "Health check passed in 3s",
            (Applied, Healthy),
        ),
        (
            "info",
            "Progressing",
            "Deployment/shop/web configured",
            (Delivered, Progressing),
        ),
        (
            "info",
            "DependencyNotReady",
            "Dependencies do not meet ready condition",
            (Delivered, Progressing),
        ),
        (
            "info",
            "HealthCheckCanceled",
            "Health checks canceled",
            (Delivered, Progressing),
        ),
        (
            "error",
            "HealthCheckFailed",
            "health check failed after 5m0s: timeout",
            (Applied, Degraded),
        ),
        (
            "error",
            "BuildFailed",
            "kustomization.yaml: no such file",
            (Refused, Degraded),
        ),
        (
            "error",
            "ArtifactFailed",
            "failed to download",
            (Refused, Degraded),
        ),
        (
            "error",
            "ReconciliationFailed",
            "Forbidden",
            (Refused, Degraded),
        ),
        ("error", "PruneFailed", "Forbidden", (Refused, Degraded)),
        ("error", "AReasonOfTomorrow", "?", (Refused, Degraded)),
    ];
    for (severity, reason, message, wanted) in table {
        assert_eq!(
            standing(severity, reason, message),
            wanted,
            "{reason}: {message}"
        );
    }
}

#[test]
fn a_kustomization_that_is_being_deleted_is_not_called_healthy() {
    let gone = "Deployment/shop/web deleted\nNamespace/shop deleted";
    let found = standing("info", "ReconciliationSucceeded", gone);
    assert_eq!(found, (Progress::Delivered, Health::Progressing));
}

#[test]
fn a_failed_health_check_names_the_objects() {
    let message = "health check failed after 5m0s: timeout waiting for: [Deployment/shop/web status: 'InProgress', \
        Job/shop/migrate status: 'Failed': Job failed, backoff limit exceeded, Namespace/shop status: 'Unknown', \
        Widget/shop/w status: 'NotFound': gone]";
    let report = one(from_flux(
        Some("berlin"),
        &event("error", "HealthCheckFailed", message),
    ));
    let objects: Vec<String> = report
        .objects
        .iter()
        .map(|one| format!("{}: {:?}: {}", one.object, one.health, one.message))
        .collect();
    assert_eq!(
        objects,
        [
            "Namespace shop: Unknown: Unknown",
            "Widget shop/w: Degraded: gone",
            "Deployment.apps shop/web: Degraded: InProgress",
            "Job.batch shop/migrate: Degraded: Job failed, backoff limit exceeded",
        ]
    );
}

#[test]
fn an_object_that_the_api_server_refuses_is_named() {
    let message = "Deployment/shop/web dry-run failed (Invalid): Deployment.apps \"web\" is invalid: spec.replicas";
    let report = one(from_flux(
        Some("berlin"),
        &event("error", "ReconciliationFailed", message),
    ));
    assert_eq!(
        report.objects[0].object,
        ObjectKey::new("apps", "Deployment", "shop", "web")
    );
    assert_eq!(report.message, message);
}

#[test]
fn notification_controller_takes_the_groups_off_the_metadata() {
    let mut body = event("info", "ReconciliationSucceeded", "Reconciliation finished");
    body["metadata"] =
        json!({"revision": format!("generated@sha1:{COMMIT}"), "cluster": "lyon", "summary": "…"});
    let report = one(from_flux(None, &body));
    assert_eq!(report.cluster.as_str(), "lyon");
    assert_eq!(report.revision.as_deref(), Some(COMMIT));
}

#[test]
fn an_annotation_of_the_kustomization_names_the_wec_too() {
    let mut body = event("info", "ReconciliationSucceeded", "Reconciliation finished");
    body["metadata"]["event.toolkit.fluxcd.io/wec"] = "lyon".into();
    assert_eq!(one(from_flux(None, &body)).cluster.as_str(), "lyon");
}

#[test]
fn the_wec_must_be_said_and_said_alike() {
    let mut body = event("info", "ReconciliationSucceeded", "Reconciliation finished");
    let said = from_flux(None, &body).unwrap_err().to_string();
    assert!(said.starts_with("nobody says which WEC it is"), "{said}");
    let said = from_flux(Some("../etc"), &body).unwrap_err().to_string();
    assert_eq!(said, "\"../etc\" is no name of a WEC");
    body["metadata"]["cluster"] = "lyon".into();
    let said = from_flux(Some("berlin"), &body).unwrap_err().to_string();
    assert_eq!(
        said,
        "the address says WEC \"berlin\", the event says \"lyon\""
    );
}

#[test]
fn revisions_are_read_as_flux_has_written_them() {
    for (revision, wanted) in [
        (format!("generated@sha1:{COMMIT}"), Some(COMMIT)),
        (format!("generated/wec1@sha1:{COMMIT}"), Some(COMMIT)),
        (format!("generated/{COMMIT}"), Some(COMMIT)),
        (format!("sha1:{COMMIT}"), Some(COMMIT)),
        ("6.3.5".to_owned(), None),
    ] {
        let mut body = event("info", "ReconciliationSucceeded", "Reconciliation finished");
        body["metadata"] = json!({"revision": revision, "cluster": "berlin"});
        let report = one(from_flux(None, &body));
        assert_eq!(report.revision.as_deref(), wanted, "{revision}");
    }
}

#[test]
fn an_artifacts_digest_is_not_taken_for_the_commit() {
    let mut body = event("info", "ReconciliationSucceeded", "Reconciliation finished");
    let digest = "a".repeat(64);
    body["metadata"] = json!({
        "revision": format!("latest@sha256:{digest}"), "originRevision": format!("generated@sha1:{COMMIT}"),
    });
    let report = one(from_flux(Some("berlin"), &body));
    assert_eq!(report.revision.as_deref(), Some(COMMIT));
}

#[test]
fn events_of_other_things_are_ignored() {
    let mut body = event("info", "NewArtifact", "stored artifact");
    body["involvedObject"]["kind"] = "GitRepository".into();
    assert!(matches!(
        from_flux(Some("berlin"), &body),
        Ok(Said::Ignored(_))
    ));
    // Without a revision it may be anybody's Kustomization, unless its annotation names the WEC.
    let mut body = event("error", "InvalidCELExpression", "healthCheckExprs");
    body["metadata"] = Value::Null;
    assert!(matches!(
        from_flux(Some("berlin"), &body),
        Ok(Said::Ignored(_))
    ));
    body["metadata"] = json!({"event.toolkit.fluxcd.io/cluster": "berlin"});
    let report = one(from_flux(Some("berlin"), &body));
    assert_eq!(
        (report.revision, report.progress),
        (None, Progress::Refused)
    );
}

/// What the template in `argocd/notifications.yaml` sends.
fn application(sync: &str, health: &str) -> Value {
    json!({
        "namespace": "argocd", "name": "shop-berlin", "path": "clusters/berlin", "revision": COMMIT,
        "sync": sync, "health": health, "at": "2026-10-01T10:00:00Z",
        "operation": {"phase": "Succeeded", "message": "successfully synced", "revision": COMMIT},
        "conditions": null,
        "resources": [
            {"version": "v1", "kind": "Service", "namespace": "shop", "name": "web", "status": "Synced",
             "health": {"status": "Healthy"}},
            {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web",
             "status": "Synced", "health": {"status": health, "message": "0 of 3"}},
            {"version": "v1", "kind": "Namespace", "name": "shop", "status": "Synced"},
        ],
    })
}

fn from_argocd(body: &Value) -> Report {
    one(argocd(body.to_string().as_bytes()))
}

#[test]
fn an_application_reports_its_commit_and_the_objects_that_do_not_work() {
    let report = from_argocd(&application("Synced", "Degraded"));
    assert_eq!(report.cluster.as_str(), "berlin");
    assert_eq!(report.reporter, "Application argocd/shop-berlin");
    assert_eq!(report.revision.as_deref(), Some(COMMIT));
    assert_eq!(
        (report.progress, report.health),
        (Progress::Applied, Health::Degraded)
    );
    assert_eq!(report.message, "Synced, Degraded");
    assert_eq!(
        report.objects,
        [ObjectReport {
            object: ObjectKey::new("apps", "Deployment", "shop", "web"),
            health: Health::Degraded,
            message: "0 of 3".to_owned(),
        }]
    );
    let healthy = from_argocd(&application("Synced", "Healthy"));
    assert_eq!((healthy.message.as_str(), healthy.objects.len()), ("", 0));
}

#[test]
fn an_application_says_which_commit_it_applied_to_a_good_end() {
    let applied = |phase: &str, revision: Value| {
        let mut body = application("Synced", "Healthy");
        body["operation"] = json!({"phase": phase, "revision": revision});
        match from_argocd(&body).evidence {
            Evidence::Comparison { applied } => applied,
            Evidence::Action => panic!("Argo CD compares"),
        }
    };
    assert_eq!(applied("Succeeded", json!(COMMIT)).as_deref(), Some(COMMIT));
    assert_eq!(applied("Failed", json!(COMMIT)), None);
    assert_eq!(applied("Running", json!(COMMIT)), None);
    assert_eq!(applied("Succeeded", json!(null)), None);
}

#[test]
fn every_pair_of_sync_and_health_has_its_standing() {
    use Health::{Degraded, Healthy, Progressing, Suspended, Unknown};
    use Progress::{Applied, Delivered};
    let table = [
        ("Synced", "Healthy", (Applied, Healthy)),
        ("Synced", "Progressing", (Applied, Progressing)),
        ("Synced", "Degraded", (Applied, Degraded)),
        ("Synced", "Suspended", (Applied, Suspended)),
        ("Synced", "Missing", (Applied, Degraded)),
        ("Synced", "Unknown", (Applied, Unknown)),
        ("OutOfSync", "Healthy", (Delivered, Healthy)),
        ("OutOfSync", "Missing", (Delivered, Progressing)),
        ("OutOfSync", "Degraded", (Delivered, Degraded)),
        ("Unknown", "Healthy", (Delivered, Healthy)),
        ("Unknown", "Unknown", (Delivered, Unknown)),
    ];
    for (sync, health, wanted) in table {
        let report = from_argocd(&application(sync, health));
        assert_eq!((report.progress, report.health), wanted, "{sync}, {health}");
    }
}

#[test]
fn a_failed_sync_of_this_commit_is_a_refusal_and_one_of_another_is_not() {
    let mut body = application("OutOfSync", "Healthy");
    body["operation"] =
        json!({"phase": "Failed", "message": "Deployment is invalid", "revision": COMMIT});
    let report = from_argocd(&body);
    assert_eq!(report.progress, Progress::Refused);
    assert_eq!(report.message, "Deployment is invalid");
    body["operation"]["revision"] = "1".repeat(40).into();
    assert_eq!(from_argocd(&body).progress, Progress::Delivered);
}

#[test]
fn what_keeps_an_application_from_comparing_is_a_refusal() {
    let mut body = application("Unknown", "Healthy");
    body["conditions"] = json!([
        {"type": "OrphanedResourceWarning", "message": "2 orphans"},
        {"type": "ComparisonError", "message": "app path does not exist"},
    ]);
    let report = from_argocd(&body);
    assert_eq!(report.progress, Progress::Refused);
    assert_eq!(report.message, "app path does not exist");
}

#[test]
fn a_sync_that_still_runs_is_not_healthy_yet() {
    let mut body = application("Synced", "Healthy");
    body["operation"]["phase"] = "Running".into();
    let report = from_argocd(&body);
    assert_eq!(
        (report.progress, report.health),
        (Progress::Applied, Health::Progressing)
    );
}

#[test]
fn an_application_without_a_status_yet_is_delivered_to() {
    let body = json!({"namespace": "argocd", "name": "shop-berlin", "path": "deploy/clusters/berlin/",
        "revision": "", "sync": "", "health": "", "operation": null, "conditions": null, "resources": null, "at": null});
    let report = from_argocd(&body);
    assert_eq!(report.cluster.as_str(), "berlin");
    assert_eq!(
        (report.revision, report.progress, report.health),
        (None, Progress::Delivered, Health::Unknown)
    );
}

#[test]
fn an_application_of_something_else_is_refused_with_the_reason() {
    let mut body = application("Synced", "Healthy");
    body["path"] = "apps/guestbook".into();
    let said = argocd(body.to_string().as_bytes()).unwrap_err().to_string();
    assert_eq!(
        said,
        "the path \"apps/guestbook\" is no folder of a WEC (clusters/WEC)"
    );
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!([])),
        Just(json!([{}])),
        Just(json!({"a": "b"})),
    ]
}

proptest! {
    #[test]
    fn a_field_that_is_anything_at_all_never_panics(which in 0..2, place in any::<prop::sample::Index>(), new in anything()) {
        let mut body = if which == 0 { event("error", "HealthCheckFailed", "x") } else { application("Synced", "Healthy") };
        let names: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
        body[place.get(&names).as_str()] = new;
        let text = body.to_string();
        drop(flux(Some("berlin"), text.as_bytes()));
        drop(argocd(text.as_bytes()));
    }

    #[test]
    fn a_message_of_any_form_never_panics(message in "(Deployment/shop/web|[A-Z][a-z]*/|status: '|': |, |\\[|\\]|é|.){0,30}") {
        let report = one(from_flux(Some("berlin"), &event("error", "HealthCheckFailed", &message)));
        prop_assert!(report.objects.is_sorted_by(|left, right| left.object < right.object));
        prop_assert!(!report.message.contains('\n'));
    }

    #[test]
    fn bytes_that_are_no_payload_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(flux(None, &bytes));
        drop(argocd(&bytes));
    }
}
