//! Whether a keyring is asked at all: a circuit breaker.

use std::time::Duration;

use super::FallbackLimits;

/// What is known of one keyring. Times are those of the clock.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Outages since the last answer.
    outages: u32,
    aside_until: Option<Duration>,
    /// The call that tries whether it answers again.
    probe: Option<u64>,
    /// The calls under way, and when they began.
    running: Vec<(u64, Duration)>,
    last_call: u64,
}

impl Breaker {
    /// Begins a call and gives its number, or says for how long the keyring stays put aside.
    pub(super) fn begin(
        &mut self,
        limits: &FallbackLimits,
        now: Duration,
    ) -> Result<u64, Duration> {
        self.give_up_hung(limits, now);
        if let Some(until) = self.aside_until {
            if now < until {
                return Err(until - now);
            }
            if self.probe.is_some() {
                return Err(limits.timeout);
            }
        }
        self.last_call += 1;
        let call = self.last_call;
        self.running.push((call, now));
        if self.aside_until.is_some() {
            self.probe = Some(call);
        }
        Ok(call)
    }

    /// A call that was begun was not made after all.
    pub(super) fn withdraw(&mut self, call: u64) {
        self.end(call);
    }

    /// The keyring answered, whatever it said. An answer that comes after its time is none.
    pub(super) fn answered(&mut self, call: u64) {
        if self.end(call) {
            self.outages = 0;
            self.aside_until = None;
        }
    }

    /// The keyring said that it cannot do it now.
    pub(super) fn had_outage(&mut self, call: u64, limits: &FallbackLimits, now: Duration) {
        let was_probe = self.probe == Some(call);
        if self.end(call) {
            self.outages = self.outages.saturating_add(1);
            if was_probe || self.outages >= limits.outages {
                self.put_aside(limits, now);
            }
        }
    }

    /// The keyring did not answer in its time.
    pub(super) fn timed_out(&mut self, call: u64, limits: &FallbackLimits, now: Duration) {
        if self.end(call) {
            self.put_aside(limits, now);
        }
    }

    pub(super) fn is_aside(&self, now: Duration) -> bool {
        self.aside_until.is_some_and(|until| now < until)
    }

    /// Nobody may be waiting any more for a call that hangs, because another keyring was faster.
    fn give_up_hung(&mut self, limits: &FallbackLimits, now: Duration) {
        let hung = |(_, began): &&(u64, Duration)| began.saturating_add(limits.timeout) < now;
        while let Some((call, _)) = self.running.iter().find(hung).copied() {
            self.timed_out(call, limits, now);
        }
    }

    fn put_aside(&mut self, limits: &FallbackLimits, now: Duration) {
        self.aside_until = Some(now.saturating_add(limits.aside_for));
        self.outages = 0;
    }

    /// Whether the call was still under way.
    fn end(&mut self, call: u64) -> bool {
        if self.probe == Some(call) {
            self.probe = None;
        }
        let place = self
            .running
            .iter()
            .position(|(running, _)| *running == call);
        place.is_some_and(|place| {
            self.running.swap_remove(place);
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Duration {
        SECOND * seconds
    }

    #[test]
    fn three_outages_one_after_the_other_put_aside() {
        let limits = FallbackLimits::default();
        let mut breaker = Breaker::default();
        for answer in [false, false, true, false, false, false] {
            let call = breaker.begin(&limits, at(0)).unwrap();
            match answer {
                true => breaker.answered(call),
                false => breaker.had_outage(call, &limits, at(0)),
            }
        }
        assert_eq!(breaker.begin(&limits, at(4)), Err(at(6)));
        assert!(breaker.is_aside(at(9)) && !breaker.is_aside(at(10)));
    }

    #[test]
    fn one_call_tries_while_others_pass_by() {
        let limits = FallbackLimits::default();
        let mut breaker = Breaker::default();
        let call = breaker.begin(&limits, at(0)).unwrap();
        breaker.timed_out(call, &limits, at(1));
        assert_eq!(breaker.begin(&limits, at(5)), Err(at(6)));

        let probe = breaker.begin(&limits, at(11)).unwrap();
        assert!(breaker.begin(&limits, at(11)).is_err());
        breaker.had_outage(probe, &limits, at(11));
        assert_eq!(
            breaker.begin(&limits, at(12)),
            Err(at(9)),
            "one outage is enough then"
        );

        let probe = breaker.begin(&limits, at(21)).unwrap();
        breaker.answered(call);
        assert!(
            breaker.begin(&limits, at(21)).is_err(),
            "an answer that is late is none"
        );
        breaker.answered(probe);
        assert!(breaker.begin(&limits, at(21)).is_ok());
        assert!(breaker.begin(&limits, at(21)).is_ok());
    }

    #[test]
    fn a_call_that_nobody_waits_for_is_given_up() {
        let limits = FallbackLimits::default();
        let mut breaker = Breaker::default();
        breaker.begin(&limits, at(0)).unwrap();
        assert!(breaker.begin(&limits, at(1)).is_ok());
        assert_eq!(breaker.begin(&limits, at(2)), Err(at(10)));
    }

    #[test]
    fn a_call_that_was_not_made_is_no_outage() {
        let limits = FallbackLimits::default();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            let call = breaker.begin(&limits, at(0)).unwrap();
            breaker.withdraw(call);
        }
        assert!(breaker.begin(&limits, at(100)).is_ok());
    }
}
