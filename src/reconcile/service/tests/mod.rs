//! Whole services on repositories of this machine: what the board and the sinks say.

use std::path::Path;
use std::time::Instant;

use git2::Signature;

use super::*;
use crate::config::{self, Place};
use crate::status::{Evidence, Health, Phase, Progress, StatusState};

mod endings;
mod mending;
mod waves;

const POLICY: &str = "\
apiVersion: control.kubestellar.io/v1alpha1
kind: BindingPolicy
metadata: {name: everywhere}
spec:
  clusterSelectors: [{}]
  downsync: [{objectSelectors: [{matchLabels: {app: shop}}]}]
";

/// Remembers what is wanted of it.
#[derive(Default)]
struct Told(
    Mutex<BTreeMap<String, BTreeMap<String, CommitStatus>>>,
    Mutex<BTreeMap<u64, String>>,
    Mutex<Vec<(String, String)>>,
);

impl Sink for Told {
    fn want(&self, commit: &str, statuses: Vec<CommitStatus>) {
        let statuses = statuses
            .into_iter()
            .map(|status| (status.context.clone(), status));
        lock(&self.0).insert(commit.to_owned(), statuses.collect());
    }

    fn comment(&self, pull: u64, _: &str, markdown: String) {
        lock(&self.1).insert(pull, markdown);
    }

    fn close(&self, commit: &str, _: &Style, text: &str) {
        lock(&self.2).push((commit.to_owned(), text.to_owned()));
    }
}

impl Told {
    fn line(&self, commit: &str, context: &str) -> String {
        let all = lock(&self.0);
        let status = all.get(commit).and_then(|statuses| statuses.get(context));
        status.map_or_else(String::new, |status| {
            format!("{:?} {}", status.state, status.description)
        })
    }
}

/// A repository with a shop on two WECs, and a service that follows it.
struct Scene {
    folder: tempfile::TempDir,
    told: Arc<Told>,
    runtime: tokio::runtime::Runtime,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut named = git2::RepositoryInitOptions::new();
        named.initial_head("main");
        git2::Repository::init_opts(folder.path().join("source"), &named).expect("a repository");
        let scene = Self {
            folder,
            told: Arc::default(),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        };
        scene.write("policy.yaml", POLICY);
        for name in ["berlin", "paris"] {
            scene.write(&format!("inventory/{name}.yaml"), &cluster(name));
        }
        scene.write("shop.yaml", &config_map("hello"));
        scene
    }

    fn source(&self) -> std::path::PathBuf {
        self.folder.path().join("source")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.source().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn commit(&self, message: &str) -> String {
        commit_all(&self.source(), message)
    }

    fn plan(&self, extra: &str) -> Plan {
        let text = format!(
            "apiVersion: gitops.kubestellar.io/v1alpha1\nkind: Pipeline\nmetadata: {{name: shop}}\nspec:\n  source: {{git: {{url: source}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n{extra}"
        );
        let written = config::load("stellate.yaml", text.as_bytes()).expect("a configuration");
        let (resolved, found) = config::resolve(
            &written[0],
            self.folder.path(),
            "stellate.yaml",
            text.as_bytes(),
        );
        assert!(found.is_empty(), "{found:?}");
        Plan {
            interval: Duration::from_secs(3600),
            deadline: Duration::from_secs(3600),
            previews: true,
            ..Plan::new(resolved, None)
        }
    }

    fn service(&self) -> Arc<Service> {
        let told = Arc::clone(&self.told);
        Service::new(Options {
            runtime: self.runtime.handle().clone(),
            cache: self.folder.path().join("cache"),
            sinks: Box::new(move |_| vec![Arc::clone(&told) as Arc<dyn Sink>]),
        })
    }

    fn start(&self) -> Arc<Service> {
        let service = self.service();
        service.run(vec![self.plan("")]);
        service
    }

    fn generated(&self) -> Option<String> {
        let repository = git2::Repository::open(self.source()).expect("a repository");
        let found = repository.refname_to_id("refs/heads/generated").ok();
        found.map(|id| id.to_string())
    }
}

fn cluster(name: &str) -> String {
    format!(
        "apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata: {{name: {name}}}\nspec: {{hubAcceptsClient: true}}\n"
    )
}

fn config_map(greeting: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: greeting, namespace: shop, labels: {{app: shop}}}}\ndata: {{greeting: {greeting}}}\n"
    )
}

