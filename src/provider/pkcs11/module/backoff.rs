//! How often a module that fails is initialised anew: at once, then after 0.1 s, and after twice as
//! long each time, up to 5 s.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// When the next attempt may be made, and how long the one after that will have to wait.
    next: Option<(Instant, Duration)>,
}

impl Backoff {
    /// Begins an attempt, or tells how long it is too early for one.
    pub(super) fn begin(&mut self, now: Instant) -> Result<(), Duration> {
        let pause = match self.next {
            None => FIRST,
            Some((at, _)) if now < at => return Err(at - now),
            Some((_, pause)) => pause,
        };
        self.next = Some((now + pause, (pause * 2).min(LONGEST)));
        Ok(())
    }

    pub(super) fn reset(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_success() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let pause = Duration::from_millis(pause);
            assert_eq!(backoff.begin(now), Ok(()));
            assert_eq!(backoff.begin(now), Err(pause));
            now += pause;
        }
        backoff.reset();
        assert_eq!(backoff.begin(now), Ok(()));
        assert_eq!(backoff.begin(now), Err(FIRST));
    }
}
