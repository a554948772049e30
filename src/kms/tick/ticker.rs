use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::TickReport;
use crate::kms::error::KmsError;
use crate::kms::{Kms, KmsHandle};

/// A thread that [ticks](KmsHandle::tick), until it is dropped.
///
/// Dropping it waits for a tick that is under way.
#[must_use = "dropping it ends the ticking"]
pub struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    last: Mutex<Option<Result<TickReport, KmsError>>>,
}

impl Kms {
    /// Ticks at once, and then whenever `interval` has passed, in a thread of its own and in the
    /// name of `waxseal:ticker`. A forked child has no such thread.
    ///
    /// # Errors
    ///
    /// What the operating system says when it starts no thread.
    pub fn spawn_ticker(&self, interval: Duration) -> Result<Ticker, std::io::Error> {
        let shared = Arc::<Shared>::default();
        let handle = self.as_principal("waxseal:ticker");
        let thread = thread::Builder::new()
            .name("waxseal-ticker".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run(&handle, interval)
            })?;
        Ok(Ticker {
            shared,
            thread: Some(thread),
        })
    }
}

impl Ticker {
    /// What the last tick has done, or why it could not. Nothing if there was none since this was
    /// last asked.
    #[must_use]
    pub fn take_report(&self) -> Option<Result<TickReport, KmsError>> {
        let mut last = self
            .shared
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.take()
    }
}

impl Shared {
    fn run(&self, handle: &KmsHandle, interval: Duration) {
        let clock = &handle.kms.clock;
        while !self.ends() {
            let next = clock.now().saturating_add(interval);
            let report = handle.tick();
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
            while !self.ends() && clock.now() < next {
                clock.park_until(next);
            }
        }
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A tick that panicked has nothing more to do.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}
