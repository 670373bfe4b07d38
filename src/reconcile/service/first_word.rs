//! The first word of an ITS: until it was listed once its inventory is not known, which for a while is no failure.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::sync::watch::Receiver;

use super::queue::Wake;
use crate::inventory::its::Known;

/// How long a run waits before it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until the ITS was listed or something is wrong with it, but not for ever, and not when the pipeline is to stop; gives what is
/// known then.
pub(super) fn heard(receiver: &Receiver<Known>, wake: &Wake, patience: Duration) -> Known {
    let end = Instant::now() + patience;
    let mut waited = false;
    loop {
        let known = receiver.borrow().clone();
        let is_silent = known.inventory.is_none() && known.problem.is_none();
        if !is_silent || wake.is_stopping() || Instant::now() >= end {
            return known;
        }
        if !std::mem::replace(&mut waited, true) {
            tracing::debug!("waiting for the ITS to be listed");
        }
        sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;
    use crate::inventory::Inventory;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_list_is_waited_for() {
        let (sender, receiver) = watch::channel(Known::default());
        let listing = std::thread::spawn(move || {
            sleep(Duration::from_millis(100));
            sender.send_modify(|known| known.inventory = Some(Arc::new(Inventory::default())));
            sender
        });
        let known = heard(&receiver, &Wake::default(), LONG);
        assert!(known.inventory.is_some());
        drop(listing.join());
    }

    #[test]
    fn silence_is_not_waited_for_for_ever_and_not_at_the_end() {
        let (_sender, receiver) = watch::channel(Known::default());
        let wake = Wake::default();
        assert_eq!(
            heard(&receiver, &wake, Duration::from_millis(50)),
            Known::default()
        );
        wake.ask(|orders| orders.stop = true);
        let begun = Instant::now();
        assert_eq!(heard(&receiver, &wake, LONG), Known::default());
        assert!(begun.elapsed() < LONG / 2);
    }
}
