use serde::Serialize;

/// What a [`CachingKeyring`](super::CachingKeyring) has done in this process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// The cache of data keys to seal with.
    pub encryption: CacheCounters,
    /// The cache of data keys to open with.
    pub decryption: CacheCounters,
}

/// The counters of one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct CacheCounters {
    /// Calls answered without asking the keyring inside: from the cache, or with what another
    /// thread's call was just then given.
    pub hits: u64,
    /// Calls answered by the keyring inside, its errors included.
    pub misses: u64,
    /// Data keys dropped because they reached a limit. What
    /// [`invalidate`](super::CachingKeyring::invalidate) and
    /// [`clear`](super::CachingKeyring::clear) drop is not counted.
    pub evictions: u64,
    /// Data keys that are kept now.
    pub entries: usize,
}
