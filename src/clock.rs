//! Where time comes from.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// Tells how much time has passed, and waits for more of it to pass.
///
/// # Contract
///
/// - [`now`](Self::now) never goes back, and does not follow changes of the date.
/// - The clock may be asked from many threads.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time since a moment that stays the same for the life of the clock.
    fn now(&self) -> Duration;

    /// Blocks the calling thread until `deadline`, or until the thread is
    /// [unparked](Thread::unpark). It may return early: the caller looks at the time again.
    fn park_until(&self, deadline: Duration);
}

/// The operating system's monotonic clock.
///
/// On Linux and Android it counts the time that the system is suspended, so what is to expire has
/// expired when the system resumes; elsewhere it counts what [`std::time::Instant`] does. A thread
/// that waits is woken later by as long as the system was suspended.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn now(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};

        Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn now(&self) -> Duration {
        use std::sync::LazyLock;
        use std::time::Instant;

        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    fn park_until(&self, deadline: Duration) {
        thread::park_timeout(deadline.saturating_sub(self.now()));
    }
}

/// A clock that stands still until it is [advanced](Self::advance): for tests of what happens in
/// time. Clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use waxseal::{CachingKeyring, ManualClock, RootKey, SingleKeyring};
///
/// let clock = ManualClock::default();
/// let keyring = CachingKeyring::new(SingleKeyring::software(&RootKey::generate()?))
///     .with_clock(clock.clone());
/// clock.advance(Duration::from_secs(300));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<Mutex<Manual>>);

#[derive(Debug, Default)]
struct Manual {
    now: Duration,
    parked: Vec<Thread>,
}

impl ManualClock {
    /// Moves the time on, and wakes those who wait for it.
    pub fn advance(&self, by: Duration) {
        let parked = {
            let mut manual = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            manual.now = manual.now.saturating_add(by);
            mem::take(&mut manual.parked)
        };
        for thread in parked {
            thread.unpark();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now
    }

    fn park_until(&self, deadline: Duration) {
        {
            let mut manual = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if manual.now >= deadline {
                return;
            }
            let this = thread::current();
            if !manual.parked.iter().any(|other| other.id() == this.id()) {
                manual.parked.push(this);
            }
        }
        thread::park();
    }
}
