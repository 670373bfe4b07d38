//! The status of Pipeline objects and their Events, written to the API server under a name of our own; what is equal is
//! not written again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter as Source};
use kube::{Client, Resource as _};
use serde_json::json;

use super::Hosted;
use crate::api_server::Trouble;
use crate::model::api::Pipeline;
use crate::model::api::pipeline::PipelineStatus;

/// Under this name fields are ours.
pub const FIELD_MANAGER: &str = "stellate";

/// The most characters of an Event's note.
const NOTE: usize = 1_000;

/// Writes statuses and Events.
pub struct Reporter {
    client: Client,
    recorder: Recorder,
    /// What was written last, by the object's uid.
    written: BTreeMap<String, Written>,
}

/// A status that an object has.
struct Written {
    status: PipelineStatus,
    /// The object's generation when it was looked at; another one makes it another state of it.
    generation: i64,
    /// Which state of the object has it: who names that changes this one, or nothing.
    version: Option<String>,
}

impl Reporter {
    /// Writes as this replica.
    pub fn new(client: Client, replica: &str) -> Self {
        let source = Source {
            controller: FIELD_MANAGER.to_owned(),
            instance: Some(replica.to_owned()),
        };
        Self {
            recorder: Recorder::new(client.clone(), source),
            client,
            written: BTreeMap::new(),
        }
    }

    /// Remembers only what was written to these objects, by their uids.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.written.retain(|uid, _| wanted(uid));
    }

    /// Gives the status that an object has, as far as known; asks the server the first time.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn before(&mut self, pipeline: &Hosted) -> Result<PipelineStatus, Trouble> {
        let known = self.written.get(&pipeline.uid);
        if let Some(known) = known.filter(|known| known.generation == pipeline.generation) {
            return Ok(known.status.clone());
        }
        let found = self.api().get_opt(&pipeline.name).await;
        let found = found.map_err(|error| Trouble::of(&error))?;
        let version = found
            .as_ref()
            .and_then(|found| found.metadata.resource_version.clone());
        let status = found.and_then(|found| found.status).unwrap_or_default();
        self.remember(pipeline, status.clone(), version);
        Ok(status)
    }

    /// Writes a status, and an Event for what is new in it. An object that is gone is no error. Whoever is late, because it was cut
    /// off or stopped for a while, undoes nothing: what was changed since it was looked at is left alone.
    ///
    /// # Errors
    /// The server does not take it; the object is looked at anew the next time.
    pub async fn report(
        &mut self,
        pipeline: &Hosted,
        status: PipelineStatus,
    ) -> Result<(), Trouble> {
        let before = self.before(pipeline).await?;
        if before == status {
            return Ok(());
        }
        let known = self.written.remove(&pipeline.uid);
        let version = known.and_then(|known| known.version);
        let patch = json!({
            "apiVersion": Pipeline::api_version(&()),
            "kind": Pipeline::kind(&()),
            // Another object of the same name is none of ours.
            "metadata": {"name": pipeline.name, "uid": pipeline.uid, "resourceVersion": version},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patched = self
            .api()
            .patch_status(&pipeline.name, &params, &Patch::Apply(&patch))
            .await;
        let patched = match patched {
            Ok(patched) => patched,
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            Err(error) => return Err(Trouble::of(&error)),
        };
        let version = patched.metadata.resource_version;
        self.remember(pipeline, status.clone(), version);
        for event in events(&before, &status) {
            let told = self.recorder.publish(&event, &reference(pipeline)).await;
            told.map_err(|error| Trouble::of(&error))?;
        }
        Ok(())
    }

    fn remember(&mut self, pipeline: &Hosted, status: PipelineStatus, version: Option<String>) {
        let written = Written {
            status,
            generation: pipeline.generation,
            version,
        };
        self.written.insert(pipeline.uid.clone(), written);
    }

    fn api(&self) -> Api<Pipeline> {
        Api::all(self.client.clone())
    }
}

fn reference(pipeline: &Hosted) -> ObjectReference {
    ObjectReference {
        api_version: Some(Pipeline::api_version(&()).into_owned()),
        kind: Some(Pipeline::kind(&()).into_owned()),
        name: Some(pipeline.name.clone()),
        uid: Some(pipeline.uid.clone()),
        ..ObjectReference::default()
    }
}

/// What is worth an Event: a condition that turned, and a commit that was published.
fn events(before: &PipelineStatus, after: &PipelineStatus) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(commit) = &after.generated_commit
        && before.generated_commit.as_ref() != Some(commit)
    {
        let source = after.source_commit.as_deref().unwrap_or_default();
        let note = format!("source commit {source} is generated commit {commit}");
        events.push(event(EventType::Normal, "Published", &note));
    }
    for condition in &after.conditions {
        let turned = before.condition(&condition.name).is_none_or(|last| {
            (&last.status, &last.reason) != (&condition.status, &condition.reason)
        });
        // What is still to come is no event, and neither is that nothing stands in the way.
        let (worse, better) = match condition.name.as_str() {
            "Ready" => ("False", Some("True")),
            _ => ("True", None),
        };
        let kind = if condition.status == worse {
            EventType::Warning
        } else {
            EventType::Normal
        };
        let told = condition.status == worse || Some(condition.status.as_str()) == better;
        if turned && told {
            events.push(event(kind, &condition.reason, &condition.message));
        }
    }
    events
}

fn event(kind: EventType, reason: &str, note: &str) -> Event {
    Event {
        type_: kind,
        reason: reason.to_owned(),
        note: Some(note.chars().take(NOTE).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}
