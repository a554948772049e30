//! The data keys of one process, and the thread that drops them when they expire.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use super::decryption::{Found, KeyToOpen};
use super::limits::CacheLimits;
use super::side::Side;
use crate::clock::Clock;
use crate::fork::{ForkGuard, ForkableState};
use crate::keyring::KeptMaterials;

pub(super) struct Store {
    pub(super) limits: CacheLimits,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether there is anything to keep.
    pub(super) keeps: bool,
    pub(super) encryption: Side<Arc<KeptMaterials>, Arc<KeptMaterials>>,
    pub(super) decryption: Side<KeyToOpen, Found>,
    expiry: Mutex<Option<Thread>>,
}

impl Store {
    pub(super) fn new(limits: CacheLimits, clock: Arc<dyn Clock>) -> Self {
        // Where a fork would go unnoticed, a guard takes itself for forked at once.
        let misses_forks = ForkGuard::new().is_forked();
        Self {
            limits,
            clock,
            keeps: !misses_forks && !limits.keep_nothing(),
            encryption: Side::new(limits.max_entries),
            decryption: Side::new(limits.max_entries),
            expiry: Mutex::new(None),
        }
    }

    pub(super) fn clear(&self) {
        self.encryption.clear();
        self.decryption.clear();
    }

    /// Starts the thread that drops expired keys, if it does not run yet. Says whether it runs:
    /// without it nothing may be kept.
    pub(super) fn start_expiry(self: &Arc<Self>) -> bool {
        let mut expiry = self.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        if expiry.is_none() {
            let (store, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
            *expiry = thread::Builder::new()
                .name("waxseal-expiry".to_owned())
                .spawn(move || drop_as_they_expire(&store, clock.as_ref()))
                .ok()
                .map(|handle| handle.thread().clone());
        }
        expiry.is_some()
    }

    /// Lets the thread look again at what expires next.
    pub(super) fn wake_expiry(&self) {
        let expiry = self.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = expiry.as_ref() {
            thread.unpark();
        }
    }

    fn drop_expired(&self) -> Option<Duration> {
        let now = self.clock.now();
        let next = [
            self.encryption.drop_expired(now),
            self.decryption.drop_expired(now),
        ];
        next.into_iter().flatten().min()
    }
}

/// A child lacks the thread, and must not go on using data keys whose uses its parent counts.
impl ForkableState for Arc<Store> {
    fn for_child(&self) -> Self {
        Self::new(Store::new(self.limits, Arc::clone(&self.clock)))
    }

    fn try_clear(&self) -> bool {
        self.encryption.try_clear() & self.decryption.try_clear()
    }
}

/// The thread finds the store gone, and ends.
impl Drop for Store {
    fn drop(&mut self) {
        let expiry = self
            .expiry
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = expiry {
            thread.unpark();
        }
    }
}

fn drop_as_they_expire(store: &Weak<Store>, clock: &dyn Clock) {
    while let Some(next) = store.upgrade().map(|store| store.drop_expired()) {
        match next {
            Some(deadline) => clock.park_until(deadline),
            None => thread::park(),
        }
    }
}
