//! Any bytes as a webhook of any sender: an event, or a reason in one line. The first byte picks the sender and the event.
#![no_main]

use axum::http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use stellate::server::webhooks::{Event, Forge, parse::parse, reports};

const EVENTS: [(Forge, &str, &str); 14] = [
    (Forge::GitHub, "x-github-event", "push"),
    (Forge::GitHub, "x-github-event", "pull_request"),
    (Forge::GitHub, "x-github-event", "ping"),
    (Forge::Gitea, "x-gitea-event", "push"),
    (Forge::Gitea, "x-gitea-event", "delete"),
    (Forge::Gitea, "x-forgejo-event", "pull_request"),
    (Forge::GitLab, "x-gitlab-event", "Push Hook"),
    (Forge::GitLab, "x-gitlab-event", "Merge Request Hook"),
    (Forge::GitLab, "x-gitlab-event", "System Hook"),
    (Forge::Bitbucket, "x-event-key", "repo:push"),
    (Forge::Bitbucket, "x-event-key", "pullrequest:updated"),
    (Forge::Bitbucket, "x-event-key", "repo:refs_changed"),
    (Forge::Bitbucket, "x-event-key", "pr:opened"),
    (Forge::Bitbucket, "x-event-key", "pr:deleted"),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else {
        return;
    };
    let said = match EVENTS.get(usize::from(*first)) {
        Some((forge, header, event)) => {
            let mut headers = HeaderMap::new();
            headers.insert(*header, HeaderValue::from_static(event));
            match parse(*forge, &headers, body) {
                Ok(Event::Push(push)) => {
                    assert!(!push.urls.is_empty() && !push.changes.is_empty());
                    None
                }
                Ok(_) => None,
                Err(malformed) => Some(malformed),
            }
        }
        None if first % 2 == 0 => reports::flux(Some("wec1"), body).err(),
        None => reports::argocd(body).err(),
    };
    if let Some(said) = said {
        let said = said.to_string();
        assert!(!said.is_empty() && !said.contains('\n'));
    }
});
