//! Data keys for many messages.

mod cache;
mod decryption;
mod encryption;
mod flight;
mod limits;
mod side;
mod stats;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use limits::CacheLimits;
pub use stats::{CacheCounters, CacheStats};

use self::decryption::unwrapped;
use self::encryption::Wanted;
use self::side::Look;
use self::store::Store;
use super::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, Unwrapped,
    WrapDataKeyRequest,
};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::fork::PerProcess;
use crate::format::{KeyEntriesBuf, KeyEntry, KeyReference};

/// Keeps the data keys of another keyring for a while, so that a message needs no call to a
/// provider.
///
/// **To seal**, one data key serves all messages of a context and a suite within the
/// [limits](CacheLimits), each under a random salt of its own (24 bytes longer than a message with
/// its own data key). A message whose length is not known beforehand, a stream, does not share: it
/// has a data key of its own, and so has one that is over [`CacheLimits::max_bytes`]. A data key
/// that the keyring inside shares by itself is passed on, not kept: its uses are counted there.
///
/// **To open**, an unwrapped data key is kept under the whole wrapped key, the context and the
/// suite: nothing opens that the keyring inside would not have unwrapped. It is believed until the
/// key expires: when a key is disabled or denied there, [`invalidate`](Self::invalidate) it here.
///
/// What takes several keys to open ([`ThresholdKeyring`](super::ThresholdKeyring)) is asked for each
/// time: a kept data key would open with one of them.
///
/// **One call at a time.** Of callers that need the same data key at once, one asks the keyring
/// inside, and the others wait for what it is given, its refusals and outages too. After any other
/// failure they ask one after the other. Callers that need different ones do not wait for each
/// other.
///
/// **Erased in time.** An expired data key is dropped when it expires, by a thread that ends with
/// the keyring; its bytes are erased then, or when the message that is just using it is done. After
/// a fork the child begins with no data keys and erases its parent's when it first uses the keyring.
///
/// Clones share what is kept.
///
/// ```
/// use waxseal::{
///     CachingKeyring, EncryptionContext, Envelope, EnvelopeEncryptor, RootKey, SingleKeyring,
/// };
///
/// let keyring = CachingKeyring::new(SingleKeyring::software(&RootKey::generate()?));
/// let envelope = Envelope::new(keyring.clone());
/// let context = EncryptionContext::new([("tenant", "acme")])?;
/// for payload in [b"first", b"other"] {
///     envelope.encrypt(payload, &context)?;
/// }
/// assert_eq!(keyring.stats().encryption.hits, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CachingKeyring(Arc<Inner>);

struct Inner {
    keyring: Arc<dyn Keyring>,
    store: PerProcess<Arc<Store>>,
}

impl CachingKeyring {
    /// Keeps the data keys of `keyring`, within the default [`CacheLimits`].
    #[must_use]
    pub fn new(keyring: impl Keyring + 'static) -> Self {
        let clock = Arc::new(SystemClock);
        Self::build(Arc::new(keyring), CacheLimits::default(), clock)
    }

    /// Keeps them within `limits`, beginning with none.
    #[must_use]
    pub fn with_limits(self, limits: CacheLimits) -> Self {
        let clock = Arc::clone(&self.store().clock);
        Self::build(Arc::clone(self.inside()), limits, clock)
    }

    /// Tells their age by `clock`, beginning with none.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        let limits = self.store().limits;
        Self::build(Arc::clone(self.inside()), limits, Arc::new(clock))
    }

    fn build(keyring: Arc<dyn Keyring>, limits: CacheLimits, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            keyring,
            store: PerProcess::new(Arc::new(Store::new(limits, clock))),
        }))
    }

    /// Drops every data key that is wrapped under `key`. Calls that are under way still get theirs,
    /// but it is not kept.
    pub fn invalidate(&self, key: &KeyReference) {
        let store = self.store();
        store.encryption.invalidate(key);
        store.decryption.invalidate(key);
    }

    /// Drops every data key. Calls that are under way still get theirs, but it is not kept.
    pub fn clear(&self) {
        self.store().clear();
    }

    /// What was found here and what was not, in this process.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let store = self.store();
        CacheStats {
            encryption: store.encryption.counters(),
            decryption: store.decryption.counters(),
        }
    }

    fn inside(&self) -> &Arc<dyn Keyring> {
        &self.0.keyring
    }

    fn store(&self) -> &Arc<Store> {
        self.0.store.get()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Keyring for CachingKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        let store = self.store();
        let Some(wanted) = Wanted::new(&request, store) else {
            store.encryption.count_miss();
            return self.inside().encryption_materials(request);
        };
        loop {
            match store.look_to_seal(&wanted) {
                Look::Found(key) => return Ok(EncryptionMaterials::kept(key)),
                Look::Ask(asking) => {
                    return asking.take(
                        self.inside()
                            .encryption_materials(request.recorded_at_once()),
                    );
                }
                Look::Wait(flight) => {
                    if let Some(answer) = store.encryption.wait(&flight) {
                        return answer.map(EncryptionMaterials::kept);
                    }
                }
            }
        }
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        let store = self.store();
        if !store.keeps {
            store.decryption.count_miss();
            return self.inside().decryption_materials(request);
        }
        loop {
            match store.look_to_open(&request) {
                Look::Found(found) => return Ok(unwrapped(found)),
                Look::Ask(asking) => {
                    let asked = self
                        .inside()
                        .decryption_materials(request.recorded_at_once());
                    return asking.take(&request, asked);
                }
                Look::Wait(flight) => {
                    if let Some(answer) = store.decryption.wait(&flight) {
                        return answer.map(unwrapped);
                    }
                }
            }
        }
    }

    fn try_encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        let store = self.store();
        let Some(wanted) = Wanted::new(&request, store) else {
            let asked = self.inside().try_encryption_materials(request)?;
            store.encryption.count_miss();
            return Some(asked);
        };
        match store.look_to_seal(&wanted) {
            Look::Found(key) => Some(Ok(EncryptionMaterials::kept(key))),
            Look::Ask(asking) => {
                let asked = self
                    .inside()
                    .try_encryption_materials(request.recorded_at_once())?;
                Some(asking.take(asked))
            }
            Look::Wait(_) => None,
        }
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        let store = self.store();
        if !store.keeps {
            let asked = self.inside().try_decryption_materials(request)?;
            store.decryption.count_miss();
            return Some(asked);
        }
        match store.look_to_open(&request) {
            Look::Found(found) => Some(Ok(unwrapped(found))),
            Look::Ask(asking) => {
                let asked = self
                    .inside()
                    .try_decryption_materials(request.recorded_at_once())?;
                Some(asking.take(&request, asked))
            }
            Look::Wait(_) => None,
        }
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        self.inside().wrap_data_key(request)
    }

    fn wraps_at_once(&self) -> bool {
        self.inside().wraps_at_once()
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.inside().holds(entry)
    }

    fn max_entries_len(&self) -> usize {
        self.inside().max_entries_len()
    }
}

/// Erases now what the thread may still hold for a moment.
impl Drop for Inner {
    fn drop(&mut self) {
        self.store.get().clear();
    }
}

/// Shows no context.
impl fmt::Debug for CachingKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachingKeyring")
            .field("keyring", self.inside())
            .field("limits", &self.store().limits)
            .finish_non_exhaustive()
    }
}
