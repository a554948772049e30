use std::time::Duration;

/// How long and for how much a [`CachingKeyring`](super::CachingKeyring) keeps a data key.
///
/// A key is dropped as soon as it reaches any of these. What leaves nothing to keep turns the
/// cache off: with no entries, no age, or a single message, every message has a data key of its
/// own.
///
/// ```
/// use std::time::Duration;
/// use waxseal::CacheLimits;
///
/// let limits = CacheLimits::default()
///     .with_max_messages(1000)
///     .with_max_age(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheLimits {
    /// The messages that one data key seals: 2^20 unless told, and
    /// [`MAX_MESSAGES`](Self::MAX_MESSAGES) whatever is told.
    pub max_messages: u64,
    /// The bytes of payload that one data key seals: 2^40 (1 TiB) unless told.
    pub max_bytes: u64,
    /// How old a data key may get, from when the call that gave it began: 5 minutes unless told.
    pub max_age: Duration,
    /// The data keys kept to seal with, and likewise those kept to open with: 1000 unless told.
    /// One more, and the least recently used is dropped.
    pub max_entries: usize,
}

impl CacheLimits {
    /// The most messages under one data key, by the format: 2^32.
    pub const MAX_MESSAGES: u64 = 1 << 32;

    /// Seals at most this many messages with one data key.
    #[must_use]
    pub fn with_max_messages(mut self, max_messages: u64) -> Self {
        self.max_messages = max_messages;
        self
    }

    /// Seals at most this many bytes of payload with one data key.
    #[must_use]
    pub fn with_max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Keeps no data key for longer than this.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Keeps at most this many data keys to seal with, and as many to open with.
    #[must_use]
    pub fn with_max_entries(mut self, max_entries: usize) -> Self {
        self.max_entries = max_entries;
        self
    }

    pub(super) fn keep_nothing(&self) -> bool {
        self.max_entries == 0 || self.max_age.is_zero()
    }
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            max_messages: 1 << 20,
            max_bytes: 1 << 40,
            max_age: Duration::from_secs(300),
            max_entries: 1000,
        }
    }
}

/// What a data key may still be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    messages: u64,
    bytes: u64,
}

impl Budget {
    pub(super) const UNLIMITED: Self = Self {
        messages: u64::MAX,
        bytes: u64::MAX,
    };

    pub(super) fn to_seal(limits: &CacheLimits) -> Self {
        Self {
            messages: limits.max_messages.min(CacheLimits::MAX_MESSAGES),
            bytes: limits.max_bytes,
        }
    }

    /// What is left after one more message; nothing where the message is too much.
    pub(super) fn after_message(self, bytes: u64) -> Option<Self> {
        Some(Self {
            messages: self.messages.checked_sub(1)?,
            bytes: self.bytes.checked_sub(bytes)?,
        })
    }

    pub(super) fn is_spent(self) -> bool {
        self.messages == 0 || self.bytes == 0
    }
}
