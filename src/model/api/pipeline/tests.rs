//! What a person who writes a pipeline sees.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::model::api::read;

fn pipeline(spec: &Value) -> Result<Pipeline, ReadError> {
    read(&json!({
        "apiVersion": "gitops.kubestellar.io/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "shop"},
        "spec": spec,
    }))
}

fn wrong(spec: &Value) -> String {
    pipeline(spec).unwrap_err().to_string()
}

#[test]
fn a_whole_pipeline_is_read() {
    let spec = pipeline(&json!({
        "source": {"git": {
            "url": "https://git.example.com/acme/shop", "ref": "main", "paths": ["."], "interval": "1m30s",
            "credentials": {"token": {"env": "GIT_TOKEN"}},
        }},
        "inventory": {"its": {"kubeconfig": "/etc/its", "context": "its1"}},
        "outputs": [
            {"branch": {"name": "generated", "layout": "branches"}},
            {"mailbox": {"maxBytes": "460Ki"}},
        ],
        "status": {"github": {"credentials": {"app": {"appId": 7, "privateKey": {"file": "/run/key.pem"}}}}},
        "guard": {"maxRemovedClusters": 3, "maxRemovedObjects": "10%", "allowedSecrets": ["shop/tls-*"]},
        "strict": true,
        "hydrate": [{"helm": {"path": "charts/web", "valuesFiles": ["values.yaml"]}}],
        "kinds": [{"group": "example.com", "kind": "Sprocket", "plural": "sprockets", "scope": "Namespaced"}],
    }))
    .unwrap()
    .spec;
    let Source::Git(git) = &spec.source else {
        panic!("not git")
    };
    assert_eq!(git.interval, Some(Interval(Duration::from_secs(90))));
    assert_eq!(
        git.credentials,
        Some(GitCredentials::Token(SecretReference::Env(
            "GIT_TOKEN".into()
        )))
    );
    let Output::Branch(branch) = &spec.outputs[0] else {
        panic!("no branch")
    };
    assert!(branch.push && branch.layout == Layout::Branches);
    let Output::Mailbox(mailbox) = &spec.outputs[1] else {
        panic!("no mailbox")
    };
    assert_eq!(mailbox.max_bytes, Some(Bytes(471_040)));
    assert_eq!(spec.guard.max_removed_clusters, Limit::Count(3));
    assert_eq!(spec.guard.max_removed_objects, Limit::Percent(10));
    assert_eq!(spec.guard.secrets, SecretsRule::Refuse);
    assert_eq!(Scope::from(spec.kinds[0].scope), Scope::Namespaced);
    let written = serde_json::to_value(&spec).unwrap();
    assert_eq!(pipeline(&written).unwrap().spec, spec);
}

#[test]
fn what_is_left_out_guards_strictly() {
    let spec = pipeline(&json!({"source": {"folder": {"path": "."}}}))
        .unwrap()
        .spec;
    assert_eq!(spec.guard, Guard::default());
    assert_eq!(spec.guard.max_removed_clusters.of(8), 2);
    assert!(!spec.strict && spec.inventory.is_none());
}

#[test]
fn a_choice_is_made_once() {
    assert_eq!(
        wrong(&json!({"source": {"git": {"url": "x"}, "folder": {"path": "."}}})),
        "spec.source: exactly one is needed, there are 2"
    );
    assert_eq!(
        wrong(&json!({"source": {}})),
        "spec.source: exactly one is needed, there are 0"
    );
    let error = pipeline(&json!({"source": {"gti": {"url": "x"}}})).unwrap_err();
    assert_eq!(error.path_text(), "spec.source.gti");
    assert_eq!(error.help.as_deref(), Some("did you mean `git`?"));
}

#[test]
fn a_mistake_deep_inside_has_its_path() {
    let source = json!({"folder": {"path": "."}});
    assert_eq!(
        wrong(
            &json!({"source": source, "outputs": [{"branch": {"name": "g", "layuot": "branches"}}]})
        ),
        "spec.outputs[0].branch.layuot: unknown field `layuot`"
    );
    assert_eq!(
        wrong(&json!({"source": source, "guard": {"maxRemovedObjects": "lots"}})),
        "spec.guard.maxRemovedObjects: expected a number, or a share such as `25%`, found `lots`"
    );
    assert_eq!(
        wrong(&json!({"source": source, "guard": {"secrets": "allow", "allowedSecrets": ["a/b"]}})),
        "spec.guard.allowedSecrets: makes exceptions from `secrets: refuse`"
    );
    assert_eq!(
        wrong(&json!({"source": source, "guard": {"allowedSecrets": ["a/b/c"]}})),
        "spec.guard.allowedSecrets[0]: `a/b/c` is no namespace/name"
    );
    assert_eq!(
        wrong(
            &json!({"source": source, "kinds": [{"group": "", "kind": "pods", "plural": "pods", "scope": "Cluster"}]})
        ),
        "spec.kinds[0].kind: a kind is one word in CamelCase"
    );
}

