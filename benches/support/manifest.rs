//! The texts of the workload objects, written the way people write manifests: mean 1.3 KB.
//!
//! Customised objects have two to four strings with templates; one of them names the WEC, so that each WEC's text differs.

use std::fmt::Write as _;

use super::corpus::{Fleet, Kind, Numbers, kind, name, namespace};

/// Gives the text of an object. `edit` 0 is the first version; every other number changes one value.
pub(crate) fn text(fleet: &Fleet, object: usize, edit: usize) -> String {
    let customised = fleet.is_customised(object);
    match kind(object) {
        Kind::Deployment => deployment(object, edit, customised),
        Kind::Service => service(object, edit, customised),
        Kind::ConfigMap => config_map(object, edit, customised),
    }
}

/// How many of its places for templates a customised object uses.
fn sites(object: usize) -> usize {
    2 + Numbers::new(1, object).below(3)
}

/// Gives the template for the place of this number, or the plain text where none goes.
fn site(object: usize, customised: bool, number: usize, plain: &str) -> String {
    let templates = [
        "{{.clusterName}}.{{.region}}",
        "registry.{{.region}}.example.com",
        "https://{{.domain}}/v1",
        "{{.env}}-{{.tier}}",
    ];
    if customised && number < sites(object) {
        format!("\"{}\"", templates[number])
    } else {
        plain.to_owned()
    }
}

fn head(api_version: &str, kind: &str, object: usize, customised: bool) -> String {
    let (name, namespace) = (name(object), namespace(object));
    let app = name.split('-').next().unwrap_or_default();
    let mut text = format!(
        "apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels:\n    \
         app.kubernetes.io/name: {app}\n    app.kubernetes.io/part-of: {namespace}\n    \
         app.kubernetes.io/instance: {name}\n  annotations:\n    example.com/owner: {namespace}@example.com\n"
    );
    if customised {
        text.push_str("    control.kubestellar.io/expand-templates: \"true\"\n");
    }
    text
}

fn deployment(object: usize, edit: usize, customised: bool) -> String {
    let mut numbers = Numbers::new(2, object);
    let name = name(object);
    let minor = numbers.below(40);
    let patch = numbers.below(10) + edit;
    let port = 8000 + numbers.below(900);
    let mut text = head("apps/v1", "Deployment", object, customised);
    let where_am_i = site(object, customised, 0, "unknown");
    let registry = site(object, customised, 1, "registry.example.com");
    let backend = site(object, customised, 2, "http://backend.internal/v1");
    let stage = site(object, customised, 3, "default");
    let _ = write!(
        text,
        "spec:\n  replicas: {}\n  revisionHistoryLimit: 5\n  selector:\n    matchLabels:\n      \
         app.kubernetes.io/instance: {name}\n  strategy:\n    type: RollingUpdate\n    rollingUpdate:\n      \
         maxSurge: 25%\n      maxUnavailable: 0\n  template:\n    metadata:\n      labels:\n        \
         app.kubernetes.io/instance: {name}\n    spec:\n      serviceAccountName: {name}\n      containers:\n        \
         - name: main\n          image: example.com/{name}:1.{minor}.{patch}\n          \
         imagePullPolicy: IfNotPresent\n          args: [\"--listen=:{port}\", \"--log-level=info\"]\n          \
         ports:\n            - name: http\n              containerPort: {port}\n          env:\n            \
         - name: LOCATION\n              value: {where_am_i}\n            - name: REGISTRY\n              \
         value: {registry}\n            - name: BACKEND\n              value: {backend}\n            \
         - name: STAGE\n              value: {stage}\n          resources:\n            requests:\n              \
         cpu: {}m\n              memory: {}Mi\n            limits:\n              memory: {}Mi\n          \
         readinessProbe:\n            httpGet:\n              path: /ready\n              port: http\n            \
         periodSeconds: 5\n          livenessProbe:\n            httpGet:\n              path: /live\n              \
         port: http\n            initialDelaySeconds: 10\n",
        1 + numbers.below(6),
        50 * (1 + numbers.below(10)),
        64 * (1 + numbers.below(8)),
        512 * (1 + numbers.below(4)),
    );
    text
}

fn service(object: usize, edit: usize, customised: bool) -> String {
    let mut numbers = Numbers::new(3, object);
    let mut text = head("v1", "Service", object, customised);
    if customised {
        for number in 0..sites(object) {
            let value = site(object, true, number, "");
            let _ = writeln!(text, "    example.com/value-{number}: {value}");
        }
    }
    let _ = write!(
        text,
        "spec:\n  type: ClusterIP\n  selector:\n    app.kubernetes.io/instance: {}\n  ports:\n    - name: http\n      \
         port: 80\n      targetPort: http\n      protocol: TCP\n    - name: metrics\n      port: {}\n      \
         targetPort: metrics\n      protocol: TCP\n",
        name(object),
        9000 + numbers.below(900) + edit,
    );
    text
}

fn config_map(object: usize, edit: usize, customised: bool) -> String {
    let mut numbers = Numbers::new(4, object);
    let mut text = head("v1", "ConfigMap", object, customised);
    text.push_str("data:\n");
    for number in 0..4 {
        let value = site(object, customised, number, "\"off\"");
        let _ = writeln!(text, "  place-{number}: {value}");
    }
    text.push_str("  application.properties: |\n");
    for _ in 0..14 {
        let key = numbers.pick(&["cache", "pool", "retry", "queue", "session", "trace"]);
        let property = numbers.pick(&["size", "timeout", "limit", "interval"]);
        let _ = writeln!(
            text,
            "    {key}.{property}.{:x}={}",
            numbers.below(4096),
            numbers.below(100_000)
        );
    }
    let _ = writeln!(text, "  revision: \"{}\"", numbers.below(1000) + edit);
    text
}