fn commit_all(folder: &Path, message: &str) -> String {
    let repository = git2::Repository::open(folder).expect("a repository");
    let mut index = repository.index().expect("an index");
    index
        .add_all(["*"], git2::IndexAddOption::DEFAULT, None)
        .expect("added");
    index.update_all(["*"], None).expect("updated");
    index.write().expect("written");
    let tree = index.write_tree().expect("a tree");
    let tree = repository.find_tree(tree).expect("a tree");
    let ada = Signature::now("Ada", "ada@example.com").expect("a signature");
    let parent = repository
        .head()
        .ok()
        .and_then(|head| head.peel_to_commit().ok());
    let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
    let id = repository.commit(Some("HEAD"), &ada, &ada, message, &tree, &parents);
    id.expect("a commit").to_string()
}

/// Waits until something is so.
#[track_caller]
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < end, "never came to be: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn phase(service: &Service, commit: &str) -> Option<Phase> {
    let board = service.board();
    board
        .pipelines
        .get("shop")?
        .commit(commit)
        .map(CommitBoard::phase)
}

fn report(cluster: &str, revision: &str, health: Health) -> Report {
    Report {
        cluster: cluster.into(),
        reporter: "Kustomization flux-system/shop".into(),
        revision: Some(revision.to_owned()),
        progress: Progress::Applied,
        health,
        message: "Deployment shop/web: ImagePullBackOff".into(),
        objects: Vec::new(),
        evidence: Evidence::Action,
        at: None,
    }
}

#[test]
fn a_push_moves_the_branch_and_reports_come_back_onto_the_commit() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    let generated = scene.generated().expect("a branch");
    service.report("shop", vec![report("berlin", &generated, Health::Healthy)]);
    service.report("shop", vec![report("paris", &generated, Health::Degraded)]);
    eventually("told", || {
        scene.told.line(&first, "stellate/shop")
            == "Failure 1/2 failing: paris (Deployment shop/web: ImagePullBackOff)"
    });
    service.report("shop", vec![report("paris", &generated, Health::Healthy)]);
    eventually("recovered", || {
        scene.told.line(&first, "stellate/shop") == "Success 2 WECs healthy"
    });

    scene.write("shop.yaml", &config_map("good-day"));
    let second = scene.commit("Greet better");
    service.wake("shop", Some(&second));
    eventually("waiting for both", || {
        scene.told.line(&second, "stellate/shop") == "Pending 0/2 healthy, waiting for 2"
    });
    assert_ne!(scene.generated().expect("a branch"), generated);
    service.stop();
}

#[test]
fn a_commit_that_changes_nothing_for_a_wec_stands_where_the_one_before_stood() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    let generated = scene.generated().expect("a branch");
    let both = ["berlin", "paris"].map(|name| report(name, &generated, Health::Healthy));
    service.report("shop", both.into());
    scene.write("README.md", "a shop\n");
    let second = scene.commit("Say what it is");
    service.wake("shop", Some(&second));
    eventually("healthy at once", || {
        phase(&service, &second) == Some(Phase::Healthy)
    });
    assert_eq!(scene.generated().expect("a branch"), generated);
    service.stop();
}

#[test]
fn a_wec_that_the_hub_has_not_accepted_is_known_with_the_reason_and_not_waited_for() {
    let scene = Scene::new();
    scene.write(
        "inventory/rome.yaml",
        &cluster("rome").replace("true", "false"),
    );
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    let board = service.board();
    let shop = &board.pipelines["shop"];
    let commit = shop.commit(&first).expect("a commit");
    assert_eq!((shop.clusters.len(), commit.clusters.len()), (3, 2));
    let excluded: Vec<(&str, &str)> = commit
        .excluded
        .iter()
        .map(|(name, why)| (name.as_str(), why.as_str()))
        .collect();
    assert_eq!(excluded, [("rome", "is not accepted by the hub")]);
    service.stop();
}