#[test]
fn who_is_told_has_defaults_and_limits() {
    let source = json!({"folder": {"path": "."}});
    let spec = json!({"source": source, "status": {"bitbucket": {"token": {"env": "T"}}}});
    let status = pipeline(&spec).unwrap().spec.status.unwrap();
    assert!(status.previews && status.reports == Reports::Auto && status.deadline.is_none());
    let whole = json!({"source": source, "status": {
        "gitlab": {"url": "https://git.example.com", "repository": "acme/web/shop", "token": {"env": "T"}, "maxPerMinute": 30},
        "context": "stellate-east", "reports": "required", "deadline": "5m", "previews": false,
    }});
    let read = pipeline(&whole).unwrap().spec;
    let status = read.status.as_ref().unwrap();
    assert_eq!(status.deadline, Some(Interval(Duration::from_secs(300))));
    assert!(!status.previews && status.reports == Reports::Required);
    assert_eq!(
        pipeline(&serde_json::to_value(&read).unwrap())
            .unwrap()
            .spec,
        read
    );

    let cases = [
        (
            json!({"context": "a/b"}),
            "spec.status.context: `a/b` is no word of at most 40 letters, digits, `.`, `_` and `-`",
        ),
        (
            json!({"targetUrl": "ftp://x"}),
            "spec.status.targetUrl: a URL begins with `https://` or `http://`",
        ),
        (
            json!({"deadline": "0s"}),
            "spec.status.deadline: a deadline of nothing cannot be met",
        ),
        (
            json!({"gitea": {"repository": "shop", "token": {"env": "T"}}}),
            "spec.status.gitea.repository: `shop` is no owner/name",
        ),
        (
            json!({"bitbucket": {"token": {"env": "T"}, "maxPerMinute": 0}}),
            "spec.status.bitbucket.maxPerMinute: nothing could ever be posted",
        ),
    ];
    for (status, message) in cases {
        assert_eq!(wrong(&json!({"source": source, "status": status})), message);
    }
}

#[test]
fn a_secret_in_place_of_its_name_is_refused_and_not_repeated() {
    for secret in [json!("ghp_0123"), json!(987_654)] {
        let source = json!({"git": {"url": "x", "credentials": {"token": secret}}});
        let error = pipeline(&json!({"source": source})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "spec.source.git.credentials.token: expected one of `env`, `file`"
        );
        assert_eq!(error.help, None);
    }
}

#[test]
fn amounts_are_what_they_say() {
    for (text, seconds) in [("30s", 30), ("1h30m", 5400), ("1m", 60), ("0s", 0)] {
        let interval: Interval = text.parse().unwrap();
        assert_eq!(interval.0.as_secs(), seconds, "{text}");
        assert_eq!(interval.to_string(), text);
    }
    for text in ["", "1", "m", "1 m", "-1s", "1d", "10000000000s"] {
        assert!(text.parse::<Interval>().is_err(), "{text}");
    }
    for (text, bytes) in [("460Ki", 471_040), ("1Mi", 1 << 20), ("7", 7)] {
        assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        assert_eq!(Bytes(bytes).to_string(), text);
    }
    for text in ["", "Ki", "1K", "1.5Mi", "+1", "9999999999999"] {
        assert!(text.parse::<Bytes>().is_err(), "{text}");
    }
    for text in ["", "%", "101%", "25", "+5%", "-1%"] {
        assert!(text.parse::<Limit>().is_err(), "{text}");
    }
    assert_eq!(Limit::Percent(25).of(10), 2);
    assert_eq!(Limit::Percent(100).of(usize::MAX), usize::MAX);
}

#[test]
fn waves_are_read_in_their_order() {
    let spec = pipeline(&json!({
        "source": {"git": {"url": "https://git.example.com/acme/shop"}},
        "waves": [
            {"name": "canary", "clusterSelectors": [{"matchLabels": {"stage": "canary"}}], "minSuccessTime": "10m", "progressDeadline": "1h"},
            {"name": "rest", "clusterSelectors": [{}], "paused": true},
        ],
    }))
    .unwrap()
    .spec;
    let waves: Vec<(&str, bool)> = spec
        .waves
        .iter()
        .map(|wave| (wave.name.as_str(), wave.paused))
        .collect();
    assert_eq!(waves, [("canary", false), ("rest", true)]);
    assert_eq!(
        spec.waves[0].min_success_time,
        Some(Interval(Duration::from_secs(600)))
    );
    let written = serde_json::to_value(&spec).unwrap();
    assert_eq!(pipeline(&written).unwrap().spec, spec);
}

#[test]
fn waves_that_cannot_be_meant_are_refused_with_their_place() {
    let with = |waves: Value| {
        let source = json!({"git": {"url": "https://git.example.com/acme/shop"}});
        wrong(&json!({"source": source, "waves": waves}))
    };
    let wave = |name: &str| json!({"name": name, "clusterSelectors": [{}]});
    assert_eq!(
        with(json!([wave("a"), wave("a")])),
        "spec.waves[1].name: a second wave has the name `a`"
    );
    assert_eq!(
        with(json!([wave("Canary")])),
        "spec.waves[0].name: `Canary` is no name of a wave"
    );
    assert_eq!(
        with(json!([wave("remaining")])),
        "spec.waves[0].name: `remaining` is the wave of the WECs that no wave selects"
    );
    assert_eq!(
        with(json!([{"name": "a", "clusterSelectors": []}])),
        "spec.waves[0].clusterSelectors: a wave needs a selector"
    );
    let odd = json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]});
    let said = with(json!([{"name": "a", "clusterSelectors": [odd]}]));
    assert!(
        said.starts_with("spec.waves[0].clusterSelectors[0].matchExpressions[0].operator: "),
        "{said}"
    );
    let mut hasty = wave("a");
    hasty["minSuccessTime"] = json!("soon");
    assert!(with(json!([hasty])).starts_with("spec.waves[0].minSuccessTime: "));
}

#[test]
fn waves_need_commits_and_reports() {
    let waves = json!([{"name": "a", "clusterSelectors": [{}]}]);
    let folder = wrong(&json!({"source": {"folder": {"path": "."}}, "waves": waves}));
    assert_eq!(
        folder,
        "spec.waves: waves go by commits, and a folder has none"
    );
    let git = json!({"git": {"url": "https://git.example.com/acme/shop"}});
    let silent = wrong(&json!({"source": git, "waves": waves, "status": {"reports": "none"}}));
    assert!(
        silent.starts_with("spec.waves: waves go by what WECs report"),
        "{silent}"
    );
}
