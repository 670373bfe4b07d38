//! Webhooks as they really come: from a real Gitea, from Argo CD's own engine, in GitHub's own examples, and too many at once.

mod argocd;
mod examples;
mod storm;

use std::sync::{Arc, Mutex};

use serde_json::json;
use stellate::{
    git::{RemoteUrl, Secret},
    server::webhooks::{
        Addresses, Door, Doors, Hooks, Inbox, Limits, PullRequest, Push, Taken, router,
    },
    status::Report,
};

use crate::support::{git::Repository, need, servers::Gitea, wait_for};

const SECRET: &str = "a secret of the tests";

/// Keeps what comes in.
#[derive(Default)]
struct Store {
    pushes: Mutex<Vec<Push>>,
    requests: Mutex<Vec<PullRequest>>,
    reports: Mutex<Vec<(String, Report)>>,
}

struct Kept(Arc<Store>);

impl Inbox for Kept {
    fn push(&self, push: &Push) -> Taken {
        self.0.pushes.lock().unwrap().push(push.clone());
        Taken::Queued
    }

    fn pull_request(&self, request: &PullRequest) -> Taken {
        self.0.requests.lock().unwrap().push(request.clone());
        Taken::Queued
    }

    fn reports(&self, pipeline: &str, reports: Vec<Report>) -> Taken {
        let reports = reports.into_iter().map(|one| (pipeline.to_owned(), one));
        self.0.reports.lock().unwrap().extend(reports);
        Taken::Queued
    }
}

impl Store {
    /// The first push that moved this reference; later ones only with `after` as wanted.
    fn moved(&self, reference: &str, after: Option<&str>) -> Result<Push, String> {
        let pushes = self.pushes.lock().unwrap();
        let is_it = |push: &&Push| {
            let mut changes = push.changes.iter();
            changes.any(|one| one.reference == reference && one.after.as_deref() == after)
        };
        let found = pushes.iter().find(is_it).cloned();
        found.ok_or_else(|| format!("not in {pushes:?}"))
    }
}

/// Serves `/hooks/git` and `/hooks/argocd` on loopback, guarded by these secrets.
struct Receiver {
    port: u16,
    hooks: Arc<Hooks>,
    store: Arc<Store>,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    fn start(secrets: &[&str]) -> Self {
        let store = Arc::new(Store::default());
        let guarded = || Door::Guarded(secrets.iter().map(|secret| Secret::new(*secret)).collect());
        let doors = Doors {
            git: guarded(),
            argocd: guarded(),
            ..Doors::default()
        };
        let inbox = Box::new(Kept(Arc::clone(&store)));
        let hooks = Arc::new(Hooks::new(&doors, inbox, Limits::default()).unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = router(Arc::clone(&hooks));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            port,
            hooks,
            store,
            _runtime: runtime,
        }
    }

    fn counted(&self, sender: &str, outcome: &str) -> u64 {
        let counters = self.hooks.counters().into_iter();
        counters
            .filter(|one| one.sender == sender && one.outcome.word() == outcome)
            .map(|one| one.requests)
            .sum()
    }
}

/// Makes a webhook of a repository of `stella`'s, and gives its number.
fn hook(gitea: &Gitea, repository: &str, kind: &str, port: u16, secret: &str) -> u64 {
    let wanted = json!({
        "type": kind, "active": true, "events": ["push", "create", "delete", "pull_request", "issues"],
        "config": {"url": format!("http://127.0.0.1:{port}/hooks/git"), "content_type": "json", "secret": secret},
    });
    let path = format!("/repos/stella/{repository}/hooks");
    let (status, answer) = gitea.api("POST", &path, Some(&wanted));
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_u64().unwrap()
}

