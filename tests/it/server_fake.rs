//! A service that only stands there: a board that tests change, a real repository of generated commits, and the real server
//! before them.

use std::{
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use axum_server::tls_rustls::RustlsConfig;
use jiff::Timestamp;
use stellate::{
    git::Secret,
    model::{ClusterName, Diagnostic, ObjectKey},
    placement::{Explanation, Verdict},
    reconcile::{
        compare::{Changes, Kind, ObjectChange, difference},
        metrics::Metrics,
        service::Preview,
    },
    server::{Backend, ServerOptions, Tokens, router, serve, tls},
    status::{
        Evidence, Health, ObjectReport, Progress, Report,
        board::{Board, ChangeCounts, CommitBoard, PipelineBoard},
        state::{Bytes, ClusterState, Observation},
        waves::{Rollout, Waiting, WaveBoard, WaveState},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::git::Repository;

/// The newest source commit of `shop`, and the two before it; the generated branch did not change for the newest but one.
pub(crate) const NEWEST: &str = "c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3";
pub(crate) const SAME: &str = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2";
pub(crate) const FIRST: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

/// The newest source commit of `fleet`, which has 1,000 WECs.
pub(crate) const FLEET: &str = "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";

/// What a name must never become.
pub(crate) const HOSTILE: &str = "<img src=x onerror=\"document.title='hacked'\">";

/// The service.
pub(crate) struct Fake {
    board: Mutex<Arc<Board>>,
    changes: watch::Sender<u64>,
    repository: PathBuf,
    metrics: Metrics,
    /// The runs that were asked for.
    pub asked: Mutex<Vec<(String, bool)>>,
    /// The commits that were released.
    pub released: Mutex<Vec<(String, String)>>,
    /// The waves that were opened, each behind its pipeline and commit.
    pub opened: Mutex<Vec<[String; 3]>>,
}

impl Fake {
    /// Changes the board, and says so.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Board)) {
        let mut board = self.board.lock().unwrap();
        change(Arc::make_mut(&mut board));
        drop(board);
        self.changes.send_modify(|number| *number += 1);
    }
}

/// The guard's reason in [`Fake::hold`].
pub(crate) const HELD: &str = "7 of 9 objects would be removed, over all WECs; the guard lets 2 go";

impl Fake {
    /// Lets the guard hold the newest commit of `shop`.
    pub(crate) fn hold(&self) {
        self.change(|board| {
            let shop = board.pipelines.get_mut("shop").unwrap();
            let commit = shop.commit_mut(NEWEST).unwrap();
            let held = Observation::Held(vec![HELD.into()]);
            commit.observe_all(&held, Timestamp::now());
            commit.releasable = vec![HELD.into()];
        });
    }

    /// Has the first WEC of the newest commit of `shop` wait for a wave.
    pub(crate) fn stage(&self) {
        self.change(|board| {
            let shop = board.pipelines.get_mut("shop").unwrap();
            let commit = shop.commit_mut(NEWEST).unwrap();
            let (name, state) = commit.clusters.iter_mut().next().unwrap();
            let waiting = Waiting {
                wave: "late".into(),
                why: "wave early is not healthy: rome (degraded)".into(),
                overdue: false,
            };
            let now = Timestamp::now();
            state.observe(Observation::Waiting(waiting.clone()), now);
            let wave = |name: &str, state, pending, why: &str| WaveBoard {
                name: name.to_owned(),
                state,
                clusters: 1,
                pending,
                healthy: 0,
                why: why.to_owned(),
                until: None,
            };
            let rollout = Rollout {
                waves: vec![
                    wave(
                        "early",
                        WaveState::Open,
                        0,
                        "not healthy yet: rome (degraded)",
                    ),
                    wave("late", WaveState::Held, 1, &waiting.why),
                    wave("last", WaveState::Paused, 1, "wave last is paused"),
                ],
                members: [(name.clone(), "late".to_owned())].into(),
                held: [(name.clone(), waiting)].into(),
                ..Rollout::default()
            };
            shop.rollout = Some(Arc::new(rollout));
        });
    }
}

impl Backend for Fake {
    fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board.lock().unwrap())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn repository(&self, pipeline: &str) -> Option<PathBuf> {
        (pipeline == "shop").then(|| self.repository.clone())
    }

    fn explain(
        &self,
        pipeline: &str,
        object: &ObjectKey,
        cluster: Option<&ClusterName>,
    ) -> Option<Explanation> {
        (pipeline == "shop").then(|| Explanation {
            object: object.clone(),
            cluster: cluster.cloned(),
            verdict: Verdict::Placed,
            because: vec![format!("shop selects it for {HOSTILE}")],
            destinations: vec!["berlin".into(), "graz".into()],
            held_back: Vec::new(),
            nearest: None,
            policies: Vec::new(),
        })
    }

    fn preview(&self, pipeline: &str, number: u64) -> Option<Preview> {
        (pipeline == "shop").then(|| preview(number)).flatten()
    }

    fn previews(&self, pipeline: &str) -> Vec<Preview> {
        let numbers = (pipeline == "shop").then_some([7, 8]);
        numbers.into_iter().flatten().filter_map(preview).collect()
    }

    fn release(&self, pipeline: &str, commit: &str) -> bool {
        let released = (pipeline.to_owned(), commit.to_owned());
        self.released.lock().unwrap().push(released);
        true
    }

    fn open_wave(&self, pipeline: &str, commit: &str, wave: &str) -> bool {
        let opened = [pipeline, commit, wave].map(str::to_owned);
        self.opened.lock().unwrap().push(opened);
        true
    }

    fn sync(&self, pipeline: &str, full: bool) -> bool {
        self.asked.lock().unwrap().push((pipeline.to_owned(), full));
        true
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// The server before a [`Fake`]; stops when dropped.
pub(crate) struct Service {
    /// Where it listens, on loopback.
    pub port: u16,
    /// What is behind it.
    pub fake: Arc<Fake>,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Answers to everybody on this machine.
    pub(crate) fn open() -> Self {
        Self::start(&ServerOptions::default())
    }

    /// Answers to whoever has one of two tokens: `old-token`, `new-token`.
    pub(crate) fn closed() -> Self {
        Self::start(&ServerOptions {
            tokens: Tokens::new(vec![Secret::new("old-token"), Secret::new("new-token")]),
            ..ServerOptions::default()
        })
    }

    pub(crate) fn start(options: &ServerOptions) -> Self {
        let fake = Arc::new(fake());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shutdown = CancellationToken::new();
        let router = router(Arc::clone(&fake) as Arc<dyn Backend>, options);
        let config = options
            .tls
            .as_ref()
            .map(|files| RustlsConfig::from_config(tls(files).unwrap()));
        let stop = shutdown.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime
                .block_on(serve(listener, router, config, stop))
                .unwrap();
            runtime.shutdown_background();
        });
        Self {
            port,
            fake,
            shutdown,
            thread: Some(thread),
        }
    }

    /// An address of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.cancel();
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn deployment(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  replicas: 2\n  template:\n    \
         spec:\n      containers:\n      - image: {image}\n        name: web\n"
    )
}

/// Pull request 7 changes, adds and removes, and has an error; pull request 8 cannot be rendered.
fn preview(number: u64) -> Option<Preview> {
    let change = |kind: &str, name: &str, clusters: &[&str], before: &str, after: &str| {
        let group = if kind == "Deployment" { "apps" } else { "" };
        let file = ObjectKey::new(group, kind, "shop", name);
        let difference = difference(before, after);
        ObjectChange {
            path: stellate::reconcile::browse::path_of(&file),
            object: file,
            change: match (before, after) {
                ("", _) => Kind::Added,
                (_, "") => Kind::Removed,
                _ => Kind::Changed,
            },
            clusters: clusters.iter().map(|name| (*name).into()).collect(),
            lines_added: difference.added,
            lines_removed: difference.removed,
            diff: difference.hunks,
        }
    };
    let (old, new) = (deployment("web:2"), deployment("web:4"));
    let changes = Changes {
        added_clusters: vec!["linz".into()],
        removed_clusters: Vec::new(),
        objects: vec![
            change("ConfigMap", HOSTILE, &["linz"], "", "data:\n  a: b\n"),
            change("Deployment", "web", &["berlin", "zurich"], &old, &new),
            change("Secret", "till", &["berlin"], "pin: 1234\n", ""),
        ],
    };
    let preview = |summary: &str, error: &str, changes| Preview {
        number,
        head: "d4".repeat(20),
        seen: Timestamp::now(),
        base: NEWEST.into(),
        summary: summary.into(),
        errors: vec![error.into()],
        changes,
    };
    match number {
        7 => Some(preview(
            "1 error; would change: 1 object added, 1 changed, 1 removed, on 3 WECs",
            "apps/shop.yaml:3: no such key",
            Some(Arc::new(changes)),
        )),
        8 => Some(preview(
            "cannot be rendered: no such branch",
            "no such branch",
            None,
        )),
        _ => None,
    }
}

fn fake() -> Fake {
    let repository = Repository::new("generated");
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n";
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: till\n  namespace: shop\nstringData:\n  pin: {value}\n"
        )
    };
    let (old, new, other) = (
        deployment("web:1"),
        deployment("web:2"),
        deployment("web:3"),
    );
    let (old_pin, new_pin) = (secret("1234"), secret("5678"));
    let first = repository.commit(
        "one",
        &[
            (
                "clusters/berlin/shop/deployment.apps-web.yaml",
                old.as_str(),
            ),
            ("clusters/berlin/shop/secret-till.yaml", old_pin.as_str()),
            (
                "clusters/cologne/shop/deployment.apps-web.yaml",
                old.as_str(),
            ),
            ("clusters/graz/shop/deployment.apps-web.yaml", old.as_str()),
            ("clusters/graz/shop/service-web.yaml", service),
            ("clusters/vienna/.keep", ""),
            (
                "clusters/zurich/shop/deployment.apps-web.yaml",
                old.as_str(),
            ),
        ],
    );
    let newest = repository.commit(
        "three",
        &[
            (
                "clusters/berlin/shop/deployment.apps-web.yaml",
                new.as_str(),
            ),
            ("clusters/berlin/shop/secret-till.yaml", new_pin.as_str()),
            (
                "clusters/cologne/shop/deployment.apps-web.yaml",
                new.as_str(),
            ),
            ("clusters/cologne/shop/service-web.yaml", service),
            (
                "clusters/graz/shop/deployment.apps-web.yaml",
                other.as_str(),
            ),
            ("clusters/vienna/.keep", ""),
            (
                "clusters/zurich/shop/deployment.apps-web.yaml",
                new.as_str(),
            ),
        ],
    );
    let mut shop = PipelineBoard {
        source: "https://git.example.com/shop.git".into(),
        reference: Some("main".into()),
        outputs: vec!["branch generated on https://git.example.com/shop.git".into()],
        ready: true,
        clusters: ["berlin", "cologne", "graz", "vienna", "zurich"]
            .map(ClusterName::from)
            .to_vec(),
        ..PipelineBoard::default()
    };
    shop.push(commit(FIRST, "shop: the beginning", &first, &shop.clusters));
    shop.push(commit(SAME, "docs only", &first, &shop.clusters));
    let mut last = commit(NEWEST, "web: the new image", &newest, &shop.clusters);
    last.diagnostics = vec![
        Diagnostic::warning("UnknownProperty", format!("no property {HOSTILE}")).help("add it"),
    ];
    last.timings = vec![("read".into(), 12.5), ("push".into(), 310.0)];
    let web = ObjectKey::new("apps", "Deployment", "shop", "web");
    for (name, health, message) in [
        ("berlin", Health::Degraded, HOSTILE),
        ("cologne", Health::Healthy, ""),
        ("zurich", Health::Healthy, ""),
    ] {
        let object = ObjectReport {
            object: web.clone(),
            health,
            message: message.into(),
        };
        let report = Report {
            cluster: name.into(),
            reporter: "Kustomization flux-system/shop".into(),
            revision: Some(newest.clone()),
            progress: Progress::Applied,
            health,
            message: "as it says".into(),
            objects: vec![object],
            evidence: Evidence::Action,
            at: Some(Timestamp::UNIX_EPOCH),
        };
        let state = last.clusters.get_mut(name).unwrap();
        state.observe(Observation::Reported(report), Timestamp::now());
    }
    let graz = last.clusters.get_mut("graz").unwrap();
    let quarantined = [(web, "no property `region`".to_owned())].into();
    graz.observe(
        Observation::Rendered {
            objects: 1,
            quarantined,
        },
        Timestamp::now(),
    );
    graz.keep(1);
    shop.push(last);
    let mut fleet = PipelineBoard {
        source: "https://git.example.com/fleet.git".into(),
        ready: true,
        clusters: (0..1000)
            .map(|number| ClusterName::from(format!("c{number:04}")))
            .collect(),
        ..PipelineBoard::default()
    };
    for number in 0..19 {
        let id = format!("{number:040x}");
        fleet.push(commit(&id, "fleet: earlier", "none", &fleet.clusters));
    }
    fleet.push(commit(FLEET, HOSTILE, "none", &fleet.clusters));
    let pipelines = [("fleet".to_owned(), fleet), ("shop".to_owned(), shop)];
    Fake {
        board: Mutex::new(Arc::new(Board {
            pipelines: pipelines.into(),
        })),
        changes: watch::Sender::new(1),
        repository: repository.path().to_owned(),
        metrics: Metrics::default(),
        asked: Mutex::default(),
        released: Mutex::default(),
        opened: Mutex::default(),
    }
}

/// A commit that was published everywhere, as a generated commit.
fn commit(id: &str, subject: &str, generated: &str, clusters: &[ClusterName]) -> CommitBoard {
    let now = Timestamp::now();
    let published = || {
        let mut state = ClusterState::new(true, now);
        let rendered = Observation::Rendered {
            objects: 2,
            quarantined: [].into(),
        };
        state.observe(rendered, now);
        state.observe(
            Observation::Published {
                revision: generated.to_owned(),
                bytes: Bytes::New,
            },
            now,
        );
        state
    };
    CommitBoard {
        subject: subject.into(),
        author: "Stella".into(),
        generated: Some(generated.to_owned()),
        change: Some(ChangeCounts {
            added: 2,
            removed: 1,
            changed: 4,
            clusters: 4,
        }),
        whole: published(),
        clusters: clusters
            .iter()
            .map(|name| (name.clone(), published()))
            .collect(),
        ..CommitBoard::new(id, now)
    }
}
