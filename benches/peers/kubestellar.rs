//! KubeStellar's own controllers on the same objects: a WDS that holds them, a policy, and an ITS whose works are watched until
//! nothing moves any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use stellate::api_server::connect;
use stellate::model::api::ManifestWork;
use tokio::runtime::Runtime;

use super::support::servers::{ApiServer, KubeStellar, Missing};
use super::support::{folder, write_files};
use super::{POLICY, Requests, Size, connection, inventory, its, object, row};

/// Nothing moved for so long: it has come to rest. Their longest pause between two steps is two seconds, and what lies between two
/// requests grows with the objects and the WECs. What is measured ends with the last change, so this costs only patience.
const QUIET: Duration = Duration::from_secs(15);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(250);
/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(900);

pub(super) fn run(size: Size) -> Result<(), Missing> {
    KubeStellar::available()?;
    let its = its(size)?;
    let wds = Arc::new(ApiServer::start("wds1")?);
    its.apply(&inventory(size.wecs, "wec-1"));
    fill(&wds, size);
    let controllers = KubeStellar::start(&wds, &its)?;
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(connect(&connection(&its))).unwrap();
    let peer = Peer {
        its: &its,
        runtime,
        client,
    };
    peer.step("cold", || wds.apply(POLICY));
    let held = peer.objects();
    assert_eq!(held, size.objects, "objects in the first mailbox");
    peer.step("one object touched", || wds.apply(&object(7, "touched")));
    drop(controllers);
    let before = Requests::so_far(&its);
    let start = Instant::now();
    let _controllers = KubeStellar::start(&wds, &its)?;
    peer.settled("after a restart", start, &before);
    Ok(())
}

/// Puts the objects into the WDS, with nothing that wants them yet.
fn fill(wds: &ApiServer, size: Size) {
    wds.namespace("team");
    let files = folder("objects");
    for number in 0..size.objects {
        let text = object(number, "first");
        write_files(&files, &[(&format!("o{number:05}.yaml"), &text)]);
    }
    let files = format!("--filename={}", files.display());
    wds.kubectl_ok(&["create", &files]);
}

type Picture = (Vec<(String, String)>, u64);

struct Peer<'a> {
    its: &'a ApiServer,
    runtime: Runtime,
    client: Client,
}

impl Peer<'_> {
    fn step(&self, name: &str, act: impl FnOnce()) {
        let before = Requests::so_far(self.its);
        let start = Instant::now();
        act();
        self.settled(name, start, &before);
    }

    /// Waits until something was asked for, and then all is at rest; the time until the last change is the step's.
    fn settled(&self, name: &str, start: Instant, before: &Requests) {
        let mut picture = self.picture();
        let mut last = Instant::now();
        while last.elapsed() < QUIET || Requests::so_far(self.its) == *before {
            assert!(start.elapsed() < PATIENCE, "{name}: no end of it");
            std::thread::sleep(LOOK);
            let next = self.picture();
            if next != picture {
                (picture, last) = (next, Instant::now());
            }
        }
        let requests = Requests::so_far(self.its).since(before);
        let label = format!("KubeStellar, {name}");
        row(
            &label,
            None,
            last.saturating_duration_since(start),
            &requests,
        );
    }

    /// All works with their versions, and how often any was written.
    fn picture(&self) -> Picture {
        let works: Api<ManifestWork> = Api::all(self.client.clone());
        let listed = self
            .runtime
            .block_on(works.list_metadata(&ListParams::default()))
            .unwrap();
        let version = |work: kube::api::PartialObjectMeta<ManifestWork>| {
            let metadata = work.metadata;
            Some((metadata.uid?, metadata.resource_version?))
        };
        let works = listed.items.into_iter().filter_map(version).collect();
        (works, Requests::so_far(self.its).writes)
    }

    /// How many objects the first mailbox holds.
    fn objects(&self) -> usize {
        let found = self
            .its
            .kubectl_ok(&["get", "manifestworks", "-nwec-0", "--output=json"]);
        let found: Value = serde_json::from_str(&found).unwrap_or(json!(null));
        let works = found["items"].as_array().into_iter().flatten();
        let manifests = works.filter_map(|work| work["spec"]["workload"]["manifests"].as_array());
        manifests.map(Vec::len).sum()
    }
}
