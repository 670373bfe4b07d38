//! Files with credentials that changed → the pipelines that use them try again at once, and their sinks with them.
//!
//! Only when a file was changed and how long it is are looked at; what is in it is read by whoever needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Plan, Service, lock};
use crate::config::{Login, ResolvedOutput};
use crate::git::{FileStamp, SecretPlace};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What the files looked like last.
#[derive(Default)]
pub(super) struct Lookout {
    seen: BTreeMap<PathBuf, FileStamp>,
    last: Option<Instant>,
}

impl Lookout {
    /// Looks at exactly these files; gives those that changed since they were looked at before.
    fn changed(&mut self, files: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let now: BTreeMap<PathBuf, FileStamp> = files
            .into_iter()
            .map(|path| (path.clone(), FileStamp::of(&path)))
            .collect();
        let before = std::mem::replace(&mut self.seen, now);
        let changed = self.seen.iter().filter(|(path, stamp)| {
            let known = before.get(*path);
            known.is_some_and(|known| known != *stamp)
        });
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// Tells whether it is time to look again.
    fn is_due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= EVERY);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}

impl Service {
    /// Has those try again whose credentials changed.
    pub(super) fn look_at_credentials(&self, lookout: &mut Lookout) {
        if !lookout.is_due() {
            return;
        }
        let all: Vec<(String, BTreeSet<PathBuf>)> = lock(&self.running)
            .iter()
            .map(|(name, running)| (name.clone(), files(&running.plan)))
            .collect();
        let every = all.iter().flat_map(|(_, files)| files.iter().cloned());
        let changed = lookout.changed(every.collect());
        for (name, files) in all {
            if files.is_disjoint(&changed) {
                continue;
            }
            tracing::info!(pipeline = name, "credentials changed: it tries again");
            if let Some(running) = lock(&self.running).get(&name) {
                running.wake.ask(|orders| orders.push(None));
                for sink in &running.sinks {
                    sink.retry();
                }
            }
        }
    }
}

/// The files that hold a pipeline's credentials.
fn files(plan: &Plan) -> BTreeSet<PathBuf> {
    let resolved = &plan.resolved;
    let outputs = resolved.outputs.iter().filter_map(|output| match output {
        ResolvedOutput::Branch(branch) => branch.credentials.as_ref(),
        ResolvedOutput::Folder(_) | ResolvedOutput::Mailbox { .. } => None,
    });
    let status = resolved.status.iter();
    let forges = status.flat_map(|status| status.forges.iter().map(|forge| &forge.login));
    let logins = resolved.credentials.iter().chain(outputs).chain(forges);
    let mut found: BTreeSet<PathBuf> = logins.flat_map(of_login).collect();
    let mailboxes = resolved.outputs.iter().filter_map(|output| match output {
        ResolvedOutput::Mailbox { its, .. } => its.kubeconfig.clone(),
        _ => None,
    });
    found.extend(mailboxes);
    found
}

fn of_login(login: &Login) -> impl Iterator<Item = PathBuf> {
    let in_file = |place: &SecretPlace| match place {
        SecretPlace::File(path) => Some(path.clone()),
        SecretPlace::Environment(_) => None,
    };
    let key = login.app.as_ref().and_then(|app| in_file(&app.private_key));
    let token = login.token.as_ref().and_then(in_file);
    let ssh = [login.ssh_key.clone(), login.known_hosts.clone()];
    ssh.into_iter().flatten().chain(key).chain(token)
}
