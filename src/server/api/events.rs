//! Server-sent events: tells that the board changed. Changes that come close together are one event.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;

use super::views::Changed;
use crate::server::Backend;

/// The least time between two events.
const PAUSE: Duration = Duration::from_millis(250);

/// The first event comes at once; the stream ends with the service.
pub(super) async fn stream(
    State(backend): State<Arc<dyn Backend>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let start = (backend.changes(), true);
    let events = futures::stream::unfold(start, async |(mut changes, first)| {
        if !first {
            tokio::time::sleep(PAUSE).await;
            changes.changed().await.ok()?;
        }
        let change = *changes.borrow_and_update();
        let data = serde_json::to_string(&Changed { change }).unwrap_or_default();
        let event = Event::default()
            .event("board")
            .id(change.to_string())
            .data(data);
        Some((Ok(event), (changes, false)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
