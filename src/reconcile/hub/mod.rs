//! Pipelines as an API server holds them: what is to run comes from there, and what became of it goes back.
//!
//! ```text
//! Pipeline objects ── watch ──▶ Hosted (read as the file is) ──▶ service ──▶ board ── status ──▶ status subresource, Events
//! ```
//!
//! The last good set stays while the server is not heard of. A Pipeline that cannot be read is in the set with what is
//! wrong with it, so that whoever runs its former version goes on doing so.

use std::sync::Arc;

use jiff::Timestamp;
use kube::core::{ApiResource, DynamicObject};
use tokio::sync::watch::{self, Receiver, Sender};
use tokio_util::task::AbortOnDropHandle;

use crate::api_server::{
    Connection, Event, Kind, Listener, Objects, Pace, Place, Problem, Right, follow,
};
use crate::config::{self, Written};
use crate::model::Diagnostic;
use crate::model::api::Pipeline;

mod reporter;
mod status;

pub use reporter::{FIELD_MANAGER, Reporter};
pub use status::{refused, status};

/// What a feed and a reporter ask of the API server.
pub const RIGHTS: [Right; 3] = [
    Right {
        place: Place::Everywhere,
        group: "gitops.kubestellar.io",
        resource: "pipelines",
        verbs: &["get", "list", "watch"],
    },
    Right {
        place: Place::Everywhere,
        group: "gitops.kubestellar.io",
        resource: "pipelines/status",
        verbs: &["patch"],
    },
    // Events about objects that live in no namespace.
    Right {
        place: Place::Namespace("default"),
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "patch"],
    },
];

/// A Pipeline object.
#[derive(Clone, Debug, PartialEq)]
pub struct Hosted {
    /// Its name.
    pub name: String,
    /// What tells it from a former one of the same name.
    pub uid: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Which version of its spec this is.
    pub generation: i64,
    /// What it says, or all that is wrong with it.
    pub written: Result<Written, Vec<Diagnostic>>,
}

/// What is known of the Pipelines of an API server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The last good set, sorted by name; none before the first one.
    pub pipelines: Option<Arc<[Hosted]>>,
    /// Whether that is what the server holds now; else it is what it held when it was last heard of.
    pub synced: bool,
    /// What stands between us and the server.
    pub problem: Option<Problem>,
}

/// The Pipelines of an API server as they change. Dropping it ends the watch.
#[derive(Debug)]
pub struct Feed {
    /// The newest state; earlier ones may be skipped.
    pub receiver: Receiver<Known>,
    _task: AbortOnDropHandle<()>,
}

/// Watches the Pipelines, for as long as the feed is held. Must be called inside a tokio runtime.
pub fn watch(connection: Connection) -> Feed {
    let (sender, receiver) = watch::channel(Known::default());
    let kind = Kind {
        resource: ApiResource::erase::<Pipeline>(&()),
        namespace: None,
    };
    let listener = Teller {
        objects: Objects::default(),
        changed: false,
        sender,
    };
    let task = tokio::spawn(follow(connection, vec![kind], Pace::default(), listener));
    Feed {
        receiver,
        _task: AbortOnDropHandle::new(task),
    }
}

struct Teller {
    objects: Objects<Hosted>,
    changed: bool,
    sender: Sender<Known>,
}

impl Listener for Teller {
    fn event(&mut self, _kind: usize, event: Event) {
        self.changed |= self.objects.apply(event, |object| Some(hosted(object)));
    }

    fn has_news(&self) -> bool {
        self.changed
    }

    fn in_sync(&mut self) {
        let fresh = std::mem::take(&mut self.changed);
        let fresh = fresh.then(|| self.objects.iter().cloned().collect());
        self.sender.send_if_modified(|known| {
            let told = !known.synced || known.problem.is_some() || fresh.is_some();
            known.synced = true;
            known.problem = None;
            known.pipelines = fresh.or(known.pipelines.take());
            told
        });
    }

    fn out_of_sync(&mut self, problem: Problem) {
        self.sender.send_if_modified(|known| {
            let told = known.synced || known.problem.as_ref() != Some(&problem);
            known.synced = false;
            known.problem = Some(problem);
            told
        });
    }
}

fn hosted(object: DynamicObject) -> Hosted {
    let name = object.metadata.name.unwrap_or_default();
    let written = config::from_object(&name, &object.data["spec"]);
    Hosted {
        uid: object.metadata.uid.unwrap_or_default(),
        created: object.metadata.creation_timestamp.map(|time| time.0),
        generation: object.metadata.generation.unwrap_or_default(),
        written,
        name,
    }
}