#[test]
fn what_stays_because_of_an_error_is_counted_beside_what_was_rendered() {
    let scene = Scene::new();
    let sign = |text: &str| {
        let name = "{name: sign, namespace: shop, labels: {app: shop}, annotations: {control.kubestellar.io/expand-templates: \"true\"}}";
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {name}\ndata: {{sign: \"{text}\"}}\n")
    };
    scene.write("sign.yaml", &sign("{{ .clusterName }}"));
    let first = scene.commit("Open the shop");
    let service = scene.start();
    let counted = |commit: &str| {
        let board = service.board();
        let commit = board.pipelines["shop"].commit(commit)?;
        let state = &commit.clusters[&ClusterName::from("paris")];
        Some((state.phase(), state.objects(), state.kept()))
    };
    eventually("published", || {
        // With the Namespace.
        counted(&first) == Some((Phase::Published, Some(3), 0))
    });
    scene.write("sign.yaml", &sign("{{ .street }}"));
    let second = scene.commit("Paint the sign");
    service.wake("shop", Some(&second));
    eventually("one is kept", || {
        counted(&second) == Some((Phase::Quarantined, Some(2), 1))
    });
    scene.write("sign.yaml", &sign("open"));
    let third = scene.commit("Paint it simply");
    service.wake("shop", Some(&third));
    eventually("all is well", || {
        counted(&third) == Some((Phase::Published, Some(3), 0))
    });
    service.stop();
}

#[test]
fn what_somebody_else_committed_to_the_branch_is_known_after_it_was_put_right_and_after_a_start() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    let foreign = {
        let repository = git2::Repository::open(scene.source()).expect("a repository");
        let bob = Signature::now("Bob", "bob@example.com").expect("a signature");
        let tip = repository
            .refname_to_id("refs/heads/generated")
            .expect("a branch");
        let tip = repository.find_commit(tip).expect("a commit");
        let tree = repository
            .find_commit_by_prefix(&first)
            .expect("a commit")
            .tree()
            .expect("a tree");
        let made = repository.commit(
            Some("refs/heads/generated"),
            &bob,
            &bob,
            "A hotfix\n",
            &tree,
            &[&tip],
        );
        made.expect("a commit").to_string()
    };
    service.wake("shop", None);
    let known = |service: &Service| -> Option<crate::status::board::ForeignCommit> {
        let board = service.board();
        board.pipelines.get("shop")?.foreign(9).next().cloned()
    };
    eventually("it is known", || known(&service).is_some());
    let found = known(&service).expect("a commit");
    assert_eq!(
        (&found.commit, &*found.author, &*found.subject),
        (&foreign, "Bob", "A hotfix")
    );
    assert_eq!(found.put_right, scene.generated());
    assert!(found.files > 5 && found.changes.len() == 5, "{found:?}");
    service.stop();
    let service = scene.start();
    eventually("it is still known", || {
        known(&service) == Some(found.clone())
    });
    service.stop();
}

#[test]
fn a_commit_that_is_overtaken_says_by_which_one() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.service();
    let mut plan = Plan {
        reports: Reports::Required,
        ..scene.plan("")
    };
    plan.resolved.revision = Some("main".into());
    service.run(vec![plan]);
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    scene.write("shop.yaml", &config_map("a"));
    let skipped = scene.commit("Greet with a");
    scene.write("shop.yaml", &config_map("b"));
    let last = scene.commit("Greet with b");
    service.wake("shop", Some(&skipped));
    service.wake("shop", Some(&last));
    eventually("published", || {
        phase(&service, &last) == Some(Phase::Published)
    });
    let words = format!("Success superseded by {}", &last[..10]);
    eventually("told", || scene.told.line(&first, "stellate/shop") == words);
    eventually("told", || {
        scene.told.line(&first, "stellate/shop/paris") == words
    });
    eventually("told", || {
        scene.told.line(&skipped, "stellate/shop") == words
    });
    service.stop();
}

#[test]
fn a_push_to_another_branch_is_no_commit_that_was_overtaken() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    let elsewhere = "e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1";
    scene.write("shop.yaml", &config_map("a"));
    let last = scene.commit("Greet with a");
    service.wake("shop", Some(elsewhere));
    eventually("published", || {
        phase(&service, &last) == Some(Phase::Published)
    });
    service.stop();
    assert_eq!(phase(&service, elsewhere), None);
    assert!(lock(&scene.told.0).get(elsewhere).is_none());
}

