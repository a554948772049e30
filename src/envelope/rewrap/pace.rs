use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

/// Holds a loop back to so many rounds a second.
#[derive(Debug, Default)]
pub(super) struct Pace {
    per_second: Option<NonZeroU32>,
    began: Option<Duration>,
    rounds: u32,
}

impl Pace {
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self {
            per_second,
            ..Self::default()
        }
    }

    /// Waits until the next round may begin.
    pub(super) fn wait(&mut self) {
        let now = SystemClock.now();
        thread::sleep(self.still_to_wait(now));
    }

    fn still_to_wait(&mut self, now: Duration) -> Duration {
        let Some(per_second) = self.per_second else {
            return Duration::ZERO;
        };
        let began = *self.began.get_or_insert(now);
        if self.rounds >= per_second.get() {
            // What was not used of a second is not made up for in the next.
            let next = began.saturating_add(Duration::from_secs(1));
            self.began = Some(next.max(now));
            self.rounds = 1;
            return next.saturating_sub(now);
        }
        let due = began.saturating_add(Duration::from_secs(1) * self.rounds / per_second.get());
        self.rounds += 1;
        due.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_come_at_their_pace() {
        let mut pace = Pace::new(NonZeroU32::new(4));
        let mut now = Duration::from_secs(100);
        for _ in 0..21 {
            now += pace.still_to_wait(now);
        }
        assert_eq!(now, Duration::from_secs(105));
        now += Duration::from_secs(3600);
        for _ in 0..9 {
            now += pace.still_to_wait(now);
        }
        assert!(now >= Duration::from_secs(3600 + 106), "{now:?}");
        let mut unlimited = Pace::new(None);
        assert_eq!(unlimited.still_to_wait(now), Duration::ZERO);
    }
}