#[test]
fn what_gitea_sends_is_verified_and_read() {
    let gitea = need!(Gitea::shared());
    let receiver = Receiver::start(&["the one before", SECRET]);
    let url = gitea.repository("hooked");
    let number = hook(&gitea, "hooked", "gitea", receiver.port, SECRET);

    let work = Repository::new("hooked");
    let pushed = work.commit("web", &[("web.yaml", "kind: ConfigMap\n")]);
    let remote = gitea.with_credentials(&url);
    work.git(&["push", "--quiet", &remote, "main"]);
    let push = wait_for("the push of main", || {
        receiver.store.moved("refs/heads/main", Some(&pushed))
    });
    assert!(push.delivery.is_some());

    // The pipeline is found by the address that its configuration has.
    let interests = Addresses::new([
        (RemoteUrl::parse(&url).unwrap(), "hooked"),
        (
            RemoteUrl::parse(&url.replace("hooked", "other")).unwrap(),
            "other",
        ),
    ]);
    assert_eq!(interests.interested(&push.urls), [&"hooked"]);

    work.git(&["checkout", "--quiet", "-b", "more"]);
    let proposed = work.commit("more", &[("web.yaml", "kind: Secret\n")]);
    work.git(&["push", "--quiet", &remote, "more"]);
    let wanted = json!({"title": "more", "head": "more", "base": "main"});
    let (status, answer) = gitea.api("POST", "/repos/stella/hooked/pulls", Some(&wanted));
    assert_eq!(status, 201, "{answer}");
    let request = wait_for("the pull request", || {
        let requests = receiver.store.requests.lock().unwrap();
        requests.first().cloned().ok_or_else(String::new)
    });
    assert_eq!(request.number, answer["number"].as_u64().unwrap());
    assert_eq!(request.head, proposed);
    assert_eq!(
        (
            request.head_reference.as_str(),
            request.base_reference.as_str()
        ),
        ("refs/heads/more", "refs/heads/main")
    );
    assert!(request.open);
    assert_eq!(interests.interested(&request.urls), [&"hooked"]);

    let closed = json!({"state": "closed"});
    let path = format!("/repos/stella/hooked/pulls/{}", request.number);
    gitea.api("PATCH", &path, Some(&closed));
    wait_for("the pull request's end", || {
        let requests = receiver.store.requests.lock().unwrap();
        let ended = requests.iter().any(|request| !request.open);
        ended.then_some(()).ok_or_else(String::new)
    });

    work.git(&["push", "--quiet", &remote, "--delete", "more"]);
    let deleted = wait_for("the branch's end", || {
        receiver.store.moved("refs/heads/more", None)
    });
    assert!(deleted.changes[0].deleted());

    // "Test delivery" in Gitea's pages: a push, signed like any other.
    let before = receiver.counted("gitea", "queued");
    let path = format!("/repos/stella/hooked/hooks/{number}/tests");
    assert_eq!(gitea.api("POST", &path, None).0, 204);
    wait_for("the test delivery", || {
        let after = receiver.counted("gitea", "queued");
        (after > before).then_some(()).ok_or_else(String::new)
    });
    assert_eq!(receiver.counted("gitea", "unauthenticated"), 0);
    assert_eq!(receiver.counted("gitea", "malformed"), 0);
    assert_eq!(receiver.counted("github", "queued"), 0, "taken for GitHub");
}

#[test]
fn a_gitea_with_another_secret_is_refused() {
    let gitea = need!(Gitea::shared());
    let receiver = Receiver::start(&[SECRET]);
    let url = gitea.repository("misconfigured");
    hook(
        &gitea,
        "misconfigured",
        "gitea",
        receiver.port,
        "another secret",
    );
    let work = Repository::new("misconfigured");
    work.commit("web", &[("web.yaml", "kind: ConfigMap\n")]);
    work.git(&["push", "--quiet", &gitea.with_credentials(&url), "main"]);
    wait_for("the refusal", || {
        match receiver.counted("gitea", "unauthenticated") {
            0 => Err("nothing came".to_owned()),
            _ => Ok(()),
        }
    });
    assert!(receiver.store.pushes.lock().unwrap().is_empty());
}