#[test]
fn a_report_that_comes_before_its_commit_is_published_waits_for_it() {
    let scene = Scene::new();
    scene.commit("Open the shop");
    // What the branch will be: the same inputs give the same commit.
    let other = scene.start();
    eventually("published", || scene.generated().is_some());
    other.stop();
    let generated = scene.generated().expect("a branch");
    std::fs::remove_dir_all(scene.folder.path().join("cache/journal")).expect("removed");
    let service = scene.service();
    let mut plan = scene.plan("");
    plan.resolved.revision = Some("later".into());
    service.run(vec![plan]);
    let both = ["berlin", "paris"].map(|name| report(name, &generated, Health::Healthy));
    service.report("shop", both.into());
    let repository = git2::Repository::open(scene.source()).expect("a repository");
    let head = repository
        .head()
        .and_then(|head| head.peel_to_commit())
        .expect("a commit");
    repository.branch("later", &head, false).expect("a branch");
    service.wake("shop", None);
    let first = head.id().to_string();
    eventually("healthy", || {
        phase(&service, &first) == Some(Phase::Healthy)
    });
    service.stop();
}

#[test]
fn a_wec_that_the_pipeline_does_not_have_is_refused_once_its_inventory_is_known() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.service();
    let mut plan = scene.plan("");
    plan.resolved.revision = Some("later".into());
    service.run(vec![plan]);
    let stranger = || vec![report("nowhere", &first, Health::Healthy)];
    assert!(
        service.report("shop", stranger()),
        "nobody knows the WECs yet"
    );
    assert!(!service.report("bank", stranger()));
    service.run(vec![scene.plan("")]);
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    assert!(!service.report("shop", stranger()));
    let generated = scene.generated().expect("a branch");
    let both = ["nowhere", "berlin"].map(|name| report(name, &generated, Health::Healthy));
    assert!(service.report("shop", both.into()));
    service.stop();
}

#[test]
fn a_service_that_starts_again_knows_what_it_knew_and_writes_nothing() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    let generated = scene.generated().expect("a branch");
    let both = ["berlin", "paris"].map(|name| report(name, &generated, Health::Healthy));
    service.report("shop", both.into());
    eventually("healthy", || {
        scene.told.line(&first, "stellate/shop") == "Success 2 WECs healthy"
    });
    service.stop();
    lock(&scene.told.0).clear();
    let again = scene.start();
    eventually("told again", || {
        scene.told.line(&first, "stellate/shop") == "Success 2 WECs healthy"
    });
    eventually("ready", || again.board().pipelines["shop"].ready);
    assert_eq!(phase(&again, &first), Some(Phase::Healthy));
    assert_eq!(scene.generated().expect("a branch"), generated);
    again.stop();
}

#[test]
fn too_much_removal_is_held_until_somebody_releases_it() {
    let scene = Scene::new();
    for number in 0..8 {
        let text = config_map("x").replace("greeting, n", &format!("greeting-{number}, n"));
        scene.write(&format!("more-{number}.yaml"), &text);
    }
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    for number in 0..8 {
        std::fs::remove_file(scene.source().join(format!("more-{number}.yaml"))).expect("removed");
    }
    let second = scene.commit("Close nearly everything");
    service.wake("shop", Some(&second));
    eventually("held", || phase(&service, &second) == Some(Phase::Held));
    eventually("told", || {
        scene
            .told
            .line(&second, "stellate/shop")
            .starts_with("Failure held: 16 of 20 objects")
    });
    let board = service.board();
    let commit = board.pipelines["shop"].commit(&second).expect("a commit");
    assert!(commit.is_releasable());
    assert!(commit.releasable[0].starts_with("16 of 20 objects"));
    service.release("shop", &second);
    eventually("published", || {
        phase(&service, &second) == Some(Phase::Published)
    });
    service.stop();
}

#[test]
fn what_no_release_lifts_is_not_called_releasable() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let mut plan = scene.plan("");
    plan.resolved.outputs.clear();
    let service = scene.service();
    service.run(vec![plan]);
    eventually("held", || phase(&service, &first) == Some(Phase::Held));
    let board = service.board();
    let commit = board.pipelines["shop"].commit(&first).expect("a commit");
    assert!(!commit.is_releasable(), "{:?}", commit.releasable);
    service.stop();
}

