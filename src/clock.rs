//! Where time comes from.

mod timestamp;

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime};

pub use timestamp::{InvalidTimestamp, Timestamp};

/// Tells how much time has passed, waits for more of it to pass, and knows the date.
///
/// # Contract
///
/// - [`now`](Self::now) never goes back, and does not follow changes of the date.
/// - [`unix_time`](Self::unix_time) is the date, as whoever sets it has set it: it may jump. It is
///   for what is stored and must hold for other processes too, such as when a key is to be deleted.
/// - The clock may be asked from many threads.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time since a moment that stays the same for the life of the clock.
    fn now(&self) -> Duration;

    /// The date and time of day.
    fn unix_time(&self) -> Timestamp;

    /// Blocks the calling thread until `deadline`, or until the thread is
    /// [unparked](Thread::unpark). It may return early: the caller looks at the time again.
    fn park_until(&self, deadline: Duration);
}

/// The operating system's clocks: the monotonic one, and the one that knows the date.
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

    fn unix_time(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn park_until(&self, deadline: Duration) {
        thread::park_timeout(deadline.saturating_sub(self.now()));
    }
}

/// A clock that stands still until it is [advanced](Self::advance): for tests of what happens in
/// time. It begins at midnight of 1 January 2026, UTC. Clones show the same time.
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

#[derive(Debug)]
struct Manual {
    now: Duration,
    date: Timestamp,
    parked: Vec<Thread>,
}

impl Default for Manual {
    fn default() -> Self {
        Self {
            now: Duration::ZERO,
            date: FIRST_DATE,
            parked: Vec::new(),
        }
    }
}

/// 2026-01-01T00:00:00Z.
const FIRST_DATE: Timestamp = Timestamp::from_unix_millis(1_767_225_600_000);

impl ManualClock {
    /// Moves the time and the date on, and wakes those who wait for it.
    pub fn advance(&self, by: Duration) {
        let parked = {
            let mut manual = self.lock();
            manual.now = manual.now.saturating_add(by);
            manual.date = manual.date.saturating_add(by);
            mem::take(&mut manual.parked)
        };
        for thread in parked {
            thread.unpark();
        }
    }

    /// Sets the date, forwards or back, as an operator might. No time passes.
    pub fn set_unix_time(&self, date: Timestamp) {
        self.lock().date = date;
    }

    fn lock(&self) -> MutexGuard<'_, Manual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.lock().now
    }

    fn unix_time(&self) -> Timestamp {
        self.lock().date
    }

    fn park_until(&self, deadline: Duration) {
        {
            let mut manual = self.lock();
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
