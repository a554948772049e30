//! The thread that writes for tasks, which must not block.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Inner;
use super::group::Group;

/// How long the thread waits for more before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// Belongs to no runtime, so that what was handed over is written also when one is shut down.
#[derive(Default)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whose records are to be written, kept from being closed until they are.
    trail: Option<Arc<Inner>>,
    has_thread: bool,
    is_over: bool,
}

impl Writer {
    /// Has the group of a trail led. Gives the trail back if there is no thread to be had.
    pub(super) fn lead(&self, trail: Arc<Inner>) -> Result<(), Arc<Inner>> {
        let mut state = self.0.lock();
        if state.has_thread {
            self.0.changed.notify_one();
        } else if self.spawn() {
            state.has_thread = true;
        } else {
            return Err(trail);
        }
        state.trail = Some(trail);
        Ok(())
    }

    fn spawn(&self) -> bool {
        let shared = Arc::clone(&self.0);
        thread::Builder::new()
            .name("waxseal-audit".to_owned())
            .spawn(move || shared.work())
            .is_ok()
    }

    /// Whether a child finds it in order.
    pub(super) fn try_clear(&self) -> bool {
        self.0.state.try_lock().is_ok()
    }
}

/// The thread need not wait for more.
impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(trail) = self.next() {
            // Who is told may panic.
            let _panic = catch_unwind(AssertUnwindSafe(|| Group::lead(trail)));
        }
    }

    /// The next trail to write for, or nothing when the thread is to end.
    fn next(&self) -> Option<Arc<Inner>> {
        let state = self.lock();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, IDLE, |state| state.trail.is_none() && !state.is_over)
            .unwrap_or_else(PoisonError::into_inner);
        let trail = state.trail.take();
        state.has_thread = trail.is_some();
        trail
    }
}
