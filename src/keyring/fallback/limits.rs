use std::time::Duration;

/// How long a [`FallbackKeyring`](super::FallbackKeyring) waits, and for how long it passes by a
/// keyring that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackLimits {
    /// How long one keyring is waited for, retries included: 1 second unless told. So a call takes at
    /// the most this long for each keyring.
    pub timeout: Duration,
    /// After how long the next keyring is asked as well, while the first may still answer. Not at all
    /// unless told: a call to a provider may cost money, and count in its audit.
    pub hedge_after: Option<Duration>,
    /// How often a call is tried again within its time where the failure is
    /// [one that may pass](crate::Error::is_retryable): twice unless told.
    pub retries: u32,
    /// The pause before the first retry: 50 milliseconds unless told. Each further one is twice as
    /// long, and each is shortened by a random part of up to a half, so that many callers do not come
    /// back at once.
    pub backoff: Duration,
    /// After how many outages one after the other, each with its retries, a keyring is put aside: 3
    /// unless told. A call that takes all of its time does so at once.
    pub outages: u32,
    /// For how long it is put aside: 10 seconds unless told.
    pub aside_for: Duration,
    /// The threads that calls to one keyring may take, those that hang too: 16 unless told.
    pub threads: usize,
}

impl FallbackLimits {
    /// Waits for each keyring so long.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks the next keyring as well after so long.
    #[must_use]
    pub fn with_hedge_after(mut self, hedge_after: Duration) -> Self {
        self.hedge_after = Some(hedge_after);
        self
    }

    /// Tries so often again, after a pause that begins with `backoff` and doubles.
    #[must_use]
    pub fn with_retries(mut self, retries: u32, backoff: Duration) -> Self {
        self.retries = retries;
        self.backoff = backoff;
        self
    }

    /// Puts a keyring aside after so many outages, for so long.
    #[must_use]
    pub fn with_outages(mut self, outages: u32, aside_for: Duration) -> Self {
        self.outages = outages;
        self.aside_for = aside_for;
        self
    }

    /// Takes at most so many threads for each keyring.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

impl FallbackLimits {
    /// The same, with nothing that is waited for longer than a day.
    pub(super) fn within_reason(mut self) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);

        self.timeout = self.timeout.min(DAY);
        self.backoff = self.backoff.min(DAY);
        self.hedge_after = self.hedge_after.map(|after| after.min(DAY));
        self
    }
}

impl Default for FallbackLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            hedge_after: None,
            retries: 2,
            backoff: Duration::from_millis(50),
            outages: 3,
            aside_for: Duration::from_secs(10),
            threads: 16,
        }
    }
}
