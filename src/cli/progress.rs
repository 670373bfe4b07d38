//! Progress on stderr: nothing for the first second, then one line that says what is going on.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Terminal;
use crate::reconcile::Progress;

/// What takes less long is over before anybody reads that it began.
const PATIENCE: Duration = Duration::from_secs(1);

/// One line that comes after a second and goes when it is dropped.
pub(super) struct Line {
    bar: ProgressBar,
    stage: Mutex<&'static str>,
    waiting: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Line {
    /// Starts to wait; where nobody looks, nothing is ever shown.
    pub(super) fn new(terminal: &Terminal) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::default_spinner());
        let waiting = terminal.talks_to_a_person().then(|| {
            let (done, over) = channel();
            let shown = bar.clone();
            let thread = std::thread::spawn(move || {
                if over
                    .recv_timeout(PATIENCE)
                    .is_err_and(|error| error == RecvTimeoutError::Timeout)
                {
                    shown.set_draw_target(ProgressDrawTarget::stderr());
                    shown.enable_steady_tick(Duration::from_millis(100));
                }
            });
            (done, thread)
        });
        Self {
            bar,
            stage: Mutex::default(),
            waiting,
        }
    }
}

impl Progress for Line {
    fn stage(&self, name: &'static str) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = name;
        self.bar.set_message(name);
    }

    fn count(&self, done: u64, total: u64) {
        let stage = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let text = if total == 0 {
            format!("{stage} {done}")
        } else {
            format!("{stage} {done}/{total}")
        };
        self.bar.set_message(text);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.waiting.take() {
            drop(done);
            let _ended = thread.join();
        }
        self.bar.finish_and_clear();
    }
}