#[test]
fn a_pipeline_that_fails_says_why_and_holds_up_no_other() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.service();
    let mut broken = scene.plan("");
    broken.resolved.name = "broken".into();
    broken.resolved.place = Some(Place::Git(
        scene.folder.path().join("nowhere").display().to_string(),
    ));
    service.run(vec![broken, scene.plan("")]);
    eventually("the other is published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    eventually("it says why", || {
        service.board().pipelines["broken"].problem.is_some()
    });
    let board = service.board();
    assert!(!board.pipelines["broken"].ready);
    let problem = board.pipelines["broken"]
        .problem
        .as_ref()
        .expect("a problem");
    assert!(problem.help.is_some(), "{problem:?}");
    service.stop();
}

#[test]
fn the_time_of_a_silent_wec_runs_out() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.service();
    let plan = Plan {
        reports: Reports::Required,
        deadline: Duration::from_millis(200),
        ..scene.plan("")
    };
    service.run(vec![plan]);
    eventually("degraded", || {
        phase(&service, &first) == Some(Phase::Degraded)
    });
    eventually("told", || {
        scene
            .told
            .line(&first, "stellate/shop/paris")
            .contains("no report within")
    });
    service.stop();
}

#[test]
fn what_no_longer_is_configured_stops() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    service.run(Vec::new());
    assert!(service.board().pipelines.is_empty());
    assert!(!service.wake("shop", None));
    service.stop();
}

#[test]
fn pushes_concern_the_pipelines_that_follow_the_branch_and_never_our_own_branch() {
    let scene = Scene::new();
    scene.commit("Open the shop");
    let service = scene.start();
    let url = RemoteUrl::parse(&scene.source().display().to_string()).expect("an address");
    let other = RemoteUrl::parse("https://example.com/other.git").expect("an address");
    let following =
        |url: &RemoteUrl, reference| service.following(std::slice::from_ref(url), reference);
    assert_eq!(following(&url, "refs/heads/main"), ["shop"]);
    assert!(following(&url, "refs/heads/generated").is_empty());
    assert!(following(&other, "refs/heads/main").is_empty());
    service.stop();
}

#[test]
fn statuses_are_in_the_words_of_a_forge() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("told", || {
        scene
            .told
            .line(&first, "stellate/shop")
            .starts_with("Success published for 2 WECs")
    });
    let all = lock(&scene.told.0);
    assert!(
        all[&first]
            .values()
            .all(|status| status.state == StatusState::Success)
    );
    drop(all);
    service.stop();
}

#[test]
fn a_pull_request_is_told_what_it_would_change_and_nothing_is_published() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    let generated = scene.generated();
    let repository = git2::Repository::open(scene.source()).expect("a repository");
    let main = repository
        .head()
        .expect("a head")
        .name()
        .expect("a name")
        .to_owned();
    let base = repository
        .head()
        .and_then(|head| head.peel_to_commit())
        .expect("a commit");
    repository.branch("kinder", &base, false).expect("a branch");
    repository.set_head("refs/heads/kinder").expect("moved");
    scene.write("shop.yaml", &config_map("welcome"));
    let head = scene.commit("Be kinder");
    repository.set_head(&main).expect("moved back");
    let pull = PullRequest {
        number: 7,
        head: head.clone(),
        branch: "kinder".into(),
    };
    service.pull_request("shop", pull);
    eventually("told", || {
        scene.told.line(&head, "stellate/shop/preview")
            == "Success would change: 0 objects added, 1 changed, 0 removed, on 2 WECs"
    });
    let comment = lock(&scene.told.1)[&7].clone();
    assert!(comment.contains("+  greeting: welcome"), "{comment}");
    assert!(comment.contains("on 2 WEC(s): berlin, paris"), "{comment}");
    assert_eq!(scene.generated(), generated);
    service.stop();
}

#[test]
fn without_a_journal_the_commits_before_the_head_are_looked_after() {
    let scene = Scene::new();
    let first = scene.commit("Open the shop");
    let service = scene.start();
    eventually("published", || {
        phase(&service, &first) == Some(Phase::Published)
    });
    service.stop();
    assert!(
        lock(&scene.told.2).is_empty(),
        "there was nothing before it"
    );
    scene.write("shop.yaml", &config_map("good-day"));
    let second = scene.commit("Greet better");
    std::fs::remove_dir_all(scene.folder.path().join("cache")).expect("removed");
    let again = scene.start();
    eventually("closed", || !lock(&scene.told.2).is_empty());
    let wanted = (first, format!("superseded by {}", &second[..10]));
    assert_eq!(*lock(&scene.told.2), [wanted]);
    again.stop();
}
